"""The last and the best state of a run."""

from __future__ import annotations

from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Checkpoint

from gan_zoo.callbacks.evaluation import Evaluation
from gan_zoo.callbacks.intervals import SOON, due, interval
from gan_zoo.core.errors import Interrupted, TrainingDiverged
from gan_zoo.core.guard import survived
from gan_zoo.core.types import Batch, Count, PathText, Whole
from gan_zoo.loggers.dispatch import log_checkpoints
from gan_zoo.runs.checkpoint_store import POINTERS, CheckpointStore
from gan_zoo.runs.folder import RunFolder
from gan_zoo.training.divergence import raise_if_not_finite
from gan_zoo.training.module import GANModule


class Checkpoints(Checkpoint):
    """Keeps the newest states of a run as ``last.ckpt`` and older ones, and that of the best score
    as ``best.ckpt``.

    Args:
        run_dir: the run folder.
        every_images: images between two checkpoints, 0 for only one at the end; None for a fifth of
            the run, and one within the first minute.
        keep: how many of the newest are kept, beside the best one.
    """

    def __init__(
        self, run_dir: PathText, every_images: Whole | None = None, keep: Count = 2
    ) -> None:
        self.store = CheckpointStore(RunFolder(run_dir).checkpoints.folder, keep)
        self.every_images = every_images
        self.best_value: float | None = None
        self._saved_at = self._compared_at = -1
        self._restored = False
        self._in_step = False

    def setup(self, trainer: Trainer, pl_module: Any, stage: str) -> None:
        """Nothing may be saved until Lightning has restored the training state, which it does after
        `on_fit_start`.
        """
        self._restored = False

    def on_fit_start(self, trainer: Trainer, pl_module: Any) -> None:
        """A run that had ended but for its last evaluation has that now, and trains no more."""
        latest = latest_score(trainer)
        ended = latest is not None and latest["step"] == trainer.max_steps
        if (
            ended
            and self.improves(trainer)
            and trainer.is_global_zero
            and self._lists(trainer.max_steps)
        ):
            self.store.mark_best(trainer.max_steps)

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        self._restored = True

        # What was saved after the state that the run goes on from is dropped.
        step, listed = pl_module.global_step, False
        if trainer.is_global_zero:
            self.store.truncate_after(step)
            listed = self._lists(step)

        # Rank 0 alone looks at the folder and tells the others.
        self._saved_at = step if trainer.strategy.broadcast(listed) or step == 0 else -1
        self.keep_best(trainer, pl_module)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: Any, batch: Batch, batch_idx: int
    ) -> None:
        self._in_step = True

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        self._in_step = False
        self.keep_best(trainer, pl_module)
        every_images = interval(trainer, self.every_images, times=5)
        if due(pl_module, every_images, batch.size * trainer.world_size) or self._first_is_late(
            trainer, pl_module
        ):
            self.save(trainer, pl_module)

    def _first_is_late(self, trainer: Trainer, module: GANModule) -> bool:
        """Whether training has gone on for a while without a checkpoint; processes would have to
        agree on the time.
        """
        never_saved = self.every_images is None and self._saved_at <= 0
        return never_saved and trainer.world_size == 1 and module.clock.seconds > SOON

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        self.keep_best(trainer, pl_module)
        self.save(trainer, pl_module)

        # Loggers are given the last and the best checkpoint.
        if trainer.is_global_zero:
            log_checkpoints(
                trainer,
                [file for file in self.store.folder.glob("*.ckpt") if file.stem in POINTERS],
            )

    def on_exception(self, trainer: Trainer, pl_module: Any, exception: BaseException) -> None:
        """Keep what was reached, whatever ends the run; a diverged state must not replace a good
        one.

        After an error inside a step, which one player may have taken and the other not, the state
        is saved all the same: it is worth more than exactness. One of several processes that fails
        cannot save alone.
        """
        # Before the first step there is nothing to keep.
        if not self._restored or pl_module.global_step < 1:
            return

        # An interruption is no error: the state is exact.
        if isinstance(exception, Interrupted):  # which is raised between steps
            self.keep_best(trainer, pl_module)
            self.save(trainer, pl_module)
            return

        # After an error, what was reached is saved if it can be.
        has_finished_a_step = pl_module.global_step > int(self._in_step)
        if (
            has_finished_a_step
            and trainer.world_size == 1
            and not isinstance(exception, TrainingDiverged)
        ):
            with survived("saving after the error"):
                self.save(trainer, pl_module)

    def keep_best(self, trainer: Trainer, module: GANModule) -> None:
        """Save and name the best checkpoint if there is a new score and it is better than all
        before.
        """
        if self.improves(trainer):
            self.save(trainer, module, best=True)

    def improves(self, trainer: Trainer) -> bool:
        """Whether there is a new score, and it is better than all before."""
        latest = latest_score(trainer)
        if latest is None or latest["step"] == self._compared_at:
            return False

        # Each score is compared once; by its sign, less is better.
        self._compared_at = int(latest["step"])
        value = latest["value"]
        if (
            self.best_value is not None
            and latest["sign"] * value >= latest["sign"] * self.best_value
        ):
            return False
        self.best_value = value
        return True

    def save(self, trainer: Trainer, module: GANModule, best: bool = False) -> None:
        """Write a checkpoint unless this very step is in one already, or its weights are not
        finite.
        """
        step = module.global_step

        # A step that is saved already may still turn out to be the best.
        if self._saved_at == step:
            if best and trainer.is_global_zero:
                self.store.mark_best(step)
            return

        # A state with NaN or infinite weights must not replace a good one.
        module.divergence_detector.flush()
        _stop_if_weights_not_finite(module)
        for logger in trainer.loggers:  # what was logged up to here must not be lost either
            logger.save()
        with module.clock.paused():
            trainer.save_checkpoint(self.store.path(step))
            if trainer.is_global_zero:
                self.store.record(step, module.clock.images_seen, best)
        self._saved_at = step

    def _lists(self, step: int) -> bool:
        return any(entry.step == step for entry in self.store.entries())

    def state_dict(self) -> dict[str, Any]:
        """The best score so far."""
        return {"best_value": self.best_value, "compared_at": self._compared_at}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.best_value, self._compared_at = state_dict["best_value"], state_dict["compared_at"]


def latest_score(trainer: Trainer) -> dict[str, float] | None:
    """Step, value and sign (1 if less is better, else -1) of the last score that decides; None
    without one.
    """
    evaluation = next((c for c in trainer.callbacks if isinstance(c, Evaluation)), None)  # type: ignore[attr-defined]
    if evaluation is None or evaluation.best is None or not evaluation.history:
        return None
    name, direction = evaluation.best
    latest = evaluation.history[-1]
    if f"val/{name}" not in latest:  # a score that these data cannot give
        return None
    return {
        "step": latest["step"],
        "value": latest[f"val/{name}"],
        "sign": 1 if direction == "min" else -1,
    }


@torch.no_grad()
def _stop_if_weights_not_finite(module: GANModule) -> None:
    # One sum of norms for each player, so that a single number leaves the device.
    for player, network in (
        ("generators", module.model.generators),
        ("discriminators", module.model.discriminators),
    ):
        if parameters := [p.detach() for p in network.parameters()]:
            norm = torch.stack(torch._foreach_norm(parameters)).sum()
            raise_if_not_finite({f"weights of the {player}": float(norm)}, module.global_step)
