"""Scores of pictures: Frechet distance and Inception score over one extractor's features."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence

import torch

from gan_zoo.data.cache import cache_key, cache_root
from gan_zoo.data.images import with_progress
from gan_zoo.data.source import DataError, Source, to_uint8
from gan_zoo.metrics.base import Evaluator, Generated
from gan_zoo.metrics.extractors import Extractor
from gan_zoo.metrics.frechet import FeatureMoments, Moments, frechet_distance
from gan_zoo.metrics.inception_score import InceptionScore
from gan_zoo.types import Score


class ImageScores(Evaluator):
    """``fd_<extractor>`` and ``is_<extractor>`` of generated pictures against the whole of a data set.

    Generated and real pictures are made uint8 by the same rule before the extractor sees them. The real moments are
    computed once and cached.

    Args:
        extractor: makes the features.
        num_samples: generated pictures; below twice the number of features the distance's bias is large, which the
            protocol then says.
        block_size: pictures that pass the extractor at a time.
    """

    def __init__(self, extractor: Extractor, num_samples: int = 2560, block_size: int = 64) -> None:
        if num_samples < 2:
            raise ValueError(f"metric.num_samples must be >= 2, got {num_samples}")
        self.extractor, self.num_samples, self.block_size = extractor, num_samples, block_size
        self.best = f"fd_{extractor.name}", "min"

    def prepare(self, source: Source, device: torch.device, needs: Sequence[str] = ()) -> None:
        if source.samples.ndim != 4:
            raise DataError(f"metric=images scores pictures, data={source.name} has none: use metric=modes")
        self.extractor.to(device)
        self.source, self.real = source, self.real_moments(source, device)
        self.moments = FeatureMoments(self.extractor.num_features).to(device)
        self.inception = InceptionScore(self.extractor.num_classes).to(device)

    def update(self, generated: Generated) -> None:
        features, logits = self.extractor(to_uint8(generated.samples))
        self.moments.update(features)
        self.inception.update(logits)

    def compute(self) -> list[Score]:
        fake, name = self.moments.compute(), self.extractor.name
        protocol = self.protocol(self.source, self.real, fake)
        return [
            Score(f"fd_{name}", frechet_distance(self.real, fake), protocol),
            Score(f"is_{name}", float(self.inception.compute()), protocol),
        ]

    def protocol(self, source: Source, real: Moments, fake: Moments) -> dict[str, object]:
        """What a reader needs beside the numbers."""
        protocol: dict[str, object] = dict(self.extractor.protocol)
        protocol |= {"data": source.name, "split": source.split, "num_real": real.num, "num_generated": fake.num}
        if fake.num < 2 * self.extractor.num_features:
            needed = 2 * self.extractor.num_features
            protocol["warning"] = f"fewer than {needed} generated samples: the Frechet distance is biased upwards"
        return protocol

    def real_moments(self, source: Source, device: torch.device) -> Moments:
        """The moments of all of ``source``, from the cache if it has them."""
        key = cache_key(self.extractor.protocol, source.fingerprint)
        path = cache_root() / "statistics" / f"{source.name}-{self.extractor.name}-{key}.npz"
        if path.exists():
            try:
                return Moments.load(path)
            except (ValueError, OSError, KeyError, zipfile.BadZipFile):
                path.unlink(missing_ok=True)
        moments = self._count_real(source, device)
        moments.save(path)
        return moments

    def _count_real(self, source: Source, device: torch.device) -> Moments:
        # On every process alone, so that a process that finds the cache need not wait for one that does not.
        moments = FeatureMoments(self.extractor.num_features, distributed_available_fn=lambda: False).to(device)
        blocks = torch.split(source.samples, self.block_size)
        for images in with_progress(blocks, len(blocks), f"Features of {len(source):,} real images (once)"):
            moments.update(self.extractor(images.to(device))[0])
        return moments.compute()
