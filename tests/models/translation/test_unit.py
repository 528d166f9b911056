"""UNIT: terms by hand, who is trained by what, shared blocks, a run in both directions."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from gan_zoo.auxiliary_losses.reconstruction import L1
from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import Batch, SampleRequest, total_loss
from gan_zoo.losses.least_squares import LeastSquares
from gan_zoo.models.translation.unit import UNIT
from gan_zoo.networks.patchgan import PatchGAN
from gan_zoo.networks.translation.content_style import EncoderDecoder
from gan_zoo.networks.translation.image_to_image import UNetTranslator
from tests.helpers import invoke
from tests.models.playing import gradients, reaches, turns

SHAPE = [3, 8, 8]
TERMS = {"g/b", "g/a", "g/reconstruction", "g/kl", "g/cycle", "g/cycle_kl"}


class Numbers(nn.Module):
    """Code p x, image q code; without blocks to share."""

    def __init__(self, p: float, q: float) -> None:
        super().__init__()
        self.p, self.q = nn.Parameter(torch.tensor(p)), nn.Parameter(torch.tensor(q))
        self.encoder = self.decoder = nn.Module()
        self.encoder.blocks = nn.ModuleList()

    def encode(self, x: Tensor) -> Tensor:
        return self.p * x

    def decode(self, codes: Tensor) -> Tensor:
        return self.q * codes

    def forward(self, x: Tensor) -> Tensor:
        return self.decode(self.encode(x))


def batch(size: int = 3) -> Batch:
    draw = torch.Generator().manual_seed(0)
    real, condition = torch.randn(2, size, *SHAPE, generator=draw).tanh()
    return Batch(size, StepRNG(0, 0), real=real, condition=condition)


def model(**options) -> UNIT:
    numbers = iter([(0.5, 3.0), (0.7, 0.9)])
    return UNIT(
        lambda in_shape, out_shape: Numbers(*next(numbers)),
        lambda sample_shape: PatchGAN(sample_shape, layers=1, width=4),
        L1(),
        **{"a_shape": SHAPE, "b_shape": SHAPE, "shared_blocks": 0} | options,
    )


def of_networks(shared_blocks: int = 1) -> UNIT:
    generator = partial(EncoderDecoder, width=4, blocks=2, kernel=3)
    return UNIT(
        generator,
        lambda sample_shape: PatchGAN(sample_shape, layers=1, width=4),
        L1(),
        SHAPE,
        SHAPE,
        shared_blocks=shared_blocks,
    )


def test_terms_by_hand() -> None:
    """a_to_b has p, q = 0.5, 3: codes of A, images of B; b_to_a has 0.7, 0.9."""
    weights = {"kl_weight": 0.2, "cycle_weight": 5.0, "cycle_kl_weight": 0.3}
    made, data = model(reconstruction_weight=7.0, **weights), batch()
    a, b = data.condition, data.real

    def noise(of: str) -> Tensor:
        return data.rng.normal(f"code of {of}", 3, *SHAPE)

    code_a, code_b = 0.5 * a + noise("a"), 0.7 * b + noise("b")
    fake_b, fake_a = 3 * code_a, 0.9 * code_b
    again_a, again_b = 0.7 * fake_b + noise("a again"), 0.5 * fake_a + noise("b again")
    expected = {
        "reconstruction": 7 * ((0.9 * code_a - a).abs().mean() + (3 * code_b - b).abs().mean()),
        "kl": 0.2 * ((0.5 * a).square().mean() + (0.7 * b).square().mean()),
        "cycle": 5 * ((0.9 * again_a - a).abs().mean() + (3 * again_b - b).abs().mean()),
        "cycle_kl": 0.3 * ((0.7 * fake_b).square().mean() + (0.5 * fake_a).square().mean()),
    }
    fakes = made.generate(data)
    torch.testing.assert_close(fakes["b"], fake_b)
    torch.testing.assert_close(fakes["a"], fake_a)
    torch.testing.assert_close(made.generator_terms(data, fakes, []), expected)


def test_who_is_trained_by_what() -> None:
    made, data = of_networks(), batch()
    on_critics, on_translators = turns(made, data, LeastSquares())
    assert set(on_critics) == {"d/b", "d/a"}
    assert set(on_translators) == TERMS
    assert reaches(total_loss(on_translators), nn.ModuleList([made.generators["a_to_b"].decoder]))
    assert not any(g.any() for g in gradients(total_loss(on_critics), made.generators).values())
    of_kl = gradients(on_translators["g/kl"], made.generators)
    assert not any(g.any() for name, g in of_kl.items() if "decoder" in name)


def test_kl_is_twice_the_divergence_of_a_unit_gaussian() -> None:
    made, data = model(kl_weight=1.0), batch()
    found = made.generator_terms(data, made.generate(data), [])["kl"]
    divergence = torch.stack(
        [
            torch.distributions.kl_divergence(
                torch.distributions.Normal(mu, 1.0), torch.distributions.Normal(0.0, 1.0)
            ).mean()
            for mu in (0.5 * data.condition, 0.7 * data.real)
        ]
    )
    torch.testing.assert_close(found, 2 * divergence.sum())


@pytest.mark.parametrize("count", [0, 1, 2])
def test_shared_blocks_are_one(count: int) -> None:
    made = of_networks(count)
    a_to_b, b_to_a = made.generators["a_to_b"], made.generators["b_to_a"]
    same = [x is y for x, y in zip(a_to_b.encoder.blocks, b_to_a.encoder.blocks, strict=True)]
    assert same == [number >= 2 - count for number in range(2)]
    same = [x is y for x, y in zip(a_to_b.decoder.blocks, b_to_a.decoder.blocks, strict=True)]
    assert same == [number < count for number in range(2)]
    block = sum(p.numel() for p in a_to_b.encoder.blocks[0].parameters())
    alone = sum(p.numel() for p in of_networks(0).parameters())
    assert sum(p.numel() for p in made.parameters()) == alone - 2 * count * block


def test_samples_are_without_noise() -> None:
    made, data = model(), batch()
    sample = made.sample(SampleRequest(3, data.rng, condition=data.condition), made.generators)
    torch.testing.assert_close(sample, 3 * 0.5 * data.condition)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"a_shape": None}, "model=unit needs data of two domains of images"),
        ({"kl_weight": -1.0}, "must be >= 0, got 10.0, -1.0, 10.0, 0.01"),
        ({"shared_blocks": 1}, r"shared_blocks must be 0 to 0 \(generator.blocks\), got 1"),
    ],
)
def test_impossible_models(options, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        model(**options)


def test_other_generators_are_refused() -> None:
    generator = partial(UNetTranslator, width=2)
    with pytest.raises(ValueError, match="use generator=encoder_decoder"):
        UNIT(generator, lambda sample_shape: nn.Identity(), L1(), SHAPE, SHAPE)


SMALL = (
    *("model=unit", "generator.width=4", "generator.blocks=1", "discriminator.width=4"),
    *("data.batch_size=2", "discriminator.scales=1", "data.image_size=16"),
)


def test_a_run_translates_in_both_directions(trained, tmp_path: Path) -> None:
    source = tmp_path / "images"
    source.mkdir()
    Image.effect_noise((24, 16), 90).convert("RGB").save(source / "one.png")
    run = trained(*SMALL)
    for direction in ("forward", "backward"):
        out = tmp_path / direction
        invoke("translate", run, source, out, "--full-size", "--direction", direction)
    first, second = (Image.open(tmp_path / d / "one.png") for d in ("forward", "backward"))
    assert first.size == second.size == (24, 16)
    assert first.tobytes() != second.tobytes()
