"""CTGAN and TVAE: their terms by hand, their rows, and what is asked of them."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, gumbel_softmax, one_hot

from gan_zoo.core.rng import StepRNG
from gan_zoo.core.row_layout import RowLayout, Span, spans_of
from gan_zoo.core.types import Batch, SampleRequest
from gan_zoo.losses.wasserstein import Wasserstein
from gan_zoo.models.tables.ctgan import CTGAN
from gan_zoo.models.tables.tvae import TVAE, ScalarDeviations
from gan_zoo.networks.mlp import MLPGenerator
from gan_zoo.networks.tabular import (
    TabularDiscriminator,
    TabularEncoder,
    TabularGenerator,
)
from tests.models.playing import gradients, turns

LAYOUT = [
    {"kind": "scalar", "width": 1},
    {"kind": "mode", "width": 3},
    {"kind": "category", "width": 2, "counts": [30, 10]},
    {"kind": "category", "width": 3, "counts": [1, 2, 5]},
]
WIDTH, VALUES = 9, 5
GENERATOR = partial(TabularGenerator, sample_shape=[WIDTH], widths=[8])


def rows(size: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)

    def vectors(width: int) -> Tensor:
        return one_hot(torch.randint(width, (size,), generator=generator), width).float()

    scalar = torch.rand(size, 1, generator=generator) * 2 - 1
    return torch.cat([scalar, vectors(3), vectors(2), vectors(3)], 1)


def batch(size: int = 6, step: int = 0) -> Batch:
    category = torch.arange(size) % VALUES
    return Batch(size, StepRNG(0, step), rows(size, step), category=category)


def ctgan(dropout: float = 0.0, **options) -> CTGAN:
    torch.manual_seed(0)
    discriminator = partial(TabularDiscriminator, sample_shape=[WIDTH], widths=[8], dropout=dropout)
    return CTGAN(GENERATOR, discriminator, LAYOUT, latent_dim=4, **options)


def tvae(**options) -> TVAE:
    torch.manual_seed(0)
    decoder = partial(MLPGenerator, sample_shape=[WIDTH], width=8, depth=1)
    encoder = partial(TabularEncoder, sample_shape=[WIDTH], widths=[8])
    return TVAE(decoder, encoder, LAYOUT, latent_dim=4, **options)


def test_spans_are_activated_each_for_itself() -> None:
    """Against torch's own softmax on each span, also for logits of very different size."""
    layout, raw = RowLayout(spans_of(LAYOUT)), torch.randn(4, WIDTH) * 30
    raw[:, 4:6] -= 5000.0
    raw.requires_grad_()
    found = layout.activate(raw, None, 0.5)
    parts = raw.split([1, 3, 2, 3], 1)
    expected = torch.cat([parts[0].tanh(), *((p / 0.5).softmax(1) for p in parts[1:])], 1)
    torch.testing.assert_close(found, expected)
    weights = torch.randn(4, WIDTH)
    torch.testing.assert_close(
        torch.autograd.grad((found * weights).sum(), raw)[0],
        torch.autograd.grad((expected * weights).sum(), raw)[0],
    )


def test_the_gumbel_softmax_draws_each_value_with_its_probability() -> None:
    layout = RowLayout([Span("category", 3, (1, 1, 1))])
    logits = torch.tensor([[0.1, 0.6, 0.3]]).log().expand(20_000, -1)
    noise = torch.rand(20_000, 3, generator=torch.Generator().manual_seed(0))
    drawn = layout.activate(logits, noise, 0.2)
    shares = one_hot(drawn.argmax(1), 3).float().mean(0)
    torch.testing.assert_close(shares, torch.tensor([0.1, 0.6, 0.3]), atol=0.02, rtol=0)
    torch.manual_seed(0)
    reference = gumbel_softmax(logits, tau=0.2)
    torch.testing.assert_close(drawn.amax(1).mean(), reference.amax(1).mean(), atol=0.01, rtol=0)


def test_ctgans_terms_by_hand() -> None:
    model, data = ctgan(condition_weight=0.5).eval(), batch()
    of_discriminator, of_generators = turns(model, data, Wasserstein())
    condition = one_hot(data.category, VALUES).float()
    latents = data.rng.normal("latents", 6, 4)
    raw = model.generators["main"](latents, condition)
    fake = model.layout.activate(raw, data.rng.uniform("gumbel", 6, WIDTH), 0.2)
    discriminator = model.discriminators["main"]
    real_score = discriminator(torch.cat([data.real, condition], 1))
    fake_score = discriminator(torch.cat([fake, condition], 1))
    torch.testing.assert_close(of_discriminator["d/match"], (fake_score - real_score).mean())
    torch.testing.assert_close(of_generators["g/match"], -fake_score.mean())

    # The logits of the column that was asked for, whichever it is.
    losses = [
        cross_entropy(raw[row, 4:6], value)
        if value < 2
        else cross_entropy(raw[row, 6:9], value - 2)
        for row, value in enumerate(data.category)
    ]
    torch.testing.assert_close(of_generators["g/condition"], 0.5 * torch.stack(losses).mean())


def test_the_term_of_the_value_does_not_reach_other_columns() -> None:
    """A mistaken twin asks the first column for the value of any other."""
    model, data = ctgan().eval(), batch()
    data.category = torch.full((6,), 3)  # a value of the second column
    _, of_generators = turns(model, data, Wasserstein())
    last = model.generators["main"].network.layers[-1]
    gradient = gradients(of_generators["g/condition"], last)["bias"]
    assert not gradient[:6].any()
    assert (gradient[6:] != 0).all()


def test_a_row_does_not_depend_on_its_neighbors() -> None:
    """Samples are made in evaluation mode: batch normalization uses its running statistics."""
    model = ctgan().eval()
    latents = torch.randn(6, 4)
    label = torch.zeros(6, dtype=torch.int64)
    raw = model.generators["main"](latents, model.layout.one_hot(label))
    alone = model.generators["main"](latents[:1], model.layout.one_hot(label[:1]))
    torch.testing.assert_close(raw[:1], alone)


def test_rows_without_a_request_are_conditioned_by_frequency() -> None:
    model = ctgan()
    values = model.categories(SampleRequest(20_000, StepRNG(0, 0)))
    shares = one_hot(values, VALUES).float().mean(0)
    expected = torch.tensor([0.75, 0.25, 1 / 8, 2 / 8, 5 / 8]) / 2
    torch.testing.assert_close(shares, expected, atol=0.02, rtol=0)
    asked = SampleRequest(4, StepRNG(0, 0), label=torch.tensor([4, 0, 2, 1]))
    assert model.categories(asked).tolist() == [4, 0, 2, 1]


def test_tables_without_categories_have_no_condition() -> None:
    discriminator = partial(TabularDiscriminator, sample_shape=[4], widths=[8])
    generator = partial(TabularGenerator, sample_shape=[4], widths=[8])
    model = CTGAN(generator, discriminator, LAYOUT[:2], latent_dim=4)
    assert model.needs == ()
    data = Batch(6, StepRNG(0, 0), rows(6)[:, :4])
    _, of_generators = turns(model, data, Wasserstein())
    assert list(of_generators) == ["g/match"]


def test_tvaes_terms_by_hand() -> None:
    model, data = tvae(reconstruction_weight=1.5), batch()
    _, of_generators = turns(model, data, Wasserstein())
    mu, log_variance = model.generators["encoder"](data.real).chunk(2, 1)
    latents = mu + (log_variance / 2).exp() * data.rng.normal("posterior", 6, 4)
    raw = model.generators["main"](latents)
    deviation = 0.1
    scalar = (data.real[:, :1] - raw[:, :1].tanh()) ** 2 / (2 * deviation**2)
    losses = scalar.sum(1) + torch.log(torch.tensor(deviation))
    for start, stop in ((1, 4), (4, 6), (6, 9)):
        target = data.real[:, start:stop].argmax(1)
        losses = losses + cross_entropy(raw[:, start:stop], target, reduction="none")
    torch.testing.assert_close(of_generators["g/reconstruction"], 1.5 * losses.mean())
    kl = 0.5 * (mu**2 + log_variance.exp() - 1 - log_variance).sum(1).mean()
    torch.testing.assert_close(of_generators["g/kl"], kl)


def test_deviations_come_back_into_their_range() -> None:
    """Residuals that were small for long and then grow again."""
    deviations = ScalarDeviations(1)
    optimizer = torch.optim.SGD(deviations.parameters(), lr=1.0)
    for gradient in (5.0, 5.0, -0.25):
        optimizer.zero_grad()
        (gradient * deviations()).sum().backward()
        optimizer.step()
    assert deviations().item() == pytest.approx(0.26)
    deviations.deviations.grad.fill_(-9.0)
    optimizer.step()
    assert deviations().item() == 1


def test_tvae_draws_values_with_their_probability() -> None:
    model = tvae().eval()
    with torch.no_grad():
        for part in model.generators["main"].parameters():
            part.zero_()
        model.generators["main"].layers[2].bias[6:9] = torch.tensor([0.2, 0.2, 0.6]).log()
    drawn = model.sample(SampleRequest(20_000, StepRNG(0, 0)), model.generators)
    shares = one_hot(drawn[:, 6:9].argmax(1), 3).float().mean(0)
    torch.testing.assert_close(shares, torch.tensor([0.2, 0.2, 0.6]), atol=0.02, rtol=0)
    torch.testing.assert_close(drawn[:, 0].std(), torch.tensor(0.1), atol=0.01, rtol=0)


def test_models_of_tables_need_tables() -> None:
    with pytest.raises(ValueError, match=r"model=ctgan makes rows of tables.*use data=table"):
        CTGAN(GENERATOR, nn.Linear, None)
    with pytest.raises(ValueError, match="generator=tabular makes or takes rows"):
        TabularGenerator(4, [3, 8, 8])
    with pytest.raises(ValueError, match="one of scalar, mode, category"):
        spans_of([{"kind": "word", "width": 2}])
