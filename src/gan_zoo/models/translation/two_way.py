"""What models share that translate between two domains, in both directions and without pairs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from gan_zoo.core.types import AdversarialTerm, Batch, FakeSamples, SampleRequest, Shape
from gan_zoo.models.base import Model

PARTNER = ("target", "reverse", "recycled")
OTHER = ("input B", "B to A", "B cycled")
"""Names of an image of B, its translation and the way back: of the input's partner, or another."""


class TwoWayTranslation(Model):
    """Translators F: A -> B and G: B -> A, and a discriminator for each domain.

    A is the domain of a batch's conditions, B that of its samples. Adversarial terms ``b`` and
    ``a``; `generate` gives the fakes ``b`` and ``a``.

    Args:
        generator: makes a translator, called with ``in_shape`` and ``out_shape``.
        discriminator: makes a discriminator, called with ``sample_shape``.
        a_shape, b_shape: ``[C, H, W]`` of both domains.
    """

    term_names: ClassVar[tuple[str, ...]] = ("b", "a")
    needs = ("domain",)

    def __init__(
        self,
        generator: Callable[..., nn.Module],
        discriminator: Callable[..., nn.Module],
        a_shape: Shape,
        b_shape: Shape,
    ) -> None:
        super().__init__()
        # A generator into each domain, and a discriminator of it.
        a_to_b = generator(in_shape=a_shape, out_shape=b_shape)
        b_to_a = generator(in_shape=b_shape, out_shape=a_shape)
        self.generators = nn.ModuleDict({"a_to_b": a_to_b, "b_to_a": b_to_a})
        discriminators = {
            "b": discriminator(sample_shape=b_shape),
            "a": discriminator(sample_shape=a_shape),
        }
        self.discriminators = nn.ModuleDict(discriminators)

    @property
    def translators(self) -> tuple[Any, Any]:
        """A -> B and B -> A."""
        return self.generators["a_to_b"], self.generators["b_to_a"]

    def domains(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The real samples of A and B."""
        assert batch.condition is not None
        return batch.condition, batch.real

    def adversarial_terms(self, batch: Batch, fakes: FakeSamples) -> Sequence[AdversarialTerm]:
        a, b = self.domains(batch)
        return [
            AdversarialTerm("b", self.discriminators["b"], b, fakes["b"]),
            AdversarialTerm("a", self.discriminators["a"], a, fakes["a"]),
        ]

    def sample(self, request: SampleRequest, generators: nn.ModuleDict) -> Tensor:
        with request.rng.as_default():  # for translators with dropout at test time
            samples: Tensor = generators["a_to_b"](request.condition)
        return samples

    def visuals(self, request: SampleRequest, generators: nn.ModuleDict) -> dict[str, Tensor]:
        """Input, output and reconstruction in both directions: from the true partner if known, else
        from another B.
        """
        assert request.condition is not None
        translated = self.sample(request, generators)
        with request.rng.as_default():
            visuals = {
                "input": request.condition,
                "sample": translated,
                "cycled": generators["b_to_a"](translated),
            }

            # The reverse direction, from the true partner or from another sample of B.
            known = request.target is not None
            other = request.target if known else request.unrelated
            if other is not None:
                reverse = generators["b_to_a"](other)
                images = (other, reverse, generators["a_to_b"](reverse))
                visuals |= zip(PARTNER if known else OTHER, images, strict=True)
        return visuals
