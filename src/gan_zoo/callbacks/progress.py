"""What one sees while a run trains."""

from __future__ import annotations

import time
from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import ProgressBar, Timer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Column

from gan_zoo.core.types import Batch


class Progressing(ProgressBar):
    """A bar with steps, time left, images/s and the losses; on a dumb terminal a line every tenth
    of the way, in steps or in ``trainer.max_time``.

    Args:
        refresh_seconds: least time between two redraws.
    """

    def __init__(self, refresh_seconds: float = 0.25) -> None:
        super().__init__()
        self.refresh_seconds = refresh_seconds
        self._enabled = True
        self._next = 0.0

    def disable(self) -> None:
        """Show nothing on this process."""
        self._enabled = False

    def enable(self) -> None:
        """Show progress on this process."""
        self._enabled = True

    def on_train_start(self, trainer: Trainer, pl_module: Any) -> None:
        self._console = Console()
        total = trainer.max_steps if trainer.max_steps > 0 else None

        # The status takes the width that is left, and is cut to it.
        columns = (
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn(
                "{task.fields[status]}",
                markup=False,
                table_column=Column(ratio=1, no_wrap=True, overflow="ellipsis"),
            ),
        )

        # The bar needs a terminal that can redraw it.
        live = self._enabled and self._console.is_terminal
        self._bar = Progress(
            *columns, console=self._console, disable=not live, auto_refresh=False, expand=True
        )
        self._task = self._bar.add_task(
            "training", total=total, completed=trainer.global_step, status=""
        )

        # Without a terminal there is a line at every tenth of the way, or every hundred steps.
        self._lines = 0
        self._begun = time.monotonic(), trainer.global_step
        self._bar.start()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: Any, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        now = time.monotonic()
        if not self._enabled or now < self._next:
            return
        self._next = now + self.refresh_seconds
        self._bar.update(self._task, completed=trainer.global_step, status=status(trainer))
        self._bar.refresh()

        # The line at every tenth of the way, as soon as there are losses to show.
        share = share_done(trainer)
        lines = trainer.global_step // 100 if share is None else int(10 * share)
        if self._bar.disable and trainer.callback_metrics and lines >= self._lines:
            self._lines = lines + 1
            total = f"/{trainer.max_steps}" if trainer.max_steps > 0 else ""
            self._console.print(
                f"step {trainer.global_step}{total}{self.time_left(trainer)}  {status(trainer)}",
                highlight=False,
                markup=False,
            )

    def time_left(self, trainer: Trainer) -> str:
        """How long the rest takes at the speed so far, evaluations included, at most what is left
        of ``trainer.max_time``; empty where that is not known.
        """
        # From where this process began, as a resumed run had another speed.
        begun, first = self._begun
        done = trainer.global_step - first
        missing = trainer.max_steps - trainer.global_step
        known = [timer.time_remaining() for timer in timers(trainer)]
        if done > 0 and missing > 0:
            known.append((time.monotonic() - begun) / done * missing)
        seconds = min((left for left in known if left is not None), default=0)
        if seconds <= 0:
            return ""
        amount = f"{seconds / 60:.0f} min" if seconds >= 90 else f"{seconds:.0f} s"
        return f"  about {amount} left"

    def on_train_end(self, trainer: Trainer, pl_module: Any) -> None:
        self._bar.update(self._task, completed=trainer.global_step, status=status(trainer))
        self._bar.refresh()
        self._bar.stop()

    def on_exception(self, trainer: Trainer, pl_module: Any, exception: BaseException) -> None:
        """Leave the terminal as it was."""
        if hasattr(self, "_bar"):
            self._bar.stop()


def timers(trainer: Trainer) -> list[Timer]:
    """What ends a run by ``trainer.max_time``."""
    callbacks = trainer.callbacks  # type: ignore[attr-defined]
    return [callback for callback in callbacks if isinstance(callback, Timer)]


def share_done(trainer: Trainer) -> float | None:
    """How much of the way is done, by steps or by time, whichever ends the run first; None without
    an end.
    """
    shares = []
    if trainer.max_steps > 0:
        shares.append(trainer.global_step / trainer.max_steps)
    for timer in timers(trainer):
        left = timer.time_remaining()
        if left is not None:
            spent = timer.time_elapsed()
            shares.append(spent / max(spent + left, 1e-6))
    return max(shares, default=None)


def status(trainer: Trainer) -> str:
    """The latest losses, scores and speed in a few words."""
    metrics = {name: float(value) for name, value in trainer.callback_metrics.items()}
    speed = metrics.get("train/images_per_second")
    # Speed, losses, then scores.
    shown = [f"{speed:,.0f} img/s"] if speed else []
    shown += [f"{name} {value:.3g}" for name, value in metrics.items() if _is_loss(name)]
    shown += [
        f"{name.removeprefix('val/')} {value:.4g}"
        for name, value in metrics.items()
        if name.startswith("val/")
    ]
    return "  ".join(shown)


def _is_loss(name: str) -> bool:
    return name.count("/") == 1 and name[:2] in ("d/", "g/") and not name.endswith("grad_norm")
