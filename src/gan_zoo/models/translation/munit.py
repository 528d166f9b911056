"""The unpaired translation model with many outputs for each input."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

from torch import Tensor, nn

from gan_zoo.core.types import (
    Batch,
    Count,
    FakeSamples,
    LossTerms,
    SampleRequest,
    Shape,
    TermOutputs,
    Weight,
    at_least_float32,
)
from gan_zoo.models.base import require_images
from gan_zoo.models.conditioning import accepts
from gan_zoo.models.translation.two_way import TwoWayTranslation


class MUNIT(TwoWayTranslation):
    """Images of two domains share contents, and each domain has styles of its own (Huang et al.
    2018, eq. 1 to 5).

    The translator F: A -> B is an encoder E_A of A's contents, an encoder S_B of B's styles and a
    decoder D_B; the translator B -> A likewise. With new styles s_A, s_B ~ N(0, 1),

        b' = D_B(E_A(a), s_B)
        L_G = adv(b') + w_x |D_A(E_A(a), S_A(a)) - a| + w_s |S_B(b') - s_B| + w_c |E_B(b') - E_A(a)|
            + w_cyc |D_A(E_B(b'), S_A(a)) - a|,

    and the same with the domains exchanged. Contents are no constants: the term also trains their
    encoder. Adversarial terms ``b`` and ``a``; loss terms ``reconstruction``, ``style``,
    ``content`` and, if it has a weight, ``cycle``.

    Args:
        generator: makes a translator ``(image, style) -> image`` with ``content``, ``style`` and
            ``decode``, called with ``in_shape``, ``out_shape`` and ``latent_dim``.
        discriminator: makes a discriminator, called with ``sample_shape``.
        reconstruction: distance of images ``(output, target) -> scalar``.
        a_shape, b_shape: ``[C, H, W]`` of both domains.
        reconstruction_weight: w_x (10 in the paper).
        style_weight: w_s (1 in the paper).
        content_weight: w_c (1 in the paper).
        cycle_weight: w_cyc (0 in the paper for line art, 10 for street scenes).
        latent_dim: size of styles (8 in the paper).
    """

    name_of_sample: ClassVar[str | None] = None

    def __init__(
        self,
        generator: Callable[..., nn.Module],
        discriminator: Callable[..., nn.Module],
        reconstruction: nn.Module,
        a_shape: Shape | None,
        b_shape: Shape,
        reconstruction_weight: Weight = 10.0,
        style_weight: Weight = 1.0,
        content_weight: Weight = 1.0,
        cycle_weight: Weight = 0.0,
        latent_dim: Count = 8,
    ) -> None:
        a_shape = require_images(a_shape, "model=munit")
        weights = (reconstruction_weight, style_weight, content_weight, cycle_weight)
        if min(weights) < 0 or latent_dim < 1:
            raise ValueError(
                "reconstruction_weight, style_weight, content_weight and cycle_weight must be >= 0,"
                f" latent_dim >= 1, got {', '.join(map(str, weights))} and {latent_dim}"
            )

        # Asked before any network is built, as its own complaint would not name the model.
        if not accepts(generator, "latent_dim"):
            raise ValueError(
                "model=munit needs a generator with styles: use generator=content_style"
            )
        styled = partial(generator, latent_dim=latent_dim)
        super().__init__(styled, discriminator, a_shape, b_shape)

        # The losses of eq. 1 to 4 take encoder and decoder apart.
        if not hasattr(self.generators["a_to_b"], "content"):
            raise ValueError(
                "model=munit needs a generator with contents: use generator=content_style"
            )
        self.reconstruction = reconstruction
        self.reconstruction_weight = reconstruction_weight
        self.style_weight = style_weight
        self.content_weight = content_weight
        self.cycle_weight = cycle_weight
        self.latent_dim = latent_dim

    @property
    def translates(self) -> bool:
        """Also with styles: the translators are convolutional."""
        return True

    def new_styles(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """New styles ``[B, latent_dim]`` of A and of B; a step repeats its draws."""
        request = self.request_for(batch)
        of_a = self.latents(replace(request, rng=batch.rng.derive("styles of a")))
        return of_a, self.latents(request)

    def generate(self, batch: Batch) -> FakeSamples:
        a, b = self.domains(batch)
        a_to_b, b_to_a = self.translators
        new_a, new_b = self.new_styles(batch)
        # Contents of a domain with new styles of the other one.
        content_a, content_b = a_to_b.content(a), b_to_a.content(b)
        return {
            "b": a_to_b.decode(content_a, new_b),
            "a": b_to_a.decode(content_b, new_a),
            "content_a": content_a,
            "content_b": content_b,
        }

    def generator_terms(
        self, batch: Batch, fakes: FakeSamples, outputs: Sequence[TermOutputs]
    ) -> LossTerms:
        a, b = self.domains(batch)
        a_to_b, b_to_a = self.translators
        new_a, new_b = self.new_styles(batch)
        content_a, content_b = fakes["content_a"], fakes["content_b"]

        # Images of their own content and style.
        style_a, style_b = b_to_a.style(a), a_to_b.style(b)
        rebuilt_a = self.reconstruction(b_to_a.decode(content_a, style_a), a)
        rebuilt_b = self.reconstruction(a_to_b.decode(content_b, style_b), b)

        # What the fakes were made of is found again.
        found_a, found_b = b_to_a.content(fakes["b"]), a_to_b.content(fakes["a"])
        styles = away(a_to_b.style(fakes["b"]), new_b) + away(b_to_a.style(fakes["a"]), new_a)
        contents = away(found_a, content_a) + away(found_b, content_b)
        terms = {
            "reconstruction": self.reconstruction_weight * (rebuilt_a + rebuilt_b),
            "style": self.style_weight * styles,
            "content": self.content_weight * contents,
        }

        # And so are the images, with their own styles.
        if self.cycle_weight > 0:
            cycled_a = self.reconstruction(b_to_a.decode(found_a, style_a), a)
            cycled_b = self.reconstruction(a_to_b.decode(found_b, style_b), b)
            terms["cycle"] = self.cycle_weight * (cycled_a + cycled_b)
        return terms

    def sample(self, request: SampleRequest, generators: nn.ModuleDict) -> Tensor:
        samples: Tensor = generators["a_to_b"](request.condition, self.latents(request))
        return samples

    def visuals(self, request: SampleRequest, generators: nn.ModuleDict) -> dict[str, Tensor]:
        """Input, outputs of two styles, and the input again of the output's content and its own
        style; with known targets also the output of their style, and their reverse translation.
        """
        assert request.condition is not None
        a_to_b: Any = generators["a_to_b"]
        b_to_a: Any = generators["b_to_a"]
        # Two styles for the same input show what a style decides.
        other = replace(request, rng=request.rng.derive("other latents"), latents=None)
        sample = self.sample(request, generators)
        own_style = b_to_a.style(request.condition)
        visuals = {
            "input": request.condition,
            "sample": sample,
            "other latents": self.sample(other, generators),
            "cycled": b_to_a.decode(b_to_a.content(sample), own_style),
        }

        # Known targets have a style to be imitated.
        if request.target is not None:
            visuals |= {
                "encoded": a_to_b(request.condition, a_to_b.style(request.target)),
                "target": request.target,
                "reverse": b_to_a(request.target, self.latents(request)),
            }
        return visuals


def away(found: Tensor, target: Tensor) -> Tensor:
    """The mean absolute difference of codes."""
    return (at_least_float32(found) - at_least_float32(target)).abs().mean()
