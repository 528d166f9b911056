"""Training the generator on its best samples alone."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, ClassVar

from torch import Tensor

from gan_zoo.core.distributed import gather_over_ranks, world_size
from gan_zoo.core.types import Count, DiscriminatorOutput, Fraction
from gan_zoo.regularizers.base import (
    AdversarialLoss,
    GeneratorLoss,
    GeneratorRegularizer,
)


class TopK(GeneratorRegularizer):
    """The generator's adversarial loss is that of the k samples with the highest scores.

    Sinha et al. 2020 (Top-k training of GANs), algorithm 1: the gradients of samples that the
    discriminator scores low point away from the data. k = ``fraction`` B, rounded up, of the global
    batch, so that it does not depend on the number of processes. It is no penalty: it changes what
    the loss averages over. Patches and packs count by their mean score; where a discriminator has
    several parts, each chooses its own samples.

    The paper lets k fall from B by 0.99 each epoch to B / 2: set ``schedules``.

    Args:
        fraction: the part of the batch that is kept, in (0, 1].
        every: must be 1.

    Raises:
        ValueError: for other values of ``every``.
    """

    needs_high_is_real: ClassVar[bool] = True

    def __init__(self, fraction: Fraction = 0.5, every: Count = 1) -> None:
        super().__init__(every)
        if every != 1:
            raise ValueError(f"regularizer.top_k.every must be 1, got {every}")
        if not 0 < fraction <= 1:
            raise ValueError(f"regularizer.top_k.fraction must be in (0, 1], got {fraction}")
        self.fraction = fraction
        # The best of parts of a batch are not those of the batch.
        self.mean_of_samples = False

    def check_loss(self, loss: AdversarialLoss) -> None:
        if loss.generator_sees_real or not loss.mean_of_samples:
            raise ValueError(
                "regularizer=top_k needs a generator's loss that is a mean over fakes, which"
                f" {type(loss).__name__} is not: use nonsaturating, hinge, lsgan or wgan_gp"
            )

    def generator_loss(self, loss: GeneratorLoss) -> GeneratorLoss:
        def of_the_best(
            fake: DiscriminatorOutput, real: DiscriminatorOutput | None = None
        ) -> Tensor:
            kept, total = self.best(fake.score)
            if not len(kept):
                return 0 * fake.score.sum()

            # Means over processes are of equal weight, so each counts by what it keeps.
            share = len(kept) * world_size() / total
            return share * loss(select_rows(fake, kept), real)

        return of_the_best

    def best(self, score: Tensor) -> tuple[Tensor, int]:
        """The rows of this process among the k best of all, and k."""
        means = score.detach().flatten(1).mean(1) if score.ndim > 1 else score.detach()
        everywhere = gather_over_ranks(means)
        k = math.ceil(self.fraction * len(everywhere))
        lowest = everywhere.topk(k).values[-1]
        kept = (means >= lowest).nonzero().flatten()

        # Equal scores at the threshold may be more than k.
        return kept, int((everywhere >= lowest).sum())


def select_rows(output: DiscriminatorOutput, rows: Tensor) -> DiscriminatorOutput:
    """The output for some of the samples."""
    count = len(output.score)

    # Some fields have no batch, and are kept whole.
    def selected(value: Any) -> Any:
        per_sample = isinstance(value, Tensor) and value.ndim > 0 and len(value) == count
        return value[rows] if per_sample else value

    return replace(
        output,
        score=output.score[rows],
        x=selected(output.x),
        aux=selected(output.aux),
        features=tuple(selected(feature) for feature in output.features),
        condition=selected(output.condition),
    )
