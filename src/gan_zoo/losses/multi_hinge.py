"""The multi-class hinge loss."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn.functional import one_hot

from gan_zoo.core.types import DiscriminatorOutput
from gan_zoo.losses.base import Loss


class MultiHinge(Loss):
    """Hinge loss of a discriminator with a score for each class and one for fakes.

    Kavalerov et al. 2021 (MHGAN), eq. 5 to 7. With scores s ``[B, K + 1]`` of which the last is
    that of fakes, and m(s, y) = 1 + max_{k != y} s_k - s_y: L_D = E m(s(x), y)+ + E m(s(G(z)),
    K)+, L_G = E m(s(G(z)), y)+ with the class y that the generator was given.

    The scores are the output's ``aux``, the classes its ``condition``: for ``model=mhgan``.
    """

    def check(self, discriminator: nn.Module) -> None:
        if not any(getattr(part, "scores_classes", False) for part in discriminator.modules()):
            raise ValueError(
                "loss=multi_hinge needs a score for each class and one for fakes: add model=mhgan, "
                f"got {type(discriminator).__name__}"
            )

    def discriminator(self, real: DiscriminatorOutput, fake: DiscriminatorOutput) -> Tensor:
        fakes = fake.aux.new_full((len(fake.aux),), fake.aux.shape[1] - 1).long()
        return hinge(real.aux, real.condition) + hinge(fake.aux, fakes)

    def generator(
        self, fake: DiscriminatorOutput, real: DiscriminatorOutput | None = None
    ) -> Tensor:
        return hinge(fake.aux, fake.condition)


def hinge(scores: Tensor, labels: Tensor) -> Tensor:
    """E (1 + max_{k != y} s_k - s_y)+."""
    is_label = one_hot(labels, scores.shape[1]).bool()
    best_other = scores.masked_fill(is_label, float("-inf")).max(1).values
    own = scores.gather(1, labels[:, None])[:, 0]
    return (1 + best_other - own).relu().mean()
