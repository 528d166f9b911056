"""Exports to and from the Hugging Face hub."""

from __future__ import annotations

import re
from pathlib import Path

from gan_zoo.errors import CompositionError

NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*")
ADDRESS = re.compile(r"hf:/{1,2}(.+)")  # a path has lost one of the two
KEPT = ("*.json", "*.safetensors", "*.md", "*.png", "*.onnx")


def check_push(name: str) -> str:
    """``name``, if it can be pushed to: before anything is written.

    Raises:
        CompositionError: unless it is ``user/name`` and there is a token.
        ModuleNotFoundError: without the extra ``hub``.
    """
    from huggingface_hub import get_token

    if not NAME.fullmatch(name):
        raise CompositionError(f"--push must be user/name, got {name!r}")
    if get_token() is None:
        raise CompositionError("--push needs a token of the hub: hf auth login, or set HF_TOKEN")
    return name


def push(folder: Path, name: str, private: bool = False) -> str:
    """Upload the export in ``folder`` as the model ``name``, which is made if it is not there, and return its address.

    Raises:
        CompositionError: if the hub cannot be reached or says no; ``folder`` stays as it is.
    """
    from huggingface_hub import HfApi

    api = HfApi()
    try:
        url = api.create_repo(name, private=private, exist_ok=True)
        api.upload_folder(repo_id=name, folder_path=folder, allow_patterns=list(KEPT), commit_message="gan-zoo export")
    except Exception as error:  # the client's errors have no base of their own, and their bases change
        raise CompositionError(
            f"{folder} is written but was not pushed to {name}: {first_line(error)}; again: hf upload {name} {folder}"
        ) from error
    return str(url)


def address(run: str | Path) -> str | None:
    """The model ``user/name`` that ``hf://user/name`` stands for; None for anything else, and for folders."""
    found = ADDRESS.fullmatch(str(run))
    if found is None or Path(run).exists():
        return None
    if not NAME.fullmatch(found[1]):
        raise CompositionError(f"a model of the hub must be hf://user/name, got {str(run)!r}")
    return found[1]


def fetched(name: str) -> Path:
    """The folder of a model of the hub, downloaded once; what it holds is trusted no more than any export.

    Raises:
        CompositionError: if it is not there, or the hub cannot be reached and nothing was downloaded before.
        ModuleNotFoundError: without the extra ``hub``.
    """
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=list(KEPT)))
    except Exception as error:
        raise CompositionError(f"hf://{name} cannot be fetched: {first_line(error)}") from error


def first_line(error: BaseException) -> str:
    """What ``error`` says, as far as one line goes."""
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
