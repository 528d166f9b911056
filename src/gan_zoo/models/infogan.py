"""The model with codes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from gan_zoo.core.types import Batch, Count, FakeSamples, LossTerms, TermOutputs, Weight, Whole
from gan_zoo.models.gan import GAN


class InfoGAN(GAN):
    """Part of the input is a code that can be read off the sample again (Chen et al. 2016, eq. 6).

    A categorical code (uniform) and continuous ones (U(-1, 1)) are drawn beside the latents; Q, a second head on the
    discriminator's layers, names them. G and Q maximize L_I = E log Q(c | G(z, c)): cross-entropy for the categorical
    code, the full Gaussian log-likelihood with learned variance for the continuous ones. Q learns in the
    discriminators' turn on the same fakes, G in its own through the frozen Q.

    LossTerms of both players: ``code`` and ``continuous``.

    Args:
        generator: called with ``latent_dim``, the latents' size plus that of the codes.
        discriminator: called with ``aux_outputs``.
        classification: ``(logits, codes) -> scalar``.
        likelihood: ``(mu, log_variance, codes) -> scalar``, a negative log-likelihood.
        categories: values of the categorical code; 0 for none.
        continuous: number of continuous codes.
        code_weight, continuous_weight: factors on the terms (1 and 0.1 in the paper).
        latent_dim, prior: as in `GAN`.
    """

    def __init__(
        self,
        generator: Callable[..., nn.Module],
        discriminator: Callable[..., nn.Module],
        classification: nn.Module,
        likelihood: nn.Module,
        categories: Whole = 10,
        continuous: Whole = 2,
        code_weight: Weight = 1.0,
        continuous_weight: Weight = 0.1,
        latent_dim: Count = 62,
        prior: str = "normal",
    ) -> None:
        if categories == 1 or categories < 0 or continuous < 0 or categories + continuous == 0:
            raise ValueError(
                "categories must be 0 or >= 2 and continuous >= 0, not both 0, got "
                f"categories={categories}, continuous={continuous}"
            )
        codes = categories + continuous

        def with_codes(latent_dim: int) -> nn.Module:
            return generator(latent_dim=latent_dim + codes)

        super().__init__(with_codes, lambda: discriminator(aux_outputs=categories + 2 * continuous), latent_dim, prior)
        self.classification, self.likelihood = classification, likelihood
        self.categories, self.continuous = categories, continuous
        self.num_requested_labels = categories or None
        self.code_weight, self.continuous_weight = code_weight, continuous_weight

    def requested_label(self, batch: Batch) -> Tensor | None:
        """The categorical codes, if there are any."""
        return self.codes(batch) if self.categories else None

    def codes(self, batch: Batch) -> Tensor:
        """The categorical codes ``[B]``: drawn uniformly, or the batch's labels where it brings no samples."""
        if batch.real is None and batch.label is not None:
            return batch.label % self.categories
        return batch.rng.integers("code", batch.size, 0, self.categories)

    def values(self, batch: Batch) -> Tensor:
        """The continuous codes ``[B, continuous]`` in (-1, 1), or the condition of a batch without samples."""
        if batch.real is None and batch.condition is not None:
            return batch.condition
        return 2 * batch.rng.uniform("continuous code", batch.size, self.continuous) - 1

    def inputs(self, batch: Batch) -> Tensor:
        """Latents, one-hot category and continuous codes side by side."""
        parts = [self.latents(batch)]
        if self.categories:
            parts += [one_hot(self.codes(batch), self.categories).float()]
        return torch.cat([*parts, self.values(batch)], 1)

    def generate(self, batch: Batch) -> FakeSamples:
        return {"fake": self.generators["main"](self.inputs(batch))}

    def sample(self, batch: Batch, generators: nn.ModuleDict) -> Tensor:
        samples: Tensor = generators["main"](self.inputs(batch))
        return samples

    def information(self, batch: Batch, outputs: Sequence[TermOutputs]) -> LossTerms:
        """-L_I of the fakes, a lower bound on the mutual information up to the codes' constant entropy."""
        said: Tensor = outputs[0].fake.aux
        logits, mu, log_variance = torch.split(said, [self.categories, self.continuous, self.continuous], 1)
        terms: LossTerms = {}
        if self.categories:
            terms["code"] = self.code_weight * self.classification(logits, self.codes(batch))
        if self.continuous:
            terms["continuous"] = self.continuous_weight * self.likelihood(mu, log_variance, self.values(batch))
        return terms

    def discriminator_terms(self, batch: Batch, fakes: FakeSamples, outputs: Sequence[TermOutputs]) -> LossTerms:
        return self.information(batch, outputs)

    def generator_terms(self, batch: Batch, fakes: FakeSamples, outputs: Sequence[TermOutputs]) -> LossTerms:
        return self.information(batch, outputs)
