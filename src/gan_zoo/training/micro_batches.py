"""Gradient accumulation: a step on a large batch, one part after another."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from gan_zoo.core.types import DiscriminatorOutput, TermOutputs
from gan_zoo.losses.base import Loss
from gan_zoo.models.base import Model
from gan_zoo.regularizers.base import GeneratorRegularizer, Regularizer


def merge_outputs(parts: Sequence[Sequence[TermOutputs]]) -> list[TermOutputs]:
    """The outputs of the whole batch from those of its parts: scores, samples and conditions.

    Reals that several terms share stay shared. Features and further heads are left out.
    """
    if len(parts) == 1:
        return list(parts[0])

    # Terms that share their reals in each part share them in the whole batch.
    merged: dict[tuple[int, ...], DiscriminatorOutput] = {}
    outputs = []
    for of_term in zip(*parts, strict=True):
        reals = [output.real for output in of_term if output.real is not None]
        key = tuple(id(real) for real in reals)
        if key not in merged:
            merged[key] = _merged(reals)
        fake = _merged([output.fake for output in of_term])
        outputs.append(replace(of_term[0], real=merged[key], fake=fake))
    return outputs


def _merged(outputs: Sequence[DiscriminatorOutput]) -> DiscriminatorOutput:
    """One output of all samples."""
    return DiscriminatorOutput(
        score=torch.cat([output.score.detach() for output in outputs]),
        x=torch.cat([output.x.detach() for output in outputs]),
        condition=_concatenated([output.condition for output in outputs]),
        parts=tuple(
            _merged(part) for part in zip(*(output.parts for output in outputs), strict=True)
        ),
    )


def _concatenated(conditions: Sequence[Any]) -> Any:
    """Tensors one below the other; None where there are none."""
    tensors = [condition.detach() for condition in conditions if isinstance(condition, Tensor)]
    return torch.cat(tensors) if len(tensors) == len(conditions) else None


def check_accumulate(
    accumulate: int,
    model: Model,
    loss: Loss,
    regularizers: Sequence[Regularizer | GeneratorRegularizer],
) -> None:
    """Raise `ValueError` where a step on the parts of a batch is not one on the batch."""
    if not isinstance(accumulate, int) or accumulate < 1:
        raise ValueError(f"accumulate must be an integer >= 1, got {accumulate!r}")
    if accumulate == 1:
        return

    # Only for means over samples do gradients of parts add up to that of the batch.
    modules = [module for part in (model, loss, *regularizers) for module in part.modules()]
    for part in modules:
        if not getattr(part, "mean_of_samples", True):
            raise ValueError(
                f"accumulate must be 1 with {type(part).__name__}, which is no mean over samples,"
                f" got {accumulate}"
            )
