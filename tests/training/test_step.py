"""Every model with every loss on vectors and images: two steps, gradients where they belong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from omegaconf import DictConfig
from PIL import Image

from gan_zoo.augmentation.base import augmentations
from gan_zoo.config.build import build
from gan_zoo.config.messages import choices, format_error
from gan_zoo.core.errors import TrainingDiverged
from gan_zoo.core.paths import CONF
from gan_zoo.training import updater
from gan_zoo.training.gradients import gradient_norm
from gan_zoo.training.module import GANModule
from tests.helpers import sampled

MODELS, LOSSES, REGULARIZERS = (choices(group, CONF) for group in ("model", "loss", "regularizer"))
LOSSES.remove("multi_hinge")  # needs model=mhgan: see tests/models/test_class_heads.py
RESNET_TRANSLATIONS = {"cut", "cyclegan", "discogan", "fastcut", "munit", "pix2pixhd", "unit"}
TRANSLATIONS = {*RESNET_TRANSLATIONS, "bicyclegan", "dualgan", "pix2pix", "spade"}
DERIVED = {
    "colorization",
    "context_encoder",
    "esrgan",
    "srgan",
}  # make their conditions of the samples
WITHOUT_PATCHES = {
    "cogan",
    "context_encoder",
    "discogan",
    "esrgan",
    "srgan",
}  # with other discriminators than patchgan
THREE_SCALES = {"munit", "unit"}  # of their discriminators
OF_TABLES = {"ctgan", "tvae"}
OF_SOUNDS = {"hifigan", "specgan", "wavegan"}
CONVOLUTIONAL = set(MODELS) - {"gan"} - OF_TABLES
WITHOUT_DISCRIMINATOR = {"vae", "tvae"}
AUTOENCODERS = {"ebgan", "began"}  # losses that bring an autoencoder as discriminator
LOW_FOR_REALS = {*AUTOENCODERS, "loss_sensitive"}  # losses whose scores of reals are low
NEEDS_MORE_THAN_A_SCORE = {
    "acgan",
    "adcgan",
    "bicyclegan",
    "bigan",
    "biggan",
    "biggan_deep",
    "cgan",
    "cgan_single",
    "colorization",
    "contragan",
    "gat_conditional",
    "infogan",
    "mhgan",
    "pix2pix",
    "pix2pixhd",
    "reacgan",
    "sgan",
    "sngan_projection",
    "spade",
    "ssgan",
    "stargan",
    "stargan_v2",
    "tacgan",
    "veegan",
}  # conditions, or heads
PRESETS_WITH_CRITIC_SETTINGS = {"wgan", "wgan_gp", "fisher", "dragan", "r3gan", *AUTOENCODERS}
# Losses of the generator that are no means over fakes.
COMPARISONS = {
    "dual_contrastive",
    "fisher",
    "r3gan",
    "ragan",
    "ragan_hinge",
    "ragan_ls",
    "rpgan",
    "softmax",
}
SIGNS = {"apa"}  # regularizers that read the sign of scores
WANTS_HIGH_REALS = {"lecam", "top_k", "logan", "mhgan", "sgan"}
REFUSED = {
    "path_length": "needs a generator with a mapping",
    "cutmix": "needs a discriminator that scores pixels",
    "san": "needs a discriminator whose last layer is sliced",
}
WITHOUT_NORM = {
    "biggan_deep",
    "ctgan",
    "gat",
    "gat_conditional",
    "hifigan",
    "pggan",
    "r3gan",
    "stargan_v2",
    "stylegan2",
}
SMALL_STARGAN_V2 = [
    *("generator.width=4", "model.encoder.width=4"),
    *("discriminator.width=4", "discriminator.max_width=8"),
]
WITH_STYLES = {"gat", "gat_conditional", "stylegan2"}


def train(config: DictConfig) -> GANModule:
    trainer, module, data = build(config)
    trainer.fit(module, datamodule=data)
    return module


@pytest.fixture
def watched(monkeypatch: pytest.MonkeyPatch) -> Callable[[DictConfig], dict[str, int]]:
    """Trains, and at each player's step asserts that every parameter of it, and none of the other's, got a gradient."""

    def run(config: DictConfig) -> dict[str, int]:
        trainer, module, data = build(config)
        players = {
            "discriminator": list(module.model.discriminators.parameters()),
            "generator": list(module.model.generators.parameters()),
        }
        turns = dict.fromkeys(players, 0)
        last: dict[str, list[torch.Tensor | None]] = {
            name: [None] * len(p) for name, p in players.items()
        }

        def spy(parameters, statistics) -> None:
            mine = (
                "discriminator"
                if players["discriminator"] and parameters[0] is players["discriminator"][0]
                else "generator"
            )
            other = "generator" if mine == "discriminator" else "discriminator"
            turns[mine] += 1
            # Networks that grow have layers that are not used yet.
            growing = config.model._target_.endswith("PGGAN")
            assert growing or all(p.grad is not None for p in players[mine]), (
                f"{mine}: a parameter without gradient"
            )
            # Later a hinge may be satisfied: discriminators that sum over positions win by more than its margin in one
            # step,
            # and that of the loss-sensitive loss, which compares pairs, is for some weights satisfied from the start.
            moving = any(p.grad is not None and p.grad.any() for p in players[mine])
            satisfied = turns[mine] > 1 or "loss_sensitive" in config.loss.adversarial._target_
            assert moving or satisfied, f"{mine}: all gradients are zero"
            for before, p in zip(last[other], players[other], strict=True):
                assert (p.grad is None) if before is None else torch.equal(before, p.grad), (
                    f"{other} was touched"
                )
            last[mine] = [None if p.grad is None else p.grad.clone() for p in players[mine]]

        monkeypatch.setattr(updater, "average_gradients", spy)
        trainer.fit(module, datamodule=data)
        assert all(p.requires_grad for p in module.model.parameters())
        assert all(p.isfinite().all() for p in module.parameters())
        return turns

    return run


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two folders of tiny images, partners by name, and a table of captions of the second."""
    root = tmp_path_factory.mktemp("pairs")
    rows = (f"{number}.png,number {number} of the noisy ones" for number in range(16))
    (root / "captions.csv").write_text("\n".join(["file,caption", *rows]))
    for domain in ("source", "target"):
        (root / domain).mkdir()
        for number in range(16):
            Image.effect_noise((16, 16), 10 * number + 1).convert("RGB").save(
                root / domain / f"{number}.png"
            )
    return root


@pytest.fixture
def on_images(pairs: Path) -> Callable[[str, str], list[str]]:
    """The overrides that let a model train on small images in a moment."""

    def overrides(model: str, loss: str) -> list[str]:
        if model in OF_TABLES:
            narrow = ["generator.width=8"] if model == "tvae" else ["generator.widths=[8]"]
            if model == "ctgan" and loss not in AUTOENCODERS:
                narrow.append("discriminator.widths=[8]")
            packs = ["pack=2"] if model == "ctgan" else []
            return ["data=table", "data.bundled=iris", *narrow, *packs]
        patches = loss not in AUTOENCODERS and model not in WITHOUT_PATCHES
        if model in TRANSLATIONS | DERIVED | {"cogan"}:
            return [
                f"data={'image_folder' if model in DERIVED else 'paired_folder'}",
                *(f"data.root={pairs}", "data.image_size=16", "generator.width=8"),
                *(["discriminator.layers=1"] if patches else []),
                *(
                    ["generator.blocks=1"]
                    if model in {*RESNET_TRANSLATIONS, "esrgan", "srgan"}
                    else []
                ),
                *(["discriminator.scales=1"] if patches and model in THREE_SCALES else []),
            ]
        attention = (
            ["generator.attention=8", "discriminator.attention=8"] if model == "sagan" else []
        )
        thin = ["generator.width=2", "discriminator.width=2"] if model.startswith("biggan") else []
        if model == "projected_gan":
            small = [] if loss in AUTOENCODERS else ["discriminator.features.image_size=32"]
            thin = ["generator.width=4", *small]
        if model == "stargan":
            layers = [] if loss in AUTOENCODERS else ["discriminator.layers=1"]
            thin = ["generator.width=4", "generator.blocks=1", *layers]
        if model == "stargan_v2":
            thin = SMALL_STARGAN_V2[: 2 if loss in AUTOENCODERS else None]
        if model in OF_SOUNDS:
            sounds = ["data=tones", "data.length=64", "data.num_samples=40"]
            wide = [] if loss in AUTOENCODERS else ["discriminator.width=2"]
            if model == "hifigan":
                few = ["discriminator.periods=[2,3]", "discriminator.scales=2"] if wide else []
                frames = ["data.derive.window=32", "data.derive.hop=8", "generator.rates=[4,2]"]
                thin = ["generator.width=8", "generator.kernels=[3]"]
                return [*sounds, *frames, *thin, *wide, *few]
            return [*sounds, "generator.width=2", *wide]
        if model.startswith("gat"):
            small = ["width=8", "heads=2"]
            # Clipping changes gradients after `watched` has seen them.
            thin = ["optim.clip_grad_norm=null", *(f"generator.{size}" for size in small)]
            thin += [] if loss in AUTOENCODERS else [f"discriminator.{size}" for size in small]
        return ["data=digits", *attention, *thin]

    return overrides


def cannot_work(model: str, loss: str) -> str | None:
    """What the refusal says of pairs that cannot work."""
    if model in WANTS_HIGH_REALS - NEEDS_MORE_THAN_A_SCORE and loss in LOW_FOR_REALS:
        return "takes high scores for those of reals"
    if model in WANTS_HIGH_REALS and loss == "loss_sensitive":
        return "takes high scores for those of reals"
    if model in WITHOUT_DISCRIMINATOR:
        return "discriminator" if loss in PRESETS_WITH_CRITIC_SETTINGS else None
    if model == "aae":
        return "discriminator of latents alone" if loss in AUTOENCODERS else None
    if loss in AUTOENCODERS and model in NEEDS_MORE_THAN_A_SCORE:
        return "discriminator=autoencoder predicts no class and takes no condition.*choose another discriminator"
    if loss in AUTOENCODERS and model in {"hifigan", "wavegan"}:
        return "works on images"
    if loss in AUTOENCODERS and model == "pggan":
        return "needs networks that grow"
    if loss in AUTOENCODERS and model == "infomax_gan":
        return "needs a discriminator that shows its local activations"
    return (
        "with attention, which AutoEncoder does not have"
        if loss in AUTOENCODERS and model == "sagan"
        else None
    )


@pytest.mark.parametrize(("model", "loss"), sampled([*MODELS, "gan on vectors"], LOSSES, step=24))
def test_two_steps(model: str, loss: str, tiny, watched, on_images) -> None:
    model, _, vectors = model.partition(" on ")
    overrides = [
        f"model={model}",
        f"loss={loss}",
        *(["data=ring"] if vectors else on_images(model, loss)),
    ]
    if refusal := cannot_work(model, loss):
        with pytest.raises((ValueError, TypeError), match=refusal) as refused:
            build(tiny(*overrides))
        assert "\n" not in str(refused.value)
        return
    n_critic = tiny(*overrides).loss.n_critic
    turns = watched(
        tiny(*overrides, f"trainer.max_steps={2 * n_critic}", "trainer.log_every_n_steps=1")
    )
    assert turns == {
        "discriminator": 0 if model in WITHOUT_DISCRIMINATOR else 2 * n_critic,
        "generator": 2,
    }


def steps_of(loss: str, tiny: Callable[..., DictConfig]) -> int:
    """How many steps it takes until the generator takes one."""
    if loss not in _steps:
        _steps[loss] = tiny(f"loss={loss}").loss.n_critic
    return _steps[loss]


_steps: dict[str, int] = {}


@pytest.mark.parametrize("loss", ["nonsaturating", pytest.param("ebgan", marks=pytest.mark.slow)])
@pytest.mark.parametrize(
    "model",
    [
        pytest.param(model, marks=pytest.mark.slow if number % 4 else ())
        for number, model in enumerate(sorted(CONVOLUTIONAL))
    ],
)
def test_models_of_images_refuse_vectors(model: str, loss: str, tiny) -> None:
    refusal = "use model=gan for vectors|has incorrect arguments|model=vae has no discriminator"
    refusal += "|needs data of two domains of images|rotates square images|augment works on images"
    refusal += "|model=aae has a discriminator of latents alone"
    with pytest.raises(ValueError, match=refusal) as refused:
        build(tiny(f"model={model}", f"loss={loss}", "data=ring"))
    assert "\n" not in format_error(refused.value, CONF)  # as a run answers


@pytest.mark.parametrize(
    ("model", "regularizer"),
    sampled([m for m in MODELS if m not in WITHOUT_DISCRIMINATOR], REGULARIZERS, step=48),
)
def test_every_model_with_every_regularizer(model: str, regularizer: str, tiny, on_images) -> None:
    norm = ["++discriminator.norm=none"] if model not in WITHOUT_NORM else []
    overrides = [*on_images(model, "nonsaturating"), f"regularizer=[{regularizer}]"]
    overrides = [f"model={model}", *norm, *overrides]
    refusal = (
        "of different latents"
        if model in (TRANSLATIONS | DERIVED | {"hifigan", "stargan"}) - {"bicyclegan", "munit"}
        and regularizer in ("mode_seeking", "zcr")
        else None
    )
    if model == "specgan" and regularizer in ("mode_seeking", "zcr"):
        refusal = "not the samples of SpecGAN"
    if model in {"hifigan", "wavegan"} and regularizer in ("consistency", "cutmix"):
        refusal = "needs images|scores pixels"
    if model in {"aae", "munit"} and regularizer == "zcr":
        refusal = "needs a model that trains on samples of latents"
    if model.startswith("gat") and regularizer == "zcr":
        refusal = "scores 4 levels"
    has_styles = model in WITH_STYLES and regularizer == "path_length"
    if refusal := None if has_styles else refusal or REFUSED.get(regularizer):
        with pytest.raises(ValueError, match=refusal):
            train(tiny(*overrides, "trainer.max_steps=1"))
        return
    steps = tiny(*overrides).loss.n_critic
    module = train(tiny(*overrides, f"trainer.max_steps={steps}"))
    assert module.clock.generator_steps == 1
    assert all(p.isfinite().all() for p in module.parameters())


@pytest.mark.parametrize(
    ("loss", "regularizer"), sampled(LOSSES, [r for r in REGULARIZERS if r not in REFUSED])
)
def test_every_loss_with_every_regularizer(loss: str, regularizer: str, tiny) -> None:
    """On one model, which is enough: losses and regularizers see no more of a model than its terms."""
    overrides = [
        f"loss={loss}",
        f"regularizer=[{regularizer}]",
        "data=digits",
        "++discriminator.norm=none",
    ]
    if regularizer in SIGNS and loss in AUTOENCODERS:
        with pytest.raises(ValueError, match="use augment=diffaugment"):
            build(tiny(*overrides))
        return
    if regularizer in WANTS_HIGH_REALS and loss in LOW_FOR_REALS:
        with pytest.raises(ValueError, match="takes high scores for those of reals"):
            build(tiny(*overrides))
        return
    if regularizer == "top_k" and loss in COMPARISONS:
        with pytest.raises(ValueError, match="is a mean over fakes"):
            build(tiny(*overrides))
        return
    steps = steps_of(loss, tiny)
    module = train(tiny(*overrides, f"trainer.max_steps={steps}"))
    assert module.global_step == steps
    assert module.clock.generator_steps == 1
    assert all(p.isfinite().all() for p in module.parameters())


@pytest.mark.parametrize("loss", [loss for loss in LOSSES if loss not in AUTOENCODERS])
def test_every_loss_with_all_penalties_at_once_on_three_duels(loss: str, tiny) -> None:
    left_out = {*REFUSED, *({"top_k"} if loss in COMPARISONS else ())}
    left_out |= WANTS_HIGH_REALS if loss in LOW_FOR_REALS else set()
    penalties = ",".join(regularizer for regularizer in REGULARIZERS if regularizer not in left_out)
    steps = steps_of(loss, tiny)
    overrides = [
        f"loss={loss}",
        f"regularizer=[{penalties}]",
        "++discriminator.norm=none",
        "augment=diffaugment",
    ]
    module = train(tiny("model=cgan", "data=digits", *overrides, f"trainer.max_steps={steps}"))
    assert module.clock.generator_steps == 1
    assert all(p.isfinite().all() for p in module.parameters())


CONDITIONS = {
    "class": ["data=digits"],
    "text": ["data=captioned_folder", "data.folder=target"],
    "text_gru": ["data=captioned_folder", "data.folder=target", "condition=text_gru"],
    "image": ["data=paired_folder", "condition.width=4"],
}


@pytest.mark.parametrize("fusion", ["projection", "concat"])
@pytest.mark.parametrize("condition", CONDITIONS)
@pytest.mark.parametrize("model", ["cgan", "cgan_single"])
def test_two_steps_with_every_condition(
    model: str, condition: str, fusion: str, tiny, watched, pairs
) -> None:
    overrides = [
        *CONDITIONS[condition],
        f"model.fusion={fusion}",
        "discriminator.norm=none",
        "regularizer=[r1]",
    ]
    overrides += [] if condition == "class" else [f"data.root={pairs}", "data.image_size=16"]
    turns = watched(tiny(f"model={model}", *overrides, "trainer.max_steps=2"))
    assert turns == {"discriminator": 2, "generator": 2}


@pytest.mark.parametrize(
    ("model", "augment"),
    sampled(
        [model for model in MODELS if model not in {*WITHOUT_DISCRIMINATOR, *OF_TABLES}],
        [augment for augment in choices("augment", CONF) if augment != "none"],
        step=12,
    ),
)
def test_every_model_with_every_augmentation(model: str, augment: str, tiny, on_images) -> None:
    overrides = [f"model={model}", f"augment={augment}", *on_images(model, ""), "loss.n_critic=1"]
    if model in OF_SOUNDS:
        with pytest.raises(ValueError, match="augment works on images"):
            build(tiny(*overrides))
        return
    module = train(tiny(*overrides, "trainer.max_steps=1"))
    assert module.clock.generator_steps == 1


@pytest.mark.parametrize(
    "loss", [*LOSSES, *(f"nonsaturating {r}" for r in REGULARIZERS if r not in REFUSED)]
)
def test_packs_with_every_loss_and_every_regularizer(loss: str, tiny) -> None:
    loss, _, regularizer = loss.partition(" ")
    penalties = [f"regularizer=[{regularizer}]", "++discriminator.norm=none"] if regularizer else []
    steps = steps_of(loss, tiny)
    overrides = [f"loss={loss}", "data=digits", "pack=2", *penalties, f"trainer.max_steps={steps}"]
    assert train(tiny(*overrides)).clock.generator_steps == 1


@pytest.mark.parametrize("model", sorted(NEEDS_MORE_THAN_A_SCORE))
def test_packs_are_refused_where_the_critic_is_told_something(model: str, tiny, on_images) -> None:
    with pytest.raises(ValueError, match="use pack=1"):
        build(tiny(f"model={model}", "pack=2", *on_images(model, "")))


def test_a_step_is_a_critic_step(tiny) -> None:
    module = train(tiny("model=gan", "data=ring", "loss.n_critic=3", "trainer.max_steps=7"))
    assert module.global_step == 7
    assert module.clock.generator_steps == 2
    assert module.clock.images_seen == 7 * 8


def test_running_statistics_are_averaged_once_in_each_step_when_they_rest(
    tiny, monkeypatch
) -> None:
    """After both players' passes: processes would differ by the last pass, or a backward pass miss what it saved."""
    averaged: list[int] = []

    def spy(parameters, statistics) -> None:
        averaged.append(len(statistics))

    monkeypatch.setattr(updater, "average_gradients", spy)
    module = train(tiny("model=dcgan", "loss.n_critic=2", "trainer.max_steps=4"))
    everything = sum(
        name.endswith(("running_mean", "running_var")) for name, _ in module.model.named_buffers()
    )
    assert everything > 0
    assert averaged == 2 * [
        everything,
        0,
        everything,
    ]  # a discriminators' step alone; a step of both players


def test_several_penalties_at_once_and_lazily(tiny, monkeypatch) -> None:
    seen: list[set[str]] = []
    take_step = updater.Updater.step

    def spy(self, step, last):
        terms = take_step(self, step, last)
        seen.append(set(terms))
        return terms

    monkeypatch.setattr(updater.Updater, "step", spy)
    lazy = ["regularizer=[r1,r2]", "regularizer.r1.every=2", "regularizer.r2.every=3"]
    train(tiny("model=gan", "data=digits", *lazy, "trainer.max_steps=6"))
    discriminator = [terms for terms in seen if "d/realism" in terms]
    assert [("d/realism/r1" in t, "d/realism/r2" in t) for t in discriminator] == [
        (False, False), (True, False), (False, True), (True, False), (False, False), (True, True),
    ]  # fmt: skip


def test_an_exception_in_the_generators_turn_leaves_nothing_frozen(tiny, monkeypatch) -> None:
    from gan_zoo.losses.minimax import NonSaturating

    def broken(self, fake, real=None):
        raise RuntimeError("on purpose")

    monkeypatch.setattr(NonSaturating, "generator", broken)
    trainer, module, data = build(tiny("model=gan", "data=ring", "trainer.max_steps=1"))
    with pytest.raises(RuntimeError, match="on purpose"):
        trainer.fit(module, datamodule=data)
    assert all(p.requires_grad for p in module.model.parameters())


def test_the_same_seed_gives_the_same_bits(tiny) -> None:
    config = tiny("data=digits", "loss=wgan_gp", "trainer.max_steps=6")
    a, b = train(config).state_dict(), train(config).state_dict()
    assert all(torch.equal(a[key], b[key]) for key in a)
    c = train(tiny("data=digits", "loss=wgan_gp", "trainer.max_steps=6", "seed=1")).state_dict()
    assert not torch.equal(
        a["model.generators.main.layers.1.weight"], c["model.generators.main.layers.1.weight"]
    )


def test_the_default_step_is_the_textbook_step(tiny) -> None:
    """One step of ours against the same step in plain PyTorch, written out by hand."""
    import copy

    from torch.nn.functional import softplus

    config = tiny("data=digits", "trainer.max_steps=1", "channels_last=false")
    trainer, module, data = build(config)
    generator = copy.deepcopy(module.model.generators["main"])
    discriminator = copy.deepcopy(module.model.discriminators["main"])
    trainer.fit(module, datamodule=data)

    batch = next(iter(data.train_dataloader()))
    trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress.total.completed = 0
    batch = next(iter(data.train_dataloader()))
    opt_d = torch.optim.Adam(discriminator.parameters(), 2e-4, (0.5, 0.999))
    opt_g = torch.optim.Adam(generator.parameters(), 2e-4, (0.5, 0.999))
    fake = generator(batch.rng.normal("latents", 8, 100))
    (
        softplus(-discriminator(batch.real).score).mean()
        + softplus(discriminator(fake.detach()).score).mean()
    ).backward()
    opt_d.step()
    softplus(-discriminator(fake).score).mean().backward()
    opt_g.step()
    for ours, theirs in (
        (module.model.generators["main"], generator),
        (module.model.discriminators["main"], discriminator),
    ):
        for p, q in zip(ours.parameters(), theirs.parameters(), strict=True):
            torch.testing.assert_close(p, q, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_schedules_really_step(schedule: str, tiny) -> None:
    module = train(
        tiny("model=gan", "data=ring", f"optim/schedule={schedule}", "trainer.max_steps=10")
    )
    factor = module.rates.schedule(9 / 10)
    assert 0 < factor < 1
    for optimizer in module.trainer.optimizers:
        assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([1e-3 * factor])


def test_players_have_their_own_learning_rates(tiny) -> None:
    """One step of plain gradient descent moves a player in proportion to its own rate."""
    common = [
        "model=gan",
        "data=ring",
        "optim=sgd",
        "trainer.max_steps=1",
        "optim.discriminator.lr=1e-9",
    ]
    _, before, _ = build(tiny(*common))
    moved = []
    for rate in (0.1, 0.2):
        after = train(tiny(*common, f"optim.generator.lr={rate}"))
        pairs = zip(before.model.parameters(), after.model.parameters(), strict=True)
        moved.append([q.detach() - p.detach() for p, q in pairs])
    count = len(list(before.model.generators.parameters()))
    for single, double in zip(*(steps[:count] for steps in moved), strict=True):
        torch.testing.assert_close(2 * single, double, atol=1e-6, rtol=1e-3)
    assert all(float(step.abs().max()) < 1e-6 for step in moved[0][count:])


def test_gradients_are_clipped_by_player(tiny) -> None:
    module = train(
        tiny("model=gan", "data=ring", "optim.clip_grad_norm=0.001", "trainer.max_steps=2")
    )
    assert float(gradient_norm(module.discriminator_updater.parameters)) == pytest.approx(
        0.001, rel=1e-3
    )
    assert float(gradient_norm(module.generator_updater.parameters)) <= 0.001 * 1.001


def test_divergence_is_named_and_stops_the_run(tiny) -> None:
    config = tiny(
        "model=gan", "data=ring", "optim.discriminator.lr=1e30", "trainer.max_steps=9", "loss=lsgan"
    )
    config.trainer.log_every_n_steps = 3
    trainer, module, data = build(config)
    with pytest.raises(
        TrainingDiverged, match=r"at step 1: g/realism = nan, gradient of the generator = nan"
    ):
        trainer.fit(module, datamodule=data)


@pytest.mark.parametrize(
    ("overrides", "name"),
    [
        (["augment=ada", "augment.interval=1", "augment.threshold=-100"], "augment/p"),
        (["augment=instance_noise"], "augment/std"),
    ],
)
def test_the_state_of_an_augmentation_is_logged(overrides: list[str], name: str, tiny) -> None:
    trainer, module, data = build(
        tiny("data=digits", *overrides, "trainer.max_steps=3", "trainer.log_every_n_steps=1")
    )
    trainer.fit(module, datamodule=data)
    (augmentation,) = augmentations(module.model.discriminators["main"])
    moved = getattr(augmentation, name.partition("/")[2])
    assert float(trainer.callback_metrics[f"d/realism/{name}"]) == float(moved) > 0
