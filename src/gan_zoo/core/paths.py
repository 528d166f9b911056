"""Where the configs and the caches are."""

from __future__ import annotations

import os
import sys
import tempfile
from contextlib import suppress
from functools import cache
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[1]

CONF = next(folder for folder in (PACKAGE / "conf", PACKAGE.parents[1] / "conf") if folder.is_dir())

DEMO = PACKAGE / "web" / "demo"
"""An export that comes with the package, for ``gan-zoo explore --demo``."""

LOCAL = "local:"
"""Before a folder that is treated like a URL."""
URLS = ("s3://", "gs://", "azure://", "hf://", LOCAL)
"""What litdata downloads from."""


def is_url(path: str) -> bool:
    """Whether ``path`` is none of a file system."""
    return "://" in path or path.startswith(URLS)


def cache_root() -> Path:
    """Where caches live: ``$GAN_ZOO_CACHE``, or ``gan_zoo`` in the user's cache folder."""
    if explicit := os.environ.get("GAN_ZOO_CACHE"):
        return Path(explicit).expanduser()
    return _default_root(os.environ.get("XDG_CACHE_HOME") or "~/.cache")


@cache
def _default_root(parent: str) -> Path:
    """``gan_zoo`` in the folder ``parent``, or in the temporary one, which is said, if that cannot
    be written.
    """
    with suppress(OSError, RuntimeError):  # a read-only home, or none at all
        root = Path(parent).expanduser() / "gan_zoo"
        root.mkdir(parents=True, exist_ok=True)
        if os.access(root, os.W_OK):
            return root

    # The temporary folder is shared, so the user's number is in the name.
    root = (
        Path(tempfile.gettempdir()) / f"gan_zoo-{os.getuid() if hasattr(os, 'getuid') else 'cache'}"
    )
    print(
        f"{parent} cannot be written, caches are in {root}: GAN_ZOO_CACHE says where to keep them",
        file=sys.stderr,
    )
    return root
