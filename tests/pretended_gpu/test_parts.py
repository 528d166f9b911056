"""Losses, regularizers, augmentations and metrics on a GPU that is not there, see `device`."""

from __future__ import annotations

from typing import Any

import pytest

from gan_zoo.config.messages import choices
from gan_zoo.core.paths import CONF
from tests.pretended_gpu.checking import check_step
from tests.pretended_gpu.training import Worker

SMALL = ("data=digits", "generator.width=8", "discriminator.width=8")
PLAIN = ("++discriminator.norm=none",)
LOSSES = {"multi_hinge": ("model=mhgan",)}
REGULARIZERS = {
    "cutmix": ("discriminator=unet", "discriminator.width=8"),
    "path_length": ("model=stylegan2", "regularizer.path_length.every=1"),
    "san": ("discriminator.norm=sliced+none", "loss=hinge"),
}
QUICK_LOSSES = {
    "dragan",
    "ebgan",
    "fgan",
    "fisher",
    "loss_sensitive",
    "ragan",
    "softmax",
    "wgan_gp",
}
QUICK_REGULARIZERS = {
    *("apa", "consistency", "cutmix", "lecam", "lipschitz_max", "orthogonal", "path_length"),
    *("r1_approx", "top_k"),
}
WAITS = {"top_k": 2}  # how many samples are as good as the k-th is known to the device alone
METRICS = {
    "images": SMALL,
    "modes": ("data=ring", "model=gan"),
    "table": ("model=tvae", "data=table", "data.bundled=iris"),
    "class_frechet": (*SMALL, "model=acgan", "callbacks.evaluation.num_samples=20"),
    "reconstruction": ("model=vae", "data=digits", "generator.width=8"),
}


def each(group: str, quick: set[str]) -> list[Any]:
    """Every choice of a group; those that are not ``quick`` have the operations of others, and are
    slow.
    """
    return [
        pytest.param(name, marks=() if name in quick else pytest.mark.slow)
        for name in choices(group, CONF)
    ]


@pytest.mark.parametrize("loss", each("loss", QUICK_LOSSES))
def test_losses(loss: str, worker: Worker) -> None:
    check_step(worker, *SMALL, f"loss={loss}", *LOSSES.get(loss, ()))


@pytest.mark.parametrize("regularizer", each("regularizer", QUICK_REGULARIZERS))
def test_regularizers(regularizer: str, worker: Worker) -> None:
    brings = REGULARIZERS.get(regularizer, ())
    plain = () if "model=stylegan2" in brings else PLAIN
    waits = WAITS.get(regularizer, 0)
    check_step(worker, *SMALL, *plain, f"regularizer=[{regularizer}]", *brings, waits=waits)


@pytest.mark.parametrize("augment", choices("augment", CONF))
def test_augmentations(augment: str, worker: Worker) -> None:
    check_step(worker, *SMALL, *PLAIN, f"augment={augment}", "regularizer=[r1]")


@pytest.mark.parametrize("override", ["optim.clip_grad_norm=1.0", "accumulate=2"])
def test_ways_to_step(override: str, worker: Worker) -> None:
    check_step(worker, *SMALL, override)


def test_unrolling_waits_once_for_the_counts_of_the_optimizer(worker: Worker) -> None:
    check_step(worker, *SMALL, "loss.unroll=1", waits=1)


@pytest.mark.parametrize("metric", METRICS)
def test_metrics_have_everything_on_the_device(metric: str, worker: Worker) -> None:
    answered = worker.ask(
        f"metric={metric}",
        *("data.batch_size=4", "extractor.image_size=32"),
        *("callbacks.progress=null", "callbacks.checkpoints=null", "callbacks.samples.count=4"),
        *("callbacks.evaluation.num_samples=8", "callbacks.evaluation.training_steps=2"),
        *("callbacks.doctor.count=16", "callbacks.doctor.every_images=8"),
        *METRICS[metric],
    )
    assert "error" not in answered, answered["error"]
