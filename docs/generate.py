"""Writes the generated parts of the pages, between ``<!-- generated: ... -->`` and ``<!-- end -->``: `main`."""

from __future__ import annotations

import re
import statistics
from pathlib import Path
from typing import Any

import typer

import gan_zoo
from gan_zoo.cli.app import app
from gan_zoo.cli.recipes import RESULTS
from gan_zoo.config import help as help_of
from gan_zoo.config.recipes import find_recipe
from gan_zoo.config.recipes import recipes as all_recipes
from gan_zoo.core.paths import CONF
from gan_zoo.launch.reproduce import means, read_rows

DOCS = Path(__file__).parent
BLOCK = re.compile(r"(<!-- generated: (\w+) -->\n).*?(<!-- end -->)", flags=re.DOTALL)
GROUPS = {
    "model": "What is trained: networks, adversarial terms and further terms. [Models](models.md)",
    "generator": "The generator network.",
    "discriminator": "The discriminator network.",
    "encoder": "The encoder of models that have one: `vae`, `vae_gan`, `bigan`, `tvae`.",
    "condition": "How `cgan` and `cgan_single` encode conditions. [Conditions](models.md#conditions)",
    "loss": "The adversarial loss. [Losses](losses.md)",
    "regularizer": "Penalties and projections of the discriminator; several at once. "
    "[Regularizers](losses.md#regularizers)",
    "augment": "What is done to the discriminator's input. [Augmentation](losses.md#augmentation)",
    "reconstruction": "Reconstruction losses, for models that have one. "
    "[Reconstruction](losses.md#reconstruction-and-classification)",
    "classification": "Classification losses, for models that have one. "
    "[Classification](losses.md#reconstruction-and-classification)",
    "optim": "Optimizers of the generator and the discriminator.",
    "optim/schedule": "The learning-rate schedule.",
    "data": "The dataset. [Datasets](datasets.md)",
    "data/derive": "Conditions made from the images of the dataset. [Datasets](datasets.md)",
    "metric": "What is evaluated; several at once. [Metrics](scores.md)",
    "extractor": "The features that metrics are computed on. [Features](scores.md#features)",
    "trainer": "Device, precision, number of processes. [Distributed training](machines.md)",
    "callbacks": "What happens around training. [Callbacks and logging](callbacks.md)",
    "logger": "Where values are logged. [Callbacks and logging](callbacks.md#loggers)",
    "launcher": "Where the jobs of a multirun run. [Distributed training](machines.md)",
    "debug": "Settings for debugging.",
    "experiment": "Complete recipes.",
}


def escaped(text: str) -> str:
    """Text for a cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")


def config_groups() -> str:
    """A section for each config group: its choices, with the first comment of each file."""
    default = help_of.defaults(CONF)
    sections = []
    for group in help_of.groups([CONF]):
        name = help_of.PACKAGE_SUFFIX.get(group, group)
        rows = [f"### {group}", "", GROUPS[group], "", f"| `{name}=` | |", "| --- | --- |"]
        for file in sorted((CONF / group).glob("[!_]*.yaml")):
            mark = " (default)" if f"{group}={file.stem}" in default else ""
            rows.append(f"| `{file.stem}`{mark} | {escaped(help_of.summary(file))} |")
        sections.append("\n".join(rows))
    return "\n\n".join(sections)


def root_config() -> str:
    """The root config without its defaults list, as it stands in the file."""
    text = (CONF / "config.yaml").read_text(encoding="utf-8")
    return f"```yaml\n{text[text.index('seed:') :].strip()}\n```"


def callbacks() -> str:
    """The default callbacks, as they stand in the file."""
    return (
        f"```yaml\n{(CONF / 'callbacks' / 'default.yaml').read_text(encoding='utf-8').strip()}\n```"
    )


def commands() -> str:
    """A section for each command: what it does, its arguments and options."""
    group: Any = typer.main.get_command(app)
    return "\n\n".join(command(name, group.commands[name]) for name in sorted(group.commands))


def command(name: str, made: Any) -> str:
    """One command."""
    parameters = [p for p in made.params if not getattr(p, "hidden", False) and p.name != "help"]
    words = [spelled(p) for p in parameters if p.param_type_name == "argument"]
    usage = [name, *words, "[GROUP=CHOICE ...] [KEY=VALUE ...]" if name == "train" else "[OPTIONS]"]
    lines = [f"### {name}", "", f"    gan-zoo {' '.join(usage)}", "", (made.help or "").strip()]
    rows = [f"| `{spelled(p)}` | {escaped(getattr(p, 'help', None) or '')} |" for p in parameters]
    return "\n".join([*lines, *(["", "| | |", "| --- | --- |", *rows] if rows else [])])


def spelled(parameter: Any) -> str:
    """A parameter as it is written on the command line."""
    if parameter.param_type_name == "argument":
        return parameter.metavar or parameter.name.upper()
    return ", ".join([*parameter.opts, *parameter.secondary_opts])


PACKAGES = {
    "models": "Models",
    "networks": "Networks and encoders",
    "losses": "Losses",
    "regularizers": "Regularizers",
    "augmentation": "Augmentation",
    "auxiliary_losses": "Reconstruction and classification",
    "data": "Datasets",
    "metrics": "Metrics and extractors",
    "training": "Training",
    "callbacks": "Callbacks",
}


def parts() -> str:
    """A block for each public name, metric and callback that the page does not have by hand, by package."""
    page = BLOCK.sub("", (DOCS / "api.md").read_text(encoding="utf-8"))
    stub = (Path(gan_zoo.__file__).with_suffix(".pyi")).read_text(encoding="utf-8")
    names = re.findall(r"^from \.(\S+) import (\w+) as", stub, flags=re.MULTILINE)
    files = sorted(
        file
        for group in ("metric", "extractor", "callbacks")
        for file in (CONF / group).glob("*.yaml")
    )
    targets = [
        target
        for file in files
        for target in re.findall(r"_target_: gan_zoo\.([\w.]+)", file.read_text("utf-8"))
    ]
    names = list(dict.fromkeys([*names, *(tuple(target.rsplit(".", 1)) for target in targets)]))
    sections = []
    for package, title in PACKAGES.items():
        blocks = [
            f"::: gan_zoo.{module}.{name}"
            for module, name in names
            if module.split(".")[0] == package
            and not re.search(rf"\b{name}\b", page)
            and f"gan_zoo.{module}\n" not in page
        ]
        if blocks:
            sections.append("\n\n".join([f"## {title}", *blocks]))
    return "\n\n".join(sections)


def recipes() -> str:
    """A row for each recipe, and what it differs in from its source."""
    rows = ["| `experiment=` | paper | data | published | settings | differs |"]
    rows.append("| --- | --- | --- | --- | --- | --- |")
    for recipe in all_recipes():
        cells = (recipe.paper, recipe.data, recipe.published, recipe.settings, recipe.differs)
        rows.append(f"| `{recipe.name}` | {' | '.join(map(escaped, cells))} |")
    return "\n".join(rows)


def recipe_results() -> str:
    """A row for each result of a recipe on our machines."""
    rows = ["| `experiment=` | with | seeds | minutes each | measured | published | on |"]
    rows.append("| --- | --- | --- | --- | --- | --- | --- |")
    for row in read_rows(DOCS.parent / RESULTS):
        cells = (
            f"`{row['recipe']}`",
            " ".join(f"`{word}`" for word in row["overrides"]) or "nothing else",
            str(row["seeds"]),
            f"{statistics.fmean(row['seconds']) / 60:.1f}",
            escaped(", ".join(means(row))),
            escaped(find_recipe(row["recipe"]).published),
            f"{row['hardware']}, {row['date']}",
        )
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


TABLE = re.compile(r"^\|.+\|\n\|[ :|-]+\|\n(?:\|.*\|\n)*", flags=re.MULTILINE)
LINK = re.compile(r"\]\((?!\w+:|#)")


def results() -> str:
    """The first table of each page of an experiment or of a benchmark, in the order of their titles."""
    root = DOCS.parent
    found = []
    for page in [*root.glob("experiments/*/README.md"), *root.glob("benchmarks/results/*.md")]:
        text = page.read_text(encoding="utf-8")
        table = TABLE.search(text)
        title = text.splitlines()[0].removeprefix("# ")
        if table is None or page.parent.name == "gallery":
            continue

        # Results of a benchmark have one file for each machine.
        machine = page.parent.name == "results" and re.search("-(amd|intel)-", page.stem)
        title += f", {machine[1].upper() if machine[1] == 'amd' else 'Intel'}" if machine else ""

        # Links of the page lead from here.
        path = f"../{page.relative_to(root).as_posix()}"
        rows = LINK.sub(f"]({path.rpartition('/')[0]}/", table[0]).strip()
        found.append(f"## [{title}]({path})\n\n{rows}")
    return "\n\n".join(sorted(found))


PARTS = {
    "results": results,
    "recipes": recipes,
    "recipe_results": recipe_results,
    "parts": parts,
    "config_groups": config_groups,
    "root_config": root_config,
    "callbacks": callbacks,
    "commands": commands,
}


def filled(page: str) -> str:
    """``page`` with each of its generated blocks as it has to be now."""
    return BLOCK.sub(lambda match: f"{match[1]}\n{PARTS[match[2]]()}\n\n{match[3]}", page)


def main() -> None:
    """Write what has changed."""
    for page in sorted(DOCS.glob("*.md")):
        text = page.read_text(encoding="utf-8")
        if (new := filled(text)) != text:
            page.write_text(new, encoding="utf-8")
            print(f"written: {page}")


if __name__ == "__main__":
    main()
