"""The process with the pretended GPU."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.pretended_gpu.training import Worker


@pytest.fixture(scope="package")
def worker(own_cache: None) -> Iterator[Worker]:
    """Trains on the pretended GPU."""
    worker = Worker()
    yield worker
    worker.close()
