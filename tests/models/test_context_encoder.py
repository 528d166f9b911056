"""Context encoder: completion and terms by hand, known pixels, a mistaken twin, runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from gan_zoo.auxiliary_losses.reconstruction import L2
from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import Batch, total_loss
from gan_zoo.data.derived import Mask
from gan_zoo.losses.least_squares import LeastSquares
from gan_zoo.models.translation.context_encoder import Completion, ContextEncoder
from gan_zoo.networks.patchgan import PatchGAN
from tests.helpers import invoke

from .playing import gradients, reaches, turns

SHAPE = [3, 8, 8]


class Constant(nn.Module):
    """The same value in every pixel."""

    def __init__(self, value: float = 0.25) -> None:
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value))

    def forward(self, x: Tensor) -> Tensor:
        return self.value * torch.ones_like(x[:, :-1])


class Everything(nn.Module):
    """Does not put the known pixels back: a mistaken twin, of which the discriminator sees all."""

    def __init__(self, translator: nn.Module) -> None:
        super().__init__()
        self.translator = translator

    def forward(self, x: Tensor) -> Tensor:
        return self.translator(x)


def holes(size: int = 2) -> Batch:
    real = torch.randn(size, *SHAPE, generator=torch.Generator().manual_seed(0)).tanh()
    rng = StepRNG(0, 0)
    return Batch(size, rng, real=real, condition=Mask("boxes")(real, rng))


def model(**options) -> ContextEncoder:
    return ContextEncoder(
        lambda in_shape, out_shape: Constant(),
        lambda: PatchGAN(SHAPE, layers=1, width=4),
        L2(),
        **{"a_shape": [4, 8, 8], "b_shape": SHAPE} | options,
    )


def keeps_known_pixels(network: nn.Module) -> bool:
    data = holes()
    known = (data.condition[:, -1:] < 0).expand_as(data.real)
    return torch.equal(network(data.condition)[known], data.real[known])


def test_the_hole_alone_is_filled() -> None:
    assert keeps_known_pixels(Completion(Constant()))
    assert not keeps_known_pixels(Everything(Constant()))
    data = holes()
    hole = (data.condition[:, -1:] > 0).expand_as(data.real)
    assert 0 < hole.float().mean() < 1
    assert (Completion(Constant())(data.condition)[hole] == 0.25).all()


def test_terms_by_hand() -> None:
    made, data = model(reconstruction_weight=3.0, adversarial_weight=0.01), holes()
    hole = (data.condition[:, -1:] > 0).float()
    completed = torch.where(hole > 0, 0.25, data.real)
    on_critic, on_translator = turns(made, data, LeastSquares())
    score = made.discriminators["main"](completed).score
    of_real = made.discriminators["main"](data.real).score
    expected = {
        "g/realism": 0.01 * 0.5 * (score - 1).square().mean(),
        "g/reconstruction": 3 * (hole * (0.25 - data.real).square()).mean(),
    }
    torch.testing.assert_close(on_translator, expected)
    by_hand = 0.5 * ((of_real - 1).square().mean() + score.square().mean())
    torch.testing.assert_close(on_critic, {"d/realism": by_hand})


def test_who_is_trained_by_what() -> None:
    made, data = model(), holes()
    on_critic, on_translator = turns(made, data, LeastSquares())
    assert all(reaches(term, made.generators) for term in on_translator.values())
    assert not any(g.any() for g in gradients(total_loss(on_critic), made.generators).values())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"a_shape": None}, "model=context_encoder needs data of two domains of images"),
        ({"a_shape": SHAPE}, r"\(data/derive=mask\), got conditions \[3, 8, 8\] of samples"),
        ({"adversarial_weight": -1.0}, "adversarial_weight must be >= 0, got -1.0"),
    ],
)
def test_impossible_models(options, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        model(**options)


SMALL = ("generator.width=4", "discriminator.width=4", "data.batch_size=2")


@pytest.mark.parametrize(("name", "mode"), [("context_encoder", "RGB"), ("colorization", "L")])
def test_a_run_translates_a_folder(name: str, mode: str, trained, tmp_path: Path) -> None:
    source = tmp_path / "images"
    source.mkdir()
    image = Image.effect_noise((32, 32), 90).convert(mode)
    image.save(source / "one.png")
    run = trained(f"model={name}", *SMALL)
    invoke("translate", run, source, tmp_path / "out")
    made = np.asarray(Image.open(tmp_path / "out" / "one.png"))
    assert made.shape == (32, 32, 3)
    if name == "context_encoder":
        changed = (made != np.asarray(image)).any(2)
        assert changed[12:20, 12:20].mean() > 0.5
        assert not changed[:4].any()
