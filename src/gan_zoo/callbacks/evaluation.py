"""Scores during training and at its end."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import asdict
from typing import Any

from lightning.pytorch import Callback, Trainer

from gan_zoo.callbacks.intervals import due
from gan_zoo.core.guard import survived
from gan_zoo.core.signals import SIGNALS
from gan_zoo.core.types import Batch, Count, PathText, Whole
from gan_zoo.data.dataset import Source
from gan_zoo.loggers.dispatch import log, log_protocols
from gan_zoo.metrics.base import Evaluator, MetricResult
from gan_zoo.runs.folder import RunFolder
from gan_zoo.training.module import GANModule
from gan_zoo.training.scoring import evaluate_generator


class Evaluation(Callback):
    """Scores the averaged generator every so many images and at the end.

    Scores are logged as ``val/<metric>``; the last ones are written to ``metrics.json`` with their
    protocol. Nothing of the training state is touched.

    Args:
        evaluators: compute the scores, by name; null ones are left out.
        run_dir: the run folder.
        every_images: images between two evaluations; 0 for only one at the end.
        seed: of the latents, which are the same at every evaluation.
        num_samples: samples generated for every evaluator; None for the default of each.
        training_steps: of the networks that some evaluators train on real data first; None for what
            makes them good.
    """

    def __init__(
        self,
        evaluators: Mapping[str, Evaluator | None],
        run_dir: PathText,
        every_images: Whole = 0,
        seed: int = 0,
        num_samples: int | None = None,
        training_steps: Count | None = None,
    ) -> None:
        if num_samples is not None and num_samples < 2:
            raise ValueError(
                f"callbacks.evaluation.num_samples must be >= 2 or null, got {num_samples}"
            )

        # Null evaluators are left out; what is set here overrides the others' defaults.
        self.evaluators = {
            name: evaluator for name, evaluator in evaluators.items() if evaluator is not None
        }
        for evaluator in self.evaluators.values():
            evaluator.num_samples = num_samples or evaluator.num_samples
            evaluator.training_steps = training_steps or evaluator.training_steps
        self.run = RunFolder(run_dir)
        self.every_images = every_images
        self.seed = seed

        # What was found so far, and where a resumed run has to catch up.
        self.scores: list[MetricResult] = []
        self.history: list[dict[str, float]] = []
        self._last_evaluated_step = -1
        self._interrupted_at: int | None = None
        self._resumed_at: int | None = None

    def check(self, module: GANModule, source: Source) -> None:
        """Raise `DataError` where it is clear before training that a score cannot be computed."""
        for evaluator in self.evaluators.values():
            evaluator.check(source, module.model)

    def on_fit_start(self, trainer: Trainer, pl_module: Any) -> None:
        # An evaluation that was interrupted, or the last one of a run that ended before it.
        step = self._interrupted_at
        if self._resumed_at == trainer.max_steps and self._last_evaluated_step != trainer.max_steps:
            step = self._resumed_at
        if step is not None:
            self.evaluate(trainer, pl_module, step)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        if due(pl_module, self.every_images, batch.size * trainer.world_size):
            self.evaluate(trainer, pl_module, pl_module.global_step)

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        if self._last_evaluated_step != pl_module.global_step:
            self.evaluate(trainer, pl_module, pl_module.global_step)

    @property
    def best(self) -> tuple[str, str] | None:
        """Name and direction of the score that decides which checkpoint is the best: the first
        evaluator's.
        """
        return next((evaluator.best for evaluator in self.evaluators.values()), None)

    def evaluate(self, trainer: Trainer, module: GANModule, step: int) -> None:
        """Score, log, and write ``metrics.json``. All processes take part.

        A signal to a single process stops it here and now; a resumed run then begins with this
        evaluation.
        """
        if not self.evaluators:
            return

        # A run that is stopped here begins with this evaluation when it is resumed.
        self._interrupted_at = step
        scores: list[MetricResult] | None = None
        # Several processes must leave together, so only a single one stops at once.
        at_once = SIGNALS.raise_immediately() if trainer.world_size == 1 else nullcontext()
        with module.clock.paused(), at_once, survived(f"the evaluation at step {step:,}"):
            source: Source = trainer.datamodule.source  # type: ignore[attr-defined]
            scores = evaluate_generator(
                module, source, self.evaluators, self.seed, trainer.global_rank, trainer.world_size
            )

        # It is over, also if it failed.
        self._interrupted_at = None
        self._last_evaluated_step = step
        if scores is None:
            return
        if trainer.is_global_zero and not self.scores:
            log_protocols(trainer, {score.name: score.protocol for score in scores})
        self.scores = scores
        values = {f"val/{score.name}": score.value for score in self.scores}
        self.history.append({"step": step, "images_seen": module.clock.images_seen} | values)
        log(trainer, values, step)
        if trainer.is_global_zero:
            self.write(module)

    def write(self, module: GANModule) -> None:
        """Write ``metrics.json``."""
        clock = module.clock
        content = {
            "images_seen": clock.images_seen,
            "seconds": round(clock.seconds, 3),
            "images_per_second": round(clock.images_per_second, 3),
            "metrics": [asdict(score) for score in self.scores],
            "history": self.history,
        } | module.metadata
        self.run.write_metrics(content)

    def on_load_checkpoint(
        self, trainer: Trainer, pl_module: Any, checkpoint: dict[str, Any]
    ) -> None:
        """Remember where the run goes on."""
        self._resumed_at = checkpoint["global_step"]

    def state_dict(self) -> dict[str, Any]:
        """The scores so far, as plain data."""
        return {
            "history": self.history,
            "scored_at": self._last_evaluated_step,
            "interrupted_at": self._interrupted_at,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.history = state_dict["history"]
        self._last_evaluated_step = state_dict["scored_at"]
        self._interrupted_at = state_dict["interrupted_at"]
