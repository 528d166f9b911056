"""The last and the best state of a run."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO

from gan_zoo.callbacks.evaluation import Evaluation
from gan_zoo.callbacks.schedule import due
from gan_zoo.data.cache import atomic_path
from gan_zoo.module import GANModule
from gan_zoo.players import stop_if_not_finite
from gan_zoo.types import Batch


class Checkpoints(Checkpoint):
    """Writes ``last.ckpt`` every so many images and at the end, ``best.ckpt`` whenever the deciding score improves.

    Args:
        folder: where they go.
        every_images: images between two writes of ``last.ckpt``.
    """

    def __init__(self, folder: str, every_images: int = 100_000) -> None:
        self.folder, self.every_images = Path(folder), every_images
        self.best_value: float | None = None
        self._saved_at = self._compared_at = -1

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Batch, batch_idx: int) -> None:
        self.keep_best(trainer, pl_module)
        if due(pl_module, self.every_images, batch.size * trainer.world_size):
            self.save_last(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        self.keep_best(trainer, pl_module)
        self.save_last(trainer, pl_module)

    def on_exception(self, trainer: Trainer, pl_module: Any, exception: BaseException) -> None:
        """Keep what was reached when the user interrupts; a diverged state must not replace a good one."""
        if isinstance(exception, KeyboardInterrupt) and trainer.world_size == 1:
            self.save_last(trainer, pl_module)

    def save_last(self, trainer: Trainer, module: GANModule) -> None:
        """Write ``last.ckpt`` unless this very step is in it already, or its weights are not finite."""
        if self._saved_at != module.global_step:
            _stop_if_weights_not_finite(module)
            with module.clock.paused():
                trainer.save_checkpoint(self.folder / "last.ckpt")
            self._saved_at = module.global_step

    def keep_best(self, trainer: Trainer, module: GANModule) -> None:
        """Write ``best.ckpt`` if there is a new score and it is better than all before."""
        evaluation = next((c for c in trainer.callbacks if isinstance(c, Evaluation)), None)  # type: ignore[attr-defined]
        best = None if evaluation is None else evaluation.best
        if evaluation is None or best is None or not evaluation.history:
            return
        latest = evaluation.history[-1]
        if latest["step"] == self._compared_at:
            return
        self._compared_at = int(latest["step"])
        name, direction = best
        value = latest.get(f"val/{name}")
        if value is None:  # a score that these data cannot give
            return
        sign = 1 if direction == "min" else -1
        if self.best_value is None or sign * value < sign * self.best_value:
            self.best_value = value
            with module.clock.paused():
                trainer.save_checkpoint(self.folder / "best.ckpt")

    def state_dict(self) -> dict[str, Any]:
        """The best score so far."""
        return {"best_value": self.best_value, "compared_at": self._compared_at}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.best_value, self._compared_at = state_dict["best_value"], state_dict["compared_at"]


@torch.no_grad()
def _stop_if_weights_not_finite(module: GANModule) -> None:
    for player, network in (("generators", module.game.generators), ("discriminators", module.game.discriminators)):
        if parameters := [p.detach() for p in network.parameters()]:
            norm = torch.stack(torch._foreach_norm(parameters)).sum()
            stop_if_not_finite({f"weights of the {player}": float(norm)}, module.global_step)


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes in the target's own folder, synced, then renamed: a file is whole or the old one is still there.

    Reads tensors and plain data only (``weights_only=True``), so that a foreign checkpoint cannot run code.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        with atomic_path(Path(path)) as temporary:
            torch.save(checkpoint, temporary)

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = None) -> dict[str, Any]:
        checkpoint: dict[str, Any] = torch.load(path, map_location=map_location or "cpu", weights_only=True)
        return checkpoint
