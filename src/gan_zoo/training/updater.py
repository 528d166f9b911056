"""One optimizer step of one side: backward, mean over processes, finite check, clipping, step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from gan_zoo.core.distributed import average_gradients
from gan_zoo.core.types import LossTerms, total_loss
from gan_zoo.training.divergence import DivergenceDetector
from gan_zoo.training.gradients import gradient_norm, gradient_norms

if TYPE_CHECKING:
    from gan_zoo.training.module import GANModule

SMALL = 4096  # numbers


class Updater:
    """Minimizes the sum of the terms of one side, the discriminators' or the generators', by
    optimizer steps.

    Args:
        name: of the side, in messages.
        parameters: all that this side trains.
        optimizer_step: steps the optimizer of these parameters.
        backward: runs the backward pass, such as `LightningModule.manual_backward`.
        statistics: running statistics of the networks, which processes average.
        detector: stops training before the weights become NaN or infinite.
        clip_grad_norm: largest gradient norm, or None.
    """

    def __init__(
        self,
        name: str,
        parameters: Sequence[nn.Parameter],
        optimizer_step: Callable[[], Any],
        backward: Callable[[Tensor], Any],
        statistics: Sequence[Tensor],
        detector: DivergenceDetector,
        clip_grad_norm: float | None,
    ) -> None:
        self.name = name
        self.parameters = list(parameters)
        self.optimizer_step = optimizer_step
        self.backward = backward
        self.statistics = statistics
        self.detector = detector
        self.clip_grad_norm = clip_grad_norm
        self._norm_before_clipping = torch.zeros((), device=self.parameters[0].device)
        self._terms: LossTerms = {}
        self._total: Tensor | None = None

        # A backward pass that leaves the finite numbers anywhere also reaches biases and
        # normalizations, whose gradients are cheap to check in every step.
        smallest = min(self.parameters, key=nn.Parameter.numel)
        self.monitored = [p for p in self.parameters if p.numel() <= SMALL or p is smallest]

    def accumulate(self, terms: LossTerms, parts: int = 1) -> None:
        """Add the gradients of the terms of one of ``parts`` equal parts of the batch."""
        total = total_loss(terms)
        if parts > 1:
            total = total / parts

        # The first part begins the sums, further ones add to them.
        if self._total is None:
            for parameter in self.parameters:
                parameter.grad = None
            self._total = total.detach()
            self._terms = (
                {name: term.detach() / parts for name, term in terms.items()}
                if parts > 1
                else terms
            )
        else:
            self._total = self._total + total.detach()
            self._terms = {
                name: self._terms[name] + term.detach() / parts for name, term in terms.items()
            }
        self.backward(total)

    def step(self, step: int, last: bool) -> LossTerms:
        """One step of the optimizer on the accumulated gradients.

        Args:
            step: the number of the batch, for messages.
            last: whether this is the last step on the batch; running statistics are averaged with
                it.

        Returns:
            The terms, as means over the parts of the batch.

        Raises:
            TrainingDiverged: if a term or a gradient is not finite, before the weights are changed.
        """
        assert self._total is not None

        # The next batch begins with nothing accumulated.
        terms = self._terms
        total = self._total
        self._terms = {}
        self._total = None

        # Running statistics travel with the gradients of the batch's last step.
        average_gradients(self.parameters, self.statistics if last else ())
        self.detector.check(self.name, terms, total, gradient_norms(self.monitored), step)

        # The norm is kept for the log, as clipping changes the gradients.
        if self.clip_grad_norm is not None:
            self._norm_before_clipping = gradient_norm(self.parameters)
            nn.utils.clip_grads_with_norm_(
                self.parameters, self.clip_grad_norm, self._norm_before_clipping
            )
        self.optimizer_step()
        return terms

    def gradient_norm(self) -> Tensor:
        """The norm of the last gradient, before clipping."""
        return (
            gradient_norm(self.parameters)
            if self.clip_grad_norm is None
            else self._norm_before_clipping
        )


def running_statistics(networks: nn.Module) -> list[Tensor]:
    """The buffers named ``running_mean`` and ``running_var``, which processes average."""
    names = ("running_mean", "running_var")
    return [buffer for name, buffer in networks.named_buffers() if name.endswith(names)]


def make_updaters(module: GANModule) -> dict[str, Updater]:
    """An updater for each side of a module that is about to be trained, by name."""
    # Lightning counts the steps of optimizers that are stepped through its wrapper: one for each
    # batch.
    wrapped: Any = module.optimizers()
    counted = wrapped[0] if isinstance(wrapped, list) else wrapped
    optimizer_steps = [
        counted.step,
        *(optimizer.step for optimizer in module.trainer.optimizers[1:]),
    ]

    updaters = {}
    for (side, parameters), optimizer_step in zip(
        module.parameter_groups().items(), optimizer_steps, strict=True
    ):
        updaters[side] = Updater(
            side,
            parameters,
            optimizer_step,
            module.manual_backward,
            running_statistics(module.model),
            module.divergence_detector,
            module.clip_grad_norm,
        )
    return updaters
