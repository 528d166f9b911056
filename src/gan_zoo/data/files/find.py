"""Files below a folder."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from gan_zoo.core.distributed import is_first_here
from gan_zoo.core.errors import DataError
from gan_zoo.data.files.image_io import LEFT_OUT, SUFFIXES


def images_in(folder: Path, argument: str) -> list[Path]:
    """The files of `find_images`; raises `DataError` naming ``argument`` if there are none."""
    files = find_images(folder)
    if not files:
        raise DataError(f"{argument}={folder} has no images ({', '.join(SUFFIXES)})")
    return files


def find_images(folder: Path) -> list[Path]:
    """All image files below ``folder``, see `find_files`."""
    return find_files(folder, SUFFIXES, LEFT_OUT)


def find_files(folder: Path, suffixes: Sequence[str], left_out: Sequence[str] = ()) -> list[Path]:
    """All files below ``folder`` that end like ``suffixes``, sorted, also behind links to folders.

    Hidden files and folders, and those that operating systems add, are left out. What cannot be
    read, such as a pipe, a folder without permission or a file that ends like ``left_out``, is left
    out with a message.
    """
    known = tuple(suffixes)
    also = (*known, *left_out)
    found: list[Path] = []
    unreadable: list[Path] = []
    for entry in _walk(folder, {_identity(folder)}, unreadable):
        ending = entry.name.lower()
        if not ending.endswith(also):
            continue
        listed = found if ending.endswith(known) and _may_be_opened(entry) else unreadable
        listed.append(Path(entry.path))

    # One line for all that are left out.
    if unreadable and is_first_here():
        kinds = ", ".join(sorted({file.suffix.lower() or "folder" for file in unreadable}))
        print(
            f"{len(unreadable)} files in {folder} are left out ({kinds}), the first is"
            f" {min(unreadable)}",
            file=sys.stderr,
        )
    return found


def _walk(
    folder: Path | str, seen: set[tuple[int, int]], unreadable: list[Path]
) -> Iterator[os.DirEntry[str]]:
    """Every file below ``folder``, sorted by the parts of its path.

    Args:
        folder: of the files.
        seen: the folders that are not entered again, so that circular links end.
        unreadable: gets the folders that may not be read.
    """
    try:
        with os.scandir(folder) as entries:
            listed = sorted(entries, key=lambda entry: entry.name)
    except OSError:
        unreadable.append(Path(folder))
        return
    listed = [entry for entry in listed if not entry.name.startswith(".")]

    # All folders of this one before any of theirs, so that a link further down is no class.
    folders = set()
    for entry in listed:
        if _is_folder(entry) and not entry.name.startswith("@") and entry.name != "__MACOSX":
            identity = _identity(entry)
            if identity not in seen:
                seen.add(identity)
                folders.add(entry)
    for entry in listed:
        if entry in folders:
            yield from _walk(entry.path, seen, unreadable)
        elif not _is_folder(entry):
            yield entry


def _identity(folder: Path | os.DirEntry[str]) -> tuple[int, int]:
    """What a folder and all links to it have in common."""
    status = os.stat(folder)  # noqa: PTH116 - of entries, too
    return status.st_dev, status.st_ino


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Whether ``entry`` is a folder or a link to one; links to themselves are not."""
    return os.path.isdir(entry) if entry.is_symlink() else entry.is_dir()  # noqa: PTH112 - of an entry


def _may_be_opened(entry: os.DirEntry[str]) -> bool:
    """Whether ``entry`` is a regular file, as a pipe would block.

    Broken links fail later with their name.
    """
    if not entry.is_symlink():
        return entry.is_file()
    return os.path.isfile(entry) or not os.path.exists(entry)  # noqa: PTH110, PTH113 - of an entry
