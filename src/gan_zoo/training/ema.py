"""The averaged generator, and statistics of batch normalization that belong to it."""

from __future__ import annotations

import copy
from types import MappingProxyType

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from gan_zoo.core.rng import StepRNG, stable_seed
from gan_zoo.core.types import Positive, SampleRequest, Whole
from gan_zoo.models.base import Model

DEFAULT_EMA = MappingProxyType({"half_life": 10_000.0, "ramp_up": 0.05, "standing_batches": 0})
STANDING_BATCH_SIZE = 64


class EMA(nn.Module):
    """An exponential moving average of the generators, in float32, with its half-life counted in
    images.

    After a step of B images, shadow <- lerp(weights, shadow, 0.5^(B / h)), h = min(half_life,
    ramp_up * images seen) (Karras et al. 2018, appendix C; the ramp as in StyleGAN2-ADA). Running
    statistics are copied, not averaged; with ``standing_batches`` they are computed again before
    samples are made.

    Args:
        generators: what is averaged; a copy is made.
        half_life: images after which the weight of a parameter value in the average has halved.
        ramp_up: early in training the half-life is this fraction of the images seen.
        standing_batches: batches of 64 samples for the statistics of batch normalization; 0 for the
            running ones of training.

    Attributes:
        stale: whether statistics are older than the weights, a buffer.
    """

    stale: Tensor

    def __init__(
        self,
        generators: nn.ModuleDict,
        half_life: Positive,
        ramp_up: Positive = 0.05,
        standing_batches: Whole = 0,
    ) -> None:
        super().__init__()
        if half_life <= 0 or ramp_up <= 0:
            raise ValueError(
                f"ema.half_life and ema.ramp_up must be > 0, got {half_life} and {ramp_up}"
            )
        self.standing_batches = standing_batches
        if standing_batches:
            self.register_buffer("stale", torch.tensor(True))
        self.half_life = half_life
        self.ramp_up = ramp_up
        # In float32, as small steps towards the weights would be lost in half precision.
        self.generators = copy.deepcopy(generators).float().requires_grad_(False).eval()

    @torch.no_grad()
    def update(self, generators: nn.ModuleDict, images: int, images_seen: int) -> None:
        """Move the average towards ``generators`` after a step of ``images`` images,
        ``images_seen`` in all.
        """
        # A short half-life early on forgets the first weights soon.
        half_life = min(self.half_life, self.ramp_up * images_seen)
        weight = 1.0 - 0.5 ** (images / max(half_life, 1e-8))
        shadow: list[Tensor] = list(self.generators.parameters())
        current = [p.float() for p in generators.parameters()]
        torch._foreach_lerp_(shadow, current, weight)
        self.copy_buffers(generators)
        if self.standing_batches:
            self.stale.fill_(True)

    @torch.no_grad()
    def copy_buffers(self, generators: nn.ModuleDict) -> None:
        """Take over the generators' buffers, which are not averaged."""
        buffers = list(self.generators.buffers())
        if buffers:
            torch._foreach_copy_(buffers, list(generators.buffers()))

    def train(self, mode: bool = True) -> EMA:
        """Stay in evaluation mode: the average is only used for sampling."""
        return super().train(False)


def check_standing_statistics(model: Model) -> None:
    """Raise `ValueError` for a model whose samples need more than latents and classes."""
    if model.needs_conditions:
        raise ValueError(
            "ema.standing_batches needs a model whose samples are of latents and classes,"
            f" {type(model).__name__} is conditioned on more ({', '.join(model.needs)}): use 0"
        )


@torch.no_grad()
def set_standing_statistics(
    model: Model, generators: nn.ModuleDict, batches: int, device: torch.device
) -> None:
    """Replace running statistics by means over ``batches`` batches of random samples.

    Brock et al. 2019 (BigGAN), appendix B. Running statistics are those of the weights of training;
    averaged weights have others. The batches are always the same, so that every process and every
    call finds the same statistics.

    Args:
        model: draws latents and classes.
        generators: the networks, in evaluation mode before and after.
        batches: number of batches of 64 samples.
        device: of the networks.
    """
    norms = [module for module in generators.modules() if isinstance(module, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    before = [{name: value.clone() for name, value in norm.named_buffers()} for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        # None: the mean of all batches alike.
        norm.momentum = None
        norm.training = True
    try:
        for number in range(batches):
            rng = StepRNG(stable_seed(0, "standing statistics"), number, device=device)
            model.sample(SampleRequest(STANDING_BATCH_SIZE, rng), generators)
    finally:
        for norm, momentum, buffers in zip(norms, momenta, before, strict=True):
            norm.momentum = momentum
            norm.training = False
            # Those of networks that samples do not need, such as encoders, keep theirs.
            if norm.num_batches_tracked == 0:
                norm.load_state_dict(buffers, strict=False)
