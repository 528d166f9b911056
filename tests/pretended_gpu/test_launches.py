"""Kernel launches of a training step, of ours and of a loop tuned by hand, see benchmarks/kernel_launches.py."""

from __future__ import annotations

import pytest

from tests.pretended_gpu.training import Worker

CASES = {
    "DCGAN 32": (131, 136),
    "DCGAN 64": (162, 167),
    "MLP ring": (111, 116),
    "CycleGAN 64": (924, 935),
}
"""Launches of the tuned loop, and the most that ours may have: what the tuned loop leaves out are
the averaged generator and the check that losses and gradients are finite."""


@pytest.mark.parametrize(
    "case",
    [pytest.param(c, marks=pytest.mark.slow if c != "MLP ring" else ()) for c in CASES],
)
def test_ours_has_few_more_than_a_loop_tuned_by_hand(case: str, worker: Worker) -> None:
    tuned, most = CASES[case]
    found = worker.launches(case)
    assert found["tuned"] == tuned
    assert found["ours"] <= most
