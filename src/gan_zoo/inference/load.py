"""Loading models from a run folder, a checkpoint, an export or the hub."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from gan_zoo.config.allowlist import (
    check_kinds,
    check_no_interpolations,
    check_targets,
)
from gan_zoo.core.errors import ConfigError
from gan_zoo.core.files import sha256
from gan_zoo.inference.hub import download, parse_hub_url
from gan_zoo.inference.model import CaptionTokenizer, LoadedModel
from gan_zoo.runs.checkpoint_io import read_checkpoint
from gan_zoo.runs.folder import RunFolder
from gan_zoo.training.module import GANModule

CHECKPOINTS = ("best", "last")
CONFIG_GROUPS = (
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


def best_device(name: str = "auto") -> torch.device:
    """The device called ``name``; ``auto`` is the first GPU, Apple's GPU or the CPU.

    Raises:
        ConfigError: if there is no such device here.
    """
    if name == "auto":
        has_mps = torch.backends.mps.is_available()
        name = "cuda" if torch.cuda.is_available() else "mps" if has_mps else "cpu"
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ConfigError(
            f"--device must be auto, cpu, cuda, cuda:1, ... or mps, got {name!r}, which is not here"
        ) from error
    return device


def load_run(
    run: str | Path,
    checkpoint: str = "best",
    device: torch.device | str = "auto",
    trust: bool = False,
    other_data: bool = False,
) -> LoadedModel:
    """The trained model of a run folder.

    Args:
        run: a run folder, a checkpoint file, the folder of an export, or ``hf://user/name`` for one on the hub.
        checkpoint: ``best`` or ``last``; ``best`` falls back on ``last`` where nothing was evaluated.
        device: where the networks go; ``auto`` is the best there is.
        trust: build classes from outside gan_zoo that the run's config names. They run code: only for runs you trust.
        other_data: use the run's data although the model was trained on others.

    Raises:
        ConfigError: if there is no checkpoint, it is damaged, or its config names what is not trusted.
    """
    device = best_device(device) if isinstance(device, str) else device
    if (name := parse_hub_url(run)) is not None:
        run = download(name)
    run = Path(run).expanduser()
    if (Path(run) / "model.json").is_file():
        return load(run, device, trust)
    path = find_checkpoint(Path(run), checkpoint)
    folder = RunFolder.of_checkpoint(path)
    folder.checkpoints.verify(path)
    saved = read_checkpoint(path)
    config = saved["gan_zoo"]["config"]
    if not isinstance(config, dict):
        raise ConfigError(f"{path} holds no config of gan_zoo, but a {type(config).__name__}")
    try:
        module = build_from_untrusted(config, trust)
    except ConfigError:
        raise
    except Exception as error:  # what a changed config makes constructors raise is not foreseeable
        reason = " ".join(str(error).split())
        raise ConfigError(f"{path} cannot be opened, its config cannot be built: {reason}") from error
    try:
        module.load_state_dict(saved["state_dict"])
    except (RuntimeError, TypeError, AttributeError) as error:
        raise ConfigError(f"{path} does not fit the networks of its config: another version of gan_zoo?") from error
    module.clock.load_state_dict(saved["gan_zoo"]["clock"])
    module.metadata["provenance"] = saved["gan_zoo"]["provenance"]
    identity = saved["gan_zoo"].get("data")
    return LoadedModel(
        folder.path, path, config, module.to(device).eval(), data_identity=identity, other_data=other_data
    )


def build_from_untrusted(config: Mapping[str, Any], trust: bool) -> GANModule:
    """The module that a config from a file describes; `ConfigError` if it names code that is not trusted."""
    from gan_zoo.config.build import build_module
    from gan_zoo.config.compose import from_dict, reach_own_parts
    from gan_zoo.core.paths import CONF

    check_no_interpolations(dict(config))
    remedy = "--trust (in Python trust=True)"
    if trust:
        reach_own_parts(dict(config))
    else:
        check_targets([config.get(group) for group in CONFIG_GROUPS], CONF, remedy)
        for group in ("model", "generator", "discriminator", "encoder", "condition", "loss", "regularizer", "augment"):
            check_kinds(config.get(group), group, remedy)
    try:
        return build_module(from_dict(config))
    except ImportError as error:
        raise ConfigError(f"the run's config names code that is not here: {error}") from error


def find_checkpoint(run: Path, checkpoint: str = "best") -> Path:
    """The checkpoint file of a run folder."""
    if checkpoint not in CHECKPOINTS:
        raise ConfigError(f"checkpoint must be one of {', '.join(CHECKPOINTS)}, got {checkpoint!r}")
    if run.is_file():
        return run
    if not run.is_dir():
        raise ConfigError(f"RUN must be a run folder or a checkpoint file, got {str(run)!r}, which does not exist")
    for name in (checkpoint, "last", "best"):
        if (path := RunFolder(run).checkpoints.pointer(name)).is_file():
            return path
    raise ConfigError(f"{run} has no checkpoints/{checkpoint}.ckpt: is it the folder of a run that saved one?")


FORMAT = 1
MODEL, WEIGHTS = "model.json", "generators.safetensors"


def _check_plain(about: Any) -> None:
    """Raise `TypeError` or `KeyError` where an export's description is not of the form that `export` writes."""
    config = about["config"]
    for group in ("model", "generator", "loss", "optim", "data"):
        if not isinstance(config[group], dict):
            raise TypeError(f"config.{group} must be a mapping, got {config[group]!r}")
    int(about["images_seen"])


def load(folder: str | Path, device: torch.device | str = "auto", trust: bool = False) -> LoadedModel:
    """The generators of an export, ready to sample from; its discriminators are untrained.

    Args:
        folder: what `export` wrote.
        device: where the networks go; ``auto`` is the best there is.
        trust: build classes from outside gan_zoo that the config names. They run code: only for exports you trust.

    Raises:
        ConfigError: if it is no export, damaged, or its config names what is not trusted.
    """
    folder = Path(folder)
    device = best_device(device) if isinstance(device, str) else device
    try:
        about = json.loads((folder / MODEL).read_text())
        config = about["config"]
        weights = folder / WEIGHTS
        if about["format"] != FORMAT or sha256(weights) != about["weights_sha256"]:
            raise ValueError("another format, or weights of another hash")
        state = load_file(weights)
        words = about["words"]
        tokenizer = None if words is None else CaptionTokenizer(tuple(words["vocabulary"]), words["length"])
        classes = tuple(str(name) for name in about["data"].get("classes") or ())
        _check_plain(about)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, SafetensorError) as error:
        raise ConfigError(f"{folder} is damaged or no export of gan_zoo: {error}") from error
    try:
        module = build_from_untrusted(config | {"ema": None, "run_dir": str(folder)}, trust)
    except ConfigError:
        raise
    except Exception as error:  # what a changed config makes constructors raise is not foreseeable
        reason = " ".join(str(error).split())
        raise ConfigError(f"{folder} is no export of gan_zoo: its config cannot be built: {reason}") from error
    try:
        module.model.generators.load_state_dict(state)
    except RuntimeError as error:
        raise ConfigError(f"{folder} does not fit the networks of its config: another version?") from error
    module.clock.images_seen = int(about["images_seen"])
    return LoadedModel(
        folder,
        folder / WEIGHTS,
        config,
        module.to(device).eval(),
        tokenizer,
        may_read=trust,
        exported_classes=classes,
    )
