"""The model card of an export."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gan_zoo.core.templates import render
from gan_zoo.inference.model import caption_encoding


def model_card(name: str, about: Mapping[str, Any], with_image: bool) -> str:
    """The model card, in Markdown."""
    from gan_zoo.export.onnx import usage as onnx_usage

    config = about["config"]
    return render(
        "gan_zoo.export",
        "model_card.md",
        name=name,
        about=about,
        with_image=with_image,
        shape=" x ".join(map(str, config["data"]["sample_shape"])),
        model=_class_name(config["model"]),
        loss=_class_name(config["loss"]["adversarial"]),
        usage=usage(name, about),
        onnx_usage=onnx_usage(about["onnx"], config["model"].get("prior", "normal"))
        if "onnx" in about
        else [],
    )


def _class_name(node: Mapping[str, Any]) -> str:
    return str(node["_target_"]).rpartition(".")[2]


def usage(name: str, about: Mapping[str, Any]) -> list[str]:
    """How to sample from the model."""
    # Translators take folders of images, not seeds.
    if about["translates"]:
        to_class = " --class CLASS" if about["conditioning"] == "class" else ""
        return [f"    gan-zoo translate {name} IN OUT{to_class}   # folders of images"]

    # Text-conditioned models show where a caption goes.
    takes_captions = caption_encoding(about["conditioning"], about["config"]) is not None
    argument = ', caption="..."' if takes_captions else ""
    option = " --caption ..." if takes_captions else ""
    return [
        "    import gan_zoo",
        (
            f'    samples = gan_zoo.load("{name}").sample(16, seed=0{argument})   # [16, ...] in'
            " [-1, 1]"
        ),
        "",
        f"or `gan-zoo sample {name}{option}`.",
    ]
