"""What tests hand to a run on the command line."""

from __future__ import annotations

from pathlib import Path

import torch
from lightning.pytorch import Callback


class DumpRank(Callback):
    """Writes every rank's weights and the latents it saw, to compare."""

    def __init__(self, folder: str) -> None:
        self.folder, self.latents = Path(folder), []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        self.latents.append(pl_module.game.latents(batch))

    def on_train_end(self, trainer, pl_module) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        state = {"weights": pl_module.state_dict(), "latents": torch.stack(self.latents)}
        torch.save(state, self.folder / f"{trainer.world_size}-{trainer.global_rank}.pt")
