"""Reading and writing checkpoint files."""

from __future__ import annotations

import pickle
import re
import warnings
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from gan_zoo.core.errors import ConfigError
from gan_zoo.core.files import atomic_path


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's plain data and tensors, the latter still on the disk; no code of the file's runs.

    Raises:
        ConfigError: if it is damaged or none of ours.
    """
    import torch

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        if not {"config", "clock"} <= content["gan_zoo"].keys() or "state_dict" not in content:
            raise KeyError("gan_zoo")
    except pickle.UnpicklingError as error:
        if code := re.search(r"GLOBAL (\S+)", str(error)):
            raise ConfigError(f"{path} is refused: it would run {code[1]} when opened") from error
        raise ConfigError(f"{path} is damaged or no checkpoint of gan_zoo") from error
    except Exception as error:  # what a damaged file makes torch raise is not foreseeable
        raise ConfigError(f"{path} is damaged or no checkpoint of gan_zoo") from error
    return content  # type: ignore[no-any-return]


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes in the target's own folder, synced, then renamed: a file is whole or the old one is still there.

    Reads tensors and plain data only (``weights_only=True``), so that a foreign checkpoint cannot run code.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        with atomic_path(Path(path)) as temporary, temporary.open("wb") as file:
            try:
                torch.save(checkpoint, file)
            except RuntimeError as error:
                if isinstance(error.__context__, OSError):  # a full disk, behind what torch makes of it
                    raise error.__context__ from None
                raise

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        checkpoint: dict[str, Any] = torch.load(path, map_location=map_location or "cpu", weights_only=True)
        return checkpoint
