"""StarGAN v2: terms by hand, diversification's sign and gradient, who is trained by what, references, runs."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn.functional import one_hot, softplus

from gan_zoo.auxiliary_losses.reconstruction import L1
from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import Batch, SampleRequest, total_loss
from gan_zoo.losses.minimax import NonSaturating
from gan_zoo.models.translation.stargan_v2 import StarGANv2
from gan_zoo.networks.translation.adaptive_translator import AdaptiveTranslator
from gan_zoo.networks.translation.domain_heads import (
    DomainDiscriminator,
    DomainMapping,
    DomainStyleEncoder,
)
from tests.helpers import invoke, refused
from tests.models.playing import gradients, reaches, turns

SHAPE = [3, 8, 8]
P, A, Q = 0.5, 0.7, 0.3
OFFSETS = torch.tensor([0.1, -0.2, 0.4])


class Tint(nn.Module):
    """G = x + p mean(s)."""

    def __init__(self, in_shape, out_shape, latent_dim) -> None:
        super().__init__()
        self.p = nn.Parameter(torch.tensor(P))

    def forward(self, x: Tensor, latents: Tensor) -> Tensor:
        return x + self.p * latents.mean(1)[:, None, None, None]


class Scale(nn.Module):
    """F = a z + b_y."""

    def __init__(self, latent_dim, outputs, num_classes) -> None:
        super().__init__()
        self.a = nn.Parameter(torch.tensor(A))
        self.b = nn.Parameter(OFFSETS.clone())

    def forward(self, latents: Tensor, classes: Tensor) -> Tensor:
        return self.a * latents + (classes @ self.b)[:, None]


class Mean(nn.Module):
    """E = (q mean(x) + b_y) in both places."""

    def __init__(self, outputs, num_classes) -> None:
        super().__init__()
        self.q = nn.Parameter(torch.tensor(Q))
        self.b = nn.Parameter(OFFSETS.clone())

    def forward(self, x: Tensor, classes: Tensor) -> Tensor:
        style = self.q * x.flatten(1).mean(1) + classes @ self.b
        return style[:, None].expand(-1, 2)


def labelled(size: int = 6, step: int = 0) -> Batch:
    real = torch.randn(size, *SHAPE, generator=torch.Generator().manual_seed(0)).tanh()
    label = torch.arange(size) % 3
    return Batch(size, StepRNG(0, step), real=real, label=label, condition=real)


def model(**options) -> StarGANv2:
    torch.manual_seed(0)
    networks = {
        "generator": Tint,
        "mapping": Scale,
        "encoder": Mean,
        "discriminator": partial(DomainDiscriminator, SHAPE, width=4, max_width=4),
    }
    sizes = {"num_classes": 3, "a_shape": SHAPE, "b_shape": SHAPE, "style_dim": 2, "latent_dim": 2}
    return StarGANv2(reconstruction=L1(), **networks | sizes | options)


def networks() -> StarGANv2:
    """With the model's own networks, small."""
    small = {"width": 4, "max_width": 4}
    return model(
        generator=lambda in_shape, out_shape, latent_dim: AdaptiveTranslator(
            in_shape, out_shape, latent_dim, **small, halvings=1, blocks=1
        ),
        mapping=partial(DomainMapping, hidden=4, depth=2),
        encoder=partial(DomainStyleEncoder, sample_shape=SHAPE, **small),
    )


def mean(x: Tensor) -> Tensor:
    return x.flatten(1).mean(1)


def styles_by_hand(made: StarGANv2, data: Batch) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Requested domains, and the means of four styles: of latents, others, references, others."""
    request = made.request_for(data)
    label = made.requested_label(request)
    latents = made.latents(request)
    others = data.rng.derive("other latents").normal("latents", data.size, 2)
    of_latents, of_others = (A * z.mean(1) + OFFSETS[label] for z in (latents, others))
    first, domain, second = made.references(data)
    of_first, of_second = (Q * mean(x) + OFFSETS[domain] for x in (first, second))
    return label, of_latents, of_others, of_first, of_second


def test_terms_by_hand() -> None:
    made = model(style_weight=2.0, diversification_weight=3.0, cycle_weight=5.0)
    data = labelled()
    x, own = data.real, data.label
    label, s, s_other, r, r_other = styles_by_hand(made, data)
    domain = own.roll(-1)
    fake, like = (x + P * style[:, None, None, None] for style in (s, r))
    on_discriminator, on_generator = turns(made, data, NonSaturating())
    discriminator = made.discriminators["main"]

    def score(images: Tensor, domains: Tensor) -> Tensor:
        return discriminator(images, one_hot(domains, 3).float()).score

    real, of_fake, of_like = score(x, own), score(fake, label), score(like, domain)
    torch.testing.assert_close(
        on_discriminator,
        {
            "d/latent": softplus(-real).mean() + softplus(of_fake).mean(),
            "d/reference": softplus(-real).mean() + softplus(of_like).mean(),
        },
    )

    # E of the fake against its style; back to the own style; both outputs apart.
    latents = made.latents(made.request_for(data))
    whole = A * latents + OFFSETS[label][:, None]
    found = Q * mean(fake) + OFFSETS[label]
    found_like = Q * mean(like) + OFFSETS[domain]
    back = Q * mean(x) + OFFSETS[own]
    expected = {
        "g/latent": softplus(-of_fake).mean(),
        "g/reference": softplus(-of_like).mean(),
        "g/style": 2 * ((found[:, None] - whole).abs().mean() + (found_like - r).abs().mean()),
        "g/cycle": 5 * P * ((s + back).abs().mean() + (r + back).abs().mean()),
        "g/diversification": -3 * P * ((s - s_other).abs().mean() + (r - r_other).abs().mean()),
    }
    torch.testing.assert_close(on_generator, expected)


def test_the_gradient_of_diversification_by_hand() -> None:
    """Other images are constants, so only one side of each distance moves; a step pushes them apart."""
    made, data = model(diversification_weight=3.0), labelled()
    _, s, s_other, r, r_other = styles_by_hand(made, data)
    label = made.requested_label(made.request_for(data))
    signs, signs_like = (s - s_other).sign(), (r - r_other).sign()
    _, on_generator = turns(made, data, NonSaturating())
    found = gradients(on_generator["g/diversification"], made.generators)
    of_p = -3 * ((signs * s).mean() + (signs_like * r).mean())
    torch.testing.assert_close(found["main.p"], of_p)
    latents = made.latents(made.request_for(data)).mean(1)
    torch.testing.assert_close(found["mapping.a"], -3 * P * (signs * latents).mean())
    of_b = torch.zeros(3).index_add(0, label, -3 * P * signs / data.size)
    torch.testing.assert_close(found["mapping.b"], of_b)
    assert not found["encoder.q"].any(), "references train G alone"


def test_a_step_against_the_term_moves_outputs_apart() -> None:
    made, data = networks(), labelled()
    fakes = made.generate(data)
    before = (fakes["fake"] - made.others(data)[0]).abs().mean()
    term = made.generator_terms(data, fakes, outputs_of(made, data, fakes))["diversification"]
    optimizer = torch.optim.SGD(made.generators.parameters(), lr=1e-3)
    term.backward()
    optimizer.step()
    after = (made.generate(data)["fake"] - made.others(data)[0]).abs().mean()
    assert after > before


def outputs_of(made: StarGANv2, data: Batch, fakes) -> list:
    from gan_zoo.core.types import TermOutputs

    terms = made.adversarial_terms(data, fakes)
    return [TermOutputs(term, None, term.discriminate_fake()) for term in terms]


def test_the_weight_decays_to_zero() -> None:
    made, data = model(diversification_weight=2.0, diversification_images=100), labelled()
    values = []
    for images in (0, 25, 50, 99, 100, 300):
        made.on_progress(images)
        values.append(made.diversification_now)
    assert values == pytest.approx([2, 1.5, 1, 0.02, 0, 0])
    assert "g/diversification" not in turns(made, data, NonSaturating())[1]
    made.on_progress(50)
    half = turns(made, data, NonSaturating())[1]["g/diversification"]
    made.on_progress(0)
    full = turns(made, data, NonSaturating())[1]["g/diversification"]
    torch.testing.assert_close(half, full / 2)


def test_who_is_trained_by_what() -> None:
    made, data = networks(), labelled()
    on_discriminator, on_generator = turns(made, data, NonSaturating())
    nothing = gradients(total_loss(on_discriminator), made.generators)
    assert not any(g.any() for g in nothing.values())
    parts = {name: made.generators[name] for name in ("main", "mapping", "encoder")}
    trained = {
        name: {part for part, network in parts.items() if some(gradients(term, network))}
        for name, term in on_generator.items()
    }
    assert trained == {
        "g/latent": {"main", "mapping"},
        "g/reference": {"main"},
        "g/style": {"main", "mapping", "encoder"},
        "g/cycle": {"main", "mapping", "encoder"},
        "g/diversification": {"main", "mapping"},
    }
    assert reaches(total_loss(on_discriminator), made.discriminators["main"].trunk)


def some(found: dict[str, Tensor]) -> bool:
    return any(bool(gradient.any()) for gradient in found.values())


def test_the_encoder_is_trained_with_latents_alone() -> None:
    """Its gradient of the style and cycle terms by hand: with references both are constants."""
    made, data = model(), labelled()
    label, s, *_ = styles_by_hand(made, data)
    x, own = data.real, data.label
    fake = x + P * s[:, None, None, None]
    latents = made.latents(made.request_for(data))
    difference = (Q * mean(fake) + OFFSETS[label])[:, None] - A * latents - OFFSETS[label][:, None]
    _, on_generator = turns(made, data, NonSaturating())
    of_style = gradients(on_generator["g/style"], made.generators)["encoder.q"]
    torch.testing.assert_close(of_style, (difference.sign() * mean(fake)[:, None]).mean())

    back = Q * mean(x) + OFFSETS[own]
    of_cycle = gradients(on_generator["g/cycle"], made.generators)["encoder.q"]
    torch.testing.assert_close(of_cycle, P * ((s + back).sign() * mean(x)).mean())


def test_only_heads_of_the_batch_s_domains_are_trained() -> None:
    made, data = networks(), labelled()
    data.label = torch.ones_like(data.label)
    terms, _ = turns(made, data, NonSaturating())
    found = gradients(terms["d/reference"], made.discriminators)["main.heads.weight"]
    assert found[1].any()
    assert not found[[0, 2]].any()


def test_references_are_others_of_one_domain() -> None:
    made = model()
    seconds = set()
    for step in range(20):
        data = labelled(9, step)
        first, domain, second = made.references(data)
        numbers = [int((data.real - image).abs().sum((1, 2, 3)).argmin()) for image in second]
        assert torch.equal(first, data.real.roll(-1, 0))
        assert torch.equal(data.label[numbers], domain)
        assert all(number != (place + 1) % 9 for place, number in enumerate(numbers))
        seconds.add(tuple(numbers))
    assert len(seconds) > 10, "chance decides"

    # The only one of its domain is compared with itself.
    first, _, second = made.references(labelled(3))
    assert torch.equal(first, second)


def test_samples_of_latents_and_of_references() -> None:
    made, data = model(), labelled()
    label = torch.tensor([2, 0, 1, 1, 0, 2])
    latents = torch.randn(6, 2)
    request = SampleRequest(6, StepRNG(0, 0), latents, label, data.real)
    style = A * latents.mean(1) + OFFSETS[label]
    expected = data.real + P * style[:, None, None, None]
    visuals = made.visuals(request, made.generators)
    assert list(visuals) == ["input", "sample", "other latents"]
    torch.testing.assert_close(visuals["sample"], expected)
    assert not torch.isclose(visuals["other latents"], expected).all()
    references = data.real.flip(0)
    like = made.translated_like(data.real, references, label, made.generators)
    style = Q * mean(references) + OFFSETS[label]
    torch.testing.assert_close(like, data.real + P * style[:, None, None, None])
    assert made.translates
    assert made.conditioning == "class"


def test_evaluations_ask_for_other_domains() -> None:
    made = model()
    label = torch.arange(300) % 3
    request = SampleRequest(300, StepRNG(0, 0), label=label)
    step = (made.evaluation_request(request).label - label) % 3
    assert step.bincount(minlength=3)[0] == 0
    assert (step.bincount()[1:] > 110).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"a_shape": None}, "model=stargan_v2 needs data of two domains of images"),
        ({"num_classes": 1}, "data.num_classes must be >= 2, got 1"),
        ({"a_shape": [1, 8, 8]}, r"\(data/derive=copy\), got conditions \[1, 8, 8\] of samples"),
        ({"cycle_weight": -1.0}, "must be >= 0.*got 1.0, 1.0, -1.0, 800000, 2 and 2"),
        ({"generator": lambda in_shape, out_shape: nn.Identity()}, "use generator=adaptive_tra"),
    ],
)
def test_impossible_models(options, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        model(**options)


SMALL = (
    *("model=stargan_v2", "generator.width=4", "generator.max_width=8", "data.batch_size=2"),
    *("discriminator.width=4", "discriminator.max_width=8", "model.mapping.hidden=8"),
    *("model.encoder.width=4", "model.encoder.max_width=8"),
)


@pytest.mark.slow
def test_a_run_translates_a_folder_to_a_domain_several_times(trained, tmp_path: Path) -> None:
    source = tmp_path / "images"
    source.mkdir()
    Image.effect_noise((36, 28), 90).convert("RGB").save(source / "one.png")
    run = trained(*SMALL)
    outputs = {}
    for name in ("original", "dark"):
        options = ("--class", name, "--num-outputs", 2, "--full-size")
        invoke("translate", run, source, tmp_path / name, *options)
        for number in (1, 2):
            image = Image.open(tmp_path / name / f"one-{number}.png")
            assert image.size == (36, 28)
            outputs[name, number] = image.tobytes()
    assert len(set(outputs.values())) == 4
    line = refused("translate", run, source, tmp_path / "x", "--num-outputs", 2)
    assert "StarGANv2 translates to a class: name one with --class" in line
