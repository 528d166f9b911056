"""Directions in which a generator's samples change most."""

from __future__ import annotations

import torch
from torch import Tensor

from gan_zoo.core.rng import StepRNG, stable_seed
from gan_zoo.core.types import SampleRequest
from gan_zoo.inference.latents import draw_latents, latent_dim
from gan_zoo.inference.model import LoadedModel, request_as_in_grid
from gan_zoo.models.latent_spaces import LatentSpace, StyleSpace, has_styles, latent_space
from gan_zoo.training.module import GANModule


def space_of(module: GANModule) -> LatentSpace | StyleSpace:
    """The space of directions: styles w where the generator has a mapping, else latents z."""
    return latent_space("w" if has_styles(module.inference_generators) else "z", module.model)


def principal_directions(
    run: LoadedModel, count: int = 8, seed: int = 0, samples: int = 64, probes: int = 16
) -> Tensor:
    """The ``count`` orthonormal directions ``[count, D]`` that change samples most, the strongest
    first.

    They are the leading eigenvectors of C = E[J'J], where J is the Jacobian of the sample with
    respect to its latent, or to its style where the generator has a mapping (active subspaces,
    Constantine 2015): |J v|^2 is the squared change of the sample for a small step along v. C is
    estimated from J'r for random output directions r, as E[r r'] = I.

    Args:
        samples: latents that the expectation is taken over.
        probes: random output directions for each of them.

    Raises:
        DataError: if the model has no latents.
    """
    # Random latents, with conditions as in a grid.
    rng = StepRNG(stable_seed(seed, "directions"), 0)
    request = requests(run, samples, seed)
    points = points_of(run.module, request)

    # C is estimated, up to a factor, by the sum of the outer products of J'r.
    gradients = [vjp(run.module, points, request, rng, probe) for probe in range(probes)]
    stacked = torch.cat(gradients).cpu().double()
    # Eigenvalues come in ascending order, so the strongest directions are last.
    _, vectors = torch.linalg.eigh(stacked.T @ stacked)
    strongest = vectors.flip(1).T[:count].float()
    # The sign of an eigenvector is arbitrary.
    signs = strongest.gather(1, strongest.abs().argmax(1, keepdim=True)).sign()
    directions: Tensor = strongest * signs
    return directions


def deviations(run: LoadedModel, directions: Tensor, seed: int = 0, samples: int = 256) -> Tensor:
    """How far points lie from each other along each direction: standard deviations ``[count]``."""
    points = points_of(run.module, requests(run, samples, seed))
    return (points @ directions.T).std(0)


def moved_sample(
    run: LoadedModel, directions: Tensor, amounts: Tensor, seed: int, **request: int | str | None
) -> Tensor:
    """The sample of a seed ``[1, ...]`` after steps along ``directions`` ``[count, D]``.

    Args:
        directions: of `principal_directions`.
        amounts: of the steps, ``[count]``, in units of the space.
        seed: of the sample.
        request: ``label`` or ``caption`` of the sample.
    """
    module = run.module
    single = request_as_in_grid(run, 1, seed, **request).select(slice(1))
    single.latents = draw_latents(module, 1, seed)
    points = points_of(module, single) + amounts @ directions
    with module.inference_mode() as generators:
        single = single.to(module.device)
        return space_of(module).samples(points.to(module.device), single, generators).float().cpu()


def requests(run: LoadedModel, count: int, seed: int) -> SampleRequest:
    """Requests of random latents, with conditions as in a grid."""
    latent_dim(run.module)
    request = request_as_in_grid(run, count, seed)
    request = request.select(torch.arange(count) % request.size)  # a grid has full columns
    request.latents = draw_latents(run.module, count, seed)
    return request


def points_of(module: GANModule, request: SampleRequest) -> Tensor:
    """The points ``[B, D]`` of a request's samples in `space_of`, on the CPU."""
    with module.inference_mode() as generators:
        return space_of(module).points(request.to(module.device), generators).cpu()


def vjp(
    module: GANModule, points: Tensor, request: SampleRequest, rng: StepRNG, probe: int
) -> Tensor:
    """J'r ``[B, D]`` for one random output direction r of each sample."""
    leaves = points.to(module.device).requires_grad_()
    with module.inference_mode() as generators, torch.enable_grad():
        samples = space_of(module).samples(leaves, request.to(module.device), generators).flatten(1)
        projections = rng.normal(f"ray {probe}", *samples.shape).to(samples)
        (gradient,) = torch.autograd.grad((samples * projections).sum(), leaves)
    on_cpu: Tensor = gradient.cpu()
    return on_cpu
