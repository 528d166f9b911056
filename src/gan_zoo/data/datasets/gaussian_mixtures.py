"""Two-dimensional mixtures with known modes, as in VEEGAN (Srivastava et al. 2017) and PacGAN.

Lin et al. 2018.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gan_zoo.data.dataset import Mixture


def _mixture(name: str, centers: Tensor, std: float, num_samples: int, seed: int) -> Mixture:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(num_samples) % len(centers)
    samples = centers[labels] + std * torch.randn(
        num_samples, centers.shape[1], generator=generator
    )
    return Mixture(name, "train", samples, labels, license="computed", centers=centers, std=std)


def ring(
    modes: int = 8,
    radius: float = 1.0,
    std: float = 0.01,
    num_samples: int = 100_000,
    seed: int = 0,
) -> Mixture:
    """``modes`` Gaussians evenly on a circle."""
    angles = 2 * math.pi * torch.arange(modes) / modes
    centers = radius * torch.stack([angles.cos(), angles.sin()], dim=1)
    return _mixture("ring", centers, std, num_samples, seed)


def grid(
    side: int = 5,
    spacing: float = 2.0,
    std: float = 0.05,
    num_samples: int = 100_000,
    seed: int = 0,
) -> Mixture:
    """``side`` x ``side`` Gaussians on a square lattice around the origin."""
    ticks = spacing * (torch.arange(side) - (side - 1) / 2)
    return _mixture("grid", torch.cartesian_prod(ticks, ticks), std, num_samples, seed)


def spiral(
    modes: int = 20,
    turns: float = 2.0,
    std: float = 0.02,
    num_samples: int = 100_000,
    seed: int = 0,
) -> Mixture:
    """``modes`` Gaussians along an Archimedean spiral of radius 2."""
    fraction = (torch.arange(modes) + 1) / modes
    angles = 2 * math.pi * turns * fraction.sqrt()
    centers = 2 * fraction.sqrt()[:, None] * torch.stack([angles.cos(), angles.sin()], dim=1)
    return _mixture("spiral", centers, std, num_samples, seed)
