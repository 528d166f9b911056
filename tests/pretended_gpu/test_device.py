"""The pretended GPU itself: what it records and what it computes."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

from tests.pretended_gpu.training import ROOT

SETUP = """
import torch
from torch import nn
from tests.pretended_gpu.device import DEVICE, pretended_gpu
with pretended_gpu() as recorder:
    x = torch.randn(4, 3, device=DEVICE, requires_grad=True)
    assert x.device == DEVICE
    recorder.clear()
    recorder.in_step = True
"""
CASES = {
    "x.sum().item()": ["wait"],
    "bool((x > 0).all())": ["wait"],
    "x.detach().cpu()": ["wait"],
    "x.tolist()": ["wait"],
    "torch.tensor([1.0, 2.0], device=DEVICE)": ["made on CPU", "wait"],
    "torch.ones(3).to(DEVICE)": ["made on CPU", "wait"],
    "torch.ones(3).to(DEVICE, non_blocking=True)": ["made on CPU", "upload"],
    "x.nonzero()": ["hidden wait"],
    "x[x[:, 0] > 0]": ["hidden wait"],
    "x[torch.tensor([1])]": ["index", "made on CPU"],
    "x.double()": ["float64"],
    "(x * 2).sum().backward()": [],
    "x @ x.T": [],
}


BOTH_DEVICES = """
    for wrong in (lambda: x + torch.ones(3), lambda: torch.ones(5)[x[:, 0].long()]):
        try:
            wrong()
        except RuntimeError as error:
            print(error)
"""
NUMBERS = """
    recorder.clear()
    y = (2 * x).relu().view(-1)
    y.sum().backward()
    expected = 2.0 * (x.on_cpu > 0)
    assert torch.equal(x.grad.on_cpu, expected)
    print(dict(recorder.launches))
"""


@pytest.fixture(scope="module")
def printed() -> list[str]:
    """What one process prints for all cases, as each start takes seconds."""
    program = SETUP + NUMBERS
    for case in CASES:
        program += (
            f"    recorder.clear(); {case}; print(sorted({{e.kind for e in recorder.events}}))\n"
        )
    program += BOTH_DEVICES
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.splitlines()


def test_numbers_and_launches_are_those_of_the_operations(printed: list[str]) -> None:
    launches = ast.literal_eval(printed[0])
    assert launches["mul"] == 2
    assert launches["relu"] == launches["sum"] == 1
    assert "view" not in launches


def test_what_is_recorded(printed: list[str]) -> None:
    for case, line in zip(CASES, printed[1:-2], strict=True):
        assert line == str(CASES[case]), case


def test_operands_on_both_devices_are_refused(printed: list[str]) -> None:
    assert "of shape (3,), on cpu" in printed[-2]
    assert "index on pretended into a tensor on cpu" in printed[-1]


def test_tests_do_not_register_the_device_in_their_own_process() -> None:
    assert "tests.pretended_gpu.device" not in sys.modules
