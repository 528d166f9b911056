"""The functions that config files call, such as ``${tensor_shape:FILE}``."""

from __future__ import annotations

import math
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import ListConfig, OmegaConf

from gan_zoo.core.errors import ConfigError
from gan_zoo.core.unique import unique_now
from gan_zoo.runs.overrides import describe_overrides, describe_setting

NAMED_GROUPS = ("model", "loss", "data")
"""Groups whose choices name a run."""


def register() -> None:
    """Make them known to OmegaConf."""
    functions = (
        image_shape,
        condition_shape,
        derived_shape,
        tensor_shape,
        tensor_kind,
        tensor_classes,
        table_shape,
        table_layout,
        table_kind,
        table_batch_size,
        max_steps,
        run_name,
    )
    for function in functions:
        OmegaConf.register_new_resolver(function.__name__, function, replace=True)

    # One time for the whole config, however often it is asked for.
    OmegaConf.register_new_resolver("unique_now", unique_now, use_cache=True, replace=True)


def image_shape(channels: int, image_size: Any) -> ListConfig:
    """The resolver of the shape of images whose size is one side, or height and width."""
    sides = [image_size] * 2 if isinstance(image_size, int) else list(image_size)

    # YAML may hold anything here, such as text or three sides.
    if len(sides) != 2 or not all(isinstance(side, int) and side > 0 for side in sides):
        raise ConfigError(
            f"data.image_size must be a side or [height, width] in pixels, got {image_size}"
        )
    shape: ListConfig = OmegaConf.create([channels, *sides])
    return shape


def condition_shape(*, _parent_: Any) -> Any:
    """The resolver of ``data.condition_shape`` of ``data=webdataset``: of captions, condition
    images, or conditions made from samples.
    """
    from gan_zoo.data.text import DIMENSION

    data = _parent_  # the node that it is in, under the name that OmegaConf asks for
    if data.captions:
        length = DIMENSION if data.text == "minilm" else data.caption_length
        return OmegaConf.create([length])
    if data.condition_suffix is not None:
        return image_shape(data.condition_channels, data.image_size)
    return None if data.derive is None else derived_shape(data.derive, data.sample_shape)


def max_steps(batches: int, generator_steps: int | None, n_critic: int, n_generator: int) -> int:
    """The resolver of ``trainer.max_steps``: so many batches, or those that the generator's steps
    take where a number of these is given.
    """
    # Wrong numbers are named as such by the config's checks.
    counts = (n_critic, n_generator)
    if generator_steps is None or not all(isinstance(count, int) for count in counts):
        return batches
    return math.ceil(generator_steps / max(1, n_generator)) * max(1, n_critic)


def derived_shape(derive: Any, sample_shape: Any) -> ListConfig:
    """The resolver of ``data.condition_shape`` where conditions are made from samples."""
    # Configs are resolved before what they name is trusted: only our own classes are made here, of
    # plain values.
    from gan_zoo.data.derived import derivation_of

    plain: Any = OmegaConf.to_container(derive, resolve=True)
    derivation = derivation_of(plain)
    if derivation is None:
        raise ConfigError("data.derive of your own needs data.condition_shape=[C, H, W], too")
    sides = [int(side) for side in sample_shape]
    if len(sides) != derivation.dimensions:
        raise ConfigError(
            f"data/derive works on {derivation.works_on}, the data's sample_shape is {sides}: use"
            " model=gan for vectors"
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

    # Bytes are images, and vectors have a kind by their shape.
    header = array_header(root)
    if header is None or header.is_image or len(header.shape) == 1:
        return None
    target = f"{Tensors.__module__}.{Tensors.__qualname__}"
    return OmegaConf.create({"_target_": target, "scaling": scaling})


def tensor_classes(root: str) -> int | None:
    """The resolver of the number of classes of ``data=tensor_file``, if there are labels."""
    from gan_zoo.data.datasets.tensor_file import LABELS, array_header

    header = array_header(root, LABELS)
    return None if header is None else header.num_classes


def table_shape(root: str | None, bundled: str, discrete: Any, continuous: Any) -> Any:
    """The resolver of the shape of rows of ``data=table``."""
    return OmegaConf.create([_schema(root, bundled, discrete, continuous).width])


def table_layout(root: str | None, bundled: str, discrete: Any, continuous: Any) -> Any:
    """The resolver of the spans of rows of ``data=table``."""
    spans = []
    for span in _schema(root, bundled, discrete, continuous).spans:
        counts = {"counts": list(span.counts)} if span.counts else {}
        spans.append({"kind": span.kind, "width": span.width, **counts})
    return OmegaConf.create(spans)


def table_kind(
    root: str | None, bundled: str, discrete: Any, continuous: Any, target: str | None
) -> Any:
    """The resolver of the kind of ``data=table``: its schema goes with the config."""
    schema = _schema(root, bundled, discrete, continuous).to_json()

    from gan_zoo.data.sample_kinds.table import Table

    name = f"{Table.__module__}.{Table.__qualname__}"
    # In JSON the characters of interpolations are escaped, so that names of columns stay text.
    schema = schema.replace("${", "\\u0024{")
    return OmegaConf.create({"_target_": name, "schema": schema, "target": target})


def table_batch_size(root: str | None, bundled: str, test_share: float, largest: int = 500) -> int:
    """The resolver of the batch of ``data=table``: tens of rows, at most nine tenths of the
    training part.
    """
    rows = len(_files().table_of(root, bundled))
    return min(largest, max(10, int(0.9 * rows * (1 - test_share)) // 10 * 10))


def _schema(root: str | None, bundled: str, discrete: Any, continuous: Any) -> Any:
    return _files().schema_of_table(root, bundled, tuple(discrete), tuple(continuous))


def _files() -> Any:
    """The module that reads tables, which needs pandas."""
    try:
        from gan_zoo.data.tables import files
    except ImportError as error:
        raise ConfigError("data=table needs pandas: pip install 'gan-zoo[tables]'") from error
    return files


def run_name(seed: int) -> str | None:
    """The resolver of a run's name for people: ``dcgan-hinge-mnist-generator.width=64-s1``.

    It has the choices, the overrides that change what is trained, and the seed; null outside of a
    command.
    """
    if not HydraConfig.initialized():
        return None
    hydra_config = HydraConfig.get()
    first = "-".join(hydra_config.runtime.choices[group] for group in NAMED_GROUPS)
    return describe_overrides(first, list(hydra_config.overrides.task), seed)


def command_choices() -> dict[str, str]:
    """The model, loss and data of the command by name, and as ``setting`` all that it sets but the
    seed; nothing outside of a command.
    """
    if not HydraConfig.initialized():
        return {}
    hydra_config = HydraConfig.get()
    chosen = {group: str(hydra_config.runtime.choices[group]) for group in NAMED_GROUPS}
    overrides = list(hydra_config.overrides.task)
    return chosen | {"setting": describe_setting("-".join(chosen.values()), overrides)}
