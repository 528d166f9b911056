"""Weights & Biases."""

from __future__ import annotations

import json
import netrc
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import WandbLogger

from gan_zoo.loggers.sections import IMAGES_SEEN

GROUPS = ("d", "g", "train", "val", "doctor", "lr")
"""What comes before the first slash in the names of numbers."""
FINDINGS = "doctor/findings"
Finding = tuple[int, str, str]
"""Images seen, the name of a failure mode, what to try."""
UNNAMEABLE = re.compile(r"[^A-Za-z0-9_.-]")
WANDB_FOLDER = re.compile(r"(offline-)?run-(?P<time>\d{8}_\d{6})-(?P<id>.+)")


def wandb_logger(
    save_dir: str, project: str, offline: bool | None = None, **options: Any
) -> WandbLogger:
    """A Weights & Biases logger that goes offline, and says so, when there is no key to go online
    with.

    A resumed run goes on under the id that it began with, or under ``id`` or ``WANDB_RUN_ID`` if
    they are given.

    Args:
        save_dir: the run folder.
        project: the project's name, without any of ``/ \\ # ? % :``.
        offline: True or False to insist, None to decide by whether there is a key.
        options: further arguments of `lightning.pytorch.loggers.WandbLogger`.

    Raises:
        ValueError: if ``project`` cannot be a project's name.
    """
    if bad := set("/\\#?%:") & set(project):
        raise ValueError(
            f"logger.wandb.project must not hold {' '.join(sorted(bad))}, got {project!r}"
        )
    os.environ.setdefault("WANDB_SILENT", "true")

    # Online only with a key, or if that is asked for.
    if offline is None:
        offline = os.environ.get("WANDB_MODE", "") != "online" and not _has_key()
        if offline:
            print(f"wandb: no API key, logging offline; later: wandb sync {save_dir}/wandb/*")

    # A resumed run goes on under its old id.
    if not offline:
        options["resume"] = "allow"
    run = Path(save_dir)
    options["name"] = options.get("name") or "/".join(run.absolute().parts[-2:])
    options["job_type"] = options.get("job_type") or os.environ.get("WANDB_JOB_TYPE", "train")
    options["id"] = options.get("id") or os.environ.get("WANDB_RUN_ID") or _existing_run_id(run)
    logger = WandbLogger(save_dir=save_dir, project=project, offline=offline, **options)
    logger._wandb_init.pop("anonymous", None)  # Lightning passes it on, wandb warns of it
    return logger


def _existing_run_id(run: Path) -> str | None:
    """The id that the run's folders in ``wandb/`` end in, ``run-<date>-<id>``; None if it begins
    now.
    """
    names = [WANDB_FOLDER.fullmatch(folder.name) for folder in run.glob("wandb/*run-*-*")]
    begun = sorted((name["time"], name["id"]) for name in names if name is not None)
    return begun[-1][1] if begun else None


def _is_offline_mode() -> bool:
    return os.environ.get("WANDB_MODE", "online") != "online"


def _has_key() -> bool:
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        hosts = netrc.netrc(Path("~/.netrc").expanduser()).hosts
    except (OSError, netrc.NetrcParseError):
        return False
    wanted = os.environ.get("WANDB_BASE_URL", "api.wandb.ai")
    return any(host in wanted for host in hosts)


def define_metrics(logger: WandbLogger, best: Mapping[str, str]) -> None:
    """Draw numbers over the images seen, and keep the best value of metrics in the summary.

    Args:
        logger: of the run.
        best: ``min`` or ``max`` by the name that a metric is logged under.
    """
    logger.experiment.define_metric(IMAGES_SEEN)
    for group in GROUPS:
        logger.experiment.define_metric(f"{group}/*", step_metric=IMAGES_SEEN)
    for name, direction in best.items():
        logger.experiment.define_metric(name, step_metric=IMAGES_SEEN, summary=f"{direction},last")


def alert(logger: WandbLogger, findings: Sequence[Finding]) -> None:
    """An alert of the last of the run's findings, a tag by which the run can be found among others,
    and the table of all.
    """
    import wandb

    _, title, text = findings[-1]
    run = logger.experiment
    run.alert(title=title, text=text)
    tags = run.tags or ()
    if title not in tags:
        run.tags = (*tags, title)
    columns: list[str | int] = ["images seen", "finding", "text"]
    run.log({FINDINGS: wandb.Table(columns=columns, data=[list(row) for row in findings])})


def use_data(logger: WandbLogger, about: Mapping[str, Any]) -> None:
    """Name the data of a run, so that checkpoints can be traced back to them.

    Args:
        logger: of an online run.
        about: ``name``, ``fingerprint`` and more, which become the file ``data.json`` of an
            artifact of type ``dataset``; the samples themselves stay where they are.
    """
    import wandb

    # Folders may have any name, and lie elsewhere on the next machine.
    name = UNNAMEABLE.sub("_", str(about["name"]))
    shared = {key: value for key, value in about.items() if key != "root"}
    artifact = wandb.Artifact(name, "dataset", metadata=shared)
    with artifact.new_file("data.json", encoding="utf-8") as file:
        json.dump(shared, file, indent=1)
    logger.experiment.use_artifact(artifact)


def log_models(logger: WandbLogger, files: Sequence[Path]) -> None:
    """Checkpoints as versions of the run's model, with their names (``best``, ``last``) as
    aliases.
    """
    import wandb

    for file in files:
        artifact = wandb.Artifact(f"model-{logger.version}", "model")
        artifact.add_file(str(file), file.name)
        logger.experiment.log_artifact(artifact, aliases=[file.stem])


def log_export(run: Any, folder: Path, alias: str) -> None:
    """An export as an artifact of ``run`` that was made from its model.

    Args:
        run: in Weights & Biases.
        folder: of the export.
        alias: of the model's version, ``best`` or ``last``.
    """
    import wandb

    run.use_artifact(f"model-{run.id}:{alias}")
    artifact = wandb.Artifact(f"export-{run.id}", "export")
    artifact.add_dir(str(folder))
    run.log_artifact(artifact)


@contextmanager
def finished_run(folder: Path, options: Mapping[str, Any]) -> Iterator[Any | None]:
    """The run of a run folder in Weights & Biases, to add to it after training; None if it was not
    logged there, or offline, or if there is no key or no connection is wanted.

    Args:
        folder: the run folder.
        options: of the run's logger: ``project``, ``entity``, ``offline``.
    """
    online = any(folder.glob("wandb/run-*-*"))
    if not online or not _has_key() or options.get("offline") or _is_offline_mode():
        yield None
        return
    import wandb

    os.environ.setdefault("WANDB_SILENT", "true")
    run = wandb.init(
        id=_existing_run_id(folder),
        project=options["project"],
        entity=options.get("entity"),
        dir=str(folder),
        resume="allow",
    )
    try:
        yield run
    finally:
        run.finish()
