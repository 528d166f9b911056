"""The conditional model of tables."""

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
    Positive,
    SampleRequest,
    TermOutputs,
    Weight,
)
from gan_zoo.models.base import Model
from gan_zoo.models.conditioning import conditional_generator
from gan_zoo.models.gan import check_prior


class CTGAN(Model):
    """Rows conditioned on the value of one category column (Xu et al. 2019, algorithm 1).

    Each row of a batch is drawn by a value: of a random column, by the logarithm of its frequency.
    The generator gets the value as a one-hot vector m over all values of all columns, and

        L_G = E l_G(D(G(z, m), m)) + w E CE(logits of m's column in G(z, m), m),

    the discriminator compares (G(z, m), m) with (x, m). Generated rows without a request are
    conditioned on values by their true frequency. Term: ``condition``.

    Args:
        generator: makes raw numbers ``[B, D]``; called with ``latent_dim``, that of the latents and
            the condition.
        discriminator: called with ``sample_shape`` ``[D + C]``, C values of all columns.
        layout: the spans of a row, see `gan_zoo.core.row_layout.spans_of`.
        condition_weight: w; 1 in the paper.
        temperature: of the Gumbel softmax; 0.2 in the paper.
        latent_dim, prior: as in `gan_zoo.models.gan.GAN`.
    """

    term_names: ClassVar[tuple[str, ...]] = ("match",)

    def __init__(
        self,
        generator: Callable[..., nn.Module],
        discriminator: Callable[..., nn.Module],
        layout: Sequence[Mapping[str, Any]] | None,
        condition_weight: Weight = 1.0,
        temperature: Positive = 0.2,
        latent_dim: Count = 128,
        prior: str = "normal",
    ) -> None:
        super().__init__()
        check_prior(prior)
        self.layout = RowLayout(spans_of(required_layout(layout, "model=ctgan")))
        self.latent_dim = latent_dim
        self.prior = prior
        self.condition_weight = condition_weight
        self.temperature = temperature

        # Tables without categories have nothing to condition on.
        values = self.layout.num_categories
        self.needs = ("category",) if values else ()
        made = (
            conditional_generator(generator, latent_dim, values)
            if values
            else generator(latent_dim=latent_dim)
        )
        width = self.layout.width + values
        self.generators = nn.ModuleDict({"main": made})
        self.discriminators = nn.ModuleDict({"main": discriminator(sample_shape=[width])})

    def request_for(self, batch: Batch) -> SampleRequest:
        return SampleRequest(batch.size, batch.rng, label=batch.category)

    def evaluation_request(self, request: SampleRequest) -> SampleRequest:
        """Nothing is requested: values are drawn by their frequency."""
        return SampleRequest(request.size, request.rng)

    def categories(self, request: SampleRequest) -> Tensor:
        """The requested values ``[B]``, else some drawn by their frequency."""
        if request.label is not None:
            return request.label
        return self.layout.draw_categories(request.rng.uniform("values", request.size))

    def generator_inputs(
        self, request: SampleRequest, generators: nn.ModuleDict
    ) -> tuple[Tensor, ...]:
        latents = self.latents(request)
        if not self.layout.num_categories:
            return (latents,)
        return latents, self.layout.one_hot(self.categories(request)).to(latents)

    def rows(self, raw: Tensor, request: SampleRequest) -> Tensor:
        """Rows ``[B, D]`` of the generator's raw numbers."""
        noise = request.rng.uniform("gumbel", request.size, self.layout.width).to(raw)
        return self.layout.activate(raw, noise, self.temperature)

    def generate(self, batch: Batch) -> FakeSamples:
        request = self.request_for(batch)
        raw = self.generators["main"](*self.generator_inputs(request, self.generators))
        return {"fake": self.rows(raw, request), "raw": raw}

    def adversarial_terms(self, batch: Batch, fakes: FakeSamples) -> Sequence[AdversarialTerm]:
        real = self.with_condition(batch.real, batch)
        fake = self.with_condition(fakes["fake"], batch)
        return [AdversarialTerm("match", self.discriminators["main"], real, fake)]

    def with_condition(self, rows: Tensor, batch: Batch) -> Tensor:
        """Rows followed by the condition, ``[B, D + C]``."""
        if batch.category is None:
            return rows
        return torch.cat([rows, self.layout.one_hot(batch.category).to(rows)], 1)

    def generator_terms(
        self, batch: Batch, fakes: FakeSamples, outputs: Sequence[TermOutputs]
    ) -> LossTerms:
        if batch.category is None:
            return {}
        loss = self.layout.category_loss(fakes["raw"].float(), batch.category)
        return {"condition": self.condition_weight * loss}

    def sample(self, request: SampleRequest, generators: nn.ModuleDict) -> Tensor:
        raw = generators["main"](*self.generator_inputs(request, generators))
        return self.rows(raw, request)


def required_layout(
    layout: Sequence[Mapping[str, Any]] | None, model: str
) -> Sequence[Mapping[str, Any]]:
    """The layout of rows, which only tables have."""
    if not layout:
        raise ValueError(
            f"{model} makes rows of tables, other data have no columns: use data=table"
        )
    return layout
