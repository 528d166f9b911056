"""Reading checkpoint files. What the command line needs before anything heavy is imported."""

from __future__ import annotations

import pickle
import re
import warnings
from pathlib import Path
from typing import Any

from gan_zoo.core.errors import ConfigError


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's plain data and tensors, the latter still on the disk; no code of the file's
    runs.

    Raises:
        ConfigError: if it is damaged or none of ours.
    """
    import torch

    # torch's restricted unpickler refuses everything but plain data and tensors.
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        if not {"config", "clock"} <= content["gan_zoo"].keys() or "state_dict" not in content:
            raise KeyError("gan_zoo")
    except pickle.UnpicklingError as error:
        # The unpickler names the code that it refused.
        if code := re.search(r"GLOBAL (\S+)", str(error)):
            raise ConfigError(f"{path} is refused: it would run {code[1]} when opened") from error
        raise ConfigError(f"{path} is damaged or no checkpoint of gan_zoo") from error
    except Exception as error:  # what a damaged file makes torch raise is not foreseeable
        raise ConfigError(f"{path} is damaged or no checkpoint of gan_zoo") from error
    return content  # type: ignore[no-any-return]
