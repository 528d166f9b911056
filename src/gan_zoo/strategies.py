"""Several processes without a wrapper around the module."""

from __future__ import annotations

import torch.distributed as dist
from lightning.pytorch.strategies import DDPStrategy


class FlatDDPStrategy(DDPStrategy):
    """Data-parallel training of two players whose gradients `GANModule` averages itself.

    ``DistributedDataParallel`` expects one backward pass in which every parameter takes part. With alternating
    players it fails, or with ``find_unused_parameters`` reduces both players at each backward pass. Here every process
    starts from rank 0's weights, and each player's gradients are averaged once, flat, when it steps.
    """

    def configure_ddp(self) -> None:
        """Give every process the weights and buffers of rank 0, and wrap nothing."""
        assert self.model is not None
        for tensor in self.model.state_dict(keep_vars=True).values():
            dist.broadcast(tensor.detach(), src=0)
