"""What a model can be asked for, a tab each."""

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
from gan_zoo.inference import sampling
from gan_zoo.inference.directions import principal_directions
from gan_zoo.inference.latents import between, draw_latents
from gan_zoo.inference.model import Run
from gan_zoo.inference.translate import read, translate_picture, translator
from gan_zoo.reports.run_report import page
from gan_zoo.visualization.animation import animation
from gan_zoo.visualization.image_grid import grid_of, pillow
from gan_zoo.web.inputs import SIDE, Asked, asked_for, enlarged, one, said_on_the_page


def samples_tab(run: Run, blocks: gr.Blocks) -> None:
    """A grid of samples of a seed."""
    with gr.Row():
        with gr.Column(scale=1):
            seed = gr.Number(0, label="Seed", precision=0, minimum=0)
            count = gr.Slider(1, 144, 64, step=1, label="Samples")
            whole = gr.Checkbox(True, label="The whole prior")
            truncation = gr.Slider(0.1, 3.0, 1.0, step=0.05, label="Or truncated at")
            asked = Asked(run)
            draw = gr.Button("Draw", variant="primary")
        with gr.Column(scale=2):
            picture = gr.Image(label="Samples", type="pil", format="png", height=560, buttons=["download"])

    def drawn(seed: int, count: int, whole: bool, truncation: float, *wishes: Any) -> Image.Image:
        with said_on_the_page():
            wanted = asked.wishes(*wishes)
            made = sampling.grid(run, int(count), int(seed), None if whole else truncation, **wanted)
            return enlarged(made if isinstance(made, Image.Image) else pillow(made))

    inputs = [seed, count, whole, truncation, *asked.inputs]
    gr.on([draw.click, seed.submit, *asked.submits], drawn, inputs, picture)
    count.release(drawn, inputs, picture)
    blocks.load(drawn, inputs, picture)


def directions_tab(run: Run, blocks: gr.Blocks) -> None:
    """One sample, and sliders along the directions that change samples most."""
    directions = principal_directions(run)
    with gr.Row():
        with gr.Column(scale=1):
            seed = gr.Number(0, label="Seed", precision=0, minimum=0)
            asked = Asked(run)
            sliders = [gr.Slider(-4, 4, 0, step=0.1, label=f"Direction {k + 1}") for k in range(len(directions))]
            reset = gr.Button("Back to the seed")
        with gr.Column(scale=2):
            picture = gr.Image(label="Sample", type="pil", format="png", height=SIDE, buttons=["download"])

    def moved(seed: int, *given: Any) -> Image.Image:
        with said_on_the_page():
            amounts, wishes = given[: len(sliders)], given[len(sliders) :]
            latent = draw_latents(run.module, 1, int(seed)) + torch.tensor([amounts], dtype=torch.float32) @ directions
            return one(run, latent, int(seed), **asked.wishes(*wishes))

    inputs = [seed, *sliders, *asked.inputs]
    gr.on([seed.submit, *asked.submits, *(slider.release for slider in sliders)], moved, inputs, picture)
    blocks.load(moved, inputs, picture)
    reset.click(lambda: [0.0] * len(sliders), None, sliders).then(moved, inputs, picture)


def between_tab(run: Run, blocks: gr.Blocks) -> None:
    """From the sample of one seed to that of another."""
    with gr.Row():
        with gr.Column(scale=1):
            first = gr.Number(0, label="From seed", precision=0, minimum=0)
            second = gr.Number(1, label="To seed", precision=0, minimum=0)
            where = gr.Slider(0, 1, 0.5, step=0.02, label="Where between them")
            straight = gr.Checkbox(False, label="Along the straight line, not the sphere")
            asked = Asked(run)
            film = gr.Button("All of the way, as GIF")
        with gr.Column(scale=2):
            picture = gr.Image(label="Sample", type="pil", format="png", height=SIDE, buttons=["download"])
            moving = gr.Image(label="Film", type="filepath", height=256, buttons=["download"])

    def path(first: int, second: int, straight: bool, steps: int) -> Tensor:
        ends = [draw_latents(run.module, 1, int(seed)) for seed in (first, second)]
        return between(ends[0], ends[1], steps, spherical=not straight)

    def at(first: int, second: int, where: float, straight: bool, *wishes: Any) -> Image.Image:
        with said_on_the_page():
            latent = path(first, second, straight, 51)[round(where * 50)]
            return one(run, latent, int(first), **asked.wishes(*wishes))

    def filmed(first: int, second: int, where: float, straight: bool, *wishes: Any) -> str:
        with said_on_the_page():
            latents = path(first, second, straight, 24).squeeze(1)
            frames = asked_for(run, latents, int(first), **asked.wishes(*wishes))
            file = Path(tempfile.mkdtemp()) / "between.gif"
            animation(frames[None], file)
            return str(file)

    inputs = [first, second, where, straight, *asked.inputs]
    gr.on([where.release, first.submit, second.submit, straight.change, *asked.submits], at, inputs, picture)
    blocks.load(at, inputs, picture)
    film.click(filmed, inputs, moving)


def codes_tab(run: Run, blocks: gr.Blocks) -> None:
    """InfoGAN's continuous codes, one in each row."""
    seed = gr.Number(0, label="Seed", precision=0, minimum=0)
    picture = gr.Image(label="A code in each row", type="pil", format="png", height=SIDE, buttons=["download"])

    def drawn(seed: int) -> Image.Image:
        rows = sampling.traverse(run, int(seed))
        return enlarged(pillow(grid_of(rows.flatten(0, 1), rows.shape[1])))

    gr.Button("Traverse", variant="primary").click(drawn, seed, picture)
    blocks.load(drawn, seed, picture)


def translate_tab(run: Run, blocks: gr.Blocks) -> None:
    """A picture of the user's through the translator."""
    directions = ["forward", "backward"] if "b_to_a" in run.module.sampling_generators else ["forward"]
    with gr.Row():
        with gr.Column():
            given = gr.Image(label="Your picture", type="filepath", height=SIDE)
            direction = gr.Radio(directions, value="forward", label="Direction")
            full = gr.Checkbox(False, label="At its own size, not at that of training")
            go = gr.Button("Translate", variant="primary")
        picture = gr.Image(label="Translation", type="pil", format="png", height=SIDE, buttons=["download"])

    def translated(file: str | None, direction: str, full: bool) -> Image.Image:
        with said_on_the_page():
            if file is None:
                raise DataError("choose a picture first")
            network, channels = translator(run, direction)
            side = None if full else int(run.config["data"]["image_size"])
            return enlarged(pillow(translate_picture(network, read(Path(file), channels, side))))

    go.click(translated, [given, direction, full], picture)


def report_tab(run: Run, blocks: gr.Blocks) -> None:
    """Curves, scores and config of the run."""
    document = html.escape(page(run.folder), quote=True)
    gr.HTML(f'<iframe title="report" srcdoc="{document}" style="width:100%;height:75vh;border:0"></iframe>')
