"""An export goes to a hub and comes back; what goes wrong on the way is one line, and the folder stays whole."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import unquote, urlparse

import pytest
import torch
from typer.testing import CliRunner

import gan_zoo
from gan_zoo.cli.app import app
from gan_zoo.core.errors import ConfigError
from gan_zoo.inference.hub import parse_hub_url
from gan_zoo.launch.train import train

hub = pytest.importorskip("huggingface_hub")
QUICK = (
    "trainer.max_steps=2",
    "data.batch_size=8",
    "callbacks.progress=null",
    "callbacks.samples=null",
    "metric=none",
)
VECTORS = ("model=gan", "data=ring", "generator.width=8", "discriminator.width=8", *QUICK)
COMMIT = "1" * 40


class Hub(BaseHTTPRequestHandler):
    """As much of the hub as an upload and a download of small files ask for."""

    repos: dict[str, dict[str, bytes]]
    tokens: set[str]

    @property
    def parse_hub_url(self) -> str:
        return f"http://{self.headers['Host']}"

    def log_message(self, *args: Any) -> None:
        pass

    def reply(self, content: Any = None, status: int = 200, **headers: str) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        for name, value in {
            "Content-Length": str(len(body)),
            "X-Repo-Commit": COMMIT,
            **names,
        }.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_POST(self) -> None:
        body, path = (
            self.rfile.read(int(self.headers.get("Content-Length") or 0)),
            urlparse(self.path).path,
        )
        if self.headers.get("Authorization") not in {f"Bearer {token}" for token in self.tokens}:
            return self.reply({"error": "Invalid username or password."}, 401)
        if path == "/api/repos/create":
            asked = json.loads(body)
            name = f"{asked.get('organization') or 'ada'}/{asked['name']}"
            self.repos.setdefault(name, {})
            return self.reply({"url": f"{self.address}/{name}", "id": name, "name": name})
        if path == "/api/validate-yaml":
            return self.reply({"errors": [], "warnings": []})
        found = re.fullmatch(r"/api/models/(\w+/\w+)/(preupload|commit)/main", path)
        files = self.repos.get(found[1]) if found else None
        if files is None:
            return self.reply({"error": f"no {path}"}, 404)
        if found[2] == "preupload":
            plan = [
                {"path": f["path"], "uploadMode": "regular", "shouldIgnore": False}
                for f in json.loads(body)["files"]
            ]
            return self.reply({"files": plan})
        for line in map(json.loads, body.splitlines()):
            if line["key"] == "file":
                files[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
        return self.reply(
            {
                "success": True,
                "commitOid": COMMIT,
                "commitUrl": f"{self.address}/{found[1]}/commit/{COMMIT}",
            }
        )

    def do_GET(self) -> None:
        path = unquote(urlparse(self.path).path)
        if found := re.fullmatch(r"/api/models/(\w+/\w+)(/revision/main)?", path):
            return self.reply(
                {"id": found[1], "sha": COMMIT, "siblings": []},
                200 if found[1] in self.repos else 404,
            )
        if found := re.fullmatch(r"/api/models/(\w+/\w+)/tree/\w+", path):
            files = self.repos[found[1]].items()
            return self.reply(
                [{"type": "file", "path": p, "size": len(b), "oid": oid(b)} for p, b in files]
            )
        found = re.fullmatch(r"/(\w+/\w+)/resolve/\w+/(.+)", path)
        content = self.repos.get(found[1], {}).get(found[2]) if found else None
        if content is None:
            return self.reply({"error": f"no {path}"}, 404)
        return self.reply(content, ETag=f'"{oid(content)}"')

    do_HEAD = do_GET


def oid(content: bytes) -> str:
    return hashlib.sha1(content).hexdigest()


@pytest.fixture
def server(monkeypatch, tmp_path: Path) -> Iterator[type[Hub]]:
    """A hub on this machine, which knows the token that this process has."""
    handler = type("Handler", (Hub,), {"repos": {}, "tokens": {"secret"}})
    running = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = Thread(target=running.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("HF_TOKEN", "secret")
    use(monkeypatch, f"http://127.0.0.1:{running.server_port}", tmp_path)
    yield handler
    running.shutdown()
    running.server_close()
    thread.join()


def use(monkeypatch, endpoint: str, tmp_path: Path) -> None:
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(
        constants,
        "HUGGINGFACE_CO_URL_TEMPLATE",
        endpoint + "/{repo_id}/resolve/{revision}/{filename}",
    )
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))


def exported(tmp_path: Path, *options: str) -> Any:
    return CliRunner().invoke(
        app, ["export", str(tmp_path / "run"), str(tmp_path / "out"), *options]
    )


@pytest.mark.slow
def test_an_export_is_pushed_and_loaded_again(server: type[Hub], composed, tmp_path: Path) -> None:
    train(composed(*VECTORS))
    done = exported(tmp_path, "--push", "ada/ring")
    assert done.exit_code == 0, done.output
    assert done.stdout.splitlines()[-1].endswith("/ada/ring")
    local = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    assert server.repos == {"ada/ring": local}
    assert local["README.md"].startswith(b"---\nlibrary_name: gan-zoo\n")
    back = gan_zoo.load("hf://ada/ring")
    assert torch.equal(
        back.sample(4, seed=1), gan_zoo.load(str(tmp_path / "out")).sample(4, seed=1)
    )


def test_a_hub_that_says_no_or_nothing_leaves_the_export_whole(
    server: type[Hub], composed, tmp_path: Path, monkeypatch
) -> None:
    train(composed(*VECTORS))
    server.tokens.clear()
    done = exported(tmp_path, "--push", "ada/ring")
    assert done.exit_code == 1
    assert re.search(
        r"error: .*out is written but was not pushed to ada/ring: .*401.*: hf upload ada/ring",
        done.output,
    )
    assert gan_zoo.load(str(tmp_path / "out")).sample(2).shape == (2, 2)
    with pytest.raises(ConfigError, match=r"hf://ada/other cannot be fetched: "):
        gan_zoo.load("hf://ada/other")
    (tmp_path / "out").rename(tmp_path / "before")
    use(monkeypatch, "http://127.0.0.1:9", tmp_path)
    done = exported(tmp_path, "--push", "ada/ring")
    assert done.exit_code == 1
    assert "is written but was not pushed to ada/ring: " in done.output
    assert len(done.stderr.splitlines()) == 1
    assert (tmp_path / "out" / "model.json").is_file()


def test_what_cannot_be_pushed_is_said_before_anything_is_written(
    composed, tmp_path: Path, monkeypatch
) -> None:
    train(composed(*VECTORS))
    done = exported(tmp_path, "--push", "ring")
    assert (done.exit_code, done.output) == (1, "error: --push must be user/name, got 'ring'\n")
    monkeypatch.setattr(hub, "get_token", lambda: None)
    done = exported(tmp_path, "--push", "ada/ring")
    assert done.output == "error: --push needs a token of the hub: hf auth login, or set HF_TOKEN\n"
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    done = exported(tmp_path, "--push", "ada/ring")
    assert done.output == "error: this needs huggingface_hub: pip install 'gan-zoo[hub]'\n"
    assert not (tmp_path / "out").exists()


def test_addresses_of_the_hub(tmp_path: Path) -> None:
    assert parse_hub_url("hf://ada/ring") == "ada/ring"
    assert parse_hub_url(Path("hf://ada/ring")) == "ada/ring"
    assert parse_hub_url(tmp_path) is None
    assert parse_hub_url("outputs/hf") is None
    with pytest.raises(
        ConfigError, match="a model of the hub must be hf://user/name, got 'hf://ring'"
    ):
        parse_hub_url("hf://ring")
