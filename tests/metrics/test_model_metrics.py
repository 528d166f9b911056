"""Metrics that use the model itself: closed forms, refusals, training and evaluation alike, any number of processes."""

from __future__ import annotations

import json
import math
import os
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from hydra import compose, initialize_config_dir
from torch import Tensor, nn

from gan_zoo.auxiliary_losses.classification import GaussianKL
from gan_zoo.auxiliary_losses.perceptual import Lite0Features, Perceptual
from gan_zoo.auxiliary_losses.reconstruction import L2
from gan_zoo.config.build import build_data, build_module
from gan_zoo.core.errors import DataError
from gan_zoo.core.interpolation import spherical
from gan_zoo.core.paths import CONF
from gan_zoo.core.rng import CPU, StepRNG
from gan_zoo.core.types import Encodes, SampleRequest
from gan_zoo.data.dataset import Source
from gan_zoo.data.image_tensors import to_unit
from gan_zoo.metrics.base import (
    EvaluatedModel,
    Evaluator,
    Generated,
    MetricResult,
    Samples,
    evaluate_all,
)
from gan_zoo.metrics.diversity import Diversity
from gan_zoo.metrics.encoder_neighbors import EncoderNeighbors
from gan_zoo.metrics.functional.means import Means
from gan_zoo.metrics.functional.perceptual_distance import perceptual_distance
from gan_zoo.metrics.perceptual_path_length import PerceptualPathLength
from gan_zoo.metrics.reconstruction import ReconstructionError
from gan_zoo.models.base import Model
from gan_zoo.models.gan import GAN
from gan_zoo.models.with_encoder.bigan import BiGAN
from gan_zoo.models.with_encoder.vae import VAE
from gan_zoo.models.with_encoder.vae_gan import VAEGAN
from gan_zoo.networks.image_encoders import MLPEncoder
from gan_zoo.networks.mlp import MLPDiscriminator, MLPGenerator
from gan_zoo.training.scoring import evaluate_generator
from tests import processes
from tests.helpers import invoke, refused

SHAPE = [1, 2, 2]
DIM = 3


class Circle(nn.Module):
    """Activations (cos x, sin x) of the mean of an image: their distance is 2 - 2 cos of the difference."""

    def forward(self, images: Tensor) -> list[Tensor]:
        angle = images.flatten(1).mean(1).double()
        return [torch.stack([angle.cos(), angle.sin()], 1)]


class Flat(nn.Module):
    """Images are constant: slope . latents."""

    num_styles = 2

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.slope = nn.Parameter(torch.tensor([0.5, -1.0, 2.0])[:latent_dim])

    @property
    def mean_style(self) -> Tensor:
        return torch.zeros(DIM)

    def mapping(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        return (3 * latents)[:, None].expand(-1, 2, -1)

    def synthesis(self, styles: Tensor) -> Tensor:
        return (
            (styles.double().mean(1) @ self.slope.double() / 3)
            .float()
            .view(-1, 1, 1, 1)
            .expand(-1, *SHAPE)
        )

    def forward(self, latents: Tensor) -> Tensor:
        return self.synthesis(self.mapping(latents))


def flat(prior: str = "normal") -> GAN:
    return GAN(Flat, partial(MLPDiscriminator, SHAPE, width=4), latent_dim=DIM, prior=prior)


def source(count: int = 40, labels: bool = True) -> Source:
    images = torch.randint(
        0, 256, (count, *SHAPE), generator=torch.Generator().manual_seed(0), dtype=torch.uint8
    )
    return Source("noise", "all", images, torch.arange(count) % 4 if labels else None)


def evaluated(
    evaluator: Evaluator, model: Model, data: Source, size: int = 16, label: int | None = None
) -> dict[str, MetricResult]:
    """The metrics of a model by blocks of ``size``."""

    def block(number: int) -> Generated:
        request = SampleRequest(size, StepRNG(1, number))
        return Generated({"sample": model.sample(request, model.generators)}, request)

    samples = Samples(block, evaluator.num_samples, size)
    with torch.no_grad():
        results = evaluate_all(
            {"it": evaluator}, samples, data, CPU, EvaluatedModel(model, model.generators)
        )
    return {result.name: result for result in results}


# ----------------------------------------------------------------- the parts


def test_the_distance_of_pairs_is_that_of_the_loss() -> None:
    features = Lite0Features(["stage1", "stage2"], image_size=None)
    first, second = torch.rand(2, 3, 1, 16, 16) * 2 - 1
    each = perceptual_distance(features, first, second)
    assert each.shape == (3,)
    torch.testing.assert_close(each.mean(), Perceptual(features)(first, second))
    torch.testing.assert_close(each[:1], perceptual_distance(features, first[:1], second[:1]))
    torch.testing.assert_close(
        perceptual_distance(Circle(), torch.zeros(1, 4), torch.ones(1, 4)).item(),
        2 - 2 * math.cos(1),
    )


def test_means_of_columns() -> None:
    means = Means(2)
    assert means.compute() == ([0.0, 0.0], 0)
    means.update(torch.tensor([[1.0, 2.0], [3.0, 5.0]]))
    means.update(torch.tensor([[5.0, 8.0]]))
    assert means.compute() == ([3.0, 5.0], 3)


def test_paths_on_the_sphere() -> None:
    start, end = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 3.0]])
    middle = spherical(start, end, torch.tensor([[0.5]]))
    torch.testing.assert_close(middle, torch.tensor([[math.sqrt(2), math.sqrt(2)]]))
    torch.testing.assert_close(spherical(start, end, torch.tensor([[0.0]])), start)


# ------------------------------------------------------------ perceptual path length


@pytest.mark.parametrize("sampling", ["full", "end"])
@pytest.mark.parametrize("space", ["w", "uniform z"])
def test_path_length_of_straight_paths_in_closed_form(space: str, sampling: str) -> None:
    """The angle changes by slope . (end - start) on every path, wherever one looks: d = (epsilon times that)^2."""
    model = flat("uniform" if space == "uniform z" else "normal")
    evaluator = PerceptualPathLength(Circle(), space[-1], 1e-2, sampling, num_samples=32)
    found = evaluated(evaluator, model, source())["perceptual_path_length"]
    squares = []
    for number in range(2):
        ends = [
            model.latents(SampleRequest(16, StepRNG(1, number).derive(purpose)))
            for purpose in ("path start", "path end")
        ]
        squares.append(((ends[1] - ends[0]) @ model.generators["main"].slope).square())
    assert found.value == pytest.approx(float(torch.cat(squares).mean().detach()), rel=1e-3)
    assert found.protocol["space"] == space[-1]
    assert (found.protocol["sampling"], found.protocol["epsilon"]) == (sampling, 1e-2)
    assert found.protocol["num_generated"] == 32
    assert "Circle" in found.protocol["distance"]


def test_path_length_of_great_circles() -> None:
    model = flat()
    found = evaluated(PerceptualPathLength(Circle(), "z", 1e-2, "end", 16), model, source())[
        "perceptual_path_length"
    ]
    rng = StepRNG(1, 0)
    start, end = (
        rng.derive(purpose).normal("latents", 16, DIM) for purpose in ("path start", "path end")
    )
    step = spherical(start, end, torch.full((16, 1), 1e-2)) - start
    expected = (
        2 - 2 * (step.double() @ model.generators["main"].slope.double()).cos()
    ).mean() / 1e-4
    assert found.value == pytest.approx(float(expected.detach()), rel=1e-3)


# --------------------------------------------------------------------- diversity


def test_diversity_by_hand() -> None:
    model = flat()
    found = evaluated(Diversity(Circle(), 16), model, source())["diversity"].value
    rng = StepRNG(1, 0)
    pair = [
        rng.derive(f"{which} of a pair").normal("latents", 16, DIM) for which in ("first", "second")
    ]
    angle = (pair[1] - pair[0]) @ model.generators["main"].slope
    assert found == pytest.approx(float((2 - 2 * angle.cos()).mean().detach()), rel=1e-5)


def test_a_generator_that_ignores_its_latents_has_no_diversity() -> None:
    model = flat()
    nn.init.zeros_(model.generators["main"].slope)
    assert evaluated(Diversity(Circle(), 16), model, source())["diversity"].value == pytest.approx(
        0, abs=1e-12
    )


# ------------------------------------------------------------------ models with encoders

GENERATOR = partial(MLPGenerator, sample_shape=SHAPE, width=8)
ENCODER = partial(MLPEncoder, sample_shape=SHAPE, width=8)
CRITIC = partial(MLPDiscriminator, sample_shape=SHAPE, width=8)


def with_encoder(kind: str) -> Model:
    if kind == "vae":
        return VAE(GENERATOR, ENCODER, L2(), GaussianKL(), latent_dim=DIM)
    if kind == "vae_gan":
        return VAEGAN(GENERATOR, ENCODER, CRITIC, GaussianKL(), latent_dim=DIM)
    return BiGAN(GENERATOR, ENCODER, CRITIC, stochastic=kind == "ali", latent_dim=DIM)


@pytest.mark.parametrize("kind", ["vae", "vae_gan", "bigan", "ali"])
def test_models_with_encoders_encode_and_reconstruct(kind: str) -> None:
    model = with_encoder(kind)
    assert isinstance(model, Encodes)
    x = torch.randn(5, *SHAPE).tanh()
    outputs = model.generators["encoder"](x)
    codes = model.encode(x, model.generators)
    torch.testing.assert_close(codes, outputs[:, :DIM])
    torch.testing.assert_close(
        model.reconstruct(x, model.generators), model.generators["main"](codes)
    )
    assert not isinstance(flat(), Encodes)


def test_reconstruction_by_hand() -> None:
    model, data = with_encoder("bigan"), source(20)
    found = evaluated(ReconstructionError(Circle(), 100), model, data)
    real = to_unit(data.samples)
    rebuilt = model.reconstruct(real, model.generators)
    l1 = found["reconstruction_l1"]
    assert l1.value == pytest.approx(float((rebuilt - real).abs().mean().detach()), rel=1e-5)
    distance = perceptual_distance(Circle(), rebuilt, real).mean().detach()
    assert found["reconstruction_perceptual"].value == pytest.approx(float(distance), rel=1e-5)
    assert l1.protocol["num_real"] == 20, "all there are, though more were asked for"
    assert "no held-out part" in l1.protocol["warning"]


def test_reconstruction_is_of_held_out_samples() -> None:
    model, data, rest = with_encoder("vae"), source(20), source(8)
    rest.samples = 255 - rest.samples
    rest.split = "test"
    data.held_out = lambda: rest
    found = evaluated(ReconstructionError(Circle(), 100), model, data)["reconstruction_l1"]
    real = to_unit(rest.samples)
    assert found.value == pytest.approx(
        float((model.reconstruct(real, model.generators) - real).abs().mean().detach()), rel=1e-5
    )
    assert found.protocol["split"] == "test"
    assert "warning" not in found.protocol


def test_neighbors_by_loops() -> None:
    model, data = with_encoder("vae"), source(40)
    data.held_out = lambda: rest
    rest = source(12)
    rest.samples = rest.samples.flip(0)
    found = evaluated(EncoderNeighbors(num_samples=100, block_size=7), model, data, size=5)
    spaces = {
        "encoder_neighbors": lambda images: model.encode(to_unit(images), model.generators),
        "pixel_neighbors": lambda images: to_unit(images).flatten(1),
    }
    for name, space in spaces.items():
        references, queries = space(data.samples), space(rest.samples)
        hits = [
            int(data.labels[(references - query).norm(dim=1).argmin()]) == int(label)
            for query, label in zip(queries, rest.labels, strict=True)
        ]
        assert found[name].value == pytest.approx(sum(hits) / 12)
    assert found["encoder_neighbors"].protocol["num_references"] == 40
    few = evaluated(EncoderNeighbors(num_references=6), model, data)["encoder_neighbors"]
    assert few.protocol["num_references"] == 6


def test_codes_that_are_the_class_find_every_neighbor() -> None:
    class ByClass(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return torch.cat([x.flatten(1)[:, :1].expand(-1, DIM)] * 2, 1)

    model, data = with_encoder("vae"), source(40)
    model.generators["encoder"] = ByClass()
    data.samples[:, 0, 0, 0] = (data.labels * 60).to(torch.uint8)
    found = evaluated(EncoderNeighbors(), model, data)
    assert found["encoder_neighbors"].value == 1
    assert found["pixel_neighbors"].value < 1
    assert found["encoder_neighbors"].protocol["num_real"] == 4, "a fixed tenth"


# ------------------------------------------------------------------ refusals, ranks, commands


@pytest.mark.parametrize(
    ("evaluator", "data", "says"),
    [
        (PerceptualPathLength(Circle(), "w"), source(), "space=w needs a generator with a mapping"),
        (
            PerceptualPathLength(Circle()),
            Source("v", "all", torch.zeros(4, 2)),
            "compares gray or RGB images",
        ),
        (Diversity(Circle()), Source("v", "all", torch.zeros(4, 2)), "compares gray or RGB images"),
        (
            ReconstructionError(Circle()),
            source(),
            "needs a model with an encoder, such as bigan, .*, got GAN",
        ),
        (EncoderNeighbors(), source(), "needs a model with an encoder, such as bigan, .*, got GAN"),
    ],
)
def test_models_that_lack_something_are_refused(
    evaluator: Evaluator, data: Source, says: str
) -> None:
    with pytest.raises(DataError, match=says) as error:
        evaluator.check(data, GAN(GENERATOR, CRITIC, latent_dim=DIM))
    assert "\n" not in str(error.value)


def test_folders_and_unlabeled_data_are_refused() -> None:
    for evaluator in (PerceptualPathLength(Circle()), Diversity(Circle())):
        with pytest.raises(DataError, match="needs a model with latents, this one has none"):
            evaluator.check(source(), None)
    with pytest.raises(DataError, match="got none"):
        ReconstructionError(Circle()).check(source(), None)
    with pytest.raises(DataError, match="needs data with labels, data=noise has none"):
        EncoderNeighbors().check(source(labels=False), with_encoder("vae"))


SMALL = [
    "generator.width=4",
    "discriminator.width=4",
    "model.encoder.width=4",
    "model.latent_dim=6",
]


def metrics_of_bigan(rank: int, ranks: int) -> list[dict[str, float]]:
    """All four of an untrained BiGAN on digits: of three blocks, and of one, so that a second process has none."""
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", ["run_dir=none", "model=bigan", *SMALL])
    torch.manual_seed(0)
    module, data = build_module(config), build_data(config).source
    found = []
    for count in (150, 50):
        evaluators = {
            "ppl": PerceptualPathLength(Circle(), num_samples=count),
            "diversity": Diversity(Circle(), count),
            "reconstruction": ReconstructionError(Circle(), count),
            "neighbors": EncoderNeighbors(count, 300),
        }
        found.append(
            {r.name: r.value for r in evaluate_generator(module, data, evaluators, 7, rank, ranks)}
        )
    return found


def work(rank: int, ranks: int, folder: str) -> None:
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=ranks
    )
    try:
        torch.save(metrics_of_bigan(rank, ranks), Path(folder) / f"{rank}.pt")
    finally:
        dist.destroy_process_group()


def test_values_do_not_depend_on_the_number_of_processes(tmp_path: Path) -> None:
    alone = metrics_of_bigan(0, 1)
    processes.on_ranks(work, 2, 2, str(tmp_path))
    for rank in range(2):
        for one, several in zip(alone, torch.load(tmp_path / f"{rank}.pt"), strict=True):
            assert len(one) == 6
            assert several == pytest.approx(one, rel=1e-9)


def test_training_and_evaluation_agree(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    metrics = "metric=[reconstruction,encoder_neighbors,diversity,perceptual_path_length]"
    options = [
        "trainer=cpu",
        "trainer.max_steps=2",
        "data.batch_size=8",
        "logger=none",
        f"run_dir={folder}",
    ]
    invoke("train", "model=bigan", *SMALL, *options, metrics, "callbacks.evaluation.num_samples=8")
    path = folder / "metrics.json"
    trained = {entry["name"]: entry["value"] for entry in json.loads(path.read_text())["metrics"]}
    assert len(trained) == 6
    invoke("evaluate", folder, "--num-samples", 8, "--checkpoint", "last")
    again = json.loads(path.read_text())["metrics"]
    for entry in again:
        assert entry["value"] == pytest.approx(trained[entry["name"]], rel=1e-5)
    assert "needs a model with an encoder" in refused(
        "train",
        "model=dcgan",
        "metric=reconstruction",
        *options[:-1],
        f"run_dir={tmp_path / 'other'}",
    )


def test_bigan_brings_its_metrics() -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        config = compose("config", ["run_dir=none", "model=bigan"])
    assert list(config.metric) == ["images", "reconstruction", "encoder_neighbors"]
