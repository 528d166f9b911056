"""What ``--help`` says: every group of the config, with one line for each choice, read from the
files themselves.
"""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import yaml

HEAD = """\
usage: python train.py [GROUP=CHOICE ...] [KEY=VALUE ...]        gan-zoo train is the same command

Composes a GAN and trains it. Without arguments: every choice that is marked with * below.

  model=cgan loss=hinge        choose: one of a group's names
  regularizer=[r1,lecam]       several at once: regularizer, metric
  optim.generator.lr=1e-4      set a value; --cfg job prints all of them
  -m loss=hinge,rpgan seed=1,2 a run for each combination
  resume=RUN                   go on with a run, by its own config
  --config-dir DIR             also look for DIR/GROUP/CHOICE.yaml: parts of your own
  --hydra-help                 what else Hydra understands"""
ORDER = (
    "model generator discriminator encoder condition loss regularizer augment reconstruction"
    " classification optim"
)
ORDER += (
    " optim/schedule data data/derive metric extractor trainer callbacks logger launcher debug"
    " experiment"
)
# By a model.
PACKAGE_SUFFIX = {
    name: f"{name}@model.{name}" for name in ("encoder", "reconstruction", "classification")
}
NAME_WIDTH = 23


def is_requested(arguments: Sequence[str]) -> bool:
    """Whether the command asks for help."""
    return bool({"--help", "-h"} & set(arguments))


def render(arguments: Sequence[str], conf: Path) -> str:
    """The whole page for ``conf`` and the folder that ``--config-dir`` names, in the width of the
    terminal.
    """
    folders = [conf, *config_dirs(arguments)]
    width = min(max(shutil.get_terminal_size((100, 24)).columns, 60), 120)
    default = defaults(conf)
    return "\n\n".join(
        [HEAD, *(section(group, folders, default, width) for group in groups(folders))]
    )


def config_dirs(arguments: Sequence[str]) -> list[Path]:
    """The folder given as ``--config-dir DIR``, ``--config-dir=DIR`` or ``-cd DIR``, if one is."""
    words = [word for argument in arguments for word in argument.split("=", 1)]
    return [Path(folder) for flag, folder in pairwise(words) if flag in ("--config-dir", "-cd")]


def groups(folders: Sequence[Path]) -> list[str]:
    """The groups of the config, in the order in which one thinks of them; new ones last."""
    found = {str(file.parent.relative_to(f)) for f in folders for file in f.glob("*/**/[!_]*.yaml")}
    # Machinery behind launcher=.
    found = {group for group in found if not group.startswith("hydra")}
    order = ORDER.split()
    return sorted(
        found, key=lambda group: (order.index(group) if group in order else len(order), group)
    )


def defaults(conf: Path) -> set[str]:
    """What runs without arguments, as ``group=choice``."""
    items = yaml.safe_load((conf / "config.yaml").read_text())["defaults"]  # type: ignore[no-untyped-call]
    pairs = [pair for item in items if isinstance(item, dict) for pair in item.items()]
    return {
        f"{group}={name}"
        for group, names in pairs
        for name in (names if isinstance(names, list) else [names])
    }


def section(group: str, folders: Sequence[Path], default: set[str], width: int) -> str:
    """One group: its name, then its choices, each with what its file says it is."""
    # Files of later folders replace those of the same name.
    files = {file.stem: file for folder in folders for file in (folder / group).glob("[!_]*.yaml")}
    lines = [f"{PACKAGE_SUFFIX.get(group, group)}="]
    for name in sorted(files):
        mark = "*" if f"{group}={name}" in default else " "
        lead = f" {mark} {name + ' ':<{NAME_WIDTH}}"
        line = lead + summary(files[name])
        lines += textwrap.wrap(
            line, width, subsequent_indent=" " * len(lead), break_on_hyphens=False
        )
    return "\n".join(lines)


def summary(file: Path) -> str:
    """The first comment of a config file, without the line that says where its package is."""
    comments = (
        line.removeprefix("#").strip()
        for line in file.read_text(encoding="utf-8").splitlines()
        if line.startswith("#")
    )
    return next((comment for comment in comments if not comment.startswith("@package")), "")
