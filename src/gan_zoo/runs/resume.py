"""Which checkpoint a run goes on from, and whether it may."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gan_zoo.core.errors import ConfigError
from gan_zoo.core.nested import first_difference, get_dotted
from gan_zoo.runs.checkpoint_io import read_checkpoint
from gan_zoo.runs.overrides import absolute

MUST_MATCH = (
    *("model", "generator", "discriminator", "condition", "loss", "regularizer", "augment", "optim", "ema", "seed"),
    *("pack", "data.sample_shape", "data.batch_size", "data.derive", "data.labeled", "data.unpaired"),
)


def checkpoint_to_resume(config: Mapping[str, Any]) -> Path | None:
    """The checkpoint of ``resume``, verified and compatible with this config; None to start from scratch.

    Args:
        config: the resolved config: ``resume`` is null, ``auto``, a run folder or a checkpoint file.

    Raises:
        ConfigError: if it is missing, damaged or of another config, or a fresh start would overwrite a run.
    """
    from gan_zoo.runs.checkpoint_store import CheckpointStore
    from gan_zoo.runs.folder import RunFolder

    resume = config["resume"]
    store = RunFolder(config["run_dir"]).checkpoints
    if resume is None:
        if store.entries():
            raise ConfigError(
                f"{config['run_dir']} has checkpoints already: go on from them with resume=auto, or choose another "
                "folder"
            )
        return None
    path: Path | None = Path(resume).expanduser().resolve()
    assert path is not None
    if resume == "auto":
        path = store.latest_valid()
    elif path.is_dir():
        path = RunFolder(path).checkpoints.latest_valid()
        if path is None:
            raise ConfigError(f"resume={resume} has no checkpoints")
    elif not path.is_file():
        raise ConfigError(f"resume must be auto, a run folder or a checkpoint, got {resume!r}, which does not exist")
    if path is not None and path.parent.resolve() != store.folder.resolve() and store.entries():
        raise ConfigError(f"{config['run_dir']} has checkpoints of its own: choose another hydra.run.dir")
    if path is not None:
        CheckpointStore(path.parent).verify(path)
        saved = read_checkpoint(path)["gan_zoo"]["config"]
        for name in MUST_MATCH:
            then, now = (get_dotted(part, name) for part in (saved, config))
            if name == "optim":  # a longer run may stretch its schedule
                then, now = ({key: v for key, v in part.items() if key != "horizon"} for part in (then, now))
            if difference := first_difference(then, now, name):
                key, was, is_now = difference
                raise ConfigError(f"{path} cannot be continued with another config: {key} was {was}, is {is_now}")
    return path


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
    """Raise `ConfigError` if the data are not those that a run was trained on; runs of old kept none.

    Args:
        saved, now: by `data_identity`.
        remedy: what to add to the command to use them all the same.
    """
    if saved is None or all(saved[key] == now[key] for key in ("fingerprint", "classes")):
        return
    words = {"num_samples": "it had {} samples", "classes": "its classes were {}"}
    changes = [text.format(saved[key]) for key, text in words.items() if saved[key] != now[key]]
    where = f"{now['name']}{'' if now['root'] is None else ' in ' + now['root']}"
    was = "; ".join(changes) or "its samples were others"
    if saved["root"] != now["root"]:
        was += f"; it was in {saved['root']}"
    raise ConfigError(f"data={where} is not what the run was trained on: {was}; to use it: {remedy}")
