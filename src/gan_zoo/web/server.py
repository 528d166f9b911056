"""The page and its server."""

from __future__ import annotations

import html
from collections.abc import Callable

import gradio as gr

from gan_zoo.core.errors import ConfigError
from gan_zoo.inference.model import Run
from gan_zoo.web.tabs import between_tab, codes_tab, directions_tab, report_tab, samples_tab, translate_tab

LOCAL = gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["monospace"])  # nothing from the network
PIXELS = "img{image-rendering:pixelated}"


def explore(run: Run, port: int | None = None, open_browser: bool = False) -> None:
    """Serve the page on 127.0.0.1 until it is interrupted.

    Args:
        port: None for the first free one from 7860 on.
        open_browser: show it at once.

    Raises:
        ConfigError: if the port is taken.
    """
    try:
        app(run).launch(
            server_name="127.0.0.1",
            server_port=port,
            inbrowser=open_browser,
            share=False,
            theme=LOCAL,
            css=PIXELS,
            footer_links=[],
        )
    except OSError as error:
        raise ConfigError(f"--port must be a free port, got {port or 'none free from 7860 on'}") from error


def app(run: Run) -> gr.Blocks:
    """The page: a tab for everything that this model can be asked for."""
    name = "/".join(run.folder.resolve().parts[-2:])
    with gr.Blocks(title=f"gan_zoo: {name}", analytics_enabled=False) as blocks:
        seen = f"{run.module.clock.images_seen:,} images seen"
        gr.Markdown(f"## {html.escape(name)}\n{type(run.module.model).__name__}, {seen}")
        pictures = len(run.config["data"]["sample_shape"]) == 3
        told = not {"image", "domain"} & set(run.module.model.needs)
        with gr.Tabs():
            tabs: list[tuple[str, bool, Callable[[Run, gr.Blocks], None]]] = [
                ("Samples", told and pictures, samples_tab),
                ("Directions", told and pictures and hasattr(run.module.model, "latent_dim"), directions_tab),
                ("Between two", told and pictures and hasattr(run.module.model, "latent_dim"), between_tab),
                ("Codes", bool(getattr(run.module.model, "continuous", 0)), codes_tab),
                ("Translate", not told, translate_tab),
                ("Run", True, report_tab),
            ]
            for title, wanted, build in tabs:
                if wanted:
                    with gr.Tab(title):
                        build(run, blocks)
    page: gr.Blocks = blocks
    return page
