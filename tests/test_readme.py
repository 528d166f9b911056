"""The README: its example is run as it stands, its commands compose or parse, its figures are measured, it is short."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest
import typer

from gan_zoo.cli.app import app
from gan_zoo.config.messages import choices
from gan_zoo.core.paths import CONF
from tests import processes

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
EXAMPLES = dict(re.findall(r"<!-- example: (.+?) -->\n```\w*\n(.+?)```", README, flags=re.DOTALL))
PROSE = re.sub(r"```.+?```", "", README, flags=re.DOTALL)
COMMANDS = [
    line.split("  #")[0].strip() for line in re.findall(r"^    (\S.*)$", PROSE, flags=re.MULTILINE)
]
TRAIN = [line for line in COMMANDS if line.startswith("python train.py")]
OTHER = [line for line in COMMANDS if line.startswith("gan-zoo ")]
SOURCES = {
    "25 Gaussians": "experiments/mixtures/README.md",
    "Stacked MNIST": "experiments/stacked_mnist/README.md",
    "Images/s": "benchmarks/results/train-speed-intel-r-xeon-r-processor-2-cores.md",
}


def test_a_loss_is_one_file_and_one_yaml(tmp_path: Path) -> None:
    (command,) = [line for line in EXAMPLES.pop("command").splitlines() if line]
    assert set(EXAMPLES) == {"margin.py", "conf/loss/margin.yaml"}
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
    done = processes.gan_zoo("train", *arguments, *quick, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (run,) = (tmp_path / "outputs").glob("gan-margin-ring/*")
    assert "margin: 0.5" in (run / ".hydra" / "config.yaml").read_text()
    assert (run / "metrics.json").is_file()


def test_every_command_is_checked_below() -> None:
    assert len(TRAIN) >= 5
    assert len(OTHER) >= 2
    assert [line for line in COMMANDS if line not in (*TRAIN, *OTHER)] == [
        "make install && source .venv/bin/activate"
    ]
    assert re.search(r"^install:", (ROOT / "Makefile").read_text(), flags=re.MULTILINE)


@pytest.mark.parametrize("line", TRAIN)
def test_commands_that_train_compose(line: str, composed) -> None:
    words = [word for word in shlex.split(line) if "=" in word]
    composed(*[word.split(",")[0] for word in words])


@pytest.mark.parametrize("line", OTHER)
def test_other_commands_are_understood(line: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("RUN", "multirun"):
        (tmp_path / folder).mkdir()
    _, name, *arguments = shlex.split(line)
    command = typer.main.get_command(app).commands[name]
    with command.make_context(name, arguments):
        pass


@pytest.mark.parametrize("title", SOURCES)
def test_figures_are_those_of_the_study(title: str) -> None:
    (table,) = re.findall(
        rf"^\| \[{re.escape(title)}\].+?\n\n", README, flags=re.MULTILINE | re.DOTALL
    )
    assert SOURCES[title] in table or "docs/speed.md" in table
    cells = {cell.strip() for row in table.splitlines()[2:] for cell in row.split("|")[2:-1]} - {""}
    source = (ROOT / SOURCES[title]).read_text(encoding="utf-8")
    assert cells
    assert not [
        cell for cell in cells if not re.search(rf"(?<![\d.,]){re.escape(cell)}(?![\d.])", source)
    ]


def test_extras_and_pythons_are_those_of_the_package() -> None:
    project = (ROOT / "pyproject.toml").read_text()
    (extras,) = re.findall(r"pip install '\.\[(.+?)\]'", README)
    assert all(
        re.search(rf"^{extra} = \[", project, flags=re.MULTILINE) for extra in extras.split(",")
    )
    assert 'requires-python = ">=3.11,<3.14"' in project
    assert "Python 3.11 to 3.13" in README


def test_the_citation_is_that_of_the_file() -> None:
    cited = (ROOT / "CITATION.cff").read_text()
    for key, pattern in {
        "name": r"author = \{\{(.+?)\}\}",
        "version": r"version = \{(.+?)\}",
    }.items():
        assert f"{key}: {re.findall(pattern, README)[0]}" in cited
    assert re.findall(r"title = \{(.+?)\}", README)[0] in cited


def test_links_lead_to_files_of_the_repository() -> None:
    targets = [target.split("#")[0] for target in re.findall(r"\]\((?!https?:)([^)]+)\)", README)]
    assert "../" not in README
    assert not [target for target in targets if not (ROOT / target).exists()]


def test_numbers_of_models_and_losses() -> None:
    models, losses = (len(choices(group, CONF)) for group in ("model", "loss"))
    for page in ("README.md", "docs/index.md"):
        text = (ROOT / page).read_text(encoding="utf-8")
        assert f"trains {models} GAN models with {losses} losses" in text
    recipes = len(set(choices("experiment", CONF)) - {"null"})
    assert f"# {recipes} papers' settings" in README


def test_it_is_short() -> None:
    assert len(README.splitlines()) <= 130
    assert len(README.split()) <= 800
