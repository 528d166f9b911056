"""What several processes agree on: averages of scores, gradients and running statistics.

Every function is the identity in a single process.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

# In the messages of gloo and NCCL when another process no longer answers.
LOST_PROCESS = ("gloo/transport", "remote process exited")


def world_size() -> int:
    """Number of processes that train together."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def rank() -> int:
    """This process's number among them."""
    return dist.get_rank() if world_size() > 1 else 0


def is_first_here() -> bool:
    """Whether this is the first process of a run on this machine, the one that prints."""
    return os.environ.get("LOCAL_RANK", "0") == "0"


def is_lost_process(error: BaseException) -> bool:
    """Whether ``error`` says that another process has gone away."""
    return isinstance(error, RuntimeError) and any(text in str(error) for text in LOST_PROCESS)


class _MeanOverRanks(torch.autograd.Function):
    """The mean over processes; its adjoint is the mean over processes, too."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:
        total = value.clone()
        dist.all_reduce(total)
        return total / world_size()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return _MeanOverRanks.forward(ctx, gradient.contiguous())


def mean_over_ranks(value: Tensor) -> Tensor:
    """The mean of ``value`` over processes, differentiable.

    A loss that is not linear in a batch mean (Fisher, relativistic average) calls it on that mean,
    so that the averaged gradients are those of the global batch.
    """
    if world_size() == 1:
        return value
    mean: Tensor = _MeanOverRanks.apply(value)
    return mean


def gather_over_ranks(rows: Tensor) -> Tensor:
    """The rows ``[B, F]`` of every process one below the other, differentiable; every process has
    equally many.
    """
    ranks = world_size()
    if ranks == 1:
        return rows

    # Each process fills in its own rows, and the sum holds the rows of all.
    padded = rows.new_zeros(ranks, *rows.shape).index_add(
        0, torch.tensor([rank()], device=rows.device), rows[None]
    )
    return mean_over_ranks(padded).flatten(0, 1) * ranks


def gather_whole_numbers_over_ranks(rows: Tensor) -> Tensor:
    """The whole numbers ``[B, ...]`` of every process one below the other, equally many of each."""
    if world_size() == 1:
        return rows
    parts = [torch.empty_like(rows) for _ in range(world_size())]
    dist.all_gather(parts, rows.contiguous())
    return torch.cat(parts)


def from_rank_0(tensors: Iterable[Tensor]) -> None:
    """Give every process rank 0's values, in place."""
    if world_size() > 1:
        for tensor in tensors:
            dist.broadcast(tensor, src=0)


def average_gradients(
    parameters: Iterable[nn.Parameter], statistics: Sequence[Tensor] = ()
) -> None:
    """One flat all-reduce of the gradients of the side that is about to step, and of running
    ``statistics``.

    Statistics are averaged so that evaluated and saved networks are the same on every rank. Which
    parameters have a gradient depends on the model and the step alone, hence is the same on every
    rank.
    """
    if world_size() == 1:
        return

    # Everything in one tensor, for a single exchange.
    trained = [p for p in parameters if p.grad is not None]
    flat = torch.cat([*map(_flat_gradient, trained), *(s.reshape(-1) for s in statistics)])
    dist.all_reduce(flat)
    flat /= world_size()

    # The means go back to where the numbers came from.
    means = torch.split(flat, [tensor.numel() for tensor in (*trained, *statistics)])
    # The gradient is a view from now on: nothing is copied.
    for parameter, mean in zip(trained, means, strict=False):
        parameter.grad = mean.to(parameter.dtype).as_strided(parameter.shape, parameter.stride())
    for statistic, mean in zip(statistics, means[len(trained) :], strict=True):
        statistic.copy_(mean.view_as(statistic))


def _flat_gradient(parameter: nn.Parameter) -> Tensor:
    """The gradient's numbers ``[N]`` in the order in which the parameter's lie in memory, without a
    copy if it can be.

    Fused optimizers want gradients with exactly their parameters' strides.
    """
    assert parameter.grad is not None
    gradient = parameter.grad
    if gradient.stride() != parameter.stride():
        gradient = torch.empty_like(parameter, dtype=gradient.dtype).copy_(gradient)
    return gradient.as_strided((gradient.numel(),), (1,))


class CPUProcessGroup:
    """Exchange of small numbers between processes, on the host; created by all of them at once."""

    def __init__(self) -> None:
        alone = world_size() == 1
        # Gloo exchanges numbers on the host, so a group of it is made unless there is one.
        self._group: Any = (
            None if alone or dist.get_backend() == "gloo" else dist.new_group(backend="gloo")
        )

    def max(self, *numbers: float) -> list[float]:
        """The largest of all processes for each of the ``numbers``."""
        if world_size() == 1:
            return list(numbers)
        max = torch.tensor(numbers, dtype=torch.float64)
        dist.all_reduce(max, dist.ReduceOp.MAX, group=self._group)
        return max.tolist()

    def gather(self, value: Any) -> list[Any]:
        """The ``value`` of every process, plain data, by rank."""
        if world_size() == 1:
            return [value]
        values: list[Any] = [None] * world_size()
        dist.all_gather_object(values, value, group=self._group)
        return values
