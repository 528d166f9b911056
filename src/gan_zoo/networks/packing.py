"""Packed discriminators (PacGAN)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from gan_zoo.core.types import DiscriminatorOutput, Shape


class PackedDiscriminator(nn.Module):
    """A discriminator that scores m samples together, so that it detects repetition.

    PacGAN, Lin et al. 2018.

    ``[B, C, ...]`` becomes ``[B / m, m C, ...]``: sample i is scored with the m - 1 that follow it.
    Scores are ``[B / m]``.

    Args:
        make_discriminator: called with ``sample_shape``, that of a pack, and the arguments of the
            model.
        sample_shape: shape of one sample.
        pack: m >= 2; batches on every process must be divisible by it.
    """

    def __init__(
        self,
        make_discriminator: Callable[..., nn.Module],
        sample_shape: Shape,
        pack: int,
        **options: Any,
    ) -> None:
        super().__init__()
        if pack < 2:
            raise ValueError(f"pack must be >= 2, got {pack}")
        if any(
            options.get(option) for option in ("condition_dim", "condition_channels", "aux_outputs")
        ):
            raise ValueError(
                "pack > 1 works for discriminators without conditions and classes, use pack=1"
            )

        # The samples of a pack are stacked as channels.
        channels, *rest = sample_shape
        self.pack = pack
        self.discriminator = make_discriminator(sample_shape=[pack * channels, *rest], **options)

        # Losses check whether the scores are energies.
        if hasattr(self.discriminator, "energy"):
            self.energy = self.discriminator.energy

    def forward(self, x: Tensor) -> DiscriminatorOutput:
        if len(x) % self.pack:
            raise ValueError(
                f"{len(x)} samples cannot be divided into packs of {self.pack}: set data.batch_size"
            )
        # Packs lie on channels: ``[B / pack, pack C, ...]``.
        output = self.discriminator(x.reshape(len(x) // self.pack, -1, *x.shape[2:]))
        if isinstance(output, DiscriminatorOutput):
            return replace(output, x=x)
        return DiscriminatorOutput(output, x)
