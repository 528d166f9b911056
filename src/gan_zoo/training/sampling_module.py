"""Sampling from a module that is trained, or has been."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from lightning.pytorch import LightningModule
from torch import Tensor, nn

from gan_zoo.core.types import SampleRequest
from gan_zoo.models.base import Model
from gan_zoo.training.ema import EMA, check_standing_statistics, set_standing_statistics
from gan_zoo.training.modes import evaluation_mode


class SamplingModule(LightningModule):
    """A model and its averaged generators, to sample from.

    Args:
        model: the networks and their terms.
        ema: averages the generators; None for no averages.
    """

    def __init__(self, model: Model, ema: EMA | None) -> None:
        super().__init__()
        if ema is not None and ema.standing_batches:
            check_standing_statistics(model)
        self.model = model
        self.ema = ema

    @property
    def inference_generators(self) -> nn.ModuleDict:
        """The generators for image grids and metrics: the averaged ones if there are any."""
        if self.ema is None:
            return self.model.generators

        # Statistics that belong to the averaged weights, computed once after each change of them.
        generators = self.ema.generators
        if self.ema.standing_batches and bool(self.ema.stale):
            with evaluation_mode(generators, self.device):
                set_standing_statistics(
                    self.model, generators, self.ema.standing_batches, self.device
                )
            self.ema.stale.fill_(False)
        return generators

    @contextmanager
    def inference_mode(self) -> Iterator[nn.ModuleDict]:
        """The generators to sample from: in evaluation mode, without gradients, in float32."""
        generators = self.inference_generators
        with evaluation_mode(generators, self.device):
            yield generators

    def sample(self, request: SampleRequest) -> Tensor:
        """Samples for a request in evaluation mode, float32; the training state stays as it is."""
        with self.inference_mode() as generators:
            return self.model.sample(request.to(self.device), generators).float()

    def visuals(self, request: SampleRequest) -> dict[str, Tensor]:
        """Images to display side by side for a request: the sample, or input, output and more."""
        with self.inference_mode() as generators:
            visuals = self.model.visuals(request.to(self.device), generators)
        return {name: images.float() for name, images in visuals.items()}
