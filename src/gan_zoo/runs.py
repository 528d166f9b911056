"""Finished runs: from a run folder back to its networks and data."""

from __future__ import annotations

import importlib
import pickle
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from gan_zoo.data.source import Source
from gan_zoo.errors import CompositionError
from gan_zoo.module import GANModule
from gan_zoo.noise import CPU

CHECKPOINTS = ("best", "last")
BUILT = (
    "model",
    "generator",
    "discriminator",
    "loss",
    "regularizer",
    "augment",
    "optim",
    "data",
    "metric",
    "extractor",
)
TRUSTED = tuple(
    f"gan_zoo.{part}." for part in ("games", "networks", "losses", "regularizers", "terms", "data", "metrics")
)
TRUSTED += ("gan_zoo.schedules", "torch.optim.")


@dataclass
class Run:
    """A trained model and where it came from.

    Attributes:
        folder: the run folder, or the checkpoint's own folder.
        checkpoint: the file that was loaded.
        config: the run's config, plain containers.
        module: networks with the checkpoint's weights, in evaluation mode.
    """

    folder: Path
    checkpoint: Path
    config: dict[str, Any]
    module: GANModule

    @cached_property
    def source(self) -> Source:
        """The run's data set, loaded when it is first asked for."""
        from gan_zoo.run import as_config, build_data

        return build_data(as_config(self.config)).source

    @property
    def name(self) -> str:
        """What a title says: the run folder's last two parts."""
        return "/".join(self.folder.resolve().parts[-2:])


def load_run(run: str | Path, checkpoint: str = "best", device: torch.device = CPU, trust: bool = False) -> Run:
    """The trained model of a run folder.

    Args:
        run: a run folder, or a checkpoint file.
        checkpoint: ``best`` or ``last``; ``best`` falls back on ``last`` where nothing was scored.
        device: where the networks go.
        trust: build classes from outside gan_zoo that the run's config names. They run code: only for runs you trust.

    Raises:
        CompositionError: if there is no checkpoint, it is damaged, or its config names what is not trusted.
    """
    from gan_zoo.run import as_config, build_module

    path = find_checkpoint(Path(run), checkpoint)
    try:
        saved = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        config, weights = saved["gan_zoo"]["config"], saved["state_dict"]
    except (OSError, RuntimeError, KeyError, TypeError, EOFError, pickle.UnpicklingError) as error:
        raise CompositionError(f"{path} is damaged or no checkpoint of gan_zoo") from error
    if not trust:
        refuse_foreign([config.get(group) for group in BUILT])
    module = build_module(as_config(config))
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        raise CompositionError(
            f"{path} does not fit the networks of its config: another version of gan_zoo?"
        ) from error
    folder = path.parent.parent if path.parent.name == "checkpoints" else path.parent
    return Run(folder, path, config, module.to(device).eval())


def find_checkpoint(run: Path, checkpoint: str = "best") -> Path:
    """The checkpoint file of a run folder."""
    if checkpoint not in CHECKPOINTS:
        raise CompositionError(f"checkpoint must be one of {', '.join(CHECKPOINTS)}, got {checkpoint!r}")
    if run.is_file():
        return run
    if not run.is_dir():
        raise CompositionError(f"RUN must be a run folder or a checkpoint file, got {str(run)!r}, which does not exist")
    for name in (checkpoint, "last", "best"):
        if (path := run / "checkpoints" / f"{name}.ckpt").is_file():
            return path
    raise CompositionError(f"{run} has no checkpoints/{checkpoint}.ckpt: is it the folder of a run that saved one?")


def refuse_foreign(node: Any) -> None:
    """Raise `CompositionError` if a config that came from a file names code that gan_zoo or torch do not define."""
    if isinstance(node, dict):
        target = node.get("_target_")
        if target is not None and not is_trusted(target):
            raise CompositionError(
                f"the run's config would run {target!r}, which is not part of gan_zoo: add --trust if you trust the run"
            )
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            refuse_foreign(child)


def is_trusted(target: Any) -> bool:
    """Whether ``target`` is a name that a trusted module itself defines: not ``gan_zoo.run.os.system``."""
    if not isinstance(target, str) or not target.startswith(TRUSTED):
        return False
    module, _, name = target.rpartition(".")
    try:
        named = vars(importlib.import_module(module)).get(name)
    except ImportError:
        return False
    return str(getattr(named, "__module__", "")).startswith(TRUSTED)
