"""Finished runs: from a run folder back to its networks and data."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from gan_zoo.data.source import Source
from gan_zoo.errors import CompositionError
from gan_zoo.hub import address, fetched
from gan_zoo.module import GANModule
from gan_zoo.resuming import check_same_data, data_identity, read_checkpoint
from gan_zoo.store import store_of
from gan_zoo.trust import refuse_foreign, refuse_interpolations, refuse_other_kinds, refuse_reading

CHECKPOINTS = ("best", "last")
BUILT = (
    "model",
    "generator",
    "discriminator",
    "loss",
    "regularizer",
    "augment",
    "optim",
    "data",
    "metric",
    "extractor",
)


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
        data_identity: of the data it was trained on, see `gan_zoo.resuming.data_identity`; None where it is not known.
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
        if "label" not in self.module.game.needs:
            return []
        names = self.exported_classes or (self.data_identity or {}).get("classes") or ()
        if self.given_source is not None:
            names = self.given_source.classes or ()
        return [str(name) for name in names] if len(names) == self.module.game.num_intents else []

    def class_number(self, label: int | str) -> int:
        """The number of a class that is given by its name or its number.

        Raises:
            CompositionError: if there is no such class.
        """
        names, count = self.class_names, self.module.game.num_intents or 0
        if str(label) in names:
            return names.index(str(label))
        if str(label).isdecimal() and int(label) < count:
            return int(label)
        allowed = f"0 to {count - 1}" if count else "nothing: this model is asked for no class"
        listed = f" or one of {', '.join(names[:20])}{' ...' if len(names) > 20 else ''}" if names else ""
        raise CompositionError(f"class must be {allowed}{listed}, got {label}")

    @cached_property
    def source(self) -> Source:
        """The run's data set, loaded when it is first asked for.

        Raises:
            CompositionError: if it is not the one that the run was trained on.
        """
        if self.given_source is not None:
            return self.given_source
        from gan_zoo.build import build_data
        from gan_zoo.compose import as_config

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
        return caption_reader(self.module.game.needs, self.config)

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
            wishes: ``truncation``, ``label``, ``caption``; see `gan_zoo.sampling.samples`.
        """
        from gan_zoo.sampling import samples

        return samples(self, count, seed, **wishes)


def caption_reader(needs: Collection[str], config: Mapping[str, Any]) -> str | None:
    """How a game that ``needs`` this is told captions: as ``words``, as vectors of ``minilm``, or None: it is not."""
    if "text" in needs:
        return "words"
    is_encoded = "vector" in needs and config.get("data", {}).get("text") == "minilm"
    return "minilm" if is_encoded else None


def best_device(name: str = "auto") -> torch.device:
    """The device called ``name``; ``auto`` is the first GPU, Apple's GPU or the CPU.

    Raises:
        CompositionError: if there is no such device here.
    """
    if name == "auto":
        has_mps = torch.backends.mps.is_available()
        name = "cuda" if torch.cuda.is_available() else "mps" if has_mps else "cpu"
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise CompositionError(
            f"--device must be auto, cpu, cuda, cuda:1, ... or mps, got {name!r}, which is not here"
        ) from error
    return device


def load_run(
    run: str | Path,
    checkpoint: str = "best",
    device: torch.device | str = "auto",
    trust: bool = False,
    other_data: bool = False,
) -> Run:
    """The trained model of a run folder.

    Args:
        run: a run folder, a checkpoint file, the folder of an export, or ``hf://user/name`` for one on the hub.
        checkpoint: ``best`` or ``last``; ``best`` falls back on ``last`` where nothing was scored.
        device: where the networks go; ``auto`` is the best there is.
        trust: build classes from outside gan_zoo that the run's config names. They run code: only for runs you trust.
        other_data: use the run's data although they are not those that it was trained on.

    Raises:
        CompositionError: if there is no checkpoint, it is damaged, or its config names what is not trusted.
    """
    device = best_device(device) if isinstance(device, str) else device
    if (name := address(run)) is not None:
        run = fetched(name)
    run = Path(run).expanduser()
    if (Path(run) / "model.json").is_file():
        from gan_zoo.exporting import load

        return load(run, device, trust)
    path = find_checkpoint(Path(run), checkpoint)
    folder = path.parent.parent if path.parent.name == "checkpoints" else path.parent
    store_of(folder).verify(path)
    saved = read_checkpoint(path)
    config = saved["gan_zoo"]["config"]
    if not isinstance(config, dict):
        raise CompositionError(f"{path} holds no config of gan_zoo, but a {type(config).__name__}")
    try:
        module = built(config, trust)
    except CompositionError:
        raise
    except Exception as error:  # what a changed config makes constructors raise is not foreseeable
        reason = " ".join(str(error).split())
        raise CompositionError(f"{path} cannot be opened, its config cannot be built: {reason}") from error
    try:
        module.load_state_dict(saved["state_dict"])
    except (RuntimeError, TypeError, AttributeError) as error:
        raise CompositionError(
            f"{path} does not fit the networks of its config: another version of gan_zoo?"
        ) from error
    module.clock.load_state_dict(saved["gan_zoo"]["clock"])
    module.metadata["provenance"] = saved["gan_zoo"]["provenance"]
    identity = saved["gan_zoo"].get("data")
    return Run(folder, path, config, module.to(device).eval(), data_identity=identity, other_data=other_data)


def built(config: Mapping[str, Any], trust: bool) -> GANModule:
    """The module that a config from a file describes; `CompositionError` if it names code that is not trusted."""
    from gan_zoo.build import build_module
    from gan_zoo.compose import CONF, as_config, reach_own_parts

    refuse_interpolations(dict(config))
    remedy = "--trust (in Python trust=True)"
    if trust:
        reach_own_parts(dict(config))
    else:
        refuse_foreign([config.get(group) for group in BUILT], CONF, remedy)
        for group in ("model", "generator", "discriminator", "encoder", "condition", "loss", "regularizer", "augment"):
            refuse_other_kinds(config.get(group), group, remedy)
    try:
        return build_module(as_config(config))
    except ImportError as error:
        raise CompositionError(f"the run's config names code that is not here: {error}") from error


def find_checkpoint(run: Path, checkpoint: str = "best") -> Path:
    """The checkpoint file of a run folder."""
    if checkpoint not in CHECKPOINTS:
        raise CompositionError(f"checkpoint must be one of {', '.join(CHECKPOINTS)}, got {checkpoint!r}")
    if run.is_file():
        return run
    if not run.is_dir():
        raise CompositionError(f"RUN must be a run folder or a checkpoint file, got {str(run)!r}, which does not exist")
    for name in (checkpoint, "last", "best"):
        if (path := run / "checkpoints" / f"{name}.ckpt").is_file():
            return path
    raise CompositionError(f"{run} has no checkpoints/{checkpoint}.ckpt: is it the folder of a run that saved one?")
