"""Unrolled discriminators."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from gan_zoo.core.layers import WithWeights
from gan_zoo.core.types import AdversarialTerm
from gan_zoo.regularizers.base import GeneratorRegularizer
from gan_zoo.training.adversarial_step import AdversarialStep, over_parts
from gan_zoo.training.modes import full_precision

Weights = dict[str, Tensor]
OTHER_SETTINGS = ("momentum", "weight_decay", "amsgrad", "maximize")
TINY = 1e-16  # keeps the derivative of a root finite


class Unrolling:
    """The generators minimize against discriminators after ``steps`` more of their steps (Metz et
    al. 2017, eq. 5 to 7).

    What they minimize is the negative of the discriminators' whole loss: its part on reals depends
    on the generators, too, through the steps, and makes them cover all modes.

    The steps are those of the discriminators' optimizer (plain SGD or Adam, from its current state)
    on this batch's adversarial terms, and gradients flow through them; the discriminators
    themselves stay as they are, and so do layers that are not trained. Penalties and the model's
    own terms take no part in these steps.

    Args:
        steps: k, >= 1.
        optimizer: of the discriminators.

    Raises:
        ValueError: for another optimizer, or settings of it that these steps do not have.
    """

    def __init__(self, steps: int, optimizer: Optimizer) -> None:
        if not isinstance(optimizer, (torch.optim.SGD, torch.optim.Adam)):
            raise ValueError(
                "loss.unroll works with SGD and Adam as the discriminator's optimizer, got"
                f" {type(optimizer).__name__}"
            )
        for group in optimizer.param_groups:
            used = [name for name in OTHER_SETTINGS if group.get(name)]
            if used:
                raise ValueError(
                    f"loss.unroll steps without {used[0]}: set optim.discriminator.{used[0]} to 0"
                    f" or false, got {group[used[0]]}"
                )
        self.steps = steps
        self.optimizer = optimizer
        self.trained = {p for group in optimizer.param_groups for p in group["params"]}

    def __call__(
        self, terms: Sequence[AdversarialTerm], adversarial: AdversarialStep
    ) -> list[AdversarialTerm]:
        """The terms with updated discriminators."""
        networks = {id(term.discriminator): term.discriminator for term in terms}
        updated: dict[int, nn.Module] = {}
        for key, network in networks.items():
            own = [term for term in terms if term.discriminator is network]
            updated[key] = WithWeights(network, self.unrolled(network, own, adversarial))
        return [replace(term, discriminator=updated[id(term.discriminator)]) for term in terms]

    def unrolled(
        self, network: nn.Module, terms: Sequence[AdversarialTerm], adversarial: AdversarialStep
    ) -> Weights:
        """The weights of ``network`` after the steps, as functions of the fakes."""
        trained = {name: p for name, p in network.named_parameters() if p in self.trained}
        step_rule = self.step_rule(trained)
        weights = {name: p.detach().requires_grad_() for name, p in trained.items()}

        # Every step continues from the weights of the last, with its graph.
        for _ in range(self.steps):
            trial = WithWeights(network, weights)

            # What the discriminator minimizes on all of its terms, without penalties.
            losses = []
            for term in terms:
                virtual = replace(term, discriminator=trial)
                with full_precision(term.real.device):
                    real = virtual.discriminate_real()
                    loss = over_parts(
                        adversarial.loss_for(term).discriminator, real, virtual.discriminate_fake()
                    )
                losses.append(term.discriminator_weight * loss)

            # Weights that no term depends on have no gradient, and stay as they are.
            total = torch.stack(losses).sum()
            gradients = torch.autograd.grad(
                total, list(weights.values()), create_graph=True, allow_unused=True
            )
            weights = step_rule(weights, dict(zip(weights, gradients, strict=True)))
        return weights

    def step_rule(
        self, trained: Mapping[str, nn.Parameter]
    ) -> Callable[[Weights, dict[str, Tensor | None]], Weights]:
        """One differentiable step of the optimizer after another."""
        group = self.optimizer.param_groups[0]
        if isinstance(self.optimizer, torch.optim.SGD):
            return lambda weights, gradients: sgd_step(weights, gradients, group["lr"])
        # Not by [], which would add states to the optimizer.
        states = {name: self.optimizer.state.get(p, {}) for name, p in trained.items()}
        return AdamSteps(states, group)


def check_unrolled(regularizers: nn.ModuleDict) -> None:
    """Raise `ValueError` if one of these regularizers of the generators changes their loss, which
    unrolling replaces.
    """
    for name, regularizer in regularizers.items():
        if type(regularizer).generator_loss is not GeneratorRegularizer.generator_loss:  # type: ignore[attr-defined]
            raise ValueError(
                f"regularizer={name} changes the generator's loss, which loss.unroll replaces by"
                " the discriminator's: use one of them"
            )


def sgd_step(weights: Weights, gradients: dict[str, Tensor | None], lr: float) -> Weights:
    """w - lr g."""
    moved = {}
    for name, weight in weights.items():
        gradient = gradients[name]
        moved[name] = weight if gradient is None else weight - lr * gradient
    return moved


class AdamSteps:
    """Steps of Adam (Kingma & Ba 2015) from a state, as differentiable functions of the gradients.

    Args:
        state: of the optimizer, by name of the weight; empty before its first step.
        group: its settings: lr, betas, eps.
    """

    def __init__(self, state: dict[str, Any], group: dict[str, Any]) -> None:
        self.lr = group["lr"]
        self.first_decay, self.second_decay = group["betas"]
        self.eps = group["eps"]

        # The optimizer's own state is only read here.
        self.means = {name: values.get("exp_avg", 0.0) for name, values in state.items()}
        self.squares = {name: values.get("exp_avg_sq", 0.0) for name, values in state.items()}
        self.counts = dict.fromkeys(state, 0)
        started = {name: values["step"] for name, values in state.items() if "step" in values}
        if started:
            # One transfer from the device for all of them.
            counts = torch.stack([torch.as_tensor(count) for count in started.values()]).tolist()
            self.counts |= {name: int(count) for name, count in zip(started, counts, strict=True)}

    def __call__(self, weights: Weights, gradients: dict[str, Tensor | None]) -> Weights:
        moved = {}
        for name, weight in weights.items():
            gradient = gradients[name]
            if gradient is None:
                moved[name] = weight
                continue

            # Moments without bias, never computed in place: gradients flow through them.
            self.counts[name] += 1
            mean = self.first_decay * self.means[name] + (1 - self.first_decay) * gradient
            square = (
                self.second_decay * self.squares[name] + (1 - self.second_decay) * gradient.square()
            )
            self.means[name] = mean
            self.squares[name] = square
            mean_hat = mean / (1 - self.first_decay ** self.counts[name])
            square_hat = square / (1 - self.second_decay ** self.counts[name])
            moved[name] = weight - self.lr * mean_hat / ((square_hat + TINY).sqrt() + self.eps)
        return moved
