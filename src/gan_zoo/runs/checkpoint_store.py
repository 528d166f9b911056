"""The checkpoints of a run: whole, hashed and listed, whatever moment the process dies at."""

from __future__ import annotations

import json
import os
import warnings
from dataclasses import asdict, dataclass
from pathlib import Path

from gan_zoo.core.errors import ConfigError
from gan_zoo.core.files import atomic_path, sha256

MANIFEST = "manifest.json"
POINTERS = ("last", "best")


@dataclass(frozen=True, slots=True)
class CheckpointRecord:
    """A checkpoint as the manifest lists it.

    Attributes:
        file: its name in the folder.
        step, images_seen: when it was written.
        sha256: of its bytes.
    """

    file: str
    step: int
    images_seen: int
    sha256: str


class CheckpointStore:
    """The folder ``checkpoints/`` of a run: ``step-<n>.ckpt``, ``manifest.json``, and the links
    ``last`` and ``best``.

    A file is listed once it is whole and on the disk, and the links are made from the list. So at
    any moment the newest listed file is good, and what a dying process leaves half-written is
    listed nowhere.

    Args:
        folder: where the files are.
        keep: how many of the newest are kept; the best one is kept beside them.
    """

    def __init__(self, folder: Path, keep: int = 2) -> None:
        if keep < 1:
            raise ConfigError(f"callbacks.checkpoints.keep must be >= 1, got {keep}")
        self.folder, self.keep = folder, keep

    # ------------------------------------------------------------------ reading

    def entries(self) -> list[CheckpointRecord]:
        """What is listed, oldest first."""
        return self._read()[0]

    @property
    def best(self) -> int | None:
        """The step of the best checkpoint, if one was called so."""
        return self._read()[1]

    def _read(self) -> tuple[list[CheckpointRecord], int | None]:
        path = self.folder / MANIFEST
        try:
            content = json.loads(path.read_text())
            return [CheckpointRecord(**entry) for entry in content["checkpoints"]], content["best"]
        # A new run has saved nothing yet.
        except FileNotFoundError:
            return [], None
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                f"{path} is damaged: name a checkpoint yourself, resume={self.folder}/<file>.ckpt"
            ) from error

    def path(self, step: int) -> Path:
        """Where the checkpoint of ``step`` belongs."""
        return self.folder / f"step-{step:09d}.ckpt"

    def pointer(self, name: str) -> Path:
        """Where the link ``last`` or ``best`` is."""
        return self.folder / f"{name}.ckpt"

    def latest_valid(self) -> Path | None:
        """The newest checkpoint whose bytes are those that were written; None if none ever was.

        Damaged ones are named in a warning and passed over.

        Raises:
            ConfigError: if there are checkpoints and none is good.
        """
        entries = self.entries()
        for entry in reversed(entries):
            path = self.folder / entry.file
            if trouble := _problem(path, {entry.sha256}):
                warnings.warn(f"{path} is {trouble}: going back to the one before it", stacklevel=2)
            else:
                return path

        # Files that no manifest lists cannot be verified.
        if entries or (not self._has_manifest and any(self.folder.glob("*.ckpt"))):
            raise ConfigError(
                f"none of the checkpoints in {self.folder} is whole: there is nothing to resume"
                " from"
            )
        return None

    def verify(self, path: Path) -> None:
        """Raise `ConfigError` if ``path`` is a file of this store whose bytes are not those that
        were written.
        """
        # Only files of this store can be verified.
        try:
            entries = self.entries()
        except ConfigError:  # a damaged manifest does not list it
            return
        if not entries or path.parent.resolve() != self.folder.resolve():
            return

        # A pointer is one of the listed files.
        known = {entry.file: {entry.sha256} for entry in entries}
        known |= {f"{name}.ckpt": {entry.sha256 for entry in entries} for name in POINTERS}
        if path.name in known and (trouble := _problem(path, known[path.name])):
            raise ConfigError(f"{path} is {trouble}: it is not what the run wrote")

    # ------------------------------------------------------------------ writing

    def record(self, step: int, images_seen: int, best: bool = False) -> None:
        """List the file that lies at ``path(step)``, then drop what is no longer kept."""
        path = self.path(step)
        entries, old_best = self._read()
        entry = CheckpointRecord(path.name, step, images_seen, sha256(path))
        self._commit([*(e for e in entries if e.step != step), entry], step if best else old_best)

    def mark_best(self, step: int) -> None:
        """Make the listed checkpoint of ``step`` the best one."""
        self._commit(self.entries(), step)

    def truncate_after(self, step: int) -> None:
        """Forget what lies after ``step``, from where the run goes on, and what a dead process left
        half-written.

        A manifest that is missing or damaged is made anew around the checkpoint of this step.
        """
        # What a dead process left half-written.
        self.folder.mkdir(parents=True, exist_ok=True)
        for leftover in self.folder.glob(".*.ckpt"):
            leftover.unlink(missing_ok=True)

        # Without a usable manifest only the checkpoint of this step is known.
        path = self.path(step)
        try:
            (entries, best), known = self._read(), self._has_manifest
        except ConfigError:
            entries, best, known = [], None, False
        if not known:
            entries = [CheckpointRecord(path.name, step, 0, sha256(path))] if path.is_file() else []

        # Later checkpoints, which are left alone where no manifest is known.
        later = (
            [found for found in self.folder.glob("step-*.ckpt") if found.name > path.name]
            if known
            else []
        )
        kept = [entry for entry in entries if entry.step <= step]

        # First the manifest, then the files: what is listed always exists.
        if kept or known:
            self._commit(kept, best if best is not None and best <= step else None)
        else:
            self._write([], None)
        for found in later:
            found.unlink(missing_ok=True)

    @property
    def _has_manifest(self) -> bool:
        return (self.folder / MANIFEST).is_file()

    def _commit(self, entries: list[CheckpointRecord], best: int | None) -> None:
        """List ``entries``, make the links, and only then drop what is not kept."""
        self._write(entries, best)
        files = {entry.step: self.folder / entry.file for entry in entries}
        self._link("last", files[entries[-1].step] if entries else None)
        self._link("best", files.get(best) if best is not None else None)

        # The newest ones and the best one are kept.
        kept = [entry for entry in entries[: -self.keep] if entry.step == best] + entries[
            -self.keep :
        ]
        if kept != entries:
            # Unlisted first: after a crash there is a file too many, never one too few.
            self._write(kept, best)
            for entry in entries:
                if entry not in kept:
                    (self.folder / entry.file).unlink(missing_ok=True)

    def _write(self, entries: list[CheckpointRecord], best: int | None) -> None:
        content = {"best": best, "checkpoints": [asdict(entry) for entry in entries]}
        with atomic_path(self.folder / MANIFEST) as temporary:
            temporary.write_text(json.dumps(content, indent=2) + "\n")

    def _link(self, name: str, target: Path | None) -> None:
        """Make ``<name>.ckpt`` the same file as ``target``, in one step."""
        path = self.pointer(name)
        if target is None:
            path.unlink(missing_ok=True)
        elif not (path.exists() and path.samefile(target)):
            with atomic_path(path) as temporary:
                # A hard link needs a name that is free.
                temporary.unlink()
                try:
                    os.link(target, temporary)
                except OSError:  # a file system without hard links
                    temporary.write_bytes(target.read_bytes())


def _problem(path: Path, expected: set[str]) -> str:
    """What is wrong with a file that should have one of these hashes; empty if nothing is."""
    if not path.is_file():
        return "missing"
    return "" if sha256(path) in expected else f"damaged (its hash is not the one in {MANIFEST})"
