"""What models need whose score is computed from those of the classes."""

from __future__ import annotations

from torch import nn


def require_single_scores(discriminator: nn.Module, model: str) -> nn.Module:
    """``discriminator``; raises `ValueError` if it also scores the pixels of a sample."""
    if any(getattr(module, "scores_pixels", False) for module in discriminator.modules()):
        raise ValueError(
            f"model={model} needs a discriminator with one score for each sample:"
            f" {type(discriminator).__name__} also scores pixels, use discriminator=dcgan or resnet"
        )
    return discriminator
