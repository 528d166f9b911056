"""f-GAN: variational minimization of eight f-divergences."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid, softplus

from gan_zoo.core.types import DiscriminatorOutput, LossTerms
from gan_zoo.losses.base import Loss, soft_clip


@dataclass(frozen=True, slots=True)
class Divergence:
    """An f-divergence as functions of the raw score v, finite for every v.

    Attributes:
        g: the output activation, whose range is the domain of f*.
        conjugate: f*(g(v)).
        threshold: the raw score at which g(v) = f'(1), where both sides are equally likely.
    """

    g: Callable[[Tensor], Tensor]
    conjugate: Callable[[Tensor], Tensor]
    threshold: float = 0.0


KL = Divergence(
    g=soft_clip,
    conjugate=lambda v: (soft_clip(v) - 1.0).exp(),
    threshold=1.0,
)
REVERSE_KL = Divergence(
    g=lambda v: -soft_clip(-v).exp(),
    conjugate=lambda v: soft_clip(v) - 1.0,
)
PEARSON = Divergence(
    g=lambda v: v,
    conjugate=lambda v: v.square() / 4.0 + v,
)
NEYMAN = Divergence(
    g=lambda v: -torch.expm1(soft_clip(-v)),
    conjugate=lambda v: -2.0 * torch.expm1(soft_clip(-v) / 2.0),
)
HELLINGER = Divergence(
    g=lambda v: -torch.expm1(soft_clip(-v)),
    conjugate=lambda v: torch.expm1(soft_clip(v)),
)
JENSEN_SHANNON = Divergence(
    g=lambda v: math.log(2.0) + logsigmoid(v),
    conjugate=lambda v: softplus(v) - math.log(2.0),
)
GAN = Divergence(
    g=logsigmoid,
    conjugate=softplus,
)
TOTAL_VARIATION = Divergence(
    g=lambda v: torch.tanh(v) / 2.0,
    conjugate=lambda v: torch.tanh(v) / 2.0,
)

# Names of the config key divergence.
DIVERGENCES = {
    "kl": KL,
    "reverse_kl": REVERSE_KL,
    "pearson": PEARSON,
    "neyman": NEYMAN,
    "hellinger": HELLINGER,
    "jensen_shannon": JENSEN_SHANNON,
    "gan": GAN,
    "total_variation": TOTAL_VARIATION,
}


class FGAN(Loss):
    """The discriminator's objective is a lower bound of D_f(P || Q).

    It is tight at g(D(x)) = f'(p(x) / q(x)).

    Nowozin et al. 2016, eq. 6 and table 2: L_D = -(E g(D(x)) - E f*(g(D(G(z))))). The generator
    minimizes the bound, L_G = -E f*(g(D(G(z)))), or, ``practical`` (section 3.2 there), L_G = -E
    g(D(G(z))), whose gradient does not vanish while the discriminator is ahead. Scores are raw: the
    discriminator has no output activation.

    Args:
        divergence: kl, reverse_kl, pearson, neyman, hellinger (squared), jensen_shannon, gan or
            total_variation.
        practical: whether the generator uses the non-saturating form.
    """

    def __init__(self, divergence: str = "jensen_shannon", practical: bool = True) -> None:
        super().__init__()
        if divergence not in DIVERGENCES:
            raise ValueError(
                f"divergence must be one of {', '.join(DIVERGENCES)}, got {divergence!r}"
            )
        self.divergence = divergence
        self.practical = practical
        self.threshold = DIVERGENCES[divergence].threshold

    def variational_bound(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        """The lower bound of the divergence, E g(D(x)) - E f*(g(D(G(z))))."""
        f = DIVERGENCES[self.divergence]
        return f.g(real.score).mean() - f.conjugate(fake.score).mean()

    def discriminator(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        return -self.variational_bound(real, fake)

    def generator(
        self, fake: DiscriminatorOutput, real: DiscriminatorOutput | None = None
    ) -> Tensor:
        f = DIVERGENCES[self.divergence]
        return -f.g(fake.score).mean() if self.practical else -f.conjugate(fake.score).mean()

    def log_values(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> LossTerms:
        """``divergence``: the bound. For ``gan`` it is 2 JS - 2 log 2."""
        return {"divergence": self.variational_bound(real, fake)}
