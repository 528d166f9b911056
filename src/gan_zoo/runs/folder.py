"""The files of a run folder: their names, and how they are read and written."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from gan_zoo.core.errors import ConfigError
from gan_zoo.core.files import atomic_path
from gan_zoo.runs.checkpoint_store import CheckpointStore

HYDRA_FOLDER = ".hydra"
PARTS = ("config", "overrides", "hydra")


class RunFolder:
    """The folder of one run; whatever is not there reads as empty.

    ``.hydra/`` holds the config, the overrides and Hydra's own config, ``checkpoints/`` what
    `CheckpointStore` says, ``samples/`` the image grids by images seen. ``metrics.csv`` is the log,
    ``metrics.json`` the metrics with their protocols, ``FAILED.txt`` why training failed,
    ``report.html`` the report.

    Args:
        path: the folder, which need not exist yet.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.log = self.path / "metrics.csv"
        self.report = self.path / "report.html"
        self.samples = self.path / "samples"
        self._metrics = self.path / "metrics.json"
        self._failure = self.path / "FAILED.txt"
        self._lock = self.path / ".lock"

    @classmethod
    def of_checkpoint(cls, checkpoint: Path) -> RunFolder:
        """The run folder of a checkpoint file: the folder above ``checkpoints/``, or else the
        file's own.
        """
        folder = checkpoint.parent
        return cls(folder.parent if folder.name == "checkpoints" else folder)

    @classmethod
    def find_below(cls, folder: Path) -> list[RunFolder]:
        """All run folders in ``folder``, itself included, sorted by path."""
        return [
            cls(file.parent.parent) for file in sorted(folder.rglob(f"{HYDRA_FOLDER}/config.yaml"))
        ]

    def __fspath__(self) -> str:
        return str(self.path)

    @property
    def is_run(self) -> bool:
        """Whether a run has been started here."""
        return self.config_file("overrides").is_file()

    @property
    def has_finished(self) -> bool:
        """Whether training got as far as a report or metrics."""
        return self.report.is_file() or self._metrics.is_file()

    # ------------------------------------------------------------------ checkpoints

    @property
    def checkpoints(self) -> CheckpointStore:
        """The checkpoints."""
        return CheckpointStore(self.path / "checkpoints")

    @contextmanager
    def locked(self, timeout: float = 20.0) -> Iterator[None]:
        """Hold the folder against a second process that would train into it; a dead one holds
        nothing.

        Args:
            timeout: seconds to wait for another process that is just leaving.

        Raises:
            ConfigError: if another process still trains into the folder.
        """
        from filelock import FileLock, Timeout

        self.path.mkdir(parents=True, exist_ok=True)
        lock = FileLock(self._lock, timeout=timeout)

        # Wait for a process that is just leaving.
        try:
            lock.acquire()
        except Timeout:
            raise ConfigError(f"another process is training into {self.path}") from None
        except OSError:
            warning = (
                f"{self.path} is on a file system without locks: make sure that no other process"
                " trains into it"
            )
            print(warning, file=sys.stderr)
        try:
            yield
        finally:
            lock.release()

    @property
    def is_training(self) -> bool:
        """Whether a process of this machine is training into the folder now."""
        from filelock import FileLock, Timeout

        if not self._lock.is_file():
            return False
        lock = FileLock(self._lock, timeout=0)
        try:
            lock.acquire()
        except Timeout:
            return True
        except OSError:
            return False
        lock.release()
        return False

    # ------------------------------------------------------------------ config

    def write_config(self, texts: Mapping[str, str]) -> None:
        """Write the parts of ``.hydra/``: YAML by name of the part."""
        for name, text in texts.items():
            with atomic_path(self.config_file(name)) as temporary:
                temporary.write_text(text, encoding="utf-8")

    def config_text(self, part: str = "config") -> str:
        """One of `PARTS` as YAML."""
        return _text(self.config_file(part))

    def config(self, part: str = "config") -> Any:
        """One of `PARTS` as plain containers.

        Raises:
            ConfigError: if it is damaged.
        """
        try:
            return yaml.safe_load(self.config_text(part))  # type: ignore[no-untyped-call]
        except (UnicodeDecodeError, yaml.YAMLError) as error:  # type: ignore[attr-defined]
            raise ConfigError(f"{self.config_file(part)} cannot be read") from error

    def config_file(self, part: str) -> Path:
        """Where one of `PARTS` is."""
        return self.path / HYDRA_FOLDER / f"{part}.yaml"

    # ------------------------------------------------------------------ results

    def metrics(self) -> dict[str, Any]:
        """``metrics.json``: ``metrics``, their ``history``, ``images_seen``, ``seconds``,
        ``provenance`` and more.

        Raises:
            ConfigError: if it is damaged.
        """
        try:
            content = json.loads(_text(self._metrics) or "{}")
        except ValueError as error:
            raise ConfigError(f"{self._metrics.name} is damaged") from error
        if not isinstance(content, dict):
            raise ConfigError(f"{self._metrics.name} is damaged")
        return content

    def write_metrics(self, content: Mapping[str, Any]) -> None:
        """Replace ``metrics.json``."""
        with atomic_path(self._metrics) as temporary:
            temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")

    def append_metrics(self, entries: Iterable[Mapping[str, Any]]) -> None:
        """Add metrics; one with a name and a protocol that are there already takes the old one's
        place.
        """
        content = self.metrics()
        new = list(entries)
        replaced = {_identity(entry) for entry in new}
        kept = [entry for entry in content.get("metrics", []) if _identity(entry) not in replaced]
        self.write_metrics(content | {"metrics": [*kept, *new]})

    @property
    def failure(self) -> str:
        """Why training failed; empty if it did not."""
        return _text(self._failure).strip()

    def write_failure(self, text: str) -> None:
        """Keep why training failed."""
        self._failure.write_text(text, encoding="utf-8")

    def clear_failure(self) -> None:
        """Forget an earlier failure."""
        self._failure.unlink(missing_ok=True)

    def sample_grid_path(self, images_seen: int) -> Path:
        """Where the image grid of this moment belongs."""
        return self.samples / f"{images_seen:09d}.png"

    @property
    def real_grid_path(self) -> Path:
        """Where the image grid of real samples belongs."""
        return self.samples / "real.png"

    def sample_grids(self) -> Sequence[Path]:
        """The image grids, oldest first."""
        return sorted(self.samples.glob("[0-9]*.png"))

    def sounds(self) -> list[Path]:
        """The sounds of the last sample grid, in order; none where samples are no sounds."""
        last = max(self.sample_grids(), default=None)
        return sorted(last.with_suffix("").glob("*.wav")) if last else []


def _identity(entry: Mapping[str, Any]) -> str:
    return json.dumps([entry["name"], entry["protocol"]], sort_keys=True)


def _text(file: Path) -> str:
    return file.read_text(encoding="utf-8", errors="replace") if file.is_file() else ""
