"""What a model or data set chooses along with itself, unless the command says otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import yaml

from gan_zoo.core.paths import CONF
from gan_zoo.runs.overrides import override_key, split_flags

GROUPS = ("data", "model")


def with_suggestions(arguments: Sequence[str]) -> list[str]:
    """The command line with the ``suggests:`` of its data and its model: ``data=table`` alone means
    ``model=ctgan``, and that ``loss=wgan_gp``. Without either, those of ``config.yaml``.

    A suggestion is left out if the command sets the same key, or the group that it is in. So are
    all of them for a run that is resumed, whose choices are recorded, and for an experiment, which
    makes its own.
    """
    overrides, flags = split_flags(arguments)
    keys = {override_key(override) for override in overrides}
    resumed = {o.partition("=")[2] for o in overrides if o.startswith("resume=")}
    if resumed - {"auto", "null"} or "experiment" in keys:
        return list(arguments)

    def wanted(suggestion: str) -> bool:
        key = override_key(suggestion)
        return key not in keys and key.partition(".")[0] not in keys

    # Data come first, as they may choose the model.
    if not keys & {*GROUPS}:
        return [*flags, *filter(wanted, _suggestions_in(CONF / "config.yaml")), *overrides]
    added: list[str] = []
    for group in GROUPS:
        added += filter(wanted, _suggestions_of(group, [*overrides, *added]))
    return [*flags, *added, *overrides]


def _suggestions_of(group: str, overrides: Sequence[str]) -> list[str]:
    """The suggestions of the last choice of ``group`` among these overrides."""
    choices = [o.partition("=")[2] for o in overrides if o.partition("=")[0] == group]
    return _suggestions_in(CONF / group / f"{choices[-1] if choices else ''}.yaml")


def _suggestions_in(file: Path) -> list[str]:
    if not file.is_file():
        return []
    content = yaml.safe_load(file.read_text(encoding="utf-8"))  # type: ignore[no-untyped-call]
    return [str(suggestion) for suggestion in content.get("suggests", [])]
