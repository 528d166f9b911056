"""Fidelity of restored images to their targets: PSNR and SSIM."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from gan_zoo.core.errors import DataError
from gan_zoo.core.similarity import structural_similarity
from gan_zoo.core.types import Count
from gan_zoo.data.dataset import Source, condition_shape_of
from gan_zoo.metrics.base import (
    EvaluatedModel,
    Evaluator,
    Generated,
    MetricResult,
    exact_device,
    warned,
)
from gan_zoo.metrics.functional.means import Means
from gan_zoo.models.base import Model

LEAST_ERROR = 4e-10
"""Mean squared errors below count as this, which is 100 dB: equal images have no finite PSNR."""


class Restoration(Evaluator):
    """PSNR and SSIM of outputs and their targets, on images that training does not see.

    ``psnr`` and ``ssim`` are means over images; next to them are those of the input itself,
    ``psnr_input`` and ``ssim_input``, or where the input is smaller those of its bicubic
    enlargement, ``psnr_bicubic`` and ``ssim_bicubic``. A single channel counts for all channels of
    the target, and a further channel, as a mask, is left out. Images are clipped to [-1, 1] and not
    rounded; all channels and pixels count, where papers on super-resolution often take the luma
    without a border.

    Args:
        num_samples: images that are restored.
    """

    best = "psnr", "max"

    def __init__(self, num_samples: Count = 256) -> None:
        if num_samples < 1:
            raise ValueError(f"metric.restoration.num_samples must be >= 1, got {num_samples}")
        self.num_samples = num_samples

    def check(self, source: Source, model: Model | None = None) -> None:
        # A distance between images needs pairs, and SSIM a window of pixels.
        if source.condition_kind != "image" or not source.aligned:
            raise DataError(
                "metric=restoration compares outputs with the images that belong to the inputs,"
                f" data={source.name} has no pairs of images: use data/derive or paired data"
            )
        if min(source.sample_shape[1:]) < 3:
            raise DataError(
                "metric=restoration needs images of 3 pixels or more, got samples of shape"
                f" {source.sample_shape}"
            )

    def prepare(
        self, source: Source, device: torch.device, model: EvaluatedModel | None = None
    ) -> None:
        self.source = source
        self.evaluated = source.evaluation_split()
        self.means = Means(2).to(exact_device(device))
        self.input_means = Means(2).to(exact_device(device))
        size, target_size = condition_size(source), source.sample_shape[1:]
        self.baseline = "bicubic" if min(size) < min(target_size) else "input"

    def update(self, generated: Generated) -> None:
        visuals = generated.visuals
        if not {"input", "target"} <= set(visuals):
            raise DataError(
                "metric=restoration needs a model that displays inputs and targets, such as srgan"
                f" or pix2pix, got one that displays {', '.join(visuals)}"
            )
        target = visuals["target"].float()

        # The inputs are resized to the targets, so that the same measure applies to both.
        self.means.update(fidelity(visuals["sample"].float(), target))
        self.input_means.update(fidelity(as_target(visuals["input"].float(), target), target))

    def compute(self) -> list[MetricResult]:
        # Scores of the outputs, and of the inputs as they are, which any model should beat.
        values, count = self.means.compute()
        of_input, _ = self.input_means.compute()
        protocol = {
            "data": self.source.name,
            "split": self.evaluated.split,
            "range": "[-1, 1]",
            "pixels": "all, of all channels",
            "num_generated": count,
        }

        # Without held-out images the scores are those of memory.
        if self.evaluated is self.source:
            protocol = warned(
                protocol, "the data have no held-out part: the model was trained on these images"
            )
        named = zip(("psnr", "ssim"), values, of_input, strict=True)
        return [
            MetricResult(name, value, protocol)
            for metric, ours, theirs in named
            for name, value in ((metric, ours), (f"{metric}_{self.baseline}", theirs))
        ]


def condition_size(source: Source) -> list[int]:
    """Height and width of the condition images."""
    shape = condition_shape_of(source)
    assert shape is not None
    return shape[1:]


def as_target(images: Tensor, target: Tensor) -> Tensor:
    """Input images ``[B, C', H', W']`` in the shape ``[B, C, H, W]`` of their targets.

    A single channel is repeated, channels beyond C are left out, and another size is resampled.
    """
    channels = target.shape[1]
    images = images.expand(-1, channels, -1, -1) if images.shape[1] == 1 else images[:, :channels]
    if images.shape[2:] == target.shape[2:]:
        return images
    return F.interpolate(images, target.shape[2:], mode="bicubic")


def fidelity(images: Tensor, target: Tensor) -> Tensor:
    """PSNR in dB, at most 100, and SSIM of each pair of images ``[B, C, H, W]``: ``[B, 2]``.

    PSNR = 10 log10(2^2 / mean squared error), where 2 is the range of [-1, 1].
    """
    images = images.clamp(-1, 1)
    errors = (images - target).square().flatten(1).mean(1)
    psnr = 10 * torch.log10(4 / errors.clamp(min=LEAST_ERROR))
    return torch.stack([psnr, structural_similarity(images, target)], 1)
