"""How the trainer writes checkpoint files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins.io import TorchCheckpointIO

from gan_zoo.core.files import atomic_path


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes in the target's own folder, synced, then renamed: a file is whole or the old one is
    still there.

    Reads tensors and plain data only (``weights_only=True``), so that a foreign checkpoint cannot
    run code.
    """

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        with atomic_path(Path(path)) as temporary, temporary.open("wb") as file:
            try:
                torch.save(checkpoint, file)
            except RuntimeError as error:
                # A full disk, behind what torch makes of it.
                if isinstance(error.__context__, OSError):
                    raise error.__context__ from None
                raise

    def load_checkpoint(
        self, path: Any, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        checkpoint: dict[str, Any] = torch.load(
            path, map_location=map_location or "cpu", weights_only=True
        )
        return checkpoint
