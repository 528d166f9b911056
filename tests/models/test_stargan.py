"""StarGAN: terms by hand, who is trained by what, requests of other classes, mistaken twins, runs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from gan_zoo.auxiliary_losses.classification import CrossEntropy
from gan_zoo.auxiliary_losses.reconstruction import L1
from gan_zoo.core.rng import StepRNG, stable_seed
from gan_zoo.core.types import Batch, SampleRequest, total_loss
from gan_zoo.data.dataset import Source
from gan_zoo.data.derived import Copy, with_derived_conditions
from gan_zoo.export.model_card import usage
from gan_zoo.inference import sampling
from gan_zoo.inference.load import load_run
from gan_zoo.inference.model import LoadedModel, make_request
from gan_zoo.losses.wasserstein import Wasserstein
from gan_zoo.models.translation.stargan import StarGAN
from gan_zoo.networks.translation.class_translator import ClassPatchGAN, ClassTranslator
from gan_zoo.training.module import GANModule
from gan_zoo.training.requests import data_request, grid_request
from tests.helpers import invoke, refused

from .playing import gradients, reaches, turns

SHAPE = [3, 8, 8]
CPU = torch.device("cpu")


class Shift(nn.Module):
    """x + b_k for class k."""

    def __init__(self) -> None:
        super().__init__()
        self.shifts = nn.Parameter(torch.tensor([0.0, 0.25, -0.5]))

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        return x + (condition @ self.shifts)[:, None, None, None]


def labelled(size: int = 6) -> Batch:
    real = torch.randn(size, *SHAPE, generator=torch.Generator().manual_seed(0)).tanh()
    label = torch.arange(size) % 3
    return Batch(size, StepRNG(0, 0), real=real, label=label, condition=real)


def model(translator=None, **options) -> StarGAN:
    return StarGAN(
        translator or (lambda in_shape, out_shape, condition_dim: Shift()),
        lambda aux_outputs: ClassPatchGAN(SHAPE, aux_outputs, layers=1, width=4),
        CrossEntropy(),
        L1(),
        **{"num_classes": 3, "a_shape": SHAPE, "b_shape": SHAPE} | options,
    )


def styles(count: int = 30) -> Source:
    """Images whose gray value is their class, as their own conditions."""
    labels = torch.arange(count) % 3
    images = (100 * labels).to(torch.uint8).view(-1, 1, 1, 1).expand(-1, *SHAPE).contiguous()
    source = Source("styles", "train", images, labels, classes=["a", "b", "c"])
    return with_derived_conditions(source, Copy())


def test_terms_by_hand() -> None:
    made, data = model(class_weight=2.0, reconstruction_weight=5.0), labelled()
    requested = made.requested_label(made.request_for(data))
    shifts = torch.tensor([0.0, 0.25, -0.5])
    there = shifts[requested].view(-1, 1, 1, 1)
    back = shifts[data.label].view(-1, 1, 1, 1)
    fake = data.real + there
    on_critic, on_generator = turns(made, data, Wasserstein())
    of_real, of_fake = (made.discriminators["main"](x) for x in (data.real, fake))
    torch.testing.assert_close(
        on_critic,
        {
            "d/realism": of_fake.score.mean() - of_real.score.mean(),
            "d/class": 2 * F.cross_entropy(of_real.aux, data.label),
        },
    )
    torch.testing.assert_close(
        on_generator,
        {
            "g/realism": -of_fake.score.mean(),
            "g/class": 2 * F.cross_entropy(of_fake.aux, requested),
            "g/reconstruction": 5 * (there + back).abs().mean(),
        },
    )


def test_the_way_back_is_to_the_image_s_own_class() -> None:
    """Twins that reconstruct from the sample's class, or without the first step, have other values."""
    made, data = model(reconstruction_weight=1.0), labelled()
    requested = made.requested_label(made.request_for(data))
    shifts = torch.tensor([0.0, 0.25, -0.5])
    _, on_generator = turns(made, data, Wasserstein())
    same_class_twice = (2 * shifts[requested]).abs().mean()
    one_step = shifts[data.label].abs().mean()
    for twin in (same_class_twice, one_step):
        assert not torch.isclose(on_generator["g/reconstruction"], twin)


def test_who_is_trained_by_what() -> None:
    small = {"width": 4, "blocks": 1, "kernel": 3, "norm": "none"}
    made, data = model(lambda **shapes: ClassTranslator(**shapes, **small)), labelled()
    on_critic, on_generator = turns(made, data, Wasserstein())
    assert all(reaches(term, made.generators) for term in on_generator.values())
    assert not any(g.any() for g in gradients(total_loss(on_critic), made.generators).values())
    of_class = gradients(on_critic["d/class"], made.discriminators)
    assert of_class["main.classes.weight"].any()
    assert not of_class["main.score.weight"].any()


def test_classes_of_training_are_drawn_and_not_those_of_the_data() -> None:
    made = model()
    rng = StepRNG(0, 0)
    data = Batch(300, rng, torch.zeros(300, *SHAPE), label=torch.zeros(300, dtype=torch.int64))
    drawn = made.requested_label(made.request_for(data)).bincount(minlength=3)
    assert (drawn > 70).all()


def test_evaluations_ask_for_other_classes() -> None:
    """With its own class as the request, a translator that changes nothing would be perfect."""
    made, source = model(), styles()
    requested = []
    for step in range(20):
        request = data_request(made, source, 16, StepRNG(0, step))
        own = ((request.condition[:, 0, 0, 0] + 1) * 127.5 / 100).round().long()
        label = made.requested_label(request)
        assert (label != own).all()
        requested.append((label - own) % 3)
    counts = torch.cat(requested).bincount()
    assert (counts[1:] > 110).all(), "both other classes"


def test_the_same_step_requests_the_same_classes() -> None:
    made, source = model(), styles()
    first, second = (data_request(made, source, 8, StepRNG(0, 3)) for _ in range(2))
    assert torch.equal(first.label, second.label)


def test_every_class_is_displayed() -> None:
    grid = grid_request(model(), styles(), 10, StepRNG(0, 0))
    assert grid.request.label.tolist() == [0, 1, 2] * 3
    assert grid.request.condition.shape == (9, *SHAPE)


def test_samples_and_visuals() -> None:
    made, data = model(), labelled()
    request = SampleRequest(6, StepRNG(0, 0), condition=data.real, label=torch.full((6,), 2))
    visuals = made.visuals(request, made.generators)
    assert set(visuals) == {"input", "sample"}
    torch.testing.assert_close(visuals["sample"], data.real - 0.5)
    assert made.conditioning == "class"
    assert made.needs_conditions
    assert made.translates


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"a_shape": None}, "model=stargan needs data of two domains of images"),
        ({"num_classes": None}, "data.num_classes must be >= 2, got None"),
        ({"num_classes": 1}, "data.num_classes must be >= 2, got 1"),
        ({"a_shape": [1, 8, 8]}, r"\(data/derive=copy\), got conditions \[1, 8, 8\] of samples"),
        ({"class_weight": -1.0}, "must be >= 0, got -1.0 and 10.0"),
    ],
)
def test_impossible_models(options, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        model(**options)


SMALL = ("generator.width=4", "generator.blocks=1", "discriminator.width=4", "data.batch_size=2")


def test_every_sample_of_a_class_has_an_input_of_its_own() -> None:
    source = styles(300)
    module = GANModule(model(), Wasserstein())
    run = LoadedModel(Path(), Path(), {}, module, given_source=source)
    for count in (50, 100):
        blocks = list(sampling.sample_blocks(run, count, 0, label=1))
        assert sum(map(len, blocks)) == count
        for number, block in enumerate(blocks):
            rng = StepRNG(stable_seed(0, "sample"), number)
            inputs = data_request(module.model, source, 64, rng).condition[: len(block)]
            torch.testing.assert_close(block, inputs + 0.25)


def test_a_run_translates_a_folder_to_a_class(trained, tmp_path: Path) -> None:
    source = tmp_path / "images"
    source.mkdir()
    Image.effect_noise((32, 32), 90).convert("RGB").save(source / "one.png")
    run = trained("model=stargan", *SMALL)
    made = {}
    for name in ("original", "dark", "2"):
        invoke("translate", run, source, tmp_path / name, "--class", name)
        made[name] = np.asarray(Image.open(tmp_path / name / "one.png"))
    assert made["dark"].shape == (32, 32, 3)
    assert (made["dark"] == made["2"]).all()
    assert (made["dark"] != made["original"]).any()
    arguments = ("translate", run, source, tmp_path / "x")
    assert "StarGAN translates to a class: name one with --class" in refused(*arguments)
    message = refused(*arguments, "--class", "blue")
    assert "class must be 0 to 2 or one of original, hue, dark, got blue" in message

    # Samples are translations of the data's images.
    loaded = load_run(run)
    request = make_request(loaded, 4, 0, label="dark").request
    assert request.label.tolist() == [2] * request.size
    assert request.condition is not None
    assert usage("stars", {"translates": True, "conditioning": "class"}) == [
        "    gan-zoo translate stars IN OUT --class CLASS   # folders of images"
    ]
    sampling.write_samples(loaded, tmp_path / "samples", 3, 0)
    assert len(list((tmp_path / "samples").glob("*.png"))) == 3
