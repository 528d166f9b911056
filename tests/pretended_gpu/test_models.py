"""A training step of every model on a GPU that is not there, see `device`."""

from __future__ import annotations

import pytest

from gan_zoo.config.messages import choices
from gan_zoo.core.paths import CONF
from tests.pretended_gpu.checking import check_step
from tests.pretended_gpu.training import Worker
from tests.training.two_processes import MODELS

SMALLER = {
    "biggan_deep": ("data.image_size=32",),
    "gat": ("discriminator.depth=1", "augment=none"),
    "gat_conditional": ("discriminator.depth=1", "augment=none"),
    "hifigan": ("discriminator.periods=[2]", "discriminator.scales=1"),
}
SIBLINGS = (
    *("aae", "acgan", "adcgan", "bicyclegan", "biggan", "biggan_deep", "cgan_single"),
    *("cluster_gan", "cogan", "colorization", "context_encoder", "contragan", "cut"),
    *("discogan", "dualgan", "esrgan", "fastcut", "feature_matching", "gat_conditional"),
    *("specgan", "infomax_gan", "logan", "mhgan", "pix2pix", "pix2pixhd", "r3gan", "sagan", "sgan"),
    *("sngan", "sngan_projection", "spade", "srgan", "ssgan", "tacgan", "unit", "vae"),
    *("vae_gan", "veegan"),
)
"""Networks and terms of other models."""


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(model, marks=pytest.mark.slow if model in SIBLINGS else ())
        for model in choices("model", CONF)
    ],
)
def test_a_training_step(model: str, worker: Worker) -> None:
    without_metric = (o for o in MODELS[model] if not o.startswith("metric"))
    check_step(worker, f"model={model}", *without_metric, *SMALLER.get(model, ()))
