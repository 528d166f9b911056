"""Scores of a module as it is: the one way in training and after it."""

from __future__ import annotations

from collections.abc import Mapping

from gan_zoo.core.rng import stable_seed
from gan_zoo.data.dataset import Source
from gan_zoo.metrics.base import Evaluator, Samples, Score, score_all
from gan_zoo.training.module import GANModule
from gan_zoo.training.requests import BLOCK_SIZE, drawer


def score_module(
    module: GANModule,
    source: Source,
    evaluators: Mapping[str, Evaluator],
    seed: int,
    rank: int = 0,
    world_size: int = 1,
) -> list[Score]:
    """The scores of the sampling generators against ``source``, each with its protocol completed.

    Sample i depends on ``seed`` and i alone, whatever the number of processes; all of them take part.

    Args:
        module: on the device where the work is done.
        source: the real data.
        evaluators: compute the scores, by name.
        seed: the run's seed.
        rank, world_size: this process's place.
    """
    count = max((evaluator.num_samples for evaluator in evaluators.values()), default=0)
    samples = Samples(drawer(module, source, stable_seed(seed, "evaluation")), count, BLOCK_SIZE, rank, world_size)
    scores = score_all(evaluators, samples, source, module.device, module.model.needs)
    shared = {"ema": module.ema is not None, "seed": seed, "world_size": world_size}
    return [Score(score.name, score.value, score.protocol | shared) for score in scores]
