"""Two processes equal one: values, averaged gradients and state of every loss and regularizer."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch import Tensor, nn

from gan_zoo.auxiliary_losses.reconstruction import TripletDistance
from gan_zoo.core.distributed import average_gradients, mean_over_ranks
from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import AdversarialTerm, Batch, run_discriminator
from gan_zoo.losses.minimax import NonSaturating
from gan_zoo.models.gan import GAN
from tests import processes

from .zoo import GENERATOR_REGULARIZERS, LOSSES, OWN_CRITICS, REGULARIZERS, CodedCritic, duel_of

SHAPE = (2, 6, 6)
GLOBAL_BATCH = 8
Result = dict[str, list[Tensor]]


def networks() -> tuple[nn.Module, CodedCritic]:
    """A generator and a discriminator, the same in every process."""
    torch.manual_seed(0)
    discriminator = CodedCritic(72)
    return nn.Linear(3, 72, dtype=torch.float64), discriminator.double()


def local_batch(rank: int, ranks: int) -> tuple[Tensor, Tensor]:
    """This process's part of the reals and latents of one global batch."""
    draw = torch.Generator().manual_seed(1)
    real = torch.randn(GLOBAL_BATCH, *SHAPE, generator=draw, dtype=torch.float64)
    latents = torch.randn(GLOBAL_BATCH, 3, generator=draw, dtype=torch.float64)
    return real.chunk(ranks)[rank], latents.chunk(ranks)[rank]


def averaged_step(term: Tensor, network: nn.Module) -> list[Tensor]:
    """The term's mean over processes and the network's averaged gradients, as in a training step."""
    parameters = list(network.parameters())
    network.zero_grad()
    if term.requires_grad:
        term.backward()
    average_gradients(parameters)
    grads = [torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in parameters]
    return [mean_over_ranks(term.detach()), *grads]


def run_loss(name: str, rank: int, ranks: int) -> list[Tensor]:
    """Two discriminator and generator steps and the loss's update."""
    loss, (generator, discriminator), (real_x, latents) = (
        LOSSES[name](),
        networks(),
        local_batch(rank, ranks),
    )
    found: list[Tensor] = []
    for _ in range(2):
        fake_x = generator(latents).view(-1, *SHAPE)
        real, fake = (
            run_discriminator(discriminator, real_x),
            run_discriminator(discriminator, fake_x.detach()),
        )
        found += averaged_step(loss.discriminator(real, fake), discriminator)
        loss.update(real, fake)
        found += averaged_step(
            loss.generator(
                run_discriminator(discriminator, fake_x), run_discriminator(discriminator, real_x)
            ),
            generator,
        )
        found += [buffer.clone() for buffer in loss.buffers()]
    return found


def run_regularizer(name: str, rank: int, ranks: int) -> list[Tensor]:
    """Two rounds of the discriminator's penalty and the regularizer's update."""
    regularizer, (generator, discriminator), (real, latents) = (
        REGULARIZERS[name](),
        networks(),
        local_batch(rank, ranks),
    )
    if name in OWN_CRITICS:
        torch.manual_seed(1)
        discriminator = OWN_CRITICS[name](real[0].numel()).double()
    term: AdversarialTerm = duel_of(discriminator, real, generator(latents).view(-1, *SHAPE))
    found: list[Tensor] = []
    for step in range(2):
        sides = term.discriminate_real(), term.discriminate_fake()
        penalty = regularizer.penalty(term, *sides, StepRNG(7, step, rank, ranks))
        if penalty is not None:
            found += averaged_step(penalty, discriminator)
        regularizer.update(term, *sides)
        regularizer.project(discriminator)
        found += [
            t.detach().clone()
            for t in (*regularizer.buffers(), *discriminator.buffers(), *discriminator.parameters())
        ]
    return found


class Mapped(nn.Module):
    """A generator with a mapping: styles ``[B, 2, 3]``, then a bilinear map of both."""

    num_styles = 2

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(3, 3, dtype=torch.float64)
        self.second = nn.Linear(6, 72, dtype=torch.float64)
        self.mean_style = torch.zeros(3)

    def mapping(self, latents: Tensor, condition: Tensor | None = None) -> Tensor:
        return self.first(latents).tanh()[:, None].expand(-1, 2, -1)

    def synthesis(self, styles: Tensor) -> Tensor:
        return self.second(styles.flatten(1)).tanh().view(-1, *SHAPE)

    def forward(self, latents: Tensor) -> Tensor:
        return self.synthesis(self.mapping(latents))


def run_generator_regularizer(name: str, rank: int, ranks: int) -> list[Tensor]:
    """Two rounds of both penalties of a regularizer of the generators; path length uses the global batch."""
    options = {"batch_shrink": 1} if name == "path_length" else {}
    regularizer = type(GENERATOR_REGULARIZERS[name]())(**options)
    torch.manual_seed(0)
    discriminator = CodedCritic(72).double()
    model = GAN(lambda latent_dim: Mapped(), lambda: discriminator, latent_dim=3)
    real, _ = local_batch(rank, ranks)
    found: list[Tensor] = []
    for step in range(2):
        batch = Batch(len(real), DoubleRNG(7, step, rank, ranks), real)
        fakes = model.generate(batch)
        penalty = regularizer.penalty(model, batch, fakes)
        if penalty is None:  # it changes the loss instead
            loss = regularizer.generator_loss(NonSaturating().generator)
            penalty = loss(run_discriminator(discriminator, fakes["fake"]), None)
        found += averaged_step(penalty, model.generators)
        detached = {key: fake.detach() for key, fake in fakes.items()}
        penalty = regularizer.discriminator_penalty(model, batch, detached)
        if penalty is not None:
            found += averaged_step(penalty, model.discriminators)
        found += [buffer.clone() for buffer in regularizer.buffers()]
    return found


class DoubleRNG(StepRNG):
    """Random numbers in float64."""

    def normal(self, purpose: str, size: int, *shape: int) -> Tensor:
        return super().normal(purpose, size, *shape).double()


def run_mismatched(name: str, rank: int, ranks: int) -> list[Tensor]:
    """The penalty of a term whose sides are the same samples: its lines run between reals of the global batch."""
    _, discriminator = networks()
    real, _ = local_batch(rank, ranks)
    term = AdversarialTerm("wrong", discriminator, real, real, mismatched=True)
    penalty = REGULARIZERS[name]().penalty(
        term, term.discriminate_real(), term.discriminate_fake(), StepRNG(7, 0, rank, ranks)
    )
    assert penalty is not None
    return averaged_step(penalty, discriminator)


def run_triplet(name: str, rank: int, ranks: int) -> list[Tensor]:
    """A distance that compares with other samples of the global batch."""
    generator, _ = networks()
    real, latents = local_batch(rank, ranks)
    return averaged_step(TERMS[name](generator(latents).view(-1, *SHAPE), real), generator)


TERMS = {"triplet": TripletDistance(0.9)}
LAYOUTS = {"contiguous": torch.contiguous_format, "channels_last": torch.channels_last}


def run_layout(name: str, rank: int, ranks: int) -> list[Tensor]:
    """Convolutions in either layout of memory, a layer that takes no part, and running statistics."""
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.ConvTranspose2d(3, 1, (2, 3)), nn.Linear(2, 2)
    ).double()
    network.to(memory_format=LAYOUTS[name])
    images = network[:2](local_batch(rank, ranks)[0])
    images.square().mean().backward()
    statistics = [images.detach().mean((0, 2, 3)), images.detach().square().mean((0, 2, 3))]
    average_gradients(network.parameters(), statistics)
    assert all(
        p.grad.stride() == p.stride() for p in network[:2].parameters()
    )  # the layout that optimizers expect
    assert all(p.grad is None for p in network[2].parameters())
    return [*(p.grad for p in network[:2].parameters()), *statistics]


RUNS: dict[str, tuple[Callable[[str, int, int], list[Tensor]], Any]] = {
    "loss": (run_loss, LOSSES),
    "regularizer": (run_regularizer, REGULARIZERS),
    "generator regularizer": (run_generator_regularizer, GENERATOR_REGULARIZERS),
    "mismatched": (run_mismatched, ["gradient_penalty"]),
    "term": (run_triplet, TERMS),
    "layout": (run_layout, LAYOUTS),
}


def run_all(rank: int, ranks: int) -> Result:
    """Everything under test, in an order that is the same in every process."""
    return {
        f"{kind} {name}": run(name, rank, ranks)
        for kind, (run, names) in RUNS.items()
        for name in names
    }


def work(rank: int, ranks: int, folder: str) -> None:
    """One process: results go into a file."""
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=ranks
    )
    try:
        torch.save(run_all(rank, ranks), Path(folder) / f"{rank}.pt")
    finally:
        dist.destroy_process_group()


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> list[Result]:
    """Those of one process, and of each of two."""
    folder = tmp_path_factory.mktemp("ranks")
    processes.on_ranks(work, 2, 2, str(folder))
    return [run_all(0, 1), *(torch.load(folder / f"{rank}.pt") for rank in range(2))]


@pytest.mark.parametrize(
    "name", [f"{kind} {name}" for kind, (_, names) in RUNS.items() for name in names]
)
def test_two_processes_equal_one(results: list[Result], name: str) -> None:
    alone, first, second = (result[name] for result in results)
    assert len(alone) == len(first) == len(second) > 0
    for one, a, b in zip(alone, first, second, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=0)
        torch.testing.assert_close(a, one, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", ["began", "began-fast", "fisher", "fisher-firm"])
def test_state_has_moved(results: list[Result], name: str) -> None:
    """Otherwise equal states would prove nothing."""
    assert results[0][f"loss {name}"][-1].item() != LOSSES[name]().state_dict().popitem()[1].item()


def test_the_adaptive_probability_has_moved(results: list[Result]) -> None:
    """By 8 images of 100 in a step, on each process."""
    for result in results:
        p = next(t for t in result["regularizer apa-fast"] if t.ndim == 0 and 0.3 < t.item() < 0.7)
        assert abs(p.item() - 0.5) == pytest.approx(8 / 100)
