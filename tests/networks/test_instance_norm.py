"""Our instance normalization is PyTorch's: values, gradients, gradients of gradients, in every layout."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gan_zoo.networks.layers.instance_norm import InstanceNorm

LAYOUTS = {"channels_last": torch.channels_last, "contiguous": torch.contiguous_format}
SHAPES = [(2, 5, 6, 7), (1, 3, 4, 4), (3, 1, 5, 5), (2, 4, 1, 6)]


def pair(channels: int) -> tuple[InstanceNorm, nn.InstanceNorm2d]:
    ours = InstanceNorm(channels).double()
    torch.manual_seed(0)
    nn.init.normal_(ours.weight)
    nn.init.normal_(ours.bias)
    theirs = nn.InstanceNorm2d(channels, affine=True).double()
    theirs.load_state_dict(ours.state_dict())
    return ours, theirs


def make_image(shape: tuple[int, ...], layout: torch.memory_format = torch.channels_last) -> Tensor:
    torch.manual_seed(1)
    return (
        (torch.randn(shape, dtype=torch.float64) * 3 + 5).to(memory_format=layout).requires_grad_()
    )


def takes_its_own_passes(y: Tensor) -> bool:
    return type(y.grad_fn).__name__ == "_InstanceNormBackward"


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("layout", LAYOUTS.values(), ids=LAYOUTS)
def test_values_and_gradients_are_those_of_torch(shape, layout):
    ours, theirs = pair(shape[1])
    x = make_image(shape, layout)
    y, same = ours(x), theirs(x)
    torch.testing.assert_close(y, same)
    assert y.stride() == x.stride()
    assert takes_its_own_passes(y) == x.is_contiguous(memory_format=torch.channels_last)
    slopes = torch.randn_like(
        y, memory_format=torch.contiguous_format
    )  # as from a layer of the other layout
    found = torch.autograd.grad(y, [x, *ours.parameters()], slopes)
    torch.testing.assert_close(found, torch.autograd.grad(same, [x, *theirs.parameters()], slopes))


def test_first_and_second_derivatives():
    ours, _ = pair(3)
    x = make_image((2, 3, 3, 4))

    def normalized(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return torch.func.functional_call(ours, {"weight": weight, "bias": bias}, (x,))

    assert torch.autograd.gradcheck(normalized, (x, ours.weight, ours.bias))
    assert torch.autograd.gradgradcheck(normalized, (x, ours.weight, ours.bias))


def test_a_penalty_on_input_gradients_reaches_the_weights():
    ours, theirs = pair(3)
    x = make_image((2, 3, 4, 4))

    def penalty(norm: nn.Module) -> list[Tensor]:
        (gradient,) = torch.autograd.grad(
            F.leaky_relu(norm(x), 0.2).square().sum(), x, create_graph=True
        )
        return list(torch.autograd.grad(gradient.square().sum(), [norm.weight, norm.bias]))

    torch.testing.assert_close(penalty(ours), penalty(theirs))


def test_frozen_weights_and_an_activation_in_place():
    ours, theirs = pair(4)
    x = make_image((2, 4, 5, 5))
    expected = torch.autograd.grad(F.relu(theirs(x)).sum(), x)
    ours.requires_grad_(False)
    torch.testing.assert_close(
        torch.autograd.grad(nn.ReLU(inplace=True)(ours(x)).sum(), x), expected
    )


def test_a_large_mean_costs_no_digits():
    """The variance is that of centered pixels; a difference of squares would be all rounding here."""
    x = (torch.randn(2, 3, 16, 16) + 1e4).to(memory_format=torch.channels_last)
    expected = F.instance_norm(x.double())
    torch.testing.assert_close(InstanceNorm(3)(x).double(), expected, rtol=0, atol=5e-3)


def test_autocast_does_not_round_the_sums():
    norm, x = (
        InstanceNorm(3),
        (torch.randn(2, 3, 16, 16) + 100).to(memory_format=torch.channels_last),
    )
    expected = norm(x)
    assert takes_its_own_passes(expected)
    with torch.autocast("cpu", torch.bfloat16):
        y = norm(x)
    assert not takes_its_own_passes(y)
    torch.testing.assert_close(
        y.float(), expected, rtol=0, atol=2e-2
    )  # bfloat16's own resolution, where it is used


@pytest.mark.parametrize("weights", [torch.float32, torch.bfloat16], ids=str)
def test_half_precision_is_torchs_own(weights):
    norm, x = (
        InstanceNorm(3).to(weights),
        torch.randn(2, 3, 8, 8).to(torch.bfloat16, memory_format=torch.channels_last),
    )
    assert not takes_its_own_passes(norm(x.requires_grad_()))
