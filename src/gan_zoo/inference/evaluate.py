"""Metrics of finished runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from gan_zoo.config.build import build_evaluators
from gan_zoo.config.compose import from_dict
from gan_zoo.config.messages import format_error
from gan_zoo.core.errors import DataError
from gan_zoo.core.paths import CONF
from gan_zoo.inference.load import load_run
from gan_zoo.inference.logged_run import log_scores
from gan_zoo.metrics.base import Evaluator, MetricResult
from gan_zoo.runs.folder import RunFolder
from gan_zoo.training.scoring import evaluate_generator


def evaluate_run(
    run: Path,
    overrides: Sequence[str] = (),
    num_samples: int | None = None,
    checkpoint: str = "best",
    trust: bool = False,
    device: str = "auto",
    other_data: bool = False,
) -> list[MetricResult]:
    """Score a finished run and add the scores to its ``metrics.json``.

    Args:
        run: a run folder, or a checkpoint file.
        overrides: ``metric=...`` and ``extractor=...`` instead of the run's own.
        num_samples: samples generated for every score; None for the default of each.
        checkpoint: ``best`` or ``last``.
        trust, device, other_data: as in `load_run`.
    """
    # The run's own evaluators, or those that the overrides describe.
    loaded = load_run(run, checkpoint, device, trust, other_data)
    evaluators = set_num_samples(build_evaluators(from_dict(loaded.config), overrides), num_samples)
    scores = evaluate_generator(loaded.module, loaded.source, evaluators, loaded.config["seed"])

    # The protocol says which weights were scored.
    of = {"checkpoint": loaded.checkpoint.name, "images_seen": loaded.module.clock.images_seen}
    scores = [MetricResult(score.name, score.value, score.protocol | of) for score in scores]

    # Add the scores to those of training.
    try:
        RunFolder(loaded.folder).append_metrics(asdict(score) for score in scores)
    except OSError as error:  # what was computed is still worth printing
        print(f"the scores cannot be saved: {format_error(error, CONF)}", file=sys.stderr)
    log_scores(loaded, scores)
    return scores


def set_num_samples(
    evaluators: dict[str, Evaluator], num_samples: int | None
) -> dict[str, Evaluator]:
    """The evaluators, wanting ``num_samples`` each if that is given."""
    if not evaluators:
        raise DataError("there is nothing to score: add metric=images")
    for evaluator in evaluators.values():
        evaluator.num_samples = num_samples or evaluator.num_samples
    return evaluators


def format_table(scores: Sequence[MetricResult]) -> list[str]:
    """One line for each score, with the numbers of samples."""
    width = max(len(score.name) for score in scores)
    lines = []
    for score in scores:
        # Only some metrics report how many samples they compare.
        counts = {
            "generated": score.protocol.get("num_generated"),
            "real": score.protocol.get("num_real"),
        }
        text = ", ".join(f"{count:,} {what}" for what, count in counts.items() if count)
        lines.append(f"{score.name:<{width}}  {score.value:<10.5g}  {text}")
        if warning := score.protocol.get("warning"):
            lines.append(f"{'':<{width}}  {warning}")
    return lines
