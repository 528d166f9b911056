"""The web page: in a real browser, without anything from outside this machine."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.error import URLError

import pytest
import torch
from PIL import Image

from tests.processes import free_port

pytest.importorskip("gradio", reason="the extra `explore` is not installed")

ROOT = Path(__file__).parents[2]
CHROMIUM = next(
    (
        path
        for name in ("chromium", "chromium-browser", "google-chrome")
        if (path := shutil.which(name))
    ),
    "",
)
SPARE = (
    "callbacks.progress=null",
    "metric=none",
    "trainer=cpu",
    "trainer.max_steps=8",
    "data.batch_size=8",
)


def trained(folder: Path, *overrides: str) -> Path:
    line = [
        sys.executable,
        str(ROOT / "train.py"),
        *overrides,
        *SPARE,
        f"hydra.run.dir={folder / 'run'}",
    ]
    subprocess.run(line, cwd=folder, check=True, capture_output=True, timeout=240)
    return folder / "run"


@pytest.fixture
def page(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Any]:
    """A browser's page of a run; afterwards it must have asked nobody but the server, and complained of nothing."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM:
        pytest.skip("there is no Chromium on this machine")
    # Of several lists of overrides each is a run, all in one folder.
    if isinstance(request.param[0], str):
        run = trained(tmp_path, *request.param)
    else:
        run = tmp_path / "many"
        for number, overrides in enumerate(request.param):
            (run / str(number)).mkdir(parents=True)
            trained(run / str(number), *overrides)
    port = free_port()
    line = [
        sys.executable,
        "-m",
        "gan_zoo.cli.app",
        "explore",
        str(run),
        "--port",
        str(port),
        "--no-browser",
    ]
    server = subprocess.Popen(line, env=os.environ | {"PYTHONPATH": str(ROOT / "src")})
    address, until = f"http://127.0.0.1:{port}", time.monotonic() + 90
    while True:
        try:
            urllib.request.urlopen(address).close()
            break
        except URLError:
            assert server.poll() is None
            assert time.monotonic() < until
            time.sleep(0.2)
    asked, complaints = [], []
    try:
        with playwright.sync_playwright() as engine:
            browser = engine.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
            view = browser.new_page(viewport={"width": 1280, "height": 900})
            view.on("request", lambda request: asked.append(request.url))
            view.on("pageerror", lambda error: complaints.append(str(error)))
            view.goto(address)
            yield view
            browser.close()
    finally:
        server.terminate()
        server.wait()
    outside = [url for url in asked if not url.startswith((address, "data:", "blob:", "about:"))]
    assert outside == []
    assert complaints == []


def shown(view: Any, other_than: str = "") -> Image.Image:
    """The image that can be seen, once there is one ``other_than`` that."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        sources = [image.get_attribute("src") for image in view.locator("img:visible").all()]
        new = [
            source for source in sources if source and source != other_than and "/file=" in source
        ]
        if new:
            with urllib.request.urlopen(new[-1]) as answer:
                image = Image.open(io.BytesIO(answer.read())).convert("RGB")
            image.info["source"] = new[-1]
            return image
        view.wait_for_timeout(100)
    raise AssertionError("no image was shown")


DIGITS = ("data=digits", "generator.width=8", "discriminator.width=8")


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize("page", [(*DIGITS, "model=cgan")], indirect=True)
def test_samples_directions_and_walks_in_a_browser(page: Any) -> None:
    first = shown(page)
    assert max(first.size) >= 448
    page.get_by_label("Seed").first.fill("7")
    page.get_by_role("button", name="Draw").click()
    second = shown(page, first.info["source"])
    assert second.tobytes() != first.tobytes()

    page.get_by_role("tab", name="Directions").click()
    before = shown(page)
    slider = page.get_by_label("number input for Direction 1").first
    slider.fill("3")
    slider.press("Enter")
    slider.blur()
    assert shown(page, before.info["source"]).tobytes() != before.tobytes()

    page.get_by_role("tab", name="Between two").click()
    shown(page)
    page.get_by_role("button", name="The complete path, as GIF").click()
    page.locator("img[src$='.gif']").wait_for()

    page.get_by_role("tab", name="Run", exact=True).click()
    report = page.frame_locator("iframe[title=report]")
    report.get_by_text("python train.py data=digits").wait_for()


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    "page", [[(*DIGITS, "loss=hinge", "seed=1"), (*DIGITS, "loss=lsgan", "seed=2")]], indirect=True
)
def test_two_models_are_side_by_side_in_a_browser(page: Any) -> None:
    page.wait_for_function("document.querySelectorAll('img[src*=\"/file=\"]').length == 2")
    left, right = (page.locator("img:visible").nth(k).get_attribute("src") for k in (0, 1))
    page.get_by_label("Model B").click()
    page.get_by_role("option", name="0: loss=hinge seed=1").click()
    both = (
        "new Set([...document.querySelectorAll('img[src*=\"/file=\"]')].map(i => i.src)).size == 1"
    )
    page.wait_for_function(both)
    assert left != right, "one model under one latent gives one image"
    page.get_by_role("tab", name="All runs").click()
    page.frame_locator("iframe[title=comparison]").get_by_text("2 runs").wait_for()


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    "page", [("model=cyclegan", "generator.blocks=1", "generator.width=8")], indirect=True
)
def test_a_image_is_uploaded_and_translated_in_a_browser(page: Any, tmp_path: Path) -> None:
    Image.new("L", (90, 70), 200).save(tmp_path / "mine.png")
    page.get_by_role("button", name="Translate").click()
    page.get_by_text("choose an image first").wait_for()
    page.locator("input[type=file]").first.set_input_files(tmp_path / "mine.png")
    mine = shown(page)
    page.get_by_role("button", name="Translate").click()
    page.wait_for_function("document.querySelectorAll('img[src*=\"/file=\"]').length > 1")
    translated = shown(page, mine.info["source"])
    assert translated.size[0] / translated.size[1] == pytest.approx(90 / 70, rel=0.05)


def test_directions_move_a_linear_generator_most(tmp_path: Path) -> None:
    from gan_zoo.config.build import build_module
    from gan_zoo.config.compose import compose_overrides, to_dict
    from gan_zoo.inference.directions import principal_directions
    from gan_zoo.inference.model import LoadedModel

    config = compose_overrides(["model=gan", "data=digits", "run_dir=x", "ema=null", "trainer=cpu"])
    module = build_module(config)
    strengths = torch.linspace(3, 0.1, module.model.latent_dim)
    rotation = torch.linalg.qr(
        torch.randn(len(strengths), len(strengths), generator=torch.manual_seed(0))
    )[0]

    class Linear(torch.nn.Module):
        def forward(self, latents: torch.Tensor) -> torch.Tensor:
            wide = torch.nn.functional.pad(
                (latents @ rotation.T) * strengths, (0, 1024 - len(strengths))
            )
            return wide.unflatten(1, (1, 32, 32))

    module.model.generators["main"] = Linear()
    run = LoadedModel(tmp_path, tmp_path, to_dict(config), module)
    directions = principal_directions(run, count=4, samples=128, probes=64)
    torch.testing.assert_close(directions @ directions.T, torch.eye(4), atol=1e-5, rtol=0)
    # v -> |diag(s) R v| is largest along the rows of R with the largest s; 8,192 random rays find their span.
    inside = (directions @ rotation.T)[:, :12].norm(dim=1)
    assert float(inside.min()) > 0.95


@pytest.mark.slow
@pytest.mark.timeout(400)
@pytest.mark.parametrize(
    "page",
    [("data=tones", "data.length=1024", "generator.width=2", "discriminator.width=2")],
    indirect=True,
)
def test_sounds_are_played_in_a_browser(page: Any) -> None:
    page.get_by_role("tab", name="Sounds").wait_for()
    page.get_by_text("Sample 5").first.wait_for()
    page.get_by_role("button", name="Draw").click()
    page.wait_for_timeout(3000)
