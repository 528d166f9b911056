"""Random numbers are a function of seed, step and purpose, the same on any number of processes."""

from __future__ import annotations

import torch

from gan_zoo.core.rng import StepRNG, stable_seed


def test_a_draw_depends_on_seed_step_and_purpose_alone() -> None:
    draw = StepRNG(1, 2).normal("latents", 4, 3)
    torch.rand(100)
    assert torch.equal(draw, StepRNG(1, 2).normal("latents", 4, 3))
    others = (
        StepRNG(2, 2).normal("latents", 4, 3),
        StepRNG(1, 3).normal("latents", 4, 3),
        StepRNG(1, 2).normal("x", 4, 3),
    )
    assert not any(torch.equal(draw, other) for other in others)


def test_ranks_share_one_global_draw() -> None:
    whole = (
        StepRNG(0, 5).normal("latents", 6, 2),
        StepRNG(0, 5).uniform("u", 6),
        StepRNG(0, 5).randint("i", 6, 0, 9),
    )
    for world_size in (2, 3):
        share = 6 // world_size
        ranks = [StepRNG(0, 5, rank, world_size) for rank in range(world_size)]
        assert torch.equal(torch.cat([r.normal("latents", share, 2) for r in ranks]), whole[0])
        assert torch.equal(torch.cat([r.uniform("u", share) for r in ranks]), whole[1])
        assert torch.equal(torch.cat([r.randint("i", share, 0, 9) for r in ranks]), whole[2])


def test_ranks_differ() -> None:
    a, b = (StepRNG(0, 0, rank, 2) for rank in (0, 1))
    assert not torch.equal(a.normal("latents", 4, 8), b.normal("latents", 4, 8))
    a.seed_global_generators()
    first = torch.randn(4)
    b.seed_global_generators()
    assert not torch.equal(first, torch.randn(4))


def test_draws_have_the_right_moments() -> None:
    normal, uniform = StepRNG(0, 0).normal("a", 100_000), StepRNG(0, 0).uniform("b", 100_000)
    assert abs(float(normal.mean())) < 0.02
    assert abs(float(normal.std()) - 1) < 0.02
    assert float(uniform.min()) >= 0
    assert float(uniform.max()) < 1
    assert abs(float(uniform.mean()) - 0.5) < 0.01


def test_seeds_do_not_depend_on_the_process() -> None:
    assert stable_seed(0, 1, "latents") == 7582828201061060059
