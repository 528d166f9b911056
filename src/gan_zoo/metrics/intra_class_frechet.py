"""The Frechet distance within each class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from gan_zoo.core.errors import DataError
from gan_zoo.data.dataset import Source
from gan_zoo.data.files.cache import cache_key
from gan_zoo.data.image_tensors import to_uint8
from gan_zoo.metrics.base import (
    EvaluatedModel,
    Evaluator,
    Generated,
    MetricResult,
    exact_device,
    warned,
)
from gan_zoo.metrics.extractors.base import Extractor
from gan_zoo.metrics.functional.frechet import Moments, frechet_distance, moments_from
from gan_zoo.metrics.image_quality import ImageScores
from gan_zoo.models.base import Model

MOST_BYTES = 8 * 2**30
GENERATED = "generated samples of each class, so raise metric.class_frechet.num_samples"


class ClassMoments(Metric):
    """Accumulates `Moments` of the features ``[B, F]`` of each of K classes by float64 sums, ``K
    F^2`` of them.
    """

    full_state_update = False
    count: Tensor
    total: Tensor
    outer: Tensor

    def __init__(self, num_classes: int, num_features: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        shapes = {"count": (), "total": (num_features,), "outer": (num_features, num_features)}
        for name, shape in shapes.items():
            self.add_state(
                name, torch.zeros(num_classes, *shape, dtype=torch.float64), dist_reduce_fx="sum"
            )
        self.set_dtype(torch.float64)

    def update(self, features: Tensor, classes: Tensor) -> None:
        """Add a batch of features and their class numbers ``[B]``."""
        features = features.to(self.count.device)
        classes = classes.to(self.count.device)
        for number in torch.unique(classes).tolist():
            rows = features[classes == number].double()
            self.count[number] += len(rows)
            self.total[number] += rows.sum(0)
            self.outer[number] += rows.T @ rows

    def compute(self) -> list[Moments | None]:
        """The moments of each class; None where there are fewer than two samples."""
        sums = zip(self.count, self.total, self.outer, strict=True)
        return [moments_from(*each) if int(each[0]) >= 2 else None for each in sums]


def names_of(source: Source) -> list[str]:
    """The names of the classes of ``source``."""
    return [str(name) for name in source.classes or range(source.num_classes or 0)]


class ClassFrechet(Evaluator):
    """``intra_fd_<extractor>`` (``intra_fid``): the mean over classes of the Frechet distance
    within the class.

    Generated samples of a class against the real ones of that class (intra-FID, Miyato & Koyama
    2018, section 5). The distance of each class is reported, too, as
    ``intra_fd_<extractor>_<class>``. The real moments of each class are computed once and cached.

    Args:
        extractor: makes the features.
        num_samples: generated images of all classes; below twice the number of features in any
            class the distances' bias is large, which the protocol then says.
        block_size: real images that pass the extractor at a time.
    """

    def __init__(
        self, extractor: Extractor, num_samples: int = 10_000, block_size: int = 64
    ) -> None:
        if num_samples < 2:
            raise ValueError(f"metric.class_frechet.num_samples must be >= 2, got {num_samples}")
        self.extractor, self.num_samples = extractor, num_samples
        self.images = ImageScores(extractor, num_samples, block_size)
        self.name = f"intra_{extractor.score_name('fd')}"
        self.best = self.name, "min"

    def check(self, source: Source, model: Model | None = None) -> None:
        if model is None or model.conditioning != "class":
            raise DataError("metric=class_frechet needs a class-conditional model, this one is not")
        if source.labels is None or source.num_classes is None or not source.holds_images:
            raise DataError(
                f"metric=class_frechet needs labelled images, data={source.name} has none"
            )

        # A covariance needs two real images in each class.
        counts = torch.bincount(source.labels, minlength=source.num_classes).tolist()
        names = names_of(source)
        if few := [name for name, count in zip(names, counts, strict=True) if count < 2]:
            self.refuse(few, f"real images of each class, data={source.name} has not")

        # Classes are compared one by one, so both sides must have the same ones.
        if model.num_requested_labels != len(names):
            raise DataError(
                f"metric=class_frechet needs a model of the data's {len(names)} classes, this one"
                f" has {model.num_requested_labels or 'none'}"
            )

        # A covariance needs two generated samples in each class, too.
        if self.num_samples < 2 * len(names):
            raise DataError(
                f"metric.class_frechet.num_samples must be at least 2 for each of the {len(names)}"
                f" classes, got {self.num_samples}"
            )

        # The sums are F^2 numbers of 8 bytes for each class.
        bytes_needed = 8 * len(counts) * self.extractor.num_features**2
        if bytes_needed > MOST_BYTES:
            raise DataError(
                f"metric=class_frechet keeps {bytes_needed / 2**30:.1f} GB of sums for"
                f" {len(counts)} classes of {self.extractor.num_features} features, at most"
                f" {MOST_BYTES // 2**30} are allowed: choose an extractor with fewer features"
            )
        self.extractor.check(source)

    def prepare(
        self, source: Source, device: torch.device, model: EvaluatedModel | None = None
    ) -> None:
        self.names = names_of(source)
        self.extractor.training_steps = self.training_steps
        self.extractor.prepare(source, device)
        self.source, self.device = source, device
        self.moments = ClassMoments(len(self.names), self.extractor.num_features).to(
            exact_device(device)
        )
        nothing = torch.empty(0, self.extractor.num_features, device=device)
        # Some processes get no block.
        self.moments.update(nothing, torch.empty(0, dtype=torch.int64, device=device))

    def update(self, generated: Generated) -> None:
        assert generated.requested_label is not None
        self.moments.update(
            self.extractor(to_uint8(generated.samples))[0], generated.requested_label
        )

    def compute(self) -> list[MetricResult]:
        # How many samples each class gets is left to chance, so one may have too few.
        found = self.moments.compute()
        fakes = [moments for moments in found if moments is not None]
        if len(fakes) < len(found):
            self.refuse(
                [name for name, moments in zip(self.names, found, strict=True) if moments is None],
                GENERATED,
            )

        # The reals of each class, from the cache if it has them.
        reals = [self.real_moments_of(number) for number in range(len(fakes))]

        # The distance within each class.
        scores = [
            MetricResult(
                f"{self.name}_{'_'.join(name.split())}",
                frechet_distance(real, fake),
                self.protocol([real], [fake]) | of,
            )
            for name, real, fake, of in zip(
                self.names, reals, fakes, self.counts(fakes), strict=True
            )
        ]

        # Their mean comes first.
        mean = sum(score.value for score in scores) / len(scores)
        return [
            MetricResult(
                self.name, mean, self.protocol(reals, fakes) | {"num_classes": len(fakes)}
            ),
            *scores,
        ]

    def counts(self, fakes: Sequence[Moments]) -> list[dict[str, int]]:
        """How many samples were generated, and how many of them of each class, which is left to
        chance.
        """
        total = sum(fake.num for fake in fakes)
        return [{"num_generated": total, "of_class": fake.num} for fake in fakes]

    def real_moments_of(self, number: int) -> Moments:
        """The moments of the real images of one class."""
        assert self.source.labels is not None
        rows = (self.source.labels == number).nonzero().flatten()
        # The cache must not take the moments of one class for those of another, or of other labels.
        mark = cache_key(self.source.fingerprint, rows.tolist())
        return self.images.real_moments(self.source, self.device, rows, mark)

    def protocol(self, reals: Sequence[Moments], fakes: Sequence[Moments]) -> dict[str, Any]:
        """What is needed to interpret the numbers, and a warning where a class has too few
        samples.
        """
        protocol: dict[str, Any] = dict(self.extractor.protocol)
        protocol |= {"data": self.source.name, "split": self.source.split}
        protocol |= {
            "num_real": sum(real.num for real in reals),
            "num_generated": sum(fake.num for fake in fakes),
        }

        # The smallest class decides whether a distance is biased.
        needed = 2 * self.extractor.num_features
        fewest = min(moments.num for moments in (*reals, *fakes))
        if len(fakes) > 1:
            protocol["fewest_in_a_class"] = fewest
        few = f"a class has {fewest} samples, fewer than {needed}: the distance is biased upwards"
        return warned(protocol, *([few] if fewest < needed else []))

    def refuse(self, names: Sequence[str], of: str) -> None:
        """Raise `DataError` with the classes that have too few samples ``of`` a kind."""
        few = ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
        raise DataError(f"metric=class_frechet needs at least 2 {of}; too few are in class {few}")
