"""Directions in which a generator's samples change most."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gan_zoo.core.rng import StepRNG, stable_seed
from gan_zoo.inference.latents import draw_latents, latent_dim
from gan_zoo.inference.model import Run, asked_as_in_the_grid, of_rows


def principal_directions(run: Run, count: int = 8, seed: int = 0, samples: int = 64, probes: int = 16) -> Tensor:
    """The ``count`` orthonormal directions ``[count, latent_dim]`` that move samples most, the strongest first.

    They are the leading eigenvectors of C = E[J'J], where J is the Jacobian of the sample with respect to its latent
    (active subspaces, Constantine 2015): |J v|^2 is how far the sample moves for a small step along v. C is estimated
    from J'r for random output directions r, as E[r r'] = I.

    Args:
        samples: latents that the expectation is taken over.
        probes: random output directions for each of them.

    Raises:
        DataError: if the model has no latents.
    """
    count = min(count, latent_dim(run.module))
    module, rng = run.module, StepRNG(stable_seed(seed, "directions"), 0)
    latents = draw_latents(module, samples, seed)
    wanted = asked_as_in_the_grid(run, samples, seed)
    wanted = of_rows(wanted, torch.arange(samples) % wanted.size)  # a grid has whole columns
    gradients = [gradient_of(module, latents, wanted, rng, probe) for probe in range(probes)]
    stacked = torch.cat(gradients).cpu().double()
    _, vectors = torch.linalg.eigh(stacked.T @ stacked)
    strongest = vectors.flip(1).T[:count].float()
    signs = strongest.gather(1, strongest.abs().argmax(1, keepdim=True)).sign()  # eigenvectors have none of their own
    directions: Tensor = strongest * signs
    return directions


def gradient_of(module: Any, latents: Tensor, wanted: Any, rng: StepRNG, probe: int) -> Tensor:
    """J'r ``[B, latent_dim]`` for one random output direction r of each sample."""
    leaves = latents.to(module.device).requires_grad_()
    wanted.latents = leaves
    with module.shown() as generators, torch.enable_grad():
        drawn = module.model.sample(wanted.to(module.device), generators).flatten(1)
        rays = rng.normal(f"ray {probe}", *drawn.shape).to(drawn)
        (gradient,) = torch.autograd.grad((drawn * rays).sum(), leaves)
    on_cpu: Tensor = gradient.cpu()
    return on_cpu
