"""Many runs in one table, and what the doctor says of one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from gan_zoo.cli.compare import print_rows
from gan_zoo.core.errors import ConfigError
from gan_zoo.reports.comparison import find_runs, group_by_settings, table_rows
from gan_zoo.reports.comparison_files import render, spread_over_seeds
from gan_zoo.runs.folder import RunFolder
from gan_zoo.runs.metric_protocols import labels
from tests.helpers import invoke, refused


def fake_run(
    folder: Path, overrides: list[str], seed: int, value: float | None, count: int = 100
) -> None:
    (folder / ".hydra").mkdir(parents=True)
    choices = {
        "model": "dcgan",
        "loss": next((o[5:] for o in overrides if o.startswith("loss=")), "hinge"),
        "data": "x",
    }
    content = {"config": {"seed": seed}, "overrides": [*overrides, f"seed={seed}"]}
    content["hydra"] = {"hydra": {"runtime": {"choices": choices}}}
    for name, plain in content.items():
        (folder / ".hydra" / f"{name}.yaml").write_text(yaml.safe_dump(plain))
    if value is None:
        (folder / "FAILED.txt").write_text("TrainingDiverged: d/realism = nan\n")
        return
    metrics = {"images_seen": 8, "images_per_second": 10 * seed}
    metrics["metrics"] = [
        {"name": "fd", "value": value, "protocol": {"num_generated": count, "seed": seed}}
    ]
    metrics["history"] = [{"images_seen": 4 * k, "val/fd": value / k} for k in (1, 2)]
    (folder / "metrics.json").write_text(json.dumps(metrics))


def test_runs_become_a_table_over_seeds(tmp_path: Path) -> None:
    for seed, value in ((1, 10.0), (2, 14.0), (3, None)):
        fake_run(tmp_path / f"a{seed}", ["loss=hinge"], seed, value)
    fake_run(tmp_path / "b", ["loss=lsgan"], 1, 5.0)
    groups = group_by_settings(find_runs([tmp_path]))
    header, rows = table_rows(groups)
    assert header == ["run", "seeds", "fd", "images/s", "doctor"]
    assert rows[0] == ["loss=hinge", "2 (+1 failed)", "12 ± 2.8", "15", "explosion (1 of 3)"]
    assert rows[1] == ["loss=lsgan", "1", "5", "10", ""]
    assert "| loss=hinge | 2 (+1 failed) | 12 ± 2.8 | 15 | explosion (1 of 3) |" in render(
        groups, ".md"
    )
    assert render(groups, ".csv").splitlines()[0].startswith("model,loss,data,seed,fd,")
    page = render(groups, ".html")
    assert "TrainingDiverged: d/realism = nan" in page
    assert "http" not in page, "nothing outside the page"
    assert page.count("<polyline") == 4, "a mean of each loss, over images and over seconds"
    assert page.count("<polygon") == 2, "the spread of hinge's two seeds, on both charts"
    assert page.count("<circle") == 3, "a point for each run that finished"
    with pytest.raises(ConfigError, match=r"must end in .html, .md or .csv, got '.pdf'"):
        render(groups, ".pdf")
    assert "there is no run in" in refused("compare", tmp_path / "a1" / ".hydra")


def test_scores_of_other_protocols_are_other_columns(tmp_path: Path) -> None:
    fake_run(tmp_path / "a", ["loss=hinge"], 1, 10.0)
    fake_run(tmp_path / "b", ["loss=hinge"], 2, 20.0, count=500)
    header, rows = table_rows(group_by_settings(find_runs([tmp_path])))
    assert header == [
        "run",
        "seeds",
        "fd (num_generated=100)",
        "fd (num_generated=500)",
        "images/s",
    ]
    assert rows == [["model=dcgan", "2", "10", "20", "15"]]
    assert render(group_by_settings(find_runs([tmp_path])), ".html").count("<polyline") == 4


def test_means_and_spreads_are_those_of_the_seeds(tmp_path: Path) -> None:
    for seed, value in ((1, 10.0), (2, 14.0)):
        fake_run(tmp_path / f"a{seed}", ["loss=hinge"], seed, value)
    (group,) = group_by_settings(find_runs([tmp_path]))
    deviation = 8**0.5
    over_images = spread_over_seeds(group.finished, "fd", "images")
    assert over_images == [(4, 12.0, pytest.approx(deviation)), (8, 6.0, pytest.approx(2**0.5))]
    over_seconds = spread_over_seeds(group.finished[:1], "fd", "s")
    assert over_seconds == [(pytest.approx(0.4), 10.0, 0.0), (pytest.approx(0.8), 5.0, 0.0)]


def test_a_narrow_terminal_gets_lists(capsys: pytest.CaptureFixture[str]) -> None:
    header = ["run", "seeds", *(f"fd_efficientnet_lite{number}" for number in range(5))]
    print_rows(header, [["loss=[hinge]", "3", "1.5", "", "2", "3", "4"]])
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["loss=[hinge]"]
    assert lines[1:3] == [["seeds", "3"], ["fd_efficientnet_lite0", "1.5"]]
    assert len(lines) == 6, "what is missing is left out"


def test_two_seeds_of_class_frechet_share_their_columns() -> None:
    def entries(seed: int) -> list[dict]:
        protocol = {"data": "x", "num_generated": 100, "seed": seed, "weights_sha256": "0f" * 32}
        return [
            {"name": "fd", "value": 1.0, "protocol": protocol | {"fewest_in_a_class": 7 + seed}},
            {"name": "fd_3", "value": 2.0, "protocol": protocol | {"of_class": 7 + seed}},
        ]

    assert labels([entries(1), entries(2)]) == [["fd", "fd_3"]] * 2
    other = entries(3)
    other[0]["protocol"]["weights_sha256"] = "1e" * 32
    assert labels([entries(1), other])[1] == [f"fd (weights_sha256={'1e' * 12})", "fd_3"]


def test_a_table_says_what_the_doctor_found(tmp_path: Path) -> None:
    """Two collapsed runs, one of them with half a row at the end: its writer was killed."""
    for seed, last in ((1, ""), (2, "14,130")):
        fake_run(tmp_path / f"a{seed}", ["loss=hinge"], seed, 10.0)
        (tmp_path / f"a{seed}" / "metrics.csv").write_text(
            doctor_log(12, separation=0.8, spread=0.01, nearest=0.01) + last
        )
    header, rows = table_rows(group_by_settings(find_runs([tmp_path])))
    assert (header[-1], rows[0][-1]) == ("doctor", "mode collapse")
    line = render(group_by_settings(find_runs([tmp_path])), ".csv").splitlines()[1]
    assert ",mode collapse,," in line
    for damage in (
        '{"metrics": [',
        '{"metrics": [{"value": 1}]}',
        '{"metrics": [{"name": "fd", "value": "x"}]}',
        "[]",
        '{"history": [{"val/fd": 1.0}]}',
        '{"history": [{"images_seen": "x"}]}',
        '{"images_per_second": null}',
    ):
        (tmp_path / "a2" / "metrics.json").write_text(damage)
        assert table_rows(group_by_settings(find_runs([tmp_path])))[1][0][1] == "1 (+1 failed)"


def test_a_damaged_run_is_its_own_failure_alone(tmp_path: Path) -> None:
    damage = {
        ".hydra/overrides.yaml": "a: [",
        ".hydra/config.yaml": "a: [",
        ".hydra/hydra.yaml": None,
        "checkpoints/manifest.json": "{",
        "metrics.csv": b"\xff\x00",
    }
    fake_run(tmp_path / "good", ["loss=hinge", "data.root=${oc.env:ANYTHING}"], 1, 10.0)
    for number, (name, content) in enumerate(damage.items()):
        fake_run(tmp_path / f"bad{number}", ["loss=lsgan"], 1, 5.0)
        file = tmp_path / f"bad{number}" / name
        file.parent.mkdir(exist_ok=True)
        if content is None:
            file.unlink()
        else:
            file.write_bytes(content if isinstance(content, bytes) else content.encode())
    outcomes = {outcome.folder.name: outcome for outcome in find_runs([tmp_path])}
    assert outcomes["good"].failure == ""
    assert outcomes["good"].settings["data.root"] == "${oc.env:ANYTHING}"
    assert "overrides.yaml cannot be read" in outcomes["bad0"].failure
    assert "config.yaml cannot be read" in outcomes["bad1"].failure
    assert "hydra.yaml is missing or damaged" in outcomes["bad2"].failure
    assert "manifest.json is damaged" in outcomes["bad3"].failure
    assert outcomes["bad0"].settings["loss"] == "unknown"
    assert outcomes["bad2"].settings["loss"] == "lsgan"
    groups = group_by_settings(outcomes.values())
    for suffix in (".md", ".csv", ".html"):
        assert "10" in render(groups, suffix)


def test_scores_that_are_not_finite_are_left_out(tmp_path: Path) -> None:
    values = (10.0, 14.0, float("nan"), float("inf"))
    for seed, value in enumerate(values, start=1):
        fake_run(tmp_path / f"a{seed}", ["loss=hinge"], seed, value)
    fake_run(tmp_path / "b", ["loss=lsgan"], 1, float("inf"))
    groups = group_by_settings(find_runs([tmp_path]))
    rows = table_rows(groups)[1]
    assert rows[0][1:3] == ["4", "12 ± 2.8"]
    assert rows[1][1:3] == ["1", ""]
    assert "12 ± 2.8" in render(groups, ".html")


def test_running_and_stopped_runs_are_no_failures(tmp_path: Path) -> None:
    for seed in (1, 2, 3):
        fake_run(tmp_path / str(seed), ["loss=hinge"], seed, 10.0)
        config = {"seed": seed, "trainer": {"max_steps": 100}}
        (tmp_path / str(seed) / ".hydra" / "config.yaml").write_text(yaml.safe_dump(config))
    store = RunFolder(tmp_path / "2").checkpoints
    store.folder.mkdir()
    store.path(40).write_bytes(b"weights")
    store.record(40, 400)
    with RunFolder(tmp_path / "3").locked():
        rows = table_rows(group_by_settings(find_runs([tmp_path])))[1]
    assert rows[0][1] == "2 (+1 running, 1 stopped early)"
    rows = table_rows(group_by_settings(find_runs([tmp_path])))[1]
    assert rows[0][1] == "3 (1 stopped early)"


@pytest.mark.parametrize(
    ("settings", "stopped"),
    [({}, True), ({"max_time": "00:00:01:00"}, False), ({"max_epochs": 2}, False)],
)
def test_the_length_of_a_run_is_the_one_that_its_config_computes(
    settings: dict[str, object], stopped: bool, tmp_path: Path
) -> None:
    fake_run(tmp_path / "1", [], 1, 10.0)
    steps = "${max_steps:6000,${oc.select:data.generator_steps,null},${loss.n_critic},${loss.n_generator}}"
    config = {"seed": 1, "data": {"generator_steps": 50}, "loss": {"n_critic": 2, "n_generator": 1}}
    config["trainer"] = {"max_steps": steps} | settings
    (tmp_path / "1" / ".hydra" / "config.yaml").write_text(yaml.safe_dump(config))
    store = RunFolder(tmp_path / "1").checkpoints
    store.folder.mkdir()
    store.path(40).write_bytes(b"weights")
    store.record(40, 400)
    assert find_runs([tmp_path])[0].stopped_early == stopped


def test_runs_without_metrics_are_counted(tmp_path: Path) -> None:
    for seed in (1, 2):
        fake_run(tmp_path / str(seed), ["metric=none"], seed, 10.0)
        file = tmp_path / str(seed) / "metrics.json"
        file.write_text(json.dumps(json.loads(file.read_text()) | {"metrics": []}))
    rows = table_rows(group_by_settings(find_runs([tmp_path])))[1]
    assert rows[0][1] == "2 (2 without metrics)"


def doctor_log(looks: int, **readings: float) -> str:
    """A ``metrics.csv`` of so many looks of the doctor, all alike."""
    sound = {
        "separation": 1.0,
        "spread": 0.3,
        "offset": 1.0,
        "travel": 0.01,
        "nearest": 1.0,
    } | readings
    names = ["images_seen", *(f"realism/{name}" for name in sound), "d/grad_norm", "g/grad_norm"]
    rows = [[look, 1000 * look, *sound.values(), 0.5, 0.5] for look in range(1, looks + 1)]
    lines = [["step", *(f"doctor/{name}" for name in names)], *rows]
    return "".join(",".join(map(str, line)) + "\n" for line in lines)


def test_the_doctor_says_what_it_can(tmp_path: Path) -> None:
    assert "which has no metrics.csv" in refused("doctor", tmp_path)
    assert "which does not exist" in refused("doctor", tmp_path / "nowhere")
    (tmp_path / "metrics.csv").write_text(doctor_log(1))
    assert invoke("doctor", tmp_path).startswith("too early: 1 look so far, 11 are needed")
    (tmp_path / "metrics.csv").write_text(doctor_log(12))
    said = invoke("doctor", tmp_path)
    assert said.startswith("saturated discriminator in realism at 11,000 images")
    assert "optim.discriminator.lr=1e-4" in said


def test_text_from_outside_is_shown_as_it_is(tmp_path: Path) -> None:
    """No markup of a terminal, no cell of Markdown, no formula of a spreadsheet, no element of a page."""
    for name, override in (
        ("a", "regularizer=[r1]"),
        ("b", "regularizer=[r1,r2]"),
        ("c", "tags=[x|y<b>]"),
    ):
        fake_run(tmp_path / name, [override], 1, 5.0)
    fake_run(tmp_path / "d", ["loss==1+1"], 1, 5.0)
    shown = invoke("compare", tmp_path)
    for text in ("regularizer=[r1]", "regularizer=[r1,r2]", "tags=[x|y<b>]"):
        assert text in shown.replace("\n", ""), shown
    groups = group_by_settings(find_runs([tmp_path]))
    assert "tags=[x\\|y&lt;b>]" in render(groups, ".md")
    assert ",'=1+1," in render(groups, ".csv")
    assert "tags=[x|y&lt;b&gt;]" in render(groups, ".html")
