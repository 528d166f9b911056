"""What a training step may do on a GPU."""

from __future__ import annotations

from tests.pretended_gpu.training import Worker

HARMLESS = {"upload"}
HOST_DECIDES = ("models/translation/image_pool.py", "networks/stylegan2.py")
"""Files that draw a few numbers on the CPU because the host decides by them, and nothing is copied:
whether a past fake is shown, from which layer on styles are mixed."""


def check_step(worker: Worker, *overrides: str, waits: int = 0) -> None:
    """A training step has everything on the device, nothing in float64, and waits for nothing, or
    as many times as is known.
    """
    answered = worker.ask("callbacks=none", "metric=none", "data.batch_size=4", *overrides)
    assert "error" not in answered, answered["error"]
    found = [
        event
        for event in answered["events"]
        if event[0] not in HARMLESS and not _host_decides(event[0], event[2])
    ]
    waited = sum(count for kind, _, _, count in found if "wait" in kind)
    listed = "\n".join(f"{count} x {kind}: {what} at {where}" for kind, what, where, count in found)
    assert waited == waits, listed
    assert all("wait" in kind for kind, *_ in found), listed


def _host_decides(kind: str, place: str) -> bool:
    return kind == "made on CPU" and any(file in place for file in HOST_DECIDES)
