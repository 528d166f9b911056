"""The README's example of a loss is run as it stands there, and its table of choices is what there is."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from gan_zoo.config.messages import choices
from gan_zoo.core.paths import CONF

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
EXAMPLES = dict(re.findall(r"<!-- example: (.+?) -->\n```\w*\n(.+?)```", README, flags=re.DOTALL))


def test_a_loss_is_one_file_and_one_yaml(tmp_path: Path) -> None:
    (command,) = [line for line in EXAMPLES.pop("command").splitlines() if line]
    assert set(EXAMPLES) == {"cubic.py", "conf/loss/cubic.yaml"}
    for name, content in EXAMPLES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    program, train, *arguments = shlex.split(command)
    assert (program, train) == ("gan-zoo", "train")
    quick = [
        "trainer.max_steps=20",
        "trainer.log_every_n_steps=10",
        "callbacks.evaluation.num_samples=100",
        "trainer=cpu",
    ]
    line = [sys.executable, "-m", "gan_zoo.cli.app", "train", *arguments, *quick]
    done = subprocess.run(line, cwd=tmp_path, env=os.environ.copy(), capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    (run,) = (tmp_path / "outputs").glob("gan-cubic-ring/*")
    assert "margin: 0.5" in (run / ".hydra" / "config.yaml").read_text()
    assert (run / "metrics.json").is_file()


GROUPS = ["model", "generator", "discriminator", "loss", "regularizer", "augment", "optim", "data", "metric"]
GROUPS += ["trainer", "logger", "callbacks", "debug", "launcher"]


@pytest.mark.parametrize("group", GROUPS)
def test_the_table_of_choices_is_complete(group: str) -> None:
    (row,) = [line for line in README.splitlines() if line.startswith(f"| `{group}` |")]
    assert set(choices(group, CONF)) <= set(re.findall(r"`([\w]+)`", row))
