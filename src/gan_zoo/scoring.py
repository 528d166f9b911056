"""Scores of a module as it is: the one way in training and after it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from gan_zoo.data.source import Source
from gan_zoo.data.stream import asked
from gan_zoo.metrics.base import Evaluator, Generated, Samples, score_all
from gan_zoo.module import GANModule
from gan_zoo.noise import Noise, stable_seed
from gan_zoo.types import Batch, Score

BLOCK_SIZE = 64


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
    scores = score_all(evaluators, samples, source, module.device, module.game.needs)
    shared = {"ema": module.ema is not None, "seed": seed, "world_size": world_size}
    return [Score(score.name, score.value, score.protocol | shared) for score in scores]


def drawer(module: GANModule, source: Source, seed: int) -> Callable[[int], Generated]:
    """What makes block number k of generated samples.

    Games that are told something are asked for what held-out data bring, if there are any, else the data themselves.
    """
    told = source.told() if module.game.needs else None

    def draw(block: int) -> Generated:
        noise = Noise(seed, block, device=module.device)
        batch = Batch(BLOCK_SIZE, noise) if told is None else asked(told, BLOCK_SIZE, noise)
        batch, game = batch.to(module.device), module.game
        return Generated(module.views(batch), batch, game.intent(batch), game.num_intents)

    return draw
