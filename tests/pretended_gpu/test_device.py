"""The pretended GPU itself: what it records and what it computes."""

from __future__ import annotations

import ast
import subprocess
import sys

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


def run(code: str) -> str:
    ended = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def test_what_is_recorded() -> None:
    """One process for all cases, as each start takes seconds."""
    program = SETUP
    for case in CASES:
        program += (
            f"    recorder.clear(); {case}; print(sorted({{e.kind for e in recorder.events}}))\n"
        )
    for case, line in zip(CASES, run(program).splitlines(), strict=True):
        assert line == str(CASES[case]), case


def test_operands_on_both_devices_are_refused() -> None:
    program = SETUP + (
        "    for wrong in (lambda: x + torch.ones(3), lambda: torch.ones(5)[x[:, 0].long()]):\n"
        "        try:\n            wrong()\n        except RuntimeError as error:\n"
        "            print(error)\n"
    )
    lines = run(program).splitlines()
    assert "of shape (3,), on cpu" in lines[0]
    assert "index on pretended into a tensor on cpu" in lines[1]


def test_numbers_and_launches_are_those_of_the_operations() -> None:
    program = SETUP + (
        "    y = (2 * x).relu().view(-1)\n    y.sum().backward()\n"
        "    expected = 2.0 * (x.on_cpu > 0)\n"
        "    assert torch.equal(x.grad.on_cpu, expected)\n"
        "    print(dict(recorder.launches))\n"
    )
    launches = ast.literal_eval(run(program))
    assert launches["mul"] == 2
    assert launches["relu"] == launches["sum"] == 1
    assert "view" not in launches


def test_tests_do_not_register_the_device_in_their_own_process() -> None:
    assert "tests.pretended_gpu.device" not in sys.modules
