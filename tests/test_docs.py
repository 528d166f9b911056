"""The documentation: examples are run, commands composed, links followed; what is generated or copied is up to date."""

from __future__ import annotations

import os
import re
import shlex
import tomllib
from functools import partial
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

import pytest
import typer

import gan_zoo as gz
from gan_zoo.callbacks.diagnostics import Doctor
from gan_zoo.cli.app import app
from gan_zoo.config.messages import choices
from gan_zoo.core.paths import CONF
from gan_zoo.diagnostics.failure_modes import FAILURE_MODES
from tests import processes

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
EXAMPLE = re.compile(r"<!-- example: (.+?) -->\n```\w*\n(.+?)```", flags=re.DOTALL)
SECTIONS = {
    title: dict(EXAMPLE.findall(text))
    for title, text in re.findall(
        r"^## (.+?)\n(.+?)(?=^## |\Z)", (DOCS / "adding.md").read_text(), re.DOTALL | re.M
    )
}
LOGGED = {  # what the run of a section logs that no other would
    "A loss": "d/realism/gap",
    "A network": "g/realism",
    "A model": "g/second",
    "A regularizer": "d/realism/drift",
    "A regularizer of the generator": "g/smooth",
    "A model with an encoder": "g/joint",
    "A discriminator with several outputs": "d/realism",
    "A dataset": "g/realism",
    "A metric": "val/nearest_real",
}
QUICK = ["trainer=cpu", "trainer.max_steps=5", "trainer.log_every_n_steps=5", "data.batch_size=16"]
QUICK += ["hydra.run.dir=run"]
SCORED = ["callbacks.samples=null", "callbacks.checkpoints=null", "callbacks.progress=null"]
SCORED += ["callbacks.evaluation.num_samples=32"]


def test_there_is_an_example_of_everything() -> None:
    assert set(SECTIONS) == set(LOGGED)


EVERY_TIME = "A model"  # the README's loss is run by tests/test_readme.py


@pytest.mark.parametrize(
    "section",
    [
        EVERY_TIME,
        *(pytest.param(part, marks=pytest.mark.slow) for part in LOGGED if part != EVERY_TIME),
    ],
)
def test_a_part_is_one_file_and_one_yaml(section: str, tmp_path: Path) -> None:
    files = dict(SECTIONS[section])
    program, train, *arguments = shlex.split(files.pop("command"))
    assert (program, train) == ("gan-zoo", "train")
    assert sorted(Path(name).suffix for name in files) == [".py", ".yaml"]
    for name, content in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    quick = [*QUICK, *(SCORED if section == "A metric" else ["callbacks=none"])]
    done = processes.gan_zoo("train", *arguments, *quick, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    (target,) = re.findall(
        r"_target_: (\S+)", next(text for name, text in files.items() if name.endswith(".yaml"))
    )
    assert f"_target_: {target}" in (tmp_path / "run" / ".hydra" / "config.yaml").read_text()
    assert LOGGED[section] in (tmp_path / "run" / "metrics.csv").read_text()


COMMANDS = sorted(
    {
        line.split("  #")[0].strip()
        for page in DOCS.glob("*.md")
        for line in re.findall(r"python train\.py ((?:-m )?[^`\n]*=[^`\n]*)", page.read_text())
        if "=..." not in line
    }
)


def first_of(word: str) -> str:
    """The first value of a sweep, the word itself where its commas are a list's."""
    return word if "[" in word or "{" in word else word.split(",")[0]


def test_commands_of_the_pages_compose(composed) -> None:
    assert len(COMMANDS) > 30
    settings = set()
    for line in COMMANDS:
        words = [word for word in shlex.split(os.path.expandvars(line)) if "=" in word]
        own = [word for word in words if not word.startswith(("resume=", "hydra.", "launcher="))]
        settings.add(frozenset(map(first_of, own)))

    # What is part of a longer command is composed with it.
    longest = [words for words in settings if not any(words < other for other in settings)]
    for words in sorted(map(sorted, longest)):
        composed(*words)


OTHERS = sorted(
    {
        line.split("  #")[0].strip()
        for page in DOCS.glob("*.md")
        for line in re.findall(
            r"^    (gan-zoo (?!train).*)$", page.read_text(encoding="utf-8"), flags=re.MULTILINE
        )
        if "[OPTIONS]" not in line
    }
)


@pytest.mark.parametrize("line", OTHERS)
def test_other_commands_of_the_pages_are_understood(line: str, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    for folder in ("RUN", "IN", "A", "B", "multirun/study"):
        (tmp_path / folder).mkdir(parents=True)
    _, name, *arguments = shlex.split(line)
    with typer.main.get_command(app).commands[name].make_context(name, arguments):
        pass


def generator_of_pages() -> ModuleType:
    """docs/generate.py as a module."""
    spec = spec_from_file_location("generate", DOCS / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("page", ["configuration", "cli", "callbacks", "api", "recipes", "results"])
def test_generated_pages_are_up_to_date(page: str) -> None:
    text = (DOCS / f"{page}.md").read_text(encoding="utf-8")
    assert "<!-- generated: " in text
    assert generator_of_pages().filled(text) == text, "python docs/generate.py writes it"


# Pages whose decimal numbers are formulas, versions or settings.
NOT_MEASURED = {"library", "losses", "models", "quickstart", "troubleshooting"}
MEASURED = "\n".join(
    file.read_text(encoding="utf-8")
    for pattern in ("benchmarks/results/*.md", "experiments/*/README.md")
    for file in ROOT.glob(pattern)
)
NUMBER = re.compile(r"(?<![\w.])\d[\d,]*\.\d+(?![\d.])")
NOT_PROSE = re.compile(
    r"<!-- generated.*?<!-- end -->|```.*?```|^    .*?$|`[^`\n]*`|(?<=\])\([^)]*\)",
    flags=re.DOTALL | re.MULTILINE,
)


@pytest.mark.parametrize("page", sorted({file.stem for file in DOCS.glob("*.md")} - NOT_MEASURED))
def test_figures_are_those_of_an_experiment_or_a_benchmark(page: str) -> None:
    prose = NOT_PROSE.sub("", (DOCS / f"{page}.md").read_text(encoding="utf-8"))
    assert sorted(set(NUMBER.findall(prose)) - set(NUMBER.findall(MEASURED))) == []


GROUPS = sorted(
    {str(file.parent.relative_to(CONF)) for file in CONF.glob("*/**/[!_]*.yaml")}
    - {"hydra/launcher"}
)


@pytest.mark.parametrize("group", GROUPS)
def test_every_choice_is_on_the_page_of_the_configuration(group: str) -> None:
    (section,) = re.findall(
        rf"^### {group}\n(.+?)(?=^##|<!-- end)", CONFIGURATION, flags=re.MULTILINE | re.DOTALL
    )
    assert set(choices(group, CONF)) <= set(re.findall(r"^\| `(\w+)`", section, flags=re.MULTILINE))


CONFIGURATION = (DOCS / "configuration.md").read_text(encoding="utf-8")
ARCHITECTURE = (DOCS / "design.md").read_text(encoding="utf-8")
CONTRACTS = {
    contract["id"]: contract
    for contract in tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
        "contracts"
    ]
}
LAYERS = [[name.strip() for name in layer.split("|")] for layer in CONTRACTS["layers"]["layers"]]


def names_in(text: str) -> list[str]:
    return re.findall(r"`(\w+)`", text)


def test_the_layers_of_the_page_are_the_contract() -> None:
    table = ARCHITECTURE.split("| packages | contain |")[1].split("\n\n")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    assert [sorted(names_in(row)) for row in rows] == [sorted(layer) for layer in LAYERS]


@pytest.mark.parametrize("contract", ["hydra", "lightning"])
def test_the_other_contracts_of_the_page_are_those_of_the_linter(contract: str) -> None:
    (line,) = re.findall(
        rf"^- `{contract}`: (.+?) (?:may|do not) import",
        ARCHITECTURE,
        flags=re.MULTILINE | re.DOTALL,
    )
    forbidden = {
        module.removeprefix("gan_zoo.") for module in CONTRACTS[contract]["source_modules"]
    }
    packages = {name for layer in LAYERS for name in layer}
    assert set(names_in(line)) == (packages - forbidden if contract == "hydra" else forbidden)


def test_files_named_by_the_page_are_there() -> None:
    package = Path(gz.__file__).parent
    paths = set(re.findall(r"`([a-z_]+/[\w/*]+\.py)`", ARCHITECTURE)) - {"tests/test_docs.py"}
    assert len(paths) > 40
    assert not [path for path in paths if not list(package.glob(path))]


PAGES = [*DOCS.glob("*.md"), *ROOT.glob("*.md"), *ROOT.glob("experiments/*/README.md")]


def without_code(text: str) -> str:
    return re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL)


def anchors_of(page: Path) -> set[str]:
    """The anchors of a page's headings, as the site makes them."""
    text = without_code(page.read_text(encoding="utf-8"))
    headings = (
        re.sub(r"[^\w\- ]", "", line.lower())
        for line in re.findall(r"^#+ (.+)$", text, flags=re.MULTILINE)
    )
    return {re.sub(r"[\s-]+", "-", heading.strip()) for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    text = without_code(page.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\((?!\w+:)([^)\s]+)\)", text):
        file, _, anchor = target.partition("#")
        found = (page.parent / file).resolve() if file else page
        assert found.exists(), target
        if anchor and found.suffix == ".md" and not anchor.startswith("gan_zoo."):
            assert anchor in anchors_of(found), target


def test_the_page_of_failures_has_every_finding() -> None:
    page = (DOCS / "troubleshooting.md").read_text(encoding="utf-8")
    assert [ailment.name for ailment in FAILURE_MODES if f"| `{ailment.name}` |" not in page] == []


LOG_KEYS = (
    (DOCS / "callbacks.md").read_text(encoding="utf-8").split("## Log keys")[1].split("\n## ")[0]
)
STANDS_FOR = {
    "TERM": "(realism|match|wrong)",
    "REGULARIZER": "r1",
    "VALUE": "([a-z_]+|(real|fake)_p(05|50|95))",
    "NAME": "class",
    "METRIC": ".+",
}


def test_every_log_key_is_on_its_page() -> None:
    cells = [row.split("|")[1] for row in LOG_KEYS.splitlines() if row.startswith("| `")]
    keys = [key for cell in cells for key in re.findall(r"`([^`]+)`", cell)]
    patterns = [re.sub("|".join(STANDS_FOR), lambda word: STANDS_FOR[word[0]], key) for key in keys]
    history, shape = gz.History(), [1, 8, 8]
    model = gz.CGAN(
        partial(gz.DCGANGenerator, sample_shape=shape, width=8),
        partial(gz.DCGANDiscriminator, sample_shape=shape, width=8, norm="none"),
        condition=partial(gz.ClassCondition, 10),
        latent_dim=4,
    )
    module = gz.GANModule(model, gz.NonSaturating(), {"r1": gz.R1()})
    checks = Doctor(every_images=16, count=32)
    data = gz.DataModule(gz.digits(), batch_size=16)
    gz.fit(module, data, 2, logger=history, log_every_n_steps=1, progress=False, callbacks=[checks])
    logged = [name for name in history.names() if "/" in name]
    assert {"d/match", "d/match/r1", "d/match/total", "doctor/match/spread"} <= set(logged)
    assert not [
        name for name in logged if not any(re.fullmatch(pattern, name) for pattern in patterns)
    ]


def test_every_page_is_in_the_contents() -> None:
    contents = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    assert not [page.name for page in DOCS.glob("*.md") if f": {page.name}" not in contents]
