"""The unpaired translation model."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import nn

from gan_zoo.core.types import (
    Batch,
    FakeSamples,
    LossTerms,
    Shape,
    TermOutputs,
    Weight,
    Whole,
)
from gan_zoo.models.base import require_images
from gan_zoo.models.translation.image_pool import Pool
from gan_zoo.models.translation.two_way import TwoWayTranslation


class CycleGAN(TwoWayTranslation):
    """Two translators between domains A and B that undo each other, a discriminator for each domain
    (Zhu et al. 2017).

    A is the domain of a batch's conditions, B that of its samples. With F: A -> B and G: B -> A
    (eq. 3 and section 5.2)

        L = adv(D_B, F) + adv(D_A, G) + w_c (|G(F(a)) - a| + |F(G(b)) - b|) + w_i (|F(b) - b| +
        |G(a) - a|).

    Terms ``b`` and ``a``; terms ``cycle`` and ``identity``; discriminators see fakes from a pool of
    past ones.

    Args:
        generator: makes a translator, called with ``in_shape`` and ``out_shape``.
        discriminator: makes a discriminator, called with ``sample_shape``.
        reconstruction: distance ``(reconstructed, target) -> scalar`` of the cycle.
        identity: distance of the identity term.
        a_shape, b_shape: ``[C, H, W]`` of both domains.
        cycle_weight: w_c (10 in the paper).
        identity_weight: w_i (5 in the paper's painting experiments, 0 without); needs equal shapes.
        pool_size: past fakes that are kept for each domain (50 in the paper); 0 for none.
    """

    def __init__(
        self,
        generator: Callable[..., nn.Module],
        discriminator: Callable[..., nn.Module],
        reconstruction: nn.Module,
        identity: nn.Module,
        a_shape: Shape | None,
        b_shape: Shape,
        cycle_weight: Weight = 10.0,
        identity_weight: Weight = 5.0,
        pool_size: Whole = 50,
    ) -> None:
        # Identity terms give a translator samples of its output domain, so shapes must agree.
        a_shape = require_images(a_shape, "model=cyclegan")
        if cycle_weight < 0 or identity_weight < 0:
            raise ValueError(
                f"cycle_weight and identity_weight must be >= 0, got {cycle_weight} and"
                f" {identity_weight}"
            )
        if identity_weight > 0 and list(a_shape) != list(b_shape):
            raise ValueError(
                f"identity_weight > 0 needs domains of one shape, got {list(a_shape)} and"
                f" {list(b_shape)}"
            )

        # A pool for each domain.
        super().__init__(generator, discriminator, a_shape, b_shape)
        self.pools = nn.ModuleDict({"b": Pool(pool_size, b_shape), "a": Pool(pool_size, a_shape)})
        self.reconstruction = reconstruction
        self.identity = identity
        self.cycle_weight = cycle_weight
        self.identity_weight = identity_weight

    def generate(self, batch: Batch) -> FakeSamples:
        a, b = self.domains(batch)
        return {"b": self.generators["a_to_b"](a), "a": self.generators["b_to_a"](b)}

    def replay(self, batch: Batch, fakes: FakeSamples) -> FakeSamples:
        return {
            domain: self.pools[domain](fake, batch.rng, domain) for domain, fake in fakes.items()
        }

    def generator_terms(
        self, batch: Batch, fakes: FakeSamples, outputs: Sequence[TermOutputs]
    ) -> LossTerms:
        a, b = self.domains(batch)
        a_to_b, b_to_a = self.translators

        # Each fake is translated back, and compared with what it was made from.
        cycle = self.reconstruction(b_to_a(fakes["b"]), a) + self.reconstruction(
            a_to_b(fakes["a"]), b
        )
        terms = {"cycle": self.cycle_weight * cycle}

        # What is in the target domain already should stay as it is.
        if self.identity_weight > 0:
            terms["identity"] = self.identity_weight * (
                self.identity(a_to_b(b), b) + self.identity(b_to_a(a), a)
            )
        return terms
