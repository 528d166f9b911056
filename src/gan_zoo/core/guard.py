"""What happens around training must not cost the weights."""

from __future__ import annotations

import errno
import sys
from types import TracebackType

from gan_zoo.core.errors import TrainingDiverged

DISK_IS_FULL = (errno.ENOSPC, errno.EDQUOT)


class survived:
    """Within the block an exception is reported, and training goes on.

    A full disk and divergence still end the run: neither gets better by training on.

    Args:
        what: is done in the block, for the report.
        then: what goes on, for the report.
    """

    def __init__(self, what: str, then: str = "training goes on") -> None:
        self.what = what
        self.then = then

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> bool:
        # Interruptions are no errors, and divergence does not get better by training on.
        if not isinstance(error, Exception) or isinstance(error, TrainingDiverged):
            return False
        if isinstance(error, OSError) and error.errno in DISK_IS_FULL:
            return False

        # Any other error is reported in one line.
        reason = " ".join(str(error).split()) or "no reason given"
        print(
            f"{self.what} failed, {self.then}: {type(error).__name__}: {reason}",
            file=sys.stderr,
            flush=True,
        )
        return True
