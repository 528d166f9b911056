"""The precisions that training works in."""

from __future__ import annotations

from typing import Any

from gan_zoo.core.errors import ConfigError

PRECISIONS = ("auto", "32", "32-true", "bf16", "bf16-mixed")


def check_precision(precision: Any) -> None:
    """Raise `ConfigError` unless Lightning's ``precision`` works with our steps.

    Scaling the loss, as float16 needs, does not fit two players that step in turns; with weights of
    16 or 64 bits the random numbers, which are drawn in float32, and the averaged generator would
    be of another type than the weights.
    """
    if str(precision) not in PRECISIONS:
        raise ConfigError(
            f"trainer.precision must be auto, 32-true or bf16-mixed, got {precision!r}"
        )
