"""Images of samples from fixed latents and conditions."""

from __future__ import annotations

from typing import Any

from lightning.pytorch import Callback, Trainer

from gan_zoo.callbacks.intervals import SOON, due, interval
from gan_zoo.core.errors import Interrupted
from gan_zoo.core.guard import survived
from gan_zoo.core.rng import StepRNG, stable_seed
from gan_zoo.core.types import Batch, Count, PathText, Whole
from gan_zoo.data.dataset import Source
from gan_zoo.loggers.dispatch import log_image
from gan_zoo.loggers.sections import REAL
from gan_zoo.runs.folder import RunFolder
from gan_zoo.training.module import GANModule
from gan_zoo.training.requests import grid_request, real_image, sample_image
from gan_zoo.visualization.image_grid import save


class SampleGrid(Callback):
    """Writes ``samples/<images seen>.png`` every so many images and at the end: always the same
    latents. ``samples/real.png`` has real images in the same layout.

    Class-conditional models show one column for each class; text-conditional ones write the caption
    below; models that translate show input and output side by side, of data they do not train on
    where there are any.

    Args:
        run_dir: the run folder.
        every_images: images between two images; None for a tenth of the run, and one within the
            first minute; 0 for only one at the end.
        count: samples in an image; vectors are drawn as a scatter plot of ten times as many.
        seed: of the latents.
    """

    def __init__(
        self, run_dir: PathText, every_images: Whole | None = None, count: Count = 64, seed: int = 0
    ) -> None:
        if count < 1:
            raise ValueError(f"callbacks.samples.count must be >= 1, got {count}")
        self.run = RunFolder(run_dir)
        self.every_images = every_images
        self.count = count
        self.seed = seed
        self._drawn_at = -1

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        """Real samples in the same layout, once, for comparison."""
        path = self.run.real_grid_path
        if not trainer.is_global_zero or path.exists():
            return
        with pl_module.clock.paused(), survived(f"drawing {path.name}"):
            source: Source = trainer.datamodule.source  # type: ignore[attr-defined]
            if not source.sample_kind.is_image:
                return
            image = real_image(pl_module, source, self.count, self.seed)
            if image is not None:
                save(image, path)
                log_image(trainer, path, pl_module.global_step, REAL, source.name)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        first_is_late = (
            self.every_images is None and self._drawn_at < 0 and pl_module.clock.seconds > SOON
        )
        every_images = interval(trainer, self.every_images, times=10)
        if first_is_late or due(pl_module, every_images, batch.size * trainer.world_size):
            self.draw(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        self.draw(trainer, pl_module)

    def on_exception(self, trainer: Trainer, pl_module: Any, exception: BaseException) -> None:
        """A run that is stopped leaves an image of what it has reached."""
        if isinstance(exception, Interrupted) and pl_module.global_step > 0:
            self.draw(trainer, pl_module)

    def draw(self, trainer: Trainer, module: GANModule) -> None:
        """Write the image and pass it on to loggers that take images; a failure is reported,
        training goes on.
        """
        self._drawn_at = module.clock.images_seen
        if not trainer.is_global_zero:
            return

        # A resumed run may pass a number of images a second time.
        path = self.run.sample_grid_path(module.clock.images_seen)
        if path.exists():
            return

        # Images are drawn with what they were made from, other samples by their kind.
        with module.clock.paused(), survived(f"drawing {path.name}"):
            source: Source = trainer.datamodule.source  # type: ignore[attr-defined]
            kind = source.sample_kind
            if kind.is_image:
                save(sample_image(module, source, self.count, self.seed), path)
            else:
                rng = StepRNG(stable_seed(self.seed, "grid"), 0, device=module.device)
                count = kind.per_image * self.count
                request = grid_request(module.model, source, count, rng).request
                samples = module.sample(request).cpu()
                save(kind.draw(samples, source), path)
                kind.write_beside(samples, path)
            caption = f"{module.clock.images_seen:,} images seen"
            log_image(trainer, path, module.global_step, caption=caption)
