"""Networks for the length of a block: frozen, in evaluation mode, uncompiled, in full precision."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

import torch
from torch import nn


def full_precision(device: torch.device) -> torch.autocast:
    """Within the block nothing is rounded to bfloat16: in mixed precision networks may be, losses
    may not.
    """
    return torch.autocast(device.type, enabled=False)


@contextmanager
def frozen(networks: nn.Module) -> Iterator[None]:
    """Within the block no gradient is computed for these weights; gradients still flow through them
    to the inputs.
    """
    # Weights that were frozen before stay frozen afterwards.
    trained = [p for p in networks.parameters() if p.requires_grad]
    for parameter in trained:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)


@contextmanager
def evaluation_mode(network: nn.Module, device: torch.device) -> Iterator[None]:
    """Within the block ``network`` on ``device`` does not train: evaluation mode, no gradients,
    full precision.
    """
    # Each module gets its own mode back, which may differ from its parent's.
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        with torch.no_grad(), full_precision(device), uncompiled():
            yield
    finally:
        for module, training in modes.items():
            module.training = training


def uncompiled() -> AbstractContextManager[None]:
    """Within the block compiled networks run eagerly: batches of another size would be compiled
    again.
    """
    stance: AbstractContextManager[None] = torch.compiler.set_stance("force_eager")
    return stance
