"""Mode coverage on Stacked MNIST: a classifier predicts the three digits of a sample."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from gan_zoo.core.errors import DataError
from gan_zoo.core.types import Count
from gan_zoo.data.dataset import Source
from gan_zoo.data.image_tensors import to_uint8
from gan_zoo.metrics.base import EvaluatedModel, Evaluator, Generated, MetricResult, exact_device
from gan_zoo.metrics.mode_coverage import ModeHistogram
from gan_zoo.metrics.reference_classifier import classifier
from gan_zoo.models.base import Model

NUM_MODES = 1000
NUM_TRAINING = 20_000  # stacked samples, three digits each, that the classifier learns from


class StackedModes(Evaluator):
    """``modes`` out of 1,000 and ``reverse_kl`` (Metz et al. 2017, section 3.3.1; Srivastava et al.
    2017; PacGAN).

    A mode is found if at least one sample has its three digits; reverse KL is KL(generated modes ||
    uniform) in nats. The classifier is trained once on the digits of the training split and cached;
    its accuracy on digits of the test split is part of the protocol.

    Args:
        num_samples: generated samples (26,000 in the papers).
    """

    def __init__(self, num_samples: Count = 26_000) -> None:
        self.num_samples = num_samples
        self.best = "reverse_kl", "min"

    def check(self, source: Source, model: Model | None = None) -> None:
        if source.sample_shape[:1] != [3] or source.num_classes != NUM_MODES:
            raise DataError(
                "metric=stacked_modes counts the modes of data=stacked_mnist, got"
                f" data={source.name}"
            )

    def prepare(
        self, source: Source, device: torch.device, model: EvaluatedModel | None = None
    ) -> None:
        self.classifier, self.accuracy = classifier(unstacked(source), device, self.training_steps)
        self.source = source
        self.counts = ModeHistogram(NUM_MODES).to(exact_device(device))

    def update(self, generated: Generated) -> None:
        samples = to_uint8(generated.samples)
        # Each channel is a digit, classified by itself.
        digits = self.classifier(samples.flatten(0, 1)[:, None]).argmax(1).view(-1, 3)
        # Three digits are a mode from 0 to 999.
        self.counts.update(digits @ torch.tensor([100, 10, 1], device=digits.device))

    def compute(self) -> list[MetricResult]:
        modes, reverse_kl = self.counts.compute()
        protocol = {
            "data": self.source.name,
            "num_modes": NUM_MODES,
            "classifier": "trained on the real training digits",
            "classifier_accuracy_on_real": self.accuracy,
            "num_generated": self.num_samples,
        }
        return [
            MetricResult("modes", modes, dict(protocol)),
            MetricResult("reverse_kl", reverse_kl, dict(protocol)),
        ]


def unstacked(source: Source) -> Source:
    """The digits ``[3 N, 1, S, S]`` of stacked samples, with labels from 0 to 9, and those of the
    held-out part.
    """
    assert source.labels is not None

    # A label is a number of three digits, one for each channel.
    labels: Tensor = source.labels[:NUM_TRAINING]
    digits = torch.stack([labels // 100, labels // 10 % 10, labels % 10], 1).flatten()

    # The held-out part is unstacked only when somebody asks for it.
    held_out = source.evaluation_split()
    return Source(
        "stacked_mnist_digits",
        source.split,
        source.samples[:NUM_TRAINING].flatten(0, 1)[:, None],
        digits,
        classes=[str(digit) for digit in range(10)],
        held_out=partial(unstacked, held_out) if held_out is not source else None,
        fingerprint=f"{source.fingerprint}-digits",
    )
