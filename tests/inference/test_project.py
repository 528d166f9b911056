"""GAN inversion: samples are found again, latents stay where the prior has them, files are written."""

from __future__ import annotations

import math
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from gan_zoo.auxiliary_losses.classification import CrossEntropy, GaussianKL
from gan_zoo.core.errors import DataError
from gan_zoo.inference.model import from_module
from gan_zoo.inference.project import Projector, ramp, walk
from gan_zoo.losses.minimax import NonSaturating
from gan_zoo.models.base import Model
from gan_zoo.models.class_heads.acgan import ACGAN
from gan_zoo.models.gan import GAN
from gan_zoo.models.with_encoder.vae_gan import VAEGAN
from gan_zoo.networks.dcgan import DCGANGenerator
from gan_zoo.networks.image_encoders import MLPEncoder
from gan_zoo.networks.mlp import MLPDiscriminator, MLPGenerator
from gan_zoo.training.module import GANModule
from tests.helpers import invoke, refused

SHAPE = [1, 8, 8]
GENERATOR = partial(MLPGenerator, sample_shape=SHAPE, width=32, depth=1)
DISCRIMINATOR = partial(MLPDiscriminator, sample_shape=SHAPE, width=8)


class Pixels(nn.Module):
    """The image itself as activations."""

    def forward(self, images: Tensor) -> list[Tensor]:
        return [images.flatten(1)]


class Styled(nn.Module):
    """Twice the latents as styles, and a dense layer as synthesis."""

    num_styles = 2

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.dense = MLPGenerator(latent_dim, SHAPE, width=32, depth=1)
        self.register_buffer("mean_style", torch.zeros(latent_dim))

    def mapping(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        return (2 * latents)[:, None].expand(-1, 2, -1)

    def synthesis(self, styles: Tensor) -> Tensor:
        return self.dense(styles.mean(1))

    def forward(self, latents: Tensor) -> Tensor:
        return self.synthesis(self.mapping(latents))


def projector(model: Model, **options) -> Projector:
    module = GANModule(model, NonSaturating()).eval()
    small = {"steps": 200, "starts": 3, "candidates": 24, "features": Pixels()}
    return Projector(from_module(module), **(small | options))


@pytest.fixture(autouse=True)
def same_weights() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("prior", ["normal", "uniform"])
def test_a_sample_is_found_again(prior: str) -> None:
    search = projector(GAN(GENERATOR, DISCRIMINATOR, latent_dim=6, prior=prior))
    (image,) = search.run.sample(1, seed=5)
    found = search(image)
    assert (found.sample - image).abs().max() < 0.02
    assert found.distance < 1e-3
    assert found.label is None
    if prior == "uniform":
        assert found.points.abs().max() <= 1
    else:
        assert abs(float(found.points.norm()) - math.sqrt(6)) <= 1.5 + 1e-5


def test_latents_keep_the_lengths_of_the_prior() -> None:
    """As those of the latents of a sample do, 99 % of the time."""
    search = projector(GAN(GENERATOR, DISCRIMINATOR, latent_dim=64))
    z = torch.randn(1000, 64)
    kept = (search.inside(z) - z).norm(dim=1) < 1e-4
    assert kept.float().mean() > 0.95
    far = search.inside(torch.stack([100 * z[0], 0.01 * z[1]])).norm(dim=1)
    torch.testing.assert_close(far, torch.tensor([9.5, 6.5]))


def test_styles_are_searched_where_there_is_a_mapping() -> None:
    search = projector(GAN(Styled, DISCRIMINATOR, latent_dim=6))
    assert search.space == "w"
    (image,) = search.run.sample(1, seed=5)
    found = search(image)
    assert (found.sample - image).abs().max() < 0.02
    synthesis = search.run.module.inference_generators["main"].synthesis
    torch.testing.assert_close(synthesis(found.points.expand(1, 2, -1))[0], found.sample)
    assert projector(search.run.module.model, space="z").space == "z"


def test_the_class_is_found_or_kept() -> None:
    # Nothing else than the class decides whether these images are bright.
    model = ACGAN(
        partial(DCGANGenerator, sample_shape=SHAPE, width=4, norm="none"),
        DISCRIMINATOR,
        CrossEntropy(),
        num_classes=2,
        latent_dim=4,
    )
    search = projector(model, steps=40)
    with torch.no_grad():
        first = model.generators["main"].layers[1].weight
        first[4:] = 0
        first[4], first[5] = 1.0, 0.0
        search.run.module.ema.generators["main"].load_state_dict(
            model.generators["main"].state_dict()
        )
    image = search.run.sample(1, seed=3, label=1)[0]
    assert search(image).label == 1
    assert search(image, 0).label == 0
    assert search(image, 0).distance >= search(image, 1).distance


def test_an_encoder_gives_the_first_start() -> None:
    encoder = partial(MLPEncoder, sample_shape=SHAPE, width=8)
    search = projector(VAEGAN(GENERATOR, encoder, DISCRIMINATOR, GaussianKL(), latent_dim=6))
    image = search.run.sample(1, seed=5)
    model, generators = search.run.module.model, search.run.module.inference_generators
    code = search.code(image, model, generators)
    assert torch.equal(code, model.encode(image, generators))
    assert (search(image[0]).sample - image[0]).abs().max() < 0.02
    assert projector(GAN(GENERATOR, DISCRIMINATOR)).code(image, model, generators) is not None
    without = GAN(GENERATOR, DISCRIMINATOR)
    assert search.code(image, without, generators) is None


def test_the_networks_stay_as_they_were() -> None:
    search = projector(GAN(GENERATOR, DISCRIMINATOR, latent_dim=6), steps=5)
    module = search.run.module
    before = {name: value.clone() for name, value in module.state_dict().items()}
    search(search.run.sample(1, seed=5)[0])
    assert all(torch.equal(before[name], value) for name, value in module.state_dict().items())
    assert all(p.grad is None for p in module.parameters())
    assert all(p.requires_grad for p in module.model.parameters())


def test_the_rate_rises_and_falls() -> None:
    assert [ramp(at) for at in (0.0, 0.025, 0.05, 0.5, 0.75)] == [0.0, 0.5, 1.0, 1.0, 1.0]
    assert ramp(0.875) == pytest.approx(0.5)
    assert ramp(1.0) == 0.0


def test_a_walk_ends_at_both_images() -> None:
    search = projector(GAN(GENERATOR, DISCRIMINATOR, latent_dim=6), steps=10)
    start, end = (search(image) for image in search.run.sample(2, seed=1))
    frames = walk(search, start, end)
    assert frames.shape == (9, *SHAPE)
    torch.testing.assert_close(frames[0], start.sample)
    torch.testing.assert_close(frames[-1], end.sample)


def test_impossible_searches_are_refused() -> None:
    model = GAN(GENERATOR, DISCRIMINATOR, latent_dim=6)
    with pytest.raises(DataError, match="must be >= 1 and --lr > 0, got 0, 3 and 0"):
        projector(model, steps=0)
    with pytest.raises(DataError, match="space=w needs a generator with a mapping"):
        projector(model, space="w")


def test_files_are_projected_and_a_walk_is_drawn(trained, tmp_path: Path) -> None:
    folder = trained("data=digits", "generator.width=4", "discriminator.width=4")
    invoke("sample", folder, "--out", tmp_path / "in", "--count", 2)
    files = sorted((tmp_path / "in").glob("*.png"))
    quick = ["--steps", 2, "--starts", 1, "--device", "cpu"]
    output = invoke("project", folder, *files, "--out", tmp_path / "out", *quick)
    assert output.count("distance") == 2
    assert np.load(tmp_path / "out" / "latents.npy").shape == (2, 100)
    names = (tmp_path / "out" / "names.txt").read_text().splitlines()
    assert names == [str(file) for file in files]
    written = sorted(path.name for path in (tmp_path / "out" / "reconstructions").iterdir())
    assert written == ["000000.png", "000001.png"]
    assert Image.open(tmp_path / "out" / "walk.png").width == 9 * 10 + 2
    missing = refused("project", folder, tmp_path / "none.png", "--out", tmp_path / "x", *quick)
    assert "none.png cannot be read" in missing
    wrong = refused("project", folder, files[0], "--out", tmp_path / "x", "--class", "3", *quick)
    assert "--class is for models that are conditioned on a class" in wrong


def test_images_need_not_be_square(trained, tmp_path: Path) -> None:
    overrides = ("model=aae", "data=digits", "data.image_size=[8,16]", "generator.width=4")
    folder = trained(*overrides, "model.encoder.width=4")
    invoke("sample", folder, "--out", tmp_path / "in", "--count", 2)
    invoke("encode", folder, tmp_path / "in", tmp_path / "out", "--device", "cpu")
    assert np.load(tmp_path / "out" / "latents.npy").shape == (2, 8)
    images = [tmp_path / "in" / "000000.png", "--steps", 2, "--out", tmp_path / "found"]
    invoke("project", folder, *images, "--device", "cpu")


def test_a_number_of_a_class_is_none_of_its_names(trained, monkeypatch) -> None:
    from gan_zoo.inference.load import load_run
    from gan_zoo.inference.model import LoadedModel

    run = load_run(trained("model=acgan", "data=digits", "generator.width=4"), device="cpu")
    names = [str(digit + 1) for digit in range(10)]
    monkeypatch.setattr(LoadedModel, "class_names", property(lambda self: names))
    assert [run.class_number(digit) for digit in range(10)] == list(range(10))
    assert [run.class_number(name) for name in names] == list(range(10))
    assert run.class_number("0") == 0


def test_a_folder_is_encoded(trained, tmp_path: Path) -> None:
    folder = trained("model=aae", "data=digits", "generator.width=4", "model.encoder.width=4")
    invoke("sample", folder, "--out", tmp_path / "in" / "deep", "--count", 3)
    (tmp_path / "in" / "broken.png").write_bytes(b"no image")
    output = invoke(
        "encode", folder, tmp_path / "in", tmp_path / "out", "--device", "cpu", exit_code=1
    )
    assert "1 of 4 images could not be read" in output
    latents = np.load(tmp_path / "out" / "latents.npy")
    names = (tmp_path / "out" / "names.txt").read_text().splitlines()
    assert latents.shape == (3, 8)
    assert names == [f"deep/00000{number}.png" for number in range(3)]

    # Row and image of the last one, as the model itself gives them.
    from gan_zoo.inference.encode import load_as_in_training
    from gan_zoo.inference.load import load_run

    run = load_run(folder, device="cpu")
    x = load_as_in_training(run, tmp_path / "in" / names[2])[None]
    with run.module.inference_mode() as generators:
        code = run.module.model.encode(x, generators)
        rebuilt = run.module.model.reconstruct(x, generators)
    np.testing.assert_allclose(latents[2], code[0].numpy(), atol=1e-5)
    pixels = np.asarray(Image.open(tmp_path / "out" / "reconstructions" / names[2]))
    np.testing.assert_allclose(pixels, (rebuilt[0, 0].numpy() + 1) * 127.5, atol=1)


def test_models_without_an_encoder_are_refused(trained, tmp_path: Path) -> None:
    folder = trained("data=digits", "generator.width=4", "discriminator.width=4")
    assert "needs a model with an encoder" in refused("encode", folder, tmp_path, tmp_path / "out")
