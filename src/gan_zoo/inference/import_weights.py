"""Generator weights of the CycleGAN and pix2pix repository (Zhu et al. 2017, Isola et al. 2017) as
a run.
"""

from __future__ import annotations

import pickle
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from gan_zoo.config.build import build_module
from gan_zoo.config.compose import compose_overrides
from gan_zoo.core.errors import ConfigError
from gan_zoo.core.files import atomic_path
from gan_zoo.networks.layers.instance_norm import InstanceNorm
from gan_zoo.runs.folder import RunFolder
from gan_zoo.runs.overrides import quote_value
from gan_zoo.training.module import GANModule

State = Mapping[str, Tensor]
LEARNED = (nn.Conv2d, nn.ConvTranspose2d)
TENSORS = ("weight", "bias", "running_mean", "running_var")


def import_weights(
    files: Sequence[Path], out: Path, model: str | None = None, image_size: int = 256
) -> str:
    """Write a run folder that holds these generators, to translate with or to train on from.

    The networks are found from the shapes in the files: a residual translator with ``conv_block``
    in its keys, else a U-Net.

    Args:
        files: the state dict of one generator; of CycleGAN also that of the backward direction.
        out: the run folder, new or empty.
        model: ``cyclegan`` or ``pix2pix``; None for what the repository uses the network for.
        image_size: side of the images.

    Returns:
        One line on what was imported.

    Raises:
        ConfigError: if a file is no such state dict, or does not fit the model.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"OUT must be a new or empty folder, got {str(out)!r}")

    # The networks that the weights belong to.
    states = [read_state(file) for file in files]
    network = describe(states[0], files[0])
    model = model or ("pix2pix" if "generator=unet" in network else "cyclegan")
    names = {"cyclegan": ("a_to_b", "b_to_a"), "pix2pix": ("main",)}
    if model not in names:
        raise ConfigError(f"--model must be {' or '.join(names)}, got {model!r}")
    if len(states) > len(names[model]):
        raise ConfigError(f"--backward is for --model cyclegan, got {model}")

    # The same networks, with these weights.
    data = "cyclegan_folder" if model == "cyclegan" else "side_by_side_folder"
    places = ["data.root=data", f"data.image_size={image_size}", f"run_dir={quote_value(str(out))}"]
    config = compose_overrides([f"model={model}", f"data={data}", "ema=null", *network, *places])
    module = build_module(config)
    for name, state, file in zip(names[model], states, files, strict=False):
        copy_weights(state, module.model.generators[name], str(file))
    _write_run(RunFolder(out), module)
    missing = names[model][len(states) :]
    untrained = f"; {', '.join(missing)} is untrained" if missing else ""
    return f"{model}: {len(states)} generator{'s' * (len(states) > 1)} in {out}{untrained}"


def read_state(file: Path) -> dict[str, Tensor]:
    """The tensors of a state dict, without the prefix of `torch.nn.DataParallel`; no code of the
    file's runs.
    """
    try:
        content = torch.load(file, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError, KeyError) as error:
        raise ConfigError(f"{file} cannot be read as a state dict of torch") from error
    if not isinstance(content, Mapping) or not content:
        raise ConfigError(f"{file} is no state dict")
    if not all(isinstance(value, Tensor) for value in content.values()):
        raise ConfigError(f"{file} is no state dict: it holds more than tensors")
    return {str(key).removeprefix("module."): value for key, value in content.items()}


def describe(state: State, file: Path) -> list[str]:
    """The overrides of the network that a state dict of the repository belongs to."""
    layers = layers_of(state)
    kernels = [layer["weight"] for layer in layers.values() if layer["weight"].ndim == 4]
    if len(kernels) < 4:
        raise ConfigError(f"{file} is none of the repository's generators: it has no convolutions")
    has_batch_norm = len(kernels) < len(layers)
    shared = [
        f"generator.width={len(kernels[0])}",
        f"generator.norm={'batch' if has_batch_norm else 'instance'}",
        f"data.condition_channels={kernels[0].shape[1]}",
    ]

    # Residual translators: the last layer is a convolution to the image's channels.
    blocks = {key.split(".conv_block")[0] for key in layers if "conv_block" in key}
    if blocks:
        kernel = kernels[0].shape[-1]
        return [
            "generator=resnet_translator",
            f"generator.blocks={len(blocks)}",
            "generator.halvings=2",
            f"generator.kernel={kernel}",
            f"data.channels={len(kernels[-1])}",
            *shared,
        ]

    # U-Nets: the last layer is a transposed convolution.
    return [
        "generator=unet",
        f"generator.depth={len(kernels) // 2}",
        f"data.channels={kernels[-1].shape[1]}",
        *shared,
    ]


def layers_of(state: State) -> dict[str, dict[str, Tensor]]:
    """The tensors of each layer with weights, in the order of the network.

    Early files have running statistics of instance normalization, which nothing uses.
    """
    layers: dict[str, dict[str, Tensor]] = defaultdict(dict)
    for key, tensor in state.items():
        layer, _, name = key.rpartition(".")
        layers[layer][name] = tensor
    learned = {layer: tensors for layer, tensors in layers.items() if "weight" in tensors}
    return dict(sorted(learned.items(), key=lambda item: _numbers(item[0])))


def _numbers(key: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", key)]


def copy_weights(state: State, network: nn.Module, file: str) -> None:
    """Copy the layers of the repository's generator into ours, in order.

    The repository has no bias before batch normalization, where ours becomes zero, and no scale
    and shift in instance normalization, where ours become one and zero.

    Raises:
        ConfigError: if number or shapes of the layers differ.
    """
    # Layers are matched by their order alone, as names differ between repositories.
    kinds = (*LEARNED, nn.BatchNorm2d)
    own = [layer for layer in network.modules() if isinstance(layer, kinds)]
    layers = layers_of(state)
    if len(own) != len(layers):
        raise ConfigError(f"{file} has {len(layers)} layers, but the network has {len(own)}")

    # All tensors that a layer of ours has; what the file lacks, such as a bias, is zero.
    for layer, (name, tensors) in zip(own, layers.items(), strict=True):
        for kind in TENSORS:
            target = getattr(layer, kind, None)
            if target is None:
                continue
            value = tensors.get(kind)
            if value is None:
                value = torch.zeros_like(target)
            if value.shape != target.shape:
                raise ConfigError(
                    f"{file} has {name}.{kind} of shape {list(value.shape)}, the network"
                    f" {list(target.shape)}"
                )
            with torch.no_grad():
                target.copy_(value)

    # Theirs has no scale and shift: ours must do nothing.
    for norm in network.modules():
        if isinstance(norm, InstanceNorm):
            nn.init.ones_(norm.weight)
            nn.init.zeros_(norm.bias)


def _write_run(run: RunFolder, module: GANModule) -> None:
    about = {**module.metadata, "clock": module.clock.state_dict()}
    store = run.checkpoints
    store.folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(store.path(0)) as temporary:
        torch.save({"gan_zoo": about, "state_dict": module.state_dict()}, temporary)
    store.record(step=0, images_seen=0, best=True)
