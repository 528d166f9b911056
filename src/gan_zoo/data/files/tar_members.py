"""The samples of a tar file in WebDataset's convention: members of one key, one after another."""

from __future__ import annotations

import os
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import BinaryIO, NamedTuple

from gan_zoo.core.errors import DataError
from gan_zoo.data.files.image_io import SUFFIXES

CLASS = re.compile("[0-9]{1,9}")
PLACES = "data.root and data.test_root"
TAIL = 2**20
"""Bytes of the end of a tar that are looked at: writers fill up records of 10 KB with zeros."""


class Place(NamedTuple):
    """Where the bytes of a member are: the first one, and how many."""

    start: int
    size: int


@dataclass(frozen=True, slots=True)
class TarSample:
    """One sample of a tar.

    Attributes:
        key: the name of its members up to the first dot of the base name.
        image: the image.
        partner: the second image, if it is wanted.
        label: class number; None without one.
        caption: the caption, if it is wanted.
    """

    key: str
    image: Place
    partner: Place | None
    label: int | None
    caption: str | None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What every sample must have besides an image.

    Attributes:
        captions: whether a caption, ``.txt``.
        partner: the suffix of a second image, without the first dot; None for none.
    """

    captions: bool = False
    partner: str | None = None

    def role(self, suffix: str) -> str | None:
        """What a member with this suffix is in its sample; None if it is ignored."""
        if self.partner is not None and suffix == self.partner.lower():
            return "partner"
        if f".{suffix}" in SUFFIXES:
            return "image"
        return suffix if suffix == "cls" or (suffix == "txt" and self.captions) else None

    def needed(self) -> dict[str, tuple[str, str]]:
        """The roles that no sample may lack: what they are, and why."""
        needed = {"image": ("image", f"every sample must have one ({', '.join(SUFFIXES)})")}
        if self.captions:
            needed["txt"] = (".txt", "data.captions=true needs one in every sample")
        if self.partner is not None:
            reason = f"data.condition_suffix={self.partner} needs one in every sample"
            needed["partner"] = (f".{self.partner}", reason)
        return needed


def read_samples(path: Path, wanted: Wanted) -> Iterator[TarSample]:
    """The samples of a tar file in its order.

    Raises:
        DataError: if it is no complete tar, or a sample lacks something or has it twice.
    """
    try:
        file = path.open("rb")
    except OSError as error:
        raise DataError(f"{path} cannot be opened: {error.strerror}") from error
    with file:
        for key, members in groupby(_members(path, file), key=itemgetter(0)):
            roles = _roles(path, key, [member for _, member in members], wanted)
            if roles:
                yield _sample(path, file, key, roles)


def member_at(path: Path, start: int) -> str:
    """The name of the member whose bytes begin at ``start``, for messages."""
    try:
        with path.open("rb") as file:
            names = (
                member.name for _, member in _members(path, file) if member.offset_data == start
            )
            return next(names, f"byte {start}")
    except (DataError, OSError):
        return f"byte {start}"


def _members(path: Path, file: BinaryIO) -> Iterator[tuple[str, tarfile.TarInfo]]:
    """The members with a key and a suffix, and their keys; raises `DataError` if the tar is
    damaged.
    """
    try:
        with tarfile.open(fileobj=file, mode="r:") as tar:
            while (member := tar.next()) is not None:
                tar.members.clear()  # type: ignore[attr-defined]  # it would grow with the file
                folder, slash, name = member.name.rpartition("/")
                stem, dot, _ = name.partition(".")
                if stem and dot and not member.isdir():
                    yield f"{folder}{slash}{stem}", member
            end = tar.offset
    except (tarfile.TarError, OSError, ValueError, EOFError) as error:
        raise DataError(_not_whole(path, str(error))) from error

    # Python takes a damaged header for the end; a real one is zeros up to the end of the file.
    file.seek(end)
    tail = file.read(TAIL)
    if len(tail) < tarfile.BLOCKSIZE:
        raise DataError(_not_whole(path, f"it ends too early, after {end + len(tail):,} bytes"))
    if any(tail):
        raise DataError(_not_whole(path, f"what follows byte {end:,} is damaged, or another tar"))


def _not_whole(path: Path, reason: str) -> str:
    return f"{PLACES} must hold complete, uncompressed tar files, got {path}: {reason}"


def _roles(
    path: Path, key: str, members: list[tarfile.TarInfo], wanted: Wanted
) -> dict[str, tarfile.TarInfo]:
    """The members of a sample by their roles, none if all are ignored; raises `DataError` if one
    lacks or is there twice.
    """
    roles: dict[str, tarfile.TarInfo] = {}
    for member in members:
        role = wanted.role(_suffix(member))
        if role is None:
            continue
        if role in roles:
            first, second = (f".{_suffix(found)}" for found in (roles[role], member))
            what = "image" if role in ("image", "partner") else first
            raise DataError(
                f"{path} has two members of one key where one {what} is allowed: {key}{first} and"
                f" {key}{second}"
            )
        if not member.isreg() or member.issparse():
            raise DataError(
                f"{path}: {member.name} must be an ordinary file, got a link or a sparse file:"
                " write the tar with tar --dereference --hard-dereference"
            )
        roles[role] = member

    # The image, and what is asked for.
    lacking = [role for role in wanted.needed() if role not in roles]
    if not roles or not lacking:
        return roles
    what, reason = wanted.needed()[lacking[0]]
    found = ", ".join(f".{_suffix(member)}" for member in members[:3])
    more = f" and {len(members) - 3} more" if len(members) > 3 else ""
    raise DataError(
        f"{path}: the sample {key!r} has no {what}, only {found}{more}: {reason}; a sample is the"
        " members with one name up to the first dot, one after another (tar --sort=name)"
    )


def _suffix(member: tarfile.TarInfo) -> str:
    """What follows the first dot of the base name, in lower case."""
    return member.name.rpartition("/")[2].partition(".")[2].lower()


def _sample(path: Path, file: BinaryIO, key: str, roles: dict[str, tarfile.TarInfo]) -> TarSample:
    """A sample; raises `DataError` if its class or caption cannot be read."""
    places = {name: Place(member.offset_data, member.size) for name, member in roles.items()}

    # Texts are short, and read at once.
    texts = {}
    for name in ("cls", "txt"):
        if name in places:
            start, size = places[name]
            content = os.pread(file.fileno(), size, start)
            try:
                texts[name] = content.decode("utf-8")
            except UnicodeDecodeError as error:
                raise DataError(f"{path}: {key}.{name} must be text in UTF-8: {error}") from error
    label = texts.get("cls")
    if label is not None and CLASS.fullmatch(label.strip()) is None:
        raise DataError(
            f"{path}: {key}.cls must be a class number, an integer >= 0 of at most 9 digits, got"
            f" {label[:40]!r}"
        )
    return TarSample(
        key,
        places["image"],
        places.get("partner"),
        None if label is None else int(label),
        texts.get("txt"),
    )
