"""Fused convolutions are the three operations they stand for, with and without oneDNN."""

from __future__ import annotations

import copy
import math

import pytest
import torch
from torch import nn

from gan_zoo.networks.fused import FusedConv

ACTIVATIONS = {math.inf: nn.ReLU(), 1.5: nn.Hardtanh(0, 1.5), None: nn.Identity()}


@pytest.mark.parametrize("onednn", [True, False])
@pytest.mark.parametrize("ceiling", ACTIVATIONS)
@pytest.mark.parametrize(("groups", "stride", "kernel"), [(1, 1, 1), (1, 2, 3), (6, 1, 3)])
def test_one_operation_is_three(ceiling, groups, stride, kernel, onednn, monkeypatch) -> None:
    if not onednn:
        monkeypatch.setattr("gan_zoo.networks.fused.has_onednn", lambda: False)
    torch.manual_seed(0)
    conv, norm = (
        nn.Conv2d(6, 12, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(12).eval(),
    )
    norm.running_mean.normal_()
    norm.running_var.uniform_(0.5, 1.5)
    fused = FusedConv(conv, norm, ceiling).requires_grad_(False)
    for size in (4, 2):  # weights packed for one size serve another
        x = torch.randn(size, 6, 9, 9).contiguous(memory_format=torch.channels_last)
        expected = ACTIVATIONS[ceiling](norm(conv(x)))
        torch.testing.assert_close(fused(x), expected, rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(copy.deepcopy(fused)(x), expected, rtol=1e-5, atol=1e-5)
