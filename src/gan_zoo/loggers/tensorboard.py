"""TensorBoard."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.loggers import TensorBoardLogger

from gan_zoo.loggers.sections import SECTIONS

Layout = dict[str, dict[str, list[Any]]]


class TensorBoardLog(TensorBoardLogger):
    """TensorBoard with a layout of charts in its tab Custom Scalars, written once at the start.

    Args:
        save_dir: the run folder.
        name: folder of the event files in it.
        version: a further folder in that; none if empty.
        options: further arguments of `lightning.pytorch.loggers.TensorBoardLogger`.
    """

    def __init__(
        self,
        save_dir: str,
        name: str = "tensorboard",
        version: int | str | None = "",
        **options: Any,
    ) -> None:
        super().__init__(save_dir, name=name, version=version, **options)

    @property
    def experiment(self) -> Any:
        """What writes the event file, on rank 0."""
        if self._experiment is None and getattr(rank_zero_only, "rank", 0) == 0:
            # A resumed run has the layout in its first file.
            resumed = any(Path(self.log_dir).glob("events.out.tfevents.*"))
            writer = super().experiment
            if not resumed:
                writer.add_custom_scalars(layout())
        return super().experiment


def layout() -> Layout:
    """The charts of `gan_zoo.loggers.sections.SECTIONS` for ``SummaryWriter.add_custom_scalars``:
    by section and title, ``["Multiline", [REGEX]]``.
    """
    return {
        name: {chart.title: ["Multiline", [chart.regex]] for chart in charts}
        for name, charts in SECTIONS.items()
    }
