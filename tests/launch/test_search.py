"""Many runs: multiruns with a process for each job, and searches."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gan_zoo.core.errors import ConfigError
from gan_zoo.launch.processes import Job, JobManifest, job_environment, run_all

optuna = pytest.importorskip("optuna", reason="the extra `sweep` is not installed")

from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution  # noqa: E402
from optuna.trial import TrialState  # noqa: E402

from gan_zoo.launch.search import Search, default_objective  # noqa: E402
from gan_zoo.launch.search_space import search_space_of  # noqa: E402
from tests import processes  # noqa: E402

ROOT = Path(__file__).parents[2]
RING = ("model=gan", "data=ring", "trainer=cpu", "generator.width=16", "discriminator.width=16")
SHORT = (*RING, "callbacks.evaluation.num_samples=100", "trainer.max_steps=4")


def test_hydras_sweep_syntax_is_a_space() -> None:
    space = search_space_of(
        [
            "model=gan",
            "loss=hinge,rpgan",
            "loss.n_critic=range(1,6)",
            "optim.generator.lr=tag(log,interval(1e-5,1e-3))",
            "generator.width=tag(int,interval(16,64))",
            "pack=range(2,9,2)",
        ]
    )
    assert space.fixed == ("model=gan",)
    assert space.dimensions == {
        "loss": CategoricalDistribution(("hinge", "rpgan")),
        "loss.n_critic": IntDistribution(1, 5),
        "optim.generator.lr": FloatDistribution(1e-5, 1e-3, log=True),
        "generator.width": IntDistribution(16, 64),
        "pack": IntDistribution(2, 8, step=2),
    }
    assert space.overrides({"loss": "rpgan", "pack": 4}) == ["model=gan", "loss=rpgan", "pack=4"]


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["loss=hinge"], "nothing to search over"),
        (["seed=1,2"], "the best seed is luck"),
        (["pack=interval(4,1)"], "pack: "),
        (["pack=tag(square,interval(1,4))"], "tags must be log or int, got square"),
        (["loss=glob(*)"], "loss: must be choices"),
        (["loss=(hinge"], "loss"),
    ],
)
def test_what_is_no_space_is_one_line(overrides: list[str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        search_space_of(overrides)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_the_score_is_the_one_that_decides_the_best_checkpoint() -> None:
    assert default_objective(search_space_of([*SHORT, "loss=hinge,rpgan"])) == ("reverse_kl", False)
    assert default_objective(search_space_of(["loss=hinge,rpgan"])) == (
        "fd_efficientnet_lite0",
        False,
    )
    with pytest.raises(ConfigError, match="not scored"):
        default_objective(search_space_of(["loss=hinge,rpgan", "metric=none"]))


def scored(job: Job, *values: float) -> None:
    """As if the job had been evaluated after every 1,000 images."""
    history = [{"images_seen": 1000 * (k + 1), "val/fd": value} for k, value in enumerate(values)]
    job.folder.mkdir(parents=True, exist_ok=True)
    (job.folder / "metrics.json").write_text(json.dumps({"history": history}))


def test_a_search_tells_prunes_and_goes_on(tmp_path: Path) -> None:
    space = search_space_of(
        ["model=gan", "loss=hinge,rpgan", "optim.generator.lr=tag(log,interval(1e-5,1e-3))"]
    )
    search = Search(tmp_path, space, "fd")
    jobs = search.jobs(trials=7)
    for value in (10.0, 20.0, 30.0, 40.0):
        job = next(jobs)
        assert job.overrides[0] == "model=gan"
        scored(job, value + 5)
        search.report_progress(job)
        scored(job, value + 5, value)
        job.exit_code = 0
        search.finish_trial(job)
    stopped: list[Job] = []
    hopeless = next(jobs)
    hopeless.stop = lambda: stopped.append(hopeless)  # type: ignore[method-assign]
    scored(hopeless, 1000.0)
    search.report_progress(hopeless)
    search.report_progress(hopeless)
    assert stopped == [hopeless]
    hopeless.exit_code = 143
    search.finish_trial(hopeless)
    killed = next(jobs)
    killed.exit_code = -9
    search.finish_trial(killed)
    states = [trial.state for trial in search.study.trials]
    assert states == [TrialState.COMPLETE] * 4 + [TrialState.PRUNED, TrialState.FAIL]
    assert "SIGKILL" in search.study.trials[5].user_attrs["failure"]
    assert [row[0] for row in search.rows()] == ["0", "1", "2", "3", "4", "5"]
    best = search.best_command(["--config-dir", "my configs"]) or ""
    assert best.startswith("gan-zoo train --config-dir 'my configs' ")
    assert f"loss={search.study.best_params['loss']}" in best

    # The process dies in the middle of trial 6; another one takes it up, with its values and in its folder.
    lost = next(jobs)
    scored(lost, 15.0)
    search.report_progress(lost)
    search.study.trials[6]
    trial, _ = search.running[lost.folder]
    trial.set_user_attr(
        "owner", search.study.trials[6].user_attrs["owner"].rpartition(":")[0] + ":999999999"
    )
    again = Search(tmp_path, space, "fd")
    (resumed,) = again.jobs(trials=7)
    assert (resumed.overrides, resumed.folder) == (lost.overrides, lost.folder)
    scored(resumed, 15.0, 5.0)
    resumed.exit_code = 0
    again.finish_trial(resumed)
    assert again.study.best_trial.number == 6
    assert list(again.jobs(trials=7)) == []
    with pytest.raises(ConfigError, match="holds another search"):
        Search(tmp_path, search_space_of(["model=gan", "loss=hinge,wgan"]), "fd")


def test_jobs_side_by_side_share_the_machine(monkeypatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "2,5")
    seen = [job_environment(slot, 4) for slot in range(4)]
    assert [environment["CUDA_VISIBLE_DEVICES"] for environment in seen] == ["2", "5", "2", "5"]
    assert {environment["OMP_NUM_THREADS"] for environment in seen} == {"2"}
    assert "OMP_NUM_THREADS" not in job_environment(0, 1)


def test_a_record_gives_jobs_their_folders_back(tmp_path: Path) -> None:
    record = JobManifest(tmp_path)
    record.add(["seed=1"], "0-gan").exit_code = 0
    record.add(["seed=2"], "1-gan").exit_code = -9
    record.write()
    again = JobManifest(tmp_path)
    job = again.find(["seed=2"])
    assert job is not None
    assert (job.folder, job.exit_code, job.failure) == (tmp_path / "1-gan", -9, "killed by SIGKILL")
    assert again.find(["seed=3"]) is None

    # Folders of one name in folders of different ones, and one elsewhere.
    for folder in ("hinge/0", "lsgan/0", str(tmp_path.parent / "elsewhere")):
        record.add([f"folder={folder}"], folder)
    record.write()
    folders = [job.folder for job in JobManifest(tmp_path).jobs[2:]]
    assert folders == [tmp_path / "hinge/0", tmp_path / "lsgan/0", tmp_path.parent / "elsewhere"]
    (tmp_path / "jobs.json").write_text("[{")
    with pytest.raises(ConfigError, match="damaged"):
        JobManifest(tmp_path)


class Sleeping(Job):
    def start(self, slot: int, num_jobs: int, options: object = ()) -> None:
        self.process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])


def test_what_goes_wrong_with_the_sweep_itself_stops_its_jobs(tmp_path: Path) -> None:
    jobs = [Sleeping([], tmp_path / "0"), Sleeping([], tmp_path / "1")]

    def watch(job: Job) -> None:
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        run_all(jobs, 2, on_end=lambda job: None, on_poll=watch)
    assert all(job.process is not None and job.process.poll() == -signal.SIGTERM for job in jobs)


def start(*arguments: str, cwd: Path) -> subprocess.Popen[str]:
    environment = os.environ | {
        "PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'src'}",
        "OMP_NUM_THREADS": "1",
    }
    return subprocess.Popen(
        arguments, cwd=cwd, env=environment, text=True, stdout=-1, stderr=-1, start_new_session=True
    )


def children_of(parent: int) -> list[int]:
    text = Path(f"/proc/{parent}/task/{parent}/children").read_text(encoding="utf-8")
    return [int(word) for word in text.split()]


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="finds processes by /proc")
def test_a_job_that_is_killed_takes_nothing_along_and_the_rerun_does_what_is_missing(
    tmp_path: Path,
) -> None:
    sweep = [
        sys.executable,
        str(ROOT / "train.py"),
        "-m",
        "loss=hinge,rpgan,wgan",
        "seed=1,2",
        *SHORT,
    ]
    sweep += ["hydra.sweep.dir=sweep", "hydra.launcher.n_jobs=2"]
    process = start(*sweep, cwd=tmp_path)
    until = time.monotonic() + 120
    while not (children := children_of(process.pid)) and time.monotonic() < until:
        time.sleep(0.05)
    os.kill(children[0], signal.SIGKILL)
    out, err = process.communicate(timeout=400)
    assert process.returncode == 1, out + err
    assert "1 of 6 jobs failed: 0-gan-hinge-ring: killed by SIGKILL" in err
    assert len(list(tmp_path.glob("sweep/*/metrics.json"))) == 5
    before = {path: path.stat().st_mtime_ns for path in tmp_path.glob("sweep/*/metrics.json")}

    process = start(*sweep, cwd=tmp_path)
    out, err = process.communicate(timeout=200)
    assert process.returncode == 0, out + err
    assert "5 of 6 jobs in sweep are done" in out
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len(list(tmp_path.glob("sweep/*/metrics.json"))) == 6


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_multirun_that_is_stopped_saves_its_job(tmp_path: Path) -> None:
    line = [sys.executable, str(ROOT / "train.py"), "-m", *RING, "seed=1,2", "metric=none"]
    process = start(*line, "trainer.max_steps=1000000", "hydra.sweep.dir=sweep", cwd=tmp_path)
    until = time.monotonic() + 120
    while not list(tmp_path.glob("sweep/*/metrics.csv")) and time.monotonic() < until:
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=200)
    assert process.returncode == 143, err
    assert "Traceback" not in err
    assert len(list(tmp_path.glob("sweep/*/checkpoints/last.ckpt"))) == 1


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_search_that_is_stopped_goes_on(tmp_path: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "gan_zoo.cli.app",
        "sweep",
        *SHORT,
        "loss=hinge,rpgan",
        "loss.n_critic=range(1,3)",
    ]
    command += ["--trials", "3", "--out", "found"]
    process = start(*command, cwd=tmp_path)
    assert process.stdout is not None
    while "trial 1:" not in (line := process.stdout.readline()):
        assert line, process.communicate()
    time.sleep(2)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=200)
    assert process.returncode == 143
    process = start(*command, cwd=tmp_path)
    out, err = process.communicate(timeout=400)
    assert process.returncode == 0, out + err
    assert "trial 0:" not in out
    assert out.count("complete") == 3
    assert "python train.py model=gan" in out
    assert len(list(tmp_path.glob("found/trials/*/metrics.json"))) == 3


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "storage", [(), ("--storage", "sqlite:///study.db")], ids=["journal", "db"]
)
def test_two_workers_share_a_search(storage: tuple[str, ...], tmp_path: Path) -> None:
    command = ["sweep", *SHORT, "optim.generator.lr=interval(1e-4,1e-3)", "--trials", "4"]
    with ThreadPoolExecutor(2) as pool:
        folders = [tmp_path / "a", tmp_path / "b"] if storage else [tmp_path, tmp_path]
        outs = [str(folder / "found") for folder in folders]
        ended = list(
            pool.map(
                lambda out: processes.gan_zoo(*command, "--out", out, *storage, cwd=tmp_path), outs
            )
        )
    assert [done.returncode for done in ended] == [0, 0], [done.stderr for done in ended]
    trained = [
        set(re.findall(r"^trial (\d+): .*best so far", d.stdout, re.MULTILINE)) for d in ended
    ]
    assert all(trained), "both had trials"
    assert not trained[0] & trained[1]
    assert 4 <= len(trained[0] | trained[1]) <= 5, "two may ask for the last one at once"


def test_a_database_keeps_a_search(tmp_path: Path) -> None:
    space = search_space_of(["model=gan", "optim.generator.lr=interval(1e-5,1e-3)"])
    url = f"sqlite:///{tmp_path}/study.db"
    search = Search(tmp_path / "found", space, "fd", storage=url)
    job = next(search.jobs(trials=1))
    scored(job, 3.0)
    job.exit_code = 0
    search.finish_trial(job)
    elsewhere = Search(tmp_path / "elsewhere" / "found", space, "fd", storage=url)
    assert elsewhere.study.best_value == 3.0
    assert not (tmp_path / "found" / "study.journal").exists()
    with pytest.raises(ConfigError, match="--storage must be the URL of a database"):
        Search(tmp_path / "found", space, "fd", storage="nowhere")
    with pytest.raises(ConfigError, match="--storage must be the URL") as refused:
        Search(tmp_path / "found", space, "fd", storage="oracle://me:secret@host/name")
    assert "secret" not in str(refused.value)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_jobs_of_a_multirun_may_have_several_processes(tmp_path: Path) -> None:
    process = start(
        *(sys.executable, str(ROOT / "train.py"), "-m", "seed=1,2", *SHORT, "trainer=ddp_cpu"),
        cwd=tmp_path,
    )
    out, err = process.communicate(timeout=500)
    assert process.returncode == 0, out + err
    runs = list(tmp_path.glob("multirun/*/*/metrics.json"))
    assert len(runs) == 2
    for run in runs:
        assert json.loads(run.read_text())["metrics"][0]["protocol"]["world_size"] == 2
