"""Differentiable augmentation of the discriminator's inputs, for limited data.

Real and fake samples are augmented equally, in discriminator and generator steps, and gradients
reach the generator through the augmentation (Zhao et al. 2020, section 3; Karras et al. 2020,
section 2.2). The generator's own samples stay as they are.

Random numbers come from torch's default generators, which the training step seeds from seed, step
and rank.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from gan_zoo.core.types import AdversarialTerm, DiscriminatorOutput, LossTerms

Change = Callable[[Tensor, int], Tensor]
"""Transforms images ``[B, C, H, W]``; only the first ``colored`` channels change their colors."""


class Augmentation(nn.Module):
    """Random changes of what a discriminator is given, reals and fakes alike.

    Whatever changes during training is a buffer, and moves in `update` only.
    """

    def forward(self, x: Tensor, colored: int | None = None) -> Tensor:
        """Changed images ``[B, C, H, W]``; only the first ``colored`` channels change their
        colors.
        """
        raise NotImplementedError

    def check(self, discriminator: nn.Module) -> None:
        """Raise `ValueError` if ``discriminator`` cannot be trained with this augmentation."""

    def update(
        self, term: AdversarialTerm, real: DiscriminatorOutput, margin: Tensor, step: int
    ) -> None:
        """Change the state after a discriminator step. Called once for reals that several terms
        share.

        Args:
            term: the adversarial term.
            real: the discriminator's output for its reals.
            margin: each score of a real minus the score at which the loss is undecided.
            step: the number of the discriminator step, from 1.
        """

    def log_values(self) -> LossTerms:
        """Scalars to log."""
        return {}


def augmentations(discriminator: nn.Module) -> list[Augmentation]:
    """The augmentations of ``discriminator``, or of a discriminator inside it."""
    return [part for part in discriminator.modules() if isinstance(part, Augmentation)]


class AugmentedDiscriminator(nn.Module):
    """A discriminator of augmented samples.

    Its `DiscriminatorOutput` carries the samples as they came, so that penalties differentiate
    through the augmentation. Conditions that are images of the same size (pix2pix) move along with
    the sample, their colors untouched. Where a sample is a stack of images, as many as the
    discriminator's attribute ``levels`` says (GAT), each of them is changed with the same random
    numbers. In evaluation mode the discriminator sees everything as it is.

    Args:
        discriminator: of ``[B, C, H, W]``; returns scores or a `DiscriminatorOutput`.
        augmentation: an `Augmentation`, or another module that is called like one.

    Raises:
        ValueError: if the augmentation does not work with the discriminator.
    """

    def __init__(self, discriminator: nn.Module, augmentation: nn.Module) -> None:
        super().__init__()
        if isinstance(augmentation, Augmentation):
            augmentation.check(discriminator)
        self.discriminator = discriminator
        self.augmentation = augmentation
        # Losses ask the wrapper what they would ask the discriminator.
        if hasattr(discriminator, "energy"):
            self.energy = discriminator.energy

    def insert(self, make: Callable[[nn.Module], nn.Module]) -> AugmentedDiscriminator:
        """This with ``make(discriminator)`` in place of its discriminator: changes of samples that
        come after the augmentation.
        """
        self.discriminator = make(self.discriminator)
        return self

    def forward(self, x: Tensor, *condition: Any) -> DiscriminatorOutput:
        require_images(x)
        augmented, *conditions = self.augment(x, *condition) if self.training else (x, *condition)
        # The output keeps the sample as it came: penalties differentiate by it.
        output = self.discriminator(augmented, *conditions)
        return (
            replace(output, x=x)
            if isinstance(output, DiscriminatorOutput)
            else DiscriminatorOutput(score=output, x=x)
        )

    def augment(self, x: Tensor, *condition: Any) -> list[Any]:
        """The samples and their image conditions under the same random augmentation."""
        # Image conditions are transformed together with the samples.
        parts = [x, *condition]
        moving = [i for i, part in enumerate(parts) if i > 0 and is_same_size_image(part, x)]
        sizes = [parts[i].shape[1] for i in moving]

        # Sample and conditions in one call, so that all get the same random numbers.
        images = x.chunk(getattr(self.discriminator, "levels", 1), 1)
        changed_images = []
        for number, image in enumerate(images, 1):
            stack = torch.cat([image, *(parts[i] for i in moving)], 1)
            with nullcontext() if number == len(images) else draws_again(x.device):
                changed = self.augmentation(stack, image.shape[1])
            first, *changed_conditions = changed.split([image.shape[1], *sizes], 1)
            changed_images.append(first)

        # Conditions were changed alike every time.
        parts[0] = torch.cat(changed_images, 1) if len(images) > 1 else changed_images[0]
        for i, part in zip(moving, changed_conditions, strict=True):
            parts[i] = part
        return parts


def draws_again(device: torch.device) -> AbstractContextManager[None]:
    """What is drawn within the block from torch's global generators is drawn again after it."""
    return torch.random.fork_rng(devices=[device] if device.type == "cuda" else [])


def uniform(x: Tensor, low: float, high: float, *count: int) -> Tensor:
    """Numbers from U(low, high), ``[*count, B]``."""
    return low + (high - low) * torch.rand(*count, len(x), device=x.device)


def normal(x: Tensor, std: float, *count: int) -> Tensor:
    """Numbers from N(0, std^2), ``[*count, B]``."""
    return std * torch.randn(*count, len(x), device=x.device)


def randint(x: Tensor, low: int, high: int) -> Tensor:
    """Random integers from low to high, both included, ``[B]``."""
    return torch.randint(low, high + 1, (len(x),), device=x.device)


def is_same_size_image(part: Any, x: Tensor) -> bool:
    """Whether ``part`` holds images of the size of ``x``."""
    return isinstance(part, Tensor) and part.ndim == 4 and part.shape[2:] == x.shape[2:]


def require_images(x: Tensor) -> None:
    """Raise `ValueError` unless ``x`` is ``[B, C, H, W]``."""
    if x.ndim != 4:
        raise ValueError(
            f"augmentation works on images [B, C, H, W], got samples of shape {list(x.shape)}: add"
            " augment=none"
        )


def check_names(argument: str, names: Sequence[str], known: Collection[str]) -> None:
    """Raise `ValueError` unless ``names`` is a list of names from ``known``."""
    unknown = [names] if isinstance(names, str) else [name for name in names if name not in known]
    if unknown:
        raise ValueError(f"{argument} must be a list of {', '.join(known)}, got {unknown[0]!r}")
