"""The page about a run shows what the run folder has, and needs nothing outside itself."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import torch
from PIL import Image

from gan_zoo.data.sample_kinds.audio import PLAYED, Audio
from gan_zoo.reports.charts import chart, scatter
from gan_zoo.reports.run_report import evenly_spaced, report_page, score_charts, write_report
from gan_zoo.runs.folder import RunFolder


def run_folder(folder: Path) -> Path:
    (folder / ".hydra").mkdir(parents=True)
    (folder / ".hydra" / "overrides.yaml").write_text("- loss=hinge\n- seed=3\n")
    (folder / ".hydra" / "config.yaml").write_text("loss: <hinge>\n")
    rows = ["d/realism,g/realism,train/images_seen,val/fd", "1.5,0.5,64,", "1.25,nan,128,", ",,,17"]
    (folder / "metrics.csv").write_text("\n".join(rows))
    score = {
        "name": "fd_x",
        "value": 17.25,
        "protocol": {"split": "train", "warning": "few samples"},
    }
    history = [{"step": s, "images_seen": 64 * s, "val/fd_x": 20.0 - s} for s in (1, 2)]
    content = {
        "provenance": {"torch": "2.6"},
        "images_seen": 128,
        "seconds": 2.0,
        "images_per_second": 64.0,
        "metrics": [score],
        "history": history,
    }
    (folder / "metrics.json").write_text(json.dumps(content))
    (folder / "samples").mkdir()
    Image.new("RGB", (4, 4)).save(folder / "samples" / "000000128.png")
    return folder


def test_a_report_holds_scores_curves_samples_and_the_command(tmp_path: Path) -> None:
    text = write_report(RunFolder(run_folder(tmp_path / "run"))).read_text()
    for expected in (
        "fd_x",
        "17.25",
        "few samples",
        "split train",
        "128 images in 2 s",
        "loss=hinge seed=3",
        "&lt;hinge",
        "torch 2.6",
    ):
        assert expected in text, expected
    assert text.count("<polyline") == 2, (
        "the discriminator's and the score's; of the generator's there is one number"
    )
    assert text.count("data:image/png;base64,") == 1
    assert "http" not in text
    assert "<script" not in text


def test_a_failed_run_says_why_and_what_is_missing_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "FAILED.txt").write_text("TrainingDiverged: d/realism = nan\n")
    text = report_page(RunFolder(tmp_path))
    assert "TrainingDiverged: d/realism = nan" in text
    assert "Metrics" not in text
    assert "Samples" not in text


def test_a_charts_line_spans_its_frame() -> None:
    drawn = chart("x", {"x": [(0.0, 1.0), (50.0, 3.0), (100.0, float("nan")), (100.0, 2.0)]})
    points = drawn.split('points="')[1].split('"')[0].split()
    assert points == ["60.0,195.0", "255.0,15.0", "450.0,105.0"]
    assert chart("empty", {"x": [(0.0, 1.0)]}) == ""


def test_a_band_goes_there_above_and_back_below_its_curve() -> None:
    curve = {"x": [(0.0, 1.0), (100.0, 2.0)]}
    drawn = chart("x", curve, bands={"x": [(0.0, 0.0, 2.0), (100.0, 1.0, 3.0)]})
    band, line = (part.split('"')[0].split() for part in drawn.split('points="')[1:])
    assert band == ["60.0,75.0", "450.0,15.0", "450.0,135.0", "60.0,195.0"]
    assert line == ["60.0,135.0", "450.0,75.0"]
    exploded = chart("x", curve, bands={"x": [(0.0, 0.0, 2.0), (100.0, 1.0, float("inf"))]})
    assert "inf" not in exploded
    assert "nan" not in exploded


def test_sounds_of_the_last_samples_are_played(tmp_path: Path) -> None:
    run = run_folder(tmp_path)
    assert "<audio" not in report_page(RunFolder(run))
    drawing = run / "samples" / "000000128.png"
    Audio(8000).write_beside(torch.rand(9, 1, 16) - 0.5, drawing)
    sounds = sorted((run / "samples" / "000000128").iterdir())
    assert [file.name for file in sounds] == [f"{number:06d}.wav" for number in range(PLAYED)]
    page = report_page(RunFolder(run))
    played = [part.split('"')[0] for part in page.split("data:audio/wav;base64,")[1:]]
    assert [base64.b64decode(sound) for sound in played] == [file.read_bytes() for file in sounds]


def test_scores_of_both_sides_have_bands() -> None:
    def reading(seen: float, shift: float) -> dict[str, float]:
        sides = {"real": shift, "fake": -shift}
        percents = {"p05": -1.0, "p50": 0.0, "p95": 1.0}
        scores = {
            f"realism/{side}_{name}": middle + off
            for side, middle in sides.items()
            for name, off in percents.items()
        }
        return {"images_seen": seen, "realism/gap": 2 * shift, **scores}

    (drawn,) = score_charts([reading(0.0, 0.0), reading(100.0, 3.0)])
    assert drawn.count("<polygon") == drawn.count("<polyline") == 2
    assert "Scores of realism" in drawn
    assert score_charts([{"images_seen": 0.0, "realism/gap": 1.0}]) == []


def test_a_scatter_plot_has_a_color_for_each_name() -> None:
    drawn = scatter("fd", {"a": [(0.0, 1.0), (10.0, 3.0)], "b": [(5.0, float("inf"))]}, unit="s")
    assert drawn.count("<circle") == 2
    assert '<circle cx="60.0" cy="195.0"' in drawn
    assert '<circle cx="450.0" cy="15.0"' in drawn
    assert scatter("fd", {"a": [(0.0, 1.0)]}) == ""


def test_few_images_stand_for_many() -> None:
    items = [Path(str(k)) for k in range(20)]
    assert [int(p.name) for p in evenly_spaced(items, 5)] == [0, 5, 10, 14, 19]
    assert evenly_spaced(items[:3], 5) == items[:3]
