"""Recipes: the papers' settings in ``conf/experiment``, and what is published for them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from gan_zoo.config.compose import compose_overrides
from gan_zoo.config.help import summary
from gan_zoo.config.messages import choices, did_you_mean
from gan_zoo.core.errors import ConfigError
from gan_zoo.core.paths import CONF

GROUP = "experiment"
MISSING = "-"


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a file of ``conf/experiment`` says of itself.

    Attributes:
        name: of ``experiment=``.
        summary: its first comment.
        paper: authors, year and where to find it.
        settings: where the settings are from.
        data: the dataset.
        published: the published value, and who published it.
        protocol: of the published value.
        differs: known differences from the source.
    """

    name: str
    summary: str
    paper: str
    settings: str
    data: str
    published: str
    protocol: str
    differs: str


def recipes() -> list[Recipe]:
    """All recipes, by name."""
    names = sorted(set(choices(GROUP, CONF)) - {"null"})
    return [find_recipe(name) for name in names]


def find_recipe(name: str) -> Recipe:
    """The recipe of this name.

    Raises:
        ConfigError: if there is none.
    """
    file = _file(name)
    known = sorted(set(choices(GROUP, CONF)) - {"null"})
    if name not in known:
        raise ConfigError(
            f"the recipe must be one of {', '.join(known)}, got {name!r}{did_you_mean(name, known)}"
        )
    return Recipe(name, summary(file), **_content(file)["recipe"])


def differences(name: str) -> dict[str, tuple[Any, Any]]:
    """What a recipe sets beyond its choices of model, loss, data and other groups: the default
    and the recipe's value, by key.
    """
    # The groups that it chooses, and a root where its data need one to compose.
    find_recipe(name)
    chosen = chosen_groups(name)
    data = CONF / "data" / f"{chosen['data']}.yaml"
    needed = ["data.root=data"] if "root: ???" in data.read_text(encoding="utf-8") else []
    choice = [f"{group}={_written(option)}" for group, option in chosen.items()]

    # The recipe against those choices with all else at its default.
    recipe = _flat(compose_overrides([f"{GROUP}={name}", *needed]))
    default = _flat(compose_overrides([*choice, *needed]))
    keys = [key for key in [*recipe, *default] if key.partition(".")[0] != "recipe"]
    return {
        key: (default.get(key, MISSING), recipe.get(key, MISSING))
        for key in dict.fromkeys(keys)
        if str(default.get(key, MISSING)) != str(recipe.get(key, MISSING))
    }


def chosen_groups(name: str) -> dict[str, Any]:
    """The option that a recipe chooses in each group, such as ``{"model": "dcgan"}``."""
    return dict(_chosen(_file(name)))


def _file(name: str) -> Path:
    return CONF / GROUP / f"{name}.yaml"


def _content(file: Path) -> Mapping[str, Any]:
    content: Mapping[str, Any] = yaml.safe_load(file.read_text(encoding="utf-8"))  # type: ignore[no-untyped-call]
    return content


def _chosen(file: Path) -> Iterator[tuple[str, Any]]:
    """The choices of a recipe and of those that it is based on, the inner ones first."""
    # Recipes that it is based on come first, so that its own choices replace theirs.
    for item in _content(file).get("defaults", []):
        if isinstance(item, str) and item != "_self_":
            yield from _chosen(file.with_name(f"{item}.yaml"))
    for item in _content(file).get("defaults", []):
        if isinstance(item, dict):
            for group, option in item.items():
                yield group.removeprefix("override /"), option


def _written(option: Any) -> str:
    """A choice, or several, as on the command line."""
    return option if isinstance(option, str) else f"[{','.join(option)}]"


def _flat(config: Any) -> dict[str, Any]:
    """The values of a config by their keys; interpolations that need the data are as written."""
    flat: dict[str, Any] = {}

    def walk(node: Any, prefix: str) -> None:
        if isinstance(node, dict):
            for key, value in node.items():
                walk(value, f"{prefix}.{key}" if prefix else str(key))
        else:
            flat[prefix] = node
            if isinstance(node, str) and "${" in node:
                with suppress(OmegaConfBaseException):
                    found = OmegaConf.select(config, prefix)
                    is_list = OmegaConf.is_config(found)
                    flat[prefix] = OmegaConf.to_container(found, resolve=True) if is_list else found

    walk(OmegaConf.to_container(config, resolve=False), "")
    return flat
