"""Gradients accumulated over parts of a batch: the step on the whole batch."""

from __future__ import annotations

import copy

import pytest
import torch

from gan_zoo.config.build import build
from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import Batch
from tests.conformance.zoo import LOSSES, critique


def trained(tiny, *overrides: str):
    """The module after two steps."""
    trainer, module, data = build(tiny(*overrides, "trainer.max_steps=2"))
    trainer.fit(module, datamodule=data)
    return module


SETTINGS = {
    "vectors": ("model=gan", "data=ring"),
    "lazy penalty": ("model=gan", "data=ring", "regularizer=[r1,r2]", "regularizer.r1.every=2"),
    "gradient penalty": ("model=gan", "data=ring", "loss=wgan_gp", "loss.n_critic=1"),
    "relativistic": ("model=gan", "data=ring", "loss=rpgan", "loss.n_critic=2"),
    "three terms": ("model=cgan", "data=digits", "generator=mlp", "discriminator=mlp"),
    "cycles": ("model=gan", "data=digits", "regularizer=[lecam]"),
    "generator steps": ("model=gan", "data=ring", "loss.n_generator=2"),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_parts_equal_the_whole(name: str, tiny) -> None:
    """Weights, averaged weights and states after two steps; SGD, so that errors stay as they are."""
    overrides = (*SETTINGS[name], "optim=sgd", "data.batch_size=8", "channels_last=false")
    whole = trained(tiny, *overrides).state_dict()
    parts = trained(tiny, *overrides, "accumulate=4").state_dict()
    assert whole.keys() == parts.keys()
    for key, value in whole.items():
        torch.testing.assert_close(
            parts[key], value, rtol=1e-5, atol=1e-6, msg=lambda text, key=key: f"{key}: {text}"
        )


def test_the_logged_terms_are_those_of_the_batch(tiny, monkeypatch) -> None:
    found = []
    monkeypatch.setattr(
        "gan_zoo.training.module.log_step",
        lambda module, terms, outputs: found.append((terms, outputs)),
    )
    overrides = ("model=gan", "data=ring", "data.batch_size=8", "trainer.log_every_n_steps=1")
    trained(tiny, *overrides)
    trained(tiny, *overrides, "accumulate=2")
    whole, _, parts, _ = found
    assert whole[0].keys() == parts[0].keys() == {"d/realism", "g/realism"}
    for name, term in whole[0].items():
        torch.testing.assert_close(parts[0][name], term, rtol=1e-5, atol=1e-6)
    (of_whole,), (of_parts,) = whole[1], parts[1]
    torch.testing.assert_close(of_parts.real.score, of_whole.real.score)
    torch.testing.assert_close(of_parts.fake.x, of_whole.fake.x)


def test_parts_have_the_random_numbers_of_as_many_processes() -> None:
    batch = Batch(8, StepRNG(3, 1, 1, 2), torch.arange(8.0)[:, None], label=torch.arange(8))
    parts = batch.split(4)
    assert [part.size for part in parts] == [2] * 4
    assert torch.equal(torch.cat([part.real for part in parts]), batch.real)
    assert torch.equal(torch.cat([part.label for part in parts]), batch.label)
    drawn = torch.cat([part.rng.normal("x", 2, 3) for part in parts])
    assert torch.equal(drawn, batch.rng.normal("x", 8, 3))
    with pytest.raises(
        ValueError, match="accumulate must divide the 8 samples of a process, got 3"
    ):
        batch.split(3)


@pytest.mark.parametrize("name", LOSSES)
def test_losses_that_say_so_are_means_over_samples(name: str) -> None:
    """And only those: a loss that couples samples must not be accumulated."""
    torch.manual_seed(0)
    loss = LOSSES[name]()
    real, fake = torch.randn(8, dtype=torch.float64).abs(), torch.randn(8, dtype=torch.float64)
    loss = copy.deepcopy(loss)

    def both(rows: slice) -> torch.Tensor:
        codes = torch.randn(8, 5, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        x = torch.randn(8, 2, 2, 2, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
        sides = [critique(score[rows], x[rows], codes[rows]) for score in (real, fake)]
        return torch.stack([loss.discriminator(*sides), loss.generator(sides[1], sides[0])])

    whole = both(slice(0, 8))
    parts = torch.stack([both(slice(start, start + 2)) for start in range(0, 8, 2)]).mean(0)
    assert torch.allclose(whole, parts, rtol=1e-9) == loss.mean_of_samples


@pytest.mark.parametrize(
    ("overrides", "part"),
    [
        (["loss=ragan"], "RelativisticAverage"),
        (["loss=fisher"], "Fisher"),
        (["regularizer=dragan"], "DRAGAN"),
        (["regularizer=mode_seeking"], "ModeSeeking"),
        (["model=feature_matching"], "FeatureMatching"),
        (["model=acgan", f"model.classification.class_weights={[1] * 10}"], "CrossEntropy"),
        (["model=vae", "reconstruction@model.reconstruction=triplet"], "TripletDistance"),
    ],
)
def test_what_is_no_mean_is_refused(overrides: list[str], part: str, tiny) -> None:
    with pytest.raises(
        ValueError, match=f"accumulate must be 1 with {part}, which is no mean over samples, got 2"
    ):
        build(tiny("data=digits", *overrides, "accumulate=2"))
