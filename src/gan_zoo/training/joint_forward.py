"""Reals and fakes judged in one pass of the critic, where that says the same and takes less time."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from gan_zoo.core.types import Critique, Duel, judge
from gan_zoo.networks.layers.minibatch_statistics import MinibatchStatistic

LARGE = 2**17
"""Numbers in a batch of reals from which one pass gains little or nothing: ``benchmarks/one_pass.py``."""
MIXING = (nn.modules.batchnorm._BatchNorm, MinibatchStatistic, nn.modules.dropout._DropoutNd, nn.RReLU)


def judges_apart(critic: nn.Module) -> bool:
    """Whether what ``critic`` says of a sample depends on that sample alone, however often it is asked.

    A class promises this of its own ``forward`` by ``samples_apart = True``, and that ``aux`` is a tensor ``[B, ...]``
    or None; a subclass with another ``forward`` promises anew. It holds unless a layer inside looks at the batch, draws
    random numbers or changes in every pass, as spectral normalisation does.
    """
    return _promises(critic) and not any(map(_mixes_or_changes, critic.modules()))


def _promises(critic: nn.Module) -> bool:
    """Whether the promise is of the ``forward`` that runs, not of one that a subclass replaced."""
    said = next(kind for kind in type(critic).__mro__ if {"samples_apart", "forward"} & vars(kind).keys())
    return vars(said).get("samples_apart") is True


def _mixes_or_changes(layer: nn.Module) -> bool:
    """Whether this layer looks at the batch, draws random numbers, or is another one after a pass."""
    dropout = getattr(layer, "dropout", None)  # of attention and recurrent layers
    draws = isinstance(dropout, (int, float)) and dropout > 0
    changes = is_parametrized(layer) or bool(layer._forward_pre_hooks) or bool(getattr(layer, "track_running_stats", 0))
    return isinstance(layer, MIXING) or draws or changes


def judge_both(duel: Duel, together: bool) -> tuple[Critique, Critique]:
    """The critic's views of the reals and of the fakes of ``duel``.

    Args:
        duel: its critic judges.
        together: whether one pass may serve both. It does if they are equally many and small, where a pass costs little
            more for twice the samples, and if both conditions are tensors or there are none.
    """
    told = [told for told in (duel.real_condition, duel.fake_condition) if told is not None]
    alike = duel.real.shape == duel.fake.shape and len(told) != 1 and all(map(torch.is_tensor, told))
    if not together or not alike or duel.real.numel() >= LARGE:
        return duel.judge_real(), duel.judge_fake()
    condition = torch.cat(told) if told else None
    both = judge(duel.critic, torch.cat([duel.real, duel.fake]), condition)
    features = [_halves(feature) for feature in both.features]
    views = zip((duel.real, duel.fake), _halves(both.score), _halves(both.aux), strict=True)
    real, fake = (
        Critique(score, x, aux, tuple(halves[side] for halves in features))
        for side, (x, score, aux) in enumerate(views)
    )
    real.condition = duel.real_condition
    fake.condition = duel.fake_condition
    return real, fake


def _halves(of_both: Any) -> tuple[Any, Any]:
    """What belongs to the reals, and what to the fakes."""
    if of_both is None:
        return None, None
    both: Tensor = of_both
    real, fake = both.chunk(2)
    return real, fake
