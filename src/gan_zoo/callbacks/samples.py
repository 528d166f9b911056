"""Grids of samples from fixed latents."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger
from torch import Tensor
from torchvision.utils import make_grid, save_image

from gan_zoo.callbacks.schedule import due
from gan_zoo.module import GANModule
from gan_zoo.noise import Noise, stable_seed
from gan_zoo.plots import scatter
from gan_zoo.types import Batch


class SampleGrid(Callback):
    """Writes ``samples/<images seen>.png`` every so many images and at the end: always the same latents.

    Args:
        folder: where the pictures go.
        every_images: images between two pictures; 0 for only one at the end.
        count: samples in a picture; vectors are drawn as a scatter plot of ten times as many.
        seed: of the latents.
    """

    def __init__(self, folder: str, every_images: int = 50_000, count: int = 64, seed: int = 0) -> None:
        if count < 1:
            raise ValueError(f"callbacks.samples.count must be >= 1, got {count}")
        self.folder, self.every_images, self.count, self.seed = Path(folder), every_images, count, seed

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Batch, batch_idx: int) -> None:
        if due(pl_module, self.every_images, batch.size * trainer.world_size):
            self.draw(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        self.draw(trainer, pl_module)

    def draw(self, trainer: Trainer, module: GANModule) -> None:
        """Write the picture and pass it on to loggers that take pictures."""
        if not trainer.is_global_zero:
            return
        path = self.folder / f"{module.clock.images_seen:09d}.png"
        if path.exists():
            return
        with module.clock.paused():
            source = trainer.datamodule.source  # type: ignore[attr-defined]
            is_vector = source.samples.ndim == 2
            samples = self.samples(module, self.count * (10 if is_vector else 1))
            self.folder.mkdir(parents=True, exist_ok=True)
            if is_vector:
                scatter(samples, source, path)
            else:
                save_image(grid_of(samples), path)
            _log_picture(trainer, path, module.global_step)

    def samples(self, module: GANModule, count: int) -> Tensor:
        """``count`` samples of the fixed latents, on the CPU."""
        noise = Noise(stable_seed(self.seed, "grid"), 0, device=module.device)
        return module.sample(Batch(size=count, noise=noise)).cpu()


def grid_of(samples: Tensor) -> Tensor:
    """Images ``[B, C, H, W]`` in [-1, 1] as one picture in [0, 1], about square."""
    columns = max(1, round(len(samples) ** 0.5))
    return make_grid((samples.clamp(-1, 1) + 1) / 2, nrow=columns, padding=2, pad_value=1.0)


def _log_picture(trainer: Trainer, path: Path, step: int) -> None:
    for logger in trainer.loggers:
        if isinstance(logger, WandbLogger):
            logger.log_image("samples", [str(path)], step=step)
        elif isinstance(logger, TensorBoardLogger):
            from torchvision.io import decode_image

            logger.experiment.add_image("samples", decode_image(str(path)), global_step=step)
