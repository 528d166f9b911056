"""The unpaired translation model with codes that both domains share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import (
    Batch,
    FakeSamples,
    LossTerms,
    Shape,
    TermOutputs,
    Weight,
    Whole,
    at_least_float32,
)
from gan_zoo.models.base import require_images
from gan_zoo.models.translation.two_way import TwoWayTranslation


class UNIT(TwoWayTranslation):
    """Two variational autoencoders with one space of codes, whose halves are exchanged (Liu et al.
    2017, eq. 1 to 7).

    The translator F: A -> B is the encoder E_A and the decoder D_B; the translator B -> A likewise.
    With codes z_A = E_A(a) + e, e ~ N(0, 1), the fake b' = D_B(z_A) and its code z' = E_B(b') + e',

        L_G = adv(b') + w_x |D_A(z_A) - a| + w_kl KL(E_A(a)) + w_cyc |D_A(z') - a|
            + w_ckl KL(E_B(b')),

    and the same with the domains exchanged. KL(mu) is the mean of mu^2, twice the divergence of
    N(mu, 1) from N(0, 1) for each code. Samples have no e. The last blocks of the encoders and the
    first ones of the decoders are the same. Adversarial terms ``b`` and ``a``; loss terms
    ``reconstruction``, ``kl``, ``cycle`` and ``cycle_kl``.

    Args:
        generator: makes a translator with ``encode`` and ``decode``, whose ``encoder`` and
            ``decoder`` have ``blocks``; called with ``in_shape`` and ``out_shape``.
        discriminator: makes a discriminator, called with ``sample_shape``.
        reconstruction: distance of images ``(output, target) -> scalar``.
        a_shape, b_shape: ``[C, H, W]`` of both domains.
        reconstruction_weight: w_x (10 in the authors' later program).
        kl_weight: w_kl (0.01 there).
        cycle_weight: w_cyc (10 there).
        cycle_kl_weight: w_ckl (0.01 there).
        shared_blocks: residual blocks that both encoders share, and both decoders.
    """

    def __init__(
        self,
        generator: Callable[..., nn.Module],
        discriminator: Callable[..., nn.Module],
        reconstruction: nn.Module,
        a_shape: Shape | None,
        b_shape: Shape,
        reconstruction_weight: Weight = 10.0,
        kl_weight: Weight = 0.01,
        cycle_weight: Weight = 10.0,
        cycle_kl_weight: Weight = 0.01,
        shared_blocks: Whole = 1,
    ) -> None:
        a_shape = require_images(a_shape, "model=unit")
        weights = (reconstruction_weight, kl_weight, cycle_weight, cycle_kl_weight)
        if min(weights) < 0:
            raise ValueError(
                "reconstruction_weight, kl_weight, cycle_weight and cycle_kl_weight must be >= 0,"
                f" got {', '.join(map(str, weights))}"
            )
        super().__init__(generator, discriminator, a_shape, b_shape)

        # Both domains share the blocks next to the codes, so that a code means the same in both.
        a_to_b, b_to_a = self.translators
        if not hasattr(a_to_b, "encode"):
            raise ValueError(
                "model=unit needs a generator with codes: use generator=encoder_decoder"
            )
        share_blocks(a_to_b, b_to_a, shared_blocks)
        self.reconstruction = reconstruction
        self.reconstruction_weight = reconstruction_weight
        self.kl_weight = kl_weight
        self.cycle_weight = cycle_weight
        self.cycle_kl_weight = cycle_kl_weight

    def generate(self, batch: Batch) -> FakeSamples:
        a, b = self.domains(batch)
        a_to_b, b_to_a = self.translators
        # The fakes are of noisy codes, the KL term is that of their means.
        mu_a, mu_b = a_to_b.encode(a), b_to_a.encode(b)
        code_a, code_b = noisy(mu_a, batch.rng, "a"), noisy(mu_b, batch.rng, "b")
        return {
            "b": a_to_b.decode(code_a),
            "a": b_to_a.decode(code_b),
            "mu_a": mu_a,
            "mu_b": mu_b,
            "code_a": code_a,
            "code_b": code_b,
        }

    def generator_terms(
        self, batch: Batch, fakes: FakeSamples, outputs: Sequence[TermOutputs]
    ) -> LossTerms:
        a, b = self.domains(batch)
        a_to_b, b_to_a = self.translators

        # Within each domain.
        rebuilt_a = self.reconstruction(b_to_a.decode(fakes["code_a"]), a)
        rebuilt_b = self.reconstruction(a_to_b.decode(fakes["code_b"]), b)
        kl = mean_square(fakes["mu_a"]) + mean_square(fakes["mu_b"])

        # To the other domain and back.
        again_a, again_b = b_to_a.encode(fakes["b"]), a_to_b.encode(fakes["a"])
        cycled_a = self.reconstruction(b_to_a.decode(noisy(again_a, batch.rng, "a again")), a)
        cycled_b = self.reconstruction(a_to_b.decode(noisy(again_b, batch.rng, "b again")), b)
        cycle_kl = mean_square(again_a) + mean_square(again_b)
        return {
            "reconstruction": self.reconstruction_weight * (rebuilt_a + rebuilt_b),
            "kl": self.kl_weight * kl,
            "cycle": self.cycle_weight * (cycled_a + cycled_b),
            "cycle_kl": self.cycle_kl_weight * cycle_kl,
        }


def share_blocks(a_to_b: Any, b_to_a: Any, count: int) -> None:
    """Replace the last ``count`` blocks of the second encoder and the first ones of the second
    decoder by those of the first.

    Raises:
        ValueError: for more blocks than there are.
    """
    most = len(a_to_b.encoder.blocks)
    if not 0 <= count <= most:
        raise ValueError(f"shared_blocks must be 0 to {most} (generator.blocks), got {count}")
    for k in range(count):
        b_to_a.encoder.blocks[most - 1 - k] = a_to_b.encoder.blocks[most - 1 - k]
        b_to_a.decoder.blocks[k] = a_to_b.decoder.blocks[k]


def noisy(mu: Tensor, rng: StepRNG, purpose: str) -> Tensor:
    """Codes mu + e with e ~ N(0, 1), repeatable for each purpose."""
    return mu + rng.normal(f"code of {purpose}", *mu.shape).to(mu)


def mean_square(mu: Tensor) -> Tensor:
    """The mean of mu^2 over samples and codes."""
    return at_least_float32(mu).square().mean()
