"""Which checkpoint a run goes on from, and whether it may."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gan_zoo.core.errors import ConfigError
from gan_zoo.core.nested import first_difference, get_dotted
from gan_zoo.runs.checkpoint_io import read_checkpoint
from gan_zoo.runs.checkpoint_store import CheckpointStore
from gan_zoo.runs.folder import RunFolder
from gan_zoo.runs.overrides import absolute

MUST_MATCH = (
    *(
        "model",
        "generator",
        "discriminator",
        "condition",
        "loss",
        "regularizer",
        "augment",
        "optim",
        "ema",
        "seed",
    ),
    *(
        "pack",
        "data.sample_shape",
        "data.batch_size",
        "data.derive",
        "data.labeled",
        "data.unpaired",
        "data.load_size",
    ),
)


def checkpoint_to_resume(config: Mapping[str, Any]) -> Path | None:
    """The checkpoint of ``resume``, verified and compatible with this config; None to start from
    scratch.

    Args:
        config: the resolved config: ``resume`` is null, ``auto``, a run folder or a checkpoint
            file.

    Raises:
        ConfigError: if it is missing, damaged or of another config, or a fresh start would
            overwrite a run.
    """
    # A folder with checkpoints can only go on from one of them.
    store = RunFolder(config["run_dir"]).checkpoints
    path = _find_checkpoint(config["resume"], store)
    elsewhere = path is None or path.parent.resolve() != store.folder.resolve()
    if elsewhere and store.entries():
        raise ConfigError(
            f"{config['run_dir']} has checkpoints already: go on from them with resume=auto, or"
            " choose another folder"
        )

    # The checkpoint has to be whole, and of a matching config.
    if path is not None:
        CheckpointStore(path.parent).verify(path)
        check_same_config(path, config)
    return path


def _find_checkpoint(resume: str | None, store: CheckpointStore) -> Path | None:
    """The file that ``resume`` names; None for a new run."""
    if resume is None:
        return None
    if resume == "auto":
        return store.latest_valid()

    # A checkpoint file, or the newest good one of a run folder.
    path = Path(resume).expanduser().resolve()
    if path.is_file():
        return path
    if not path.is_dir():
        raise ConfigError(
            "resume must be auto, a run folder or a checkpoint, "
            f"got {resume!r}, which does not exist"
        )
    latest = RunFolder(path).checkpoints.latest_valid()
    if latest is None:
        raise ConfigError(f"resume={resume} has no checkpoints")
    return latest


def check_same_config(checkpoint: Path, config: Mapping[str, Any]) -> None:
    """Raise `ConfigError` if the run of ``checkpoint`` had other values where they must match."""
    saved = read_checkpoint(checkpoint)["gan_zoo"]["config"]
    for name in MUST_MATCH:
        then = get_dotted(saved, name)
        now = get_dotted(config, name)
        if name == "optim":  # a longer run may stretch its schedule
            then = {key: value for key, value in then.items() if key != "horizon"}
            now = {key: value for key, value in now.items() if key != "horizon"}
        if difference := first_difference(then, now, name):
            key, was, is_now = difference
            raise ConfigError(
                f"{checkpoint} cannot be continued with another config: "
                f"{key} was {was}, is {is_now}"
            )


def data_identity(source: Any, root: Any) -> dict[str, Any]:
    """What a checkpoint keeps of its data, to notice other ones: plain values.

    Args:
        source: the data set.
        root: where its files are, if it has any.
    """
    classes = None if source.classes is None else [str(name) for name in source.classes]
    return {
        "name": source.name,
        "root": None if root is None else absolute(str(root)),
        "num_samples": len(source),
        "classes": classes,
        "fingerprint": source.fingerprint,
    }


def check_same_data(saved: Mapping[str, Any] | None, now: Mapping[str, Any], remedy: str) -> None:
    """Raise `ConfigError` if the data are not those that a run was trained on; runs of old kept
    none.

    Args:
        saved, now: by `data_identity`.
        remedy: what to add to the command to use them all the same.
    """
    if saved is None or all(saved[key] == now[key] for key in ("fingerprint", "classes")):
        return

    # Say what has changed, as far as the record shows it.
    words = {"num_samples": "it had {} samples", "classes": "its classes were {}"}
    changes = [text.format(saved[key]) for key, text in words.items() if saved[key] != now[key]]
    where = f"{now['name']}{'' if now['root'] is None else ' in ' + now['root']}"
    was = "; ".join(changes) or "its samples were others"
    if saved["root"] != now["root"]:
        was += f"; it was in {saved['root']}"
    raise ConfigError(
        f"data={where} is not what the run was trained on: {was}; to use it: {remedy}"
    )
