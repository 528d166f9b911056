"""Recipes: they compose, and train a step on small data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields
from pathlib import Path

import pytest
import torch

from gan_zoo.config.build import build, build_module
from gan_zoo.config.messages import choices
from gan_zoo.config.recipes import Recipe, chosen_groups, differences, find_recipe
from gan_zoo.core.paths import CONF
from tests.stand_ins import (
    write_census,
    write_cifar,
    write_classes,
    write_digits,
    write_domains,
    write_faces,
    write_halves,
    write_scenes,
    write_words,
)

# The smallest networks of each kind, in the images of the stand-ins.
NARROW = ("generator.width=8", "discriminator.width=8")
WIDE = ("generator.width=16", "discriminator.width=16")
HIDDEN = (*NARROW, "generator.hidden=8", "discriminator.hidden=8")
TRANSLATION = (
    *("data.image_size=16", "data.load_size=null", "data.batch_size=2"),
    *("generator.width=4", "discriminator.width=4", "discriminator.layers=1"),
)
RESIDUAL = (*TRANSLATION, "generator.blocks=1")
EPOCHS = "trainer.max_epochs=null"
ATTENTION = ("generator.attention=16", "discriminator.attention=16")
STYLES = (
    *("generator.max_width=8", "discriminator.max_width=8", "discriminator.group=2"),
    "data.batch_size=4",
)
SMALL = {
    "aae_mnist": (
        *("generator.width=8", "model.encoder.width=8", "model.latent_discriminator.width=8"),
    ),
    "acgan_cifar10": NARROW,
    "acgan_mnist": NARROW,
    "bicyclegan_edges2shoes": (
        *("data.image_size=16", "generator.width=4", "discriminator.width=4"),
        *("discriminator.layers=1", EPOCHS),
    ),
    "bigan_mnist": NARROW,
    "biggan_cifar10": ("generator.width=2", "discriminator.width=2"),
    "cgan_mnist": NARROW,
    "cluster_gan_mnist": HIDDEN,
    "contragan_cifar10": ("generator.width=2", "discriminator.width=8", "model.embedding_dim=8"),
    "ctgan_adult": ("data.batch_size=20", EPOCHS),
    "cut_horse2zebra": (*RESIDUAL, EPOCHS),
    "cyclegan_horse2zebra": (*RESIDUAL, EPOCHS),
    "cyclegan_maps": (*RESIDUAL, EPOCHS),
    "dcgan_cifar10": NARROW,
    "esrgan_div2k": (
        *("data.image_size=32", "generator.width=4", "generator.blocks=1", "generator.growth=4"),
        *("discriminator.width=4",),
    ),
    "fastcut_horse2zebra": (*RESIDUAL, EPOCHS),
    "hifigan_ljspeech": (
        *("generator.width=16", "data.length=1024", "data.derive.window=128", "data.derive.hop=32"),
        *("generator.rates=[4,4,2]", "data.derive.bands=16", "discriminator.width=2"),
    ),
    "hinge_celeba64": NARROW,
    "infogan_mnist": HIDDEN,
    "infomax_gan_cifar10": (*NARROW, "model.projection_dim=8"),
    "lsgan_celeba64": NARROW,
    "lsgan_cifar10": NARROW,
    "lsgan_lsun64": NARROW,
    "mixtures": (),
    "pacgan_stacked_mnist": NARROW,
    "pix2pix_edges2shoes": (*TRANSLATION, "generator.depth=3", EPOCHS),
    "pix2pix_facades": (*TRANSLATION, "generator.depth=3", EPOCHS),
    "projected_gan_few_shot": (
        *(*NARROW, "data.image_size=32", "discriminator.features.image_size=32"),
    ),
    "r3gan_cifar10": WIDE,
    "r3gan_ffhq256": (*WIDE, "data.image_size=32"),
    "r3gan_ffhq64": (*WIDE, "data.image_size=32"),
    "r3gan_imagenet32": (*WIDE, "accumulate=2"),
    "r3gan_stacked_mnist": WIDE,
    "reacgan_cifar10": ("generator.width=2", "discriminator.width=8", "model.embedding_dim=8"),
    "sagan_cifar10": NARROW,
    "sagan_imagenet128": (*NARROW, "data.image_size=32", "data.num_classes=20", *ATTENTION),
    "sgan_mnist": (*NARROW, "data.labeled=10"),
    "sngan_cifar10": NARROW,
    "sngan_projection_cifar10": NARROW,
    "specgan_sc09": (
        *("generator.width=2", "discriminator.width=2", "data.num_classes=3", "data.length=1024"),
    ),
    "ssgan_cifar10": NARROW,
    "stargan_celeba": (
        *("data.image_size=16", "generator.width=4", "generator.blocks=1"),
        *("discriminator.width=4", "discriminator.layers=1", "data.num_classes=20"),
    ),
    "stylegan2_ada_cifar10": (*NARROW, *STYLES),
    "stylegan2_ffhq256": (*NARROW, *STYLES, "data.image_size=32"),
    "wavegan_sc09": ("generator.width=2", "discriminator.width=2", "data.num_classes=3"),
    "wgan_gp_cifar10": NARROW,
}
# Others with the same networks, losses and formats run every time.
SLOW = (
    *("cyclegan_maps", "fastcut_horse2zebra", "hinge_celeba64", "lsgan_cifar10"),
    *("pix2pix_edges2shoes", "r3gan_ffhq256", "r3gan_ffhq64", "reacgan_cifar10"),
    *("sngan_cifar10", "stylegan2_ffhq256"),
)
QUIET = tuple(
    f"callbacks.{name}=null"
    for name in ("progress", "samples", "evaluation", "doctor", "checkpoints")
)


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], list[str]]]:
    """The overrides for a recipe's data: tiny data sets in the format of the published ones."""
    root = tmp_path_factory.mktemp("stand_ins")
    made: dict[str, Path] = {}

    with pytest.MonkeyPatch.context() as patch:
        writers: dict[str, Callable[[Path], None]] = {
            "celeba": lambda folder: write_faces(folder, 12),
            "cifar10": lambda folder: write_cifar(folder, patch),
            "cyclegan_folder": write_domains,
            "image_folder": lambda folder: write_classes(folder, 20),
            "lsun": lambda folder: write_scenes(folder / "bedroom_train_lmdb", 12),
            "mnist": lambda folder: write_digits(folder) and None,
            "side_by_side_folder": write_halves,
            "audio_folder": write_words,
        }
        writers["stacked_mnist"] = writers["mnist"]

        def arguments(data: str) -> list[str]:
            if data == "table":
                write_census(root / "adult.csv")
                return [f"data.root={root / 'adult.csv'}"]
            if data not in writers:
                return []
            if data not in made:
                made[data] = root / data
                writers[data](made[data])
            return [f"data.root={made[data]}"]

        yield arguments


def test_every_recipe_is_here() -> None:
    assert set(SMALL) == set(choices("experiment", CONF)) - {"null"}
    assert len(SMALL) >= 28


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in SMALL]
)
def test_ten_steps_of_every_recipe_on_the_format_of_its_data(
    name: str, composed, stand_ins
) -> None:
    short = ("trainer.max_steps=10", "data.batch_size=4", "logger=none", "metric=none")
    words = [*short, *SMALL[name], *stand_ins(chosen_groups(name)["data"]), *QUIET]
    trainer, module, source = build(composed(f"experiment={name}", *words))
    trainer.fit(module, datamodule=source)
    assert module.global_step == 10


@pytest.mark.parametrize("name", SMALL)
def test_every_recipe_says_where_it_is_from_and_what_it_sets(name: str) -> None:
    recipe = find_recipe(name)
    assert all(vars_of(recipe).values())
    found = differences(name)
    assert "trainer.max_steps" in found or "trainer.max_epochs" in found
    assert not any(key.startswith(("recipe", "experiment")) for key in found)


def vars_of(recipe: Recipe) -> dict[str, str]:
    return {field.name: getattr(recipe, field.name) for field in fields(recipe)}


def test_differences_are_those_of_the_files() -> None:
    found = differences("cyclegan_maps")
    assert found["model.identity_weight"] == (5.0, 0.0)
    assert found["model.cycle_weight"] == (10.0, 5.0)
    assert found["generator.blocks"] == (3, 9)
    assert "loss.adversarial._target_" not in found, "the loss is a choice, not a difference"


@pytest.mark.parametrize(
    ("name", "generator", "discriminator"),
    [
        ("sngan_cifar10", 4_276_739, 1_053_825),
        ("biggan_cifar10", 9_416_196, None),
        ("stylegan2_ffhq256", 24_767_458, 24_001_089),
    ],
)
def test_networks_of_recipes_keep_their_size(
    name: str, generator: int, discriminator: int | None, composed
) -> None:
    """Counts of SNGAN by hand below; the others guard against a change of the defaults."""
    module = build_module(composed(f"experiment={name}", "data.root=data"))
    sizes = [
        sum(p.numel() for p in networks.parameters())
        for networks in (module.model.generators, module.model.discriminators)
    ]
    assert sizes[0] == generator
    assert discriminator in (None, sizes[1])
    if name == "sngan_cifar10":
        # Miyato et al. 2018, table 4: dense 128 -> 4 x 4 x 256, three blocks, norm, 3 x 3 to RGB.
        block = 2 * (9 * 256 * 256 + 256) + 2 * 2 * 256 + (256 * 256 + 256)
        assert generator == 129 * 4096 + 3 * block + 2 * 256 + (9 * 256 * 3 + 3)


def test_r3gans_numbers_at_the_beginning_and_from_20_million_images_on(composed) -> None:
    from gan_zoo.config.build import scalar_schedules

    schedules = scalar_schedules(composed("experiment=r3gan_cifar10"))
    ends = {
        schedule.value: (schedule(0), schedule(20_000_000), schedule(10**9))
        for schedule in schedules.values()
    }
    assert ends["optim.generator.lr"] == pytest.approx((2e-4, 5e-5, 5e-5))
    assert ends["optim.discriminator.betas[1]"] == pytest.approx((0.9, 0.99, 0.99))
    assert ends["regularizer.r1.gamma"] == pytest.approx((0.05, 0.005, 0.005))
    assert ends["ema.half_life"] == pytest.approx((0, 5e6, 5e6))
    assert ends["augment.p"] == pytest.approx((0, 0.55, 0.55))
    middle = {schedule.value: schedule(10_000_000) for schedule in schedules.values()}
    assert middle["optim.generator.lr"] == pytest.approx(1.25e-4)


def test_the_translators_of_recipes_are_as_large_as_published(tiny) -> None:
    """The repository's ResNet of 9 blocks, U-Net of 8 halvings and patch discriminators.

    Counts by hand: weights and biases of all convolutions; without the scale and shift of instance
    normalization, which the repository leaves out, and with the 2C of batch normalization.
    """

    def convolutions(network) -> int:
        kinds = (torch.nn.Conv2d, torch.nn.ConvTranspose2d)
        return sum(
            p.numel() for m in network.modules() if isinstance(m, kinds) for p in m.parameters()
        )

    module = build_module(tiny("experiment=cyclegan_horse2zebra", "data.root=data"))
    residual = 18 * (256 * 256 * 9 + 256)
    halvings = (64 * 128 * 9 + 128) + (128 * 256 * 9 + 256)
    doublings = (256 * 128 * 9 + 128) + (128 * 64 * 9 + 64)
    ends = (3 * 64 * 49 + 64) + (64 * 3 * 49 + 3)
    assert convolutions(module.model.generators["a_to_b"]) == residual + halvings + doublings + ends
    assert (
        residual + halvings + doublings + ends == 11_378_179
    )  # 11.378 M, printed by the repository

    module = build_module(tiny("experiment=pix2pix_facades", "data.root=data"))
    down = [(3, 64), (64, 128), (128, 256), (256, 512), *[(512, 512)] * 4]
    up = [(512, 512), *[(1024, 512)] * 3, (1024, 256), (512, 128), (256, 64), (128, 3)]
    weights = 16 * sum(a * b for a, b in [*down, *up])
    found = sum(
        m.weight.numel()
        for m in module.model.generators["main"].modules()
        if isinstance(m, (torch.nn.Conv2d, torch.nn.ConvTranspose2d))
    )
    assert found == weights
