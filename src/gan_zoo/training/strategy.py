"""Several processes without a wrapper around the module."""

from __future__ import annotations

import os
import sys
from typing import Any

import torch
import torch.distributed as dist
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.pytorch import Trainer
from lightning.pytorch.strategies import DDPStrategy

from gan_zoo.training.cpu_affinity import allowed_cores, keep_to, share


class FlatDDPStrategy(DDPStrategy):
    """Data-parallel training of two players whose gradients `GANModule` averages itself.

    ``DistributedDataParallel`` expects one backward pass in which every parameter takes part. With
    alternating players it fails, or with ``find_unused_parameters`` reduces both players at each
    backward pass. Here every process starts from rank 0's weights, and each player's gradients are
    averaged once, flat, when it steps. Processes that were started here to train on a CPU keep to
    cores of their own: one that moves to another's makes all of them wait.

    Args:
        gloo_interface: the network interface that gloo uses unless the environment names one; None
            for the loopback where processes on one machine train on its CPU.
        options: further arguments of `lightning.pytorch.strategies.DDPStrategy`.
    """

    def __init__(self, gloo_interface: str | None = None, **options: Any) -> None:
        super().__init__(**options)
        self.gloo_interface = gloo_interface
        self.all_cores: list[int] = []

    def setup_environment(self) -> None:
        """Meet the other processes, on this one's own cores."""
        interface = self.gloo_interface
        if interface is None and self.root_device.type == "cpu" and self.num_nodes == 1:
            # There may be no other without a network.
            interface = "lo0" if sys.platform == "darwin" else "lo"
        if interface is not None:
            os.environ.setdefault("GLOO_SOCKET_IFNAME", interface)

        # Processes that were started here to train on a CPU keep to cores of their own.
        if self.root_device.type == "cpu" and isinstance(
            self.cluster_environment, LightningEnvironment
        ):
            self.all_cores = allowed_cores()
            keep_to(share(self.all_cores, self.local_rank, self.num_processes))
        super().setup_environment()

    def teardown(self) -> None:
        """Leave the cores to everyone again."""
        super().teardown()
        keep_to(self.all_cores)

    def configure_ddp(self) -> None:
        """Give every process the weights and buffers of rank 0, and wrap nothing."""
        assert self.model is not None
        for value in self.model.state_dict(keep_vars=True).values():
            if isinstance(value, torch.Tensor):  # a network may keep plain numbers there, too
                dist.broadcast(value.detach(), src=0)


def is_child_of_lightning(trainer: Trainer) -> bool:
    """Whether this process was started by rank 0, not by torchrun or a scheduler."""
    environment = getattr(trainer.strategy, "cluster_environment", None)
    return isinstance(environment, LightningEnvironment) and trainer.local_rank > 0
