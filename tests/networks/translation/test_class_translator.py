"""StarGAN's networks: the class has an effect, and has none under reflected borders; heads and shapes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import one_hot

from gan_zoo.networks.patchgan import PatchGAN
from gan_zoo.networks.translation.class_translator import ClassPatchGAN, ClassTranslator

SHAPE = [3, 16, 16]


def network(**options) -> ClassTranslator:
    torch.manual_seed(0)
    sizes = {"condition_dim": 3, "width": 4, "blocks": 1, "kernel": 3}
    return ClassTranslator(SHAPE, SHAPE, **sizes | options)


def images(height: int = 16, width: int = 16) -> Tensor:
    return torch.randn(2, 3, height, width, generator=torch.Generator().manual_seed(1)).tanh()


def of_class(made: nn.Module, k: int, x: Tensor | None = None) -> Tensor:
    x = images() if x is None else x
    output: Tensor = made(x, one_hot(torch.full((2,), k), 3).float())
    return output


def reflected(made: nn.Module) -> nn.Module:
    """The mistaken twin: borders are reflected."""
    for layer in made.modules():
        if isinstance(layer, nn.Conv2d):
            layer.padding_mode = "reflect"
            layer._reversed_padding_repeated_twice = [layer.padding[0]] * 4
    return made


def test_classes_have_an_effect_by_zero_padding_alone() -> None:
    made = network()
    assert (of_class(made, 0) - of_class(made, 1)).abs().max() > 1e-4
    twin = reflected(network())
    torch.testing.assert_close(of_class(twin, 0), of_class(twin, 1), atol=1e-6, rtol=0)
    without_norm = reflected(network(norm="none"))
    assert not torch.allclose(of_class(without_norm, 0), of_class(without_norm, 1), atol=1e-9)


def test_any_size() -> None:
    made = of_class(network(), 2, images(8, 24))
    assert made.shape == (2, 3, 8, 24)
    assert made.abs().max() < 1


def test_classes_are_channels_beside_the_image() -> None:
    """The first layer by hand."""
    made, x = network(), images()
    vectors = torch.tensor([[1.0, 0.0, 0.0], [0.0, 0.5, 2.0]])
    seen: list[Tensor] = []
    made.layers[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    made(x, vectors)
    assert torch.equal(seen[0][:, :3], x)
    assert (seen[0][:, 3:] == vectors[:, :, None, None]).all()


def test_every_parameter_gets_a_gradient() -> None:
    made = network(norm="none")
    of_class(made, 0).square().mean().backward()
    assert all(p.grad is not None and p.grad.any() for p in made.parameters())

    critic = ClassPatchGAN(SHAPE, 3, layers=1, width=4)
    output = critic(images())
    (output.score.square().mean() + output.aux.square().mean()).backward()
    assert all(p.grad is not None and p.grad.any() for p in critic.parameters())


@pytest.mark.parametrize(("shape", "layers"), [([3, 16, 16], 2), ([1, 8, 12], 1)])
def test_a_score_for_each_patch_and_classes_of_the_image(shape: list[int], layers: int) -> None:
    torch.manual_seed(0)
    critic = ClassPatchGAN(shape, 5, layers=layers, width=4)
    torch.manual_seed(0)
    plain = PatchGAN(shape, layers=layers, width=4, norm="none")
    x = torch.randn(2, *shape)
    output = critic(x)
    assert torch.equal(output.score, plain(x).score)
    assert output.aux.shape == (2, 5)

    # The head is linear in all last activations.
    weight = critic.classes.weight.flatten(1)
    torch.testing.assert_close(output.aux, output.features[-1].flatten(1) @ weight.T)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"blocks": 0}, "blocks must be >= 1, got 0"),
        ({"kernel": 4}, "kernel must be odd"),
        ({"norm": "spectral"}, "norm must be one of batch, instance, layer, none"),
        ({"in_shape": [3, 10, 10], "out_shape": [3, 10, 10]}, "needs sides divisible by 4"),
        ({"in_shape": [3, 8, 8]}, "generator=class_translator maps images to images of the same"),
    ],
)
def test_impossible_networks(options: dict, message: str) -> None:
    sizes = {"in_shape": SHAPE, "out_shape": SHAPE, "condition_dim": 3}
    with pytest.raises(ValueError, match=message):
        ClassTranslator(**sizes | options)
