"""Export of a trained generator: weights without code, plain data, and a model card."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors.torch import save_file

from gan_zoo.config.allowlist import is_trusted
from gan_zoo.core.errors import ConfigError
from gan_zoo.core.files import sha256
from gan_zoo.core.paths import CONF
from gan_zoo.export.model_card import model_card
from gan_zoo.inference.load import CONFIG_GROUPS, FORMAT, MODEL, WEIGHTS
from gan_zoo.inference.logged_run import log_exported
from gan_zoo.inference.model import LoadedModel
from gan_zoo.runs.folder import RunFolder

EXPORTED_KEYS = (*CONFIG_GROUPS, "seed", "pack", "channels_last", "condition")


def export(run: LoadedModel, out: Path, samples: int = 64, onnx: bool = False) -> Path:
    """Write the inference generators of a run into a new folder ``out``, completely or not at all.

    ``generators.safetensors`` are the weights (averaged ones if there are any), ``model.json`` all
    that is needed to rebuild them and to sample, ``README.md`` a model card with metrics and the
    data's license, ``samples.png`` a grid.

    Args:
        run: returned by `gan_zoo.load`.
        out: the folder.
        samples: number of samples in the grid.
        onnx: also write what `gan_zoo.export.onnx.write_onnx` does.

    Raises:
        ConfigError: if ``out`` exists and is not empty, or ONNX files do not agree with torch.
    """
    out = out.absolute()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"--out must be a new or empty folder, got {str(out)!r}")

    # Written to a folder next to it, which is renamed once complete.
    temporary = out.with_name(f".{out.name}.part")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        _write(run, temporary, out.name, samples, onnx)
        if out.exists():
            out.rmdir()
        temporary.rename(out)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    log_exported(run, out)
    return out


def _write(run: LoadedModel, folder: Path, name: str, samples: int, onnx: bool) -> None:
    from gan_zoo.export.onnx import write_onnx
    from gan_zoo.inference.sampling import grid
    from gan_zoo.visualization.image_grid import save

    # The weights.
    state = run.module.inference_generators.state_dict()
    save_file(
        {key: tensor.detach().cpu().contiguous() for key, tensor in state.items()}, folder / WEIGHTS
    )

    # The description: all that is needed to rebuild the generators.
    tokenizer = run.tokenizer
    about: dict[str, Any] = {
        "format": FORMAT,
        "weights_sha256": sha256(folder / WEIGHTS),
        "config": portable_config(run.config),
        "provenance": run.module.metadata["provenance"],
        "conditioning": run.module.model.conditioning,
        "translates": run.module.model.translates,
        "images_seen": run.module.clock.images_seen,
        "averaged": run.module.ema is not None,
        "data": {
            "name": run.source.name,
            "license": run.source.license,
            "classes": list(run.source.classes or []),
        },
        "words": None if tokenizer is None else tokenizer._asdict(),
        "scores": RunFolder(run.folder).metrics().get("metrics", []),
    }

    # ONNX files and a grid of samples, where they are possible.
    if onnx:
        run.module.to("cpu")
        about["onnx"] = write_onnx(run, folder)
    if run.sample_kind.is_image:
        save(grid(run, samples, 0), folder / "samples.png")

    # The model card comes last, as it shows the samples if there are any.
    (folder / MODEL).write_text(json.dumps(about, indent=2) + "\n")
    shutil.copymode(folder / MODEL, folder / WEIGHTS)  # safetensors writes for the owner alone
    (folder / "README.md").write_text(model_card(name, about, (folder / "samples.png").is_file()))


def portable_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The config that rebuilds the generators, without local paths and without custom code that
    only trains.
    """

    def without_paths(node: Any) -> Any:
        if isinstance(node, dict):
            return {
                key: "data" if key == "root" else without_paths(value)
                for key, value in node.items()
            }
        return node

    # Only what rebuilds the generators.
    kept: dict[str, Any] = {
        key: without_paths(config[key]) for key in EXPORTED_KEYS if key in config
    }

    # Custom losses and regularizers only train, and may not be importable elsewhere.
    if not is_trusted(kept["loss"]["adversarial"]["_target_"], CONF):
        kept["loss"] = kept["loss"] | {
            "adversarial": {"_target_": "gan_zoo.losses.minimax.NonSaturating"}
        }
    regularizers = {name: node for name, node in kept["regularizer"].items() if node is not None}
    kept["regularizer"] = {
        n: node for n, node in regularizers.items() if is_trusted(node["_target_"], CONF)
    }
    kept["metric"] = {}
    return kept
