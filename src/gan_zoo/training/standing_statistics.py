"""Statistics of batch normalization for sampling from averaged weights."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from gan_zoo.core.rng import StepRNG, stable_seed
from gan_zoo.core.types import SampleRequest
from gan_zoo.models.base import Model

BATCH_SIZE = 64


def check_standing_statistics(model: Model) -> None:
    """Raise `ValueError` for a model whose samples need more than latents and classes."""
    if model.conditioning not in ("none", "class"):
        raise ValueError(
            "ema.standing_batches needs a model whose samples are of latents and classes,"
            f" {type(model).__name__} is conditioned on more ({model.conditioning}): use 0"
        )


@torch.no_grad()
def set_standing_statistics(
    model: Model, generators: nn.ModuleDict, batches: int, device: torch.device
) -> None:
    """Replace running statistics by means over ``batches`` batches of random samples.

    Brock et al. 2019 (BigGAN), appendix B. Running statistics are those of the weights of training;
    averaged weights have others. The batches are always the same, so that every process and every
    call finds the same statistics.

    Args:
        model: draws latents and classes.
        generators: the networks, in evaluation mode before and after.
        batches: number of batches of 64 samples.
        device: of the networks.
    """
    norms = [module for module in generators.modules() if isinstance(module, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        # None: the mean of all batches alike.
        norm.momentum = None
        norm.training = True
    try:
        for number in range(batches):
            rng = StepRNG(stable_seed(0, "standing statistics"), number, device=device)
            model.sample(SampleRequest(BATCH_SIZE, rng), generators)
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
            norm.training = False
