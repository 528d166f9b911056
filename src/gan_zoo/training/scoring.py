"""Evaluation of a module: the same function in training and after it."""

from __future__ import annotations

from collections.abc import Mapping

from gan_zoo.core.rng import stable_seed
from gan_zoo.data.dataset import Source
from gan_zoo.metrics.base import EvaluatedModel, Evaluator, MetricResult, Samples, evaluate_all
from gan_zoo.training.modes import evaluation_mode
from gan_zoo.training.module import GANModule
from gan_zoo.training.requests import BLOCK_SIZE, sample_blocks


def evaluate_generator(
    module: GANModule,
    source: Source,
    evaluators: Mapping[str, Evaluator],
    seed: int,
    rank: int = 0,
    world_size: int = 1,
) -> list[MetricResult]:
    """The metrics of the inference generators against ``source``, each with its complete protocol.

    Sample i depends on ``seed`` and i alone, on any number of processes; all of them take part.

    Args:
        module: on the device to evaluate on.
        source: the real data.
        evaluators: compute the metrics, by name.
        seed: the run's seed.
        rank, world_size: this process's place.
    """
    count = max((evaluator.num_samples for evaluator in evaluators.values()), default=0)
    blocks = sample_blocks(module, source, stable_seed(seed, "evaluation"))
    samples = Samples(blocks, count, BLOCK_SIZE, rank, world_size)
    networks = module.model.discriminators
    with evaluation_mode(networks, module.device), module.inference_mode() as generators:
        model = EvaluatedModel(module.model, generators)
        results = evaluate_all(evaluators, samples, source, module.device, model)

    # What all metrics of this evaluation have in common.
    shared = {"ema": module.ema is not None, "seed": seed, "world_size": world_size}
    if module.ema is not None and module.ema.standing_batches:
        shared["standing_batches"] = module.ema.standing_batches
    return [MetricResult(result.name, result.value, result.protocol | shared) for result in results]
