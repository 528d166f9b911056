"""Generators as ONNX files, each compared with torch on the same inputs."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gan_zoo.core.errors import ConfigError
from gan_zoo.core.rng import StepRNG, stable_seed
from gan_zoo.core.types import SampleRequest
from gan_zoo.inference.model import LoadedModel

TOLERANCE = 1e-4
"""Largest difference to torch, relative to the largest output of torch."""
LOGGERS = ("torch.onnx", "onnxscript", "onnx_ir")
EXPORT_BATCH = 2  # samples in the batch that a file is traced with
CHECK_BATCH = 5  # samples in the batch that it is checked on


@dataclass(frozen=True)
class InputSpec:
    """An input of a file.

    Attributes:
        shape: of one sample.
        limit: upper bound of integers; None for floating point.
    """

    shape: tuple[int, ...]
    limit: int | None = None

    @property
    def kind(self) -> str:
        """The name of the numbers' type."""
        return "float32" if self.limit is None else "int64"

    def example(self, size: int, rng: StepRNG, name: str) -> Tensor:
        """Some values ``[size, *shape]``; images and codes in (-1, 1), latents from a normal
        distribution.
        """
        if self.limit is not None:
            numbers = rng.randint(name, size * max(1, sum(self.shape)), 0, self.limit)
            return numbers.reshape(size, *self.shape)
        values = rng.normal(name, size, *self.shape)
        return values if name == "latents" else values.clamp(-1, 1)


class GeneratorWrapper(nn.Module):
    """A model's generators as a function of tensors alone: latents, class, condition and codes,
    where it takes them.
    """

    def __init__(self, model: Any, generators: nn.ModuleDict, names: tuple[str, ...]) -> None:
        super().__init__()
        self.model = [model]  # in a list: its weights are not registered
        self.generators = generators
        self.names = names

    def forward(self, *tensors: Tensor) -> Tensor:
        given = dict(zip(self.names, tensors, strict=True))
        request = SampleRequest(tensors[0].shape[0], StepRNG(0, 0), **given)
        sample: Tensor = self.model[0].sample(request, self.generators)
        return sample


def write_onnx(run: LoadedModel, folder: Path) -> dict[str, Any]:
    """Write the run's generators into ``folder``, check them, and return each file's inputs and
    difference from torch.

    ``generator.onnx``, or ``a_to_b.onnx`` and ``b_to_a.onnx`` for CycleGAN; the number of samples
    is free.

    Raises:
        ConfigError: if a generator cannot be written, or onnxruntime and torch disagree about it.
        ModuleNotFoundError: without the extra ``onnx``.
    """
    import onnxruntime  # noqa: F401
    import onnxscript  # noqa: F401

    networks = exportable_networks(run)
    return {
        name: _export(network, inputs, folder / name)
        for name, (network, inputs) in networks.items()
    }


def exportable_networks(run: LoadedModel) -> dict[str, tuple[nn.Module, dict[str, InputSpec]]]:
    """The files to write: a network and its inputs, by file name."""
    # Copies in full precision on the CPU, where files are traced and checked.
    model: Any = run.module.model
    data = run.config["data"]
    networks = copy.deepcopy(run.module.inference_generators)
    networks = networks.to("cpu", memory_format=torch.contiguous_format).float().eval()  # type: ignore[call-overload]

    # Translators map images to images: one file for each direction.
    if model.latent_dim is None and not model.num_requested_labels:
        forward = InputSpec(tuple(data["condition_shape"]))
        backward = InputSpec(tuple(data["sample_shape"]))
        if "b_to_a" not in networks:
            return {"generator.onnx": (networks["main"], {"image": forward})}
        directions = {"a_to_b": forward, "b_to_a": backward}
        return {
            f"{name}.onnx": (networks[name], {"image": part}) for name, part in directions.items()
        }

    # Other generators take latents, and what the model is conditioned on.
    inputs = {} if model.latent_dim is None else {"latents": InputSpec((model.latent_dim,))}
    if model.num_requested_labels:
        inputs["label"] = InputSpec((), model.num_requested_labels)
    if not {"text", "vector", "image", "domain"}.isdisjoint(model.needs):
        # Token numbers where conditions are captions; the datasets of captions also give vectors.
        num_tokens = data["vocabulary_size"] if "text" in model.needs else None
        inputs["condition"] = InputSpec(tuple(data["condition_shape"]), num_tokens)
    if model.num_continuous_codes:
        inputs["codes"] = InputSpec((model.num_continuous_codes,))
    return {"generator.onnx": (GeneratorWrapper(model, networks, tuple(inputs)), inputs)}


def _export(network: nn.Module, inputs: dict[str, InputSpec], path: Path) -> dict[str, Any]:
    # Traced with one batch, checked with another one of another size.
    rng = StepRNG(stable_seed("onnx"), 0)
    example = {name: part.example(EXPORT_BATCH, rng, name) for name, part in inputs.items()}
    check = {
        name: part.example(CHECK_BATCH, replace(rng, step=1), name) for name, part in inputs.items()
    }

    # Write the file, and compare it with torch.
    try:
        with quiet_exporter(), torch.no_grad():
            _trace(network, example, path)
        difference, allowed = max_difference(network, check, path)
    except Exception as error:  # those of the exporter and of onnxruntime have no public base
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ConfigError(f"--onnx cannot write {path.name} of this model: {reason}") from error
    if not difference <= allowed:
        raise ConfigError(
            f"--onnx: {path.name} differs from torch by {difference:.2g} where {allowed:.2g} is"
            " allowed: export without"
        )

    # What the description and the model card say about the file.
    takes = {
        name: {"type": part.kind, "shape": ["batch", *part.shape]} for name, part in inputs.items()
    }
    return {"inputs": takes, "difference": difference, "allowed": allowed}


def _trace(network: nn.Module, example: dict[str, Tensor], path: Path) -> None:
    # The number of samples is free in every input.
    axes = tuple({0: torch.export.Dim("batch")} for _ in example)
    torch.onnx.export(
        network,
        tuple(example.values()),
        path,
        input_names=list(example),
        output_names=["samples"],
        dynamic_shapes=(axes,) if isinstance(network, GeneratorWrapper) else axes,
        dynamo=True,
        external_data=False,
        verbose=False,
    )


@torch.no_grad()
def max_difference(
    network: nn.Module, inputs: Mapping[str, Tensor], path: Path
) -> tuple[float, float]:
    """The largest difference between the file in onnxruntime and ``network`` in torch, and what is
    allowed.
    """
    import onnxruntime

    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    (answer,) = session.run(None, {name: tensor.numpy() for name, tensor in inputs.items()})
    expected: Tensor = network(*inputs.values())
    difference = (torch.from_numpy(answer) - expected).abs().max()
    return float(difference), TOLERANCE * float(expected.abs().max())


@contextmanager
def quiet_exporter() -> Iterator[None]:
    """Within the block the exporter logs errors only."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def usage(files: Mapping[str, Any], prior: str) -> list[str]:
    """How to run the files, for the model card; latents are of this prior."""
    lines = ["## ONNX", "", "The number of samples is free; images have the training size."]

    # The inputs of each file, and how well it agrees with torch.
    for file, about in files.items():
        takes = [
            f"`{name}` {part['type']} {part['shape']}" for name, part in about["inputs"].items()
        ]
        agrees = (
            f"onnxruntime and torch differed by {about['difference']:.1e} at most"
            f" ({about['allowed']:.1e} allowed)"
        )
        lines += [
            "",
            f"`{file}` takes {', '.join(takes)} and gives `samples`; {agrees}.".replace("'", ""),
        ]

    # Code that runs the first file.
    file, about = next(iter(files.items()))
    inputs = [f'"{name}": {_values(name, part, prior)}' for name, part in about["inputs"].items()]
    code = ["import numpy as np, onnxruntime", f'session = onnxruntime.InferenceSession("{file}")']
    code += [f"inputs = {{{', '.join(inputs)}}}", "(samples,) = session.run(None, inputs)"]
    return [*lines, "", *(f"    {line}" for line in code)]


def _values(name: str, part: Mapping[str, Any], prior: str) -> str:
    sizes = [16, *part["shape"][1:]]
    if name == "latents":
        draw = f"uniform(-1, 1, {sizes})" if prior == "uniform" else f"normal(size={sizes})"
        return f"np.random.{draw}.astype(np.float32)"
    return f"np.zeros({sizes}, np.{part['type']})"
