"""Batch normalization whose scale and shift depend on a condition."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gan_zoo.networks.layers.normalization import (
    NormFactory,
    apply_spectral_norm,
    needs_bias,
    norm_layer,
)


class ConditionalBatchNorm(nn.Module):
    """Batch normalization without its own scale and shift, then times (1 + A c), plus B c.

    de Vries et al. 2017, section 3; without biases as in BigGAN (Brock et al. 2019, appendix B). A
    and B start from N(0, 0.02), so that for a c of length 1 scales are those of DCGAN, N(1, 0.02).

    Args:
        channels: C of the activations ``[B, C, H, W]``.
        condition_dim: size of the condition's vectors ``[B, condition_dim]``.
        norm: names with ``spectral`` normalize A and B.
    """

    conditional = True

    def __init__(self, channels: int, condition_dim: int, norm: str = "conditional") -> None:
        super().__init__()
        self.normalize = nn.BatchNorm2d(channels, affine=False)
        scale = nn.Linear(condition_dim, channels, bias=False)
        shift = nn.Linear(condition_dim, channels, bias=False)
        # As DCGAN's scales, but around 0: what is learned is added to 1.
        nn.init.normal_(scale.weight, 0, 0.02)
        nn.init.normal_(shift.weight, 0, 0.02)
        self.scale = apply_spectral_norm(scale, norm)
        self.shift = apply_spectral_norm(shift, norm)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        scale = 1 + self.scale(condition)
        shift = self.shift(condition)
        out: Tensor = self.normalize(x) * scale[:, :, None, None] + shift[:, :, None, None]
        return out


class ConditionalSequential(nn.Sequential):
    """Layers in sequence; those with ``conditional = True`` also get the condition."""

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        for layer in self:
            x = layer(x, condition) if getattr(layer, "conditional", False) else layer(x)
        return x


class ConditionInput:
    """Where the condition of a generator enters: at every normalization, or next to the latents.

    Args:
        norm: ``conditional`` (or ``spectral+conditional``) for every normalization, else a name of
            `norm_layer`, and the condition is concatenated to the latents.
        condition_dim: size of the condition's vectors; None for an unconditional generator.

    Raises:
        ValueError: for a conditional norm without a condition.
    """

    def __init__(self, norm: str, condition_dim: int | None) -> None:
        self.in_norm = norm.removeprefix("spectral+") == "conditional"
        self.norm = norm
        self.condition_dim = condition_dim
        if self.in_norm and condition_dim is None:
            raise ValueError(
                f"generator.norm={norm} needs a model that gives its generator a condition, such as"
                " model=cgan_single, cgan, acgan or infogan"
            )

    @property
    def extra_inputs(self) -> int:
        """How many inputs the first layer has in addition to the latents."""
        return 0 if self.in_norm or self.condition_dim is None else self.condition_dim

    @property
    def needs_bias(self) -> bool:
        """Whether a layer before a normalization needs a bias."""
        return not self.in_norm and needs_bias(self.norm)

    @property
    def layer(self) -> NormFactory:
        """A factory ``channels -> layer`` of normalizations."""
        if not self.in_norm:
            return norm_layer(self.norm)
        assert self.condition_dim is not None
        condition_dim = self.condition_dim
        return lambda channels: ConditionalBatchNorm(
            channels, condition_dim=condition_dim, norm=self.norm
        )

    def first_inputs(self, latents: Tensor, condition: Tensor | None) -> Tensor:
        """The inputs of the first layer."""
        if condition is None or self.in_norm:
            return latents
        return torch.cat([latents, condition], 1)
