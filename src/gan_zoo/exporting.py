"""A trained generator to give away: weights without code, plain data, and a model card."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from gan_zoo.compose import CONF
from gan_zoo.errors import CompositionError
from gan_zoo.files import sha256
from gan_zoo.runs import BUILT, Run, Words, best_device, built, caption_reader
from gan_zoo.trust import is_trusted

FORMAT = 1
MODEL, WEIGHTS = "model.json", "generators.safetensors"
KEPT = (*BUILT, "seed", "pack", "channels_last", "condition")


def export(run: Run, out: Path, samples: int = 64, onnx: bool = False) -> Path:
    """Write the generators that a run is judged by into a new folder ``out``, whole or not at all.

    ``generators.safetensors`` are the weights (averaged ones if there are any), ``model.json`` all that is needed to
    rebuild and ask them, ``README.md`` a model card with scores and the data's licence, ``samples.png`` a picture.

    Args:
        run: what `gan_zoo.load` gives.
        out: the folder.
        samples: in the picture.
        onnx: also write what `gan_zoo.onnx_export.write_onnx` does.

    Raises:
        CompositionError: if ``out`` is there already and not empty, or ONNX files do not agree with torch.
    """
    out = out.absolute()
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise CompositionError(f"--out must be a new or empty folder, got {str(out)!r}")
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
    return out


def _write(run: Run, folder: Path, name: str, samples: int, onnx: bool) -> None:
    from gan_zoo.onnx_export import write_onnx
    from gan_zoo.pictures import save
    from gan_zoo.sampling import grid

    state = run.module.sampling_generators.state_dict()
    save_file({key: tensor.detach().cpu().contiguous() for key, tensor in state.items()}, folder / WEIGHTS)
    metrics = run.folder / "metrics.json"
    about: dict[str, Any] = {
        "format": FORMAT,
        "weights_sha256": sha256(folder / WEIGHTS),
        "config": shareable(run.config),
        "provenance": run.module.metadata["provenance"],
        "needs": sorted(run.module.game.needs),
        "images_seen": run.module.clock.images_seen,
        "averaged": run.module.ema is not None,
        "data": {"name": run.source.name, "licence": run.source.licence, "classes": list(run.source.classes or [])},
        "words": None if run.words is None else {"vocabulary": list(run.words.vocabulary), "length": run.words.length},
        "scores": json.loads(metrics.read_text()).get("metrics", []) if metrics.is_file() else [],
    }
    if onnx:
        run.module.to("cpu")
        about["onnx"] = write_onnx(run, folder)
    if len(run.config["data"]["sample_shape"]) == 3:
        save(grid(run, samples, 0), folder / "samples.png")
    (folder / MODEL).write_text(json.dumps(about, indent=2) + "\n")
    (folder / "README.md").write_text(card(name, about, (folder / "samples.png").is_file()))


def shareable(config: Mapping[str, Any]) -> dict[str, Any]:
    """What rebuilds the generators, without paths of this machine and without code that only trains and is not ours."""

    def without_paths(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: "data" if key == "root" else without_paths(value) for key, value in node.items()}
        return node

    kept: dict[str, Any] = {key: without_paths(config[key]) for key in KEPT if key in config}
    if not is_trusted(kept["loss"]["adversarial"]["_target_"], CONF):
        kept["loss"] = kept["loss"] | {"adversarial": {"_target_": "gan_zoo.losses.logistic.NonSaturating"}}
    regularizers = {name: node for name, node in kept["regularizer"].items() if node is not None}
    kept["regularizer"] = {n: node for n, node in regularizers.items() if is_trusted(node["_target_"], CONF)}
    kept["metric"] = {}
    return kept


def card(name: str, about: Mapping[str, Any], with_picture: bool) -> str:
    """The model card, in Markdown."""
    from gan_zoo.onnx_export import usage as onnx_usage

    config, data = about["config"], about["data"]
    scores = [
        f"| `{s['name']}` | {s['value']:.5g} | {s['protocol'].get('num_generated', '')} generated, "
        f"{s['protocol'].get('num_real', '')} real | {s['protocol'].get('warning', '')} |"
        for s in about["scores"]
    ]
    shape, seen = " x ".join(map(str, config["data"]["sample_shape"])), f"{about['images_seen']:,} images seen"
    lines = [
        *("---", "library_name: gan-zoo", "tags: [gan]", "---", ""),  # what the hub reads
        f"# {name}",
        "",
        f"A generator of {shape} samples, trained by gan_zoo on `{data['name']}`, {seen}.",
        *(["", "![samples](samples.png)"] if with_picture else []),
        "",
        *usage(name, about),
        "",
        *([*onnx_usage(about["onnx"]), ""] if "onnx" in about else []),
        f"Game `{config['model']['_target_'].rpartition('.')[2]}`, loss "
        f"`{config['loss']['adversarial']['_target_'].rpartition('.')[2]}`; everything else is in `model.json`.",
        "",
        "## Data",
        "",
        f"Licence of the training data: {data['licence'] or 'not known to gan_zoo; ask whoever made them'}.",
        *(["", "## Scores", "", "| score | value | samples | remark |", "| --- | --- | --- | --- |"] if scores else []),
        *scores,
        "",
        "## Made with",
        "",
        ", ".join(f"{package} {version}" for package, version in about["provenance"].items()),
    ]
    return "\n".join(lines) + "\n"


def _check_plain(about: Any) -> None:
    """Raise `TypeError` or `KeyError` where an export's description is not of the form that `export` writes."""
    config = about["config"]
    for group in ("model", "generator", "loss", "optim", "data"):
        if not isinstance(config[group], dict):
            raise TypeError(f"config.{group} must be a mapping, got {config[group]!r}")
    int(about["images_seen"])


def usage(name: str, about: Mapping[str, Any]) -> list[str]:
    """How to ask the model, by what it needs."""
    needs = about["needs"]
    if {"image", "domain"} & set(needs):
        return [f"    gan-zoo translate {name} IN OUT   # folders of pictures"]
    is_told = caption_reader(needs, about["config"]) is not None
    told, wishes = (', caption="..."', " --caption ...") if is_told else ("", "")
    return [
        "    import gan_zoo",
        f'    samples = gan_zoo.load("{name}").sample(16, seed=0{told})   # [16, ...] in [-1, 1]',
        "",
        f"or `gan-zoo sample {name}{wishes}`.",
    ]


def load(folder: str | Path, device: torch.device | str = "auto", trust: bool = False) -> Run:
    """The generators of an export, ready to sample from; critics are there, but untrained.

    Args:
        folder: what `export` wrote.
        device: where the networks go; ``auto`` is the best there is.
        trust: build classes from outside gan_zoo that the config names. They run code: only for exports you trust.

    Raises:
        CompositionError: if it is no export, damaged, or its config names what is not trusted.
    """
    folder = Path(folder)
    device = best_device(device) if isinstance(device, str) else device
    try:
        about = json.loads((folder / MODEL).read_text())
        config, weights = about["config"], folder / WEIGHTS
        if about["format"] != FORMAT or sha256(weights) != about["weights_sha256"]:
            raise ValueError("another format, or weights of another hash")
        state = load_file(weights)
        words = None if about["words"] is None else Words(tuple(about["words"]["vocabulary"]), about["words"]["length"])
        classes = tuple(str(name) for name in about["data"].get("classes") or ())
        _check_plain(about)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError, SafetensorError) as error:
        raise CompositionError(f"{folder} is damaged or no export of gan_zoo: {error}") from error
    try:
        module = built(config | {"ema": None, "run_dir": str(folder)}, trust)
    except CompositionError:
        raise
    except Exception as error:  # what a changed config makes constructors raise is not foreseeable
        reason = " ".join(str(error).split())
        raise CompositionError(f"{folder} is no export of gan_zoo: its config cannot be built: {reason}") from error
    try:
        module.game.generators.load_state_dict(state)
    except RuntimeError as error:
        raise CompositionError(f"{folder} does not fit the networks of its config: another version?") from error
    module.clock.images_seen = int(about["images_seen"])
    return Run(
        folder, folder / WEIGHTS, config, module.to(device).eval(), words, may_read=trust, exported_classes=classes
    )
