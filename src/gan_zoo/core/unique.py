"""A name for what a command makes that no other command has, and that all its processes share."""

from __future__ import annotations

import os
import secrets
import time
from functools import cache


@cache
def unique_now() -> str:
    """``2026-11-26_21-39-16_3fa9``: the time, and four letters in case another run begins in the
    same second.

    Processes of one run that compose their configs apart agree on rank 0's: by the job's and the
    step's number under SLURM, by torchrun's store under torchrun. Processes that rank 0 started are
    handed its folder.
    """
    # All processes of a SLURM step know its numbers.
    if "SLURM_PROCID" in os.environ and int(os.environ.get("SLURM_NTASKS", "1")) > 1:
        return (
            f"slurm-{os.environ.get('SLURM_JOB_ID', 'job')}-{os.environ.get('SLURM_STEP_ID', '0')}"
        )

    # Processes of torchrun meet in its store; others need not agree.
    own = f"{time.strftime('%Y-%m-%d_%H-%M-%S')}_{secrets.token_hex(2)}"
    if "TORCHELASTIC_RUN_ID" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1:
        return _shared(own)
    return own


def _shared(own: str) -> str:
    """Rank 0's ``own``, through the store in which torchrun's processes meet."""
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    # Where the agent has no store, rank 0 opens one.
    is_master = (
        os.environ["RANK"] == "0" and os.environ.get("TORCHELASTIC_USE_AGENT_STORE") != "True"
    )
    store = TCPStore(address, port, is_master=is_master, wait_for_workers=False)

    # After a restart there is a new name.
    key = f"gan_zoo/unique_now/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}"
    if os.environ["RANK"] == "0":
        store.set(key, own)
    return store.get(key).decode()
