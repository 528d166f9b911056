"""Weights & Biases end to end: the real client, and a real server on this machine."""

from __future__ import annotations

import urllib.request
from pathlib import Path

import pytest

from tests.loggers.wandb_client import QUICK, ROOT, get, run, runs

pytest.importorskip(
    "openwandb", reason="openwandb, a server that the wandb client talks to, is not installed"
)
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

CLI = "from gan_zoo.cli.app import main; main()"


def test_history_images_config_and_checkpoints_come_back(server: str, tmp_path: Path) -> None:
    options = ("logger.wandb.project=round_trip", "logger.wandb.log_model=true", "tags=[one,two]")
    printed = run(server, tmp_path, str(ROOT / "train.py"), *QUICK, *options, "hydra.run.dir=first")
    assert "WARNING" not in printed
    (there,) = runs(server, "round_trip")
    name = there["run_id"]
    assert (there["state"], there["tags"], there["display_name"]) == (
        "finished",
        ["one", "two"],
        "dcgan-nonsaturating-digits-data.batch_size=16-extractor.image_size=32-s0",
    )
    assert there["config"]["loss"]["value"]["n_critic"] == 1
    protocol = there["config"]["protocol"]["value"]["fd_efficientnet_lite0"]
    assert (protocol["num_generated"], protocol["ema"]) == (64, True)
    history = get(server, f"api/v2/runs/{name}/metrics")["metrics_by_key"]
    logged = (tmp_path / "first" / "metrics.csv").read_text()
    for key in ("d/realism", "g/realism", "val/fd_efficientnet_lite0", "train/images_seen"):
        assert key in history
    assert [f"{entry['value']:.6g}" for entry in history["d/realism"]] == [
        f"{float(row[logged.splitlines()[0].split(',').index('d/realism')]):.6g}"
        for row in (line.split(",") for line in logged.splitlines()[1:])
        if row[logged.splitlines()[0].split(",").index("d/realism")]
    ]
    (image,) = [
        f["name"]
        for f in get(server, f"api/v1/runs/{name}/files")["files"]
        if f["name"].endswith(".png") and "samples" in f["name"]
    ]
    with urllib.request.urlopen(f"{server}/files/default/round_trip/{name}/{image}") as answer:
        assert answer.read() == (tmp_path / "first" / "samples" / "000000160.png").read_bytes()
    kinds = [a["artifact_type"] for a in get(server, f"api/v2/runs/{name}/artifacts")["artifacts"]]
    assert kinds == ["model", "model"], "best.ckpt and last.ckpt are versions"

    run(server, tmp_path, str(ROOT / "train.py"), "resume=first", "trainer.max_steps=20")
    (still,) = runs(server, "round_trip")
    assert still["run_id"] == name
    steps = get(server, f"api/v2/runs/{name}/metrics")["metrics_by_key"]["trainer/global_step"]
    assert {entry["value"] for entry in steps} == {0, 5, 10, 15, 20}, "0: real images"


def test_what_was_logged_offline_is_synced_later(server: str, tmp_path: Path) -> None:
    options = ("logger.wandb.project=offline", "logger.wandb.offline=true", "hydra.run.dir=second")
    run(server, tmp_path, str(ROOT / "train.py"), *QUICK, *options, WANDB_RUN_GROUP="study")
    assert runs(server, "offline") == []
    (folder,) = (tmp_path / "second" / "wandb").glob("offline-run-*")
    run(server, tmp_path, "-m", "wandb", "sync", str(folder))
    (there,) = runs(server, "offline")
    history = get(server, f"api/v2/runs/{there['run_id']}/metrics")["metrics_by_key"]
    assert {5, 10} <= {entry["value"] for entry in history["trainer/global_step"]}


def test_scores_of_an_evaluation_are_added_to_the_run(server: str, tmp_path: Path) -> None:
    options = ("logger.wandb.project=evaluated", "hydra.run.dir=third")
    run(server, tmp_path, str(ROOT / "train.py"), *QUICK, *options)
    (before,) = runs(server, "evaluated")
    printed = run(server, tmp_path, "-c", CLI, "evaluate", "third", "--num-samples", "64")
    value = float(printed.split("fd_efficientnet_lite0")[1].split()[0])
    (after,) = runs(server, "evaluated")
    assert after["run_id"] == before["run_id"]
    assert after["summary"]["evaluation/fd_efficientnet_lite0"] == pytest.approx(value, rel=1e-4)
    assert after["config"]["evaluation"]["value"]["fd_efficientnet_lite0"]["num_generated"] == 64


def test_six_runs_of_which_one_fails_are_a_group(server: str, tmp_path: Path) -> None:
    rates = "optim.generator.lr=1e-4,2e-4,3e-4,4e-4,5e-4,1e30"
    line = ("-m", *QUICK, rates, "logger.wandb.project=six", "hydra.sweep.dir=study")
    with pytest.raises(AssertionError):
        run(server, tmp_path, str(ROOT / "train.py"), *line)
    found = runs(server, "six")
    assert len({r["display_name"] for r in found}) == 6
    trained = [r for r in found if "train/images_seen" in r["summary"]]
    assert len(trained) == 5, "this server keeps no exit codes"


def test_each_trial_of_a_search_is_a_run(server: str, tmp_path: Path) -> None:
    line = ("sweep", *QUICK, "loss=hinge,rpgan", "logger.wandb.project=search")
    run(server, tmp_path, "-c", CLI, *line, "--trials", "2", "--out", "study")
    found = runs(server, "search")
    assert len(found) == 2, "this server keeps no groups"
    assert {there["config"]["choices"]["value"]["loss"] for there in found} <= {"hinge", "rpgan"}
    for there in found:
        history = get(server, f"api/v2/runs/{there['run_id']}/metrics")["metrics_by_key"]
        assert "val/fd_efficientnet_lite0" in history
