"""Recipes over seeds, and their row of results."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from gan_zoo.config.recipes import find_recipe
from gan_zoo.core.errors import ConfigError
from gan_zoo.launch import reproduce as reproducing
from gan_zoo.launch.reproduce import measured, nearest, read_rows, reproduce, write_row
from gan_zoo.runs.folder import RunFolder
from tests.helpers import invoke, refused


@pytest.fixture
def runs(monkeypatch) -> list[list[str]]:
    """Jobs that end at once with 20 + seed modes; the overrides that they were started with."""
    started: list[list[str]] = []

    def run_all(jobs, num_jobs, on_end) -> None:
        for seed, job in enumerate(jobs):
            started.append(job.overrides)
            job.exit_code = 1 if "seed=9" in job.overrides else 0
            content = {"metrics": [{"name": "modes", "value": 20 + seed, "protocol": {}}]}
            content |= {"images_seen": 640, "seconds": 2.0, "provenance": {"git_commit": "abc"}}
            job.folder.mkdir(parents=True)
            RunFolder(job.folder).write_metrics(content)

    monkeypatch.setattr(reproducing, "run_all", run_all)
    return started


def test_a_row_has_the_values_of_all_seeds_and_what_made_them(runs, tmp_path: Path) -> None:
    file = tmp_path / "results" / "recipes.jsonl"
    row = reproduce(
        find_recipe("mixtures"), 3, tmp_path, ["data.root=/home/me", "data=ring"], results=file
    )
    assert runs[1] == ["experiment=mixtures", "seed=1", "data.root=/home/me", "data=ring"]
    assert row["metrics"] == {"modes": [20, 21, 22]}
    assert (row["overrides"], row["commit"], row["images_seen"]) == (["data=ring"], "abc", 640)
    assert row["hardware"].endswith("cores")
    assert [json.loads(line) for line in file.read_text().splitlines()] == [row]
    assert measured(row) == "modes 21 ± 1 (3 seeds with data=ring)"


def test_a_row_leaves_out_later_evaluations(runs, tmp_path: Path) -> None:
    recipe = find_recipe("mixtures")
    row = reproduce(recipe, 2, tmp_path, [], results=tmp_path / "rows.jsonl")
    folders = [RunFolder(tmp_path / "mixtures" / f"seed-{seed}") for seed in range(2)]
    later = {"name": "modes", "value": 99, "protocol": {"checkpoint": "best"}}
    content = folders[0].metrics()
    folders[0].write_metrics(content | {"metrics": [*content["metrics"], later]})
    assert reproducing.result_row(recipe, folders, [])["metrics"] == row["metrics"]


def test_other_settings_are_other_runs_and_rows(runs, tmp_path: Path) -> None:
    file = tmp_path / "results.jsonl"
    recipe = find_recipe("mixtures")
    few = "callbacks.evaluation.num_samples=64"
    watched = ["logger=csv", "trainer=cpu", "callbacks.evaluation.every_images=0"]
    for overrides in ([], [few], ["data=ring"], watched):
        if overrides is watched:
            shutil.rmtree(tmp_path / "mixtures")
        reproduce(recipe, 1, tmp_path, overrides, results=file)
    rows = [row["overrides"] for row in read_rows(file)]
    assert rows == [[few], ["data=ring"], []], "what only watches is no other setting"
    assert len(list(tmp_path.glob("mixtures*"))) == 3


def test_a_row_replaces_that_of_the_same_recipe_and_overrides(tmp_path: Path) -> None:
    file = tmp_path / "recipes.jsonl"
    full = {"recipe": "a", "overrides": [], "seeds": 1}
    short = {"recipe": "a", "overrides": ["trainer.max_steps=1"], "seeds": 1}
    for row in (full, short, full | {"seeds": 5}):
        write_row(file, row)
    assert read_rows(file) == [short, full | {"seeds": 5}]
    assert nearest(read_rows(file)) == {"a": full | {"seeds": 5}}


def test_commands_list_and_show_recipes(runs, tmp_path: Path) -> None:
    file = tmp_path / "recipes.jsonl"
    said = invoke("reproduce", "mixtures", "--seeds", 1, "--out", tmp_path, "--results", file)
    assert "ours        modes 20 (1 seed)" in said
    shown = invoke("recipes", "mixtures", "--diff", "--results", file)
    assert "paper       Lin et al. 2018" in shown
    assert "ours        modes 20 (1 seed)" in shown
    assert "trainer.max_steps: 6000 -> 9000" in shown
    assert "sngan_cifar10" in invoke("recipes", "--results", tmp_path / "none.jsonl")


def test_bad_requests_are_one_line(runs, tmp_path: Path) -> None:
    assert "(did you mean 'mixtures'?)" in refused("recipes", "mixture")
    assert "--diff needs a NAME" in refused("recipes", "--diff")
    (tmp_path / "recipes.jsonl").write_text("{")
    assert "is damaged" in refused("recipes", "--results", tmp_path / "recipes.jsonl")
    with pytest.raises(
        ConfigError, match=r"1 of 1 runs failed, the first is .*seed-0: exit code 1"
    ):
        reproduce(find_recipe("mixtures"), 1, tmp_path, ["seed=9"], results=tmp_path / "r.jsonl")
