"""StarGAN v2's networks with heads: the own head alone, learning rates of the mapping, sizes of the paper's networks."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from gan_zoo.networks.translation.domain_heads import (
    DomainDiscriminator,
    DomainMapping,
    DomainStyleEncoder,
    SlowLinear,
    of_classes,
)

SHAPE = [3, 16, 16]
SMALL = {"width": 4, "max_width": 8}


def domains(*numbers: int) -> Tensor:
    return one_hot(torch.tensor(numbers), 3).float()


def mapping(**options) -> DomainMapping:
    torch.manual_seed(0)
    return DomainMapping(2, 5, 3, **{"hidden": 8, "depth": 2} | options)


def encoder() -> DomainStyleEncoder:
    torch.manual_seed(0)
    return DomainStyleEncoder(5, 3, SHAPE, **SMALL)


def discriminator() -> DomainDiscriminator:
    torch.manual_seed(0)
    return DomainDiscriminator(SHAPE, 3, **SMALL)


def test_outputs_of_the_own_head() -> None:
    outputs = torch.arange(18.0).reshape(2, 3, 3)
    expected = torch.stack([outputs[0, 2], outputs[1, 0]])
    assert torch.equal(of_classes(outputs, domains(2, 0)), expected)


def test_styles_of_the_mapping_by_hand() -> None:
    made, latents = mapping(), torch.randn(4, 2)
    labels = [0, 2, 1, 2]
    m = 0.01
    hidden = latents
    for layer in made.shared:
        hidden = (hidden @ (m * layer.weight).T + m * layer.bias).relu()
    for number, label in enumerate(labels):
        style = hidden[number]
        first, last = made.heads
        style = (m * first.weight[label] @ style + m * first.bias[label]).relu()
        style = m * last.weight[label] @ style + m * last.bias[label]
        found = made(latents, domains(*labels))[number]
        torch.testing.assert_close(found, style)


def parts_of_heads(network: nn.Module) -> dict[str, Tensor]:
    """The gradients of heads, ``[3, ...]``."""
    named = network.named_parameters()
    gradients = {name: p.grad for name, p in named if name.startswith("heads")}
    return {name: g.reshape(3, -1) for name, g in gradients.items()}


@pytest.mark.parametrize("make", [mapping, encoder, discriminator])
def test_only_the_own_head_gets_a_gradient(make) -> None:
    network = make()
    x = torch.randn(4, 2) if make is mapping else torch.randn(4, *SHAPE)
    output = network(x, domains(1, 1, 1, 1))
    (output.score if make is discriminator else output).square().sum().backward()
    for name, parts in parts_of_heads(network).items():
        assert parts[1].any(), name
        assert not parts[[0, 2]].any(), name
    shared = [p for name, p in network.named_parameters() if not name.startswith("heads")]
    assert all(p.grad is not None and p.grad.any() for p in shared)


def test_scores_of_samples_depend_on_their_own_domain() -> None:
    made, x = discriminator(), torch.randn(1, *SHAPE)
    alone = [made(x, domains(k)).score for k in range(3)]
    together = made(x.expand(3, -1, -1, -1), domains(0, 1, 2)).score
    torch.testing.assert_close(together, torch.cat(alone))
    assert len({score.item() for score in alone}) == 3

    # Linear in the condition, so that penalties may score between two domains.
    between = made(x, domains(0) / 4 + 3 * domains(2) / 4).score
    torch.testing.assert_close(between, alone[0] / 4 + 3 * alone[2] / 4)


@pytest.mark.parametrize("heads", [None, 3])
def test_adam_moves_the_mapping_by_a_fraction_of_its_rate(heads: int | None) -> None:
    torch.manual_seed(0)
    layer = SlowLinear(400, 300, 0.01, heads).double()
    effective = (0.01 * layer.weight).detach()
    assert float(effective.std()) == pytest.approx((2 / 400) ** 0.5, rel=0.02)
    optimizer = torch.optim.Adam(layer.parameters(), lr=1e-2, eps=1e-30)
    x = torch.randn(*(() if heads is None else (heads,)), 4, 400, dtype=torch.float64)
    layer(x).square().sum().backward()
    optimizer.step()
    moved = (0.01 * layer.weight - effective).abs()
    torch.testing.assert_close(moved, torch.full_like(moved, 1e-4))


@pytest.mark.parametrize("shape", [[3, 8, 8], [1, 16, 32], [3, 12, 20]])
def test_images_of_any_shape(shape: list[int]) -> None:
    x = torch.randn(2, *shape)
    assert DomainStyleEncoder(5, 3, shape, **SMALL)(x, domains(0, 2)).shape == (2, 5)
    output = DomainDiscriminator(shape, 3, **SMALL)(x, domains(0, 2))
    assert output.score.shape == (2,)
    assert output.features[0].shape[0] == 2


def conv(c_in: int, c_out: int, kernel: int = 3) -> int:
    return c_in * c_out * kernel**2 + c_out


def test_parameters_of_the_networks_at_256_pixels() -> None:
    """With two domains, as for faces."""
    widths = [64, 128, 256, 512, 512, 512, 512]
    steps = list(pairwise(widths))
    blocks = sum(conv(a, a) + conv(a, b) + (a * b if a != b else 0) for a, b in steps)
    trunk = conv(3, 64) + blocks + conv(512, 512, 4)
    shared = conv(16, 512, 1) + 3 * conv(512, 512, 1)
    of_domain = 3 * conv(512, 512, 1) + conv(512, 64, 1)
    with torch.device("meta"):
        made = {
            DomainMapping(16, 64, 2): (shared + 2 * of_domain, 2_438_272),
            DomainStyleEncoder(64, 2, [3, 256, 256]): (trunk + 2 * conv(512, 64, 1), 20_916_928),
            DomainDiscriminator([3, 256, 256], 2): (trunk + conv(512, 2, 1), 20_852_290),
        }
    for network, (expected, number) in made.items():
        assert sum(p.numel() for p in network.parameters()) == expected == number


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: mapping(depth=0), "hidden and depth must be >= 1 and lr_multiplier > 0, got 8, 0"),
        (lambda: mapping(lr_multiplier=0.0), "lr_multiplier > 0, got 8, 2 and 0.0"),
        (lambda: DomainStyleEncoder(5, 3, [2]), "the style encoder works on images"),
        (lambda: DomainDiscriminator([3, 4, 4], 3), "at least 8 pixels; the data's sample_shape"),
        (lambda: DomainDiscriminator(SHAPE, 3, width=0), "must be >= 1, got 0 and 512"),
    ],
)
def test_impossible_networks(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()
