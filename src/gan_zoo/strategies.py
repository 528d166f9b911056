"""Several processes without a wrapper around the module."""

from __future__ import annotations

import os
from typing import Any

import torch.distributed as dist
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import DDPStrategy


class FlatDDPStrategy(DDPStrategy):
    """Data-parallel training of two players whose gradients `GANModule` averages itself.

    ``DistributedDataParallel`` expects one backward pass in which every parameter takes part. With alternating
    players it fails, or with ``find_unused_parameters`` reduces both players at each backward pass. Here every process
    starts from rank 0's weights, and each player's gradients are averaged once, flat, when it steps.

    Args:
        gloo_interface: the network interface that gloo uses unless the environment names one (``lo`` on a machine
            without a network).
        options: further arguments of `lightning.pytorch.strategies.DDPStrategy`.
    """

    def __init__(self, gloo_interface: str | None = None, **options: Any) -> None:
        super().__init__(**options)
        if gloo_interface is not None:
            os.environ.setdefault("GLOO_SOCKET_IFNAME", gloo_interface)

    def configure_ddp(self) -> None:
        """Give every process the weights and buffers of rank 0, and wrap nothing."""
        assert self.model is not None
        for tensor in self.model.state_dict(keep_vars=True).values():
            dist.broadcast(tensor.detach(), src=0)


def is_child_of_lightning(trainer: Trainer) -> bool:
    """Whether this process was started by rank 0, not by torchrun or a scheduler."""
    environment = getattr(trainer.strategy, "cluster_environment", None)
    return isinstance(environment, LightningEnvironment) and trainer.local_rank > 0
