"""Training loops of other packages, with the networks and data of gan_zoo, if they are installed.

torchgan 0.1.0 of 2021: pip install --no-deps torchgan.

torch-mimicry 0.1.16 of 2020 is left out: it imports TensorFlow's removed `tf.gfile` and
scikit-image at start.
"""

from __future__ import annotations

import importlib.util
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import redirect_stdout
from io import StringIO
from typing import Any

import torch
from loops import Loop, batches, model_of, score_of
from measuring import device, synchronize
from torch import Tensor, nn

from gan_zoo.data.dataset import Source


class Named(nn.Module):
    """A network with the attributes that torchgan requires."""

    label_type = "none"

    def __init__(self, network: nn.Module, encoding_dims: int) -> None:
        super().__init__()
        self.network = network
        self.encoding_dims = encoding_dims

    def forward(self, x: Tensor) -> Tensor:
        return score_of(self.network, x)

    def sampler(self, size: int, where: torch.device) -> list[Tensor]:
        return [torch.randn(size, self.encoding_dims, device=where)]


class Epoch:
    """A number of batches of a stream, and the time from the end of the warm-up to the last one."""

    def __init__(self, stream: Iterator[Tensor], batch_size: int, warmup: int, steps: int) -> None:
        self.stream = stream
        self.batch_size = batch_size
        self.warmup = warmup
        self.steps = steps

    def __len__(self) -> int:
        return self.warmup + self.steps

    def __iter__(self) -> Iterator[Tensor]:
        for step in range(len(self)):
            if step == self.warmup:
                synchronize()
                self.start = time.perf_counter()
            yield next(self.stream)
        synchronize()
        self.seconds = time.perf_counter() - self.start


def torchgan(config: Any, source: Source, warmup: int, steps: int) -> float:
    os.environ["CONSOLE_LOGGING"] = os.environ["TENSORBOARD_LOGGING"] = os.environ[
        "VISDOM_LOGGING"
    ] = "0"
    from torchgan.losses import MinimaxDiscriminatorLoss, MinimaxGeneratorLoss
    from torchgan.trainer import Trainer

    # The networks as torchgan's trainer takes them.
    model = model_of(config, torch.contiguous_format)
    size = config.data.batch_size
    optimizer = {"name": torch.optim.Adam, "args": {"lr": 2e-4, "betas": (0.5, 0.999)}}
    networks = {
        "generator": model.generators["main"],
        "discriminator": model.discriminators["main"],
    }
    models = {
        name: {
            "name": Named,
            "args": {"network": n, "encoding_dims": model.latent_dim},
            "optimizer": optimizer,
        }
        for name, n in networks.items()
    }

    # One epoch of warm-up and timed steps.
    epoch = Epoch(batches(source, size), size, warmup, steps)
    losses = [MinimaxGeneratorLoss(nonsaturating=True), MinimaxDiscriminatorLoss()]
    with tempfile.TemporaryDirectory() as folder, redirect_stdout(StringIO()):
        trainer = Trainer(
            models,
            losses,
            device=device(),
            epochs=1,
            sample_size=8,
            checkpoints=f"{folder}/gan",
            recon=f"{folder}/images",
        )
        trainer(epoch)
    return steps * size / epoch.seconds


def installed() -> dict[str, Loop]:
    """The loops of the installed packages."""
    return {"torchgan": torchgan} if importlib.util.find_spec("torchgan") else {}
