"""What a server of one's own lacks: sweeps, with two real ``wandb agent``, and alerts.

`Controller` answers for the server where agents ask for work, takes note of alerts, and passes
everything else on.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

import pytest
import yaml

from gan_zoo.runs.folder import RunFolder
from tests.loggers.wandb_client import QUICK, ROOT, get, run, runs, settings

pytest.importorskip(
    "openwandb", reason="openwandb, a server that the wandb client talks to, is not installed"
)
pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SWEEP = yaml.safe_load((ROOT / "experiments" / "sweeps" / "wandb.yaml").read_text("utf-8"))
TRIALS: dict[str, dict[str, Any]] = {
    "first": {"loss": "nonsaturating", "optim.generator.lr": 1e-4},
    "fails": {"loss": "nonsaturating", "optim.generator.lr": 1e30},
    "stopped": {"loss": "hinge", "trainer.max_steps": 1_000_000},
    "last": {"loss": "rpgan", "optim.generator.lr": 3e-4},
}


class Controller:
    """What a server does for a sweep: it hands out trials, and stops one of them.

    Attributes:
        server: where all else goes.
        given: the trials that each agent got.
        alerts: titles of alerts that have come.
    """

    def __init__(self, server: str, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.given: dict[str, list[str]] = {}
        self.alerts: list[str] = []
        self.waiting = list(TRIALS)
        self.lock = threading.Lock()

    def answer(self, query: str, variables: dict[str, Any]) -> dict[str, Any] | None:
        """The answer to a question about sweeps; None for all others."""
        with self.lock:
            if "notifyScriptableRunAlert" in query:
                self.alerts.append(variables["title"])
            if "createAgent" in query:
                name = f"agent-{len(self.given)}"
                self.given[name] = []
                return {"createAgent": {"agent": {"id": name}}}
            if "agentHeartbeat" in query:
                commands = self.commands(variables["id"], json.loads(variables["runState"]))
                return {
                    "agentHeartbeat": {
                        "agent": {"id": variables["id"]},
                        "commands": json.dumps(commands),
                    }
                }
            if "SweepWithRuns" in query:
                sweep = {"id": "s", "name": "s", "config": yaml.safe_dump(SWEEP)}
                return {"project": {"sweep": sweep | {"runs": {"edges": []}}}}
        return None

    def commands(self, agent: str, state: dict[str, bool]) -> list[dict[str, Any]]:
        """What an agent is to do next: a trial, the end of one, or of itself."""
        # The long one is stopped while it trains, as early termination does.
        if "stopped" in state:
            trains = (self.folder / "stopped" / "metrics.csv").is_file()
            return [{"type": "stop", "run_id": "stopped"}] if trains else []
        if state:
            return []
        if not self.waiting:
            return [{"type": "exit"}]
        if len(self.given) < 2 and self.given[agent]:  # the other agent has not begun
            return []

        # A trial is the command of the sweep with these values.
        name = self.waiting.pop(0)
        self.given[agent].append(name)
        values = {key: {"value": value} for key, value in TRIALS[name].items()}
        own = {"hydra.run.dir": {"value": str(self.folder / name)}}
        return [{"type": "run", "run_id": name, "program": "train.py", "args": values | own}]


class Forward(BaseHTTPRequestHandler):
    """Asks the controller, else the server."""

    controller: Controller
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path == "/graphql":
            asked = json.loads(body)
            answer = self.controller.answer(asked["query"], asked.get("variables") or {})
            if answer is not None:
                self.reply(200, json.dumps({"data": answer}).encode())
                return
        self.forward(body)

    def do_GET(self) -> None:
        self.forward(None)

    def do_PUT(self) -> None:
        self.forward(self.rfile.read(int(self.headers.get("Content-Length", 0))))

    def forward(self, body: bytes | None) -> None:
        headers = {
            key: value
            for key, value in self.headers.items()
            if key.lower() not in ("host", "content-length", "accept-encoding", "connection")
        }
        address = self.controller.server + self.path
        request = urllib.request.Request(address, body, headers, method=self.command)
        try:
            with urllib.request.urlopen(request) as answer:
                self.reply(answer.status, answer.read())
        except HTTPError as error:
            self.reply(error.code, error.read())

    def reply(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def handle(self) -> None:
        """Clients that leave while an answer is sent are no error."""
        with suppress(ConnectionError):
            super().handle()

    def log_message(self, *arguments: Any) -> None:
        """Quiet."""


@pytest.fixture
def controller(server: str, tmp_path: Path) -> Iterator[tuple[Controller, str]]:
    made = Controller(server, tmp_path)
    handler = type("Handler", (Forward,), {"controller": made})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as between:
        thread = threading.Thread(target=between.serve_forever)
        thread.start()
        try:
            yield made, f"http://127.0.0.1:{between.server_address[1]}"
        finally:
            between.shutdown()
            thread.join()


def test_two_agents_share_a_sweep(controller: tuple[Controller, str], tmp_path: Path) -> None:
    sweep, address = controller
    for name in ("train.py", "src"):
        (tmp_path / name).symlink_to(ROOT / name)
    quick = {
        word.split("=")[0]: word.split("=")[1] for word in QUICK if not word.startswith("logger")
    }
    for values in TRIALS.values():
        values.update({key: value for key, value in quick.items() if key not in values})
    line = [sys.executable, "-m", "wandb", "agent", "default/gan_zoo/s"]
    path = f"{Path(sys.executable).parent}:/usr/bin:/bin"
    agents = [
        subprocess.Popen(
            line,
            cwd=tmp_path,
            env=settings(address, PATH=path),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        for _ in range(2)
    ]
    try:
        printed = [agent.communicate(timeout=250)[0] for agent in agents]
    finally:
        for agent in agents:  # with the trainings that they started
            with suppress(ProcessLookupError):
                os.killpg(agent.pid, signal.SIGKILL)
    assert [agent.returncode for agent in agents] == [0, 0], printed

    # Both had work, and nothing was done twice.
    assert sorted(name for names in sweep.given.values() for name in names) == sorted(TRIALS)
    assert all(sweep.given.values()), printed

    # Finished trials are whole runs, the stopped one can be resumed, the other has failed.
    assert RunFolder(tmp_path / "first").metrics()
    assert RunFolder(tmp_path / "last").metrics()
    assert not RunFolder(tmp_path / "fails").metrics()
    assert list((tmp_path / "stopped" / "checkpoints").glob("*.ckpt"))

    # The server knows each run by the name that the sweep gave it, with its values.
    there = {each["run_id"]: each for each in runs(sweep.server, "gan_zoo")}
    assert set(there) == set(TRIALS)
    assert there["first"]["config"]["optim"]["value"]["generator"]["lr"] == 1e-4
    evaluated = {
        name: "val/fd_efficientnet_lite0"
        in get(sweep.server, f"api/v2/runs/{name}/metrics")["metrics_by_key"]
        for name in TRIALS
    }
    assert evaluated == {"first": True, "fails": False, "stopped": False, "last": True}


FINDING = """
from gan_zoo.loggers.wandb import alert, wandb_logger
logger = wandb_logger("found", "alerts")
alert(logger, [(1000, "mode collapse", "try loss=rpgan")])
logger.experiment.finish()
"""


def test_a_finding_reaches_the_server(controller: tuple[Controller, str], tmp_path: Path) -> None:
    between, address = controller
    (tmp_path / "found").mkdir()
    run(address, tmp_path, "-c", FINDING)
    assert between.alerts == ["mode collapse"]
    (there,) = runs(between.server, "alerts")
    assert there["tags"] == ["mode collapse"]
