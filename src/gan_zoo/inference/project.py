"""GAN inversion: latents whose samples are like given images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gan_zoo.auxiliary_losses.perceptual import Lite0Features
from gan_zoo.core.errors import DataError
from gan_zoo.core.progress import with_progress
from gan_zoo.core.rng import StepRNG, stable_seed
from gan_zoo.core.types import Count, Encodes, Positive, SampleRequest
from gan_zoo.data.image_tensors import grid_of, to_pil, to_uint8
from gan_zoo.inference.encode import load_as_in_training, require_images, write_latents
from gan_zoo.inference.latents import interpolate
from gan_zoo.inference.model import LoadedModel
from gan_zoo.inference.translate import png_path
from gan_zoo.metrics.functional.perceptual_distance import perceptual_distance
from gan_zoo.models.base import Model
from gan_zoo.models.latent_spaces import has_styles, latent_space
from gan_zoo.training.modes import frozen
from gan_zoo.visualization.image_grid import save

SHELL = 1.5
"""Lengths of latents from N(0, 1) have a deviation of about 0.7 in any dimension: about two of them
to either side of their mean."""
STEPS = 9
"""Samples of a walk."""


@dataclass(frozen=True)
class Projection:
    """The latents of an image.

    Attributes:
        points: latents z or styles w, ``[D]``.
        label: the class of the sample; None for models without classes.
        sample: of these latents, ``[C, S, S]`` in [-1, 1].
        distance: of the sample from the image.
    """

    points: Tensor
    label: int | None
    sample: Tensor
    distance: float


@dataclass
class Projector:
    """Searches latents by gradient descent on the distance of their sample from an image.

    With features f of a frozen network, and the mean squared difference of pixels next to it for
    details that they do not show,

        min over z or w of d(f(G(z)), f(x)) + w_p |G(z) - x|^2,

    by Adam; the rate rises over the first twentieth of the steps and falls by a cosine over the
    last quarter (Karras et al. 2020, appendix D, without noise on latents). Latents z keep the
    length, or the range, that those of the prior have; styles w are free. It begins from the
    nearest of many random samples, and from the code of the encoder where the model has one that
    gives latents.

    Args:
        run: a trained model with latents.
        space: ``z``, ``w`` or ``auto``: w for generators with a mapping.
        steps: of Adam.
        starts: points that are optimized side by side; the best one counts.
        candidates: random samples that starts are chosen from.
        lr: the largest rate; 0.1 in the paper.
        pixel_weight: w_p.
        seed: of the random samples.
        features: f; None for the packaged EfficientNet-Lite0.
    """

    run: LoadedModel
    space: str = "auto"
    steps: Count = 300
    starts: Count = 4
    candidates: Count = 256
    lr: Positive = 0.1
    pixel_weight: float = 1.0
    seed: int = 0
    features: nn.Module | None = None

    def __post_init__(self) -> None:
        model = self.run.module.model

        # Anything but latents and a class would have to be found as well.
        if model.latent_dim is None or model.needs_conditions:
            raise DataError(
                "gan-zoo project needs a model whose samples are made of latents and at most a"
                f" class, got {type(model).__name__}"
            )
        if min(self.steps, self.starts, self.candidates) < 1 or not self.lr > 0:
            raise DataError(
                "--steps and --starts must be >= 1 and --lr > 0, got"
                f" {self.steps}, {self.starts} and {self.lr}"
            )
        if self.space == "auto":
            self.space = "w" if has_styles(model.generators) else "z"
        self.points_of = latent_space(self.space, model)
        device = self.run.module.device
        self.features = (self.features or Lite0Features()).to(device).eval().requires_grad_(False)

    def __call__(self, image: Tensor, label: int | None = None) -> Projection:
        """The latents of ``image`` ``[C, S, S]`` in [-1, 1].

        Args:
            label: the class of the samples; None tries all of them.
        """
        module = self.run.module
        # Only the points are optimized: the generator is frozen and in evaluation mode.
        target = image[None].to(module.device)
        with module.inference_mode() as generators, frozen(generators):
            points, request = self.first_points(target, label, generators)
            points = self.optimized(points, request, target, generators)
            samples = self.points_of.samples(points, request, generators).float()
            distances = self.distances(samples, target)

        # The best of all starts, with the class that it ended in.
        best = int(distances.argmin())
        found = None if request.label is None else int(request.label[best])
        return Projection(points[best].cpu(), found, samples[best].cpu(), float(distances[best]))

    def request(self, size: int, labels: Tensor | None) -> SampleRequest:
        """A request for samples of these classes ``[size]``, with continuous codes at 0."""
        module = self.run.module
        rng = StepRNG(stable_seed(self.seed, "projection"), 0, device=module.device)
        codes = None
        if module.model.num_continuous_codes:
            codes = torch.zeros(size, module.model.num_continuous_codes, device=module.device)
        return SampleRequest(size, rng, label=labels, codes=codes)

    def distances(self, samples: Tensor, target: Tensor) -> Tensor:
        """The distance of each of ``samples`` ``[N, C, S, S]`` from ``target`` ``[1, C, S, S]``."""
        assert self.features is not None
        targets = target.expand_as(samples)
        pixels = (samples - targets).square().flatten(1).mean(1)
        return perceptual_distance(self.features, samples, targets) + self.pixel_weight * pixels

    def first_points(
        self, target: Tensor, label: int | None, generators: nn.ModuleDict
    ) -> tuple[Tensor, SampleRequest]:
        """The points ``[starts, D]`` to begin from, and the request that they belong to."""
        # Random samples of the class, or of all classes in turn.
        model, count = self.run.module.model, self.candidates
        labels = None
        if model.num_requested_labels:
            every = torch.arange(count, device=target.device) % model.num_requested_labels
            labels = every if label is None else torch.full_like(every, label)
        request = self.request(count, labels)
        latents = model.latents(request)
        if (code := self.code(target, model, generators)) is not None:
            latents = torch.cat([code, latents[1:]])
        request = replace(request, latents=latents)

        # The nearest ones, in blocks as the features of all take much memory.
        points = self.points_of.points(request, generators)
        distances = []
        for rows in torch.split(torch.arange(count, device=target.device), 64):
            some = self.points_of.samples(points[rows], request.select(rows), generators).float()
            distances.append(self.distances(some, target))
        nearest = torch.cat(distances).topk(min(self.starts, count), largest=False).indices
        return points[nearest], request.select(nearest)

    def code(self, target: Tensor, model: Model, generators: nn.ModuleDict) -> Tensor | None:
        """The encoder's latents of the image, ``[1, latent_dim]``, if there are any."""
        if not isinstance(model, Encodes):
            return None
        code = model.encode(target, generators).float()
        return code if code.shape[1] == model.latent_dim else None

    def optimized(
        self, points: Tensor, request: SampleRequest, target: Tensor, generators: nn.ModuleDict
    ) -> Tensor:
        """The best point of each descent from ``points`` ``[starts, D]``."""
        current = self.inside(points.detach().clone()).requires_grad_()
        best = current.detach().clone()
        least = torch.full((len(points),), math.inf, device=points.device)
        optimizer = torch.optim.Adam([current], self.lr)
        for step in range(self.steps + 1):
            with torch.enable_grad():
                samples = self.points_of.samples(current, request, generators).float()
                distances = self.distances(samples, target)
                (gradient,) = torch.autograd.grad(distances.sum(), current)

            # A descent may also pass its best point.
            better = distances.detach() < least
            best[better], least[better] = current.detach()[better], distances.detach()[better]
            current.grad = gradient
            optimizer.param_groups[0]["lr"] = self.lr * ramp(step / self.steps)
            optimizer.step()
            current.copy_(self.inside(current.detach()))
        return best

    def inside(self, points: Tensor) -> Tensor:
        """Latents z ``[N, D]`` at a length or in a range that the prior has; styles as they are."""
        # Styles are not bounded, and a uniform prior is a cube.
        if self.space != "z":
            return points
        if self.run.module.model.prior == "uniform":
            return points.clamp(-1, 1)

        # A normal prior of D dimensions lies in a thin shell around sqrt(D).
        center = math.sqrt(points.shape[1])
        length = points.norm(dim=1, keepdim=True)
        allowed = length.clamp(max(center - SHELL, 0.0), center + SHELL)
        scaled: Tensor = points * (allowed / length.clamp(min=1e-8))
        return scaled


def ramp(progress: float) -> float:
    """The factor of the rate: up over the first 5 %, down by a cosine over the last 25 %."""
    down = min(1.0, (1 - progress) / 0.25)
    return min(1.0, progress / 0.05) * (0.5 - 0.5 * math.cos(math.pi * down))


def project_images(
    run: LoadedModel,
    files: Sequence[Path],
    target: Path,
    label: int | str | None = None,
    **options: Any,
) -> list[Projection]:
    """The latents of image files, written to ``target``.

    ``latents.npy`` ``[N, D]``, ``names.txt`` with the file of each row, ``reconstructions/``,
    ``comparison.png`` with the images above their reconstructions, and for two images ``walk.png``,
    the path from one to the other.

    Args:
        label: the class of the samples, by number or name; None tries all.
        options: those of `Projector`.
    """
    require_images(run, "project")
    number = None if label is None else run.class_number(label)
    projector = Projector(run, **options)
    images = [_loaded(run, file) for file in files]
    found: list[Projection] = []
    for image in with_progress(images, len(images), f"Projecting {len(images)} images"):
        found.append(projector(image, number))

    # Latents and reconstructions.
    write_latents(target, torch.stack([one.points for one in found]), [str(f) for f in files])
    written: set[Path] = set()
    for file, one in zip(files, found, strict=True):
        path = png_path(target / "reconstructions" / file.name, written)
        to_pil(to_uint8(one.sample)).save(path)
        written.add(path)
    pairs = torch.stack([*images, *(one.sample for one in found)])
    save(grid_of(pairs, len(images)), target / "comparison.png")
    if len(found) == 2:
        save(grid_of(walk(projector, found[0], found[1]), STEPS), target / "walk.png")
    return found


def _loaded(run: LoadedModel, file: Path) -> Tensor:
    try:
        return load_as_in_training(run, file)
    except (OSError, ValueError, SyntaxError) as error:
        raise DataError(f"{file} cannot be read: {' '.join(str(error).split())}") from error


def walk(projector: Projector, start: Projection, end: Projection) -> Tensor:
    """Samples ``[STEPS, C, S, S]`` on the path between two points: a great circle of latents z, a
    straight line of styles w. Where the classes differ, the nearer end's.
    """
    module = projector.run.module
    # Latents z on a great circle, styles w on a line.
    path = interpolate(start.points[None], end.points[None], STEPS, projector.space == "z")[:, 0]
    labels = None
    if start.label is not None and end.label is not None:
        first = torch.linspace(0, 1, STEPS) < 0.5
        labels = torch.where(first, start.label, end.label)

    # All frames at once, by the averaged generator.
    request = projector.request(STEPS, labels).to(module.device)
    with module.inference_mode() as generators:
        points = path.to(module.device)
        samples: Tensor = projector.points_of.samples(points, request, generators)
    return samples.float().cpu()
