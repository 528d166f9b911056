"""MUNIT: terms by hand, who is trained by what, contents that are no constants, a run in both directions."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from gan_zoo.auxiliary_losses.reconstruction import L1
from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import Batch, SampleRequest, total_loss
from gan_zoo.losses.least_squares import LeastSquares
from gan_zoo.models.translation.munit import MUNIT
from gan_zoo.networks.patchgan import PatchGAN
from gan_zoo.networks.translation.latent_unet import LatentUNet
from tests.helpers import invoke
from tests.models.playing import gradients, reaches, turns

SHAPE = [3, 8, 8]
BY_STYLES = {"g/b", "g/a", "g/style", "g/content", "g/reconstruction"}


class Numbers(nn.Module):
    """Content p x, style q times the mean of an image in both places, image r content + the mean of a style."""

    def __init__(self, p: float, q: float, r: float) -> None:
        super().__init__()
        self.p, self.q, self.r = (nn.Parameter(torch.tensor(value)) for value in (p, q, r))

    def content(self, x: Tensor) -> Tensor:
        return self.p * x

    def style(self, x: Tensor) -> Tensor:
        return self.q * x.flatten(1).mean(1, keepdim=True).expand(-1, 2)

    def decode(self, contents: Tensor, latents: Tensor) -> Tensor:
        return self.r * contents + latents.mean(1)[:, None, None, None]

    def forward(self, x: Tensor, latents: Tensor) -> Tensor:
        return self.decode(self.content(x), latents)


class ConstantContents(MUNIT):
    """Contents as constants: their encoders are not taught what decoders can keep."""

    def generator_terms(self, batch, fakes, outputs):
        constant = {name: fakes[name].detach() for name in ("content_a", "content_b")}
        return super().generator_terms(batch, fakes | constant, outputs)


def batch(size: int = 3) -> Batch:
    draw = torch.Generator().manual_seed(0)
    real, condition = torch.randn(2, size, *SHAPE, generator=draw).tanh()
    return Batch(size, StepRNG(0, 0), real=real, condition=condition)


def model(kind: type[MUNIT] = MUNIT, **options) -> MUNIT:
    numbers = iter([(0.5, 2.0, 3.0), (0.7, -1.0, 0.9)])
    return kind(
        lambda in_shape, out_shape, latent_dim: Numbers(*next(numbers)),
        lambda sample_shape: PatchGAN(sample_shape, layers=1, width=4),
        L1(),
        **{"a_shape": SHAPE, "b_shape": SHAPE, "latent_dim": 2} | options,
    )


def mean_of(x: Tensor) -> Tensor:
    return x.flatten(1).mean(1)[:, None, None, None]


def test_terms_by_hand() -> None:
    weights = {"style_weight": 2.0, "content_weight": 0.3, "cycle_weight": 5.0}
    made, data = model(reconstruction_weight=7.0, **weights), batch()
    a, b = data.condition, data.real
    new_b = data.rng.normal("latents", 3, 2)
    new_a = data.rng.derive("styles of a").normal("latents", 3, 2)
    assert not torch.equal(new_a, new_b)
    plane_a, plane_b = (new.mean(1)[:, None, None, None] for new in (new_a, new_b))

    # a_to_b has p, q, r = 0.5, 2, 3: contents of A, styles and images of B; b_to_a has 0.7, -1, 0.9.
    fake_b, fake_a = 3 * 0.5 * a + plane_b, 0.9 * 0.7 * b + plane_a
    style_a, style_b = -mean_of(a), 2 * mean_of(b)
    found = (2 * fake_b.flatten(1).mean(1, keepdim=True) - new_b).abs().mean() + (
        -fake_a.flatten(1).mean(1, keepdim=True) - new_a
    ).abs().mean()
    expected = {
        "reconstruction": 7
        * ((0.9 * 0.5 * a + style_a - a).abs().mean() + (3 * 0.7 * b + style_b - b).abs().mean()),
        "style": 2 * found,
        "content": 0.3
        * ((0.7 * fake_b - 0.5 * a).abs().mean() + (0.5 * fake_a - 0.7 * b).abs().mean()),
        "cycle": 5
        * (
            (0.9 * 0.7 * fake_b + style_a - a).abs().mean()
            + (3 * 0.5 * fake_a + style_b - b).abs().mean()
        ),
    }
    fakes = made.generate(data)
    torch.testing.assert_close(fakes["b"], fake_b)
    torch.testing.assert_close(fakes["a"], fake_a)
    torch.testing.assert_close(made.generator_terms(data, fakes, []), expected)


def test_who_is_trained_by_what() -> None:
    made, data = model(), batch()
    on_critics, on_translators = turns(made, data, LeastSquares())
    assert set(on_critics) == {"d/b", "d/a"}
    assert set(on_translators) == BY_STYLES
    assert reaches(total_loss(on_translators), made.generators)
    assert not any(g.any() for g in gradients(total_loss(on_critics), made.generators).values())
    style = gradients(on_translators["g/style"], made.generators)
    assert style["a_to_b.q"] != 0
    assert style["b_to_a.q"] != 0
    assert gradients(on_translators["g/b"], made.generators)["a_to_b.q"] == 0, "prior styles"


def test_contents_are_no_constants() -> None:
    """d/dp of c |p' b' - p a| has a part through the target p a, which the twin loses."""

    def of_content(kind: type[MUNIT]) -> Tensor:
        made, data = model(kind), batch()
        term = made.generator_terms(data, made.generate(data), [])["content"]
        return gradients(term, made)["generators.a_to_b.p"]

    made, data = model(), batch()
    a, fake = data.condition, made.generate(data)["b"]
    through_target = (-(0.7 * fake - 0.5 * a).sign() * a).mean()
    difference = of_content(MUNIT) - of_content(ConstantContents)
    torch.testing.assert_close(difference, through_target)


def test_a_cycle_of_weight_zero_is_left_out() -> None:
    made, data = model(), batch()
    assert "cycle" not in made.generator_terms(data, made.generate(data), [])


def test_styles_differ_between_samples_and_steps() -> None:
    made, data = model(), batch()
    of_a, of_b = made.new_styles(data)
    assert len(torch.unique(torch.cat([of_a, of_b]))) == 12
    later = Batch(3, StepRNG(0, 1), data.real, condition=data.condition)
    assert not torch.equal(made.new_styles(later)[0], of_a)


def test_what_a_viewer_sees() -> None:
    made, data = model(), batch()
    request = SampleRequest(3, data.rng, condition=data.condition, target=data.real)
    views = made.visuals(request, made.generators)
    assert list(views) == [
        *("input", "sample", "other latents", "cycled", "encoded", "target", "reverse"),
    ]
    assert not torch.allclose(views["sample"], views["other latents"])
    a, b = data.condition, data.real
    torch.testing.assert_close(views["encoded"], 3 * 0.5 * a + 2 * mean_of(b))
    torch.testing.assert_close(views["cycled"], 0.9 * 0.7 * views["sample"] - mean_of(a))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"a_shape": None}, "model=munit needs data of two domains of images"),
        ({"style_weight": -1.0}, "must be >= 0, latent_dim >= 1, got 10.0, -1.0, 1.0, 0.0 and 2"),
        ({"latent_dim": 0}, "got 10.0, 1.0, 1.0, 0.0 and 0"),
    ],
)
def test_impossible_models(options, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        model(**options)


@pytest.mark.parametrize(
    ("generator", "message"),
    [
        (lambda in_shape, out_shape: nn.Identity(), "a generator with styles"),
        (
            lambda in_shape, out_shape, latent_dim: LatentUNet(
                in_shape, out_shape, latent_dim, width=2
            ),
            "a generator with contents",
        ),
    ],
)
def test_other_generators_are_refused(generator, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MUNIT(generator, lambda sample_shape: nn.Identity(), L1(), SHAPE, SHAPE)


SMALL = (
    *("model=munit", "generator.width=4", "generator.blocks=1", "discriminator.width=4"),
    *("data.batch_size=2", "discriminator.scales=1", "data.image_size=16"),
)


def test_a_run_translates_an_image_several_times_and_back(trained, tmp_path: Path) -> None:
    source, out = tmp_path / "images", tmp_path / "out"
    source.mkdir()
    Image.effect_noise((24, 16), 90).convert("RGB").save(source / "one.png")
    run = trained(*SMALL)
    written: dict[str, list[bytes]] = {}
    for direction in ("forward", "backward"):
        folder = out / direction
        options = ("--full-size", "--num-outputs", 2, "--direction", direction)
        invoke("translate", run, source, folder, *options)
        images = [Image.open(folder / f"one-{number}.png") for number in (1, 2)]
        assert [image.size for image in images] == [(24, 16)] * 2
        written[direction] = [image.tobytes() for image in images]
    assert len({data for both in written.values() for data in both}) == 4
