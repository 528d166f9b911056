"""Weights & Biases."""

from __future__ import annotations

import netrc
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import WandbLogger

from gan_zoo.loggers.sections import IMAGES_SEEN

GROUPS = ("d", "g", "train", "val", "doctor", "lr")
"""What comes before the first slash in the names of numbers."""
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


def alert(logger: WandbLogger, title: str, text: str) -> None:
    """An alert of the run, and a tag by which it can be found among others."""
    logger.experiment.alert(title=title, text=text)
    tags = logger.experiment.tags or ()
    if title not in tags:
        logger.experiment.tags = (*tags, title)
