"""Finished runs: from a run folder back to its networks and data."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gan_zoo.config.allowlist import refuse_reading
from gan_zoo.core.errors import ConfigError, DataError
from gan_zoo.core.rng import StepRNG, stable_seed
from gan_zoo.core.types import Batch
from gan_zoo.data.dataset import Source
from gan_zoo.data.text import Vocabulary, embed
from gan_zoo.inference.latents import draw_latents
from gan_zoo.runs.resume import check_same_data, data_identity
from gan_zoo.training.module import GANModule
from gan_zoo.training.requests import request


def wish(
    run: Run, count: int, seed: int, label: int | str | None = None, caption: str | None = None
) -> tuple[Batch, Any, Any]:
    """What to ask for, the captions to write and the number of columns.

    Args:
        label: the class, by number or name, or the code of all samples; None for one column each, or the data's own.
        caption: what all samples are asked to show; None for the data's own.
    """
    model, rng = run.module.model, StepRNG(stable_seed(seed, "sample"), 0)
    if label is not None:
        label = run.class_number(label)
    if caption is not None and run.reads is None:
        raise DataError("this model is told no caption")
    if label is not None and not set(model.needs) - {"label", "wrong"}:
        return Batch(count, rng, label=torch.full((count,), label)), None, None
    if caption is not None:
        condition = told_by(run, caption)
        return Batch(count, rng, condition=condition.expand(count, -1)), [caption] * count, None
    source: Any = run.source if set(model.needs) - {"label", "wrong"} else None
    return request(run.module, source, count, rng)


def told_by(run: Run, caption: str) -> Tensor:
    """The condition of a caption, ``[1, ...]``: word numbers or a sentence's vector.

    Raises:
        DataError: if no word of it is known, or its encoder is not installed.
    """
    if run.reads == "minilm":
        return embed([caption])
    assert run.words is not None
    tokens = Vocabulary(run.words.vocabulary).encode([caption], run.words.length)
    if int(tokens.max()) < 2:
        raise DataError(f"no word of the caption {caption!r} occurs in the data's captions")
    return tokens


def samples(run: Run | GANModule, count: int, seed: int = 0, truncation: float | None = None, **wishes: Any) -> Tensor:
    """``count`` samples ``[count, ...]`` in [-1, 1] on the CPU, in the order of `grid`.

    Args:
        run: a loaded run, or a module that was trained in this process.
        truncation: see `draw_latents`.
        wishes: ``label`` or ``caption``, the same for all samples.
    """
    run = run if isinstance(run, Run) else run_of(run)
    classes = run.module.model.num_requested_labels or 1
    batch = wish(run, -(-count // classes) * classes, seed, **wishes)[0]  # a grid has whole columns
    if hasattr(run.module.model, "latent_dim"):
        batch.latents = draw_latents(run.module, batch.size, seed, truncation)
    return run.module.sample(batch).cpu()[:count]


def run_of(module: GANModule) -> Run:
    """A module that was trained in this process as a run without a folder, told of the data it was trained on."""
    data: Any = getattr(module._trainer, "datamodule", None)
    source = None if data is None else data.source
    if source is None and set(module.model.needs) - {"label", "wrong"}:
        raise DataError(f"{type(module.model).__name__} is told of its data: train it by gan_zoo.fit first")
    return Run(Path(), Path(), {}, module, given_source=source)


def of_rows(batch: Batch, rows: Tensor) -> Batch:
    """What ``batch`` asks for in these rows, repeated ones included."""
    label, condition = (None if part is None else part[rows] for part in (batch.label, batch.condition))
    return Batch(len(rows), batch.rng, label=label, condition=condition)


def asked_as_in_the_grid(run: Run, count: int, seed: int, **wishes: Any) -> Batch:
    """What at least ``count`` samples of a grid are asked for, codes that a model would draw itself included."""
    model: Any = run.module.model
    batch = wish(run, max(count, model.num_requested_labels or 0, 64), seed, **wishes)[0]
    if batch.label is None and model.num_requested_labels and not model.needs:
        batch.label = torch.arange(batch.size) % model.num_requested_labels
    if codes := getattr(model, "continuous", 0):
        batch.condition = 2 * batch.rng.uniform("continuous code", batch.size, codes) - 1
    return batch


class Words(NamedTuple):
    """What captions are encoded with: the words in order, and the number of tokens of a caption."""

    vocabulary: tuple[str, ...]
    length: int


@dataclass
class Run:
    """A trained model and where it came from.

    Attributes:
        folder: the run folder, the checkpoint's own folder, or that of an export.
        checkpoint: the file that was loaded.
        config: the run's config, plain containers.
        module: networks with the checkpoint's weights, in evaluation mode.
        exported_words: what an export brings to encode captions with.
        exported_classes: the names of classes that an export brings.
        given_source: the data set where the config does not say it.
        data_identity: of the data it was trained on, see `gan_zoo.runs.resume.data_identity`; None if not known.
        other_data: use the data although they are not those that it was trained on.
        may_read: whether its config may name files and downloads: an export's may not, unless it is trusted.
    """

    folder: Path
    checkpoint: Path
    config: dict[str, Any]
    module: GANModule
    exported_words: Words | None = None
    given_source: Source | None = None
    data_identity: dict[str, Any] | None = None
    other_data: bool = False
    may_read: bool = True
    exported_classes: tuple[str, ...] = ()

    @property
    def class_names(self) -> list[str]:
        """The names of the classes that the model is asked for, by number; empty where it is asked for none."""
        if "label" not in self.module.model.needs:
            return []
        names = self.exported_classes or (self.data_identity or {}).get("classes") or ()
        if self.given_source is not None:
            names = self.given_source.classes or ()
        return [str(name) for name in names] if len(names) == self.module.model.num_requested_labels else []

    def class_number(self, label: int | str) -> int:
        """The number of a class that is given by its name or its number.

        Raises:
            ConfigError: if there is no such class.
        """
        names, count = self.class_names, self.module.model.num_requested_labels or 0
        if str(label) in names:
            return names.index(str(label))
        if str(label).isdecimal() and int(label) < count:
            return int(label)
        if not count:
            raise ConfigError(f"--class is for models that are conditioned on a class, this one is not, got {label}")
        named = names and names != [str(number) for number in range(count)]
        listed = f" or one of {', '.join(names[:20])}{' ...' if len(names) > 20 else ''}" if named else ""
        raise ConfigError(f"class must be 0 to {count - 1}{listed}, got {label}")

    @cached_property
    def source(self) -> Source:
        """The run's data set, loaded when it is first asked for.

        Raises:
            ConfigError: if it is not the one that the run was trained on.
        """
        if self.given_source is not None:
            return self.given_source
        from gan_zoo.config.build import build_data
        from gan_zoo.config.compose import as_config

        if not self.may_read:
            refuse_reading(self.config["data"], "--trust (in Python trust=True)")
        source = build_data(as_config(self.config)).source
        if not self.other_data:
            now = data_identity(source, self.config["data"].get("root"))
            check_same_data(self.data_identity, now, "--other-data (in Python other_data=True)")
        return source

    @property
    def reads(self) -> str | None:
        """How it is told captions, see `caption_reader`."""
        return caption_reader(self.module.model.needs, self.config)

    @property
    def words(self) -> Words | None:
        """What captions are encoded with; None where the model is told none."""
        if self.exported_words is not None or self.reads != "words":
            return self.exported_words
        assert self.source.vocabulary is not None
        assert self.source.conditions is not None
        return Words(tuple(self.source.vocabulary), self.source.conditions.shape[1])

    def sample(self, count: int, seed: int = 0, **wishes: Any) -> Tensor:
        """``count`` samples ``[count, ...]`` in [-1, 1], those of ``gan-zoo sample --seed``.

        Args:
            wishes: ``truncation``, ``label``, ``caption``; see `gan_zoo.inference.model.samples`.
        """

        return samples(self, count, seed, **wishes)


def caption_reader(needs: Collection[str], config: Mapping[str, Any]) -> str | None:
    """How a model that ``needs`` this is told captions: as ``words``, as vectors of ``minilm``, or None: it is not."""
    if "text" in needs:
        return "words"
    is_encoded = "vector" in needs and config.get("data", {}).get("text") == "minilm"
    return "minilm" if is_encoded else None
