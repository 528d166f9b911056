"""What the tests of models share: both players' turns without a step, and small players."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import Batch, LossTerms
from gan_zoo.losses.base import Loss
from gan_zoo.models.base import Model
from gan_zoo.networks.image_encoders import MLPEncoder
from gan_zoo.networks.mlp import MLPDiscriminator, MLPGenerator
from gan_zoo.training.modes import frozen
from gan_zoo.training.module import GANModule

SHAPE = [1, 4, 4]
GENERATOR = partial(MLPGenerator, sample_shape=SHAPE, width=16)
CRITIC = partial(MLPDiscriminator, sample_shape=SHAPE, width=16)
ENCODER = partial(MLPEncoder, sample_shape=SHAPE, width=16)


def batch(size: int = 6, step: int = 0, **parts: Any) -> Batch:
    """Fixed images in [-1, 1] with whatever else they come with."""
    return Batch(size, StepRNG(0, step), real=random_images(size, step), **parts)


def random_images(size: int, seed: int = 0) -> Tensor:
    return torch.randn(size, *SHAPE, generator=torch.Generator().manual_seed(seed)).tanh()


def turns(model: Model, data: Batch, loss: Loss) -> tuple[LossTerms, LossTerms]:
    """What the discriminators and what the generators would minimize on ``data``, by name."""
    step = GANModule(model, loss).adversarial
    fakes = model.generate(data)
    terms: LossTerms = {}
    if len(model.discriminators):
        terms, outputs = step.discriminator_terms(data, fakes, 1)
        step.update(outputs, 1)
    with frozen(model.discriminators):
        return terms, step.generator_terms(data, fakes)


def gradients(loss: Tensor, network: nn.Module) -> dict[str, Tensor]:
    """The gradient of each of the network's parameters; zero where ``loss`` does not depend on it."""
    named = dict(network.named_parameters())
    found = torch.autograd.grad(loss, list(named.values()), allow_unused=True, retain_graph=True)
    return {
        name: torch.zeros_like(p) if g is None else g
        for (name, p), g in zip(named.items(), found, strict=True)
    }


def reaches(loss: Tensor, network: nn.Module) -> bool:
    """Whether every parameter of ``network`` has a gradient of ``loss`` that is not zero."""
    return all(bool(gradient.abs().sum() > 0) for gradient in gradients(loss, network).values())
