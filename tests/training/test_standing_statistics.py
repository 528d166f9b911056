"""Standing statistics: their values by hand, when they are computed, and what they leave alone."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor, nn

from gan_zoo.config.build import build
from gan_zoo.core.rng import StepRNG, stable_seed
from gan_zoo.core.types import SampleRequest
from gan_zoo.metrics.base import Evaluator, MetricResult
from gan_zoo.models.gan import GAN
from gan_zoo.training.ema import EMA, set_standing_statistics
from gan_zoo.training.sampling_module import SamplingModule
from gan_zoo.training.scoring import evaluate_generator

CPU = torch.device("cpu")


class Scaled(nn.Module):
    """Batch norm of 3 z + 1."""

    def __init__(self, latent_dim: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(3.0))
        self.norm = nn.BatchNorm1d(latent_dim)

    def forward(self, latents: Tensor) -> Tensor:
        out: Tensor = self.norm(self.weight * latents + 1)
        return out


def sampler(batches: int = 4) -> SamplingModule:
    model = GAN(Scaled, lambda: nn.Linear(2, 1), latent_dim=2)
    return SamplingModule(model, EMA(model.generators, half_life=1.0, standing_batches=batches))


def expected_statistics(batches: int) -> tuple[Tensor, Tensor]:
    seed = stable_seed(0, "standing statistics")
    draws = [3 * StepRNG(seed, k).normal("latents", 64, 2) + 1 for k in range(batches)]
    means = torch.stack([draw.mean(0) for draw in draws]).mean(0)
    variances = torch.stack([draw.var(0) for draw in draws]).mean(0)
    return means, variances


def test_they_are_means_over_batches_by_hand() -> None:
    module = sampler()
    norm = module.inference_generators["main"].norm
    mean, variance = expected_statistics(4)
    torch.testing.assert_close(norm.running_mean, mean)
    torch.testing.assert_close(norm.running_var, variance)
    assert norm.momentum == 0.1
    assert not norm.training
    # Those of training stay as they are.
    assert module.model.generators["main"].norm.running_mean.tolist() == [0, 0]


def test_networks_that_samples_do_not_need_keep_theirs() -> None:
    module = sampler()
    encoder = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)).eval()
    encoder[1].running_var.fill_(3.0)
    encoder[1].num_batches_tracked.fill_(7)
    generators = nn.ModuleDict({"main": Scaled(2).eval(), "encoder": encoder})
    set_standing_statistics(module.model, generators, 2, CPU)
    assert encoder[1].running_var.tolist() == [3, 3]
    assert int(encoder[1].num_batches_tracked) == 7
    assert int(generators["main"].norm.num_batches_tracked) == 2


def test_they_are_computed_once_after_each_change_of_the_weights() -> None:
    module = sampler()
    assert bool(module.ema.stale)
    norm = module.inference_generators["main"].norm
    norm.running_mean.fill_(7)
    request = SampleRequest(2, StepRNG(0, 0))
    module.sample(request)
    assert norm.running_mean.tolist() == [7, 7], "computed again without a reason"
    module.ema.update(module.model.generators, 1, 1)
    module.sample(request)
    torch.testing.assert_close(norm.running_mean, expected_statistics(4)[0])


def test_a_loaded_state_knows_whether_they_are_up_to_date() -> None:
    fresh, other = sampler(), sampler()
    fresh.ema.update(fresh.model.generators, 1, 1)
    other.load_state_dict(copy.deepcopy(fresh.state_dict()))
    assert bool(other.ema.stale)
    assert "ema.stale" not in sampler(0).state_dict()


def test_other_layers_stay_in_evaluation_mode() -> None:
    modes: list[bool] = []

    class Noisy(Scaled):
        def forward(self, latents: Tensor) -> Tensor:
            modes.append(self.training)
            return super().forward(latents)

    model = GAN(Noisy, lambda: nn.Linear(2, 1), latent_dim=2)
    set_standing_statistics(model, model.generators.eval(), 2, CPU)
    assert modes == [False, False]


def test_only_samples_of_latents_and_classes_have_them(tiny) -> None:
    with pytest.raises(ValueError, match=r"ema.standing_batches needs a model .*: use 0"):
        build(tiny("model=cyclegan", "ema.standing_batches=2"))


class Nothing(Evaluator):
    num_samples = 8

    def prepare(self, source, device, model=None) -> None:
        pass

    def update(self, generated) -> None:
        pass

    def compute(self) -> list[MetricResult]:
        return [MetricResult("nothing", 0.0, {})]


@pytest.mark.parametrize("batches", [0, 3])
def test_the_protocol_names_them(batches: int, tiny) -> None:
    overrides = ["model=gan", "data=ring", f"ema.standing_batches={batches}"]
    _, module, data = build(tiny(*overrides))
    data.setup("fit")
    (result,) = evaluate_generator(module, data.source, {"nothing": Nothing()}, 0)
    assert result.protocol.get("standing_batches", 0) == batches


@pytest.mark.parametrize("preset", ["biggan", "biggan_deep"])
def test_they_are_the_default_of_biggan(preset: str, composed) -> None:
    assert composed(f"model={preset}").ema.standing_batches == 16
    assert composed("model=dcgan").ema.standing_batches == 0


def test_biggan_uses_them(tiny) -> None:
    small = ["generator.width=2", "discriminator.width=2", "data.batch_size=4"]
    trainer, module, data = build(
        tiny("model=biggan", "loss=hinge", *small, "trainer.max_steps=1", "ema.standing_batches=1")
    )
    trainer.fit(module, datamodule=data)
    before = module.ema.generators["main"].state_dict()
    running = next(name for name in before if name.endswith("running_mean"))
    trained = module.model.generators["main"].state_dict()[running]
    module.sample(SampleRequest(2, StepRNG(0, 0)))
    assert not torch.equal(module.ema.generators["main"].state_dict()[running], trained)
