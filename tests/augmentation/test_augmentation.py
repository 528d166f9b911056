"""What the discriminator is shown: each change by hand, identity, independence of samples, derivatives, and a run."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils._python_dispatch import TorchDispatchMode

from gan_zoo.augmentation import transforms as changes
from gan_zoo.augmentation.ada import TRANSFORMS, ADAugment
from gan_zoo.augmentation.base import AugmentedDiscriminator
from gan_zoo.augmentation.diffaugment import DiffAugment
from gan_zoo.augmentation.instance_noise import InstanceNoise
from gan_zoo.auxiliary_losses.classification import GaussianKL
from gan_zoo.config.build import build, build_module
from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import AdversarialTerm, DiscriminatorOutput, run_discriminator
from gan_zoo.launch.train import train
from gan_zoo.losses.minimax import NonSaturating
from gan_zoo.models.base import Model
from gan_zoo.models.feature_matching import FeatureMatching
from gan_zoo.models.gan import GAN
from gan_zoo.models.with_encoder.vae_gan import VAEGAN
from gan_zoo.networks.autoencoder import AutoEncoder
from gan_zoo.networks.mlp import MLPDiscriminator
from gan_zoo.regularizers.zero_centered import R1
from gan_zoo.training.module import GANModule
from tests.conformance.zoo import LOSSES
from tests.models.playing import ENCODER, GENERATOR, SHAPE, batch

SHAPES = [(5, 1, 8, 8), (4, 3, 7, 7), (3, 3, 5, 9), (2, 2, 6, 3), (2, 3, 1, 1)]
EVERYTHING = [DiffAugment(), *(DiffAugment([name]) for name in ("color", "translation", "cutout"))]
EVERYTHING += [ADAugment(p=1.0), *(ADAugment([name], p=1.0) for name in TRANSFORMS)]
NAMES = [
    f"{type(a).__name__}-{'-'.join(getattr(a, 'policies', getattr(a, 'transforms', ())))}"
    for a in EVERYTHING
]


def random_images(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(0), dtype=dtype) * 2 - 1


def seeded(augmentation: nn.Module, x: Tensor, *rest: int, seed: int = 1) -> Tensor:
    torch.manual_seed(seed)
    return augmentation(x, *rest)


@pytest.fixture(autouse=True)
def own_random_numbers():
    """What is drawn and seeded here changes nothing for other tests."""
    with torch.random.fork_rng():
        yield


# ------------------------------------------------------------------------------ identity


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", SHAPES)
def test_nothing_changes_without_policies_or_probability(
    shape: tuple[int, ...], dtype: torch.dtype
) -> None:
    x = random_images(*shape, dtype=dtype)
    assert torch.equal(DiffAugment([])(x), x)
    assert torch.equal(ADAugment(p=0.0)(x), x)
    assert torch.equal(ADAugment(TRANSFORMS, p=0.0)(x), x)
    assert ADAugment(p=0.0)(x).dtype == dtype


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("augmentation", EVERYTHING, ids=NAMES)
def test_any_size_and_number_of_channels(augmentation: nn.Module, shape: tuple[int, ...]) -> None:
    for seed in range(5):
        y = seeded(augmentation, random_images(*shape), seed=seed)
        assert y.shape == shape
        assert y.isfinite().all()
    assert torch.equal(
        seeded(augmentation, random_images(*shape)), seeded(augmentation, random_images(*shape))
    )


@pytest.mark.parametrize("augmentation", EVERYTHING, ids=NAMES)
def test_bfloat16_images_are_changed_too(augmentation: nn.Module) -> None:
    x = random_images(4, 3, 8, 8)
    torch.testing.assert_close(
        seeded(augmentation, x.bfloat16()).float(),
        seeded(augmentation, x.bfloat16().float()),
        atol=2e-2,
        rtol=2e-2,
    )


# -------------------------------------------------------------------------- each sample alone


@pytest.mark.parametrize("augmentation", EVERYTHING, ids=NAMES)
def test_samples_are_changed_alone(augmentation: nn.Module) -> None:
    """Equal samples come out different; another sample in the batch changes nothing for the first ones."""
    same = random_images(1, 3, 8, 8).expand(64, -1, -1, -1)
    assert len(seeded(augmentation, same).flatten(1).unique(dim=0)) > 6
    x, other = random_images(6, 3, 8, 8), random_images(6, 3, 8, 8)
    other[5] = 0.25
    assert torch.equal(seeded(augmentation, x)[:5], seeded(augmentation, other)[:5])


@pytest.mark.parametrize("p", [0.2, 0.7])
def test_rotations_happen_with_probability_p(p: float) -> None:
    """The coins of the two rotations together fall with probability p, as that of every other change does."""
    augmentation, count = ADAugment(p=p), 20_000
    torch.manual_seed(0)
    angles = [
        augmentation.apply_with_probability(torch.ones(count), 0, 1 - (1 - augmentation.p).sqrt())
        for _ in range(2)
    ]
    assert ((angles[0] + angles[1]) > 0).float().mean().item() == pytest.approx(p, abs=0.015)
    coins = augmentation.apply_with_probability(torch.ones(2, count), 0)
    assert coins.mean().item() == pytest.approx(p, abs=0.015)
    assert torch.equal(coins[0], coins[1]), "one coin decides about both axes"


def test_some_samples_stay_exactly_as_they_are() -> None:
    x = random_images(1, 3, 8, 8).expand(2000, -1, -1, -1)
    torch.manual_seed(0)
    untouched = (ADAugment(["color"], p=0.5)(x) == x).flatten(1).all(1).float().mean().item()
    assert untouched == pytest.approx(
        0.5**5 * 1.5, abs=0.02
    )  # a luma flip that was picked happens half of the time


# ------------------------------------------------------------------------------- colors


X = random_images(3, 3, 4, 5, dtype=torch.float64)
FACTORS = torch.tensor([0.0, 1.0, 2.0], dtype=torch.float64)


def test_saturation() -> None:
    gray, same, double = changes.adjust_saturation(X, FACTORS)
    torch.testing.assert_close(gray, X[0].mean(0).expand(3, -1, -1))
    assert torch.equal(same, X[1])
    torch.testing.assert_close(double - double.mean(0), 2 * (X[2] - X[2].mean(0)))
    torch.testing.assert_close(double.mean(0), X[2].mean(0))


def test_contrast() -> None:
    flat, same, double = changes.adjust_contrast(X, FACTORS)
    torch.testing.assert_close(flat, X[0].mean().expand(3, 4, 5))
    assert torch.equal(same, X[1])
    assert double.mean().item() == pytest.approx(X[2].mean().item())
    assert double.std().item() == pytest.approx(2 * X[2].std().item())


def test_hue_turns_around_gray() -> None:
    third = torch.full((3,), 2 * math.pi / 3, dtype=torch.float64)
    torch.testing.assert_close(changes.rotate_hue(X, third), X.roll(1, 1))  # red becomes green
    assert torch.equal(changes.rotate_hue(X, 0 * third), X)
    turned = changes.rotate_hue(X, third / 5)
    torch.testing.assert_close(turned.mean(1), X.mean(1))
    torch.testing.assert_close(turned.square().sum(1), X.square().sum(1))
    assert not torch.allclose(turned, X)


def test_luma_flip_is_an_involution_that_keeps_color() -> None:
    flip = torch.tensor([1.0, 0.0, 1.0], dtype=torch.float64)
    flipped = changes.flip_luma(X, flip)
    assert torch.equal(flipped[1], X[1])
    torch.testing.assert_close(flipped.mean(1)[0], -X.mean(1)[0])
    torch.testing.assert_close(flipped - flipped.mean(1, keepdim=True), X - X.mean(1, keepdim=True))
    torch.testing.assert_close(changes.flip_luma(flipped, flip), X)
    torch.testing.assert_close(changes.flip_luma(X[:, :1], flip)[0], -X[0, :1])


def test_brightness_shifts_the_mean_of_each_sample() -> None:
    """On a flat gray image, saturation and contrast around the mean leave only brightness."""
    x = torch.full((500, 3, 2, 2), 0.1)
    amounts = seeded(DiffAugment(["color"]), x) - 0.1
    assert amounts.std((1, 2, 3)).max() < 1e-6
    assert amounts.min() < -0.45
    assert amounts.max() > 0.45
    assert amounts.abs().max() <= 0.5 + 1e-6


def test_strengths_are_the_papers() -> None:
    torch.manual_seed(0)
    gray = torch.cat([torch.full((20_000, 1, 1, 1), -0.5), torch.full((20_000, 1, 1, 1), 0.5)], 3)
    dark, light = ADAugment(["color"], p=1.0)(gray).flatten(1).T
    assert (light - dark).abs().log2().std().item() == pytest.approx(0.5, abs=0.02)
    flips = light < dark
    assert flips.float().mean().item() == pytest.approx(0.5, abs=0.02)
    brightness = (light + dark) / 2 / (light - dark).abs()
    assert brightness.std().item() == pytest.approx(0.2, abs=0.01)


@pytest.mark.parametrize(
    ("augmentation", "moves"),
    [(DiffAugment(["color"]), False), (ADAugment(["color"], p=1.0), False), (DiffAugment(), True)],
)
def test_colors_stay_in_their_channels(augmentation: nn.Module, moves: bool) -> None:
    x = torch.cat([random_images(8, 3, 6, 6), torch.ones(8, 2, 6, 6)], 1)
    y = seeded(augmentation, x, 3)
    assert not torch.equal(y[:, :3], x[:, :3])
    assert set(y[:, 3:].unique().tolist()) == ({0.0, 1.0} if moves else {1.0})


# -------------------------------------------------------------------------------- places


def dot(height: int, width: int, row: int, column: int, count: int = 1) -> Tensor:
    x = torch.zeros(count, 1, height, width, dtype=torch.float64)
    x[:, :, row, column] = 1
    return x


def places(x: Tensor) -> list[tuple[int, ...]]:
    return [tuple(place) for place in (x > 0.999).nonzero()[:, [0, 2, 3]].tolist()]


def test_flips_are_involutions() -> None:
    flip = torch.tensor([True, False, True])
    flipped = changes.flip_horizontal(X, flip)
    assert torch.equal(flipped[0], X[0].flip(2))
    assert torch.equal(flipped[1], X[1])
    assert torch.equal(changes.flip_horizontal(flipped, flip), X)


def test_turns_add_up() -> None:
    x = random_images(4, 2, 5, 5)
    quarters = torch.arange(4)
    turned = changes.rot90(x, quarters)
    for k in range(4):
        assert torch.equal(turned[k], x[k].rot90(k, (1, 2)))
    assert torch.equal(changes.rot90(turned, (4 - quarters) % 4), x)


def test_oblong_images_are_turned_by_halves_only() -> None:
    x = random_images(1, 1, 2, 3).expand(200, -1, -1, -1)
    torch.manual_seed(0)
    seen = ADAugment(["blit"], p=1.0)(x)
    assert (
        len(seen.flatten(1).unique(dim=0)) == 4
    )  # flips and half rotations; an eighth of 3 pixels rounds to no shift


def test_a_known_pixel_moves() -> None:
    down, right = torch.tensor([1, -2, 3]), torch.tensor([2, 0, -1])
    x = dot(8, 8, 2, 3, count=3)
    assert places(changes.translate(x, down, right)) == [(0, 3, 5), (1, 0, 3), (2, 5, 2)]
    assert places(changes.translate(dot(8, 8, 1, 3), torch.tensor([-2]), torch.tensor([0]))) == []
    assert places(
        changes.translate(dot(8, 8, 1, 3), torch.tensor([1]), torch.tensor([0]), mirror=True)
    ) == [
        (0, 0, 3),
        (0, 2, 3),
    ]
    ramp = torch.arange(4.0).expand(1, 1, 4, 4)
    assert changes.translate(ramp, torch.zeros(1), torch.ones(1), mirror=True)[
        0, 0, 0
    ].tolist() == [1, 0, 1, 2]


def test_translation_reaches_an_eighth_of_each_side() -> None:
    torch.manual_seed(0)
    x = dot(16, 8, 8, 4, count=2000)
    moved = torch.tensor(places(DiffAugment(["translation"])(x)))
    assert sorted(set((moved[:, 1] - 8).tolist())) == [-2, -1, 0, 1, 2]
    assert sorted(set((moved[:, 2] - 4).tolist())) == [-1, 0, 1]


def test_a_rectangle_of_half_of_each_side_is_cut_out() -> None:
    torch.manual_seed(0)
    missing = DiffAugment(["cutout"])(torch.ones(3000, 2, 8, 6))[:, 0] == 0
    rows, columns = missing.any(2).sum(1), missing.any(1).sum(1)
    assert torch.equal(missing.sum((1, 2)), rows * columns), "a rectangle"
    assert set(rows.tolist()) == {2, 3, 4}  # where it hangs over the border, part of it is left
    assert (rows == 4).float().mean().item() == pytest.approx(5 / 9, abs=0.04)
    assert set(columns.tolist()) <= {1, 2, 3}


def test_sampling_agrees_with_grid_sample() -> None:
    """Bilinear with reflection at the centers of the outermost pixels, far outside of the image too."""
    x = random_images(3, 2, 5, 7, dtype=torch.float64)
    torch.manual_seed(0)
    rows, columns = (torch.randn(3, 5, 7, dtype=torch.float64) * 9 for _ in range(2))
    grid = torch.stack([columns / 3 - 1, rows / 2 - 1], -1)
    theirs = F.grid_sample(x, grid, padding_mode="reflection", align_corners=True)
    torch.testing.assert_close(changes.bilinear_sample(x, rows, columns), theirs)


def place(x: Tensor, **arguments: float) -> Tensor:
    neutral = {"scale": 1.0, "before": 0.0, "stretch": 1.0, "after": 0.0, "down": 0.0, "right": 0.0}
    values = {
        k: torch.full((len(x),), float(v), dtype=x.dtype) for k, v in (neutral | arguments).items()
    }
    return changes.affine(x, **values)


def test_placing_by_hand() -> None:
    x = random_images(2, 3, 9, 9, dtype=torch.float64)
    assert torch.equal(place(x), x)
    for name in ("before", "after"):
        torch.testing.assert_close(place(x, **{name: math.pi / 2}), x.rot90(-1, (2, 3)))
    shift = changes.translate(x, torch.full((2,), 2.0), torch.full((2,), -1.0), mirror=True)
    torch.testing.assert_close(place(x, down=2 / 9, right=-1 / 9), shift)
    torch.testing.assert_close(place(x, scale=0.5)[:, :, 3:6, 3:6], x[:, :, 2:7:2, 2:7:2])
    spot = dot(9, 9, 2, 3)
    assert places(place(spot, scale=2)) == [
        (0, 0, 2)
    ]  # two up and one left of the center become four and two
    assert places(place(spot, stretch=2)) == [
        (0, 1, 2),
        (0, 3, 2),
    ]  # half as high, twice as wide; and its mirror image


def test_placing_puts_the_steps_in_order() -> None:
    """Scale, then rotate by 90 degrees, then stretch in width, then shift: one up becomes four right, one down."""
    moved = place(dot(17, 17, 7, 8), scale=2, before=math.pi / 2, stretch=2, down=1 / 17)
    assert places(moved) == [(0, 9, 12)]


# ------------------------------------------------------------------------------ frequencies


def test_bands_sum_to_the_identity_and_split_the_spectrum() -> None:
    bands = changes.frequency_bands()
    identity = torch.zeros(43, dtype=torch.float64)
    identity[21] = 1
    torch.testing.assert_close(bands.sum(0), identity)
    torch.testing.assert_close(bands, bands.flip(1))
    response = torch.fft.rfft(F.pad(bands, (0, 512 - 43)).roll(-21, 1)).real  # 0 to pi in 257 steps
    for band, middle in enumerate((8, 48, 96, 192)):
        assert response[band, middle] > 0.7, "each band passes the middle of its octave"
        assert response[:, middle].argmax() == band
    assert response.min() > -1e-9, "half-band filters are power spectra"


def test_amplified_bands_by_hand() -> None:
    """A constant image has the lowest band only, a checkerboard the highest of rows and columns."""
    gains = torch.tensor([[2.0, 1, 1, 1], [1, 1, 1, 3.0]], dtype=torch.float64)
    flat = torch.ones(2, 1, 6, 6, dtype=torch.float64)
    torch.testing.assert_close(
        changes.amplify_bands(flat, gains)[:, 0, 0, 0], torch.tensor([4.0, 1.0]).double()
    )
    board = torch.ones(2, 1, 6, 6, dtype=torch.float64)
    board[:, :, ::2, 1::2] = -1
    board[:, :, 1::2, ::2] = -1
    changed = changes.amplify_bands(board, gains)
    torch.testing.assert_close(changed[0], board[0])
    torch.testing.assert_close(changed[1], 9 * board[1])
    torch.testing.assert_close(changes.amplify_bands(X, torch.ones(3, 4).double()), X)


def test_filters_change_every_band_and_keep_the_power_that_they_assume() -> None:
    """Gains g of one picked band: sum of lambda g^2 is 1."""
    torch.manual_seed(0)
    ada = ADAugment(["filter"], p=1.0)
    powers = []
    for frequency in (4, 24, 48, 96):  # the middle of each band, as a wave along rows
        wave = torch.cos(2 * math.pi * frequency * torch.arange(256) / 256).expand(20, 1, 8, 256)
        constant = ada.filter(torch.ones(20, 1, 8, 8), 1)[:, 0, 0, 0] if frequency == 4 else None
        assert constant is None or constant.std() > 0.05
        powers.append(seeded(ada, wave).square().mean((1, 2, 3)) / wave.square().mean((1, 2, 3)))
    assert (torch.stack(powers).log2().std(1) > 0.5).all()


def test_noise_and_cutout_strengths() -> None:
    torch.manual_seed(0)
    x = torch.zeros(2000, 1, 16, 16)
    stds = ADAugment(["noise"], p=1.0)(x).std((1, 2, 3))
    assert stds.square().mean().sqrt().item() == pytest.approx(0.1, abs=0.005)
    missing = ADAugment(["cutout"], p=1.0)(torch.ones(2000, 1, 16, 8))[:, 0] == 0
    rows, columns = missing.any(2).sum(1), missing.any(1).sum(1)
    assert torch.equal(missing.sum((1, 2)), rows * columns), "a rectangle"
    assert rows.max() == 8
    assert columns.max() == 4
    half = ADAugment(["cutout"], p=0.5)(torch.ones(2000, 1, 8, 8))
    assert (half == 0).flatten(1).any(1).float().mean().item() == pytest.approx(0.5, abs=0.04)


# ---------------------------------------------------------------------------- derivatives


@pytest.mark.parametrize("augmentation", EVERYTHING, ids=NAMES)
def test_first_and_second_derivatives(augmentation: nn.Module) -> None:
    x = random_images(2, 3, 4, 4, dtype=torch.float64).requires_grad_()

    def scored(x: Tensor) -> Tensor:
        return seeded(augmentation, x).pow(3).sum()

    assert torch.autograd.gradcheck(scored, x)
    assert torch.autograd.gradgradcheck(scored, x)
    assert torch.autograd.grad(scored(x), x)[0].flatten(1).any(1).all(), (
        "every sample gets a gradient"
    )


class Linear(nn.Module):
    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        self.weight = nn.Parameter(weight)

    def forward(self, x: Tensor) -> Tensor:
        return (x * self.weight).flatten(1).sum(1)


def test_penalties_differentiate_through_the_augmentation() -> None:
    """Flips and rotations keep lengths: R1 is 1/2 |w|^2, whose derivative is w, however samples were rotated."""
    weight = random_images(3, 6, 6)
    discriminator = AugmentedDiscriminator(Linear(weight), ADAugment(["blit"], p=1.0))
    discriminator.augmentation.blit = lambda x, colored: changes.rot90(x, torch.arange(len(x)) % 4)
    term = AdversarialTerm(
        "realism", discriminator, random_images(8, 3, 6, 6), random_images(8, 3, 6, 6)
    ).with_input_gradients(real=True, fake=False)
    real = term.discriminate_real()
    assert real.x is term.real
    penalty = R1(gamma=1.0).penalty(term, real, term.discriminate_fake(), StepRNG(0, 0))
    assert penalty.item() == pytest.approx(weight.square().sum().item() / 2, rel=1e-5)
    torch.testing.assert_close(
        torch.autograd.grad(penalty, discriminator.discriminator.weight)[0], weight
    )


# ------------------------------------------------------------------------ the wrapped discriminator


class Telling(nn.Module):
    def forward(self, x: Tensor, *condition: object) -> DiscriminatorOutput:
        return DiscriminatorOutput(score=x.mean((1, 2, 3)), x=x, aux=condition, features=(x,))


def test_the_critique_carries_the_original_and_everything_else() -> None:
    discriminator, x, label = (
        AugmentedDiscriminator(Telling(), DiffAugment()),
        random_images(4, 3, 6, 6),
        torch.arange(4),
    )
    output = run_discriminator(discriminator, x, label)
    assert output.x is x
    assert output.aux[0] is label
    assert not torch.equal(output.features[0], x)
    torch.testing.assert_close(output.score, output.features[0].mean((1, 2, 3)))
    assert discriminator(x).aux == ()


def test_conditions_that_are_images_move_along_uncolored() -> None:
    x = random_images(16, 3, 8, 8)
    edges = x[:, :1].clone()
    output = run_discriminator(
        AugmentedDiscriminator(Telling(), ADAugment(["blit", "geometry"], p=1.0)), x, edges
    )
    torch.testing.assert_close(output.aux[0], output.features[0][:, :1])
    output = run_discriminator(AugmentedDiscriminator(Telling(), DiffAugment(["color"])), x, edges)
    assert torch.equal(output.aux[0], edges)
    other_size = torch.zeros(16, 1, 4, 4)
    assert (
        run_discriminator(AugmentedDiscriminator(Telling(), DiffAugment()), x, other_size).aux[0]
        is other_size
    )


def test_in_evaluation_mode_the_critic_sees_samples_as_they_are() -> None:
    discriminator, x = (
        AugmentedDiscriminator(Telling(), ADAugment(p=1.0)),
        random_images(4, 3, 6, 6),
    )
    assert not torch.equal(discriminator(x).features[0], x)
    assert torch.equal(discriminator.eval()(x).features[0], x)


def test_energy_passes_through() -> None:
    assert AugmentedDiscriminator(AutoEncoder([1, 8, 8]), DiffAugment()).energy is True
    assert not hasattr(AugmentedDiscriminator(Telling(), DiffAugment()), "energy")


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (
            lambda: DiffAugment(["blur"]),
            "policies must be a list of color, translation, cutout, got 'blur'",
        ),
        (
            lambda: DiffAugment("colour"),
            "policies must be a list of color, translation, cutout, got 'colour'",
        ),
        (
            lambda: ADAugment(["blur"]),
            "a list of blit, geometry, color, filter, noise, cutout, got 'blur'",
        ),
        (lambda: ADAugment(p=1.5), r"p must be in \[0, 1\], got 1.5"),
        (
            lambda: DiffAugment()(torch.zeros(4, 2)),
            r"works on images \[B, C, H, W\], got samples of shape \[4, 2\]",
        ),
        (lambda: ADAugment()(torch.zeros(4, 2)), "add augment=none"),
        (
            lambda: AugmentedDiscriminator(Telling(), ADAugment()).eval()(torch.zeros(4, 2)),
            "add augment=none",
        ),
        (
            lambda: ADAugment(target=1.0),
            r"target must be in \[0, 1\), or null for a constant p, got 1.0",
        ),
        (lambda: ADAugment(images_to_full=0), "images_to_full must be > 0, got 0"),
        (lambda: ADAugment(interval=0), "interval must be >= 1, got 0"),
    ],
)
def test_bad_arguments_are_named(make, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make()


# -------------------------------------------------------------------------- the controller


def adaptive(**options: float) -> ADAugment:
    return ADAugment(**options)


def show(ada: ADAugment, scores: list[float], loss: str = "nonsaturating", **term: bool) -> float:
    x = torch.zeros(len(scores), 1, 2, 2)
    real, fake = (
        DiscriminatorOutput(torch.tensor(scores), x),
        DiscriminatorOutput(torch.zeros(1), x),
    )
    margin = READS[loss]().decision_margin(real, fake)
    ada.update(AdversarialTerm("realism", Telling(), x, x, **term), real, margin, 1)
    return ada.p.item()


def test_p_moves_after_each_interval_by_images_over_images_to_full() -> None:
    ada = adaptive(images_to_full=80, interval=2, target=0.6)
    assert show(ada, [1.0, 2.0, 3.0, 4.0]) == 0.0
    assert show(ada, [1.0, 2.0, 3.0, 4.0]) == pytest.approx(8 / 80)
    assert show(ada, [1.0, 2.0, 3.0, 4.0]) == pytest.approx(8 / 80)
    assert show(ada, [1.0, 2.0, 3.0, -4.0]) == pytest.approx(16 / 80), "r_t = (4 + 2)/8 = 0.75"
    assert show(ada, [1.0, 2.0, 3.0, -4.0]) == pytest.approx(16 / 80)
    assert show(ada, [1.0, 2.0, 3.0, -4.0]) == pytest.approx(8 / 80), "r_t = 0.5"


@pytest.mark.parametrize(
    ("scores", "start", "end"), [([9.0], 0.95, 1.0), ([-9.0], 0.05, 0.0), ([9.0, -9.0], 0.5, 0.0)]
)
def test_p_goes_to_its_bounds_and_stays(scores: list[float], start: float, end: float) -> None:
    ada = adaptive(p=start, images_to_full=100, interval=1)
    for _ in range(120):
        assert 0 <= show(ada, scores) <= 1
    assert ada.p.item() == end


def test_the_threshold_is_where_the_critic_is_undecided() -> None:
    ada = adaptive(p=0.5, images_to_full=100, interval=1, threshold=0.5)
    assert show(ada, [0.4, 0.4]) < 0.5
    ada = adaptive(p=0.5, images_to_full=100, interval=1)
    assert show(ada, [0.4, 0.4]) > 0.5


READS = {name: make for name, make in LOSSES.items() if not name.startswith(("began", "ebgan"))}
FREE = ("wgan", "rpgan", "ragan", "r3gan", "loss_sensitive", "glsgan")


def probability_after(name: str, real: list[float], fake: list[float], shift: float = 0.0) -> float:
    """Where p goes from 1/2 when a discriminator under this loss scores reals and fakes like this."""
    ada = adaptive(p=0.5, images_to_full=100, interval=1)
    x = torch.zeros(len(real), 1, 2, 2)
    sides = [DiscriminatorOutput(torch.tensor(scores) + shift, x) for scores in (real, fake)]
    margin = READS[name]().decision_margin(*sides)
    ada.update(AdversarialTerm("realism", Telling(), x, x), sides[0], margin, 1)
    return ada.p.item()


@pytest.mark.parametrize("name", READS)
def test_p_falls_for_a_discriminator_that_cannot_tell(name: str) -> None:
    """Scores of both sides are the same, around where the loss is undecided; constants are free in some losses."""
    undecided = READS[name]().threshold
    scores = [undecided - 0.4, undecided - 0.3, undecided + 0.3, undecided + 0.4]
    for shift in (0.0, -50.0, 50.0) if name.startswith(FREE) else (0.0,):
        assert probability_after(name, scores, scores, shift) == pytest.approx(0.46)


@pytest.mark.parametrize("name", READS)
def test_p_rises_for_a_discriminator_that_knows_the_reals(name: str) -> None:
    high, low = [12.0, 13.0, 14.0, 15.0], [-12.0, -13.0, -14.0, -15.0]
    real, fake = (low, high) if name.startswith(("loss_sensitive", "glsgan")) else (high, low)
    for shift in (0.0, -50.0, 50.0) if name.startswith(FREE) else (0.0,):
        assert probability_after(name, real, fake, shift) == pytest.approx(0.54)
        assert probability_after(name, fake, real, shift) == pytest.approx(0.46)


def test_a_threshold_given_by_hand_counts() -> None:
    ada = adaptive(p=0.5, images_to_full=100, interval=1, threshold=2.0)
    assert show(ada, [1.0, 1.0], "hinge") < 0.5


def test_mismatched_pairs_do_not_count() -> None:
    ada = adaptive(p=0.5, images_to_full=10, interval=1)
    assert show(ada, [1.0, 1.0], mismatched=True) == 0.5


def test_p_counts_images_and_not_packs() -> None:
    """Four images in two packs are four images."""
    ada = adaptive(p=0.5, images_to_full=100, interval=1)
    x = torch.zeros(4, 1, 2, 2)
    real = DiscriminatorOutput(torch.ones(2), x)
    ada.update(AdversarialTerm("realism", Telling(), x, x), real, real.score, 1)
    assert ada.p.item() == pytest.approx(0.54)


class Sure(MLPDiscriminator):
    """Takes everything for real, and shows a feature."""

    def forward(self, x: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        critique = super().forward(x, condition)
        return replace(critique, score=critique.score * 0 + 1)


def p_after_a_step(make: Callable[..., Model], **loss: Any) -> float:
    """Where p goes from 1/2 after one discriminator step on 6 reals, with 100 images from 0 to 1."""

    def discriminator(**options: Any) -> nn.Module:
        ada = ADAugment(["blit"], p=0.5, images_to_full=100, interval=1)
        return AugmentedDiscriminator(Sure(SHAPE, width=16, **options), ada)

    model = make(discriminator)
    step = GANModule(model, NonSaturating()).adversarial
    data = batch()
    _, outputs = step.discriminator_terms(data, model.generate(data), 1)
    step.update(outputs, 1)
    return float(next(b for name, b in model.discriminators.named_buffers() if name.endswith(".p")))


def test_reals_that_two_terms_share_count_once() -> None:
    """A VAE-GAN has two adversarial terms over the same reals."""
    assert p_after_a_step(
        lambda discriminator: GAN(GENERATOR, discriminator, latent_dim=4)
    ) == pytest.approx(0.56)
    assert p_after_a_step(
        lambda discriminator: VAEGAN(GENERATOR, ENCODER, discriminator, GaussianKL(), 4)
    ) == pytest.approx(0.56)


def test_feature_matching_is_adapted_too() -> None:
    """Its generator has no adversarial term, but its discriminator overfits like any other."""
    assert p_after_a_step(
        lambda discriminator: FeatureMatching(GENERATOR, discriminator, latent_dim=4)
    ) == pytest.approx(0.56)


class NoSync(TorchDispatchMode):
    """Fails where a number would travel between the host and the device."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        assert "_local_scalar_dense" not in str(function), "the host waits"
        assert "_to_copy" not in str(function) or "device" not in (kwargs or {}), (
            "a copy between devices"
        )
        assert "nonzero" not in str(function), "a size that the host has to know"
        return function(*args, **(kwargs or {}))


def test_the_host_never_waits() -> None:
    ada = adaptive(transforms=TRANSFORMS, p=0.5, interval=1)
    x = random_images(4, 3, 8, 8)
    frequency_bands = changes.frequency_bands()
    assert len(frequency_bands) == 4, "computed once"
    with NoSync():
        AugmentedDiscriminator(Telling(), ada)(x)
        AugmentedDiscriminator(Telling(), DiffAugment())(x)
        output = DiscriminatorOutput(x.mean((1, 2, 3)), x)
        ada.update(AdversarialTerm("realism", Telling(), x, x), output, output.score, 1)


def test_p_is_saved_with_the_critic() -> None:
    discriminator = AugmentedDiscriminator(Telling(), ADAugment(p=0.25))
    assert discriminator.state_dict()["augmentation.adaptive.p"].item() == 0.25
    assert not list(discriminator.augmentation.parameters())
    show(discriminator.augmentation, [1.0, 1.0])
    assert [value.item() for value in discriminator.augmentation.state_dict().values()] == [
        0.25,
        2.0,
        2.0,
        1.0,
    ]


# -------------------------------------------------------------------------------- in a run

FAST = ("augment.interval=2", "augment.images_to_full=64")


@pytest.mark.parametrize("loss", ["nonsaturating", "r3gan", "wgan_gp", "lsgan"])
@pytest.mark.parametrize("augment", ["ada", "diffaugment"])
def test_augmented_critics_train(augment: str, loss: str, tiny) -> None:
    overrides = ["data=digits", f"augment={augment}", f"loss={loss}", "trainer.max_steps=6"]
    trainer, module, data = build(tiny(*overrides, *(FAST if augment == "ada" else ())))
    trainer.fit(module, datamodule=data)
    assert all(p.isfinite().all() for p in module.parameters())
    assert isinstance(module.model.discriminators["main"], AugmentedDiscriminator)


def test_energies_train_with_diffaugment(tiny) -> None:
    trainer, module, data = build(
        tiny("data=digits", "augment=diffaugment", "loss=ebgan", "trainer.max_steps=2")
    )
    trainer.fit(module, datamodule=data)
    assert module.model.discriminators["main"].energy is True


def test_a_constant_probability_counts_nothing() -> None:
    ada = adaptive(p=0.25, target=None, interval=1)
    assert show(ada, [9.0, 9.0]) == 0.25
    assert ada.state_dict()["adaptive.images"].item() == 0


def test_instance_noise_is_a_function_of_the_step() -> None:
    noise, constant = InstanceNoise(std=0.5, steps=10), InstanceNoise(std=0.5, steps=None)
    x = torch.zeros(2, 1, 2, 2)
    output = DiscriminatorOutput(x.mean((1, 2, 3)), x)
    for step, expected in ((1, 0.45), (5, 0.25), (10, 0.0), (11, 0.0)):
        for part in (noise, constant):
            part.update(AdversarialTerm("realism", Telling(), x, x), output, output.score, step)
        assert noise.log_values()["std"].item() == pytest.approx(expected)
        assert constant.std.item() == 0.5


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["augment=ada", "loss=ebgan"], "use augment=diffaugment"),
        (
            ["augment=ada", "data=ring", "model=gan"],
            r"the data's sample_shape is \[2\]: use augment=none",
        ),
        (
            ["augment=diffaugment", "augment.policies=[colour]"],
            "color, translation, cutout, got 'colour'",
        ),
    ],
)
def test_what_cannot_work_fails_while_composing(overrides: list[str], words: str, composed) -> None:
    with pytest.raises(ValueError, match=words):
        build_module(composed("data=digits", *overrides))


def test_a_resumed_run_has_the_same_p(composed, tmp_path: Path) -> None:
    quiet = (
        "callbacks.progress=null",
        "callbacks.samples=null",
        "metric=none",
        "logger=none",
        "data.batch_size=8",
    )
    common = (
        "data=digits",
        "augment=ada",
        "augment.p=0.5",
        *FAST,
        "augment.images_to_full=160",
        *quiet,
    )

    def final(steps: int, name: str, *more: str) -> dict[str, Tensor]:
        train(composed(*common, f"run_dir={tmp_path / name}", f"trainer.max_steps={steps}", *more))
        return torch.load(tmp_path / name / "checkpoints" / "last.ckpt", weights_only=True)[
            "state_dict"
        ]

    complete, half = final(7, "complete"), final(5, "half")
    resumed = final(7, "rest", f"resume={tmp_path / 'half' / 'checkpoints' / 'last.ckpt'}")
    p = "model.discriminators.main.augmentation.adaptive.p"
    assert half["model.discriminators.main.augmentation.adaptive.steps"] == 1, (
        "saved in the middle of an interval"
    )
    assert len({0.5, half[p].item(), complete[p].item()}) == 3, "p has moved, before and after"
    assert all(torch.equal(complete[name], resumed[name]) for name in complete)
