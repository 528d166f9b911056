"""The page of a folder with many runs, without a browser."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gan_zoo.core.errors import ConfigError
from tests.helpers import refused
from tests.reports.test_comparison import fake_run

pytest.importorskip("gradio", reason="the extra `explore` is not installed")


def folder_of_runs(folder: Path) -> Path:
    for seed in (1, 2):
        fake_run(folder / str(seed), ["loss=hinge"], seed, 10.0 * seed)
        (folder / str(seed) / "checkpoints").mkdir()
        (folder / str(seed) / "checkpoints" / "last.ckpt").touch()
    return folder


def test_each_side_draws_its_model_and_its_scores(tmp_path: Path, monkeypatch: Any) -> None:
    from PIL import Image

    from gan_zoo.inference import sampling
    from gan_zoo.web import many_runs

    asked = []

    def grid(run: Any, count: int, seed: int, **condition: Any) -> Image.Image:
        asked.append((run, count, seed, condition))
        return Image.new("L", (8, 8))

    monkeypatch.setattr(sampling, "grid", grid)
    page = many_runs.app_of_runs(folder_of_runs(tmp_path), lambda folder: folder.name)
    left, right = page.fns.values()
    image, scores = right.fn(1, 7, 4, "3")
    left.fn(0, 7, 4, "")
    assert asked == [("2", 4, 7, {"label": "3"}), ("1", 4, 7, {})]
    assert max(image.size) >= 448
    assert scores.startswith("fd 20\n")


def test_one_model_cannot_be_compared(tmp_path: Path) -> None:
    from gan_zoo.web.many_runs import app_of_runs

    folder = folder_of_runs(tmp_path)
    (folder / "2" / "checkpoints" / "last.ckpt").unlink()
    with pytest.raises(ConfigError, match="at least two runs that have checkpoints"):
        app_of_runs(folder, lambda folder: folder.name)


def test_a_run_or_the_demo() -> None:
    assert "explore takes RUN or --demo, got neither" in refused("explore")
    assert "explore takes RUN or --demo, got both" in refused("explore", "x", "--demo")
