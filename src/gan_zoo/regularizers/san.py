"""The direction of a sliced discriminator's last layer."""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import AdversarialTerm, Count, DiscriminatorOutput, Positive
from gan_zoo.regularizers.base import Regularizer


class SAN(Regularizer):
    """Turns the last layer to where it tells reals from fakes best (Takida et al. 2024, eq. 12).

    For a discriminator D(x) = |w| u.h(x), u = w / |w|, whose adversarial loss trains h and |w|
    alone, as with ``discriminator.norm=sliced+batch``, it adds

        weight * (E <u, sg(|w| h(G(z)))> - E <u, sg(|w| h(x))>),

    a Wasserstein loss of u: the discriminator is then a metric of distributions. Works with every
    loss whose scores are high for reals.

    Args:
        weight: 1 in the paper.
        every: see `Regularizer`.
    """

    needs_double_backward: ClassVar[bool] = False
    needs_high_is_real: ClassVar[bool] = True

    def __init__(self, weight: Positive = 1.0, every: Count = 1) -> None:
        super().__init__(every)
        self.weight = weight

    def check(self, discriminator: nn.Module) -> None:
        if not any(getattr(module, "sliced", False) for module in discriminator.modules()):
            raise ValueError(
                "regularizer=san needs a discriminator whose last layer is sliced: add"
                " discriminator.norm=sliced+batch (or sliced+layer, sliced+spectral, sliced+none),"
                f" got {type(discriminator).__name__} with another norm"
            )

    def penalty(
        self,
        term: AdversarialTerm,
        real: DiscriminatorOutput,
        fake: DiscriminatorOutput,
        rng: StepRNG,
    ) -> Tensor:
        assert real.direction is not None
        assert fake.direction is not None
        return self.weight * (fake.direction.mean() - real.direction.mean())
