"""Hydra's sweep syntax as a space to search."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import ChoiceSweep, IntervalSweep, Override, RangeSweep
from hydra.errors import HydraException
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from gan_zoo.core.errors import ConfigError


@dataclass(frozen=True)
class SearchSpace:
    """What is searched over.

    Attributes:
        fixed: overrides that every trial has.
        dimensions: a distribution for each override that is searched over.
    """

    fixed: tuple[str, ...]
    dimensions: dict[str, BaseDistribution]

    def overrides(self, values: dict[str, Any]) -> list[str]:
        """The overrides of a trial with these values."""
        return [*self.fixed, *(f"{key}={value}" for key, value in values.items())]

    def example_overrides(self) -> list[str]:
        """The overrides of some trial."""
        return self.overrides(
            {key: _any_value(distribution) for key, distribution in self.dimensions.items()}
        )

    def to_dict(self) -> dict[str, Any]:
        """Plain data that is equal for equal spaces."""
        return {"fixed": list(self.fixed)} | {
            key: repr(value) for key, value in self.dimensions.items()
        }


def search_space_of(overrides: Sequence[str]) -> SearchSpace:
    """Overrides in Hydra's sweep syntax as a space.

    ``loss=hinge,rpgan`` is a choice, ``loss.n_critic=range(1,6)`` integers,
    ``x=interval(0,1)`` numbers between, ``x=tag(log,interval(1e-5,1e-3))`` the same on a
    logarithmic scale, and anything else is fixed.

    Raises:
        ConfigError: if nothing varies, the seed does, or an override is not understood.
    """
    # Hydra's own parser tells sweeps from plain values.
    try:
        parsed = OverridesParser.create().parse_overrides(list(overrides))
    except HydraException as error:
        raise ConfigError(" ".join(str(error).split())) from error
    lines = list(zip(overrides, parsed, strict=True))
    fixed = tuple(line for line, override in lines if not override.is_sweep_override())
    varied = {
        line.partition("=")[0]: override for line, override in lines if override.is_sweep_override()
    }

    # Something has to vary, but not the seed.
    if not varied:
        raise ConfigError(
            "nothing to search over: give choices like loss=hinge,rpgan or intervals like "
            "'optim.generator.lr=tag(log,interval(1e-5,1e-3))'"
        )
    if "seed" in varied:
        raise ConfigError("seed is nothing to search over: the best seed is luck; give one")
    return SearchSpace(
        fixed, {key: distribution_of(key, override) for key, override in varied.items()}
    )


def distribution_of(key: str, override: Override) -> BaseDistribution:
    """What Optuna draws from for an override that sweeps."""
    # Tags: a logarithmic scale, integers.
    value = override.value()
    tags = set(getattr(value, "tags", ()))
    if unknown := tags - {"log", "int"}:
        raise ConfigError(f"{key}: tags must be log or int, got {', '.join(sorted(unknown))}")
    integers, log = "int" in tags, "log" in tags

    # Optuna checks the bounds itself.
    try:
        if isinstance(value, IntervalSweep):
            assert value.start is not None
            assert value.end is not None
            if integers:
                return IntDistribution(int(value.start), int(value.end), log=log)
            return FloatDistribution(float(value.start), float(value.end), log=log)
        if isinstance(value, RangeSweep):
            return _range_distribution(value)
        if isinstance(value, ChoiceSweep):
            return CategoricalDistribution(list(override.sweep_string_iterator()))
    except ValueError as error:
        raise ConfigError(f"{key}: {error}") from error
    raise ConfigError(
        f"{key}: must be choices, range(...) or interval(...), got {override.input_line}"
    )


def _any_value(distribution: BaseDistribution) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return distribution.choices[0]
    return distribution.low  # type: ignore[attr-defined]


def _range_distribution(sweep: RangeSweep) -> BaseDistribution:
    values = [*sweep.range()]
    if not values:
        raise ConfigError("range(...) is empty")
    if all(isinstance(value, int) for value in values):
        return IntDistribution(min(values), max(values), step=abs(int(sweep.step)))
    return FloatDistribution(float(min(values)), float(max(values)), step=abs(float(sweep.step)))
