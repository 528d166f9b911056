"""The spaces whose points a model's generator makes samples of: latents z, or styles w."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from torch import Tensor, nn

from gan_zoo.core.errors import DataError
from gan_zoo.core.types import MappedGenerator, SampleRequest
from gan_zoo.models.base import Model

SpaceName = Literal["z", "w"]
SPACES = ("z", "w")


def has_styles(generators: nn.ModuleDict) -> bool:
    """Whether the main generator has a mapping to styles."""
    return isinstance(main_generator(generators), MappedGenerator)


def main_generator(generators: nn.ModuleDict) -> object:
    """The network called ``main``; translations have none."""
    return dict(generators.items()).get("main")


def mapped_generator(generators: nn.ModuleDict, what: str) -> MappedGenerator:
    """The main generator.

    Raises:
        DataError: naming ``what`` needs styles, if it has no mapping.
    """
    generator = main_generator(generators)
    if not isinstance(generator, MappedGenerator):
        raise DataError(
            f"{what} needs a generator with a mapping, such as generator=stylegan2, got"
            f" {type(generator).__name__}"
        )
    return generator


@dataclass(frozen=True)
class LatentSpace:
    """Points are latents z ``[B, latent_dim]``."""

    model: Model
    name: SpaceName = "z"

    def points(self, request: SampleRequest, generators: nn.ModuleDict) -> Tensor:
        """The points of a request's samples, ``[B, D]``."""
        return self.model.latents(request)

    def samples(self, points: Tensor, request: SampleRequest, generators: nn.ModuleDict) -> Tensor:
        """The samples of ``points``, with the conditions of ``request``; differentiable."""
        return self.model.sample(replace(request, size=len(points), latents=points), generators)


@dataclass(frozen=True)
class StyleSpace:
    """Points are styles w ``[B, D]``, the same for every input of the synthesis (Karras et al.
    2019, section 2).
    """

    model: Model
    name: SpaceName = "w"

    def points(self, request: SampleRequest, generators: nn.ModuleDict) -> Tensor:
        """The points of a request's samples, ``[B, D]``."""
        # All L styles are equal, so the first one stands for them.
        return all_styles(self.model, request, generators)[:, 0]

    def samples(self, points: Tensor, request: SampleRequest, generators: nn.ModuleDict) -> Tensor:
        """The samples of ``points``; conditions are in the styles."""
        generator = mapped_generator(generators, "space=w")
        return generator.synthesis(points[:, None].expand(-1, generator.num_styles, -1))


def all_styles(model: Model, request: SampleRequest, generators: nn.ModuleDict) -> Tensor:
    """The styles ``[B, L, D]`` of a request's samples."""
    generator = mapped_generator(generators, "space=w")
    return generator.mapping(*model.generator_inputs(request, generators))


def latent_space(name: str, model: Model) -> LatentSpace | StyleSpace:
    """The space called ``name``.

    Raises:
        DataError: for another name, or w of a generator without a mapping.
    """
    if name not in SPACES:
        raise DataError(f"space must be z or w, got {name!r}")
    if name == "z":
        return LatentSpace(model)
    mapped_generator(model.generators, "space=w")
    return StyleSpace(model)
