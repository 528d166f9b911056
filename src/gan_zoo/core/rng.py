"""Random numbers as a pure function of seed, step and purpose.

A global generator makes a resumed run differ from an uninterrupted one, and gives every rank the
same latents. Here each draw names its purpose; it is made for the global batch and sliced, so that
it depends neither on what was drawn before nor on the number of processes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import torch
from torch import Tensor

CPU = torch.device("cpu")
_generators: dict[torch.device, torch.Generator] = {}


def stable_seed(*parts: object) -> int:
    """A 63-bit seed that depends on ``parts`` alone: the same on every machine and in every
    process.
    """
    digest = hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def seeded_generator(device: torch.device, *parts: object) -> torch.Generator:
    """The device's generator, set to the state that ``parts`` stand for. It is shared: use it at
    once.
    """
    generator = _generators.get(device)
    if generator is None:
        generator = _generators[device] = torch.Generator(device=device)
    return generator.manual_seed(stable_seed(*parts))


@dataclass(frozen=True, slots=True)
class StepRNG:
    """The random numbers of one step.

    Args:
        seed: the run's seed.
        step: number of the batch (or of the block of samples, when evaluating).
        rank, world_size: this process's place; every rank sees its slice of the same global draw.
        device: where tensors are made. Draws differ between device types, not between processes.
    """

    seed: int
    step: int
    rank: int = 0
    world_size: int = 1
    device: torch.device = CPU

    def to(self, device: torch.device) -> StepRNG:
        """The same noise, drawn on ``device``."""
        return self if device == self.device else replace(self, device=device)

    def _local_slice(self, draw: Tensor) -> Tensor:
        share = draw.shape[0] // self.world_size
        return draw if self.world_size == 1 else draw[self.rank * share : (self.rank + 1) * share]

    def _generator(self, purpose: str) -> torch.Generator:
        return seeded_generator(self.device, self.seed, self.step, purpose)

    def normal(self, purpose: str, size: int, *shape: int) -> Tensor:
        """Standard normal numbers ``[size, *shape]`` for the ``size`` samples on this rank."""
        draw = torch.randn(
            size * self.world_size, *shape, generator=self._generator(purpose), device=self.device
        )
        return self._local_slice(draw)

    def uniform(self, purpose: str, size: int, *shape: int) -> Tensor:
        """Uniform numbers in [0, 1), ``[size, *shape]``, for the ``size`` samples on this rank."""
        draw = torch.rand(
            size * self.world_size, *shape, generator=self._generator(purpose), device=self.device
        )
        return self._local_slice(draw)

    def randint(self, purpose: str, size: int, low: int, high: int) -> Tensor:
        """Whole numbers in [low, high), ``[size]`` (int64), for the ``size`` samples on this
        rank.
        """
        shape = (size * self.world_size,)
        return self._local_slice(
            torch.randint(low, high, shape, generator=self._generator(purpose), device=self.device)
        )

    def derive(self, purpose: str) -> StepRNG:
        """Other random numbers of the same step, such as those of a second generator step on one
        batch.
        """
        return replace(self, seed=stable_seed(self.seed, purpose))

    def part(self, number: int, count: int) -> StepRNG:
        """The random numbers of part ``number`` of ``count`` equal parts of this process's samples.

        They are those that ``count`` times as many processes would have.
        """
        return replace(self, rank=self.rank * count + number, world_size=self.world_size * count)

    def seed_global_generators(self) -> None:
        """Seed torch's global generators for this step and rank.

        Whatever draws from them (dropout, a user's own ``torch.randn``) then resumes exactly, too.
        """
        seed = stable_seed(self.seed, self.step, "default", self.rank)
        torch.default_generator.manual_seed(seed)
        if self.device.type == "cuda":
            torch.cuda.manual_seed(seed)

    @contextmanager
    def as_default(self) -> Iterator[None]:
        """Within the block what draws from torch's global generators depends on this noise alone;
        then they go on.

        For networks that draw random numbers while sampling: sample i is the same whatever was
        drawn before.
        """
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            self.seed_global_generators()
            yield
