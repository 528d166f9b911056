"""A data set as one tensor."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F


class DataError(ValueError):
    """The data cannot be used; the message says what to do."""


@dataclass(slots=True)
class Source:
    """All samples of one split.

    Attributes:
        name, split: what this is, for protocols and reports.
        samples: ``[N, C, H, W]`` uint8 images, possibly memory-mapped, or ``[N, D]`` float32 vectors.
        labels: class numbers ``[N]`` (int64), if there are any.
        conditions: what samples come with beside their class: pictures ``[M, C, H, W]`` (uint8), vectors ``[M, D]``
            (float32) or token numbers ``[M, L]`` (int64).
        aligned: whether row i of the conditions belongs to sample i, M = N; if not, they are another domain.
        unpaired: whether training sees samples and conditions in independent orders although they may be aligned.
        captions: for token conditions, their text; for any others, what to write beside a sample.
        vocabulary: for token conditions, the words; a word's number is its index + 2, 1 is an unknown word, 0 padding.
        classes: names of the classes.
        held_out: makes the part of the data that training does not see, if there is one.
        licence: what a model card has to say of the data.
        fingerprint: changes whenever the samples do; made from the samples' bytes unless given.
    """

    name: str
    split: str
    samples: Tensor
    labels: Tensor | None = None
    conditions: Tensor | None = None
    aligned: bool = True
    unpaired: bool = False
    captions: Sequence[str] | None = None
    vocabulary: Sequence[str] | None = None
    classes: Sequence[str] | None = None
    held_out: Callable[[], Source] | None = None
    licence: str = ""
    fingerprint: str = ""
    _told: Source | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        self.unpaired = self.unpaired or not self.aligned
        if not self.fingerprint:
            self.fingerprint = hashlib.sha256(self.samples.contiguous().numpy().tobytes()).hexdigest()

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def sample_shape(self) -> list[int]:
        """Shape of one sample."""
        return list(self.samples.shape[1:])

    @property
    def num_classes(self) -> int | None:
        """Number of classes that occur, or have names."""
        if self.labels is None:
            return None
        return int(self.labels.max()) + 1 if self.classes is None else len(self.classes)

    def told(self) -> Source:
        """Where the conditions of generated samples come from: held-out data if there are any, else these."""
        if self._told is None:
            self._told = self if self.held_out is None else self.held_out()
        return self._told

    @property
    def condition_kind(self) -> str | None:
        """``image``, ``vector`` or ``text``; None without conditions."""
        if self.conditions is None:
            return None
        if self.conditions.ndim == 4:
            return "image"
        return "vector" if self.conditions.is_floating_point() else "text"

    @property
    def offers(self) -> set[str]:
        """What its batches bring beside samples, in the words of `gan_zoo.games.base.Game.needs`."""
        kinds = {None if self.labels is None else "label", "domain" if self.condition_kind == "image" else None}
        kinds |= {None if self.unpaired else self.condition_kind}
        return {kind for kind in kinds if kind is not None}

    @property
    def nbytes(self) -> int:
        """Memory of samples and conditions."""
        return self.samples.nbytes + (0 if self.conditions is None else self.conditions.nbytes)


@dataclass(slots=True)
class Mixture(Source):
    """Vectors from a mixture whose modes are known.

    Attributes:
        centers: ``[K, D]``, one row a mode.
        std: standard deviation of every mode.
    """

    centers: Tensor = field(default_factory=lambda: torch.empty(0))
    std: float = 0.0


def to_unit(samples: Tensor) -> Tensor:
    """uint8 images to float32 in [-1, 1]; vectors stay as they are."""
    return samples.float().div_(127.5).sub_(1.0) if samples.dtype == torch.uint8 else samples


def to_uint8(samples: Tensor) -> Tensor:
    """Images in [-1, 1] to uint8, the inverse of `to_unit`."""
    return samples.float().mul(127.5).add_(128).clamp_(0, 255).to(torch.uint8)


def fit_images(images: Tensor, channels: int, image_size: int) -> Tensor:
    """uint8 images ``[N, C, H, W]`` at the channels and size asked for.

    28 pixels become 32 by a border of the corner's grey value 0, so that MNIST keeps its pixels; every other change
    of size is an antialiased bilinear resize.
    """
    if images.shape[1:2] != (channels,):
        images = convert_channels(images, channels)
    if images.shape[-1] == image_size:
        return images
    if images.shape[-1] == 28 and image_size == 32:
        return F.pad(images, (2, 2, 2, 2))
    return torch.cat([_resize(piece, image_size) for piece in torch.split(images, 4096)])


def _resize(images: Tensor, image_size: int) -> Tensor:
    resized = F.interpolate(images.float(), (image_size, image_size), mode="bilinear", antialias=True)
    return resized.round_().clamp_(0, 255).to(torch.uint8)


def convert_channels(images: Tensor, channels: int) -> Tensor:
    """Grey to RGB by repetition, RGB to grey by the luma of ITU-R 601."""
    if (images.shape[1], channels) == (1, 3):
        return images.expand(-1, 3, -1, -1).contiguous()
    if (images.shape[1], channels) == (3, 1):
        luma = torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
        return (images.float() * luma).sum(1, keepdim=True).round_().to(torch.uint8)
    raise DataError(f"data.channels must be 1 or 3, got {channels}")


def check_interface(
    source: Source,
    sample_shape: Sequence[int],
    num_classes: int | None = None,
    condition_shape: Sequence[int] | None = None,
) -> None:
    """Raise `DataError` if samples, labels or conditions are not what the config promises the networks."""
    if condition_shape is not None:
        conditions = None if source.conditions is None else list(source.conditions.shape[1:])
        if conditions != list(condition_shape):
            raise DataError(
                f"data={source.name} has conditions of shape {conditions}, but data.condition_shape says "
                f"{list(condition_shape)}"
            )
    found = source.num_classes
    if num_classes is not None and found != num_classes:
        has = "no labels" if found is None else f"{found} classes"
        raise DataError(f"data={source.name} has {has}, but data.num_classes says {num_classes}")
    if source.sample_shape != list(sample_shape):
        raise DataError(
            f"data={source.name} has samples of shape {source.sample_shape}, but data.sample_shape says "
            f"{list(sample_shape)}"
        )
