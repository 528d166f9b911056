"""Parts that tabs share: fields for classes and captions, error messages, enlarged images."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gradio as gr
import torch
from PIL import Image
from torch import Tensor

from gan_zoo.core.errors import ConfigError, DataError
from gan_zoo.data.image_tensors import to_pil, to_uint8
from gan_zoo.inference import sampling
from gan_zoo.inference.model import LoadedModel, request_as_in_grid

SIDE = 448


class ConditionFields:
    """The fields for a class or a caption, where the model takes one.

    Args:
        run: whose model.
    """

    def __init__(self, run: LoadedModel) -> None:
        classes = run.module.model.num_requested_labels or 0
        self.inputs: list[Any] = []
        self.submits: list[Any] = []
        self.kind = ""
        # A text field for captions, a menu for classes.
        if run.caption_encoding is not None:
            field: Any = gr.Textbox(label="Caption", info="empty: captions of the data")
            self.kind, self.inputs, self.submits = "caption", [field], [field.submit]
        elif classes and run.module.model.conditioning in ("none", "class"):
            choices = [
                ("all", -1),
                *((name, k) for k, name in enumerate(run.class_names or map(str, range(classes)))),
            ]
            field = gr.Dropdown(choices, value=-1, label="Class")
            self.kind, self.inputs, self.submits = "label", [field], [field.change]

    def request(self, *values: Any) -> dict[str, Any]:
        """The values of the fields, as arguments of `gan_zoo.inference.model.make_request`."""
        if not values or values[0] in ("", -1, None):
            return {}
        return {self.kind: values[0]}


@contextmanager
def errors_as_toast() -> Iterator[None]:
    """Within the block errors that are meant for users become a message on the page."""
    try:
        yield
    except (DataError, ConfigError, OSError, ValueError) as error:
        raise gr.Error(str(error), print_exception=False) from error


def samples_for(run: LoadedModel, latents: Tensor, seed: int, **request: Any) -> Tensor:
    """Samples ``[B, C, H, W]`` for ``latents``, all with the same class and condition."""
    requested = request_as_in_grid(run, 1, seed, **request)
    same = torch.zeros(len(latents), dtype=torch.int64)
    return sampling.generate(run, latents, requested.select(same))


def sample_image(run: LoadedModel, latent: Tensor, seed: int, **request: Any) -> Image.Image:
    """The sample of one latent ``[1, latent_dim]``, enlarged."""
    return upscale(to_pil(to_uint8(samples_for(run, latent, seed, **request)[0])))


def grid_image(run: LoadedModel, count: int, seed: int, **request: Any) -> Image.Image:
    """A grid of samples, enlarged; see `gan_zoo.inference.sampling.grid`."""
    made = sampling.grid(run, int(count), int(seed), **request)
    return upscale(made if isinstance(made, Image.Image) else to_pil(made))


def upscale(image: Image.Image, side: int = SIDE) -> Image.Image:
    """The image enlarged by an integer factor to at least ``side`` pixels."""
    factor = math.ceil(side / max(image.size))
    return image.resize((image.width * factor, image.height * factor), Image.Resampling.NEAREST)
