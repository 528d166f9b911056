"""Path length regularization."""

from __future__ import annotations

import math
from typing import ClassVar

import torch
from torch import Tensor

from gan_zoo.core.distributed import mean_over_ranks
from gan_zoo.core.types import (
    Batch,
    Count,
    FakeSamples,
    Fraction,
    LossTerms,
    MappedGenerator,
    Weight,
)
from gan_zoo.regularizers.base import GeneratorRegularizer, Generators


class PathLength(GeneratorRegularizer):
    """A step in the styles w changes the sample by the same amount everywhere.

    Karras et al. 2020, StyleGAN2, eq. 4.

    weight * E (|J_w^T y| - a)^2, where J_w is the Jacobian of the synthesis, y ~ N(0, I) / sqrt(H
    W) and a the moving average of the lengths. The length of a sample is the root of the mean over
    style inputs of the squared norm of the gradient. As in the authors' code, a is the average that
    was already moved towards the batch, and gradients flow through that part.

    Args:
        weight: 2 in the paper.
        decay: fraction by which a moves towards the mean length of a batch (0.01).
        batch_shrink: the penalty uses one in so many of the batch's samples (2).
        every: see `GeneratorRegularizer` (4 in the paper).
    """

    needs_double_backward: ClassVar[bool] = True
    mean_of_samples: bool = False
    mean_length: Tensor

    def __init__(
        self,
        weight: Weight = 2.0,
        decay: Fraction = 0.01,
        batch_shrink: Count = 2,
        every: Count = 4,
    ) -> None:
        super().__init__(every)
        self.weight = weight
        self.decay = decay
        self.batch_shrink = batch_shrink
        self.register_buffer("mean_length", torch.zeros(()))

    def check(self, model: Generators) -> None:
        generator = dict(model.generators.items()).get("main")
        if not isinstance(generator, MappedGenerator):
            raise ValueError(
                "regularizer=path_length needs a generator with a mapping, such as"
                f" generator=stylegan2, got {type(generator).__name__}"
            )

    def penalty(self, model: Generators, batch: Batch, fakes: FakeSamples) -> Tensor:
        # New samples of a part of the batch.
        generator = model.generators["main"]
        inputs = model.generator_inputs(model.request_for(batch), model.generators)
        count = max(1, batch.size // self.batch_shrink)
        styles = generator.mapping(*(part[:count] for part in inputs))  # type: ignore[operator]
        if not styles.requires_grad:  # of a mapping that is not trained
            styles.requires_grad_()
        samples = generator.synthesis(styles)  # type: ignore[operator]

        # |J_w^T y| of each sample.
        pixels = math.prod(samples.shape[2:])
        directions = batch.rng.normal("path length", batch.size, *samples.shape[1:])[:count]
        directions = directions.to(samples) / math.sqrt(pixels)
        (gradient,) = torch.autograd.grad((samples * directions).sum(), styles, create_graph=True)
        lengths = gradient.float().square().sum(2).mean(1).sqrt()

        # The average moves first, then lengths are compared with it.
        target = torch.lerp(self.mean_length, mean_over_ranks(lengths.mean()), self.decay)
        self.mean_length.copy_(target.detach())
        penalty: Tensor = self.weight * (lengths - target).square().mean()
        return penalty

    def log_values(self) -> LossTerms:
        """``mean_length``, the moving average."""
        return {"mean_length": self.mean_length}
