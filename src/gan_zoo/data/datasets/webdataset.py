"""Images in WebDataset's tar files, read by number from a folder."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import astuple, dataclass
from functools import partial
from pathlib import Path

import torch

from gan_zoo.core.distributed import is_first_here
from gan_zoo.core.errors import DataError
from gan_zoo.core.types import Count, ImageSize
from gan_zoo.data.dataset import Source
from gan_zoo.data.encoded_images import streamed
from gan_zoo.data.files.cache import cache_key
from gan_zoo.data.files.find import find_files
from gan_zoo.data.files.image_cache import check_folder, size_and_date
from gan_zoo.data.files.image_io import SUFFIXES, ValueRange, check_channels, check_value_range
from gan_zoo.data.files.tar_index import TarIndex, tar_index
from gan_zoo.data.files.tar_members import Wanted
from gan_zoo.data.files.tar_shards import OpenTars, TarShards
from gan_zoo.data.text import TextEncoding
from gan_zoo.data.window_shuffle import WindowShuffle, check_window

COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz", ".tar.zst", ".tzst")


def webdataset(
    root: str,
    channels: int = 3,
    image_size: ImageSize = 64,
    window: Count = 16,
    captions: bool = False,
    condition_suffix: str | None = None,
    condition_channels: int = 3,
    text: str = "words",
    caption_length: Count = 16,
    vocabulary_size: Count = 2000,
    test_root: str | None = None,
    value_range: ValueRange | None = None,
) -> Source:
    """Images in the tar files below ``root``, decoded when a batch needs them.

    Members with the same name up to the first dot, one after another, are a sample: an image,
    perhaps a class number ``.cls``, a caption ``.txt`` and a second image; others are ignored.
    Pixels are those of `gan_zoo.data.datasets.image_folder.image_folder` on the same files.

    Args:
        root: a folder of uncompressed tar files, nested or not.
        channels, image_size: 1 or 3, and S; short sides are resized to S, centers cropped.
        window: tar files among which samples are mixed, see `WindowShuffle`.
        captions: whether captions become conditions.
        condition_suffix: ``source.png`` where ``000.source.png`` is the image that is the condition
            of ``000.jpg``; None for no such images.
        condition_channels: 1 or 3, of these.
        text, caption_length, vocabulary_size: see `TextEncoding`.
        test_root: held-out images, in the same form; None for none.
        value_range: black and white of more than 8 bits, where the format does not define them.

    Raises:
        DataError: if there are no tar files, one is damaged or compressed, a sample lacks something
            or has it twice, or an option is invalid.
    """
    # Before the tars are read.
    encoding = TextEncoding(text, caption_length, vocabulary_size)
    wanted = _wanted(captions, condition_suffix)
    sizes = (channels, image_size, window, condition_channels)
    options = Options(wanted, *sizes, encoding, value_range)

    # The images, which nothing has read yet.
    tars = Tars.open(root, "data.root", wanted)
    seen = tars.index.captions or ()
    source = options.source(tars, seen)
    if test_root is not None:
        source.split = "train"
        source.held_out = partial(_held_out, test_root, options, source.num_classes, seen)
    return source


def _wanted(captions: bool, suffix: str | None) -> Wanted:
    """What every sample must have; raises `DataError` unless it is captions, images or neither."""
    if suffix is None:
        return Wanted(captions)
    name = suffix.removeprefix(".")
    if not f".{name}".lower().endswith(SUFFIXES):
        raise DataError(
            f"data.condition_suffix must end like an image ({', '.join(SUFFIXES)}) or be null, got"
            f" {suffix!r}"
        )
    if captions:
        raise DataError(
            "data.captions must be false or data.condition_suffix null, as a model has one kind of"
            f" conditions, got true and {suffix}"
        )
    return Wanted(partner=name)


@dataclass(frozen=True, slots=True)
class Tars:
    """Tar files and what is in them.

    Attributes:
        folder: where they are.
        paths: the files, sorted.
        stats: their sizes and dates.
        index: where their samples are.
    """

    folder: Path
    paths: Sequence[Path]
    stats: Sequence[tuple[int, int]]
    index: TarIndex

    @classmethod
    def open(cls, root: str, argument: str, wanted: Wanted) -> Tars:
        """The tar files below ``root``; raises `DataError` as `webdataset`, naming ``argument``."""
        folder = check_folder(Path(root).expanduser(), argument, "tar files")
        paths = find_files(folder, (".tar",), COMPRESSED)
        if not paths:
            raise DataError(
                f"{argument}={folder} has no tar files (.tar); compressed ones do not allow random"
                " access: unpack them with gunzip, bunzip2, unxz or unzstd"
            )
        stats = [size_and_date(path) for path in paths]
        return cls(folder, paths, stats, tar_index(paths, stats, wanted))

    def opened(self, open_files: int) -> OpenTars:
        """The same for reading, of which so many stay open."""
        return OpenTars(self.paths, self.stats, self.index.counts.tolist(), open_files)

    def key(self) -> str:
        """A hash that changes with every file's name, size and date."""
        names = [path.relative_to(self.folder).as_posix() for path in self.paths]
        return cache_key(names, self.stats)


@dataclass(frozen=True, slots=True)
class Options:
    """How tars become a source.

    Attributes:
        wanted: what every sample must have.
        channels, image_size, window, condition_channels, value_range: as in `webdataset`.
        encoding: of captions.

    Raises:
        DataError: if one is invalid.
    """

    wanted: Wanted
    channels: int
    image_size: ImageSize
    window: int
    condition_channels: int
    encoding: TextEncoding
    value_range: ValueRange | None

    def __post_init__(self) -> None:
        check_window(self.window)
        for number in (self.channels, self.condition_channels):
            check_channels(number)
        check_value_range(self.value_range)

    def source(self, tars: Tars, seen: Sequence[str]) -> Source:
        """All samples of ``tars``; ``seen`` are the captions whose words are the vocabulary."""
        # Samples of up to window + 1 tars are mixed, see `WindowShuffle`.
        index = tars.index
        opened = tars.opened(self.window + 1)
        images = TarShards(opened, index.images)
        source = Source(
            tars.folder.name,
            "all",
            streamed(images, self.channels, self.image_size, self.value_range),
            None if index.labels is None else torch.from_numpy(index.labels),
            permute=WindowShuffle(index.counts.tolist(), self.window),
            fingerprint=self._fingerprint(tars),
        )

        # Conditions.
        if index.captions is not None:
            source.captions = index.captions
            source.conditions, source.vocabulary = self.encoding.conditions(index.captions, seen)
        if index.partners is not None:
            partners = TarShards(opened, index.partners)
            source.conditions = streamed(
                partners, self.condition_channels, self.image_size, self.value_range
            )
        if is_first_here():
            line = f"{tars.folder}: {len(images):,} images in {len(tars.paths)} tar files"
            print(line, file=sys.stderr)
        return source

    def _fingerprint(self, tars: Tars) -> str:
        """A hash that changes with the samples, whatever their order."""
        words = astuple(self.encoding) if self.wanted.captions else None
        partners = self.condition_channels if self.wanted.partner is not None else None
        kept = (self.channels, self.image_size, self.wanted.partner, partners, words)
        return cache_key("webdataset", tars.key(), *kept, *(self.value_range or ()))


def _held_out(
    test_root: str, options: Options, num_classes: int | None, seen: Sequence[str]
) -> Source:
    """The held-out images; raises `DataError` unless their classes are among those of training."""
    source = options.source(Tars.open(test_root, "data.test_root", options.wanted), seen)
    found = source.num_classes
    if (found is None) != (num_classes is None) or (found or 0) > (num_classes or 0):
        raise DataError(
            f"data.test_root must have the classes of data.root, {_range(num_classes)}, got"
            f" {_range(found)}"
        )
    return source


def _range(num_classes: int | None) -> str:
    return "none" if num_classes is None else f"0 to {num_classes - 1}"
