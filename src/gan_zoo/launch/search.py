"""Search over overrides with Optuna: suggest values, train in a separate process, report the
objective.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import optuna
from optuna.storages import BaseStorage, JournalStorage, RDBStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy.exc import DBAPIError

from gan_zoo.config.build import build_evaluators
from gan_zoo.config.compose import compose_overrides
from gan_zoo.core.errors import ConfigError
from gan_zoo.launch.processes import Job, run_all
from gan_zoo.launch.search_space import SearchSpace
from gan_zoo.runs.folder import RunFolder
from gan_zoo.runs.overrides import quote_value

SAMPLERS = {"tpe": optuna.samplers.TPESampler, "random": optuna.samplers.RandomSampler}
STUDY_NAME = "search"
JOURNAL = "study.journal"
ATTEMPTS = 3
"""At opening a database."""


def default_objective(space: SearchSpace, config_dir: Path | None = None) -> tuple[str, bool]:
    """The score that decides which checkpoint of such a run is the best, and whether more of it is
    better.

    Raises:
        ConfigError: if the overrides do not compose, or nothing is scored.
    """
    own = [f"hydra.searchpath=[{quote_value(config_dir.absolute())}]"] if config_dir else []
    config = compose_overrides([*space.example_overrides(), *own])
    for evaluator in build_evaluators(config).values():
        name, direction = evaluator.best
        return name, direction == "max"
    raise ConfigError("nothing to search for: these runs are not scored, choose another metric=")


class Search:
    """A study in a folder that several processes, on several machines, may share.

    Args:
        folder: ``study.journal``, and ``trials/`` with a run folder for each trial.
        space: what is searched over.
        score: the name of what is to become better, as in ``metrics.json``.
        maximize: whether more of it is better.
        prune: end trials early that are worse than the median of the others at the same number of
            images.
        sampler: ``tpe`` or ``random``.
        seed: of the sampler.
        storage: the URL of a database that keeps the study, under the folder's name, instead of
            the journal; for machines that share no disk.

    Raises:
        ConfigError: if the folder holds another search, or there is no such database.
    """

    def __init__(
        self,
        folder: Path,
        space: SearchSpace,
        score: str,
        maximize: bool = False,
        prune: bool = True,
        sampler: str = "tpe",
        seed: int = 0,
        storage: str | None = None,
    ) -> None:
        if sampler not in SAMPLERS:
            raise ConfigError(f"--sampler must be one of {', '.join(SAMPLERS)}, got {sampler!r}")
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.folder, self.space, self.score, self.prune = folder, space, score, prune
        # Each running trial, with the numbers of images at which it has reported a score.
        self.running: dict[Path, tuple[Trial, set[int]]] = {}
        folder.mkdir(parents=True, exist_ok=True)

        # The journal in the folder, or the database, lets a study go on.
        self.study = optuna.create_study(
            storage=open_storage(storage, folder),
            study_name=STUDY_NAME if storage is None else folder.resolve().name,
            direction="maximize" if maximize else "minimize",
            sampler=SAMPLERS[sampler](seed=seed),
            pruner=optuna.pruners.MedianPruner(n_startup_trials=4)
            if prune
            else optuna.pruners.NopPruner(),
            load_if_exists=True,
        )

        # A study that goes on must search the same space for the same score.
        wanted = space.to_dict() | {"score": score}
        if (there := self.study.user_attrs.get("search", wanted)) != wanted:
            raise ConfigError(
                f"{folder} holds another search, {json.dumps(there)}: choose another --out"
            )
        self.study.set_user_attr("search", wanted)

    def run(self, trials: int, num_jobs: int = 1, options: Sequence[str] = ()) -> None:
        """Train until there are ``trials``; what an earlier process left unfinished goes on
        first.
        """
        run_all(self.jobs(trials), num_jobs, self.finish_trial, options, self.report_progress)

    def jobs(self, trials: int) -> Iterator[Job]:
        """A job for each trial that is missing."""
        for frozen in self.study.get_trials(states=(TrialState.RUNNING,)):
            if is_abandoned(frozen):
                yield self.job(Trial(self.study, frozen._trial_id), set(frozen.intermediate_values))
        while len(self.study.get_trials(deepcopy=False)) < trials:
            yield self.job(self.study.ask(self.space.dimensions), set())

    def job(self, trial: Trial, reported: set[int]) -> Job:
        """The process that trains a trial."""
        job = Job(
            self.space.overrides(trial.params), self.folder / "trials" / f"{trial.number:04d}"
        )
        trial.set_user_attr("owner", f"{socket.gethostname()}:{os.getpid()}")
        self.running[job.folder] = trial, reported
        print(f"trial {trial.number}: {format_params(trial.params)}", flush=True)
        return job

    def report_progress(self, job: Job) -> None:
        """Pass on new scores of a running trial, and end it if it is not worth its time."""
        # Scores since the last look.
        trial, reported = self.running[job.folder]
        news = {
            images: value
            for images, value in self.history(job.folder).items()
            if images not in reported
        }
        for images, value in news.items():
            trial.report(value, images)
            reported.add(images)

        # `finish_trial` reports the value to the study once the job has ended.
        if news and self.prune and trial.should_prune():
            trial.set_user_attr("pruned", True)
            job.stop()

    def history(self, run: Path) -> dict[int, float]:
        """The score by images seen, at each evaluation of a run."""
        with suppress(OSError, ValueError, KeyError):  # no evaluation yet
            entries = RunFolder(run).metrics()["history"]
            return {
                e["images_seen"]: e[f"val/{self.score}"]
                for e in entries
                if f"val/{self.score}" in e
            }
        return {}

    def finish_trial(self, job: Job) -> None:
        """Tell the study how a trial ended."""
        trial, _ = self.running.pop(job.folder)
        history = self.history(job.folder)

        # A trial that finished before it could be stopped counts.
        if trial.user_attrs.get("pruned") and job.exit_code != 0:
            self.study.tell(trial, state=TrialState.PRUNED)
            images = max(history)
            outcome = f"given up after {images:,} images, {self.score} {history[images]:.5g}"
        elif job.exit_code == 0 and history:
            value = history[max(history)]
            self.study.tell(trial, value)
            outcome = f"{self.score} {value:.5g}, best so far {self.study.best_value:.5g}"
        else:
            outcome = f"failed: {job.failure or f'it has no score {self.score}'}"
            trial.set_user_attr("failure", outcome)
            self.study.tell(trial, state=TrialState.FAIL)
        print(f"trial {trial.number}: {outcome}", flush=True)

    def rows(self) -> list[list[str]]:
        """Number, state, score and values of all trials, the best first."""
        sign = 1 if self.study.direction == optuna.study.StudyDirection.MINIMIZE else -1
        trials = self.study.get_trials(deepcopy=False)
        # Trials without a score come last.
        trials.sort(
            key=lambda trial: (trial.value is None, sign * (trial.value or 0), trial.number)
        )
        return [
            [
                str(t.number),
                t.state.name.lower(),
                "" if t.value is None else f"{t.value:.5g}",
                format_params(t.params),
            ]
            for t in trials
        ]

    def best_command(self, arguments: Sequence[str] = ()) -> str | None:
        """The command that trains the best trial again; None if none has finished.

        Args:
            arguments: those of `run`.
        """
        if not self.study.get_trials(states=(TrialState.COMPLETE,)):
            return None
        overrides = self.space.overrides(self.study.best_params)
        return shlex.join(["gan-zoo", "train", *arguments, *overrides])


def open_storage(url: str | None, folder: Path) -> BaseStorage:
    """The database of this URL; without one, the journal in ``folder``."""
    if url is None:
        return JournalStorage(JournalFileBackend(str(folder / JOURNAL)))
    for attempt in range(ATTEMPTS):
        try:
            # A server may close connections that are idle while trials train.
            return RDBStorage(url, engine_kwargs={"pool_pre_ping": True})
        except Exception as error:  # drivers of databases have errors of their own
            # Workers that make the tables at the same time are in each other's way.
            if isinstance(error, DBAPIError) and attempt < ATTEMPTS - 1:
                time.sleep(1.0)
                continue
            reason = str(error).strip().partition("\n")[0].replace(url, "it")
            raise ConfigError(
                "--storage must be the URL of a database, such as sqlite:///study.db or"
                f" postgresql://USER@HOST/NAME, got {without_password(url)!r}: {reason}"
            ) from error
    raise AssertionError("unreachable")


def without_password(url: str) -> str:
    """A URL that may be printed."""
    return re.sub(r"(//[^/@]*:)[^/@]*@", r"\1***@", url)


def format_params(values: dict[str, Any]) -> str:
    """Values as one would type them."""
    texts = {
        key: f"{value:.4g}" if isinstance(value, float) else value for key, value in values.items()
    }
    return " ".join(f"{key}={text}" for key, text in texts.items())


def is_abandoned(trial: FrozenTrial) -> bool:
    """Whether the process of this machine that ran a trial is gone."""
    host, _, number = str(trial.user_attrs.get("owner", ":0")).rpartition(":")
    if host not in ("", socket.gethostname()):
        return False
    try:
        os.kill(int(number) or os.getpid(), 0)
    except ProcessLookupError:
        return True
    return int(number) in (0, os.getpid())
