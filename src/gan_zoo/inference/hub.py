"""Exports that lie on the Hugging Face hub."""

from __future__ import annotations

import re
from pathlib import Path

from gan_zoo.core.errors import ConfigError

NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
ADDRESS = re.compile(r"hf:/{1,2}(.+)")  # a path has lost one of the two
UPLOAD_PATTERNS = ("*.json", "*.safetensors", "*.md", "*.png", "*.onnx")


def parse_hub_url(run: str | Path) -> str | None:
    """The model ``user/name`` that ``hf://user/name`` stands for; None for anything else, and for
    folders.
    """
    found = ADDRESS.fullmatch(str(run))
    if found is None or Path(run).exists():
        return None
    if not NAME.fullmatch(found[1]):
        raise ConfigError(f"a model of the hub must be hf://user/name, got {str(run)!r}")
    return found[1]


def download(name: str) -> Path:
    """The folder of a model of the hub, downloaded once; what it holds is trusted no more than any
    export.

    Raises:
        ConfigError: if it is not there, or the hub cannot be reached and nothing was downloaded
            before.
        ModuleNotFoundError: without the extra ``hub``.
    """
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=list(UPLOAD_PATTERNS)))
    except Exception as error:
        raise ConfigError(f"hf://{name} cannot be fetched: {first_line(error)}") from error


def first_line(error: BaseException) -> str:
    """What ``error`` says, as far as one line goes."""
    return next(
        (line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__
    )
