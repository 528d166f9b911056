"""Scores of pictures over one extractor's features."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping, Sequence
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
from gan_zoo.metrics.base import Evaluator, Generated, Score, exact_device, warned
from gan_zoo.metrics.extractors.base import Extractor
from gan_zoo.metrics.functional.feature_metrics import FeatureBank, FeatureScore, memorized
from gan_zoo.metrics.functional.frechet import FeatureMoments, Moments, frechet_distance
from gan_zoo.metrics.functional.inception_score import InceptionScore

GENERATED = "generated pictures, got"


class ImageScores(Evaluator):
    """Frechet distance and Inception score of generated pictures against the whole of a data set, and more if wanted.

    ``fd_<extractor>`` and, where the extractor names classes, ``is_<extractor>`` and ``is_std_<extractor>``, mean and
    standard deviation over ten splits; over InceptionV3 ``fid``, ``is`` and ``is_std``. Generated and real pictures are
    made uint8 by the same rule before the extractor sees them. The real moments are computed once and cached.

    Args:
        extractor: makes the features.
        num_samples: generated pictures; below twice the number of features the distance's bias is large, which the
            protocol then says.
        block_size: real pictures that pass the extractor at a time.
        parts: further scores, by name; they keep the features of all generated and of ``num_real`` real pictures.
        memorization: whether to compare the distances to training and to held-out pictures, if there are any.
        num_real: real pictures, chosen at random once, that ``parts`` see.
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
        self.extractor, self.num_samples, self.block_size = extractor, num_samples, block_size
        self.parts = {name: part for name, part in (parts or {}).items() if part is not None}
        self.memorization, self.num_real = memorization, num_real
        self._features: dict[str, Tensor] = {}
        self.best = extractor.score_name("fd"), "min"

    def check(self, source: Source, needs: Sequence[str] = (), num_requested_labels: int | None = None) -> None:
        if source.samples.ndim != 4:
            raise DataError(f"metric=images scores pictures, data={source.name} has none: use metric=modes")
        least = max([2, *(part.least_samples for part in self.parts.values())])
        real = min(len(source), self.num_real) if self.parts else len(source)
        for count, kind in ((real, f"real pictures, data={source.name} has"), (self.num_samples, GENERATED)):
            if count < least:
                raise DataError(f"metric=images needs at least {least} {kind} {count}")
        self.extractor.check(source)

    def prepare(self, source: Source, device: torch.device, needs: Sequence[str] = ()) -> None:
        self.check(source, needs)
        self.extractor.training_steps = self.training_steps
        self.extractor.prepare(source, device)
        self.source, self.real = source, self.real_moments(source, device)
        self.moments = FeatureMoments(self.extractor.num_features).to(exact_device(device))
        inception = InceptionScore(self.extractor.num_classes, self.num_samples)
        self.inception = inception.to(exact_device(device))
        self.bank = FeatureBank().to(device)
        self.bank.update(torch.empty(0, self.extractor.num_features, device=device), 0)  # some processes get no block

    def update(self, generated: Generated) -> None:
        features, logits = self.extractor(to_uint8(generated.samples))
        self.moments.update(features)
        self.inception.update(logits, generated.start)
        if self.parts or self.memorization:
            self.bank.update(features, generated.start)

    def compute(self) -> list[Score]:
        fake, name = self.moments.compute(), self.extractor.score_name
        protocol = self.protocol(self.source, self.real, fake)
        distance = frechet_distance(self.real, fake)
        scores = [Score(name("fd"), distance, warned(protocol, *self.doubts(fake)))]
        if self.extractor.num_classes:
            scores += self.inception_scores(protocol)
        return scores + (self.compute_parts(protocol) if self.parts or self.memorization else [])

    def inception_scores(self, protocol: dict[str, Any]) -> list[Score]:
        """Mean and spread over splits, with a warning where splits are so small that the score is biased.

        The entropy of p(y) estimated from n samples is too small by about (K - 1) / (2 n), so the score is too low.
        """
        splits = len(self.inception.count)
        enough = 2 * splits * self.extractor.num_classes
        found = self.inception.compute()
        few = f"fewer than {enough} generated samples in {splits} splits: the Inception score is biased downwards"
        told = warned(protocol | {"splits": splits}, *([few] if protocol["num_generated"] < enough else []))
        values = {"is": found.mean, "is_std": found.std}
        return [Score(self.extractor.score_name(kind), float(value), told) for kind, value in values.items()]

    def compute_parts(self, protocol: dict[str, Any]) -> list[Score]:
        """The scores that need all features."""
        name, fake, scores = self.extractor.score_name, self.bank.compute(), []
        real = self.real_features(self.source, self.num_real)
        for part in self.parts.values():
            told = protocol | part.protocol() | {"num_real": len(real)}
            scores += [Score(name(kind), value, told) for kind, value in part(real, fake).items()]
        if self.memorization and self.source.told() is not self.source:
            held_out = self.real_features(self.source.told(), self.num_real)
            told = protocol | {"num_real": min(len(real), len(held_out)), "unmemorized": 0.5}
            scores.append(Score(name("memorization"), memorized(fake, real, held_out), told))
        return scores

    def protocol(self, source: Source, real: Moments, fake: Moments) -> dict[str, Any]:
        """What a reader needs beside the numbers."""
        protocol: dict[str, Any] = dict(self.extractor.protocol)
        return protocol | {
            "data": source.name,
            "split": source.split,
            "num_real": real.num,
            "num_generated": fake.num,
        }

    def doubts(self, fake: Moments) -> list[str]:
        """What speaks against the Frechet distance: too few samples for the number of features, or all alike."""
        doubts, needed = [], 2 * self.extractor.num_features
        for moments, kind in ((fake, "generated"), (self.real, "real")):
            if moments.num < needed:
                doubts.append(f"fewer than {needed} {kind} samples: the Frechet distance is biased upwards")
            if float(moments.covariance.trace()) <= 1e-9 * float(moments.mean.square().sum()):
                doubts.append(f"all {kind} samples are alike")
        return doubts

    def real_moments(self, source: Source, device: torch.device) -> Moments:
        """The moments of all of ``source``, from the cache if it has them."""
        key = cache_key(self.extractor.protocol, source.fingerprint)
        path = cache_root() / "statistics" / f"{source.name}-{self.extractor.name}-{key}.npz"
        if path.exists():
            try:
                return Moments.load(path)
            except (ValueError, OSError, KeyError, zipfile.BadZipFile):
                path.unlink(missing_ok=True)
        # On every process alone, so that a process that finds the cache need not wait for one that does not.
        moments = FeatureMoments(self.extractor.num_features, distributed_available_fn=lambda: False)
        moments.to(exact_device(device))
        for features in self.features_of(source.samples, f"Features of {len(source):,} real images (once)"):
            moments.update(features)
        result = moments.compute()
        result.save(path)
        return result

    def real_features(self, source: Source, count: int) -> Tensor:
        """The features ``[count, F]`` of a fixed random choice of real pictures."""
        if source.fingerprint in self._features:
            return self._features[source.fingerprint]
        rows = torch.randperm(len(source), generator=torch.Generator().manual_seed(0))[:count].sort().values
        title = f"Features of {len(rows):,} real images"
        features = torch.cat([some.to(CPU) for some in self.features_of(source.samples[rows], title)])
        self._features[source.fingerprint] = features
        return features

    def features_of(self, images: Tensor, title: str) -> Any:
        """The features of uint8 pictures, a block at a time."""
        blocks = torch.split(images, self.block_size)
        for block in with_progress(blocks, len(blocks), title):
            yield self.extractor(block.to(self.extractor_device))[0]

    @property
    def extractor_device(self) -> torch.device:
        """Where the extractor is."""
        first: Tensor | None = next(self.extractor.parameters(), None)
        return CPU if first is None else first.device
