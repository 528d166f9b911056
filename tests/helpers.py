"""Commands that tests give, and what they hand to a run on the command line."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback
from torch import nn
from typer.testing import CliRunner

from gan_zoo.cli.app import app
from gan_zoo.metrics.base import EvaluatedModel


class DumpRank(Callback):
    """Writes every rank's weights and the latents it saw, to compare."""

    def __init__(self, folder: str) -> None:
        self.folder, self.latents = Path(folder), []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        self.latents.append(pl_module.model.latents(pl_module.model.request_for(batch)))

    def on_train_end(self, trainer, pl_module) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        state = {"weights": pl_module.state_dict(), "latents": torch.stack(self.latents)}
        torch.save(state, self.folder / f"{trainer.world_size}-{trainer.global_rank}.pt")


def invoke(*arguments: object, exit_code: int = 0) -> str:
    """The output of ``gan-zoo ARGUMENTS``, which must end like this."""
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert done.exit_code == exit_code, done.output
    return done.output


def refused(*arguments: object) -> str:
    """The one line that ``gan-zoo ARGUMENTS`` answers with, exit code 1."""
    output = invoke(*arguments, exit_code=1)
    lines = [line for line in output.splitlines() if line.strip()]
    assert len(lines) == 1, output
    return lines[0]


def sampled(rows: Sequence[str], columns: Sequence[str], step: int = 16) -> list[Any]:
    """Pairs to parametrize a test with: every ``step``-th runs always, the others are slow.

    Each row meets about ``1 / step`` of the columns, and each column as many rows.
    """
    pairs = []
    for i, row in enumerate(rows):
        for j, column in enumerate(columns):
            is_slow = (i + j) % step != 0
            pairs.append(
                pytest.param(
                    row, column, marks=pytest.mark.slow if is_slow else (), id=f"{row}-{column}"
                )
            )
    return pairs


def model_of(conditioning: str = "none", num_requested_labels: int | None = None) -> Any:
    """What a metric reads of a model that is conditioned like this, as `Evaluator.prepare` gets it."""
    model = SimpleNamespace(conditioning=conditioning, num_requested_labels=num_requested_labels)
    return EvaluatedModel(model, nn.ModuleDict())
