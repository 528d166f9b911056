"""Exports to and from the Hugging Face hub."""

from __future__ import annotations

from pathlib import Path

from gan_zoo.core.errors import ConfigError
from gan_zoo.inference.hub import NAME, UPLOAD_PATTERNS, first_line


def check_push(name: str) -> str:
    """``name``, if it can be pushed to: before anything is written.

    Raises:
        ConfigError: unless it is ``user/name`` and there is a token.
        ModuleNotFoundError: without the extra ``hub``.
    """
    from huggingface_hub import get_token

    if not NAME.fullmatch(name):
        raise ConfigError(f"--push must be user/name, got {name!r}")
    if get_token() is None:
        raise ConfigError("--push needs a token of the hub: hf auth login, or set HF_TOKEN")
    return name


def push(folder: Path, name: str, private: bool = False) -> str:
    """Upload the export in ``folder`` as the model ``name``, which is made if it is not there, and
    return its address.

    Raises:
        ConfigError: if the hub cannot be reached or says no; ``folder`` stays as it is.
    """
    from huggingface_hub import HfApi

    api = HfApi()
    # The client's errors have no base of their own, and their bases change.
    try:
        url = api.create_repo(name, private=private, exist_ok=True)
        api.upload_folder(
            repo_id=name,
            folder_path=folder,
            allow_patterns=list(UPLOAD_PATTERNS),
            commit_message="gan-zoo export",
        )
    except Exception as error:
        raise ConfigError(
            f"{folder} is written but was not pushed to {name}: {first_line(error)}; again: hf"
            f" upload {name} {folder}"
        ) from error
    return str(url)
