"""Names of the files of a folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def names_below(folder: Path, files: Sequence[Path]) -> list[str]:
    """The paths of ``files`` relative to ``folder``, with ``/`` between their parts.

    As `Path.relative_to`, at a fraction of its time, which counts for a million files.
    """
    prefix = "" if folder == Path() else f"{folder.as_posix().rstrip('/')}/"
    return [file.as_posix().removeprefix(prefix) for file in files]
