"""A dataset in memory, or memory-mapped."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from gan_zoo.core.errors import DataError
from gan_zoo.core.rng import StepRNG
from gan_zoo.data.sample_kinds.base import SampleKind
from gan_zoo.data.sample_kinds.images import Images
from gan_zoo.data.sample_kinds.vectors import Vectors


def kind_of_shape(sample_shape: Sequence[int]) -> SampleKind:
    """The kind of samples of data that name none: images or vectors."""
    return Images() if len(sample_shape) == 3 else Vectors()


@dataclass(slots=True)
class Source:
    """All samples of one split.

    Attributes:
        name, split: for protocols and reports.
        samples: ``[N, C, H, W]`` uint8 images, possibly memory-mapped or streamed, float32 tensors
            of the same shape, ``[N, C, T]`` float32 sounds or ``[N, D]`` float32 vectors.
        labels: class numbers ``[N]`` (int64), if there are any.
        conditions: conditions other than the class: images ``[M, C, H, W]`` (uint8, bool or
            float32), vectors ``[M, D]`` (float32) or token numbers ``[M, L]`` (int64).
        aligned: whether row i of the conditions belongs to sample i, M = N; if not, they are
            another domain.
        unpaired: whether training sees samples and conditions in independent orders although they
            may be aligned.
        captions: for token conditions, their text; for any others, what to write next to a sample.
        vocabulary: for token conditions, the words; a word's number is its index + 2, 1 is an
            unknown word, 0 padding.
        classes: names of the classes.
        held_out: makes the part of the data that training does not see, if there is one.
        derivation: makes conditions from the samples of each batch, see `gan_zoo.data.derived`.
        labeled: bool ``[N]``, which labels training may use; None for all. Metrics use all labels.
        uncropped, uncropped_conditions: larger images ``[N, C, L, L]``, of which training sees
            random crops of the size of ``samples``, which are the centers; None for no crops.
        kind: how samples are drawn and written; None for images and vectors, by the shape.
        row_draws: draws rows by the value of one of their columns; called with a number of rows and
            random numbers, returns rows and the numbers of these values.
        permute: makes the order of an epoch ``[N]`` from a generator, for samples that are not read
            equally fast in every order; None for one that is uniform among all.
        license: for model cards.
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
    derivation: Callable[[Tensor, StepRNG], Tensor] | None = None
    labeled: Tensor | None = None
    uncropped: Tensor | None = None
    uncropped_conditions: Tensor | None = None
    kind: SampleKind | None = None
    row_draws: Callable[[int, StepRNG], tuple[Tensor, Tensor]] | None = None
    permute: Callable[[torch.Generator], Tensor] | None = None
    license: str = ""
    fingerprint: str = ""
    _evaluation_split: Source | None = field(default=None, init=False, repr=False)

    def __post_init__(self) -> None:
        self.unpaired = self.unpaired or not self.aligned
        if not self.fingerprint:
            self.fingerprint = hashlib.sha256(
                self.samples.contiguous().numpy().tobytes()
            ).hexdigest()

    def __len__(self) -> int:
        return len(self.samples)

    @property
    def sample_shape(self) -> list[int]:
        """Shape of one sample."""
        return list(self.samples.shape[1:])

    @property
    def holds_images(self) -> bool:
        """Whether the samples are images of bytes, gray or RGB, which metrics of images take."""
        is_bytes = self.samples.ndim == 4 and self.samples.dtype == torch.uint8
        return is_bytes and self.samples.shape[1] in (1, 3)

    @property
    def sample_kind(self) -> SampleKind:
        """How samples are drawn and written."""
        return self.kind or kind_of_shape(self.sample_shape)

    @property
    def num_classes(self) -> int | None:
        """Number of classes that occur, or have names."""
        if self.labels is None:
            return None
        return int(self.labels.max()) + 1 if self.classes is None else len(self.classes)

    def evaluation_split(self) -> Source:
        """The held-out data if there are any, else these: conditions for evaluation are from
        here.
        """
        if self._evaluation_split is None:
            self._evaluation_split = self if self.held_out is None else self.held_out()
        return self._evaluation_split

    @property
    def stored_samples(self) -> Tensor:
        """What training reads samples from: uncropped images where it sees crops."""
        return self.samples if self.uncropped is None else self.uncropped

    @property
    def stored_conditions(self) -> Tensor | None:
        """What training reads conditions from: the samples where conditions are made of them."""
        if self.derivation is not None:
            return self.stored_samples
        return self.conditions if self.uncropped_conditions is None else self.uncropped_conditions

    @property
    def condition_kind(self) -> str | None:
        """``image``, ``vector`` or ``text``; None without conditions."""
        if self.derivation is not None:
            return "image"
        if self.conditions is None:
            return None
        if self.conditions.ndim == 4:
            return "image"
        return "vector" if self.conditions.is_floating_point() else "text"

    @property
    def available_fields(self) -> set[str]:
        """What its batches hold in addition to samples, in the words of
        `gan_zoo.models.base.Model.needs`.
        """
        kinds = {
            None if self.labels is None else "label",
            "domain" if self.condition_kind == "image" else None,
            None if self.row_draws is None else "category",
        }
        kinds |= {None if self.unpaired else self.condition_kind}
        return {kind for kind in kinds if kind is not None}

    @property
    def nbytes(self) -> int:
        """Memory of what training reads."""
        conditions = None if self.derivation is not None else self.stored_conditions
        return self.stored_samples.nbytes + (0 if conditions is None else conditions.nbytes)


@dataclass(slots=True)
class Mixture(Source):
    """Vectors from a mixture whose modes are known.

    Attributes:
        centers: ``[K, D]``, one row a mode.
        std: standard deviation of every mode.
    """

    centers: Tensor = field(default_factory=lambda: torch.empty(0))
    std: float = 0.0


def condition_shape_of(source: Source) -> list[int] | None:
    """The shape of one condition, if there are conditions."""
    if source.derivation is not None:
        rng = StepRNG(0, 0)
        images = torch.zeros(1, *source.sample_shape)
        return list(source.derivation(images, rng).shape[1:])
    return None if source.conditions is None else list(source.conditions.shape[1:])


def check_matches_config(
    source: Source,
    sample_shape: Sequence[int],
    num_classes: int | None = None,
    condition_shape: Sequence[int] | None = None,
) -> None:
    """Raise `DataError` if samples, labels or conditions do not match the config."""
    # Shape of the conditions.
    if condition_shape is not None:
        conditions = condition_shape_of(source)
        if conditions != list(condition_shape):
            raise DataError(
                f"data={source.name} has conditions of shape {conditions}, but data.condition_shape"
                f" is {list(condition_shape)}"
            )

    # Classes, and shape of the samples.
    found = source.num_classes
    if num_classes is not None and found != num_classes:
        has = "no labels" if found is None else f"{found} classes"
        raise DataError(f"data={source.name} has {has}, but data.num_classes is {num_classes}")
    if source.sample_shape != list(sample_shape):
        raise DataError(
            f"data={source.name} has samples of shape {source.sample_shape}, but data.sample_shape"
            f" is {list(sample_shape)}"
        )
