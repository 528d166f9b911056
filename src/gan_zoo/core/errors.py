"""What users can put right, and how a run can end."""

from __future__ import annotations

import signal


class ConfigError(ValueError):
    """The parts of a config do not fit together; the message says what to change."""


class TrainingDiverged(RuntimeError):
    """A loss, a gradient or a weight is no longer a finite number."""


class Interrupted(BaseException):
    """The run was interrupted, and stopped where it can be resumed.

    Attributes:
        signum: the signal.
    """

    def __init__(self, signum: int) -> None:
        super().__init__(f"stopped by {signal.Signals(signum).name}")
        self.signum = signum

    @property
    def exit_code(self) -> int:
        """143 for SIGTERM, 130 for SIGINT, 129 for SIGHUP, as shells count."""
        return 128 + self.signum


class DataError(ValueError):
    """The data cannot be used; the message says what to do."""
