"""The conditional model with a realism discriminator and a match discriminator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from torch import Tensor, nn

from gan_zoo.core.types import AdversarialTerm, Batch, FakeSamples, Positive, Share
from gan_zoo.models.conditional_gan import ConditionalGAN


class CGAN(ConditionalGAN):
    """One discriminator decides whether a sample is real, another whether it matches its condition.

    Three terms, each with any adversarial loss: ``realism`` of x against G(z, c); ``match`` of (x,
    c) against (G(z, c), c); ``wrong`` of (x, c) against (x, c'), where c' is guaranteed to differ
    from c, which trains the match discriminator only (Reed et al. 2016, algorithm 1; two heads:
    Zhang et al. 2017, StackGAN++). With weights w_r, w_m and fraction s

        L_D = w_r [realism] + w_m ((1 - s) [match] + s [wrong]),   L_G = w_r g(D_r(x~)) + w_m
        g(D_m(x~, c)).

    The fraction must be below 1: a match discriminator that never sees fakes is fooled by noise.

    R1 and R2 act on (x, c), (G(z, c), c) and (x, c') with the weights of the loss. The gradient
    penalty of ``wrong`` and the margin of the loss-sensitive loss are explained in
    `GradientPenalty` and `LossSensitive`.

    Args:
        generator, discriminator, condition, fusion, latent_dim, prior: as in `ConditionalGAN`; the
            realism discriminator is made by ``discriminator()``.
        realism_weight, match_weight: w_r > 0 and w_m > 0.
        mismatch_fraction: s, in [0, 1).
    """

    term_names: ClassVar[tuple[str, ...]] = ("realism", "match", "wrong")

    def __init__(
        self,
        generator: Callable[..., nn.Module],
        discriminator: Callable[..., nn.Module],
        condition: Callable[[], Any],
        realism_weight: Positive = 1.0,
        match_weight: Positive = 1.0,
        mismatch_fraction: Share = 0.5,
        fusion: str = "concat",
        **options: Any,
    ) -> None:
        # Without one of the two terms this is another model.
        if realism_weight <= 0 or match_weight <= 0:
            raise ValueError(
                f"realism_weight and match_weight must be > 0, got {realism_weight} and"
                f" {match_weight}: for one use model=cgan_single"
            )
        if not 0 <= mismatch_fraction < 1:
            raise ValueError(f"mismatch_fraction must be in [0, 1), got {mismatch_fraction}")

        # The base class makes the match discriminator; the realism discriminator has no condition.
        super().__init__(generator, discriminator, condition, fusion, **options)
        self.discriminators = nn.ModuleDict(
            {"realism": discriminator(), "match": self.discriminators["main"]}
        )
        self.realism_weight = realism_weight
        self.match_weight = match_weight
        self.mismatch_fraction = mismatch_fraction
        self.needs = (*self.needs, "mismatched")

    def mismatched_conditions(self, batch: Batch) -> Tensor:
        """Raw conditions that differ from the matching ones, row by row."""
        mismatched: Tensor = self.generators["condition"].mismatched(batch)  # type: ignore[operator]
        return mismatched

    def adversarial_terms(self, batch: Batch, fakes: FakeSamples) -> Sequence[AdversarialTerm]:
        real, fake = batch.real, fakes["fake"]
        matching = self.conditions(batch)
        mismatched = self.mismatched_conditions(batch)
        realism, match = self.discriminators["realism"], self.discriminators["match"]
        w_r, w_m, s = self.realism_weight, self.match_weight, self.mismatch_fraction

        # Wrong pairs consist of reals on both sides, so they do not train the generator.
        return [
            AdversarialTerm("realism", realism, real, fake, None, None, w_r, w_r),
            AdversarialTerm("match", match, real, fake, matching, matching, w_m * (1 - s), w_m),
            AdversarialTerm(
                "wrong", match, real, real, matching, mismatched, w_m * s, 0.0, mismatched=True
            ),
        ]
