"""Scores of +-1e4 in float32 and bfloat16 give finite losses and gradients, and gradients the right way."""

from __future__ import annotations

import itertools

import pytest
import torch

from .zoo import LOSSES, critique, gradients

EXTREMES = [1e4, -1e4, 0.0]
SIDES = list(itertools.product(EXTREMES, repeat=2))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("name", LOSSES)
def test_finite(name: str, dtype: torch.dtype) -> None:
    for on_real, on_fake in SIDES:
        loss = LOSSES[name]()
        real = torch.tensor([on_real, 0.5], dtype=dtype, requires_grad=True)
        fake = torch.tensor([on_fake, -0.5], dtype=dtype, requires_grad=True)
        for _ in range(2):
            d = loss.discriminator(critique(real), critique(fake))
            g = loss.generator(critique(fake), critique(real))
            tensors = [d, g, *gradients(d, real, fake), *gradients(g, fake, real), *loss.buffers()]
            tensors += loss.log_values(critique(real), critique(fake)).values()
            assert all(t.isfinite().all() for t in tensors), (on_real, on_fake)
            loss.update(critique(real), critique(fake))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize("name", LOSSES)
def test_codes_of_zero_length(name: str, dtype: torch.dtype) -> None:
    loss, score = LOSSES[name](), torch.tensor([0.5, 1.0], dtype=dtype)
    code = torch.zeros(2, 8, dtype=dtype, requires_grad=True)
    g = loss.generator(critique(score, code=code), critique(score, code=code))
    assert g.isfinite()
    if g.requires_grad:
        assert gradients(g, code)[0].isfinite().all()


@pytest.mark.parametrize(
    "name", ["exponential", "fgan-kl", "fgan-reverse_kl", "fgan-neyman", "fgan-hellinger"]
)
def test_the_worst_judged_keep_a_gradient(name: str) -> None:
    """Where exponentials are limited, the discriminator still learns from the sample that it gets most wrong."""
    real = torch.tensor([-1e4, 0.0], requires_grad=True)
    fake = torch.tensor([1e4, 0.0], requires_grad=True)
    by_real, by_fake = gradients(
        LOSSES[name]().discriminator(critique(real), critique(fake)), real, fake
    )
    assert by_real[0] < 0
    assert by_fake[0] > 0
