"""Loggers that need a decision before they start."""

from __future__ import annotations

import netrc
import os
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import WandbLogger
from rich import print as say


def wandb_logger(save_dir: str, project: str, offline: bool | None = None, **options: Any) -> WandbLogger:
    """A Weights & Biases logger that goes offline, and says so, when there is no key to go online with.

    Args:
        save_dir: the run folder.
        project: the project's name.
        offline: True or False to insist, None to decide by whether there is a key.
        options: further arguments of `lightning.pytorch.loggers.WandbLogger`.
    """
    os.environ.setdefault("WANDB_SILENT", "true")
    if offline is None:
        offline = os.environ.get("WANDB_MODE", "") != "online" and not _has_key()
        if offline:
            say(f"wandb: no API key, logging offline; later: [bold]wandb sync {save_dir}/wandb/*[/bold]")
    return WandbLogger(save_dir=save_dir, project=project, offline=offline, **options)


def _has_key() -> bool:
    if os.environ.get("WANDB_API_KEY"):
        return True
    try:
        hosts = netrc.netrc(Path("~/.netrc").expanduser()).hosts
    except (OSError, netrc.NetrcParseError):
        return False
    wanted = os.environ.get("WANDB_BASE_URL", "api.wandb.ai")
    return any(host in wanted for host in hosts)
