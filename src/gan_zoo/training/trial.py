"""Parts from outside gan_zoo are tried once on a tiny batch, so that mistakes are answered with the
contract.
"""

from __future__ import annotations

import copy
import math
import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn

from gan_zoo.core.errors import ConfigError, DataError
from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import AdversarialTerm, Batch, DiscriminatorOutput, run_discriminator
from gan_zoo.data.datamodule import DataModule
from gan_zoo.data.dataset import Source
from gan_zoo.data.loader import fixed_batch
from gan_zoo.losses.base import Loss
from gan_zoo.metrics.base import Evaluator
from gan_zoo.models.base import Model
from gan_zoo.regularizers.base import Regularizer
from gan_zoo.training.module import GANModule

SIZE = 4
LOSS = (
    "{} returns one number to minimize, the .mean() over scores; discriminator(real, fake) and"
    " generator(fake, real=None) take DiscriminatorOutputs, whose .score are raw scores [B, ...]"
)
GENERATOR = (
    "{} takes (latents [B, latent_dim]) or what its model defines, and returns samples [B, {}] in"
    " [-1, 1]"
)
DISCRIMINATOR = (
    "{} takes samples [B, {}] (and a condition) and returns scores [B, ...] or a"
    " DiscriminatorOutput of them"
)
PENALTY = "{} returns one number, or None for nothing to add"


class contract:
    """Within the block an exception of one's own code is answered with what the part must do.

    Args:
        part: is tried.
        method: of it.
        expected: what the contract expects, with ``{}`` for class and method.
    """

    def __init__(self, part: Any, method: str, expected: str) -> None:
        self.name = f"{type(part).__name__}.{method}"
        self.expected = expected.replace("{}", self.name, 1)

    def __enter__(self) -> contract:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        # Errors that name a setting pass, and so do interruptions.
        if isinstance(error, ConfigError) or not isinstance(error, Exception):
            return

        # A method that is not written: the contract says enough.
        if isinstance(error, NotImplementedError) and not str(error):
            raise ConfigError(f"{self.name} is not written: {self.expected}") from error
        reason = " ".join(str(error).split())[:300]
        raise ConfigError(
            f"{self.name} failed with {type(error).__name__}: {reason}; {self.expected}"
        ) from error

    def demand(self, holds: bool, came: str) -> None:
        """Raise `ConfigError` with what ``came`` unless the contract ``holds``."""
        if not holds:
            raise ConfigError(f"{self.name}: {self.expected}; got {came}")


def is_own(part: Any) -> bool:
    """Whether the class of ``part`` comes from outside gan_zoo."""
    return type(part).__module__.partition(".")[0] not in ("gan_zoo", "torch")


def has_own(networks: nn.Module) -> bool:
    """Whether any network is one's own, also inside a wrapper."""
    return any(is_own(part) for part in networks.modules())


def check_kinds(evaluators: Mapping[str, Any]) -> None:
    """Raise `ConfigError` for an evaluator that lacks what the contract asks for."""
    for name, evaluator in evaluators.items():
        if not isinstance(evaluator, Evaluator):
            raise ConfigError(
                f"metric.{name} must be a gan_zoo.metrics.base.Evaluator, got a"
                f" {type(evaluator).__name__}"
            )

        # One's own evaluators must have every method and attribute.
        if not is_own(evaluator):
            continue
        for method in ("prepare", "update", "compute"):
            if getattr(type(evaluator), method) is getattr(Evaluator, method):
                raise ConfigError(
                    f"{type(evaluator).__name__}.{method} is not written: every evaluator has one"
                )
        for attribute in ("num_samples", "best"):
            if not hasattr(evaluator, attribute):
                raise ConfigError(
                    f"{type(evaluator).__name__} has no {attribute}: its __init__ must set it"
                )


def try_parts(module: GANModule, data: DataModule) -> None:
    """Try one's own parts on a tiny batch; copies, so that the run's numbers stay what they are.

    Parts of gan_zoo are not tried: tests have.

    Raises:
        ConfigError: naming class and method, what the contract expects and what came.
    """
    # Only what is one's own is tried; copies of a loss for further terms are like the first.
    losses = [loss for loss in module.losses.values() if is_own(loss)][:1]
    regularizers = [
        r for each in module.regularizers.values() for r in each.children() if is_own(r)
    ]
    own_model = is_own(module.model) or has_own(module.model)
    if not (losses or regularizers or own_model):
        return

    # A loss needs nothing but scores.
    for loss in losses:
        try_loss(copy.deepcopy(loss))  # type: ignore[arg-type]

    # The other parts need a batch; the run's random numbers stay what they are.
    with torch.random.fork_rng(devices=[]):
        batch = tiny_batch(module.model, data)
        try_model(copy.deepcopy(module.model), batch, data.source, module)


def tiny_batch(model: Model, data: DataModule) -> Batch:
    """A few samples of the data, as many as discriminators of packs need."""
    pack = math.lcm(*(getattr(part, "pack", 1) for part in model.discriminators.modules()))
    return fixed_batch(data.source, SIZE * pack, StepRNG(data.seed, 0), data.needs)


def try_loss(loss: Loss) -> None:
    """Raise `ConfigError` unless both functions of a loss return one finite number of scores of
    either sign.
    """
    scores = torch.linspace(-2.0, 2.0, SIZE)
    samples = torch.zeros(SIZE, 2)

    # Plain scores first, then scores of patches.
    for patches in (False, True):
        rising = scores.clone().requires_grad_()
        falling = scores.flip(0).requires_grad_()
        shape = (SIZE, 1, 1, 1) if patches else (SIZE,)
        real = DiscriminatorOutput(rising.view(shape), samples)
        fake = DiscriminatorOutput(falling.view(shape), samples)
        with contract(loss, "discriminator", LOSS) as promised:
            check_scalar(promised, loss.discriminator(real, fake))
        with contract(loss, "generator", LOSS) as promised:
            check_scalar(promised, loss.generator(fake, real if loss.generator_sees_real else None))


def check_scalar(promised: contract, value: Any) -> None:
    """Raise `ConfigError` unless ``value`` is one finite number with a gradient."""
    promised.demand(isinstance(value, Tensor), f"a {type(value).__name__}")
    promised.demand(value.ndim == 0, f"a tensor of shape {list(value.shape)}")
    promised.demand(
        bool(value.isfinite()),
        f"{float(value.detach()):g} of scores between -2 and 2: a logarithm or a root of a raw"
        " score?",
    )
    promised.demand(value.requires_grad, "a number without a gradient: detached somewhere?")


def try_model(model: Model, batch: Batch, source: Source, module: GANModule) -> None:
    """Raise `ConfigError` unless generators, discriminators and terms give what they promise."""
    # Messages name a network of one's own, if there is one.
    shape = ", ".join(map(str, source.sample_shape))
    own = next((part for part in model.generators.values() if has_own(part)), model)
    method = "generate" if own is model else "forward"

    # Fakes have the batch's size, and the data's shape unless they are translations.
    with contract(own, method, GENERATOR.replace("[B, {}]", f"[B, {shape}]")) as promised:
        fakes = model.generate(batch)
        promised.demand(
            isinstance(fakes, dict) and len(fakes) > 0, f"a {type(fakes).__name__} of fakes"
        )
        for fake in fakes.values():
            promised.demand(isinstance(fake, Tensor), f"a {type(fake).__name__}")
            promised.demand(
                fake.ndim == len(source.sample_shape) + 1 and len(fake) == batch.size,
                f"a tensor of shape {list(fake.shape)} for {batch.size} samples",
            )
            if model.conditioning not in ("image", "domain"):
                promised.demand(
                    list(fake.shape[1:]) == source.sample_shape,
                    f"samples of shape {list(fake.shape[1:])}",
                )
            promised.demand(bool(fake.isfinite().all()), "numbers that are not finite")

    # Images have a fixed range, vectors have none.
    if source.samples.dtype == torch.uint8:
        warn_of_range(own, torch.cat([fake.flatten() for fake in fakes.values()]))

    # The terms, each with its discriminator and its regularizers.
    with contract(model, "adversarial_terms", "{} returns a sequence of AdversarialTerm"):
        adversarial_terms = list(model.adversarial_terms(batch, fakes))
    for term in adversarial_terms:
        try_term(term, batch, module, shape)

    # Samples as image grids and metrics request them.
    with contract(model, "sample", "{} takes (request, generators) and returns samples"):
        model.eval()
        with torch.no_grad():
            model.sample(model.request_for(batch), model.generators)


def try_term(term: AdversarialTerm, batch: Batch, module: GANModule, shape: str) -> None:
    """Raise `ConfigError` unless a discriminator scores samples, and own regularizers return one
    number.
    """
    # The discriminator's scores, with samples that penalties can differentiate.
    term = term.with_input_gradients(real=True, fake=True)
    with contract(
        term.discriminator, "forward", DISCRIMINATOR.replace("[B, {}]", f"[B, {shape}]")
    ) as promised:
        real = run_discriminator(term.discriminator, term.real, term.real_condition)
        fake = run_discriminator(term.discriminator, term.fake, term.fake_condition)
        promised.demand(isinstance(real.score, Tensor), f"a {type(real.score).__name__}")
        promised.demand(real.score.ndim >= 1, "a single number")
        promised.demand(bool(real.score.isfinite().all()), "scores that are not finite")

    # Regularizers of one's own, as copies, since they may have a state.
    for name, regularizer in module.adversarial.regularizers_for(term).items():
        if not is_own(regularizer):
            continue
        with contract(regularizer, "penalty", PENALTY) as promised:
            trial: Regularizer = copy.deepcopy(regularizer)
            penalty = trial.penalty(term, real, fake, batch.rng)
            promised.demand(
                penalty is None or isinstance(penalty, Tensor),
                f"a {type(penalty).__name__} ({name})",
            )
            if penalty is not None:
                check_scalar(promised, penalty)


def warn_of_range(generator: Any, values: Tensor) -> None:
    """Warn where a generator's outputs are not in the data's range, [-1, 1]."""
    low = float(values.detach().min())
    high = float(values.detach().max())

    # Values on one side of 0, such as a sigmoid's, leave out half of the range.
    if low < -1.01 or high > 1.01 or low >= 0 or high <= 0:
        message = (
            f"{type(generator).__name__} returns values in [{low:.3g}, {high:.3g}], and images are"
            " in [-1, 1]"
        )
        print(f"{message}: end it with tanh?", file=sys.stderr, flush=True)


def check_source(source: Any) -> None:
    """Raise `DataError` unless a data function returned a data set."""
    if not isinstance(source, Source):
        raise DataError(
            f"data.source must return a gan_zoo.data.dataset.Source, got a {type(source).__name__}"
        )

    # Bytes are images; other samples are numbers in [-1, 1].
    samples = source.samples
    if not isinstance(samples, Tensor) or not (
        (samples.ndim == 4 and samples.dtype in (torch.uint8, torch.float32))
        or (samples.ndim in (2, 3) and samples.dtype == torch.float32)
    ):
        came = (
            f"{samples.dtype} {list(samples.shape)}"
            if isinstance(samples, Tensor)
            else type(samples).__name__
        )
        raise DataError(
            f"samples of data={source.name} must be uint8 images or float32 tensors [N, C, H, W],"
            f" float32 sounds [N, C, T] or float32 vectors [N, D], got {came}"
        )
