"""The optimizers of both sides."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import torch
from torch import nn
from torch.optim import Optimizer

from gan_zoo.core.types import Count, Positive, Weight
from gan_zoo.models.base import Model

REFERENCE_WIDTH = 768
LR_FACTOR = "lr_factor"
"""In a group of parameters: its learning rate as a multiple of the one in the config."""
OptimizerFactory = Callable[[Sequence[nn.Parameter]], Optimizer]


def adam(parameters: Sequence[nn.Parameter]) -> Optimizer:
    """Adam as in DCGAN: 2e-4 with betas (0.5, 0.999)."""
    return torch.optim.Adam(parameters, lr=2e-4, betas=(0.5, 0.999), fused=True)


def adamw_by_width(
    parameters: Sequence[nn.Parameter],
    width: Count,
    lr: Positive = 2e-4,
    betas: tuple[float, float] = (0.0, 0.99),
    weight_decay: Weight = 0.0,
) -> Optimizer:
    """AdamW whose learning rate falls with the width of a transformer: ``lr`` 768 / ``width``
    (GAT, Hyun et al. 2025).

    Args:
        parameters: of one side.
        width: size of its tokens.
        lr: the learning rate at width 768.
        betas, weight_decay: of AdamW.
    """
    factor = REFERENCE_WIDTH / width
    groups = [{"params": list(parameters), LR_FACTOR: factor}]
    return torch.optim.AdamW(
        groups, lr=lr * factor, betas=betas, weight_decay=weight_decay, fused=True
    )


def trained_parameters(model: Model) -> dict[str, list[nn.Parameter]]:
    """The parameters that each side trains: ``discriminator``, if there are any, then
    ``generator``.
    """
    sides = {"discriminator": model.discriminators, "generator": model.generators}
    groups = {}
    for name, networks in sides.items():
        parameters = [p for p in networks.parameters() if p.requires_grad]
        # Torch refuses an optimizer of nothing.
        if parameters:
            groups[name] = parameters
    return groups


def make_optimizers(
    groups: Mapping[str, Sequence[nn.Parameter]], factories: Mapping[str, OptimizerFactory]
) -> list[Optimizer]:
    """An optimizer for each side, in order; schedules find the first learning rate as
    ``initial_lr``.

    Raises:
        ValueError: naming the optimizer that cannot be made.
    """
    optimizers = []
    for name, parameters in groups.items():
        try:
            optimizers.append(factories[name](parameters))
        except ValueError as error:
            raise ValueError(f"optim.{name}: {error}") from error

    # Schedules multiply the first rate, whatever it is changed to later.
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group.setdefault("initial_lr", group["lr"])
    return optimizers
