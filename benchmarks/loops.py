"""Training loops for the same networks and data: what users write, the best that can be written, and ours.

plain   the structure of the public PyTorch DCGAN and CycleGAN code: a DataLoader with two workers, separate passes of
        the discriminator over reals and fakes, default optimizers; DCGAN's discriminator keeps its graph in the
        generator's turn; CycleGAN's instance normalization is `nn.InstanceNorm2d`, which computes what our networks'
        does
tuned   the least a hand-written loop can do: data gathered in memory, one discriminator backward pass, a frozen
discriminator in the
        generator's turn, fused optimizers, channels-last; no logging, no averaging, no checkpoint, no noise by purpose
ours    `GANModule` under Lightning with its logging, averaged generator and exact order of samples
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
from measuring import device, settle, timed
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
"""Config, data, steps to warm up, steps to time: images/s."""


class Items(Dataset):
    """One sample at a time, as a user's data set returns them; with an unpaired condition where there are any."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> Any:
        sample = to_unit(self.source.samples[index])
        if self.source.conditions is None:
            return sample
        return to_unit(self.source.conditions[random.randrange(len(self.source.conditions))]), sample


def batches(source: Source, size: int) -> Iterator[Any]:
    """A loader's batches without end."""
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


def game_of(config: Any, layout: torch.memory_format) -> Model:
    model = build_module(config).model
    return model.to(device()).to(memory_format=layout)


def with_instance_norm(network: nn.Module) -> None:
    """Put `nn.InstanceNorm2d` in the place of group norms of one channel each, with the same weights."""
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


# ------------------------------------------------------------------------------- one generator against one
# discriminator


def plain(config: Any, source: Source, warmup: int, steps: int) -> float:
    model, size = game_of(config, torch.contiguous_format), config.data.batch_size
    generator, discriminator, latent_dim = model.generators["main"], model.discriminators["main"], model.latent_dim
    opt_d, opt_g = adam(discriminator.parameters()), adam(generator.parameters())
    stream = batches(source, size)

    def step() -> None:
        real = next(stream).to(device())
        opt_d.zero_grad()
        score = score_of(discriminator, real)
        F.binary_cross_entropy_with_logits(score, torch.ones_like(score)).backward()
        fake = generator(torch.randn(size, latent_dim, device=device()))
        score = score_of(discriminator, fake.detach())
        F.binary_cross_entropy_with_logits(score, torch.zeros_like(score)).backward()
        opt_d.step()
        opt_g.zero_grad()
        score = score_of(discriminator, fake)
        F.binary_cross_entropy_with_logits(score, torch.ones_like(score)).backward()
        opt_g.step()

    return timed(step, warmup, steps, size)


def tuned(config: Any, source: Source, warmup: int, steps: int) -> float:
    model, size = game_of(config, torch.channels_last), config.data.batch_size
    generator, discriminator, latent_dim = model.generators["main"], model.discriminators["main"], model.latent_dim
    opt_d, opt_g = adam(discriminator.parameters(), fused=True), adam(generator.parameters(), fused=True)
    samples = source.samples.to(device())

    def step() -> None:
        real = to_unit(samples[torch.randint(len(samples), (size,), device=device())])
        fake = generator(torch.randn(size, latent_dim, device=device()))
        loss = (
            F.softplus(-score_of(discriminator, real)).mean()
            + F.softplus(score_of(discriminator, fake.detach())).mean()
        )
        opt_d.zero_grad()
        loss.backward()
        opt_d.step()
        discriminator.requires_grad_(False)
        loss = F.softplus(-score_of(discriminator, fake)).mean()
        opt_g.zero_grad()
        loss.backward()
        opt_g.step()
        discriminator.requires_grad_(True)

    return timed(step, warmup, steps, size)


# ------------------------------------------------------------------------------- two translators, two discriminators


class PastFakes:
    """CycleGAN's pool as its public code has it: one image at a time."""

    def __init__(self, size: int) -> None:
        self.size, self.images = size, []

    def __call__(self, fakes: Tensor) -> Tensor:
        shown = []
        for fake in fakes.detach().split(1):
            if len(self.images) < self.size:
                self.images.append(fake)
            elif random.random() < 0.5:
                place = random.randrange(self.size)
                fake, self.images[place] = self.images[place].clone(), fake
            shown.append(fake)
        return torch.cat(shown)


def translating(model: Model, fused: bool) -> Callable[[Tensor, Tensor], None]:
    """A step of CycleGAN on reals of A and B: first the translators, then one discriminator after the other."""
    forth, back = model.generators["a_to_b"], model.generators["b_to_a"]
    discriminators = model.discriminators
    opt_g = adam(chain(forth.parameters(), back.parameters()), fused=fused)
    opt_d = adam(discriminators.parameters(), fused=fused)
    pools = {"a": PastFakes(50), "b": PastFakes(50)}

    def score(domain: str, x: Tensor) -> Tensor:
        return score_of(discriminators[domain], x)

    def step(a: Tensor, b: Tensor) -> None:
        fake_b, fake_a = forth(a), back(b)
        discriminators.requires_grad_(False)
        opt_g.zero_grad()
        loss = 5 * (F.l1_loss(forth(b), b) + F.l1_loss(back(a), a))
        loss = loss + (score("b", fake_b) - 1).square().mean() + (score("a", fake_a) - 1).square().mean()
        loss = loss + 10 * (F.l1_loss(back(fake_b), a) + F.l1_loss(forth(fake_a), b))
        loss.backward()
        opt_g.step()
        discriminators.requires_grad_(True)
        opt_d.zero_grad()
        for domain, real, fake in (("a", a, fake_a), ("b", b, fake_b)):
            shown = pools[domain](fake)
            ((score(domain, real) - 1).square().mean() + score(domain, shown).square().mean()).mul(0.5).backward()
        opt_d.step()

    return step


def plain_translation(config: Any, source: Source, warmup: int, steps: int) -> float:
    model, size = game_of(config, torch.contiguous_format), config.data.batch_size
    with_instance_norm(model)
    step = translating(model, fused=False)
    stream = batches(source, size)
    return timed(lambda: step(*(part.to(device()) for part in next(stream))), warmup, steps, size)


def tuned_translation(config: Any, source: Source, warmup: int, steps: int) -> float:
    step, size = translating(game_of(config, torch.channels_last), fused=True), config.data.batch_size
    domains = [part.to(device()) for part in (source.conditions, source.samples) if part is not None]

    def draw() -> list[Tensor]:
        return [to_unit(part[torch.randint(len(part), (size,), device=device())]) for part in domains]

    return timed(lambda: step(*draw()), warmup, steps, size)


# ------------------------------------------------------------------------------- ours


class Stopwatch(Callback):
    """Seconds between the end of the warm-up and the end of training."""

    def __init__(self, warmup: int) -> None:
        self.warmup, self.start = warmup, 0.0

    def on_train_batch_end(self, trainer: Any, *_: Any) -> None:
        if trainer.global_step == self.warmup:
            settle()
            self.start = time.perf_counter()

    def on_train_end(self, *_: Any) -> None:
        settle()
        self.seconds = time.perf_counter() - self.start


def ours(config: Any, source: Source, warmup: int, steps: int, **options: Any) -> float:
    """``options`` are further arguments of the trainer; its callbacks begin with a `Stopwatch`."""
    callbacks = options.setdefault("callbacks", [Stopwatch(warmup)])
    watch = callbacks[0]
    held = {name: config.data[name] for name in ("batch_size", "num_workers", "memory_limit")}
    data, module = DataModule(source, **held), build_module(config)
    data.require(module.model.needs)
    settings = {"logger": False, "enable_progress_bar": False, "enable_checkpointing": False}
    with redirect_stdout(StringIO()):
        trainer = instantiate(config.trainer, max_steps=warmup + steps, **{**settings, **options})
        trainer.fit(module, datamodule=data)
    return steps * config.data.batch_size / watch.seconds


GAN: dict[str, Loop] = {"plain": plain, "tuned": tuned, "ours": ours}
TRANSLATION: dict[str, Loop] = {"plain": plain_translation, "tuned": tuned_translation, "ours": ours}
