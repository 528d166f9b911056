"""What generators with a mapping to styles can do: truncation by psi, and mixing of styles."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gan_zoo.core.errors import DataError
from gan_zoo.core.types import SampleRequest
from gan_zoo.models.latent_spaces import all_styles, mapped_generator
from gan_zoo.training.module import GANModule


def truncated_styles(module: GANModule, request: SampleRequest, psi: float | None) -> Tensor:
    """The styles ``[B, L, D]`` of a request, moved towards the mean style of the same generator.

    w' = mean + psi (w - mean) (Karras et al. 2019, appendix B): smaller psi trade variety for
    quality; 0 is the mean sample, 1 or None change nothing. The mean of an averaged generator is
    its own buffer, which follows the styles of training, as in the authors' code.

    Raises:
        DataError: if the generator has no mapping, or psi is not finite.
    """
    generator = mapped_generator(module.inference_generators, "--psi")
    if psi is not None and not math.isfinite(psi):
        raise DataError(f"--psi must be finite, got {psi}")
    with module.inference_mode() as generators:
        styles = all_styles(module.model, request.to(module.device), generators)
    return (
        styles if psi is None else torch.lerp(generator.mean_style.expand_as(styles), styles, psi)
    )


def synthesize(module: GANModule, styles: Tensor) -> Tensor:
    """The samples of styles ``[B, L, D]``, float32, on the module's device."""
    generator = mapped_generator(module.inference_generators, "styles")
    with module.inference_mode():
        return generator.synthesis(styles.to(module.device)).float()


def sample(module: GANModule, request: SampleRequest, psi: float | None = None) -> Tensor:
    """The samples of a request, truncated by ``psi`` unless it is None; any generator without
    it.
    """
    if psi is None:
        return module.sample(request)
    return synthesize(module, truncated_styles(module, request, psi))


def mix(coarse_styles: Tensor, fine_styles: Tensor, coarse: int) -> Tensor:
    """Every row of the first with every row of the second: ``[R, L, D]`` and ``[C, L, D]`` to ``[R,
    C, L, D]``.

    Args:
        coarse_styles: where the first ``coarse`` of the L style inputs come from.
        fine_styles: where the others come from.
        coarse: at least 1 and less than L.

    Raises:
        DataError: for another ``coarse``.
    """
    rows, count = coarse_styles.shape[:2]
    if not 0 < coarse < count:
        raise DataError(f"--coarse must be between 1 and {count - 1}, got {coarse}")
    columns = len(fine_styles)
    first = coarse_styles[:, None, :coarse].expand(-1, columns, -1, -1)
    rest = fine_styles[None, :, coarse:].expand(rows, -1, -1, -1)
    return torch.cat([first, rest], 2)
