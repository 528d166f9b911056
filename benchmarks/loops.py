"""Training loops for the same networks and data: what users write, a minimal loop, and gan_zoo.

plain   the structure of the public PyTorch DCGAN and CycleGAN code: a DataLoader with two workers,
        separate passes of the discriminator over reals and fakes, default optimizers; DCGAN's
        discriminator also gets gradients in the generator step; CycleGAN's instance normalization
        is `nn.InstanceNorm2d`, which computes the same as that of gan_zoo
tuned   the least work that a hand-written loop can do: data gathered in memory, one discriminator
        backward pass, a frozen discriminator in the generator step, fused optimizers,
        channels-last; no logging, averaging, checkpoints or random streams
ours    `GANModule` with Lightning, its logging, averaged generator and exact order of samples
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from contextlib import redirect_stdout
from io import StringIO
from itertools import chain
from typing import Any

import torch
from lightning.pytorch import Callback
from measuring import device, synchronize, timed
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from gan_zoo.config.build import build_module
from gan_zoo.config.compose import instantiate
from gan_zoo.core.types import DiscriminatorOutput
from gan_zoo.data.datamodule import DataModule
from gan_zoo.data.dataset import Source
from gan_zoo.data.image_tensors import to_unit
from gan_zoo.models.base import Model

Loop = Callable[[Any, Source, int, int], float]
"""Config, data, warm-up steps, timed steps to images/s."""


class Items(Dataset):
    """One sample at a time, as a user's dataset returns them; with an unpaired condition if there are conditions."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Any:
        sample = to_unit(self.source.samples[index])
        if self.source.conditions is None:
            return sample
        return to_unit(
            self.source.conditions[random.randrange(len(self.source.conditions))]
        ), sample


def batches(source: Source, size: int) -> Iterator[Any]:
    """The batches of a loader, repeated forever."""
    loader = DataLoader(
        Items(source),
        batch_size=size,
        shuffle=True,
        num_workers=2,
        drop_last=True,
        persistent_workers=True,
        pin_memory=torch.cuda.is_available(),
    )
    while True:
        yield from loader


def model_of(config: Any, layout: torch.memory_format) -> Model:
    model = build_module(config).model
    return model.to(device()).to(memory_format=layout)


def with_instance_norm(network: nn.Module) -> None:
    """Replace group norms of one channel each by `nn.InstanceNorm2d`, with the same weights."""
    for parent in list(network.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, nn.GroupNorm) and layer.num_groups == layer.num_channels:
                same = nn.InstanceNorm2d(layer.num_channels, layer.eps, affine=True)
                same.load_state_dict(layer.state_dict())
                setattr(parent, name, same.to(layer.weight.device))


def score_of(discriminator: nn.Module, x: Tensor) -> Tensor:
    output = discriminator(x)
    return output.score if isinstance(output, DiscriminatorOutput) else output


def adam(parameters: Any, **options: Any) -> torch.optim.Optimizer:
    return torch.optim.Adam(parameters, lr=2e-4, betas=(0.5, 0.999), **options)


# --------------------------------------------------------- one generator, one discriminator


def plain(config: Any, source: Source, warmup: int, steps: int) -> float:
    # Networks and optimizers.
    model = model_of(config, torch.contiguous_format)
    size = config.data.batch_size
    generator = model.generators["main"]
    discriminator = model.discriminators["main"]
    latent_dim = model.latent_dim
    opt_d = adam(discriminator.parameters())
    opt_g = adam(generator.parameters())
    stream = batches(source, size)

    def step() -> None:
        # Discriminator step.
        real = next(stream).to(device())
        opt_d.zero_grad()
        score = score_of(discriminator, real)
        F.binary_cross_entropy_with_logits(score, torch.ones_like(score)).backward()
        fake = generator(torch.randn(size, latent_dim, device=device()))
        score = score_of(discriminator, fake.detach())
        F.binary_cross_entropy_with_logits(score, torch.zeros_like(score)).backward()
        opt_d.step()

        # Generator step.
        opt_g.zero_grad()
        score = score_of(discriminator, fake)
        F.binary_cross_entropy_with_logits(score, torch.ones_like(score)).backward()
        opt_g.step()

    return timed(step, warmup, steps, size)


def tuned(config: Any, source: Source, warmup: int, steps: int) -> float:
    # Networks, optimizers, and all samples on the device.
    model = model_of(config, torch.channels_last)
    size = config.data.batch_size
    generator = model.generators["main"]
    discriminator = model.discriminators["main"]
    latent_dim = model.latent_dim
    opt_d = adam(discriminator.parameters(), fused=True)
    opt_g = adam(generator.parameters(), fused=True)
    samples = source.samples.to(device())

    def step() -> None:
        # Discriminator step.
        real = to_unit(samples[torch.randint(len(samples), (size,), device=device())])
        fake = generator(torch.randn(size, latent_dim, device=device()))
        loss = (
            F.softplus(-score_of(discriminator, real)).mean()
            + F.softplus(score_of(discriminator, fake.detach())).mean()
        )
        opt_d.zero_grad()
        loss.backward()
        opt_d.step()

        # Generator step.
        discriminator.requires_grad_(False)
        loss = F.softplus(-score_of(discriminator, fake)).mean()
        opt_g.zero_grad()
        loss.backward()
        opt_g.step()
        discriminator.requires_grad_(True)

    return timed(step, warmup, steps, size)


# ------------------------------------------------------- two generators, two discriminators


class PastFakes:
    """CycleGAN's image pool as in its public code: one image at a time."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.images = []

    def __call__(self, fakes: Tensor) -> Tensor:
        output = []
        for fake in fakes.detach().split(1):
            if len(self.images) < self.size:
                self.images.append(fake)
            elif random.random() < 0.5:
                place = random.randrange(self.size)
                fake, self.images[place] = self.images[place].clone(), fake
            output.append(fake)
        return torch.cat(output)


def translating(model: Model, fused: bool) -> Callable[[Tensor, Tensor], None]:
    """A step of CycleGAN on reals of A and B: first the generators, then each discriminator."""
    # Networks, optimizers and pools.
    forth = model.generators["a_to_b"]
    back = model.generators["b_to_a"]
    discriminators = model.discriminators
    opt_g = adam(chain(forth.parameters(), back.parameters()), fused=fused)
    opt_d = adam(discriminators.parameters(), fused=fused)
    pools = {"a": PastFakes(50), "b": PastFakes(50)}

    def score(domain: str, x: Tensor) -> Tensor:
        return score_of(discriminators[domain], x)

    def step(a: Tensor, b: Tensor) -> None:
        # Generator step: identity, adversarial and cycle losses.
        fake_b = forth(a)
        fake_a = back(b)
        discriminators.requires_grad_(False)
        opt_g.zero_grad()
        loss = 5 * (F.l1_loss(forth(b), b) + F.l1_loss(back(a), a))
        loss = (
            loss
            + (score("b", fake_b) - 1).square().mean()
            + (score("a", fake_a) - 1).square().mean()
        )
        loss = loss + 10 * (F.l1_loss(back(fake_b), a) + F.l1_loss(forth(fake_a), b))
        loss.backward()
        opt_g.step()

        # Discriminator step.
        discriminators.requires_grad_(True)
        opt_d.zero_grad()
        for domain, real, fake in (("a", a, fake_a), ("b", b, fake_b)):
            past = pools[domain](fake)
            ((score(domain, real) - 1).square().mean() + score(domain, past).square().mean()).mul(
                0.5
            ).backward()
        opt_d.step()

    return step


def plain_translation(config: Any, source: Source, warmup: int, steps: int) -> float:
    model = model_of(config, torch.contiguous_format)
    size = config.data.batch_size
    with_instance_norm(model)
    step = translating(model, fused=False)
    stream = batches(source, size)
    return timed(lambda: step(*(part.to(device()) for part in next(stream))), warmup, steps, size)


def tuned_translation(config: Any, source: Source, warmup: int, steps: int) -> float:
    step = translating(model_of(config, torch.channels_last), fused=True)
    size = config.data.batch_size
    domains = [
        part.to(device()) for part in (source.conditions, source.samples) if part is not None
    ]

    def sample() -> list[Tensor]:
        return [
            to_unit(part[torch.randint(len(part), (size,), device=device())]) for part in domains
        ]

    return timed(lambda: step(*sample()), warmup, steps, size)


# ----------------------------------------------------------------------------------- gan_zoo


class Stopwatch(Callback):
    """Seconds between the end of the warm-up and the end of training."""

    def __init__(self, warmup: int) -> None:
        self.warmup = warmup
        self.start = 0.0

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        if trainer.global_step == self.warmup:
            synchronize()
            self.start = time.perf_counter()

    def on_train_end(self, *_: Any) -> None:
        synchronize()
        self.seconds = time.perf_counter() - self.start


def train_gan_zoo(config: Any, source: Source, warmup: int, steps: int, **options: Any) -> float:
    """Images/s of gan_zoo; ``options`` are further arguments of the trainer, the first callback is a `Stopwatch`."""
    callbacks = options.setdefault("callbacks", [Stopwatch(warmup)])
    watch = callbacks[0]
    held = {name: config.data[name] for name in ("batch_size", "num_workers", "memory_limit")}
    data = DataModule(source, **held)
    module = build_module(config)
    data.require(module.model.needs)
    settings = {"logger": False, "enable_progress_bar": False, "enable_checkpointing": False}
    with redirect_stdout(StringIO()):
        trainer = instantiate(config.trainer, max_steps=warmup + steps, **{**settings, **options})
        trainer.fit(module, datamodule=data)
    return steps * config.data.batch_size / watch.seconds


GAN: dict[str, Loop] = {"plain": plain, "tuned": tuned, "ours": train_gan_zoo}
TRANSLATION: dict[str, Loop] = {
    "plain": plain_translation,
    "tuned": tuned_translation,
    "ours": train_gan_zoo,
}
