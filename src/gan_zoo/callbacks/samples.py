"""Pictures of samples from fixed latents and conditions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer

from gan_zoo.callbacks.schedule import SOON, due, interval
from gan_zoo.data.source import Source
from gan_zoo.data.stream import asked, asked_rows
from gan_zoo.guard import survived
from gan_zoo.loggers import log_picture
from gan_zoo.module import GANModule
from gan_zoo.noise import Noise, stable_seed
from gan_zoo.pictures import picture_of, save
from gan_zoo.plots import scatter
from gan_zoo.signals import Interrupted
from gan_zoo.types import Batch, Count, PathText, Whole

SHOWN_BESIDE = {"image", "domain"}  # needs of games whose pictures show what a sample was made from


class SampleGrid(Callback):
    """Writes ``samples/<images seen>.png`` every so many images and at the end: always the same latents.

    Games that are told a class show one column for each class; games that are told a caption write it below; games
    that translate show input and output side by side, of data they do not train on where there are any.

    Args:
        folder: where the pictures go.
        every_images: images between two pictures; None for a tenth of the run, and one within the first minute; 0 for
            only one at the end.
        count: samples in a picture; vectors are drawn as a scatter plot of ten times as many.
        seed: of the latents.
    """

    def __init__(self, folder: PathText, every_images: Whole | None = None, count: Count = 64, seed: int = 0) -> None:
        if count < 1:
            raise ValueError(f"callbacks.samples.count must be >= 1, got {count}")
        self.folder = Path(folder)
        self.every_images = every_images
        self.count = count
        self.seed = seed
        self._drawn_at = -1

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Batch, batch_idx: int) -> None:
        first_is_late = self.every_images is None and self._drawn_at < 0 and pl_module.clock.seconds > SOON
        every_images = interval(trainer, self.every_images, times=10)
        if first_is_late or due(pl_module, every_images, batch.size * trainer.world_size):
            self.draw(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        self.draw(trainer, pl_module)

    def on_exception(self, trainer: Trainer, pl_module: Any, exception: BaseException) -> None:
        """A run that is stopped leaves a picture of what it has reached."""
        if isinstance(exception, Interrupted) and pl_module.global_step > 0:
            self.draw(trainer, pl_module)

    def draw(self, trainer: Trainer, module: GANModule) -> None:
        """Write the picture and pass it on to loggers that take pictures; a failure is reported, training goes on."""
        self._drawn_at = module.clock.images_seen
        if not trainer.is_global_zero:
            return
        path = self.folder / f"{module.clock.images_seen:09d}.png"
        if path.exists():
            return
        with module.clock.paused(), survived(f"drawing {path.name}"):
            source: Source = trainer.datamodule.source  # type: ignore[attr-defined]
            if source.samples.ndim == 2:
                self.folder.mkdir(parents=True, exist_ok=True)
                noise = Noise(stable_seed(self.seed, "grid"), 0, device=module.device)
                scatter(module.sample(request(module, source, 10 * self.count, noise)[0]).cpu(), source, path)
            else:
                save(sample_picture(module, source, self.count, self.seed), path)
            log_picture(trainer, path, module.global_step)


def sample_picture(module: GANModule, source: Source, count: int, seed: int) -> Any:
    """A picture of ``count`` samples, or of a quarter of that where each is shown beside its input."""
    noise = Noise(stable_seed(seed, "grid"), 0, device=module.device)
    count = max(1, count // 4) if SHOWN_BESIDE & set(module.game.needs) else count
    batch, captions, columns = request(module, source, count, noise)
    names = source.classes if "label" in module.game.needs else None
    return picture_of(module.views(batch), captions, columns, names or ())


def request(
    module: GANModule, source: Source | None, count: int, noise: Noise
) -> tuple[Batch, list[str] | None, int | None]:
    """What to ask for in a picture, the captions to write, and the number of columns.

    Where classes are all that is needed, no ``source`` is: every class comes as often as the others.
    """
    classes = module.game.num_intents or 0
    columns = classes if 1 < classes <= min(count, 20) else None
    count = count if columns is None else count // columns * columns
    labels = None if columns is None else torch.arange(count) % columns
    if source is None or not module.game.needs:
        every_class = torch.arange(count) % classes if classes else None
        return Batch(count, noise, label=every_class if labels is None else labels), None, columns
    told = source.told()
    batch = asked(told, count, noise)
    if labels is not None:
        batch.label = labels
    captions = None
    if not {"label", *SHOWN_BESIDE} & set(module.game.needs) and told.captions is not None:
        captions = [told.captions[row] for row in asked_rows(told, batch.size, noise).tolist()]
    return batch, captions, columns
