"""Latents of a seed, and paths between them."""

from __future__ import annotations

import torch
from torch import Tensor

from gan_zoo.core.errors import DataError
from gan_zoo.core.interpolation import spherical as sphere_path
from gan_zoo.core.rng import StepRNG, stable_seed
from gan_zoo.training.module import GANModule


def latent_dim(module: GANModule) -> int:
    """The size of the latents; `DataError` for models that have none."""
    if module.model.latent_dim is None:
        raise DataError(
            f"{type(module.model).__name__} has no latents to interpolate: use gan-zoo translate"
        )
    return module.model.latent_dim


def draw_latents(
    module: GANModule, count: int, seed: int, truncation: float | None = None
) -> Tensor:
    """``count`` latents ``[count, latent_dim]`` of a seed, the same on every device.

    Args:
        truncation: normal latents are drawn from the part of the prior within +- this many standard
            deviations; smaller values trade variety for quality. None for the complete prior.

    Raises:
        DataError: unless ``truncation`` is > 0.
    """
    if truncation is not None and not truncation > 0:
        raise DataError(f"truncation must be > 0, got {truncation}")
    rng = StepRNG(stable_seed(seed, "sample"), 0)
    size = latent_dim(module)

    # Uniform latents are truncated by shrinking them towards the center.
    if module.model.prior == "uniform":
        latents = 2 * rng.uniform("latents", count, size) - 1
        return latents if truncation is None else latents * min(1.0, truncation)
    if truncation is None:
        return rng.normal("latents", count, size)

    # Normal ones: inverse transform sampling between the quantiles of both edges.
    edge = float(torch.special.ndtr(torch.tensor(truncation)))
    quantile = rng.uniform("latents", count, size).double()
    return torch.special.ndtri((1 - edge) + quantile * (2 * edge - 1)).to(torch.float32)  # type: ignore[no-any-return]


def interpolate(start: Tensor, end: Tensor, steps: int, spherical: bool = True) -> Tensor:
    """``steps`` points from ``start`` to ``end``, both included, ``[steps, ...]``.

    Spherical: along the great circle, the length interpolated too, so that normal latents keep
    their length (White 2016); linear: along the straight line.
    """
    t = torch.linspace(0, 1, steps).view(-1, *[1] * start.ndim)
    if not spherical:
        return torch.lerp(start[None], end[None], t)
    return sphere_path(start[None], end[None], t)
