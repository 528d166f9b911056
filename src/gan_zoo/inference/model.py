"""Trained models, with their networks and data, and requests to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gan_zoo.config.allowlist import check_reads_nothing
from gan_zoo.core.errors import ConfigError, DataError
from gan_zoo.core.rng import StepRNG, stable_seed
from gan_zoo.core.types import SampleRequest
from gan_zoo.data.dataset import Source, kind_of_shape
from gan_zoo.data.sample_kinds.base import SampleKind
from gan_zoo.data.text import Vocabulary, embed
from gan_zoo.inference import styles
from gan_zoo.inference.latents import draw_latents
from gan_zoo.runs.resume import check_same_data, data_identity
from gan_zoo.training.module import GANModule
from gan_zoo.training.requests import GridRequest, needs_source
from gan_zoo.training.requests import grid_request as make_grid_request


def make_request(
    run: LoadedModel,
    count: int,
    seed: int,
    label: int | str | None = None,
    caption: str | None = None,
) -> GridRequest:
    """A request for samples of a seed.

    Args:
        label: the class, by number or name, or the code of all samples; None for one column each,
            or the data's own.
        caption: the caption of all samples; None for captions of the data.

    Raises:
        DataError: if the model takes no captions.
        ConfigError: if there is no such class.
    """
    model = run.module.model
    rng = StepRNG(stable_seed(seed, "sample"), 0)

    # The condition that all samples share, if the model takes one.
    if label is not None:
        label = run.class_number(label)
    if caption is not None and run.caption_encoding is None:
        raise DataError("this model takes no captions")
    if label is not None and not needs_source(model):
        return GridRequest(SampleRequest(count, rng, label=torch.full((count,), label)))

    # A caption is encoded once for all samples.
    if caption is not None:
        condition = encode_caption(run, caption)
        request = SampleRequest(count, rng, condition=condition.expand(count, -1))
        return GridRequest(request, [caption] * count)

    # Otherwise a grid, with conditions of the dataset for models that need them.
    source = run.source if needs_source(model) else None
    grid = make_grid_request(model, source, count, rng)
    if label is not None:
        grid.request.label = torch.full((grid.request.size,), label)
    return grid


def encode_caption(run: LoadedModel, caption: str) -> Tensor:
    """The condition of a caption, ``[1, ...]``: word numbers or a sentence's vector.

    Raises:
        DataError: if no word of it is known, or its encoder is not installed.
    """
    if run.caption_encoding == "minilm":
        return embed([caption])
    assert run.tokenizer is not None
    tokens = Vocabulary(run.tokenizer.vocabulary).encode([caption], run.tokenizer.length)
    if int(tokens.max()) < 2:
        raise DataError(f"no word of the caption {caption!r} occurs in the data's captions")
    return tokens


def samples(
    run: LoadedModel | GANModule,
    count: int,
    seed: int = 0,
    truncation: float | None = None,
    psi: float | None = None,
    **request: Any,
) -> Tensor:
    """``count`` samples ``[count, ...]`` in [-1, 1] on the CPU, in the order of
    `gan_zoo.inference.sampling.grid`.

    Args:
        run: a loaded run, or a module that was trained in this process.
        truncation: see `draw_latents`.
        psi: truncation of styles, see `gan_zoo.inference.styles.truncated_styles`.
        request: ``label`` or ``caption``, the same for all samples.
    """
    run = run if isinstance(run, LoadedModel) else from_module(run)
    classes = run.module.model.num_requested_labels or 1
    full_columns = -(-count // classes) * classes
    requested = make_request(run, full_columns, seed, **request).request
    if run.module.model.latent_dim is not None:
        requested.latents = draw_latents(run.module, requested.size, seed, truncation)
    return styles.sample(run.module, requested, psi).cpu()[:count]


def from_module(module: GANModule) -> LoadedModel:
    """A module that was trained in this process as a loaded model without a folder, with its
    training data.
    """
    data: Any = getattr(module._trainer, "datamodule", None)
    source = None if data is None else data.source
    if source is None and needs_source(module.model):
        raise DataError(
            f"{type(module.model).__name__} takes conditions of its data: train it by gan_zoo.fit"
            " first"
        )
    return LoadedModel(Path(), Path(), {}, module, given_source=source)


def request_as_in_grid(run: LoadedModel, count: int, seed: int, **request: Any) -> SampleRequest:
    """A request for at least ``count`` samples as in a grid, with the codes that the model would
    draw itself.
    """
    model = run.module.model
    requested = make_request(
        run, max(count, model.num_requested_labels or 0, 64), seed, **request
    ).request

    # The codes: every class in turn, and continuous ones from -1 to 1.
    if requested.label is None and model.num_requested_labels and model.conditioning == "none":
        requested.label = torch.arange(requested.size) % model.num_requested_labels
    if model.num_continuous_codes:
        uniform = requested.rng.uniform(
            "continuous code", requested.size, model.num_continuous_codes
        )
        requested.codes = 2 * uniform - 1
    return requested


class CaptionTokenizer(NamedTuple):
    """The words that captions are encoded with, in order, and the number of tokens of a caption."""

    vocabulary: tuple[str, ...]
    length: int


@dataclass
class LoadedModel:
    """A trained model and where it came from.

    Attributes:
        folder: the run folder, the checkpoint's own folder, or that of an export.
        checkpoint: the file that was loaded.
        config: the run's config, plain containers.
        module: networks with the checkpoint's weights, in evaluation mode.
        exported_tokenizer: the words of captions that an export holds.
        exported_classes: the names of classes that an export holds.
        given_source: the dataset where the config does not name it.
        data_identity: of the data it was trained on, see `gan_zoo.runs.resume.data_identity`; None
            if not known.
        other_data: use the data although the model was trained on others.
        may_read: whether its config may name files and downloads: an export's may not, unless it is
            trusted.
    """

    folder: Path
    checkpoint: Path
    config: dict[str, Any]
    module: GANModule
    exported_tokenizer: CaptionTokenizer | None = None
    given_source: Source | None = None
    data_identity: dict[str, Any] | None = None
    other_data: bool = False
    may_read: bool = True
    exported_classes: tuple[str, ...] = ()

    @property
    def class_names(self) -> list[str]:
        """The names of the classes that the model is conditioned on, by number; empty where there
        are none.
        """
        if self.module.model.conditioning != "class":
            return []

        # Names from the export or the run, unless other data are given.
        names = self.exported_classes or (self.data_identity or {}).get("classes") or ()
        if self.given_source is not None:
            names = self.given_source.classes or ()

        # Another number of names would not be those of this model's classes.
        return (
            [str(name) for name in names]
            if len(names) == self.module.model.num_requested_labels
            else []
        )

    def class_number(self, label: int | str) -> int:
        """The number of a class that is given by its number, or as text by its name or number.

        Raises:
            ConfigError: if there is no such class.
        """
        # Text is a name before it is a number, as names may be numbers.
        names = self.class_names
        count = self.module.model.num_requested_labels or 0
        if isinstance(label, str) and label in names:
            return names.index(label)
        if str(label).isdecimal() and int(label) < count:
            return int(label)

        # Say which classes there are, by name only where names are not just numbers.
        if not count:
            raise ConfigError(
                "--class is for models that are conditioned on a class, this one is not, got"
                f" {label}"
            )
        named = names and names != [str(number) for number in range(count)]
        listed = (
            f" or one of {', '.join(names[:20])}{' ...' if len(names) > 20 else ''}"
            if named
            else ""
        )
        raise ConfigError(f"class must be 0 to {count - 1}{listed}, got {label}")

    @cached_property
    def source(self) -> Source:
        """The run's dataset, loaded at the first access.

        Raises:
            ConfigError: if it is not the one that the run was trained on.
        """
        if self.given_source is not None:
            return self.given_source
        from gan_zoo.config.build import build_data
        from gan_zoo.config.compose import from_dict

        # A config from outside may not make us read files here.
        if not self.may_read:
            check_reads_nothing(self.config["data"], "--trust (in Python trust=True)")
        source = build_data(from_dict(self.config)).source

        # The data of training, unless others are allowed.
        if not self.other_data:
            now = data_identity(source, self.config["data"].get("root"))
            check_same_data(self.data_identity, now, "--other-data (in Python other_data=True)")
        return source

    @property
    def sample_kind(self) -> SampleKind:
        """How its samples are drawn and written."""
        if self.given_source is not None:
            return self.given_source.sample_kind
        from gan_zoo.config.compose import instantiate

        data = self.config["data"]
        kind: SampleKind | None = instantiate(data["kind"]) if data.get("kind") else None
        return kind or kind_of_shape(data["sample_shape"])

    @property
    def caption_encoding(self) -> str | None:
        """How captions are encoded, see `caption_encoding`."""
        return caption_encoding(self.module.model.conditioning, self.config)

    @property
    def tokenizer(self) -> CaptionTokenizer | None:
        """The words that captions are encoded with; None where the model takes no words."""
        if self.exported_tokenizer is not None or self.caption_encoding != "words":
            return self.exported_tokenizer
        assert self.source.vocabulary is not None
        assert self.source.conditions is not None
        return CaptionTokenizer(tuple(self.source.vocabulary), self.source.conditions.shape[1])

    def sample(self, count: int, seed: int = 0, **request: Any) -> Tensor:
        """``count`` samples ``[count, ...]`` in [-1, 1], those of ``gan-zoo sample --seed``.

        Args:
            request: ``truncation``, ``psi``, ``label``, ``caption``; see
                `gan_zoo.inference.model.samples`.
        """

        return samples(self, count, seed, **request)


def caption_encoding(conditioning: str, config: Mapping[str, Any]) -> str | None:
    """How captions become conditions: ``words``, ``minilm`` for sentence vectors, or None without
    captions.
    """
    if conditioning == "text":
        return "words"
    is_sentence = conditioning == "vector" and config.get("data", {}).get("text") == "minilm"
    return "minilm" if is_sentence else None
