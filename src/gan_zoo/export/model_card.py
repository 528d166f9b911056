"""The model card of an export."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gan_zoo.inference.model import caption_encoding


def card(name: str, about: Mapping[str, Any], with_image: bool) -> str:
    """The model card, in Markdown."""
    from gan_zoo.export.onnx import usage as onnx_usage

    config = about["config"]
    data = about["data"]
    scores = [
        f"| `{s['name']}` | {s['value']:.5g} | {s['protocol'].get('num_generated', '')} generated, "
        f"{s['protocol'].get('num_real', '')} real | {s['protocol'].get('warning', '')} |"
        for s in about["scores"]
    ]
    shape = " x ".join(map(str, config["data"]["sample_shape"]))
    seen = f"{about['images_seen']:,} images seen"
    lines = [
        *("---", "library_name: gan-zoo", "tags: [gan]", "---", ""),  # what the hub reads
        f"# {name}",
        "",
        f"A generator of {shape} samples, trained by gan_zoo on `{data['name']}`, {seen}.",
        *(["", "![samples](samples.png)"] if with_image else []),
        "",
        *usage(name, about),
        "",
        *([*onnx_usage(about["onnx"]), ""] if "onnx" in about else []),
        f"Model `{config['model']['_target_'].rpartition('.')[2]}`, loss "
        f"`{config['loss']['adversarial']['_target_'].rpartition('.')[2]}`; everything else is in `model.json`.",
        "",
        "## Data",
        "",
        f"License of the training data: {data['license'] or 'not known to gan_zoo; ask their authors'}.",
        *(["", "## Scores", "", "| score | value | samples | remark |", "| --- | --- | --- | --- |"] if scores else []),
        *scores,
        "",
        "## Made with",
        "",
        ", ".join(f"{package} {version}" for package, version in about["provenance"].items()),
    ]
    return "\n".join(lines) + "\n"


def usage(name: str, about: Mapping[str, Any]) -> list[str]:
    """How to sample from the model."""
    if about["conditioning"] in ("image", "domain"):
        return [f"    gan-zoo translate {name} IN OUT   # folders of images"]
    takes_captions = caption_encoding(about["conditioning"], about["config"]) is not None
    argument = ', caption="..."' if takes_captions else ""
    option = " --caption ..." if takes_captions else ""
    return [
        "    import gan_zoo",
        f'    samples = gan_zoo.load("{name}").sample(16, seed=0{argument})   # [16, ...] in [-1, 1]',
        "",
        f"or `gan-zoo sample {name}{option}`.",
    ]
