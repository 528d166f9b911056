"""What the tabs share: what a model is told, and how an answer is shown."""

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
from gan_zoo.data.image_tensors import to_uint8
from gan_zoo.inference import sampling
from gan_zoo.inference.model import Run, asked_as_in_the_grid, of_rows
from gan_zoo.visualization.image_grid import pillow

SIDE = 448


class Asked:
    """The fields by which a model is told a class or a caption, where it is.

    Args:
        run: whose model.
    """

    def __init__(self, run: Run) -> None:
        classes = run.module.model.num_requested_labels or 0
        self.inputs: list[Any] = []
        self.submits: list[Any] = []
        self.kind = ""
        if run.reads is not None:
            field: Any = gr.Textbox(label="Caption", info="empty: captions of the data")
            self.kind, self.inputs, self.submits = "caption", [field], [field.submit]
        elif classes and not set(run.module.model.needs) - {"label", "wrong"}:
            choices = [("all", -1), *((name, k) for k, name in enumerate(run.class_names or map(str, range(classes))))]
            field = gr.Dropdown(choices, value=-1, label="Class")
            self.kind, self.inputs, self.submits = "label", [field], [field.change]

    def wishes(self, *values: Any) -> dict[str, Any]:
        """What the fields say, as `gan_zoo.inference.wish` takes it."""
        if not values or values[0] in ("", -1, None):
            return {}
        return {self.kind: values[0]}


@contextmanager
def said_on_the_page() -> Iterator[None]:
    """Complaints that are made for users become a message on the page."""
    try:
        yield
    except (DataError, ConfigError, OSError, ValueError) as error:
        raise gr.Error(str(error), print_exception=False) from error


def asked_for(run: Run, latents: Tensor, seed: int, **wishes: Any) -> Tensor:
    """Samples ``[B, C, H, W]`` for ``latents``, all asked for the same."""
    wanted = asked_as_in_the_grid(run, 1, seed, **wishes)
    return sampling.show(run, latents, of_rows(wanted, torch.zeros(len(latents), dtype=torch.int64)))


def one(run: Run, latent: Tensor, seed: int, **wishes: Any) -> Image.Image:
    """The sample of one latent ``[1, latent_dim]``, large enough to look at."""
    return enlarged(pillow(to_uint8(asked_for(run, latent, seed, **wishes)[0])))


def enlarged(picture: Image.Image, side: int = SIDE) -> Image.Image:
    """A picture by a whole factor, so that small ones can be seen."""
    factor = math.ceil(side / max(picture.size))
    return picture.resize((picture.width * factor, picture.height * factor), Image.Resampling.NEAREST)
