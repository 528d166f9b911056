"""A page of translated images: input, outputs and target side by side."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from gan_zoo.core.files import atomic_path
from gan_zoo.core.templates import render
from gan_zoo.data.files.find import find_images
from gan_zoo.inference.translate import TranslatedFile

PAGE = "index.html"


def write_gallery(
    translated: Sequence[TranslatedFile], folder: Path, targets: Path | None = None
) -> Path:
    """Write ``index.html`` into the folder of the translations.

    Args:
        translated: what was translated.
        folder: where the outputs are. The page refers to all images by relative paths.
        targets: a folder of true outputs of the same names; None for none.

    Returns:
        The page.
    """
    # Each row: the input, its outputs, and the true one if it is known.
    true = {} if targets is None else _by_name(targets)
    rows = []
    for file in translated:
        images = [("input", file.source)]
        images += [(f"output {k}", output) for k, output in enumerate(file.outputs, 1)]
        if file.name in true:
            images.append(("target", true[file.name]))
        shown = [(title, _link(image, folder)) for title, image in images]
        rows.append({"name": file.name, "images": shown})

    # Written as a whole, so that a page which is open is never half a page.
    page = folder / PAGE
    folder.mkdir(parents=True, exist_ok=True)
    with atomic_path(page) as temporary:
        text = render("gan_zoo.reports", "translation_gallery.html", rows=rows)
        temporary.write_text(text, encoding="utf-8")
    return page


def _by_name(folder: Path) -> dict[str, Path]:
    files = find_images(folder)
    return {file.relative_to(folder).with_suffix("").as_posix(): file for file in files}


def _link(image: Path, folder: Path) -> str:
    relative = os.path.relpath(image.resolve(), folder.resolve())
    return quote(Path(relative).as_posix())
