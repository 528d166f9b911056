"""A look at both players between two steps, which leaves them as they were."""

from __future__ import annotations

import torch
from torch import Tensor

from gan_zoo.core.types import Batch, Critique, Duel
from gan_zoo.diagnostics.failure_modes import Reading
from gan_zoo.diagnostics.statistics import features, memory, nearest, separation, spread
from gan_zoo.models.base import Game
from gan_zoo.training.modes import at_rest


class Probe:
    """Looks at a game with the same samples, conditions and latents every time.

    Args:
        seen: a batch of what the critics train on.
        unseen: a batch of held-out samples, if there are any.
    """

    def __init__(self, seen: Batch, unseen: Batch | None = None) -> None:
        self.seen, self.unseen = seen, unseen
        self.centers: dict[str, Tensor] = {}

    def look(self, game: Game) -> Reading:
        """How sure the critics are, how different the samples are, and how far they have moved since the last look.

        For every duel that trains a generator, ``<duel>/separation`` (of reals from fakes), ``<duel>/memory`` (with
        held-out data) and ``<duel>/gap`` (mean score of reals less that of fakes); of its fakes ``<duel>/spread`` and
        ``<duel>/nearest`` as shares of the reals', and in spreads of the reals ``<duel>/offset``, the distance of their
        centre from that of the reals, and ``<duel>/travel``, its way since the last look.
        """
        readings: dict[str, Tensor] = {}
        with at_rest(game, self.seen.noise.device):
            fakes = game.generate(self.seen)
            duels = [duel for duel in game.duels(self.seen, fakes) if duel.trains_generator]
            unseen: dict[str, Duel] = {}
            if self.unseen is not None:
                unseen = {duel.name: duel for duel in game.duels(self.unseen, game.generate(self.unseen))}
            for duel in duels:
                found = self.of_samples(duel) | of_scores(duel, unseen.get(duel.name))
                readings |= {f"{duel.name}/{name}": value for name, value in found.items()}
        numbers = torch.stack([value.float() for value in readings.values()]).tolist() if readings else []
        return dict(zip(readings, numbers, strict=True))

    def of_samples(self, duel: Duel) -> dict[str, Tensor]:
        """What the samples of one duel say."""
        real, fake = features(duel.real), features(duel.fake)
        scale, center = spread(real).clamp(min=1e-12), fake.mean(0)
        before = self.centers.get(duel.name, center).to(center)
        self.centers[duel.name] = center
        return {
            "spread": spread(fake) / scale,
            "nearest": nearest(fake) / nearest(real).clamp(min=1e-12),
            "offset": (center - real.mean(0)).norm() / scale,
            "travel": (center - before).norm() / scale,
        }


def of_scores(duel: Duel, unseen: Duel | None) -> dict[str, Tensor]:
    """What the critic of one duel says."""
    real, fake = (per_image(critique) for critique in (duel.judge_real(), duel.judge_fake()))
    readings = {"separation": separation(real, fake), "gap": real.mean() - fake.mean()}
    if unseen is not None:
        readings["memory"] = memory(real, per_image(unseen.judge_real()), fake)
    return readings


def per_image(critique: Critique) -> Tensor:
    """One score for each sample, ``[B]``: the mean over patches."""
    return critique.score.float().reshape(len(critique.score), -1).mean(1)
