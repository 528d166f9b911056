"""Mode-seeking regularization."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from gan_zoo.core.distributed import mean_over_ranks
from gan_zoo.core.types import Batch, Count, FakeSamples, Weight
from gan_zoo.regularizers.base import GeneratorRegularizer, Generators, require_latents

EPSILON = 1e-5


class ModeSeeking(GeneratorRegularizer):
    """Samples of different latents under the same condition are pushed apart.

    Mao et al. 2019, MSGAN, eq. 5.

    weight / (d(G(c, z1), G(c, z2)) / d(z1, z2) + 1e-5), where d is the mean absolute difference,
    the mean taken over the global batch as in the authors' code, and z2 are new latents.

    Args:
        weight: lambda (1 in the paper).
        every: see `GeneratorRegularizer`.
    """

    mean_of_samples: bool = False

    def __init__(self, weight: Weight = 1.0, every: Count = 1) -> None:
        super().__init__(every)
        self.weight = weight

    def check(self, model: Generators) -> None:
        require_latents(model, "mode_seeking")

    def penalty(self, model: Generators, batch: Batch, fakes: FakeSamples) -> Tensor:
        # New latents: the same request with other random numbers.
        request = model.request_for(batch)
        other_rng = request.rng.derive("mode seeking")
        first = model.latents(request)
        second = model.latents(replace(request, rng=other_rng))

        # The same condition for both: labels and codes that the model samples itself are those of
        # the first.
        label = model.requested_label(request)
        codes = model.requested_codes(request)
        pair = replace(request, label=label, codes=codes, latents=second)
        samples = model.sample(replace(pair, latents=first), model.generators)
        others = model.sample(pair, model.generators)

        # Mean distances over the global batch.
        distances = torch.stack([(samples - others).abs().mean(), (first - second).abs().mean()])
        of_samples, of_latents = mean_over_ranks(distances)
        penalty: Tensor = self.weight / (of_samples / of_latents + EPSILON)
        return penalty
