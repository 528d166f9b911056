"""The tabs of the page."""

from __future__ import annotations

import html
import tempfile
from pathlib import Path
from typing import Any

import gradio as gr
import torch
from PIL import Image
from torch import Tensor

from gan_zoo.core.errors import DataError
from gan_zoo.data.image_tensors import grid_of, to_pil, to_uint8
from gan_zoo.data.sample_kinds.audio import Audio, to_int16
from gan_zoo.inference import sampling
from gan_zoo.inference.directions import deviations, moved_sample, principal_directions
from gan_zoo.inference.latents import draw_latents, interpolate
from gan_zoo.inference.model import LoadedModel
from gan_zoo.inference.translate import translator_of
from gan_zoo.models.latent_spaces import has_styles
from gan_zoo.reports.run_report import report_page
from gan_zoo.runs.folder import RunFolder
from gan_zoo.visualization.animation import animation
from gan_zoo.web.inputs import (
    SIDE,
    ConditionFields,
    errors_as_toast,
    grid_image,
    sample_image,
    samples_for,
    upscale,
)

PLAYERS = 6
"""Samples that are played."""


def samples_tab(run: LoadedModel, blocks: gr.Blocks) -> None:
    """A grid of samples of a seed."""
    # Inputs on the left, the grid on the right.
    with gr.Row():
        with gr.Column(scale=1):
            seed = gr.Number(0, label="Seed", precision=0, minimum=0)
            count = gr.Slider(1, 144, 64, step=1, label="Samples")
            complete = gr.Checkbox(True, label="The complete prior")
            # Generators with a mapping truncate styles, others latents.
            if has_styles(run.module.inference_generators):
                kind = "psi"
                truncation = gr.Slider(0.0, 1.2, 0.7, step=0.05, label="Or styles truncated by psi")
            else:
                kind = "truncation"
                truncation = gr.Slider(0.1, 3.0, 1.0, step=0.05, label="Or truncated at")
            fields = ConditionFields(run)
            draw = gr.Button("Draw", variant="primary")
        with gr.Column(scale=2):
            image = gr.Image(
                label="Samples", type="pil", format="png", height=560, buttons=["download"]
            )

    def draw_samples(
        seed: int, count: int, complete: bool, truncation: float, *values: Any
    ) -> Image.Image:
        with errors_as_toast():
            request = fields.request(*values)
            if not complete:
                request[kind] = truncation
            return grid_image(run, count, seed, **request)

    # Draw at every change, and once when the page loads.
    inputs = [seed, count, complete, truncation, *fields.inputs]
    gr.on([draw.click, seed.submit, *fields.submits], draw_samples, inputs, image)
    count.release(draw_samples, inputs, image)
    blocks.load(draw_samples, inputs, image)


def sounds_tab(run: LoadedModel, blocks: gr.Blocks) -> None:
    """Players of the first samples of a seed, as ``gan-zoo sample --count`` writes them."""
    kind = run.sample_kind
    assert isinstance(kind, Audio)
    with gr.Row():
        seed = gr.Number(0, label="Seed", precision=0, minimum=0)
        fields = ConditionFields(run)
        draw = gr.Button("Draw", variant="primary")
    with gr.Row():
        players = [gr.Audio(label=f"Sample {k}", interactive=False) for k in range(PLAYERS)]

    def draw_sounds(seed: int, *values: Any) -> list[tuple[int, Any]]:
        with errors_as_toast():
            request = fields.request(*values)
            made = torch.cat(list(sampling.sample_blocks(run, PLAYERS, int(seed), **request)))
            return [(kind.sample_rate, to_int16(sound).T.numpy()) for sound in made]

    # Draw at every change, and once when the page loads.
    inputs = [seed, *fields.inputs]
    gr.on([draw.click, seed.submit, *fields.submits], draw_sounds, inputs, players)
    blocks.load(draw_sounds, inputs, players)


def directions_tab(run: LoadedModel, blocks: gr.Blocks) -> None:
    """One sample, and sliders along the directions that change samples most, in standard
    deviations.
    """
    # A slider for each direction.
    directions = principal_directions(run)
    units = deviations(run, directions)
    with gr.Row():
        with gr.Column(scale=1):
            seed = gr.Number(0, label="Seed", precision=0, minimum=0)
            fields = ConditionFields(run)
            sliders = [
                gr.Slider(-4, 4, 0, step=0.1, label=f"Direction {k + 1}")
                for k in range(len(directions))
            ]
            reset = gr.Button("Back to the seed")
        with gr.Column(scale=2):
            image = gr.Image(
                label="Sample", type="pil", format="png", height=SIDE, buttons=["download"]
            )

    def moved(seed: int, *given: Any) -> Image.Image:
        with errors_as_toast():
            # Sliders count in standard deviations.
            amounts = torch.tensor(given[: len(sliders)], dtype=torch.float32) * units
            request = fields.request(*given[len(sliders) :])
            return upscale(
                to_pil(to_uint8(moved_sample(run, directions, amounts, int(seed), **request)[0]))
            )

    # Every input moves the sample; the button resets all sliders first.
    inputs = [seed, *sliders, *fields.inputs]
    gr.on(
        [seed.submit, *fields.submits, *(slider.release for slider in sliders)],
        moved,
        inputs,
        image,
    )
    blocks.load(moved, inputs, image)
    reset.click(lambda: [0.0] * len(sliders), None, sliders).then(moved, inputs, image)


def between_tab(run: LoadedModel, blocks: gr.Blocks) -> None:
    """From the sample of one seed to that of another."""
    # Inputs on the left, the sample and the animation on the right.
    with gr.Row():
        with gr.Column(scale=1):
            first = gr.Number(0, label="From seed", precision=0, minimum=0)
            second = gr.Number(1, label="To seed", precision=0, minimum=0)
            where = gr.Slider(0, 1, 0.5, step=0.02, label="Where between them")
            straight = gr.Checkbox(False, label="Along the straight line, not the sphere")
            fields = ConditionFields(run)
            animate = gr.Button("The complete path, as GIF")
        with gr.Column(scale=2):
            image = gr.Image(
                label="Sample", type="pil", format="png", height=SIDE, buttons=["download"]
            )
            moving = gr.Image(label="Animation", type="filepath", height=256, buttons=["download"])

    # The slider picks a point of the path, the animation shows all of it.
    def path(first: int, second: int, straight: bool, steps: int) -> Tensor:
        ends = [draw_latents(run.module, 1, int(seed)) for seed in (first, second)]
        return interpolate(ends[0], ends[1], steps, spherical=not straight)

    def at(first: int, second: int, where: float, straight: bool, *values: Any) -> Image.Image:
        with errors_as_toast():
            latent = path(first, second, straight, 51)[round(where * 50)]
            return sample_image(run, latent, int(first), **fields.request(*values))

    def animated(first: int, second: int, where: float, straight: bool, *values: Any) -> str:
        with errors_as_toast():
            latents = path(first, second, straight, 24).squeeze(1)
            frames = samples_for(run, latents, int(first), **fields.request(*values))
            file = Path(tempfile.mkdtemp()) / "between.gif"
            animation(frames[None], file)
            return str(file)

    # The sample follows its inputs, the animation waits for its button.
    inputs = [first, second, where, straight, *fields.inputs]
    gr.on(
        [where.release, first.submit, second.submit, straight.change, *fields.submits],
        at,
        inputs,
        image,
    )
    blocks.load(at, inputs, image)
    animate.click(animated, inputs, moving)


def codes_tab(run: LoadedModel, blocks: gr.Blocks) -> None:
    """InfoGAN's continuous codes, one in each row."""
    seed = gr.Number(0, label="Seed", precision=0, minimum=0)
    image = gr.Image(
        label="A code in each row", type="pil", format="png", height=SIDE, buttons=["download"]
    )

    def traverse(seed: int) -> Image.Image:
        rows = sampling.traverse(run, int(seed))
        return upscale(to_pil(grid_of(rows.flatten(0, 1), rows.shape[1])))

    gr.Button("Traverse", variant="primary").click(traverse, seed, image)
    blocks.load(traverse, seed, image)


def translate_tab(run: LoadedModel, blocks: gr.Blocks) -> None:
    """Translation of an uploaded image."""
    # Models with a second generator translate in both directions.
    directions = (
        ["forward", "backward"] if "b_to_a" in run.module.inference_generators else ["forward"]
    )
    with gr.Row():
        with gr.Column():
            given = gr.Image(label="Your image", type="filepath", height=SIDE)
            direction = gr.Radio(directions, value="forward", label="Direction")
            full = gr.Checkbox(False, label="At its own size, not at that of training")
            fields = ConditionFields(run)
            go = gr.Button("Translate", variant="primary")
        image = gr.Image(
            label="Translation", type="pil", format="png", height=SIDE, buttons=["download"]
        )

    def translated(file: str | None, direction: str, full: bool, *values: Any) -> Image.Image:
        with errors_as_toast():
            if file is None:
                raise DataError("choose an image first")
            translator = translator_of(run, direction, **fields.request(*values))
            return upscale(to_pil(translator(translator.load(Path(file), full))))

    go.click(translated, [given, direction, full, *fields.inputs], image)


def report_tab(run: LoadedModel, blocks: gr.Blocks) -> None:
    """Curves, metrics and config of the run."""
    embedded_page("report", report_page(RunFolder(run.folder)))


def embedded_page(title: str, page: str) -> None:
    """A page of its own, as high as the window allows."""
    document = html.escape(page, quote=True)
    gr.HTML(
        f'<iframe title="{title}" srcdoc="{document}"'
        ' style="width:100%;height:75vh;border:0"></iframe>'
    )
