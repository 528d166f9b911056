"""The pool of past fakes."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gan_zoo.core.distributed import gather_over_ranks, rank, world_size
from gan_zoo.core.rng import CPU, StepRNG


class Pool(nn.Module):
    """Shows a discriminator past fakes and new ones, so that it does not forget (Shrivastava et al.
    2017, section 2.3).

    Every new fake is put into the pool while that has room, and shown. Later it is shown with
    probability 1/2; else it takes the place of a random one in the pool, which is shown instead.
    The pool is one over all processes, part of the state, and never holds a gradient.

    Args:
        size: fakes that are kept (50 in CycleGAN); 0 for no pool.
        sample_shape: shape of one fake.
    """

    images: Tensor

    def __init__(self, size: int, sample_shape: Sequence[int]) -> None:
        super().__init__()
        if size < 0:
            raise ValueError(f"pool_size must be >= 0, got {size}")
        self.size, self.count = size, 0
        self.register_buffer("images", torch.zeros(size, *sample_shape))

    def forward(self, fakes: Tensor, rng: StepRNG, purpose: str) -> Tensor:
        """What to show instead of ``fakes`` ``[B, ...]``, which must be detached; the same
        shape.
        """
        assert not fakes.requires_grad, "the pool must never be consulted with a gradient"
        if self.size == 0:
            return fakes

        # The pool is the same everywhere: each process sees all fakes and makes the same draws.
        share, ranks = len(fakes), world_size()
        everyones = gather_over_ranks(fakes)
        # Each part of an accumulated batch has its share of the draws of the whole batch.
        parts = max(1, rng.world_size // ranks)
        total = ranks * parts * share
        single = StepRNG(rng.seed, rng.step, device=CPU)
        draws = (
            single.uniform(f"{purpose} pool", total) < 0.5,
            single.randint(f"{purpose} place", total, 0, self.size),
        )
        swaps, places = (
            draw.view(ranks, parts, share)[:, rng.rank % parts].flatten().tolist() for draw in draws
        )

        # While there is room a fake is kept and shown, later it may be exchanged for a past one.
        shown = everyones.clone()
        for i, (swap, place) in enumerate(zip(swaps, places, strict=True)):
            if self.count < self.size:
                self.images[self.count] = everyones[i]
                self.count += 1
            elif swap:
                shown[i] = self.images[place]
                self.images[place] = everyones[i]

        # The share of this process.
        return shown[rank() * share : (rank() + 1) * share]

    def get_extra_state(self) -> int:
        """How many fakes are kept."""
        return self.count

    def set_extra_state(self, state: int) -> None:
        """Restore what `get_extra_state` returned."""
        self.count = state
