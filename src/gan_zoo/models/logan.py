"""The model whose latents take a step towards what the discriminator scores higher."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from gan_zoo.core.layers import WithWeights
from gan_zoo.core.types import (
    Batch,
    Count,
    FakeSamples,
    Fraction,
    LossTerms,
    Positive,
    TermOutputs,
    Weight,
    run_discriminator,
)
from gan_zoo.models.gan import GAN


class LOGAN(GAN):
    """Both sides are trained on samples of optimized latents z' = z + dz.

    Wu et al. 2019, algorithm 1 with the natural gradient step of eq. 12. On a random part of the
    samples, with g = d D(G(z)) / dz,

        dz = a g / (b + |g|^2),   L_G += w E |dz|^2;

    latents of a uniform prior stay in [-1, 1]. As in the paper the generator's gradient passes
    through dz; the discriminator gets G(z') as it is, where the paper's also passes through dz.
    Samples that are requested after training have the latents as they are drawn. Term: ``shift``.

    Args:
        generator, discriminator, latent_dim, prior: as in `GAN`; the paper's prior is uniform.
        step_size: a; 0.9 in the paper.
        damping: b; 5 in the paper for BigGAN, 0.1 in later work on small images.
        shift_weight: w; 300 in the paper for BigGAN, 0.1 in later work on small images.
        fraction: the part of the samples whose latents are optimized; 0.8 in the paper.
    """

    needs_high_is_real: ClassVar[bool] = True
    needs_double_backward: ClassVar[bool] = True

    def __init__(
        self,
        generator: Callable[..., nn.Module],
        discriminator: Callable[..., nn.Module],
        step_size: Positive = 0.9,
        damping: Positive = 0.1,
        shift_weight: Weight = 0.1,
        fraction: Fraction = 0.8,
        latent_dim: Count = 100,
        prior: str = "uniform",
    ) -> None:
        super().__init__(generator, discriminator, latent_dim, prior)
        self.step_size = step_size
        self.damping = damping
        self.shift_weight = shift_weight
        self.fraction = fraction

    def generate(self, batch: Batch) -> FakeSamples:
        latents = self.latents(self.request_for(batch))
        shift = self.latent_shift(latents, batch)
        moved = latents + shift
        if self.prior == "uniform":
            moved = moved.clamp(-1, 1)
        return {"fake": self.generators["main"](moved), "shift": shift}

    def latent_shift(self, latents: Tensor, batch: Batch) -> Tensor:
        """dz ``[B, latent_dim]``, zero for those that stay.

        It carries gradients to the generator if they are enabled.
        """
        # The generator step also differentiates through the shift: a second derivative.
        through_shift = torch.is_grad_enabled()
        with torch.enable_grad():
            leaves = latents.detach().requires_grad_()
            score = frozen_score(self.discriminators["main"], self.generators["main"](leaves))
            (gradient,) = torch.autograd.grad(score.sum(), leaves, create_graph=through_shift)

        # Equation 12, on a random part of the samples.
        squared = gradient.square().sum(1, keepdim=True)
        step = self.step_size * gradient / (self.damping + squared)
        chosen = batch.rng.uniform("optimized latents", len(latents), 1) < self.fraction
        return torch.where(chosen, step, torch.zeros_like(step))

    def generator_terms(
        self, batch: Batch, fakes: FakeSamples, outputs: Sequence[TermOutputs]
    ) -> LossTerms:
        return {"shift": self.shift_weight * fakes["shift"].square().sum(1).mean()}


def frozen_score(discriminator: nn.Module, x: Tensor) -> Tensor:
    """The scores of ``x`` by a copy of ``discriminator`` as it is now.

    The generator step, after that of the discriminator, differentiates through these scores, so
    they must not depend on weights that change in between, nor lead gradients to them.
    """
    weights = {name: p.detach().clone() for name, p in discriminator.named_parameters()}
    return run_discriminator(WithWeights(discriminator, weights), x).score
