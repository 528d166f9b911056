"""Scores during training and at its end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer

from gan_zoo.callbacks.schedule import due
from gan_zoo.data.cache import atomic_path
from gan_zoo.metrics.base import Evaluator, Samples
from gan_zoo.module import GANModule
from gan_zoo.noise import Noise, stable_seed
from gan_zoo.types import Batch, Score


class Evaluation(Callback):
    """Scores the averaged generator every so many images and at the end.

    Scores are logged as ``val/<metric>``; the last ones are written to ``metrics.json`` with their protocol. Nothing
    of the training state is touched.

    Args:
        evaluator: computes the scores.
        path: ``metrics.json`` of the run.
        every_images: images between two evaluations; 0 for only one at the end.
        seed: of the latents, which are the same at every evaluation.
        block_size: samples generated at a time.
    """

    def __init__(
        self, evaluator: Evaluator, path: str, every_images: int = 0, seed: int = 0, block_size: int = 64
    ) -> None:
        self.evaluator, self.path, self.every_images = evaluator, Path(path), every_images
        self.seed, self.block_size = stable_seed(seed, "evaluation"), block_size
        self.scores: list[Score] = []
        self.history: list[dict[str, float]] = []
        self._scored_at = -1

    def on_train_batch_end(self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Batch, batch_idx: int) -> None:
        if due(pl_module, self.every_images, batch.size * trainer.world_size):
            self.evaluate(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        if self._scored_at != pl_module.global_step:
            self.evaluate(trainer, pl_module)

    def evaluate(self, trainer: Trainer, module: GANModule) -> None:
        """Score, log, and write ``metrics.json``. All processes take part."""
        with module.clock.paused():
            self.scores = self.score(trainer, module)
        self._scored_at = module.global_step
        values = {f"val/{score.name}": score.value for score in self.scores}
        self.history.append({"step": module.global_step, "images_seen": module.clock.images_seen} | values)
        trainer.callback_metrics.update({name: torch.tensor(value) for name, value in values.items()})
        for logger in trainer.loggers:
            logger.log_metrics(values, step=module.global_step)
        if trainer.is_global_zero:
            self.write(module)

    def score(self, trainer: Trainer, module: GANModule) -> list[Score]:
        """The scores of the module as it is, each with its protocol completed."""

        def draw(block: int) -> Any:
            return module.sample(Batch(self.block_size, Noise(self.seed, block, device=module.device)))

        samples = Samples(draw, self.evaluator.num_samples, self.block_size, trainer.global_rank, trainer.world_size)
        scores = self.evaluator(samples, trainer.datamodule.source, module.device)  # type: ignore[attr-defined]
        shared = {"ema": module.ema is not None, "seed": self.seed, "world_size": trainer.world_size}
        return [Score(score.name, score.value, score.protocol | shared) for score in scores]

    def write(self, module: GANModule) -> None:
        """Write ``metrics.json`` whole or not at all."""
        clock = module.clock
        content = {
            "images_seen": clock.images_seen,
            "seconds": round(clock.seconds, 3),
            "images_per_second": round(clock.images_per_second, 3),
            "metrics": [{"name": s.name, "value": s.value, "protocol": s.protocol} for s in self.scores],
            "history": self.history,
        }
        with atomic_path(self.path) as temporary:
            temporary.write_text(json.dumps(content, indent=2) + "\n")

    def state_dict(self) -> dict[str, Any]:
        """The scores so far, as plain data."""
        return {"history": self.history}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.history = state_dict["history"]
