"""Truncation, mixing, walks and directions in the styles of a tiny trained generator."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hydra import compose, initialize_config_dir
from PIL import Image
from torch import Tensor, nn

import gan_zoo
from gan_zoo.config.build import build_module
from gan_zoo.config.compose import compose_overrides, to_dict
from gan_zoo.core.errors import DataError
from gan_zoo.core.paths import CONF
from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import SampleRequest
from gan_zoo.inference import sampling, styles
from gan_zoo.inference.directions import deviations, moved_sample, principal_directions
from gan_zoo.inference.load import load_run
from gan_zoo.inference.model import LoadedModel, samples
from gan_zoo.launch.train import train
from tests.helpers import invoke, refused

WIDTHS = [
    f"{side}.{key}" for side in ("generator", "discriminator") for key in ("width=4", "max_width=8")
]
TINY = ["model.latent_dim=6", "generator.style_dim=5", "generator.mapping_layers=1", *WIDTHS]
QUICK = [
    "trainer=cpu",
    "trainer.max_steps=3",
    "data.batch_size=8",
    "logger=none",
    "metric=none",
    "data=digits",
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of a tiny StyleGAN2 on digits of 8 pixels: four styles of five numbers."""
    run = tmp_path_factory.mktemp("styles") / "run"
    with initialize_config_dir(str(CONF), version_base="1.3"):
        train(compose("config", [f"run_dir={run}", "model=stylegan2", *QUICK, *TINY]))
    return run


@pytest.fixture
def run(folder: Path) -> LoadedModel:
    return load_run(folder, device="cpu")


@pytest.fixture(scope="module")
def of_dcgan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("dcgan") / "run"
    with initialize_config_dir(str(CONF), version_base="1.3"):
        train(
            compose(
                "config", [f"run_dir={run}", *QUICK, "generator.width=4", "discriminator.width=4"]
            )
        )
    return run


def request(latents: Tensor) -> SampleRequest:
    return SampleRequest(len(latents), StepRNG(0, 0), latents=latents)


def test_the_averaged_generator_has_a_mean_style_of_its_own_buffer(run: LoadedModel) -> None:
    averaged = run.module.inference_generators["main"]
    assert averaged is not run.module.model.generators["main"]
    assert averaged.mean_style.abs().sum() > 0
    latents = torch.randn(3, 6)
    averaged.running_mean.fill_(7.0)  # the trained generator's mean takes no part
    expected = 7 + 0.25 * (averaged.mapping(latents) - 7)
    torch.testing.assert_close(
        styles.truncated_styles(run.module, request(latents), 0.25), expected
    )


def test_truncation_by_hand(run: LoadedModel) -> None:
    generator, latents = run.module.inference_generators["main"], torch.randn(4, 6)
    whole = styles.sample(run.module, request(latents))
    torch.testing.assert_close(styles.sample(run.module, request(latents), 1.0), whole)
    torch.testing.assert_close(whole, generator(latents))
    mean = generator.synthesis(generator.mean_style.expand(1, 4, -1))
    torch.testing.assert_close(
        styles.sample(run.module, request(latents), 0.0), mean.expand(4, -1, -1, -1)
    )
    half = torch.lerp(generator.mean_style.expand(4, 4, -1), generator.mapping(latents), 0.5)
    torch.testing.assert_close(
        styles.sample(run.module, request(latents), 0.5), generator.synthesis(half)
    )
    with pytest.raises(DataError, match="--psi must be finite, got nan"):
        styles.sample(run.module, request(latents), float("nan"))


def test_samples_of_a_run_and_of_its_export_are_truncated_alike(
    folder: Path, tmp_path: Path
) -> None:
    invoke("export", folder, tmp_path / "away")
    away, run = gan_zoo.load(tmp_path / "away", device="cpu"), gan_zoo.load(folder, device="cpu")
    for psi in (None, 0.5, 0.0):
        torch.testing.assert_close(away.sample(5, seed=3, psi=psi), run.sample(5, seed=3, psi=psi))
    assert not torch.allclose(run.sample(5, seed=3, psi=0.5), run.sample(5, seed=3))
    spread = [float(samples(run, 16, psi=psi).std(0).mean()) for psi in (0.0, 0.5, 1.0)]
    assert spread == sorted(spread)
    assert spread[0] == pytest.approx(0, abs=1e-6)


def test_mixing_takes_coarse_styles_of_rows_and_fine_ones_of_columns() -> None:
    rows, columns = torch.randn(2, 4, 3), torch.randn(3, 4, 3)
    mixed = styles.mix(rows, columns, coarse=1)
    assert mixed.shape == (2, 3, 4, 3)
    for r in range(2):
        for c in range(3):
            assert torch.equal(mixed[r, c, :1], rows[r, :1])
            assert torch.equal(mixed[r, c, 1:], columns[c, 1:])
    for coarse in (0, 4):
        with pytest.raises(DataError, match=f"--coarse must be between 1 and 3, got {coarse}"):
            styles.mix(rows, columns, coarse)


def test_a_grid_of_mixed_styles_has_its_sources_around_it(run: LoadedModel) -> None:
    cells = sampling.mixing_grid(run, seed=0, rows=2, columns=3).unflatten(0, (3, 4))
    generator = run.module.inference_generators["main"]
    sources = sampling.draw_latents(run.module, 5, 0)
    given = generator.mapping(sources)
    assert torch.equal(cells[0, 0], torch.ones(1, 8, 8))
    torch.testing.assert_close(cells[1:, 0], generator(sources[:2]))
    torch.testing.assert_close(cells[0, 1:], generator(sources[2:]))
    one = torch.cat([given[1, :2], given[4, 2:]])
    torch.testing.assert_close(cells[2, 3], generator.synthesis(one[None])[0])
    constant = sampling.mixing_grid(run, seed=0, rows=1, columns=1, psi=0.0)
    torch.testing.assert_close(constant[1], constant[3])


def test_walks_in_styles_are_straight_lines(run: LoadedModel) -> None:
    walk = sampling.interpolation_grid(run, seed=0, rows=2, steps=3, space="w")
    generator, ends = (
        run.module.inference_generators["main"],
        sampling.draw_latents(run.module, 4, 0),
    )
    torch.testing.assert_close(walk[:, 0], generator(ends[:2]))
    torch.testing.assert_close(walk[:, 2], generator(ends[2:]))
    mapped = generator.mapping(ends)
    torch.testing.assert_close(walk[:, 1], generator.synthesis((mapped[:2] + mapped[2:]) / 2))
    in_z = sampling.interpolation_grid(run, seed=0, rows=2, steps=3)
    torch.testing.assert_close(in_z[:, 0], walk[:, 0])
    assert not torch.allclose(in_z[:, 1], walk[:, 1])


class StretchedStyles(nn.Module):
    """Styles are latents times a factor for each; images change along the first styles most."""

    num_styles = 2

    def __init__(self, strengths: Tensor, factors: Tensor) -> None:
        super().__init__()
        self.strengths, self.factors = strengths, factors

    @property
    def mean_style(self) -> Tensor:
        return torch.zeros_like(self.factors)

    def mapping(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        return (latents * self.factors)[:, None].expand(-1, 2, -1)

    def synthesis(self, styles: Tensor) -> Tensor:
        wide = nn.functional.pad(styles.mean(1) * self.strengths, (0, 64 - len(self.strengths)))
        return wide.unflatten(1, (1, 8, 8))

    def forward(self, latents: Tensor) -> Tensor:
        return self.synthesis(self.mapping(latents))


@pytest.fixture
def stretched(tmp_path: Path) -> LoadedModel:
    config = compose_overrides(
        ["model=stylegan2", "data=digits", "run_dir=x", "ema=null", "trainer=cpu", *TINY]
    )
    module = build_module(config)
    strengths = torch.tensor([0.5, 9.0, 1.0, 4.0, 0.1, 0.2])
    module.model.generators["main"] = StretchedStyles(
        strengths, torch.tensor([1.0, 3.0, 1.0, 0.5, 1.0, 1.0])
    )
    return LoadedModel(tmp_path, tmp_path, to_dict(config), module)


def test_directions_are_those_of_the_styles(stretched: LoadedModel) -> None:
    directions = principal_directions(stretched, count=2)
    torch.testing.assert_close(directions.abs(), torch.eye(6)[[1, 3]], atol=0.1, rtol=0)
    torch.testing.assert_close(directions @ directions.T, torch.eye(2), atol=1e-5, rtol=0)
    axes = torch.eye(6)[[1, 3]]
    torch.testing.assert_close(
        deviations(stretched, axes, samples=4000), torch.tensor([3.0, 0.5]), atol=0, rtol=0.05
    )


def test_a_sample_moves_along_directions(stretched: LoadedModel) -> None:
    axes, amounts = torch.eye(6)[[1, 3]], torch.tensor([2.0, -1.0])
    latents = sampling.draw_latents(stretched.module, 1, 5)
    generator = stretched.module.inference_generators["main"]
    moved = generator.mapping(latents) + torch.tensor([0.0, 2.0, 0.0, -1.0, 0.0, 0.0])
    torch.testing.assert_close(
        moved_sample(stretched, axes, amounts, 5), generator.synthesis(moved)
    )


def test_commands(folder: Path, tmp_path: Path) -> None:
    for name, options in {
        "mix.png": ["--what", "mix", "--psi", 0.7, "--coarse", 1],
        "walk.png": ["--what", "walk", "--space", "w"],
        "grid.png": ["--psi", 0.5, "--size", 4],
        "whole.png": ["--size", 4],
    }.items():
        invoke("sample", folder, "--out", tmp_path / name, *options)
    assert Image.open(tmp_path / "mix.png").size == (7 * 10 + 2, 7 * 10 + 2)
    assert Image.open(tmp_path / "walk.png").size == (9 * 10 + 2, 6 * 10 + 2)
    assert (tmp_path / "grid.png").read_bytes() != (tmp_path / "whole.png").read_bytes()
    invoke("sample", folder, "--out", tmp_path / "mean", "--count", 2, "--psi", 0)
    first, second = ((tmp_path / "mean" / f"00000{k}.png").read_bytes() for k in range(2))
    assert first == second


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (
            ["--psi", 0.5],
            "--psi needs a generator with a mapping, such as generator=stylegan2, got DCGANGenerator",
        ),
        (["--what", "mix"], "--what mix needs a generator with a mapping"),
        (["--what", "walk", "--space", "w"], "space=w needs a generator with a mapping"),
        (["--what", "walk", "--space", "x"], "space must be z or w, got 'x'"),
        (
            ["--what", "walk", "--psi", 0.5],
            "--psi goes with --what grid, --what mix, --count, got --what walk",
        ),
        (["--coarse", 2], "--coarse goes with --what mix, got --what grid"),
        (["--space", "w"], "--space goes with --what walk, got --what grid"),
        (["--count", 2, "--space", "w"], "--space goes with --what walk, got --count"),
        (["--count", 2, "--what", "walk"], "--count writes single samples, leave out --what walk"),
        (["--linear"], "--linear goes with --what walk, got --what grid"),
    ],
)
def test_what_has_no_effect_is_refused(options: list[object], says: str, of_dcgan: Path) -> None:
    assert says in refused("sample", of_dcgan, *options)
