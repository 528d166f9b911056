"""The last lines of a run in the terminal."""

from __future__ import annotations

from pathlib import Path

from lightning.pytorch import Trainer

from gan_zoo.callbacks.diagnostics import Doctor
from gan_zoo.callbacks.evaluation import Evaluation
from gan_zoo.diagnostics.failure_modes import diagnose
from gan_zoo.diagnostics.from_log import summarize_findings
from gan_zoo.runs.folder import RunFolder
from gan_zoo.training.module import GANModule


def print_summary(run: RunFolder, trainer: Trainer, module: GANModule) -> None:
    """Where the run is, how its scores moved, and the image to look at."""
    if not trainer.is_global_zero:
        return

    # Where the run is, and how far it came.
    clock = module.clock
    speed = f"{clock.images_per_second:,.0f} images/s"
    lines = {
        "run": str(_relative(run.path)),
        "trained": f"{clock.images_seen:,} images in {clock.seconds:,.0f} s, {speed}",
    }

    # What metrics and the doctor say.
    for callback in trainer.callbacks:  # type: ignore[attr-defined]
        if isinstance(callback, Evaluation) and callback.history:
            lines |= _metric_histories(callback.history)
            # Each of them once, whichever scores they belong to.
            texts = [str(score.protocol.get("warning", "")) for score in callback.scores]
            warnings = dict.fromkeys(part for text in texts for part in text.split("; ") if part)
            lines |= {"warning": "; ".join(warnings)} if warnings else {}
        if isinstance(callback, Doctor) and callback.history:
            lines["doctor"] = summarize_findings(callback.history, diagnose(callback.history))

    # Classes that have names, the first ten of them.
    names = (module.metadata.get("data") or {}).get("classes")
    if (
        names
        and names != [str(number) for number in range(len(names))]
        and "label" in module.model.needs
    ):
        listed = [f"{number} {name}" for number, name in enumerate(names[:10])]
        lines["classes"] = ", ".join(listed) + (
            f" and {len(names) - 10} more" if len(names) > 10 else ""
        )

    # Files to look at.
    images = run.sample_grids()
    if images:
        lines["image"] = str(_relative(images[-1]))
    if run.report.is_file():
        lines["report"] = str(_relative(run.report))

    # Names and texts in two columns.
    width = max(map(len, lines))
    for name, text in lines.items():
        print(f"{name:<{width}}  {text}")


def _metric_histories(history: list[dict[str, float]]) -> dict[str, str]:
    """For each score the first value and the last four."""
    courses = {}
    for name in (name for name in history[-1] if name.startswith("val/")):
        values = [f"{entry[name]:.4g}" for entry in history if name in entry]
        shown = values if len(values) <= 5 else [values[0], "...", *values[-4:]]
        courses[name.removeprefix("val/")] = " -> ".join(shown)
    return courses


def _relative(path: Path) -> Path:
    return path.relative_to(Path.cwd()) if path.is_relative_to(Path.cwd()) else path
