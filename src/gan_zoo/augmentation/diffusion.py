"""Diffused inputs of discriminators."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gan_zoo.augmentation.base import Augmentation, require_images
from gan_zoo.core.overfitting import AdaptiveProbability, require_signed_scores
from gan_zoo.core.types import (
    AdversarialTerm,
    Count,
    DiscriminatorOutput,
    Fraction,
    LossTerms,
    Positive,
    Share,
)

FIRST_VARIANCE = 1e-4
LAST_VARIANCE = 2e-2
"""beta_1 and beta of ``max_steps``; those in between are on a line."""


class Diffusion(Augmentation):
    """A random number of steps of a diffusion, of which there are more while the discriminator
    overfits.

    Wang et al. 2023 (Diffusion-GAN), eq. 4 to 7. The discriminator sees

        y = sqrt(a_t) x + sqrt(1 - a_t) s n,   n ~ N(0, I),   a_t = prod_{i <= t} (1 - b_i),

    reals and fakes alike, with a t for each sample: 0 with probability ``clean``, else from 1 to T
    with P(t) proportional to t. T goes from ``min_steps`` to ``max_steps`` with p, which follows
    `AdaptiveProbability`; the sign is that of scores minus the score at which the loss is
    undecided. The discriminator is not given t; in the authors' networks with a mapping it is.

    Args:
        std: s, for samples in [-1, 1]; 0.05 in the paper.
        min_steps, max_steps: the range of T; 5 and 1000 in the paper.
        clean: the part of the samples without noise; 1/2 in the authors' program.
        p: initial place of T between ``min_steps`` and ``max_steps``, in [0, 1].
        target: mean sign of the reals' scores to hold, in [0, 1); None for a constant T.
        images_to_full: real images in which p can go from 0 to 1, > 0.
        interval: discriminator steps between two moves of p, >= 1.

    Raises:
        ValueError: unless 1 <= ``min_steps`` <= ``max_steps``.
    """

    kept: Tensor

    def __init__(
        self,
        std: Positive = 0.05,
        min_steps: Count = 5,
        max_steps: Count = 1000,
        clean: Fraction = 0.5,
        p: Fraction = 0.0,
        target: Share | None = 0.6,
        images_to_full: Count = 500_000,
        interval: Count = 4,
    ) -> None:
        super().__init__()
        if not 1 <= min_steps <= max_steps:
            raise ValueError(
                f"min_steps must be from 1 to max_steps, got min_steps={min_steps} and"
                f" max_steps={max_steps}"
            )
        self.std = std
        self.min_steps = min_steps
        self.max_steps = max_steps
        self.clean = clean
        self.adaptive = AdaptiveProbability(p, target, images_to_full, interval)

        # a_0 = 1, a_1, ..., from the variances of the single steps.
        variances = torch.linspace(FIRST_VARIANCE, LAST_VARIANCE, max_steps, dtype=torch.float64)
        kept = torch.cat([torch.ones(1, dtype=torch.float64), (1 - variances).cumprod(0)])
        self.register_buffer("kept", kept.float(), persistent=False)

    @property
    def steps(self) -> Tensor:
        """T, the most steps now."""
        return (self.min_steps + self.adaptive.p * (self.max_steps - self.min_steps)).round()

    def check(self, discriminator: nn.Module) -> None:
        if self.adaptive.target is not None:
            require_signed_scores(discriminator, "augment=diffusion")

    def draw_steps(self, x: Tensor) -> Tensor:
        """t for each sample, ``[B]`` (int64)."""
        # P(t <= k) = k (k + 1) / (T (T + 1)), inverted.
        u = torch.rand(len(x), device=x.device)
        most = self.steps
        t = ((1 + 4 * u * most * (most + 1)).sqrt() - 1).div(2).ceil().clamp(min=1)
        diffused = torch.rand(len(x), device=x.device) >= self.clean
        return (t * diffused).long()

    def forward(self, x: Tensor, colored: int | None = None) -> Tensor:
        require_images(x)
        channels = colored or x.shape[1]
        kept = self.kept[self.draw_steps(x)].to(x.dtype)[:, None, None, None]

        # Conditions that move along stay as they are.
        noise = self.std * torch.randn_like(x[:, :channels])
        diffused = kept.sqrt() * x[:, :channels] + (1 - kept).sqrt() * noise
        return diffused if channels == x.shape[1] else torch.cat([diffused, x[:, channels:]], 1)

    def update(
        self, term: AdversarialTerm, real: DiscriminatorOutput, margin: Tensor, step: int
    ) -> None:
        if not term.mismatched:
            self.adaptive.update(margin, len(real.x))

    def log_values(self) -> LossTerms:
        """``steps``, T."""
        return {"steps": self.steps}
