"""Configs: composed from the files in ``conf``, plain, and turned into objects. The one user of
Hydra's machinery.
"""

from __future__ import annotations

import glob
import importlib.util
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import hydra
import yaml
from hydra.core.hydra_config import HydraConfig
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, InstantiationException
from omegaconf import DictConfig, ListConfig, OmegaConf

from gan_zoo.config.help import defaults
from gan_zoo.config.messages import choices, format_error, is_usage_error, root_cause
from gan_zoo.core.errors import ConfigError
from gan_zoo.core.paths import CONF
from gan_zoo.core.unique import unique_now
from gan_zoo.runs.overrides import describe_overrides, override_key, quote_value


def derived_shape(derive: Any, sample_shape: Any) -> ListConfig:
    """The resolver of ``data.condition_shape`` where conditions are made from samples."""
    # Configs are resolved before what they name is trusted: only our own classes are made here, of
    # plain values.
    from gan_zoo.data.derived import derivation_of

    derivation = derivation_of(to_dict(derive))
    if derivation is None:
        raise ConfigError("data.derive of your own needs data.condition_shape=[C, H, W], too")
    sides = [int(side) for side in sample_shape]
    if len(sides) != 3:
        raise ConfigError(
            f"data/derive works on images, the data's sample_shape is {sides}: use model=gan for"
            " vectors"
        )
    shape: ListConfig = OmegaConf.create(derivation.condition_shape(sides))
    return shape


def tensor_shape(root: str, name: str = "samples", classes: int | None = None) -> Any:
    """The resolver of the shapes of ``data=tensor_file``: those of the file's arrays."""
    from gan_zoo.data.datasets.tensor_file import array_header

    header = array_header(root, name)
    if header is None:
        return None
    return OmegaConf.create(header.shape if classes is None else [classes, *header.shape])


def tensor_kind(root: str, scaling: Any) -> Any:
    """The resolver of the kind of ``data=tensor_file``: null for images of bytes and vectors."""
    from gan_zoo.data.datasets.tensor_file import array_header
    from gan_zoo.data.sample_kinds.tensors import Tensors

    header = array_header(root)
    if header is None or header.is_image or len(header.shape) == 1:
        return None
    target = f"{Tensors.__module__}.{Tensors.__qualname__}"
    return OmegaConf.create({"_target_": target, "scaling": scaling})


def run_name(seed: int) -> str | None:
    """The resolver of a run's name for people: ``dcgan-hinge-mnist-generator.width=64-s1``.

    It has the choices, the overrides that change what is trained, and the seed; null outside of a
    command.
    """
    if not HydraConfig.initialized():
        return None
    hydra_config = HydraConfig.get()
    chosen = hydra_config.runtime.choices
    first = "-".join(chosen[group] for group in ("model", "loss", "data"))
    return describe_overrides(first, list(hydra_config.overrides.task), seed)


OmegaConf.register_new_resolver("run_name", run_name, replace=True)
OmegaConf.register_new_resolver("derived_shape", derived_shape, replace=True)
OmegaConf.register_new_resolver("tensor_shape", tensor_shape, replace=True)
OmegaConf.register_new_resolver("tensor_kind", tensor_kind, replace=True)
OmegaConf.register_new_resolver("unique_now", unique_now, use_cache=True, replace=True)


def to_dict(config: DictConfig) -> dict[str, Any]:
    """A config as plain containers, all interpolations resolved."""
    plain: Any = OmegaConf.to_container(config, resolve=True)
    return plain  # type: ignore[no-any-return]


def from_dict(plain: Mapping[str, Any]) -> DictConfig:
    """A config again from what a checkpoint carries."""
    return OmegaConf.create(dict(plain))


def compose_overrides(overrides: Sequence[str]) -> DictConfig:
    """The config that these overrides compose.

    Raises:
        ConfigError: if they do not.
    """
    check_grammar(overrides)
    overrides = check_choices(with_suited_choices(overrides))
    try:
        with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
            return hydra.compose("config", list(overrides))
    except Exception as error:
        if not is_usage_error(error):
            raise
        raise ConfigError(format_error(error, CONF, overrides)) from error


def composed_without(key: str, overrides: Sequence[str]) -> Any:
    """The plain config of the command without its override of ``key``, or of its choices alone if
    that fails, too.
    """
    # Fewer overrides at each attempt: all others, then choices of files, then none.
    others = [
        override for override in overrides if "=" in override and override_key(override) != key
    ]
    chosen = [
        override
        for override in others
        if (CONF / override_key(override).partition("@")[0]).is_dir()
    ]

    # The first of these that composes.
    for kept in (others, chosen, []):
        try:
            with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
                return OmegaConf.to_container(hydra.compose("config", kept), resolve=False)
        except Exception:
            continue
    raise AssertionError("unreachable: the config composes without overrides")


def with_suited_choices(arguments: Sequence[str]) -> list[str]:
    """The arguments with the choices that ``suits`` in the YAML of ``data=`` names.

    Only where the command has no ``model=``, ``experiment=`` or run to go on with.

    Data come after the model in Hydra's order, so they cannot choose one there.
    """
    # The last choice of a group counts.
    chosen = {
        override_key(argument): argument.partition("=")[2]
        for argument in arguments
        if "=" in argument
    }
    resumes = chosen.get("resume", "null") not in ("null", "auto")
    file = CONF / "data" / f"{chosen.get('data')}.yaml"
    if resumes or {"model", "experiment"} & chosen.keys() or not file.is_file():
        return list(arguments)

    # What the command chooses itself stays.
    suits = yaml.safe_load(file.read_text(encoding="utf-8")).get("suits") or []  # type: ignore[no-untyped-call]
    return [*arguments, *(choice for choice in suits if override_key(choice) not in chosen)]


def check_choices(arguments: Sequence[str]) -> list[str]:
    """The arguments without choices of nothing where that is the default anyway, such as
    ``debug=null``.

    Raises:
        ConfigError: naming a group that must have a choice.
    """
    kept = []
    for argument in arguments:
        key, _, value = argument.partition("=")
        if value != "null" or not (CONF / key).is_dir() or key in ("regularizer", "metric"):
            kept.append(argument)
        elif f"{key}=None" not in defaults(CONF):
            raise ConfigError(f"{key} must be one of {', '.join(choices(key, CONF))}, got null")
    return kept


def check_grammar(overrides: Sequence[str]) -> None:
    """Raise `ConfigError` naming an override whose value Hydra's grammar cannot read, with the
    quotes it needs.
    """
    parser = OverridesParser.create()
    for override in overrides:
        if "=" not in override:  # a deletion, or the value of a flag
            continue
        try:
            parser.parse_override(override)
        except HydraException:
            key, _, value = override.partition("=")
            # Quoted for Hydra's grammar, and once more for the shell.
            typed = shlex.quote(f"{key}={quote_value(value)}")
            raise ConfigError(
                f"{override} cannot be read, as some characters of the value have a meaning of"
                f" their own; as plain text it is {typed}"
            ) from None


def reach_own_parts(config: Any) -> None:
    """Let ``_target_`` find modules in the current folder that are nowhere else, without shadowing
    any that are.
    """
    if isinstance(config, dict):
        target = config.get("_target_")
        # The folder comes last, and only for a package that is found nowhere else.
        if isinstance(target, str) and str(Path.cwd()) not in sys.path:
            package = target.split(".")[0]
            if importlib.util.find_spec(package) is None and list(
                Path.cwd().glob(f"{glob.escape(package)}*")
            ):
                sys.path.append(str(Path.cwd()))
        config = list(config.values())
    if isinstance(config, list):
        for part in config:
            reach_own_parts(part)


def get_object(target: str) -> Callable[..., Any]:
    """The class or function of this name."""
    try:
        found: Callable[..., Any] = hydra.utils.get_object(target)
    except Exception as error:
        # A missing package is not the same as code that fails while it is imported.
        package = target.partition(".")[0]
        if importlib.util.find_spec(package) is None:
            raise ConfigError(
                f"_target_ {target}: there is no module {package!r} here; parts of your own are"
                f" found in the current folder, {Path.cwd()}, or on PYTHONPATH"
            ) from error
        raise ConfigError(
            f"_target_ {target} cannot be imported: {' '.join(str(error).split())}"
        ) from error
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
        cause = root_cause(error)
        # A custom network that assigns its layers before it calls super().__init__().
        if isinstance(cause, AttributeError) and "before Module.__init__() call" in str(cause):
            raise ConfigError(
                f"{node.get('_target_')}.__init__ must begin with super().__init__()"
            ) from error
        # The constructor's error, without Hydra's around it.
        raise cause from None


def instantiate_each(group: DictConfig | None) -> list[Any]:
    """The objects of a group of named nodes, in order; null nodes are left out."""
    return [instantiate(node) for node in (group or {}).values() if node is not None]
