"""The heads of discriminators: a score, further outputs, the match of a condition."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import is_parametrized

from gan_zoo.core.types import DiscriminatorOutput
from gan_zoo.networks.layers.normalization import SLICED, apply_spectral_norm

FUSIONS = ("projection", "concat")


class Heads(nn.Module):
    """Activations ``[B, *shape]`` of a discriminator's last layer to its `DiscriminatorOutput`.

    Without a condition the score is linear in the activations h. With a condition vector c it is

    - ``projection``: w.h + (V c).p(h), p the sum over positions (Miyato & Koyama 2018, eq. 3), or
    - ``concat``: c is repeated at every position and mixed in by one more layer (Reed et al. 2016,
      section 4.1).

    Args:
        shape: ``[F]`` or ``[C, H, W]`` of the activations.
        aux_outputs: size of a second, linear output ``[B, aux_outputs]``, the output's ``aux``;
            None for none.
        condition_dim: size of the condition vectors; None for an unconditional discriminator.
        fusion: ``projection`` or ``concat``.
        norm: names with ``spectral`` normalize the weights of the score; with ``sliced+`` before
            any name the score is a `SlicedLinear`; other names do nothing here.

    Raises:
        ValueError: for a sliced score with a projected condition.
    """

    def __init__(
        self,
        shape: Sequence[int],
        aux_outputs: int | None = None,
        condition_dim: int | None = None,
        fusion: str = "projection",
        norm: str = "none",
    ) -> None:
        super().__init__()
        if fusion not in FUSIONS:
            raise ValueError(f"fusion must be one of {', '.join(FUSIONS)}, got {fusion!r}")

        # A score, and outputs for classes or codes.
        size = math.prod(shape)
        channels = shape[0]
        self.score: nn.Module
        if norm.startswith(SLICED):
            self.score = SlicedLinear(size)
        else:
            self.score = apply_spectral_norm(nn.Linear(size, 1), norm)
        self.aux = None if aux_outputs is None else nn.Linear(size, aux_outputs)

        # The condition enters by a projection, or by one more layer.
        self.project = self.mix = None
        if condition_dim is not None and fusion == "projection":
            if norm.startswith(SLICED):
                raise ValueError(
                    f"discriminator.norm={norm} needs a score without projected condition: add"
                    " model.fusion=concat"
                )
            self.project = apply_spectral_norm(nn.Linear(condition_dim, channels, bias=False), norm)
        elif condition_dim is not None:
            self.mix = apply_spectral_norm(nn.Linear(channels + condition_dim, channels), norm)

    def forward(self, h: Tensor, x: Tensor, condition: Tensor | None = None) -> DiscriminatorOutput:
        """The output of ``x`` with activations ``h``, given the condition's vectors ``[B,
        condition_dim]``.
        """
        # The condition may enter by concatenation before the score.
        mixed = h if self.mix is None else self.concat_condition(h, condition)
        score = self.score(mixed.flatten(1)).flatten()

        # A sliced score also gives what the loss needs to train its direction.
        direction = None
        if isinstance(self.score, SlicedLinear):
            direction = self.score.direction_scores(mixed.flatten(1))

        # Projection: the inner product with the condition (Miyato & Koyama 2018, eq. 3).
        if self.project is not None:
            pooled = h.flatten(2).sum(2) if h.ndim > 2 else h
            score = score + (self.project(required(condition)) * pooled).sum(1)
        aux = None if self.aux is None else self.aux(h.flatten(1))
        return DiscriminatorOutput(score, x, aux, features=(h,), direction=direction)

    def initialize_projection(self) -> None:
        """Weights of V as in the authors' code (Xavier), for networks that start from smaller ones.

        From N(0, 0.02) the condition would hardly count for many steps. A spectral norm sets the
        scale itself.
        """
        if isinstance(self.project, nn.Linear) and not is_parametrized(self.project):
            nn.init.xavier_normal_(self.project.weight)

    def concat_condition(self, h: Tensor, condition: Tensor | None) -> Tensor:
        """The activations after one layer that sees the condition at every position."""
        assert self.mix is not None
        rows = h.flatten(2).transpose(1, 2) if h.ndim > 2 else h[:, None]
        rows = torch.cat([rows, required(condition)[:, None].expand(-1, rows.shape[1], -1)], 2)
        out: Tensor = nn.functional.leaky_relu(self.mix(rows), 0.2)
        return out.transpose(1, 2).reshape(h.shape)


class SlicedLinear(nn.Module):
    """A score w.h whose gradient changes the length of w alone (Takida et al. 2024, SAN).

    The direction w / |w| learns from `direction_scores` instead, see
    `gan_zoo.regularizers.san.SAN`. There is no bias.

    Args:
        inputs: size of h.
    """

    sliced: ClassVar[bool] = True

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.weight = nn.Linear(inputs, 1, bias=False).weight

    def forward(self, h: Tensor) -> Tensor:
        """w.h, ``[B, 1]``."""
        direction = nn.functional.normalize(self.weight, dim=1).detach()
        scores: Tensor = nn.functional.linear(h, self.weight.norm() * direction)
        return scores

    def direction_scores(self, h: Tensor) -> Tensor:
        """w.h as a function of the direction of w alone, ``[B]``."""
        direction = nn.functional.normalize(self.weight, dim=1)
        scaled = (self.weight.norm() * h).detach()
        return nn.functional.linear(scaled, direction).flatten()


def required(condition: Tensor | None) -> Tensor:
    """The condition; a model that gives a conditional discriminator none has a bug."""
    assert condition is not None, "a conditional discriminator needs the condition"
    return condition


def run_layers(
    layers: nn.Sequential, x: Tensor, keep: int | None = None
) -> tuple[Tensor, Tensor | None]:
    """The output of ``layers``, and the activations after the first ``keep`` of them, if any.

    Activations that nothing uses are not kept: they would occupy memory for the whole step.
    """
    if keep is None:
        return layers(x), None
    local: Tensor = layers[:keep](x)
    return layers[keep:](local), local
