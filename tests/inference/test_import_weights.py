"""Generators of the CycleGAN and pix2pix repository, rebuilt from their description, as runs."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from gan_zoo.core.errors import ConfigError
from gan_zoo.inference.import_weights import import_weights
from gan_zoo.inference.load import load_run
from tests.helpers import invoke, refused


class Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        layers = []
        for last in (False, True):
            layers += [nn.ReflectionPad2d(1), nn.Conv2d(width, width, 3), nn.InstanceNorm2d(width)]
            layers += [] if last else [nn.ReLU()]
        self.conv_block = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv_block(x)


class Wrapped(nn.Module):
    """Names as in the repository: all layers are in ``model``."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x)


def residual_translator(width: int, blocks: int) -> nn.Module:
    """c7s1-w, d2w, d4w, residual blocks, u2w, uw, c7s1-3 with instance normalization."""

    def normalized(conv: nn.Module, channels: int) -> list[nn.Module]:
        return [conv, nn.InstanceNorm2d(channels), nn.ReLU()]

    layers = [nn.ReflectionPad2d(3), *normalized(nn.Conv2d(3, width, 7), width)]
    for c in (width, 2 * width):
        layers += normalized(nn.Conv2d(c, 2 * c, 3, 2, 1), 2 * c)
    layers += [Residual(4 * width) for _ in range(blocks)]
    for c in (4 * width, 2 * width):
        layers += normalized(nn.ConvTranspose2d(c, c // 2, 3, 2, 1, output_padding=1), c // 2)
    return Wrapped(nn.Sequential(*layers, nn.ReflectionPad2d(3), nn.Conv2d(width, 3, 7), nn.Tanh()))


class Level(nn.Module):
    def __init__(self, outer: int, inner: int, below: nn.Module | None, c_in: int = 0) -> None:
        super().__init__()
        down = nn.Conv2d(c_in or outer, inner, 4, 2, 1, bias=False)
        up_from = inner if below is None else 2 * inner
        if c_in:
            up = nn.ConvTranspose2d(up_from, outer, 4, 2, 1)
            layers = [down, below, nn.ReLU(), up, nn.Tanh()]
        else:
            up = [nn.ReLU(), nn.ConvTranspose2d(up_from, outer, 4, 2, 1, bias=False)]
            up.append(nn.BatchNorm2d(outer))
            middle = [] if below is None else [nn.BatchNorm2d(inner), below]
            layers = [nn.LeakyReLU(0.2), down, *middle, *up]
        self.outermost = bool(c_in)
        self.model = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        return self.model(x) if self.outermost else torch.cat([x, self.model(x)], 1)


def unet(width: int, depth: int) -> nn.Module:
    """An encoder-decoder with skip connections and batch normalization."""
    widths = [width * min(2**k, 8) for k in range(depth)]
    below = None
    for outer, inner in zip(widths[-2::-1], widths[:0:-1], strict=True):
        below = Level(outer, inner, below)
    return Wrapped(Level(3, width, below, c_in=3))


def trained(network: nn.Module) -> nn.Module:
    """Random weights, biases and running statistics."""
    torch.manual_seed(0)
    with torch.no_grad():
        for key, tensor in network.state_dict().items():
            if tensor.is_floating_point():
                random = torch.randn_like(tensor) * 0.1
                tensor.copy_(random.abs() + 0.5 if key.endswith("running_var") else random)
    return network.eval()


def save(network: nn.Module, file: Path, prefix: str = "") -> Path:
    torch.save({prefix + key: value for key, value in network.state_dict().items()}, file)
    return file


def test_both_generators_of_cyclegan_translate_as_there(tmp_path: Path) -> None:
    networks = [trained(residual_translator(4, 2)), residual_translator(4, 2).eval()]
    files = [save(network, tmp_path / f"{k}.pth") for k, network in enumerate(networks)]
    out = tmp_path / "run"
    said = invoke("import-weights", files[0], out, "--backward", files[1], "--image-size", 16)
    assert said.strip() == f"cyclegan: 2 generators in {out}"
    run = load_run(out)
    x = torch.rand(2, 3, 16, 16) * 2 - 1
    for name, network in zip(("a_to_b", "b_to_a"), networks, strict=True):
        ours = run.module.inference_generators[name](x)
        torch.testing.assert_close(ours, network(x), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_unet_of_pix2pix_translates_as_there(prefix: str, tmp_path: Path) -> None:
    network = trained(unet(4, 4))
    out = tmp_path / "run"
    import_weights([save(network, tmp_path / "net.pth", prefix)], out, image_size=16)
    run = load_run(out)
    assert run.config["generator"]["depth"] == 4
    x = torch.rand(2, 3, 16, 16) * 2 - 1
    ours = run.module.inference_generators["main"](x)
    torch.testing.assert_close(ours, network(x), atol=1e-5, rtol=1e-4)


def test_running_statistics_of_instance_norms_in_early_files_are_unused(tmp_path: Path) -> None:
    network = trained(residual_translator(4, 1))
    state = network.state_dict() | {"model.2.running_mean": torch.ones(4)}
    torch.save(state, tmp_path / "net.pth")
    import_weights([tmp_path / "net.pth"], tmp_path / "run", image_size=16)
    x = torch.rand(1, 3, 16, 16)
    ours = load_run(tmp_path / "run").module.inference_generators["a_to_b"](x)
    torch.testing.assert_close(ours, network(x), atol=1e-5, rtol=1e-4)


def test_an_imported_run_translates_a_folder_and_training_goes_on_from_it(
    tmp_path: Path, tiny
) -> None:
    from gan_zoo.launch.train import train

    file = save(trained(residual_translator(4, 1)), tmp_path / "net.pth")
    out = tmp_path / "imported"
    assert "b_to_a is untrained" in invoke("import-weights", file, out, "--image-size", "16")
    (tmp_path / "in").mkdir()
    Image.new("RGB", (20, 16), "red").save(tmp_path / "in" / "a.png")
    invoke("translate", out, tmp_path / "in", tmp_path / "out")
    assert (tmp_path / "out" / "a.png").is_file()

    for folder in ("trainA", "trainB"):
        (tmp_path / folder).mkdir()
        Image.new("RGB", (16, 16), "blue").save(tmp_path / folder / "a.png")
    small = ("generator.width=4", "generator.blocks=1", "generator.halvings=2")
    small = (*small, "generator.kernel=7", "data.batch_size=1")
    data = ("data=cyclegan_folder", f"data.root={tmp_path}", "data.image_size=16")
    short = ("discriminator.layers=1", "trainer.max_steps=1", f"init={out}")
    train(tiny("model=cyclegan", *data, *small, *short))


def test_what_does_not_fit_is_one_line_and_leaves_nothing(tmp_path: Path) -> None:
    out = tmp_path / "run"
    (tmp_path / "text.pth").write_text("no")
    assert "cannot be read as a state dict" in refused("import-weights", tmp_path / "text.pth", out)
    torch.save({"epoch": 3}, tmp_path / "other.pth")
    assert "holds more than tensors" in refused("import-weights", tmp_path / "other.pth", out)
    file = save(residual_translator(4, 1), tmp_path / "net.pth")
    assert "--model must be cyclegan or pix2pix, got 'gan'" in refused(
        "import-weights", file, out, "--model", "gan"
    )
    other = save(residual_translator(4, 2), tmp_path / "larger.pth")
    assert "layers, but the network has" in refused(
        "import-weights", file, out, "--backward", other, "--image-size", 16
    )
    assert not out.exists()
    with pytest.raises(ConfigError, match="new or empty folder"):
        import_weights([file], tmp_path)
