"""A server of Weights & Biases on this machine, for the tests that have one."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from urllib.error import URLError

import pytest

from tests.processes import free_port


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("server")
    port = free_port()
    line = [sys.executable, "-m", "openwandb", "serve", "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "log.txt").open("w") as log:
        process = subprocess.Popen(
            [*line, "--data-dir", str(folder / "data")],
            env=os.environ | {"HOME": str(folder)},
            stdout=log,
            stderr=log,
        )
    address, until = f"http://127.0.0.1:{port}", time.monotonic() + 60
    try:
        while not _answers(address):
            ended = process.poll() is not None or time.monotonic() > until
            assert not ended, (folder / "log.txt").read_text()
            time.sleep(0.2)
        yield address
    finally:
        process.terminate()
        process.wait()


def _answers(address: str) -> bool:
    try:
        urllib.request.urlopen(address).close()
    except URLError:
        return False
    return True
