"""A diagnosis while a run trains."""

from __future__ import annotations

import math
import statistics
from contextlib import suppress
from typing import Any

import torch
from lightning.pytorch import Callback, Trainer
from torch import Tensor, nn

from gan_zoo.callbacks.intervals import due
from gan_zoo.core.errors import DataError, TrainingDiverged
from gan_zoo.core.guard import survived
from gan_zoo.core.rng import StepRNG, stable_seed
from gan_zoo.core.types import Batch, Whole
from gan_zoo.data.dataset import Source
from gan_zoo.data.loader import fixed_batch
from gan_zoo.diagnostics.failure_modes import SUGGESTIONS, History, Measurement, findings_at
from gan_zoo.diagnostics.probe import Probe
from gan_zoo.loggers.dispatch import log, log_finding
from gan_zoo.loggers.wandb import Finding
from gan_zoo.training.module import GANModule

NORMS = ("d/grad_norm", "g/grad_norm")


class Doctor(Callback):
    """Examines both networks at regular intervals and names failure modes, each with an override to
    try.

    What it reads is logged as ``doctor/...``, so that `gan_zoo.diagnostics.failure_modes.diagnose`
    comes to the same findings from the log; see `gan_zoo.diagnostics.probe.Probe` for what it looks
    at. Nothing of the training state is touched.

    Args:
        every_images: images between two looks; 0 for never.
        count: samples it looks at, of reals, fakes and held-out reals each.
        seed: of the samples and latents, which are the same at every look.
    """

    def __init__(self, every_images: Whole = 16_000, count: int = 256, seed: int = 0) -> None:
        if count < 16:
            raise ValueError(f"callbacks.doctor.count must be >= 16, got {count}")
        self.every_images, self.count, self.seed = every_images, count, seed
        self.history: History = []
        self.norms: dict[str, list[float]] = {name: [] for name in NORMS}
        self._probe: Probe | None = None
        self._centers: dict[str, Tensor] = {}
        self._before: dict[str, list[Tensor]] = {}
        # Images seen, name and text of each failure mode that was reported.
        self.findings: list[Finding] = []

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: Any, batch: Batch, batch_idx: int
    ) -> None:
        # A look tells how far its step moved the weights, so they are copied before it.
        images = batch.size * trainer.world_size
        seen = pl_module.clock.images_seen
        if (
            self.every_images > 0
            and seen // self.every_images < (seen + images) // self.every_images
        ):
            self._before = weights_of(pl_module)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        # Norms are known in logged steps only, the generator's in its own steps.
        if pl_module.global_step % trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            stepped = NORMS if pl_module.global_step % pl_module.n_critic == 0 else NORMS[:1]
            for name in stepped:
                if name in trainer.callback_metrics:
                    self.norms[name].append(float(trainer.callback_metrics[name]))

        # Looks are taken by one process.
        if (
            due(pl_module, self.every_images, batch.size * trainer.world_size)
            and trainer.is_global_zero
        ):
            self.examine(trainer, pl_module)

    def examine(self, trainer: Trainer, module: GANModule) -> None:
        """Look, log what is read, and say what is new; a failure is reported, training goes on."""
        with module.clock.paused(), survived("the diagnosis"):
            if self._probe is None:
                self._probe = self.probe(trainer, module)

            # What the networks and the steps since the last look show.
            reading: Measurement = self._probe.measure(module.model) | self.of_training(module)
            self._centers = self._probe.centers
            self.history.append({"images_seen": float(module.clock.images_seen)} | reading)

            # The log holds the history, so that findings can be repeated from it.
            log(
                trainer,
                {f"doctor/{name}": value for name, value in self.history[-1].items()},
                module.global_step,
            )

            # Each failure mode is reported once.
            for finding in findings_at(self.history, len(self.history) - 1):
                if finding.name not in {name for _, name, _ in self.findings}:
                    self.report(trainer, module, finding.name, str(finding))

    def on_exception(self, trainer: Trainer, pl_module: Any, exception: BaseException) -> None:
        """Divergence is the end of an explosion."""
        if not isinstance(exception, TrainingDiverged) or not trainer.is_global_zero:
            return

        # Without a finite step there is no history to diagnose.
        if pl_module.global_step <= 1:
            print(
                "doctor: not finite from the first step on: a logarithm or a root of raw scores in"
                " the loss, or data"
            )
        else:
            text = f"explosion: try {' or '.join(SUGGESTIONS['explosion'])}"
            self.report(trainer, pl_module, "explosion", text)

    def report(self, trainer: Trainer, module: GANModule, name: str, text: str) -> None:
        """Say what was found, here and to the loggers."""
        self.findings.append((module.clock.images_seen, name, text))
        print(f"doctor: {text}", flush=True)
        log_finding(trainer, self.findings)

    def probe(self, trainer: Trainer, module: GANModule) -> Probe:
        """What to look with."""
        data: Any = trainer.datamodule  # type: ignore[attr-defined]
        rng = StepRNG(stable_seed(self.seed, "doctor"), 0, device=module.device)
        needs = module.model.needs

        # Discriminators of packs are shown whole packs.
        pack = math.lcm(
            *(getattr(part, "pack", 1) for part in module.model.discriminators.modules())
        )

        def some(source: Source) -> Batch:
            return fixed_batch(source, min(self.count, len(source)) // pack * pack, rng, needs)

        # Held-out samples show whether the discriminator has memorized the others.
        held_out: Batch | None = None
        if data.source.held_out is not None and len(data.source.evaluation_split()) >= pack:
            # Such as held-out captions that are all alike: there are no wrong ones.
            with suppress(DataError):
                held_out = some(data.source.evaluation_split())
        probe = Probe(some(data.source), held_out)
        probe.centers = self._centers
        return probe

    def of_training(self, module: GANModule) -> Measurement:
        """The median gradient norms since the last look, and how far this step moved each player's
        weights.
        """
        reading = {name: statistics.median(norms) for name, norms in self.norms.items() if norms}
        self.norms = {name: [] for name in self.norms}

        # Movement relative to the size of the weights before the step.
        for name, after in weights_of(module).items():
            before = self._before.get(name, after)
            moved = torch.stack(torch._foreach_norm(torch._foreach_sub(after, before))).norm()
            reading[f"{name}/moved"] = float(
                moved / torch.stack(torch._foreach_norm(before)).norm().clamp(min=1e-12)
            )
        self._before = {}
        return reading

    def state_dict(self) -> dict[str, Any]:
        """What was read so far, as plain data."""
        centers = {name: center.cpu() for name, center in self._centers.items()}
        return {
            "history": self.history,
            "norms": self.norms,
            "centers": centers,
            "findings": self.findings,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.history, self.norms = state_dict["history"], state_dict["norms"]
        self._centers = state_dict["centers"]
        self.findings = [tuple(finding) for finding in state_dict.get("findings", [])]


def weights_of(module: GANModule) -> dict[str, list[Tensor]]:
    """A copy of both players' weights; of large ones the first few thousand numbers."""

    def copied(networks: nn.Module) -> list[Tensor]:
        return [p.detach().flatten()[:4096].clone() for p in networks.parameters()]

    players = {"d": module.model.discriminators, "g": module.model.generators}
    return {name: copied(networks) for name, networks in players.items() if len(networks)}
