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
MODEL_GROUPS = (
    *("model", "generator", "discriminator", "encoder", "condition"),
    *("loss", "regularizer", "augment"),
)
DAMAGED = (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError)
"""What reading a damaged file raises."""


def best_device(name: str = "auto") -> torch.device:
    """The device called ``name``; ``auto`` is the first GPU, Apple's GPU or the CPU.

    Raises:
        ConfigError: if there is no such device here.
    """
    if name == "auto":
        has_mps = torch.backends.mps.is_available()
        name = "cuda" if torch.cuda.is_available() else "mps" if has_mps else "cpu"

    # Only making a tensor shows whether the device is here.
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
        run: a run folder, a checkpoint file, the folder of an export, or ``hf://user/name`` for one
            on the hub.
        checkpoint: ``best`` or ``last``; ``best`` falls back on ``last`` where nothing was
            evaluated.
        device: where the networks go; ``auto`` is the best there is.
        trust: build classes from outside gan_zoo that the run's config names. They run code: only
            for runs you trust.
        other_data: use the run's data although the model was trained on others.

    Raises:
        ConfigError: if there is no checkpoint, it is damaged, or its config names what is not
            trusted.
    """
    # An export, from the Hub or this machine, is read in its own way.
    device = best_device(device) if isinstance(device, str) else device
    if (name := parse_hub_url(run)) is not None:
        run = download(name)
    run = Path(run).expanduser()
    if (Path(run) / "model.json").is_file():
        return load(run, device, trust)

    # The checkpoint, as the run wrote it.
    path = find_checkpoint(Path(run), checkpoint)
    folder = RunFolder.of_checkpoint(path)
    folder.checkpoints.verify(path)
    saved = read_checkpoint(path)
    about = saved["gan_zoo"]
    config = about["config"]
    if not isinstance(config, dict):
        raise ConfigError(f"{path} holds no config of gan_zoo, but a {type(config).__name__}")

    # The module of its config, with its weights.
    module = build_from_untrusted(config, trust, str(path))
    load_weights(module, saved["state_dict"], str(path))
    module.clock.load_state_dict(about["clock"])
    module.metadata["provenance"] = about["provenance"]
    module.to(device).eval()
    return LoadedModel(
        folder.path, path, config, module, data_identity=about.get("data"), other_data=other_data
    )


def build_from_untrusted(config: Mapping[str, Any], trust: bool, place: str) -> GANModule:
    """The module that a config from the file ``place`` describes.

    Raises:
        ConfigError: if it names code that is not trusted, or cannot be built.
    """
    from gan_zoo.config.build import build_module
    from gan_zoo.config.compose import from_dict, reach_own_parts
    from gan_zoo.core.paths import CONF

    # Nothing is resolved or built that the file should not name.
    check_no_interpolations(dict(config))
    remedy = "--trust (in Python trust=True)"
    if trust:
        reach_own_parts(dict(config))
    else:
        check_targets([config.get(group) for group in CONFIG_GROUPS], CONF, remedy)
        for group in MODEL_GROUPS:
            check_kinds(config.get(group), group, remedy)

    # Whatever fails now is due to the config.
    try:
        return build_module(from_dict(config))
    except ConfigError:
        raise
    except ImportError as error:
        raise ConfigError(f"the run's config names code that is not here: {error}") from error
    except Exception as error:  # what a changed config makes constructors raise is not foreseeable
        reason = " ".join(str(error).split())
        message = f"{place} cannot be opened, its config cannot be built: {reason}"
        raise ConfigError(message) from error


def load_weights(module: torch.nn.Module, state: Any, place: str) -> None:
    """Load the weights of the file ``place``; `ConfigError` if they are those of other networks."""
    try:
        module.load_state_dict(state)
    except (RuntimeError, TypeError, AttributeError) as error:
        raise ConfigError(
            f"{place} does not fit the networks of its config: another version of gan_zoo?"
        ) from error


def find_checkpoint(run: Path, checkpoint: str = "best") -> Path:
    """The checkpoint file of a run folder."""
    if checkpoint not in CHECKPOINTS:
        raise ConfigError(f"checkpoint must be one of {', '.join(CHECKPOINTS)}, got {checkpoint!r}")
    if run.is_file():
        return run
    if not run.is_dir():
        raise ConfigError(
            f"RUN must be a run folder or a checkpoint file, got {str(run)!r}, which does not exist"
        )

    # Without the chosen checkpoint, the newest or the best one will do.
    for name in (checkpoint, "last", "best"):
        if (path := RunFolder(run).checkpoints.pointer(name)).is_file():
            return path
    raise ConfigError(
        f"{run} has no checkpoints/{checkpoint}.ckpt: is it the folder of a run that saved one?"
    )


FORMAT = 1
MODEL, WEIGHTS = "model.json", "generators.safetensors"


def _check_plain(about: Any) -> None:
    """Raise `TypeError` or `KeyError` where an export's description is not of the form that
    `export` writes.
    """
    config = about["config"]
    for group in ("model", "generator", "loss", "optim", "data"):
        if not isinstance(config[group], dict):
            raise TypeError(f"config.{group} must be a mapping, got {config[group]!r}")
    int(about["images_seen"])
    _tokenizer(about)
    _classes(about)


def _tokenizer(about: Mapping[str, Any]) -> CaptionTokenizer | None:
    """The words that captions are encoded with, if an export holds some."""
    words = about["words"]
    if words is None:
        return None
    return CaptionTokenizer(tuple(words["vocabulary"]), words["length"])


def _classes(about: Mapping[str, Any]) -> tuple[str, ...]:
    """The names of an export's classes."""
    return tuple(str(name) for name in about["data"].get("classes") or ())


def load(
    folder: str | Path, device: torch.device | str = "auto", trust: bool = False
) -> LoadedModel:
    """The generators of an export, ready to sample from; its discriminators are untrained.

    Args:
        folder: what `export` wrote.
        device: where the networks go; ``auto`` is the best there is.
        trust: build classes from outside gan_zoo that the config names. They run code: only for
            exports you trust.

    Raises:
        ConfigError: if it is no export, damaged, or its config names what is not trusted.
    """
    folder = Path(folder)
    weights = folder / WEIGHTS
    device = best_device(device) if isinstance(device, str) else device

    # The files, as they were written.
    try:
        about = json.loads((folder / MODEL).read_text())
        _check_plain(about)
        if about["format"] != FORMAT or sha256(weights) != about["weights_sha256"]:
            raise ValueError("another format, or weights of another hash")
        state = load_file(weights)
    except (*DAMAGED, SafetensorError) as error:
        raise ConfigError(f"{folder} is damaged or no export of gan_zoo: {error}") from error

    # The module of its config, with the generators' weights.
    config = about["config"]
    own = config | {"ema": None, "run_dir": str(folder)}
    module = build_from_untrusted(own, trust, str(folder))
    load_weights(module.model.generators, state, str(folder))
    module.clock.images_seen = int(about["images_seen"])
    module.to(device).eval()
    return LoadedModel(
        folder,
        weights,
        config,
        module,
        _tokenizer(about),
        may_read=trust,
        exported_classes=_classes(about),
    )
