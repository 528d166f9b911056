"""The page of a folder with many runs."""

from __future__ import annotations

import html
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import gradio as gr
from PIL import Image

from gan_zoo.core.errors import ConfigError
from gan_zoo.inference.load import CHECKPOINTS
from gan_zoo.inference.model import LoadedModel
from gan_zoo.reports.comparison import (
    RunResult,
    find_runs,
    format_mean_std,
    group_by_settings,
    varying_settings,
)
from gan_zoo.reports.comparison_files import as_html, run_title
from gan_zoo.runs.folder import RunFolder
from gan_zoo.web.inputs import errors_as_toast, grid_image
from gan_zoo.web.tabs import embedded_page

KEPT = 4
"""Models that stay in memory."""


def app_of_runs(folder: Path, load: Callable[[Path], LoadedModel]) -> gr.Blocks:
    """Two models of a folder side by side, and the comparison of all its runs.

    Args:
        folder: with at least two runs somewhere in it.
        load: returns the model of a run folder.

    Raises:
        ConfigError: if fewer than two runs have a checkpoint.
    """
    # Runs whose models can be loaded.
    groups = group_by_settings(find_runs([folder]))
    runs = [run for group in groups for run in group.outcomes]
    playable = [run for run in runs if has_checkpoint(RunFolder(run.folder))]
    if len(playable) < 2:
        raise ConfigError(
            f"explore takes a run, or a folder with at least two runs that have checkpoints, got"
            f" {str(folder)!r} with {len(playable)}"
        )

    # The page.
    settings = varying_settings(groups)
    name = folder.resolve().name
    with gr.Blocks(title=f"gan_zoo: {name}", analytics_enabled=False) as blocks:
        gr.Markdown(f"## {html.escape(name)}\n{len(runs)} runs")
        with gr.Tabs():
            with gr.Tab("Two models"):
                two_models_tab(playable, settings, lru_cache(KEPT)(load), blocks)
            with gr.Tab("All runs"):
                embedded_page("comparison", as_html(groups))
    page: gr.Blocks = blocks
    return page


def has_checkpoint(run: RunFolder) -> bool:
    """Whether the model of a run can be loaded."""
    return any(run.checkpoints.pointer(name).is_file() for name in CHECKPOINTS)


def two_models_tab(
    runs: list[RunResult],
    settings: list[str],
    load: Callable[[Path], LoadedModel],
    blocks: gr.Blocks,
) -> None:
    """Samples of two models for the same latents, each chosen from all runs."""
    # Both models, and what they share.
    choices = [(f"{number}: {run_title(run, settings)}", number) for number, run in enumerate(runs)]
    with gr.Row():
        seed = gr.Number(0, label="Seed of the latents", precision=0, minimum=0)
        count = gr.Slider(1, 100, 36, step=1, label="Samples")
        label = gr.Textbox(label="Class", info="a name or a number; empty: all")
    other = next((k for k, run in enumerate(runs) if run.settings != runs[0].settings), 1)
    sides = []
    with gr.Row():
        for name, first in (("A", 0), ("B", other)):
            with gr.Column(min_width=320):
                chosen = gr.Dropdown(choices, value=first, label=f"Model {name}")
                image = gr.Image(
                    label=f"Samples of {name}",
                    show_label=False,
                    type="pil",
                    format="png",
                    buttons=["download"],
                )
                scores = gr.Markdown()
                sides.append((chosen, image, scores))

    def draw(number: int, seed: int, count: int, label: str) -> tuple[Image.Image, str]:
        with errors_as_toast():
            run = load(runs[number].folder)
            condition: dict[str, Any] = {"label": label} if label else {}
            return grid_image(run, count, seed, **condition), format_scores(runs[number])

    # A side is drawn when its model changes, both when the page loads or what they share changes.
    for chosen, image, scores in sides:
        inputs = [chosen, seed, count, label]
        triggers = [chosen.change, seed.submit, label.submit, count.release, blocks.load]
        gr.on(triggers, draw, inputs, [image, scores])


def format_scores(run: RunResult) -> str:
    """The scores of a run in one line of Markdown, and where it is."""
    scores = ", ".join(
        f"{name} {format_mean_std(value, float('nan'))}" for name, value in run.scores.items()
    )
    return f"{scores}\n\n`{run.folder}`" if scores else f"`{run.folder}`"
