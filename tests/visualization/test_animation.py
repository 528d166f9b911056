"""Walks as films: the frames that were given, in order, there and back."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gan_zoo.core.errors import DataError
from gan_zoo.launch.train import train
from gan_zoo.visualization.animation import animation
from gan_zoo.visualization.image_grid import save
from tests.helpers import invoke, refused


def shades() -> torch.Tensor:
    """Two rows of five images of 7 pixels, from black to white and from white to black."""
    there = torch.linspace(-1, 1, 5).view(1, 5, 1, 1, 1)
    return torch.cat([there, -there]).expand(2, 5, 1, 7, 7)


def test_an_mp4_has_the_frames_and_even_sides(tmp_path: Path) -> None:
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    animation(shades(), tmp_path / "new" / "walk.mp4", side=64)
    reader = ffmpeg.read_frames(str(tmp_path / "new" / "walk.mp4"))
    about = next(reader)
    width, height = about["size"]
    frames = [
        np.frombuffer(frame, np.uint8).reshape(height, width, 3).astype(int) for frame in reader
    ]
    assert about["fps"] == pytest.approx(12.5)
    assert len(frames) == 8, "five there and three back"
    assert (width % 2, height % 2) == (0, 0)
    middle = [frame[height // 4, width // 2].mean() for frame in frames]
    expected = [0, 64, 128, 191, 255, 191, 128, 64]
    assert middle == pytest.approx(expected, abs=12)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["walk.mp4"]


def test_a_gif_has_the_same_frames(tmp_path: Path) -> None:
    animation(shades(), tmp_path / "walk.gif")
    with Image.open(tmp_path / "walk.gif") as film:
        assert film.n_frames == 8


def test_other_endings_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"an animation must end in .gif or .mp4, got 'walk.avi'"):
        animation(shades(), tmp_path / "walk.avi")
    with pytest.raises(
        DataError, match=r"an image must end in .png or another ending of images, got 'grid.mp4'"
    ):
        save(Image.new("L", (2, 2)), tmp_path / "grid.mp4")
    assert not list(tmp_path.iterdir())


def test_the_command_writes_an_mp4_or_names_the_extra(
    composed, tmp_path: Path, monkeypatch
) -> None:
    pytest.importorskip("imageio_ffmpeg")
    quick = (
        "trainer.max_steps=1",
        "data.batch_size=8",
        "callbacks.progress=null",
        "callbacks.samples=null",
    )
    train(
        composed("data=digits", "generator.width=8", "discriminator.width=8", "metric=none", *quick)
    )
    line = ["sample", tmp_path / "run", "--what", "walk", "--out", tmp_path / "walk.mp4"]
    invoke(*line)
    assert (tmp_path / "walk.mp4").stat().st_size > 500
    (tmp_path / "walk.mp4").unlink()
    monkeypatch.setitem(sys.modules, "imageio_ffmpeg", None)
    assert refused(*line) == "error: this needs imageio_ffmpeg: pip install 'gan-zoo[mp4]'"
    assert not (tmp_path / "walk.mp4").exists()
