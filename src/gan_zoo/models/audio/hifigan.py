"""The vocoder: sounds of mel spectrograms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from torch import nn

from gan_zoo.core.types import (
    AdversarialTerm,
    Batch,
    FakeSamples,
    LossTerms,
    Shape,
    TermOutputs,
    Weight,
)
from gan_zoo.models.translation.paired import PairedTranslation
from gan_zoo.models.translation.pix2pixhd import feature_distance


class HiFiGAN(PairedTranslation):
    """A generator makes the sound b whose mel spectrogram is a (Kong et al. 2020, eq. 1 to 7).

    With discriminators D_k of several periods and scales, f_ki the activations of layer i of D_k,

        L_D = w_a sum_k l_D(D_k(b), D_k(G(a)))
        L_G = sum_k [w_a l_G(D_k(G(a))) + w_f sum_i |f_ki(b) - f_ki(G(a))|] + w_r d(G(a), b),

    each distance a mean over activations, those of reals without gradient. Sums over k as in the
    paper, not means as elsewhere here: d would otherwise weigh as many times more as there are
    discriminators. Adversarial term ``realism``, loss terms ``reconstruction`` and ``features``;
    terms of weight 0 are left out.

    Samples need a spectrogram: they rebuild sounds of the data.

    Args:
        generator: makes a network from spectrograms to sounds, called with ``in_shape`` and
            ``out_shape``.
        discriminator: makes a discriminator of sounds that shows its features.
        reconstruction: d, ``(output, target) -> scalar``.
        a_shape: ``[bands, frames]`` of spectrograms.
        b_shape: ``[1, T]`` of sounds.
        adversarial_weight: w_a, on both sides: 2 for the paper's with `LeastSquares`, which has a
            factor of 1/2 that the paper's loss does not have.
        feature_weight: w_f (2 in the paper).
        reconstruction_weight: w_r (45 in the paper).
    """

    generator_sees_real: ClassVar[bool] = True

    def __init__(
        self,
        generator: Callable[..., nn.Module],
        discriminator: Callable[..., nn.Module],
        reconstruction: nn.Module,
        a_shape: Shape | None,
        b_shape: Shape,
        adversarial_weight: Weight = 2.0,
        feature_weight: Weight = 2.0,
        reconstruction_weight: Weight = 45.0,
    ) -> None:
        if a_shape is None or len(a_shape) != 2 or len(b_shape) != 2:
            raise ValueError(
                "model=hifigan makes sounds of mel spectrograms (data=tones or data=audio_folder"
                f" with data/derive=mel), got {list(b_shape)} of {a_shape}"
            )
        if feature_weight < 0:
            raise ValueError(f"feature_weight must be >= 0, got {feature_weight}")
        super().__init__(
            generator(in_shape=a_shape, out_shape=b_shape),
            discriminator(),
            reconstruction,
            reconstruction_weight,
            adversarial_weight,
            conditional=False,
        )
        self.feature_weight = feature_weight

    @property
    def translates(self) -> bool:
        """No: spectrograms are no images of files."""
        return False

    @property
    def num_discriminators(self) -> int:
        """K, over which losses and features are summed."""
        counts = (getattr(part, "num_parts", 1) for part in self.discriminators.modules())
        return max(counts)

    def adversarial_terms(self, batch: Batch, fakes: FakeSamples) -> Sequence[AdversarialTerm]:
        # Losses are means over the discriminators: their number makes sums of them.
        weight = self.adversarial_weight * self.num_discriminators
        term = AdversarialTerm(
            "realism",
            self.discriminators["main"],
            batch.real,
            fakes["fake"],
            discriminator_weight=weight,
            generator_weight=weight,
        )
        return [term]

    def generator_terms(
        self, batch: Batch, fakes: FakeSamples, outputs: Sequence[TermOutputs]
    ) -> LossTerms:
        terms: LossTerms = {}
        if self.reconstruction_weight > 0:
            terms |= super().generator_terms(batch, fakes, outputs)
        if self.feature_weight > 0:
            (output,) = outputs
            assert output.real is not None
            weight = self.feature_weight * self.num_discriminators
            terms["features"] = weight * feature_distance(output.fake, output.real)
        return terms
