"""The model with interpretable codes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from gan_zoo.core.types import (
    Batch,
    Count,
    FakeSamples,
    LossTerms,
    SampleRequest,
    TermOutputs,
    Weight,
    Whole,
)
from gan_zoo.models.conditioning import conditional_generator
from gan_zoo.models.gan import GAN


class InfoGAN(GAN):
    """Part of the input is a code that can be predicted from the sample (Chen et al. 2016, eq. 6).

    A categorical code (uniform) and continuous ones (U(-1, 1)) are drawn in addition to the
    latents; Q, a second head on the discriminator's layers, predicts them. G and Q maximize L_I = E
    log Q(c | G(z, c)): cross-entropy for the categorical code, the full Gaussian log-likelihood
    with learned variance for the continuous ones. Q learns in the discriminator step on the same
    fakes, G in its own step through the frozen Q.

    Loss terms of both sides: ``code`` and ``continuous``.

    Args:
        generator: made by `conditional_generator` with ``condition_dim`` = the size of all codes.
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
        # A categorical code of one value would carry no information.
        if categories == 1 or categories < 0 or continuous < 0 or categories + continuous == 0:
            raise ValueError(
                "categories must be 0 or >= 2 and continuous >= 0, not both 0, got "
                f"categories={categories}, continuous={continuous}"
            )

        # Q predicts logits of the categorical code, mean and log-variance of each continuous one.
        codes = categories + continuous

        def with_codes(latent_dim: int) -> nn.Module:
            return conditional_generator(generator, latent_dim, codes)

        super().__init__(
            with_codes,
            lambda: discriminator(aux_outputs=categories + 2 * continuous),
            latent_dim,
            prior,
        )
        self.classification = classification
        self.likelihood = likelihood
        self.categories = categories
        self.num_requested_labels = categories or None
        self.num_continuous_codes = continuous
        self.code_weight = code_weight
        self.continuous_weight = continuous_weight

    def request_for(self, batch: Batch) -> SampleRequest:
        """In training codes are drawn uniformly."""
        return SampleRequest(batch.size, batch.rng)

    def requested_label(self, request: SampleRequest) -> Tensor | None:
        """The categorical codes ``[B]``, if there are any: as requested, else uniformly random."""
        if not self.categories:
            return None
        if request.label is not None:
            return request.label % self.categories
        return request.rng.randint("code", request.size, 0, self.categories)

    def requested_codes(self, request: SampleRequest) -> Tensor:
        """The continuous codes ``[B, continuous]`` in (-1, 1): as requested, else uniformly
        random.
        """
        if request.codes is not None:
            return request.codes
        return (
            2 * request.rng.uniform("continuous code", request.size, self.num_continuous_codes) - 1
        )

    def generator_inputs(
        self, request: SampleRequest, generators: nn.ModuleDict
    ) -> tuple[Tensor, ...]:
        codes = []
        labels = self.requested_label(request)
        if labels is not None:
            codes.append(one_hot(labels, self.categories).float())
        codes.append(self.requested_codes(request))
        return self.latents(request), torch.cat(codes, 1)

    def information(self, batch: Batch, outputs: Sequence[TermOutputs]) -> LossTerms:
        """-L_I of the fakes, a lower bound on the mutual information up to the codes' constant
        entropy.
        """
        # The codes that the fakes were made from, as a step repeats its draws.
        request = self.request_for(batch)
        sizes = [self.categories, self.num_continuous_codes, self.num_continuous_codes]
        logits, mu, log_variance = torch.split(outputs[0].fake.aux, sizes, 1)
        terms: LossTerms = {}
        labels = self.requested_label(request)
        if labels is not None:
            terms["code"] = self.code_weight * self.classification(logits, labels)
        if self.num_continuous_codes:
            codes = self.requested_codes(request)
            terms["continuous"] = self.continuous_weight * self.likelihood(mu, log_variance, codes)
        return terms

    def discriminator_terms(
        self, batch: Batch, fakes: FakeSamples, outputs: Sequence[TermOutputs]
    ) -> LossTerms:
        return self.information(batch, outputs)

    def generator_terms(
        self, batch: Batch, fakes: FakeSamples, outputs: Sequence[TermOutputs]
    ) -> LossTerms:
        return self.information(batch, outputs)
