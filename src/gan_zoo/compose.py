"""Configs: composed from the files in ``conf``, plain, and turned into objects. The one user of Hydra's machinery."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import hydra
from hydra.errors import InstantiationException
from omegaconf import DictConfig, OmegaConf

from gan_zoo.errors import CompositionError, explain, innermost, is_usage_error

HERE = Path(__file__).resolve().parent
CONF = next(folder for folder in (HERE / "conf", HERE.parents[1] / "conf") if folder.is_dir())


def as_plain(config: DictConfig) -> dict[str, Any]:
    """A config as plain containers, all interpolations resolved."""
    plain: Any = OmegaConf.to_container(config, resolve=True)
    return plain  # type: ignore[no-any-return]


def as_config(plain: Mapping[str, Any]) -> DictConfig:
    """A config again from what a checkpoint carries."""
    return OmegaConf.create(dict(plain))


def compose_overrides(overrides: Sequence[str]) -> DictConfig:
    """The config that these overrides compose.

    Raises:
        CompositionError: if they do not.
    """
    try:
        with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
            return hydra.compose("config", list(overrides))
    except Exception as error:
        if not is_usage_error(error):
            raise
        raise CompositionError(explain(error, CONF)) from error


def locate(target: str) -> Callable[..., Any]:
    """The class or function of this name."""
    found: Callable[..., Any] = hydra.utils.get_object(target)
    return found


def instantiate(node: Any, **kwargs: Any) -> Any:
    """The one way from a config node to an object: plain Python containers, never a ``DictConfig``.

    What a constructor raises comes through as it is.
    """
    if node is None:
        return None
    try:
        return hydra.utils.instantiate(node, **kwargs, _convert_="all")
    except InstantiationException as error:
        raise innermost(error) from None


def instantiate_each(group: DictConfig | None) -> list[Any]:
    """The objects of a group of named nodes, in order; null nodes are left out."""
    return [instantiate(node) for node in (group or {}).values() if node is not None]
