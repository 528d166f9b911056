"""The page and its server."""

from __future__ import annotations

import html
from collections.abc import Callable

import gradio as gr

from gan_zoo.core.errors import ConfigError
from gan_zoo.data.sample_kinds.audio import Audio
from gan_zoo.inference.model import LoadedModel
from gan_zoo.web.tabs import (
    between_tab,
    codes_tab,
    directions_tab,
    report_tab,
    samples_tab,
    sounds_tab,
    translate_tab,
)

# Nothing from the network.
LOCAL = gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"])
PIXELS = "img{image-rendering:pixelated}"


def serve(page: gr.Blocks, port: int | None = None, open_browser: bool = False) -> None:
    """Serve a page on 127.0.0.1 until it is interrupted.

    Args:
        page: `app` or `gan_zoo.web.many_runs.app_of_runs`.
        port: None for the first free one from 7860 on.
        open_browser: show it at once.

    Raises:
        ConfigError: if the port is taken.
    """
    try:
        page.launch(
            server_name="127.0.0.1",
            server_port=port,
            inbrowser=open_browser,
            # Nothing leaves this machine.
            share=False,
            theme=LOCAL,
            css=PIXELS,
            footer_links=[],
        )
    except OSError as error:
        raise ConfigError(
            f"--port must be a free port, got {port or 'none free from 7860 on'}"
        ) from error


def app(run: LoadedModel) -> gr.Blocks:
    """The page: a tab for each way of using this model."""
    name = "/".join(run.folder.resolve().parts[-2:])
    with gr.Blocks(title=f"gan_zoo: {name}", analytics_enabled=False) as blocks:
        # The heading: the run, and how far it was trained.
        seen = f"{run.module.clock.images_seen:,} images seen"
        gr.Markdown(f"## {html.escape(name)}\n{type(run.module.model).__name__}, {seen}")

        # The tabs that make sense for this model.
        model = run.module.model
        has_grids = run.sample_kind.is_image and not model.translates
        has_latents = has_grids and model.latent_dim is not None
        with gr.Tabs():
            tabs: list[tuple[str, bool, Callable[[LoadedModel, gr.Blocks], None]]] = [
                ("Samples", has_grids, samples_tab),
                ("Sounds", isinstance(run.sample_kind, Audio), sounds_tab),
                ("Directions", has_latents, directions_tab),
                ("Between two", has_latents, between_tab),
                ("Codes", model.num_continuous_codes > 0, codes_tab),
                ("Translate", model.translates, translate_tab),
                ("Run", True, report_tab),
            ]
            for title, is_available, build in tabs:
                if is_available:
                    with gr.Tab(title):
                        build(run, blocks)
    page: gr.Blocks = blocks
    return page
