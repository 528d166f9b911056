"""Every key of the config with values that make no sense: what is accepted is accepted on purpose."""

from __future__ import annotations

import contextlib
import io
import math
from pathlib import Path
from typing import Any

import pytest
from omegaconf import DictConfig, OmegaConf

from gan_zoo.config.build import build
from gan_zoo.core.errors import ConfigError, DataError

BASE = (
    *(
        "model=gan",
        "data=ring",
        "metric=none",
        "regularizer=[r1,lecam]",
        "optim/schedule=linear",
        "logger=csv",
    ),
    *("generator.width=8", "discriminator.width=8", "data.batch_size=8", "trainer.max_steps=4"),
)
VALUES: tuple[Any, ...] = (
    -1,
    0,
    0.5,
    -0.5,
    1e12,
    math.nan,
    math.inf,
    "",
    "x",
    True,
    None,
    [],
    {},
    [1, 2],
    "../x",
)
NONSENSE = ("nan", "inf")
"""No number of a config may be any of these."""
NEGATIVE_ON_PURPOSE = {
    "callbacks.checkpoints.seed": "seeds are any integer",
    "callbacks.doctor.seed": "seeds are any integer",
    "callbacks.evaluation.seed": "seeds are any integer",
    "callbacks.samples.seed": "seeds are any integer",
    "trainer.devices": "-1 means all of them",
    "trainer.max_steps": "-1 means without end",
}
LEFT_ALONE = (
    "launcher",
    "debug",
    "experiment",
    "run_dir",
    "hydra",
    "tags",
    "data.sample_shape",
    "data.source",
)


def leaves(node: object, name: str = "") -> list[str]:
    if isinstance(node, dict):
        return [
            key for k, v in node.items() for key in leaves(v, f"{name}.{k}" if name else str(k))
        ]
    return [name]


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_every_key_with_values_that_make_no_sense(composed, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    base: DictConfig = composed(*BASE)
    plain = OmegaConf.to_container(base, resolve=True, throw_on_missing=False)
    tries, tracebacks, nonsense = 0, [], []
    for key in (
        key for key in leaves(plain) if not key.startswith(LEFT_ALONE) and "_target_" not in key
    ):
        before = OmegaConf.select(base, key)
        for value in VALUES:
            config = base.copy()
            OmegaConf.set_struct(config, False)
            with contextlib.suppress(Exception):  # what OmegaConf itself does not take
                OmegaConf.update(config, key, value, merge=False)
            tries += 1
            try:
                with (
                    contextlib.redirect_stdout(io.StringIO()),
                    contextlib.redirect_stderr(io.StringIO()),
                ):
                    build(config)
            except (
                ConfigError,
                DataError,
                ValueError,
                TypeError,
                OSError,
                OverflowError,
                MemoryError,
            ) as error:
                tracebacks += [] if str(error) else [f"{key}={value!r}: an error without words"]
                continue
            except Exception as error:
                tracebacks.append(f"{key}={value!r}: {type(error).__name__}: {error}")
                continue
            is_number = isinstance(before, (int, float)) and not isinstance(before, bool)
            is_negative = (
                isinstance(value, (int, float)) and not isinstance(value, bool) and value < 0
            )
            if is_number and (
                str(value) in NONSENSE or (is_negative and key not in NEGATIVE_ON_PURPOSE)
            ):
                nonsense.append(f"{key}={value!r}")
    assert tries > 1000
    assert not tracebacks, "\n".join(tracebacks)
    assert not nonsense, "\n".join(nonsense)
