"""Directions in which a generator's samples change most."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from gan_zoo.core.rng import StepRNG, stable_seed
from gan_zoo.core.types import SampleRequest
from gan_zoo.inference.latents import draw_latents, latent_dim
from gan_zoo.inference.model import LoadedModel, request_as_in_grid
from gan_zoo.training.module import GANModule


def principal_directions(
    run: LoadedModel, count: int = 8, seed: int = 0, samples: int = 64, probes: int = 16
) -> Tensor:
    """The ``count`` orthonormal directions ``[count, latent_dim]`` that change samples most, the strongest first.

    They are the leading eigenvectors of C = E[J'J], where J is the Jacobian of the sample with respect to its latent
    (active subspaces, Constantine 2015): |J v|^2 is the squared change of the sample for a small step along v. C is
    estimated from J'r for random output directions r, as E[r r'] = I.

    Args:
        samples: latents that the expectation is taken over.
        probes: random output directions for each of them.

    Raises:
        DataError: if the model has no latents.
    """
    count = min(count, latent_dim(run.module))
    module = run.module
    rng = StepRNG(stable_seed(seed, "directions"), 0)
    latents = draw_latents(module, samples, seed)
    request = request_as_in_grid(run, samples, seed)
    request = request.select(torch.arange(samples) % request.size)  # a grid has full columns
    gradients = [vjp(module, latents, request, rng, probe) for probe in range(probes)]
    stacked = torch.cat(gradients).cpu().double()
    _, vectors = torch.linalg.eigh(stacked.T @ stacked)
    strongest = vectors.flip(1).T[:count].float()
    signs = strongest.gather(
        1, strongest.abs().argmax(1, keepdim=True)
    ).sign()  # the sign of an eigenvector is arbitrary
    directions: Tensor = strongest * signs
    return directions


def vjp(module: GANModule, latents: Tensor, request: SampleRequest, rng: StepRNG, probe: int) -> Tensor:
    """J'r ``[B, latent_dim]`` for one random output direction r of each sample."""
    leaves = latents.to(module.device).requires_grad_()
    with module.inference_mode() as generators, torch.enable_grad():
        samples = module.model.sample(replace(request.to(module.device), latents=leaves), generators).flatten(1)
        projections = rng.normal(f"ray {probe}", *samples.shape).to(samples)
        (gradient,) = torch.autograd.grad((samples * projections).sum(), leaves)
    on_cpu: Tensor = gradient.cpu()
    return on_cpu
