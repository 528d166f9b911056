"""The command line of training."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from gan_zoo.config import help as help_of
from gan_zoo.config.checks import check_single_process_multirun
from gan_zoo.config.compose import check_choices, check_grammar, check_local, to_dict
from gan_zoo.config.messages import format_error, is_usage_error
from gan_zoo.config.resume_overrides import expand_resume
from gan_zoo.config.suggestions import with_suggestions
from gan_zoo.core.errors import ConfigError, Interrupted
from gan_zoo.core.output import never_blocking
from gan_zoo.core.paths import CONF
from gan_zoo.core.signals import SIGNALS
from gan_zoo.launch.processes import FULL_ERROR_VAR
from gan_zoo.launch.train import remove_empty_run, train
from gan_zoo.runs.overrides import split_flags


def main() -> None:
    """The command line: compose a config from ``sys.argv`` and train with it, or with each one of a
    multirun.

    What a user can put right is one line on stderr and exit code 1; with HYDRA_FULL_ERROR=1 it is a
    traceback. Whether anybody reads the output does not matter, and a signal before training ends
    the command at once.
    """
    never_blocking()
    with SIGNALS.handlers_restored():
        SIGNALS.install()
        # Before training begins, a signal stops at once, and no empty folder is left.
        try:
            with SIGNALS.raise_immediately():
                _main()
        except Interrupted as stop:
            if (run_dir := current_run_dir()) is not None:
                remove_empty_run(run_dir)
            sys.exit(stop.exit_code)


def current_run_dir() -> Path | None:
    """The directory of the run that Hydra has begun; None between the jobs of a multirun."""
    if not HydraConfig.initialized():
        return None
    runtime = HydraConfig.get().runtime
    begun = not OmegaConf.is_missing(runtime, "output_dir") and runtime.output_dir is not None
    return Path(runtime.output_dir) if begun else None


def _main() -> None:
    if help_of.is_requested(sys.argv[1:]):
        print(help_of.render(sys.argv[1:], CONF))
        return

    # Errors become one line here, unless a traceback is wanted.
    full_error = os.environ.get("HYDRA_FULL_ERROR", "0")
    wants_traceback = full_error == "1"
    os.environ[FULL_ERROR_VAR] = full_error
    os.environ["HYDRA_FULL_ERROR"] = (
        "1"  # while composing, Hydra then raises instead of printing its own report
    )
    failures: list[str] = []

    def fail(error: Exception) -> None:
        failures.append(f"error: {format_error(error, CONF, split_flags(sys.argv[1:])[0])}")
        print(failures[-1], file=sys.stderr)

    # One run, alone or as a job of a multirun.
    def job(config: DictConfig) -> None:
        os.environ["HYDRA_FULL_ERROR"] = full_error  # processes that the job starts inherit it
        in_multirun = HydraConfig.get().mode == RunMode.MULTIRUN
        try:
            if in_multirun:
                os.environ.setdefault("WANDB_RUN_GROUP", Path(HydraConfig.get().sweep.dir).name)
                os.environ.setdefault("WANDB_JOB_TYPE", "job")
                check_single_process_multirun(to_dict(config))
            train(config)
        except Exception as error:
            if wants_traceback or not (in_multirun or is_usage_error(error)):
                raise
            # A multirun goes on, and reports its failed jobs at the end.
            if in_multirun:
                raise job_failure(error) from None
            fail(error)

    # Compose and run; resume= is expanded before Hydra sees the command.
    try:
        check_grammar(split_flags(sys.argv[1:])[0])
        check_local(split_flags(sys.argv[1:])[0])
        sys.argv[1:] = check_choices(expand_resume(with_suggestions(sys.argv[1:])))
        hydra.main(version_base="1.3", config_path=str(CONF), config_name="config")(job)()
    except Exception as error:
        if wants_traceback or not is_usage_error(error):
            raise
        fail(error)
    finally:
        os.environ["HYDRA_FULL_ERROR"] = full_error
    if failures:
        sys.exit(1)


def job_failure(error: Exception) -> ConfigError:
    """What a job of a multirun raises: Hydra hands it to the process of the sweep once all jobs
    have ended.
    """
    os.environ["HYDRA_FULL_ERROR"] = (
        "1"  # where that process is this one, it shall not print a report of its own
    )
    line = f"job {HydraConfig.get().job.num}: {format_error(error, CONF)}"
    print(f"error: {line}", file=sys.stderr)
    return ConfigError(f"not every job ended well, the first that failed was {line}")


if __name__ == "__main__":
    main()
