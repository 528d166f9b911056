"""Losses whose discriminator is the logistic one, with other generators."""

from __future__ import annotations

from torch import Tensor

from gan_zoo.core.types import DiscriminatorOutput
from gan_zoo.losses.minimax import Minimax


class BoundarySeeking(Minimax):
    """BGAN: the generator seeks the decision boundary, where the discriminator is undecided.

    Hjelm et al. 2018, eq. 14: L_G = 1/2 E (log sigmoid(D) - log(1 - sigmoid(D)))^2 = 1/2 E
    D(G(z))^2, D the logit.

    Args:
        label_smoothing: as in `Minimax`.
    """

    def generator(
        self, fake: DiscriminatorOutput, real: DiscriminatorOutput | None = None
    ) -> Tensor:
        return 0.5 * fake.score.square().mean()


class ReverseKL(Minimax):
    """The generator minimizes an estimate of KL(p_G || p_data).

    L_G = -E D(G(z)): at the best discriminator the logit is log p_data / p_G (as in VEEGAN,
    Srivastava et al. 2017, section 3). It has no bound below: combine it with ``regularizer=[r1]``.

    Args:
        label_smoothing: as in `Minimax`.
    """

    def generator(
        self, fake: DiscriminatorOutput, real: DiscriminatorOutput | None = None
    ) -> Tensor:
        return -fake.score.mean()
