"""Metrics of sounds, over log-mel spectrograms."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gan_zoo.core.errors import DataError
from gan_zoo.core.mel import BANDS
from gan_zoo.core.rng import CPU
from gan_zoo.core.types import Count
from gan_zoo.data.dataset import Source
from gan_zoo.data.files.cache import cache_key
from gan_zoo.data.image_tensors import to_uint8
from gan_zoo.data.sample_kinds.audio import Audio
from gan_zoo.data.spectrograms import LOWEST_DECIBELS, as_images, log_mel, window_size
from gan_zoo.metrics.base import (
    EvaluatedModel,
    Evaluator,
    Generated,
    MetricResult,
    exact_device,
    warned,
)
from gan_zoo.metrics.functional.frechet import FeatureMoments, Moments, frechet_distance
from gan_zoo.metrics.functional.means import Means
from gan_zoo.metrics.reference_classifier import SmallNet, classifier
from gan_zoo.models.base import Model

BLOCK = 256
SIDE = 32


class AudioScores(Evaluator):
    """Distances between generated and real sounds, and the classes of the generated ones.

    - ``fd_log_mel``: the Frechet distance of the mean and the standard deviation over time of every
      band of the log-mel spectrogram, 128 numbers a sound, in decibels.
    - ``spectrum_distance``: the mean over bands of the absolute difference of the mean log-mel
      spectra, in decibels.

    With labels a small classifier of log-mel spectrograms is trained once on the real training
    sounds and cached. Then there are also

    - ``fd_audio_classifier``: the Frechet distance of the 512 features before its last layer;
    - ``class_entropy``: the entropy of the histogram of the classes it finds, in nats; log K if all
      K classes are equally frequent;
    - ``class_match``: the fraction of samples of the requested class, where the model has as many
      requested labels as the data have classes.

    The classifier's accuracy on held-out real sounds is in the protocol. None of these compares
    with published numbers.

    Args:
        num_samples: generated sounds.
    """

    training_steps = 400

    def __init__(self, num_samples: Count = 2560) -> None:
        if num_samples < 2:
            raise ValueError(f"metric.audio.num_samples must be >= 2, got {num_samples}")
        self.num_samples = num_samples
        self.best = "fd_log_mel", "min"

    def check(self, source: Source, model: Model | None = None) -> None:
        sample_rate_of(source)
        if len(source) < 2:
            raise DataError(f"metric=audio needs at least 2 sounds, got {len(source)}")

    def prepare(
        self, source: Source, device: torch.device, model: EvaluatedModel | None = None
    ) -> None:
        self.source = source
        self.sample_rate = sample_rate_of(source)
        self.network, self.accuracy = self.trained_classifier(source, device)
        requested = None if model is None else model.model.num_requested_labels
        self.has_requests = self.network is not None and requested == source.num_classes

        # Moments of the real sounds, all of which every process has; the generated ones are shared.
        self.real = self.empty_moments(device, on_this_process=True)
        for block in torch.split(source.samples, BLOCK):
            self.add(self.real, block.to(device))
        self.fake = self.empty_moments(device)
        exact = exact_device(device)
        self.classes = Means(source.num_classes or 1).to(exact)
        self.matches = Means(1).to(exact)

    def trained_classifier(
        self, source: Source, device: torch.device
    ) -> tuple[SmallNet | None, float]:
        """The classifier of log-mel spectrograms and its accuracy; none without labels."""
        if source.labels is None or (source.num_classes or 1) < 2:
            return None, 0.0
        network, accuracy = classifier(spectrogram_source(source), device, self.training_steps)
        assert isinstance(network, SmallNet)
        self.best = "fd_audio_classifier", "min"
        return network, accuracy

    def empty_moments(
        self, device: torch.device, on_this_process: bool = False
    ) -> dict[str, FeatureMoments]:
        """Sums to add features to, by the name of the distance; of all processes, or of this one
        alone.
        """
        # Means and deviations of each band, hence twice the bands.
        sizes = {"fd_log_mel": 2 * BANDS}
        if self.network is not None:
            sizes["fd_audio_classifier"] = self.network.head.in_features
        options = {"distributed_available_fn": lambda: False} if on_this_process else {}
        return {
            name: FeatureMoments(size, **options).to(exact_device(device))
            for name, size in sizes.items()
        }

    @torch.no_grad()
    def add(self, moments: dict[str, FeatureMoments], sounds: Tensor) -> Tensor | None:
        """Add sounds ``[B, 1, T]``; the logits of their classes if there is a classifier."""
        # Statistics of bands need no network.
        spectrograms = log_mel(sounds, self.sample_rate)
        moments["fd_log_mel"].update(band_statistics(spectrograms))
        if self.network is None:
            return None

        # With labels also a classifier's features, and its logits.
        features = self.network.features(small_images(spectrograms))
        moments["fd_audio_classifier"].update(features)
        logits: Tensor = self.network.head(features)
        return logits

    def update(self, generated: Generated) -> None:
        logits = self.add(self.fake, generated.samples)
        if logits is None:
            return
        # Which classes occur, and whether they are those that were asked for.
        found = logits.argmax(1)
        self.classes.update(nn.functional.one_hot(found, logits.shape[1]))
        if self.has_requests and generated.requested_label is not None:
            self.matches.update((found == generated.requested_label)[:, None])

    def compute(self) -> list[MetricResult]:
        protocol = self.protocol()
        results = []
        for name, moments in self.fake.items():
            real, fake = self.real[name].compute(), moments.compute()
            about = protocol | {"num_real": real.num, "num_generated": fake.num}
            warnings = few_samples(real, fake)
            distance = frechet_distance(real, fake)
            results.append(MetricResult(name, distance, warned(about, *warnings)))
            if name == "fd_log_mel":
                gap = (real.mean - fake.mean)[:BANDS].abs().mean()
                results.append(MetricResult("spectrum_distance", float(gap), about))
        if self.network is None:
            return results

        # The classes of the generated sounds.
        shares, count = self.classes.compute()
        entropy = float(torch.special.entr(torch.tensor(shares)).sum())
        about = protocol | {"num_generated": count, "num_classes": len(shares)}
        results.append(MetricResult("class_entropy", entropy, about))
        if self.has_requests:
            (match,), count = self.matches.compute()
            results.append(MetricResult("class_match", match, about))
        return results

    def protocol(self) -> dict[str, Any]:
        """What is needed to interpret the numbers."""
        protocol = {
            "data": self.source.name,
            "split": self.source.split,
            "sample_rate": self.sample_rate,
            "spectrogram": f"{BANDS} mel bands, windows of {window_size(self.sample_rate)} samples,"
            f" {LOWEST_DECIBELS:g} to 0 dB",
        }

        # Only sounds with classes have a classifier of their own.
        if self.network is not None:
            protocol |= {
                "classifier": "log-mel spectrograms at 32 pixels, trained on the real training"
                " sounds",
                "classifier_accuracy_on_real": self.accuracy,
            }
        return protocol


def sample_rate_of(source: Source) -> int:
    """The sample rate of sounds; raises `DataError` for other data."""
    if not isinstance(source.sample_kind, Audio):
        raise DataError(
            f"metric=audio scores sounds, data={source.name} has none: use another metric="
        )
    return source.sample_kind.sample_rate


def band_statistics(spectrograms: Tensor) -> Tensor:
    """Mean and standard deviation over time of every band, ``[B, 2 bands]``."""
    bands = spectrograms.squeeze(1)
    return torch.cat([bands.mean(2), bands.std(2, correction=0)], 1)


def small_images(spectrograms: Tensor) -> Tensor:
    """Spectrograms ``[B, 1, bands, frames]`` in decibels as uint8 images of 32 x 32 pixels."""
    images = as_images(spectrograms)
    return to_uint8(F.interpolate(images, (SIDE, SIDE), mode="bilinear", antialias=True))


def spectrogram_source(source: Source) -> Source:
    """The `small_images` of the log-mel spectrograms of sounds, with their labels."""
    # In blocks, as spectrograms of all sounds at once take much memory.
    sample_rate = sample_rate_of(source)
    images = [
        small_images(log_mel(block, sample_rate)) for block in torch.split(source.samples, BLOCK)
    ]
    held_out = source.evaluation_split()

    # What these spectrograms depend on, besides the sounds.
    settings = [SIDE, sample_rate, BANDS, window_size(sample_rate), LOWEST_DECIBELS]
    return replace(
        source,
        samples=torch.cat(images).to(CPU),
        # Spectrograms are images, not sounds.
        kind=None,
        fingerprint=cache_key("log-mel", source.fingerprint, settings),
        held_out=None if held_out is source else lambda: spectrogram_source(held_out),
    )


def few_samples(real: Moments, fake: Moments) -> list[str]:
    """A warning for fewer samples than twice the number of features."""
    needed = 2 * len(real.mean)
    return [
        f"fewer than {needed} {kind} samples: the Frechet distance is biased upwards"
        for kind, moments in (("generated", fake), ("real", real))
        if moments.num < needed
    ]
