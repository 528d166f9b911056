"""Metrics of images over one extractor's features."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from gan_zoo.core.errors import DataError
from gan_zoo.core.paths import cache_root
from gan_zoo.core.progress import with_progress
from gan_zoo.core.rng import CPU
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
from gan_zoo.metrics.functional.feature_metrics import FeatureBank, FeatureScore, memorized
from gan_zoo.metrics.functional.frechet import FeatureMoments, Moments, frechet_distance
from gan_zoo.metrics.functional.inception_score import InceptionScore
from gan_zoo.models.base import Model

GENERATED = "generated images, got"


class ImageScores(Evaluator):
    """Frechet distance and Inception score of generated images against the whole of a data set, and
    more if wanted.

    ``fd_<extractor>`` and, where the extractor names classes, ``is_<extractor>`` and
    ``is_std_<extractor>``, mean and standard deviation over ten splits; over InceptionV3 ``fid``,
    ``is`` and ``is_std``. Generated and real images are made uint8 by the same rule before the
    extractor sees them. The real moments are computed once and cached.

    Args:
        extractor: makes the features.
        num_samples: generated images; below twice the number of features the distance's bias is
            large, which the protocol then says.
        block_size: real images that pass the extractor at a time.
        parts: further scores, by name; they keep the features of all generated and of ``num_real``
            real images.
        memorization: whether to compare the distances to training and to held-out images, if there
            are any.
        num_real: real images, chosen at random once, that ``parts`` see.
    """

    def __init__(
        self,
        extractor: Extractor,
        num_samples: int = 2560,
        block_size: int = 64,
        parts: Mapping[str, FeatureScore | None] | None = None,
        memorization: bool = False,
        num_real: int = 10_000,
    ) -> None:
        if num_samples < 2:
            raise ValueError(f"metric.num_samples must be >= 2, got {num_samples}")
        if num_real < 2:
            raise ValueError(f"metric.num_real must be >= 2, got {num_real}")
        self.extractor = extractor
        self.num_samples = num_samples
        self.block_size = block_size
        self.parts = {name: part for name, part in (parts or {}).items() if part is not None}
        self.memorization = memorization
        self.num_real = num_real
        self._features: dict[str, Tensor] = {}
        self.best = extractor.score_name("fd"), "min"

    def check(self, source: Source, model: Model | None = None) -> None:
        if not source.holds_images:
            raise DataError(
                f"metric=images scores images, data={source.name} has none: use metric=none, for"
                " mixtures metric=modes"
            )

        # The score that needs the most samples decides; parts see a choice of the reals only.
        least = max([2, *(part.least_samples for part in self.parts.values())])
        real = min(len(source), self.num_real) if self.parts else len(source)
        for count, kind in (
            (real, f"real images, data={source.name} has"),
            (self.num_samples, GENERATED),
        ):
            if count < least:
                raise DataError(f"metric=images needs at least {least} {kind} {count}")
        self.extractor.check(source)

    def prepare(
        self, source: Source, device: torch.device, model: EvaluatedModel | None = None
    ) -> None:
        # Distances in the features that the discriminator sees are smaller than in others.
        networks = [] if model is None else model.model.discriminators.modules()
        names = {getattr(network, "network_name", None) for network in networks}
        self.shares_features = self.extractor.name in names

        self.extractor.training_steps = self.training_steps
        self.extractor.prepare(source, device)
        self.source = source
        self.real = self.real_moments(source, device)
        self.moments = FeatureMoments(self.extractor.num_features).to(exact_device(device))
        inception = InceptionScore(self.extractor.num_classes, self.num_samples)
        self.inception = inception.to(exact_device(device))
        self.bank = FeatureBank().to(device)
        # Some processes get no block.
        self.bank.update(torch.empty(0, self.extractor.num_features, device=device), 0)

    def update(self, generated: Generated) -> None:
        features, logits = self.extractor(to_uint8(generated.samples))
        self.moments.update(features)
        self.inception.update(logits, generated.start)
        if self.parts or self.memorization:
            self.bank.update(features, generated.start)

    def compute(self) -> list[MetricResult]:
        fake, name = self.moments.compute(), self.extractor.score_name
        protocol = self.protocol(self.source, self.real, fake)

        # A discriminator that is trained on these features has an advantage.
        if self.shares_features:
            shared = f"the discriminator sees the features of {self.extractor.name}"
            protocol = warned(protocol, shared)

        # The distance, and what else the same features give.
        distance = frechet_distance(self.real, fake)
        scores = [MetricResult(name("fd"), distance, warned(protocol, *self.warnings(fake)))]
        if self.extractor.num_classes:
            scores += self.inception_scores(protocol)
        return scores + (self.compute_parts(protocol) if self.parts or self.memorization else [])

    def inception_scores(self, protocol: dict[str, Any]) -> list[MetricResult]:
        """Mean and spread over splits, with a warning where splits are so small that the score is
        biased.

        The entropy of p(y) estimated from n samples is too small by about (K - 1) / (2 n), so the
        score is too low.
        """
        splits = len(self.inception.count)
        # With 2 K samples in each split the entropy is too small by less than 1/4.
        enough = 2 * splits * self.extractor.num_classes
        found = self.inception.compute()

        # The protocol warns where there are fewer.
        few = (
            f"fewer than {enough} generated samples in {splits} splits: the Inception score is"
            " biased downwards"
        )
        reported = warned(
            protocol | {"splits": splits}, *([few] if protocol["num_generated"] < enough else [])
        )
        values = {"is": found.mean, "is_std": found.std}
        return [
            MetricResult(self.extractor.score_name(kind), float(value), reported)
            for kind, value in values.items()
        ]

    def compute_parts(self, protocol: dict[str, Any]) -> list[MetricResult]:
        """The scores that need all features."""
        name, fake, scores = self.extractor.score_name, self.bank.compute(), []
        real = self.real_features(self.source, self.num_real)
        for part in self.parts.values():
            extended = protocol | part.protocol() | {"num_real": len(real)}
            scores += [
                MetricResult(name(kind), value, extended)
                for kind, value in part(real, fake).items()
            ]

        # Memorization needs images that training does not see.
        if self.memorization and self.source.evaluation_split() is not self.source:
            held_out = self.real_features(self.source.evaluation_split(), self.num_real)
            counts = {"num_real": len(real), "num_held_out": len(held_out)}
            extended = protocol | counts | {"unmemorized": 0.5}
            scores.append(
                MetricResult(name("memorization"), memorized(fake, real, held_out), extended)
            )
        return scores

    def protocol(self, source: Source, real: Moments, fake: Moments) -> dict[str, Any]:
        """What is needed to interpret the numbers."""
        protocol: dict[str, Any] = dict(self.extractor.protocol)
        return protocol | {
            "data": source.name,
            "split": source.split,
            "num_real": real.num,
            "num_generated": fake.num,
        }

    def warnings(self, fake: Moments) -> list[str]:
        """Warnings about the Frechet distance: too few samples for the number of features, or all
        alike.
        """
        warnings = []
        needed = 2 * self.extractor.num_features
        for moments, kind in ((fake, "generated"), (self.real, "real")):
            if moments.num < needed:
                warnings.append(
                    f"fewer than {needed} {kind} samples: the Frechet distance is biased upwards"
                )
            # The spread is nothing but rounding errors of the mean.
            if float(moments.covariance.trace()) <= 1e-9 * float(moments.mean.square().sum()):
                warnings.append(f"all {kind} samples are alike")
        return warnings

    def real_moments(
        self,
        source: Source,
        device: torch.device,
        rows: Tensor | None = None,
        fingerprint: str | None = None,
    ) -> Moments:
        """The moments of ``source``, from the cache if it has them.

        Args:
            source: real images; they are read only if the cache does not have the moments.
            device: for the sums.
            rows: of a part of ``source``; None for all of it.
            fingerprint: of that part, so that it is not taken for another.
        """
        # The cache tells extractors and data sets apart by what moves the moments.
        key = cache_key(self.extractor.protocol, fingerprint or source.fingerprint)
        path = cache_root() / "statistics" / f"{source.name}-{self.extractor.name}-{key}.npz"
        if path.exists():
            try:
                return Moments.load(path)
            except (ValueError, OSError, KeyError, zipfile.BadZipFile):
                path.unlink(missing_ok=True)

        # On every process alone, so that a process that finds the cache need not wait for one that
        # does not.
        moments = FeatureMoments(
            self.extractor.num_features, distributed_available_fn=lambda: False
        )
        moments.to(exact_device(device))
        count = len(source) if rows is None else len(rows)
        title = f"Features of {count:,} real images (once)"
        for features in self.features_of(source.samples, title, rows):
            moments.update(features)

        # The next evaluation finds them in the cache.
        result = moments.compute()
        result.save(path)
        return result

    def real_features(self, source: Source, count: int) -> Tensor:
        """The features ``[count, F]`` of a fixed random choice of real images."""
        if source.fingerprint in self._features:
            return self._features[source.fingerprint]

        # A choice that depends on the number of images alone, in the order of the data.
        rows = (
            torch.randperm(len(source), generator=torch.Generator().manual_seed(0))[:count]
            .sort()
            .values
        )

        # Kept on the CPU, for all scores and later evaluations.
        title = f"Features of {len(rows):,} real images"
        features = torch.cat(
            [some.to(CPU) for some in self.features_of(source.samples, title, rows)]
        )
        self._features[source.fingerprint] = features
        return features

    def features_of(self, images: Tensor, title: str, rows: Tensor | None = None) -> Any:
        """The features of uint8 images, or of these rows of them, read a block at a time."""
        blocks = torch.split(images if rows is None else rows, self.block_size)
        for each in with_progress(blocks, len(blocks), title):
            block = each if rows is None else images[each]
            yield self.extractor(block.to(self.extractor_device))[0]

    @property
    def extractor_device(self) -> torch.device:
        """Where the extractor is."""
        first: Tensor | None = next(self.extractor.parameters(), None)
        return CPU if first is None else first.device
