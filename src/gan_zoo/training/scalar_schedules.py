"""Numbers that change with the images seen."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from torch import Tensor
from torch.optim import Optimizer

from gan_zoo.augmentation.base import augmentations
from gan_zoo.core.types import Positive
from gan_zoo.training.optimizers import LR_FACTOR

if TYPE_CHECKING:
    from gan_zoo.training.module import GANModule

KINDS = ("constant", "linear", "cosine", "steps")
OPTIMIZER_VALUE = re.compile(r"optim\.(generator|discriminator)\.(\w+)(?:\[(\d)\])?")


@dataclass(frozen=True)
class ScalarSchedule:
    """A number as a function of the images seen, which does not depend on the run's length.

    Args:
        value: what is scheduled: ``optim.generator.lr``, ``optim.discriminator.betas[1]``,
            ``regularizer.<name>.<argument>``, ``augment.<argument>`` or ``ema.half_life``.
        start: the number at 0 images.
        end: the number from ``until`` images on; for ``constant`` it is not used.
        until: images after which the number stays at ``end``.
        kind: ``constant``; ``linear``; ``cosine``, half a cosine from ``start`` to ``end`` as in
            R3GAN; ``steps``, times ``factor`` at each of ``at`` images.
        at, factor: for ``steps``.
    """

    value: str
    start: float
    end: float | None = None
    until: Positive | None = None
    kind: str = "cosine"
    at: Sequence[float] = field(default=())
    factor: float = 0.5

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"schedules.kind must be one of {', '.join(KINDS)}, got {self.kind!r}")
        if self.kind in ("linear", "cosine") and (self.end is None or self.until is None):
            raise ValueError(
                f"schedules of kind {self.kind} need end and until, got end={self.end},"
                f" until={self.until}"
            )

    def __call__(self, images_seen: int) -> float:
        """The number after ``images_seen`` images."""
        if self.kind == "steps":
            return self.start * self.factor ** sum(images_seen >= step for step in self.at)
        if self.kind == "constant":
            return self.start

        # The way from start to end, on a line or on half a cosine.
        assert self.end is not None
        assert self.until is not None
        progress = min(1.0, images_seen / self.until)
        if self.kind == "cosine":
            progress = 0.5 * (1 - math.cos(math.pi * progress))
        return self.start + (self.end - self.start) * progress


class ScalarSchedules:
    """Sets scheduled numbers of a module before each step: a function of the images seen, so there
    is no state.

    Args:
        schedules: by any name.
    """

    def __init__(self, schedules: Mapping[str, ScalarSchedule] | None = None) -> None:
        self.schedules = list((schedules or {}).values())
        values = [schedule.value for schedule in self.schedules]
        if twice := {value for value in values if values.count(value) > 1}:
            raise ValueError(f"schedules must set each value once, got {sorted(twice)[0]} twice")

    def apply(self, module: GANModule, images_seen: int) -> None:
        """Set all numbers for ``images_seen``."""
        for schedule in self.schedules:
            set_scalar(module, schedule.value, schedule(images_seen))

    def check(self, module: GANModule, optimizers: Mapping[str, Optimizer]) -> None:
        """Raise `ValueError` for a value that the module does not have, or that a schedule of
        progress also sets.
        """
        for schedule in self.schedules:
            if schedule.value.endswith(".lr") and module.rates.schedule is not None:
                raise ValueError(
                    f"schedules sets {schedule.value}, which optim.schedule also sets: use"
                    " optim/schedule=constant"
                )
            # The first number is set at once, which finds names that do not exist.
            set_scalar(module, schedule.value, schedule(0), optimizers)


def set_scalar(
    module: GANModule, name: str, number: float, optimizers: Mapping[str, Optimizer] | None = None
) -> None:
    """Set the number called ``name``.

    Raises:
        ValueError: if there is none of this name.
    """
    # A setting of an optimizer; learning rates keep the factor that divergence lowers.
    if match := OPTIMIZER_VALUE.fullmatch(name):
        side, key, index = match.groups()
        named = optimizers or dict(
            zip(module.parameter_groups(), module.trainer.optimizers, strict=True)
        )
        _set_of_optimizer(
            named[side], key, index, number * (module.rates.lr_scale if key == "lr" else 1.0)
        )
        return

    # The parts that may have the number: of a regularizer there is a copy for each term.
    group, _, rest = name.partition(".")
    owners: list[Any] = []
    if group == "regularizer":
        key, _, rest = rest.partition(".")
        owners = [copies[key] for copies in module.regularizers.values() if key in copies]  # type: ignore[operator, index]
        owners += (
            [module.generator_regularizers[key]] if key in module.generator_regularizers else []
        )
    elif group == "augment":
        owners = list(augmentations(module.model.discriminators))
    elif group == "ema" and module.ema is not None:
        owners = [module.ema]

    # Those of them that do have it.
    owners = [
        owner for owner in owners if isinstance(getattr(owner, rest, None), (int, float, Tensor))
    ]
    if not owners:
        raise ValueError(
            "schedules.value must be optim.<side>.lr, optim.<side>.betas[i],"
            " regularizer.<name>.<argument>, augment.<argument> or ema.half_life of this run, got"
            f" {name!r}"
        )
    for owner in owners:
        current = getattr(owner, rest)
        if isinstance(current, Tensor):
            current.fill_(number)
        else:
            setattr(owner, rest, number)


def _set_of_optimizer(optimizer: Optimizer, key: str, index: str | None, number: float) -> None:
    for group in optimizer.param_groups:
        if key not in group:
            raise ValueError(
                f"schedules: {type(optimizer).__name__} has no {key}, it has"
                f" {', '.join(group)[:80]}"
            )
        if index is None:
            group[key] = number * (group.get(LR_FACTOR, 1.0) if key == "lr" else 1.0)
        else:
            # Such as betas, which are a tuple.
            values = list(group[key])
            values[int(index)] = number
            group[key] = tuple(values)
