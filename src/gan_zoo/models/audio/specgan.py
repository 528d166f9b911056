"""The model of spectrograms, which are sounds once they are sampled."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn

from gan_zoo.core.spectrogram import check_frames, griffin_lim, stft
from gan_zoo.core.types import AdversarialTerm, Batch, Count, FakeSamples, SampleRequest, Whole
from gan_zoo.models.gan import GAN

LEAST_MAGNITUDE = 1e-6
"""Added to magnitudes before their logarithm."""
LEAST_DEVIATION = 1e-5
"""Bins that never change are divided by this."""
CLIP = 3.0
"""Standard deviations that a spectrogram in [-1, 1] spans on either side."""


class LogSpectrogram(nn.Module):
    """Sounds ``[B, 1, T]`` to normalized log-magnitude spectrograms in [-1, 1], and back.

    With X_f = log(|S_f| + 1e-6) of bin f of the short-time Fourier transform S, and its mean m_f
    and standard deviation s_f over the data, y_f = clip((X_f - m_f) / s_f, -3, 3) / 3. The highest
    bin, half the sample rate, is left out, so that there are ``window / 2``; in sounds it is
    silent.

    Args:
        window: samples in a frame, even.
        hop: samples between frames.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, window: Count, hop: Count) -> None:
        super().__init__()
        self.window = window
        self.hop = hop
        # Facts of the data, which checkpoints and exports hold: see `measure`.
        self.register_buffer("mean", torch.zeros(window // 2))
        self.register_buffer("deviation", torch.ones(window // 2))

    def log_magnitudes(self, sounds: Tensor) -> Tensor:
        """X, ``[B, window / 2, frames]``."""
        spectra = stft(sounds.flatten(0, 1), self.window, self.hop)
        return (spectra[:, :-1].abs() + LEAST_MAGNITUDE).log()

    @torch.no_grad()
    def measure(self, blocks: Iterable[Tensor]) -> None:
        """Set mean and deviation of each bin from all sounds, in blocks ``[B, 1, T]``."""
        count = 0
        shape = len(self.mean)
        sums = torch.zeros(2, shape, dtype=torch.float64)
        for block in blocks:
            # Moments in double precision, as the difference of two large sums.
            found = self.log_magnitudes(block.cpu()).transpose(0, 1).flatten(1).double()
            sums += torch.stack([found.sum(1), found.square().sum(1)])
            count += found.shape[1]
        mean, square = sums / count
        self.mean.copy_(mean)
        self.deviation.copy_((square - mean.square()).clamp(min=0).sqrt())

    def forward(self, sounds: Tensor) -> Tensor:
        """Spectrograms ``[B, 1, window / 2, frames]``."""
        mean, deviation = self.scale()
        standard = (self.log_magnitudes(sounds) - mean) / deviation
        return (standard.clamp(-CLIP, CLIP) / CLIP).unsqueeze(1)

    def sounds(self, spectrograms: Tensor, phases: Tensor, iterations: int) -> Tensor:
        """Sounds ``[B, 1, T]`` in [-1, 1] of spectrograms, by Griffin and Lim's algorithm.

        Args:
            phases: to begin with, ``[B, window / 2, frames]`` in radians.
            iterations: of the algorithm.
        """
        mean, deviation = self.scale()
        logarithms = CLIP * spectrograms.float().squeeze(1) * deviation + mean
        magnitudes = (logarithms.exp() - LEAST_MAGNITUDE).clamp(min=0)

        # The highest bin, which was left out, is silent.
        magnitudes = nn.functional.pad(magnitudes, (0, 0, 0, 1))
        phases = nn.functional.pad(phases, (0, 0, 0, 1))
        sounds = griffin_lim(magnitudes, phases, self.window, self.hop, iterations)
        return sounds.clamp(-1, 1).unsqueeze(1)

    def scale(self) -> tuple[Tensor, Tensor]:
        """Mean and deviation, each ``[window / 2, 1]``."""
        return self.mean[:, None], self.deviation.clamp(min=LEAST_DEVIATION)[:, None]


class SpecGAN(GAN):
    """A generator and a discriminator of log-magnitude spectrograms (Donahue et al. 2019, section
    3.2).

    Reals are the `LogSpectrogram` y of the sounds x, and the networks never see a waveform:
    L = l(D(y(x)), D(G(z))). Samples are sounds that Griffin and Lim's algorithm finds for G(z),
    from random phases. Mean and deviation of each bin are those of the training data, which
    `measure` is given before the first step.

    Args:
        generator, discriminator: make networks of images, called with ``sample_shape`` ``[1,
            window / 2, T / hop]``.
        sample_shape: ``[1, T]`` of the sounds.
        window: samples in a frame, even; None for 2 sqrt(T), the paper's 256 for 16,384 samples,
            which makes spectrograms square.
        hop: samples between frames; None for half the window.
        iterations: of Griffin and Lim's algorithm (16 in the paper).
        latent_dim, prior: as in `GAN`.
    """

    compares_samples: ClassVar[bool] = False

    def __init__(
        self,
        generator: Callable[..., nn.Module],
        discriminator: Callable[..., nn.Module],
        sample_shape: Sequence[int],
        window: Count | None = None,
        hop: Count | None = None,
        iterations: Whole = 16,
        latent_dim: Count = 100,
        prior: str = "uniform",
    ) -> None:
        window, hop, frames = spectrogram_size(sample_shape, window, hop)
        shape = [1, window // 2, frames]
        super().__init__(
            lambda latent_dim: generator(latent_dim=latent_dim, sample_shape=shape),
            lambda: discriminator(sample_shape=shape),
            latent_dim,
            prior,
        )
        # Among the generators, as samples need it: no weights, but the scale of the data.
        self.generators["spectrogram"] = LogSpectrogram(window, hop)
        self.iterations = iterations

    def measure(self, blocks: Iterable[Tensor]) -> None:
        self.spectrogram(self.generators).measure(blocks)

    def spectrogram(self, generators: nn.ModuleDict) -> LogSpectrogram:
        """The part of ``generators`` between sounds and spectrograms."""
        part = generators["spectrogram"]
        assert isinstance(part, LogSpectrogram)
        return part

    def generate(self, batch: Batch) -> FakeSamples:
        inputs = self.generator_inputs(self.request_for(batch), self.generators)
        return {"fake": self.generators["main"](*inputs)}

    def adversarial_terms(self, batch: Batch, fakes: FakeSamples) -> Sequence[AdversarialTerm]:
        real = self.spectrogram(self.generators)(batch.real)
        return [AdversarialTerm("realism", self.discriminators["main"], real, fakes["fake"])]

    def sample(self, request: SampleRequest, generators: nn.ModuleDict) -> Tensor:
        spectrograms = generators["main"](*self.generator_inputs(request, generators))
        uniform = request.rng.uniform("phases", request.size, *spectrograms.shape[2:])
        phases = math.pi * (2 * uniform.to(spectrograms.device) - 1)
        return self.spectrogram(generators).sounds(spectrograms, phases, self.iterations)


def spectrogram_size(
    sample_shape: Sequence[int], window: int | None, hop: int | None
) -> tuple[int, int, int]:
    """Window, hop and number of frames of sounds ``[1, T]``, where None leaves them to T.

    Raises:
        ValueError: for samples that are no sounds of one channel, or sizes that do not fit.
    """
    if len(sample_shape) != 2 or sample_shape[0] != 1:
        raise ValueError(
            "model=specgan works on sounds of one channel; the data's sample_shape is"
            f" {list(sample_shape)}: use data=tones or data=audio_folder, or use model=gan for"
            " vectors, model=dcgan for images"
        )
    length = sample_shape[1]
    if window is None:
        window = 2 * math.isqrt(length)
    hop = window // 2 if hop is None else hop
    try:
        if window % 2:
            raise ValueError(f"the window must be even, got {window}")
        return window, hop, check_frames(length, window, hop)
    except ValueError as error:
        raise ValueError(
            f"model=specgan with data.length={length}, model.window={window}, model.hop={hop}:"
            f" {error}; set model.window and model.hop, or data.length to 1024, 4096 or 16384"
        ) from error
