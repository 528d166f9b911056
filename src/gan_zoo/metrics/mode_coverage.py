"""Mode coverage on mixtures whose modes are known."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric

from gan_zoo.core.errors import DataError
from gan_zoo.data.dataset import Mixture, Source
from gan_zoo.metrics.base import EvaluatedModel, Evaluator, Generated, MetricResult, exact_device
from gan_zoo.models.base import Model


class ModeHistogram(Metric):
    """How many samples fall into each of K modes."""

    full_state_update = False
    counts: Tensor

    def __init__(self, num_modes: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("counts", torch.zeros(num_modes, dtype=torch.float64), dist_reduce_fx="sum")
        self.set_dtype(torch.float64)

    def update(self, modes: Tensor) -> None:
        """Add the modes ``[B]`` of samples."""
        self.counts += torch.bincount(modes.to(self.counts.device), minlength=len(self.counts))

    def compute(self) -> tuple[int, float]:
        """Modes found, and reverse KL to the uniform distribution over modes (nats)."""
        return int((self.counts > 0).sum()), reverse_kl(self.counts)


def reverse_kl(counts: Tensor) -> float:
    """KL(counts / their sum || uniform), in nats."""
    share = counts / counts.sum()
    # By xlogy, modes without samples add zero.
    return float(torch.xlogy(share, share * len(share)).sum())


class ModeCounts(Metric):
    """How many samples fall nearest to each mode, and how many of those within ``radius`` of it."""

    full_state_update = False
    nearest: Tensor
    good: Tensor
    centers: Tensor

    def __init__(self, centers: Tensor, radius: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.radius = radius
        self.register_buffer("centers", centers.double(), persistent=False)
        self.add_state(
            "nearest", torch.zeros(len(centers), dtype=torch.float64), dist_reduce_fx="sum"
        )
        self.add_state("good", torch.zeros(len(centers), dtype=torch.float64), dist_reduce_fx="sum")
        self.set_dtype(torch.float64)

    def update(self, samples: Tensor) -> None:
        """Add samples ``[B, D]``."""
        distance, mode = torch.cdist(samples.to(self.centers.device).double(), self.centers).min(1)
        self.nearest += torch.bincount(mode, minlength=len(self.centers))
        self.good += torch.bincount(mode[distance <= self.radius], minlength=len(self.centers))

    def compute(self) -> tuple[int, float, float]:
        """Modes found, high-quality share, and reverse KL to the uniform distribution over modes
        (nats).
        """
        return (
            int((self.good > 0).sum()),
            float(self.good.sum() / self.nearest.sum()),
            reverse_kl(self.nearest),
        )


class ModeCoverage(Evaluator):
    """``modes``, ``high_quality`` and ``reverse_kl`` by the protocol of VEEGAN and PacGAN.

    A sample is of high quality within 3 standard deviations of a mode; a mode is found if at least
    one high-quality sample is nearest to it; reverse KL is KL(generated modes || uniform), every
    sample counted at its nearest mode.

    Args:
        num_samples: generated samples.
    """

    def __init__(self, num_samples: int = 2500) -> None:
        if num_samples < 1:
            raise ValueError(f"metric.num_samples must be >= 1, got {num_samples}")
        self.num_samples = num_samples
        self.best = "reverse_kl", "min"

    def check(self, source: Source, model: Model | None = None) -> None:
        if not isinstance(source, Mixture):
            raise DataError(
                f"metric=modes needs known modes, data={source.name} has none: use metric=images"
            )

    def prepare(
        self, source: Source, device: torch.device, model: EvaluatedModel | None = None
    ) -> None:
        assert isinstance(source, Mixture)
        self.counts = ModeCounts(source.centers, 3 * source.std).to(exact_device(device))
        self.protocol = {
            "data": source.name,
            "num_modes": len(source.centers),
            "radius": 3 * source.std,
            "num_generated": self.num_samples,
        }

    def update(self, generated: Generated) -> None:
        self.counts.update(generated.samples)

    def compute(self) -> list[MetricResult]:
        modes, high_quality, divergence = self.counts.compute()
        protocol: dict[str, object] = dict(self.protocol)
        return [
            MetricResult("modes", modes, protocol),
            MetricResult("high_quality", high_quality, protocol),
            MetricResult("reverse_kl", divergence, protocol),
        ]
