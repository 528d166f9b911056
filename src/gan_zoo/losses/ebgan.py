"""Energy-based GAN."""

from __future__ import annotations

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from gan_zoo.core.distributed import gather_over_ranks
from gan_zoo.core.types import DiscriminatorOutput, LossTerms, Positive, Weight, at_least_float32
from gan_zoo.losses.base import Loss, require_autoencoder


class EBGAN(Loss):
    """The discriminator is an autoencoder; its reconstruction error is an energy, low on reals.

    Zhao et al. 2016, eq. 1, 2 and 4: L_D = E D(x) + E(m - D(G(z)))+, the hinge per sample, and
    L_G = E D(G(z)) + w PT, where the pulling-away term spreads the codes of the fakes.

    Args:
        margin: m, the energy fakes are pushed up to; in the units of the discriminator's
            reconstruction error, > 0.
        pulling_away: w, the weight of `pulling_away` on ``output.features[0]``; 0 disables it.
    """

    high_is_real: ClassVar[bool] = False

    def __init__(self, margin: Positive = 1.0, pulling_away: Weight = 0.1) -> None:
        super().__init__()
        if margin <= 0:
            raise ValueError(f"margin must be > 0, got {margin}")
        if pulling_away < 0:
            raise ValueError(f"pulling_away must be >= 0, got {pulling_away}")
        self.margin = margin
        self.pulling_away = pulling_away
        self.mean_of_samples = not pulling_away  # the term compares samples
        self.threshold = margin / 2

    def check(self, discriminator: nn.Module) -> None:
        require_autoencoder(self, discriminator)

    def discriminator(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        return real.score.mean() + torch.relu(self.margin - fake.score).mean()

    def generator(
        self, fake: DiscriminatorOutput, real: DiscriminatorOutput | None = None
    ) -> Tensor:
        energy = fake.score.mean()
        return (
            energy + self.pulling_away * pulling_away(fake.features[0])
            if self.pulling_away
            else energy
        )

    def log_values(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> LossTerms:
        return {"energy_gap": fake.score.mean() - real.score.mean()}

    def decision_margin(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        return self.threshold - real.score

    @torch.no_grad()
    def accuracy(
        self, real: DiscriminatorOutput, fake: DiscriminatorOutput
    ) -> tuple[Tensor, Tensor]:
        """Energies of reals below half the margin, and of fakes above it."""
        return (real.score < self.threshold).float().mean(), (
            fake.score > self.threshold
        ).float().mean()


def pulling_away(codes: Tensor) -> Tensor:
    """The mean squared cosine between the codes of different samples, in [0, 1].

    Zhao et al. 2016, eq. 4: 1/(N(N-1)) sum_{i != j} (S_i . S_j / |S_i| |S_j|)^2 over the N samples
    of the global batch. ``codes`` is ``[B, ...]`` and is flattened for each sample. Raises
    `ValueError` for a single sample.
    """
    # The term compares samples, so it is that of the global batch.
    directions = gather_over_ranks(normalize(at_least_float32(codes).flatten(1), dim=1))
    count = len(directions)
    if count < 2:
        raise ValueError(f"the pulling-away term needs a batch of >= 2 samples, got {count}")
    with torch.autocast(directions.device.type, enabled=False):
        cosines = directions @ directions.T
    # Each pair appears once above the diagonal and once below.
    return 2 * cosines.triu(1).square().sum() / (count * (count - 1))
