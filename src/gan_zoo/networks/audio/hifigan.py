"""HiFi-GAN's networks: from mel spectrograms to waveforms, and discriminators of periods and of
scales (Kong et al. 2020, sections 2.2 and 2.3, appendix A).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from gan_zoo.core.types import Count, DiscriminatorOutput, Shape

SLOPE, LAST_SLOPE = 0.1, 0.01
"""Of leaky ReLUs, and of the one before the generator's last layer in the authors' program."""
PERIOD_KERNEL, PERIOD_STRIDE = 5, 3


def hifigan_init(layer: nn.Module) -> nn.Module:
    """``layer`` with weights from N(0, 0.01), as all of the generator's but the first."""
    assert isinstance(layer.weight, Tensor)
    nn.init.normal_(layer.weight, 0.0, 0.01)
    return layer


class DilatedBlock(nn.Module):
    """Activations ``[B, C, T]`` through residual pairs of convolutions, one for each dilation.

    h + conv_1(f(conv_d(f(h)))), f a leaky ReLU (appendix A.1).

    Args:
        channels: C.
        kernel: of all convolutions, odd.
        dilations: of the first convolution of each pair.
    """

    def __init__(self, channels: int, kernel: int, dilations: Sequence[int]) -> None:
        super().__init__()
        self.pairs = nn.ModuleList()
        for dilation in dilations:
            layers: list[nn.Module] = []
            for step in (dilation, 1):
                padding = step * (kernel // 2)
                conv = nn.Conv1d(channels, channels, kernel, dilation=step, padding=padding)
                layers += [nn.LeakyReLU(SLOPE), weight_norm(hifigan_init(conv))]
            self.pairs.append(nn.Sequential(*layers))

    def forward(self, h: Tensor) -> Tensor:
        for pair in self.pairs:
            h = h + pair(h)
        return h


class ReceptiveFieldFusion(nn.Module):
    """The mean of several `DilatedBlock`s over the same activations (section 2.2, MRF).

    Args:
        channels: of the activations.
        kernels: one for each block.
        dilations: of every block.
    """

    def __init__(self, channels: int, kernels: Sequence[int], dilations: Sequence[int]) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(DilatedBlock(channels, kernel, dilations) for kernel in kernels)

    def forward(self, h: Tensor) -> Tensor:
        total = torch.zeros_like(h)
        for block in self.blocks:
            total = total + block(h)
        return total / len(self.blocks)


class HiFiGANGenerator(nn.Module):
    """Mel spectrograms ``[B, bands, frames]`` to sounds ``[B, 1, T]`` in (-1, 1).

    A convolution, then for each rate a transposed convolution that makes as many of each step, at
    half the channels, and a `ReceptiveFieldFusion`. All have weight normalization. It takes
    spectrograms of any number of frames.

    Args:
        in_shape: ``[bands, frames]``.
        out_shape: ``[1, T]``, T the frames times the product of the rates.
        width: channels before the first rate (512 in V1, 128 in V2).
        rates: of the transposed convolutions, whose kernels are twice as long: even.
        kernels: of the fused blocks, odd.
        dilations: of every fused block.
    """

    def __init__(
        self,
        in_shape: Shape,
        out_shape: Shape,
        width: Count = 512,
        rates: Shape = (8, 8, 2, 2),
        kernels: Shape = (3, 7, 11),
        dilations: Shape = (1, 3, 5),
    ) -> None:
        super().__init__()
        check_rates(in_shape, out_shape, rates)
        if width % 2 ** len(rates):
            raise ValueError(
                f"generator.width must be a multiple of 2^{len(rates)}, as each of"
                f" {len(rates)} rates halves it, got {width}"
            )
        if any(kernel % 2 == 0 for kernel in kernels):
            raise ValueError(f"generator.kernels must be odd, got {list(kernels)}")
        layers: list[nn.Module] = [weight_norm(nn.Conv1d(in_shape[0], width, 7, padding=3))]
        for rate in rates:
            # (T - 1) r - 2 r / 2 + 2 r = r T.
            up = nn.ConvTranspose1d(width, width // 2, 2 * rate, rate, padding=rate // 2)
            layers += [nn.LeakyReLU(SLOPE), weight_norm(hifigan_init(up))]
            width //= 2
            layers.append(ReceptiveFieldFusion(width, kernels, dilations))
        last = weight_norm(hifigan_init(nn.Conv1d(width, out_shape[0], 7, padding=3)))
        self.layers = nn.Sequential(*layers, nn.LeakyReLU(LAST_SLOPE), last, nn.Tanh())

    def forward(self, mel: Tensor) -> Tensor:
        sounds: Tensor = self.layers(mel)
        return sounds


def check_rates(in_shape: Sequence[int], out_shape: Sequence[int], rates: Sequence[int]) -> None:
    """Raise `ValueError` unless the rates are even and lead from the frames to the samples."""
    if len(in_shape) != 2 or len(out_shape) != 2:
        raise ValueError(
            "generator=hifigan makes sounds [1, T] of mel spectrograms [bands, frames], got"
            f" {list(out_shape)} of {list(in_shape)}: use model=hifigan with data=tones or"
            " data=audio_folder"
        )
    frames, length = in_shape[1], out_shape[1]
    if any(rate % 2 for rate in rates) or frames * math.prod(rates) != length:
        raise ValueError(
            f"generator.rates must be even and have the product {length / frames:g}, the hop of the"
            f" mel spectrograms (data.derive.hop), got {list(rates)}"
        )


class ConvolutionScores(nn.Module):
    """Convolutions with leaky ReLUs and a last one, to scores and all activations.

    The activations include the scores, as in the authors' program.

    Args:
        hidden: the convolutions before the last.
        last: to one channel.
    """

    def __init__(self, hidden: Sequence[nn.Module], last: nn.Module) -> None:
        super().__init__()
        self.hidden = nn.ModuleList(hidden)
        self.last = last

    def forward(self, h: Tensor, x: Tensor) -> DiscriminatorOutput:
        """The output of ``x`` ``[B, 1, T]``, given as ``h`` ``[B, 1, ...]``."""
        features = []
        for layer in self.hidden:
            h = F.leaky_relu(layer(h), SLOPE)
            features.append(h)
        h = self.last(h)
        return DiscriminatorOutput(h.flatten(1), x, features=(*features, h))


class PeriodDiscriminator(nn.Module):
    """Sounds ``[B, C, T]`` as images with a row for each period of p samples (section 2.3, MPD).

    Kernels are 5 periods high and one sample wide, so that a score sees every p-th sample alone.
    The end is reflected up to a whole period.

    Args:
        channels: of the sounds.
        period: p.
        width: channels after the first layer (32 in the paper).
    """

    def __init__(self, channels: int, period: Count, width: Count) -> None:
        super().__init__()
        self.period = period
        widths = [channels, width, 4 * width, 16 * width, 32 * width, 32 * width]
        hidden = []
        for number, c_in in enumerate(widths[:-1]):
            # The last of them keeps the height.
            stride = PERIOD_STRIDE if number < len(widths) - 2 else 1
            size, padding = (PERIOD_KERNEL, 1), (PERIOD_KERNEL // 2, 0)
            conv = nn.Conv2d(c_in, widths[number + 1], size, (stride, 1), padding)
            hidden.append(weight_norm(conv))
        last = weight_norm(nn.Conv2d(widths[-1], 1, (3, 1), padding=(1, 0)))
        self.scores = ConvolutionScores(hidden, last)

    def forward(self, x: Tensor) -> DiscriminatorOutput:
        rest = -x.shape[2] % self.period
        padded = F.pad(x, (0, rest), "reflect") if rest else x
        rows = padded.reshape(*x.shape[:2], -1, self.period)
        output: DiscriminatorOutput = self.scores(rows, x)
        return output


class ScaleDiscriminator(nn.Module):
    """Sounds ``[B, C, T]``, perhaps averaged before, through grouped convolutions of 41 taps.

    MelGAN's (Kumar et al. 2019) with more channels (section 2.3, MSD).

    Args:
        channels: of the sounds.
        width: channels after the first layer (128 in the paper).
        norm: ``spectral``, or ``weight``.
    """

    def __init__(self, channels: int, width: Count, norm: str) -> None:
        super().__init__()
        normalized = spectral_norm if norm == "spectral" else weight_norm
        # Channels out, kernel, stride, groups; small networks have fewer groups.
        shapes = [
            (width, 15, 1, 1),
            (width, 41, 2, 4),
            (2 * width, 41, 2, 16),
            (4 * width, 41, 4, 16),
            (8 * width, 41, 4, 16),
            (8 * width, 41, 1, 16),
            (8 * width, 5, 1, 1),
        ]
        hidden = []
        for c_out, kernel, stride, groups in shapes:
            groups = math.gcd(groups, channels, c_out)
            conv = nn.Conv1d(channels, c_out, kernel, stride, kernel // 2, groups=groups)
            hidden.append(normalized(conv))
            channels = c_out
        self.scores = ConvolutionScores(hidden, normalized(nn.Conv1d(channels, 1, 3, padding=1)))

    def forward(self, x: Tensor) -> DiscriminatorOutput:
        output: DiscriminatorOutput = self.scores(x, x)
        return output


class HiFiGANDiscriminator(nn.Module):
    """Sounds ``[B, C, T]`` to a `DiscriminatorOutput` with a part for each period and each scale.

    Scale k sees the sound averaged to 1 / 2^k of its rate, scale 0 with spectral normalization, all
    others with weight normalization. The features of a part are all of its activations.

    Args:
        sample_shape: ``[C, T]``, T more than the largest period.
        periods: p of each `PeriodDiscriminator`, >= 2.
        scales: number of `ScaleDiscriminator`s.
        width: channels after the first layer of the former (32 in the paper); the latter have four
            times as many.
    """

    def __init__(
        self,
        sample_shape: Shape,
        periods: Shape = (2, 3, 5, 7, 11),
        scales: Count = 3,
        width: Count = 32,
    ) -> None:
        super().__init__()
        if len(sample_shape) != 2:
            raise ValueError(
                "discriminator=hifigan works on sounds; the data's sample_shape is"
                f" {list(sample_shape)}: use data=tones or data=audio_folder"
            )
        channels, length = sample_shape
        if min(periods) < 2 or max(periods) >= length:
            raise ValueError(
                f"discriminator.periods must be from 2 to below the {length} samples of a sound,"
                f" got {list(periods)}"
            )
        self.periods = nn.ModuleList(PeriodDiscriminator(channels, p, width) for p in periods)
        self.scales = nn.ModuleList(
            ScaleDiscriminator(channels, 4 * width, "weight" if number else "spectral")
            for number in range(scales)
        )
        self.num_parts = len(periods) + scales

    def forward(self, x: Tensor) -> DiscriminatorOutput:
        parts = [discriminator(x) for discriminator in self.periods]
        averaged = x
        for number, discriminator in enumerate(self.scales):
            if number > 0:
                averaged = F.avg_pool1d(averaged, 4, stride=2, padding=2)
            parts.append(discriminator(averaged))

        # All scores as one row, and the outputs of each discriminator as parts.
        scores = torch.cat([part.score for part in parts], 1)
        features = tuple(feature for part in parts for feature in part.features)
        return DiscriminatorOutput(scores, x, features=features, parts=tuple(parts))
