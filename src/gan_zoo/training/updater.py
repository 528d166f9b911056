"""One step of one player: backward, mean over processes, finite check, clip, optimizer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor, nn

from gan_zoo.core.distributed import average_gradients
from gan_zoo.core.types import LossTerms, total_loss
from gan_zoo.training.divergence import DivergenceDetector
from gan_zoo.training.player import Player, gradient_norm


class Updater:
    """Minimizes the sum of a player's terms by one step of its optimizer.

    Args:
        backward: what runs the backward pass, such as `LightningModule.manual_backward`.
        statistics: running statistics of the networks, which processes average.
        watch: stops training before the weights leave the finite numbers.
        clip_grad_norm: largest gradient norm of a player, or None.
    """

    def __init__(
        self,
        backward: Callable[[Tensor], Any],
        statistics: Sequence[Tensor],
        watch: DivergenceDetector,
        clip_grad_norm: float | None,
    ) -> None:
        self.backward = backward
        self.statistics = statistics
        self.watch = watch
        self.clip_grad_norm = clip_grad_norm

    def step(self, player: Player, terms: LossTerms, step: int, last: bool) -> None:
        """One step of ``player``.

        Args:
            player: whose parameters move.
            terms: scalars whose sum is minimized.
            step: the number of the batch, for messages.
            last: whether this is the last step on the batch, after which running statistics rest.

        Raises:
            TrainingDiverged: if a term or a gradient is not finite, before the weights take it on.
        """
        for parameter in player.parameters:
            parameter.grad = None
        total = total_loss(terms)
        self.backward(total)

        # Statistics ride with the gradients of the batch's last step.
        average_gradients(player.parameters, self.statistics if last else ())
        self.watch.observe(player, terms, total, step)

        if self.clip_grad_norm is not None:
            player.gradient_norm = gradient_norm(player.parameters)
            nn.utils.clip_grads_with_norm_(player.parameters, self.clip_grad_norm, player.gradient_norm)
        player.step()

    def gradient_norm(self, player: Player) -> Tensor:
        """The norm of the player's last gradient, before clipping."""
        return gradient_norm(player.parameters) if self.clip_grad_norm is None else player.gradient_norm
