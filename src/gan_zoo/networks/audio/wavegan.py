"""WaveGAN's convolutional networks of waveforms (Donahue et al. 2019, section 3.1 and appendix D).

DCGAN's with one dimension, kernels of 25 and strides of 4 instead of 5x5 and 2x2, without
normalization, and with phase shuffle in the discriminator.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from gan_zoo.core.types import Count, DiscriminatorOutput, Shape, Whole
from gan_zoo.networks.layers.heads import Heads
from gan_zoo.networks.layers.normalization import activation_norm, apply_spectral_norm

KERNEL, STRIDE, SHORTEST = 25, 4, 16
UPSAMPLING = ("transposed", "nearest")


def waveform(sample_shape: Sequence[int], network: str) -> tuple[int, int]:
    """The channels of sounds of 16 * 4^k samples, and k, from 1 to 8.

    Raises:
        ValueError: naming ``network`` and what it can make, for any other shape.
    """
    if len(sample_shape) != 2:
        raise ValueError(
            f"{network} works on sounds; the data's sample_shape is {list(sample_shape)}: use"
            " data=tones or data=audio_folder, or use model=gan for vectors, model=dcgan for images"
        )
    channels, length = sample_shape
    # Layers begin at 16 steps and make 4 of each.
    lengths = {SHORTEST * STRIDE**stages: stages for stages in range(1, 9)}
    if length not in lengths:
        listed = ", ".join(str(allowed) for allowed in lengths)
        raise ValueError(
            f"{network} works on sounds of {listed} samples, got {length}: set data.length"
        )
    return channels, lengths[length]


class PhaseShuffle(nn.Module):
    """Activations ``[B, C, T]``, each sample moved by a random number of steps from -n to n.

    The missing end is filled by reflection (section 3.3), so that the discriminator cannot tell
    fakes by the phase of the generator's artifacts. In evaluation mode nothing moves.

    Args:
        steps: n, below T.
    """

    def __init__(self, steps: Whole = 2) -> None:
        super().__init__()
        self.steps = steps

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.steps == 0:
            return x
        shifts = torch.randint(-self.steps, self.steps + 1, (len(x),), device=x.device)
        return shifted(x, shifts)


def shifted(x: Tensor, shifts: Tensor) -> Tensor:
    """Sample b of ``x`` ``[B, C, T]`` moved to later times by ``shifts[b]``, ends reflected.

    y[t] = x[|t - s|], and beyond the last step T - 1 it is mirrored there.
    """
    last = x.shape[2] - 1
    times = (torch.arange(last + 1, device=x.device) - shifts[:, None]).abs()
    times = last - (last - times).abs()
    return x.gather(2, times[:, None].expand_as(x))


class WaveGANGenerator(nn.Module):
    """Latents ``[B, latent_dim]`` to sounds ``[B, C, T]`` in (-1, 1).

    A linear layer to 16 steps, then k layers that make 4 of each step.

    Args:
        latent_dim: size of the latents.
        sample_shape: ``[C, T]`` with T = 16 * 4^k.
        width: channels before the last layer, the paper's d of 64; they double towards the short
            end.
        upsampling: ``transposed`` convolutions as in the paper, or ``nearest`` neighbors and a
            convolution, which has fewer artifacts and takes four times as long.
    """

    def __init__(
        self,
        latent_dim: Count,
        sample_shape: Shape,
        width: Count = 64,
        upsampling: str = "transposed",
    ) -> None:
        super().__init__()
        channels, stages = waveform(sample_shape, "generator=wavegan")
        if upsampling not in UPSAMPLING:
            raise ValueError(
                f"generator.upsampling must be one of {', '.join(UPSAMPLING)}, got {upsampling!r}"
            )

        # Channels halve where time becomes four times as fine.
        widths = [width * 2**k for k in reversed(range(stages))]
        layers: list[nn.Module] = [
            nn.Linear(latent_dim, widths[0] * SHORTEST),
            nn.Unflatten(1, (widths[0], SHORTEST)),
        ]
        for c_in, c_out in pairwise([*widths, channels]):
            layers += [nn.ReLU(inplace=True), *_up(c_in, c_out, upsampling)]
        self.layers = nn.Sequential(*layers, nn.Tanh())

    def forward(self, latents: Tensor) -> Tensor:
        sounds: Tensor = self.layers(latents)
        return sounds


def _up(c_in: int, c_out: int, upsampling: str) -> list[nn.Module]:
    if upsampling == "nearest":
        return [
            nn.Upsample(scale_factor=STRIDE),
            nn.Conv1d(c_in, c_out, KERNEL, padding=KERNEL // 2),
        ]
    # (T - 1) 4 - 2 * 11 + 25 + 1 = 4 T.
    return [nn.ConvTranspose1d(c_in, c_out, KERNEL, STRIDE, padding=11, output_padding=1)]


class WaveGANDiscriminator(nn.Module):
    """Sounds ``[B, C, T]`` to a `DiscriminatorOutput` with scores ``[B]``.

    The 16 last steps are its feature.

    Args:
        sample_shape: ``[C, T]`` with T = 16 * 4^k.
        width: channels after the first layer, the paper's d of 64; they double towards the short
            end.
        phase_shuffle: n of `PhaseShuffle` after every layer but the last, 2 in the paper; 0 for
            none. At most 15.
        norm: ``none`` as in the paper, or ``spectral``.
        aux_outputs, condition_dim, fusion: as in `Heads`.
    """

    def __init__(
        self,
        sample_shape: Shape,
        width: Count = 64,
        phase_shuffle: Whole = 2,
        norm: str = "none",
        aux_outputs: int | None = None,
        condition_dim: int | None = None,
        fusion: str = "projection",
    ) -> None:
        super().__init__()
        channels, stages = waveform(sample_shape, "discriminator=wavegan")
        if not 0 <= phase_shuffle < SHORTEST:
            raise ValueError(
                f"discriminator.phase_shuffle must be from 0 to {SHORTEST - 1}, got {phase_shuffle}"
            )
        if activation_norm(norm) != "none":
            raise ValueError(f"discriminator.norm must be none or spectral, got {norm!r}")
        widths = [width * 2**k for k in range(stages)]
        layers: list[nn.Module] = []
        for c_in, c_out in pairwise([channels, *widths]):
            down = nn.Conv1d(c_in, c_out, KERNEL, STRIDE, padding=11)
            layers += [apply_spectral_norm(down, norm), nn.LeakyReLU(0.2)]
            layers += [PhaseShuffle(phase_shuffle)]

        # The scores see the last activations as they are.
        self.layers = nn.Sequential(*layers[:-1])
        self.heads = Heads([widths[-1], SHORTEST], aux_outputs, condition_dim, fusion, norm)

    def forward(self, x: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        output: DiscriminatorOutput = self.heads(self.layers(x), x, condition)
        return output
