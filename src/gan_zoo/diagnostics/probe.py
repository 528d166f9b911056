"""A look at both players between two steps, which leaves them as they were."""

from __future__ import annotations

import torch
from torch import Tensor

from gan_zoo.core.types import AdversarialTerm, Batch, DiscriminatorOutput
from gan_zoo.diagnostics.failure_modes import Measurement
from gan_zoo.diagnostics.statistics import (
    features,
    median_nn_distance,
    overfitting_ratio,
    rms_deviation,
    roc_auc,
)
from gan_zoo.models.base import Model
from gan_zoo.training.modes import evaluation_mode

PERCENTILES = (5, 50, 95)
"""Of the scores of reals and of fakes."""


class Probe:
    """Looks at a model with the same samples, conditions and latents every time.

    Args:
        seen: a batch of what the discriminators train on.
        unseen: a batch of held-out samples, if there are any.
    """

    def __init__(self, seen: Batch, unseen: Batch | None = None) -> None:
        self.seen, self.unseen = seen, unseen
        self.centers: dict[str, Tensor] = {}

    def measure(self, model: Model) -> Measurement:
        """How sure the discriminators are, how different samples are, how far they have moved since
        the last time.

        For every term that trains a generator, ``<term>/separation`` (of reals from fakes),
        ``<term>/memory`` (with held-out data), ``<term>/gap`` (mean score of reals less that of
        fakes), and percentiles of the scores, ``<term>/real_p05`` to ``<term>/fake_p95``; of its
        fakes ``<term>/spread`` and ``<term>/nearest`` as shares of the reals', and
        in spreads of the reals ``<term>/offset``, the distance of their center from that of the
        reals, and ``<term>/travel``, its way since the last look.
        """
        readings: dict[str, Tensor] = {}
        with evaluation_mode(model, self.seen.rng.device):
            # The same samples, conditions and latents at every look.
            fakes = model.generate(self.seen)
            adversarial_terms = [
                term for term in model.adversarial_terms(self.seen, fakes) if term.trains_generator
            ]

            # The terms of held-out samples, if there are any.
            unseen: dict[str, AdversarialTerm] = {}
            if self.unseen is not None:
                unseen = {
                    term.name: term
                    for term in model.adversarial_terms(self.unseen, model.generate(self.unseen))
                }
            for term in adversarial_terms:
                found = self.sample_statistics(term) | score_statistics(term, unseen.get(term.name))
                readings |= {f"{term.name}/{name}": value for name, value in found.items()}

        # All readings come to the host at once.
        numbers = (
            torch.stack([value.float() for value in readings.values()]).tolist() if readings else []
        )
        return dict(zip(readings, numbers, strict=True))

    def sample_statistics(self, term: AdversarialTerm) -> dict[str, Tensor]:
        """What the samples of one term say."""
        real, fake = features(term.real), features(term.fake)
        scale, center = rms_deviation(real).clamp(min=1e-12), fake.mean(0)

        # At the first look nothing has moved yet.
        before = self.centers.get(term.name, center).to(center)
        self.centers[term.name] = center

        # In units of the reals, so that the numbers compare across data sets.
        return {
            "spread": rms_deviation(fake) / scale,
            "nearest": median_nn_distance(fake) / median_nn_distance(real).clamp(min=1e-12),
            "offset": (center - real.mean(0)).norm() / scale,
            "travel": (center - before).norm() / scale,
        }


def score_statistics(term: AdversarialTerm, unseen: AdversarialTerm | None) -> dict[str, Tensor]:
    """Scores of the discriminator of one term."""
    real, fake = (
        per_image(output) for output in (term.discriminate_real(), term.discriminate_fake())
    )
    readings = {"separation": roc_auc(real, fake), "gap": real.mean() - fake.mean()}
    percents = torch.tensor(PERCENTILES, device=real.device) / 100
    for name, scores in (("real", real), ("fake", fake)):
        for percent, value in zip(PERCENTILES, scores.quantile(percents), strict=True):
            readings[f"{name}_p{percent:02}"] = value
    if unseen is not None:
        readings["memory"] = overfitting_ratio(real, per_image(unseen.discriminate_real()), fake)
    return readings


def per_image(output: DiscriminatorOutput) -> Tensor:
    """One score for each sample, ``[B]``: the mean over patches."""
    return output.score.float().reshape(len(output.score), -1).mean(1)
