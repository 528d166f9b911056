"""Every model on two processes."""

from __future__ import annotations

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gan_zoo.config.messages import choices
from gan_zoo.core.paths import CONF
from tests import processes
from tests.training.two_processes import MODELS

pytestmark = pytest.mark.timeout(900)  # the first test waits for all models

ROOT = Path(__file__).parents[2]
# Their collective operations are those of the models that are not listed here.
SLOW = (
    *("acgan", "adcgan", "bicyclegan", "biggan", "biggan_deep", "cgan_single", "cluster_gan"),
    *("cogan", "colorization", "context_encoder", "contragan", "cut", "discogan", "dualgan"),
    *("esrgan", "fastcut", "feature_matching", "gat", "gat_conditional", "infomax_gan", "logan"),
    *("mhgan", "munit", "pix2pix", "pix2pixhd", "r3gan", "reacgan", "sagan", "sgan", "sngan"),
    *("sngan_projection", "spade", "srgan", "ssgan", "stargan", "stargan_v2", "tacgan", "tvae"),
    *("hifigan", "specgan", "unit", "vae", "vae_gan", "veegan", "wavegan"),
)


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory, request) -> list[dict[str, str]]:
    """What each of two processes says of each selected model: nothing, or what went wrong."""
    own = [item for item in request.session.items if item.path == request.path]
    models = [item.callspec.params["model"] for item in own if hasattr(item, "callspec")]
    folder = tmp_path_factory.mktemp("two")
    port = processes.free_port()
    shared = {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": "2",
        "OMP_NUM_THREADS": "1",
    }

    def rank(number: int) -> subprocess.CompletedProcess[str]:
        place = {"RANK": str(number), "LOCAL_RANK": str(number), "NODE_RANK": "0"}
        name = "tests.training.two_processes"
        return processes.module(
            name, str(folder), *models, cwd=ROOT, timeout=800, **shared, **place
        )

    with ThreadPoolExecutor(2) as pool:
        said = [done.stderr for done in pool.map(rank, range(2))]
    files = sorted(folder.glob("*.json"))
    assert len(files) == 2, "\n".join(said)
    return [json.loads(file.read_text(encoding="utf-8")) for file in files]


def test_every_model_is_there() -> None:
    assert set(MODELS) == set(choices("model", CONF))


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(model, marks=pytest.mark.slow if model in SLOW else ())
        for model in sorted(MODELS)
    ],
)
def test_two_steps_and_an_evaluation_on_two_processes(model: str, outcomes) -> None:
    assert [outcome.get(model, "not reached") for outcome in outcomes] == ["", ""]
