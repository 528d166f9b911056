"""What is done with a run after training, in the place where its training was logged."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gan_zoo.core.guard import survived
from gan_zoo.inference.model import LoadedModel
from gan_zoo.loggers.wandb import finished_run, log_export
from gan_zoo.metrics.base import MetricResult
from gan_zoo.runs.folder import RunFolder


def log_scores(loaded: LoadedModel, scores: Sequence[MetricResult]) -> None:
    """Scores into the summary of the run in Weights & Biases, as ``evaluation/...``, and their
    protocols into its config, if it was logged there online; a failure is reported.
    """
    with (
        survived("adding the scores to Weights & Biases", "they are in metrics.json"),
        finished_run(loaded.folder, _options(loaded)) as run,
    ):
        if run is not None:
            run.summary.update({f"evaluation/{score.name}": score.value for score in scores})
            protocols = {score.name: score.protocol for score in scores}
            run.config.update({"evaluation": protocols}, allow_val_change=True)


def log_exported(loaded: LoadedModel, folder: Path) -> None:
    """An export as an artifact that comes from the run's model, if the run uploaded that to Weights
    & Biases (``logger.wandb.log_model=true``); a failure is reported.
    """
    options = _options(loaded)
    if not options.get("log_model"):
        return
    with (
        survived("adding the export to Weights & Biases", f"it is in {folder}"),
        finished_run(loaded.folder, options) as run,
    ):
        if run is not None:
            log_export(run, folder, loaded.checkpoint.stem)


def _options(loaded: LoadedModel) -> Mapping[str, Any]:
    """The options of the run's logger; offline for a run that is training, as only one process
    can write to it.
    """
    if RunFolder(loaded.folder).is_training:
        return {"offline": True}
    return (loaded.config.get("logger") or {}).get("wandb") or {}
