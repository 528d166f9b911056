"""Helpers of the conformance tests: losses and regularizers found in ``conf``, discriminators, outputs made by hand."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from gan_zoo.core.types import AdversarialTerm, DiscriminatorOutput
from gan_zoo.losses.base import Loss
from gan_zoo.losses.began import BEGAN
from gan_zoo.losses.f_gan import DIVERGENCES, FGAN
from gan_zoo.losses.fisher import Fisher
from gan_zoo.losses.least_squares import LeastSquares
from gan_zoo.losses.loss_sensitive import LossSensitive
from gan_zoo.networks.layers.heads import Heads
from gan_zoo.regularizers.apa import AdaptivePseudoAugmentation
from gan_zoo.regularizers.base import GeneratorRegularizer, Regularizer

CONF = Path(__file__).parents[2] / "conf"


def _presets(group: str) -> dict[str, DictConfig]:
    return {path.stem: OmegaConf.load(path) for path in sorted((CONF / group).glob("*.yaml"))}  # type: ignore[misc]


def _loss(preset: DictConfig) -> Callable[[], Loss]:
    node = preset.get("adversarial") or preset.loss.adversarial
    return lambda: instantiate(node, _convert_="all")


LOSSES: dict[str, Callable[[], Loss]] = {
    name: _loss(preset)
    for name, preset in _presets("loss").items()
    if name != "multi_hinge"  # of scores of classes: see tests/models/test_class_heads.py
}
LOSSES |= {f"fgan-{name}": lambda name=name: FGAN(name, practical=False) for name in DIVERGENCES}
LOSSES |= {f"fgan-{name}-practical": lambda name=name: FGAN(name) for name in DIVERGENCES}
LOSSES |= {
    "lsgan-pearson": lambda: LeastSquares(-1.0, 1.0, 0.0),
    "glsgan": lambda: LossSensitive(0.1, 0.2, -0.5),
    "fisher-firm": lambda: Fisher(rho=0.5),  # with the usual rho the moments hardly count
    "began-fast": lambda: BEGAN(rate=0.5),
}

_ALL: dict[str, Callable[[], Any]] = {
    name: lambda preset=preset: instantiate(preset, _convert_="all")
    for name, preset in _presets("regularizer").items()
}
REGULARIZERS: dict[str, Callable[[], Regularizer]] = {
    name: make for name, make in _ALL.items() if isinstance(make(), Regularizer)
}
GENERATOR_REGULARIZERS: dict[str, Callable[[], GeneratorRegularizer]] = {
    name: make for name, make in _ALL.items() if name not in REGULARIZERS
}


def _fast_apa() -> AdaptivePseudoAugmentation:
    """Its probability moves by 1/100 for each image, up or down from 1/2."""
    regularizer = AdaptivePseudoAugmentation(images_to_full=100, interval=1)
    regularizer.p.fill_(0.5)
    return regularizer


REGULARIZERS["apa-fast"] = _fast_apa


def critique(
    score: Tensor, x: Tensor | None = None, code: Tensor | None = None
) -> DiscriminatorOutput:
    """A summary made by hand. Samples and codes, if not given, are fixed images and vectors of the right number."""
    size = len(score)
    ramp = torch.arange(size * 8.0, dtype=score.dtype).reshape(size, 2, 2, 2)
    x = ramp.cos() if x is None else x
    code = (ramp + 1.0).sin().flatten(1) if code is None else code
    return DiscriminatorOutput(score=score, x=x, features=(code,))


def gradients(loss: Tensor, *inputs: Tensor) -> list[Tensor]:
    """Gradients of ``loss``, zero where it does not depend on an input."""
    found = torch.autograd.grad(loss, inputs, allow_unused=True)
    return [torch.zeros_like(i) if g is None else g for i, g in zip(inputs, found, strict=True)]


class LinearCritic(nn.Module):
    """D(x) = w . x, one score for each sample of any shape."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        return (x * self.weight).flatten(1).sum(1)


class QuadraticCritic(nn.Module):
    """D(x) = 1/2 sum a x^2, whose gradient is a x."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, x: Tensor, condition: Any = None) -> Tensor:
        return 0.5 * (self.weight * x.square()).flatten(1).sum(1)


class CodedCritic(nn.Module):
    """A small smooth discriminator that also outputs a code for each sample."""

    energy = True

    def __init__(self, dimensions: int) -> None:
        super().__init__()
        self.encode, self.decide = nn.Linear(dimensions, 5), nn.Linear(5, 1)

    def forward(self, x: Tensor, condition: Any = None) -> DiscriminatorOutput:
        code = self.encode(x.flatten(1)).tanh()
        return DiscriminatorOutput(score=self.decide(code).flatten(), x=x, features=(code,))


class SlicedCritic(nn.Module):
    """A small discriminator whose last layer is sliced."""

    def __init__(self, dimensions: int) -> None:
        super().__init__()
        self.encode, self.heads = nn.Linear(dimensions, 5), Heads([5], norm="sliced+none")

    def forward(self, x: Tensor, condition: Any = None) -> DiscriminatorOutput:
        return self.heads(self.encode(x.flatten(1)).tanh(), x)


class PixelCritic(nn.Module):
    """A small discriminator that scores images and pixels."""

    scores_pixels = True

    def __init__(self, dimensions: int) -> None:
        super().__init__()
        self.decide = nn.Linear(dimensions, 1)
        self.weight = nn.Parameter(torch.tensor(0.7))

    def forward(self, x: Tensor, condition: Any = None) -> DiscriminatorOutput:
        image = DiscriminatorOutput(self.decide(x.flatten(1)).flatten().tanh(), x)
        pixels = DiscriminatorOutput(
            (self.weight * x.mean(1)).tanh() + image.score[:, None, None], x
        )
        scores = torch.cat([image.score[:, None], pixels.score.flatten(1)], 1)
        return DiscriminatorOutput(scores, x, parts=(image, pixels))


OWN_CRITICS = {"san": SlicedCritic, "cutmix": PixelCritic}
"""Discriminators for regularizers that need a certain kind."""


def duel_of(discriminator: nn.Module, real: Tensor, fake: Tensor) -> AdversarialTerm:
    """A term whose samples are leaves, so that every kind of penalty can be computed."""
    return AdversarialTerm("adversarial", discriminator, real, fake).with_input_gradients(
        real=True, fake=True
    )
