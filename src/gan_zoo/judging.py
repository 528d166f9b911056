"""Reals and fakes judged in one pass of the critic, where that says the same and takes less time."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from gan_zoo.networks.minibatch import MinibatchStatistic
from gan_zoo.regularizers.base import BATCH_NORMS
from gan_zoo.types import Critique, Duel, judge

LARGE = 2**17
"""Numbers of the reals from which one pass is no faster than two: ``benchmarks/one_pass.py``."""
MIXING = (*BATCH_NORMS, MinibatchStatistic, nn.modules.dropout._DropoutNd)


def judges_apart(critic: nn.Module) -> bool:
    """Whether what ``critic`` says of a sample depends on that sample alone, however often it is asked.

    A network promises this of its own ``forward`` by ``samples_apart = True``, and that ``aux`` is a tensor ``[B,
    ...]`` or None. It holds unless a layer inside looks at the batch, draws random numbers or changes its weights in
    every pass, as spectral normalisation does.
    """
    promised = getattr(critic, "samples_apart", False) is True
    return promised and not any(isinstance(part, MIXING) or is_parametrized(part) for part in critic.modules())


def judge_both(duel: Duel, together: bool) -> tuple[Critique, Critique]:
    """The critic's views of the reals and of the fakes of ``duel``.

    Args:
        duel: its critic judges.
        together: whether one pass may serve both. It does if they are small, where a pass costs little more for twice
            the samples, and if both conditions are tensors or there are none.
    """
    told = duel.real_condition, duel.fake_condition
    if not together or duel.real.numel() >= LARGE or not (told == (None, None) or all(map(torch.is_tensor, told))):
        return duel.judge_real(), duel.judge_fake()
    condition = None if told == (None, None) else torch.cat(told)
    both = judge(duel.critic, torch.cat([duel.real, duel.fake]), condition)
    features = [_halves(feature) for feature in both.features]
    views = zip((duel.real, duel.fake), _halves(both.score), _halves(both.aux), strict=True)
    real, fake = (
        Critique(score, x, aux, tuple(halves[side] for halves in features))
        for side, (x, score, aux) in enumerate(views)
    )
    return real, fake


def _halves(of_both: Any) -> tuple[Any, Any]:
    """What belongs to the reals, and what to the fakes."""
    if of_both is None:
        return None, None
    both: Tensor = of_both
    real, fake = both.chunk(2)
    return real, fake
