"""Conditions that are made from samples: by hand, the same on any number of processes, resumed, in every place."""

from __future__ import annotations

import itertools

import pytest
import torch
from omegaconf.errors import InterpolationResolutionError
from PIL import Image
from torch.nn.functional import interpolate

from gan_zoo.config.build import build
from gan_zoo.config.compose import to_dict
from gan_zoo.core.errors import ConfigError, DataError
from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import Batch
from gan_zoo.data import derived
from gan_zoo.data.batch_order import BatchSampler
from gan_zoo.data.dataset import Source, condition_shape_of
from gan_zoo.data.derived import Downscale, Edges, Gray, Mask, Noise, with_derived_conditions
from gan_zoo.data.image_tensors import to_unit
from gan_zoo.data.loader import InfiniteLoader, fixed_batch, sample_request
from gan_zoo.visualization.image_grid import as_rgb

RNG = StepRNG(0, 4)
X = torch.rand(4, 3, 8, 8, generator=torch.Generator().manual_seed(0)) * 2 - 1
ALL = [Downscale(2), Mask(), Mask("boxes"), Mask("brush"), Gray(), Noise(), Edges()]


def source(**options) -> Source:
    images = torch.randint(
        0, 256, (12, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )
    return Source("x", "train", images, **options)


@pytest.mark.parametrize("derivation", ALL, ids=lambda d: type(d).__name__)
def test_shapes_ranges_and_ranks(derivation) -> None:
    condition = derivation(X, RNG)
    assert list(condition.shape[1:]) == derivation.condition_shape([3, 8, 8])
    assert -1 <= condition.min() < condition.max() <= 1
    assert torch.equal(condition, derivation(X, RNG)), "a function of the step"
    halves = [derivation(X[2 * rank : 2 * rank + 2], StepRNG(0, 4, rank, 2)) for rank in range(2)]
    torch.testing.assert_close(torch.cat(halves), condition)


def test_downscaling_a_constant_and_a_step() -> None:
    flat = torch.full((1, 1, 8, 8), 0.3)
    torch.testing.assert_close(Downscale(4)(flat, RNG), torch.full((1, 1, 2, 2), 0.3))
    expected = interpolate(X, (4, 4), mode="bicubic", antialias=True).clamp(-1, 1)
    assert torch.equal(Downscale(2)(X, RNG), expected)


def test_the_center_is_gray_and_marked() -> None:
    condition = Mask(size=0.5)(torch.ones(1, 1, 8, 8), RNG)
    hole = condition[0, 1] == 1
    assert hole[2:6, 2:6].all()
    assert hole.sum() == 16
    assert (condition[0, 0][hole] == 0).all()
    assert (condition[0, 0][~hole] == 1).all()


@pytest.mark.parametrize("kind", ["boxes", "brush"])
def test_random_holes_differ_and_leave_most(kind: str) -> None:
    holes = Mask(kind).holes(torch.zeros(200, 1, 32, 32), RNG)
    assert 0.02 < holes.float().mean() < 0.6
    assert len({tuple(hole.flatten().tolist()) for hole in holes}) > 190
    assert holes.flatten(1).any(1).float().mean() > 0.9


def test_distance_to_a_segment_by_hand() -> None:
    rows = torch.tensor([0.0, 0.5, 1.0]).view(1, 1, -1, 1)
    columns = torch.tensor([0.0, 2.0]).view(1, 1, 1, -1)
    one = torch.ones(1, 1, 1, 1)
    found = derived.distance_to_segment(rows, columns, 0 * one, 0 * one, 0 * one, one)
    torch.testing.assert_close(
        found[0, 0], torch.tensor([[0.0, 1.0], [0.5, 1.25**0.5], [1.0, 2.0**0.5]])
    )


def test_luma_noise_and_edges_by_hand() -> None:
    by_hand = 0.299 * X[:, 0] + 0.587 * X[:, 1] + 0.114 * X[:, 2]
    torch.testing.assert_close(Gray()(X, RNG)[:, 0], by_hand)
    noisy = Noise(blur=0, std=0.5)(X, RNG)
    torch.testing.assert_close(
        noisy, (X + 0.5 * RNG.normal("derived noise", *X.shape)).clamp(-1, 1)
    )
    flat = torch.full((1, 3, 9, 9), 0.7)
    torch.testing.assert_close(Noise(blur=1.5, std=0)(flat, RNG), flat)
    step = torch.cat([-torch.ones(1, 1, 6, 3), torch.ones(1, 1, 6, 3)], 3)
    edges = Edges()(step, RNG)
    torch.testing.assert_close(edges[0, 0, 2], torch.tensor([-1.0, -1.0, 1.0, 1.0, -1.0, -1.0]))


def test_blur_is_a_gaussian() -> None:
    """An impulse becomes the outer product of two normalized Gaussians."""
    impulse = torch.zeros(1, 1, 21, 21)
    impulse[0, 0, 10, 10] = 1
    places = torch.arange(-10, 11.0)
    kernel = torch.exp(-places.square() / 2 / 1.2**2) * (places.abs() <= 4)
    kernel = kernel / kernel.sum()
    torch.testing.assert_close(derived.blurred_by(impulse, 1.2)[0, 0], kernel[:, None] * kernel)


def test_batches_and_requests_hold_conditions_of_their_samples() -> None:
    data = with_derived_conditions(source(), Gray())
    assert data.available_fields == {"image", "domain"}
    assert condition_shape_of(data) == [1, 8, 8]
    batch = fixed_batch(data, 6, RNG)
    torch.testing.assert_close(batch.condition, Gray()(batch.real, RNG))
    request = sample_request(data, 5, RNG)
    torch.testing.assert_close(request.condition, Gray()(request.target, RNG))
    assert all(
        any(torch.equal(one, to_unit(other)) for other in data.samples) for one in request.target
    )


def batches_of(data: Source, mismatched: bool = False, count: int = 3) -> list[Batch]:
    sampler = BatchSampler(data, 4, RNG, ["mismatched"] if mismatched else [])
    loader = InfiniteLoader(data, sampler, RNG, start=lambda: 0)
    return list(itertools.islice(loader, count))


def test_mismatched_conditions_are_made_from_other_samples() -> None:
    for batch in batches_of(with_derived_conditions(source(), Gray()), mismatched=True):
        torch.testing.assert_close(batch.condition, Gray()(batch.real, RNG))
        everything = Gray()(to_unit(source().samples), RNG)
        for mismatched, own in zip(batch.mismatched_condition, batch.condition, strict=True):
            assert any(torch.allclose(mismatched, other) for other in everything)
            assert not torch.allclose(mismatched, own)


def test_unpaired_conditions_are_made_from_other_samples() -> None:
    data = with_derived_conditions(source(), Gray(), unpaired=True)
    assert "image" not in data.available_fields
    assert "domain" in data.available_fields
    batches = batches_of(data)
    seen = torch.cat([batch.condition for batch in batches])
    own = torch.cat([Gray()(batch.real, RNG) for batch in batches])
    assert not torch.allclose(seen, own)
    order = [next(i for i, o in enumerate(own) if torch.allclose(s, o)) for s in seen]
    assert sorted(order) == list(range(12)), "an epoch has each of them once"


def test_held_out_data_are_derived_too() -> None:
    data = with_derived_conditions(source(held_out=lambda: source()), Downscale(2))
    held_out = data.evaluation_split()
    assert held_out is not data
    assert sample_request(held_out, 3, RNG).condition.shape == (3, 3, 4, 4)


def test_what_cannot_be_derived() -> None:
    with pytest.raises(
        DataError, match="data/derive makes conditions, and data=x has some: choose one"
    ):
        with_derived_conditions(source(conditions=torch.zeros(12, 3)), Gray())
    with pytest.raises(
        DataError, match=r"data/derive works on images; data=x has samples of shape \[2\]"
    ):
        with_derived_conditions(Source("x", "all", torch.zeros(4, 2)), Gray())
    with pytest.raises(DataError, match="factor must divide the sides 8 and 8, got 3"):
        with_derived_conditions(source(), Downscale(3))
    with pytest.raises(
        DataError, match=r"data.derive.kind must be one of center, boxes, brush, got 'round'"
    ):
        Mask("round")
    with pytest.raises(DataError, match=r"data.derive.size must be in \(0, 1\), got 1"):
        Mask(size=1)
    with pytest.raises(DataError, match=r"data.derive.factor must be >= 2, got 1"):
        Downscale(1)


SMALL = (
    "model=pix2pix",
    "data=openmoji",
    "data.image_size=16",
    "generator.width=4",
    "discriminator.width=4",
)
SMALL += ("discriminator.layers=1", "data.batch_size=4", "trainer.max_steps=1")


@pytest.mark.parametrize(
    "more",
    [
        ("data/derive=gray",),
        ("data/derive=mask", "data.derive.kind=brush"),
        (
            "data/derive=downscale",
            "data.derive.factor=2",
            "generator=resnet_translator",
            "generator.blocks=1",
        ),
        ("data/derive=edges", "discriminator.scales=2", "data.image_size=32"),
    ],
    ids=lambda more: more[0],
)
def test_a_translator_trains_and_is_drawn(more, tiny, tmp_path) -> None:
    from gan_zoo.training.requests import sample_image

    trainer, module, data = build(tiny(*SMALL, *more))
    trainer.fit(module, datamodule=data)
    sample_image(module, data.source, 8, 0).save(tmp_path / "grid.png")
    assert (tmp_path / "grid.png").stat().st_size > 100


def test_networks_that_keep_the_size_say_so(tiny) -> None:
    with pytest.raises(ValueError, match="generator=unet maps images to images of the same size"):
        build(tiny(*SMALL, "data/derive=downscale"))
    with pytest.raises(
        InterpolationResolutionError, match="factor must divide the sides 16 and 16, got 3"
    ):
        build(
            tiny(
                *SMALL,
                "data/derive=downscale",
                "generator=resnet_translator",
                "data.derive.factor=3",
            )
        )


def test_images_of_any_channels_and_size_are_displayed() -> None:
    assert as_rgb(torch.zeros(2, 4, 4, 4), (8, 8)).shape == (2, 3, 8, 8)
    assert as_rgb(torch.zeros(2, 1, 8, 8), (8, 8)).shape == (2, 3, 8, 8)
    assert as_rgb(torch.zeros(2, 2, 8, 8), (8, 8)).shape == (2, 3, 8, 8)


@pytest.mark.parametrize(
    "derive",
    [
        {"_target_": "builtins.print"},
        {"_target_": "gan_zoo.data.derived.partial"},
        {"_target_": "os.system", "command": "x"},
    ],
)
def test_nothing_is_built_to_find_the_shape(derive: dict[str, str]) -> None:
    """A config is resolved before what it names is trusted."""
    from omegaconf import OmegaConf

    from gan_zoo.config.resolvers import derived_shape
    from gan_zoo.core.errors import ConfigError

    with pytest.raises(ConfigError, match=r"needs data.condition_shape=\[C, H, W\], too"):
        derived_shape(OmegaConf.create(derive), [3, 8, 8])


@pytest.mark.parametrize(
    ("more", "out"),
    [
        (
            (
                "data/derive=downscale",
                "data.derive.factor=2",
                "generator=resnet_translator",
                "generator.blocks=1",
            ),
            20,
        ),
        (("data/derive=mask",), 10),
        (("data/derive=edges",), 10),
        (("data/derive=gray",), 10),
    ],
    ids=lambda value: value[0] if isinstance(value, tuple) else str(value),
)
def test_files_are_translated_by_a_run_on_derived_conditions(
    more, out: int, trained, tmp_path
) -> None:
    """Conditions are files where a user has them (small, gray); masks and edges are made of what is given."""
    from gan_zoo.inference.load import load_run
    from gan_zoo.inference.translate import translate_folder

    (tmp_path / "in").mkdir()
    for number, size in enumerate([(10, 14), (16, 16)]):
        Image.effect_noise(size, 60).convert("RGB").save(tmp_path / "in" / f"{number}.png")
    run = load_run(trained(*SMALL, *more))
    written, failed = translate_folder(run, tmp_path / "in", tmp_path / "out", full_size=True)
    assert ([file.name for file in written], failed) == (["0", "1"], {})
    with Image.open(tmp_path / "out" / "0.png") as image:
        assert image.size == (out, out * 14 // 10)
        assert image.mode == "RGB"
    translate_folder(run, tmp_path / "in", tmp_path / "resized")
    with Image.open(tmp_path / "resized" / "1.png") as image:
        assert image.size == (16, 16), "the size of the samples in training"


def test_a_run_is_not_resumed_with_other_conditions(trained, composed) -> None:
    from gan_zoo.runs.resume import checkpoint_to_resume

    run = trained(*SMALL, "data/derive=gray")
    config = to_dict(composed(*SMALL, "data/derive=edges", f"resume={run}"))
    with pytest.raises(
        ConfigError, match=r"another config: data.derive._target_ was .*Gray, is .*Edges"
    ):
        checkpoint_to_resume(config)
