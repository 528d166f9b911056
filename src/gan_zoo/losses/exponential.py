"""The exponential loss."""

from __future__ import annotations

from torch import Tensor

from gan_zoo.core.types import DiscriminatorOutput, Positive
from gan_zoo.losses.base import Loss, soft_clip


class Exponential(Loss):
    """The exponential margin loss of boosting.

    L_D = E exp(-D(x)) + E exp(D(G(z))), L_G = E exp(-D(G(z))). At the best discriminator, D = 1/2
    log(p/q), L_D is 2 * integral sqrt(pq): the squared Hellinger distance. Beyond ``limit`` the
    exponentials continue along their tangents.

    Args:
        limit: the score up to which the exponential is exact, > 0.
    """

    def __init__(self, limit: Positive = 10.0) -> None:
        super().__init__()
        if limit <= 0:
            raise ValueError(f"limit must be > 0, got {limit}")
        self.limit = limit

    def margin_loss(self, margin: Tensor) -> Tensor:
        """The mean of exp(-margin), finite for every margin."""
        return soft_clip(-margin, self.limit).exp().mean()

    def discriminator(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        return self.margin_loss(real.score) + self.margin_loss(-fake.score)

    def generator(
        self, fake: DiscriminatorOutput, real: DiscriminatorOutput | None = None
    ) -> Tensor:
        return self.margin_loss(fake.score)
