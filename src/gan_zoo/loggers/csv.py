"""``metrics.csv`` in the run folder."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from lightning.fabric.utilities.rank_zero import rank_zero_only
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.loggers.csv_logs import ExperimentWriter

from gan_zoo.core.files import atomic_path, complete_rows


class CSVLog(CSVLogger):
    """``metrics.csv`` in the run folder; a resumed run appends to it.

    Args:
        save_dir: the run folder.
    """

    def __init__(self, save_dir: str) -> None:
        super().__init__(save_dir, name="", version="", flush_logs_every_n_steps=1)

    @property
    def experiment(self) -> Any:
        """What writes the file, on rank 0."""
        if self._experiment is None and getattr(rank_zero_only, "rank", 0) == 0:
            self._experiment = _AppendingWriter(self.log_dir)
        return super().experiment


class _AppendingWriter(ExperimentWriter):
    """Keeps the rows that are there."""

    def _check_log_dir_exists(self) -> None:
        if Path(self.metrics_file_path).is_file():
            with Path(self.metrics_file_path).open(encoding="utf-8", newline="") as file:
                self.metrics_keys = list(csv.DictReader(file).fieldnames or [])

    def _rewrite_with_new_header(self, fieldnames: list[str]) -> None:
        with Path(self.metrics_file_path).open(encoding="utf-8", newline="") as file:
            _write(Path(self.metrics_file_path), fieldnames, list(csv.DictReader(file)))


def truncate_csv(path: Path, step: int) -> None:
    """Drop the rows of ``metrics.csv`` that were logged after ``step``, from where the run goes
    on.
    """
    if path.is_file():
        header, rows = complete_rows(path)
        _write(
            path,
            header,
            [row for row in rows if row.get("step", "").isdigit() and int(row["step"]) <= step],
        )


def _write(path: Path, fieldnames: list[str], rows: list[dict[str, Any]]) -> None:
    with atomic_path(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames, extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
