"""The variational autoencoder of tables, the baseline without a discriminator."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from gan_zoo.core.row_layout import RowLayout, spans_of
from gan_zoo.core.types import (
    AdversarialTerm,
    Batch,
    Count,
    FakeSamples,
    LossTerms,
    SampleRequest,
    TermOutputs,
    Weight,
    at_least_float32,
)
from gan_zoo.models.base import Model
from gan_zoo.models.tables.ctgan import required_layout

SMALLEST, LARGEST = 0.01, 1.0
"""Range of the standard deviations of scalars."""


class ScalarDeviations(nn.Module):
    """A learned standard deviation of each number of a row, ``[D]``, within its range."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.deviations = nn.Parameter(torch.full((width,), 0.1))

    def forward(self) -> Tensor:
        # The parameter itself: a clamped value would get no gradient back into the range.
        self.deviations.data.clamp_(SMALLEST, LARGEST)
        return self.deviations


class TVAE(Model):
    """A Gaussian for each scalar of a row and a categorical distribution for each one-hot vector
    (Xu et al. 2019, section 4.5).

    Minimizes w E[-log p(x | z)] + KL(q(z | x) || N(0, 1)), both summed over dimensions. A sample
    is drawn from p(x | z), with z of the prior. LossTerms: ``reconstruction``, ``kl``.

    Args:
        generator: the decoder, ``[B, latent_dim] -> [B, D]``, called with ``latent_dim``.
        encoder: ``[B, D] -> [B, outputs]``, called with ``outputs`` = 2 ``latent_dim``.
        layout: the spans of a row, see `gan_zoo.core.row_layout.spans_of`.
        latent_dim: size of the latents.
        reconstruction_weight: w; 2 in the paper's code.
        discriminator: must be None.
    """

    term_names: ClassVar[tuple[str, ...]] = ()
    name_of_sample: ClassVar[str | None] = None

    def __init__(
        self,
        generator: Callable[..., nn.Module],
        encoder: Callable[..., nn.Module],
        layout: Sequence[Mapping[str, Any]] | None,
        latent_dim: Count = 128,
        reconstruction_weight: Weight = 2.0,
        discriminator: None = None,
    ) -> None:
        super().__init__()
        if discriminator is not None:
            raise ValueError("model=tvae has no discriminator: use discriminator=none")
        self.layout = RowLayout(spans_of(required_layout(layout, "model=tvae")))
        self.latent_dim = latent_dim
        self.reconstruction_weight = reconstruction_weight
        self.generators = nn.ModuleDict(
            {
                "main": generator(latent_dim=latent_dim),
                # Means and logarithms of variances.
                "encoder": encoder(outputs=2 * latent_dim),
                "deviations": ScalarDeviations(self.layout.width),
            }
        )
        self.discriminators = nn.ModuleDict()

    def generate(self, batch: Batch) -> FakeSamples:
        mu, log_variance = self.posterior(batch.real, self.generators)
        noise = batch.rng.normal("posterior", *mu.shape)
        latents = mu + (0.5 * log_variance).exp() * noise
        raw = at_least_float32(self.generators["main"](latents))
        return {"raw": raw, "mu": mu, "log_variance": log_variance}

    def posterior(self, rows: Tensor, generators: nn.ModuleDict) -> tuple[Tensor, Tensor]:
        """Mean and logarithm of the variance of q(z | x), each ``[B, latent_dim]``."""
        mu, log_variance = at_least_float32(generators["encoder"](rows)).chunk(2, dim=1)
        return mu, log_variance

    def adversarial_terms(self, batch: Batch, fakes: FakeSamples) -> Sequence[AdversarialTerm]:
        return []

    def generator_terms(
        self, batch: Batch, fakes: FakeSamples, outputs: Sequence[TermOutputs]
    ) -> LossTerms:
        mu, log_variance = fakes["mu"], fakes["log_variance"]
        kl = 0.5 * (mu.square() + log_variance.exp() - 1 - log_variance).sum(1).mean()
        rebuilt = self.reconstruction_weight * self.log_loss(fakes["raw"], batch.real)
        return {"reconstruction": rebuilt, "kl": kl}

    def log_loss(self, raw: Tensor, rows: Tensor) -> Tensor:
        """-log p(x | z) up to a constant, summed over a row, mean over rows."""
        deviations = self.generators["deviations"]()
        scalar = (rows - raw.tanh()).square() / (2 * deviations.square()) + deviations.log()
        one_hot = -rows * self.layout.log_softmax(raw)
        return torch.where(self.layout.is_scalar, scalar, one_hot).sum(1).mean()

    def sample(self, request: SampleRequest, generators: nn.ModuleDict) -> Tensor:
        """Rows drawn from p(x | z): the largest of logits with Gumbel noise has the value's
        probability.
        """
        # The categories, drawn with their probabilities.
        raw = at_least_float32(generators["main"](self.latents(request)))
        size = request.size
        uniform = request.rng.uniform("gumbel", size, self.layout.width).to(raw)
        rows = self.layout.activate(raw, uniform, 1.0)

        # The numbers, from a Gaussian around their means; rows stay within [-1, 1].
        noise = request.rng.normal("scalars", size, self.layout.width).to(raw)
        noisy = rows + generators["deviations"]() * noise
        return torch.where(self.layout.is_scalar, noisy.clamp(-1, 1), rows)

    def encode(self, x: Tensor, generators: nn.ModuleDict) -> Tensor:
        """The mean of the posterior, ``[B, latent_dim]``."""
        return self.posterior(x, generators)[0]

    def reconstruct(self, x: Tensor, generators: nn.ModuleDict) -> Tensor:
        """The most likely rows ``[B, D]`` of the mean codes."""
        raw = at_least_float32(generators["main"](self.encode(x, generators)))
        return self.layout.activate(raw, None, 1.0)
