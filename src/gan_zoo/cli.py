"""The command ``gan-zoo``."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

from gan_zoo.output import never_blocking

app = typer.Typer(no_args_is_help=True, add_completion=False, help="A research framework for GAN variants.")
EXTRAS = {
    "gradio": "explore",
    "optuna": "sweep",
    "onnxruntime": "onnx",
    "onnxscript": "onnx",
    "onnx": "onnx",
    "huggingface_hub": "hub",
    "imageio_ffmpeg": "mp4",
}
PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}

RunPath = Annotated[Path, typer.Argument(metavar="RUN", help="A run folder, a checkpoint, or an export.")]
Checkpoint = Annotated[str, typer.Option(help="best or last.")]
Trust = Annotated[bool, typer.Option("--trust", help="Build classes from outside gan_zoo that the run names.")]
Device = Annotated[str, typer.Option(help="auto: the best there is; or cpu, cuda, cuda:1, mps.")]
OtherData = Annotated[bool, typer.Option("--other-data", help="Use data that the run was not trained on.")]
Seed = Annotated[int, typer.Option(help="The same seed gives the same pictures.", min=0)]


def guarded(command: Callable[..., None]) -> Callable[..., None]:
    """``command``, where what a user can put right is one line on stderr and exit code 1."""

    @wraps(command)
    def run(*arguments: Any, **options: Any) -> None:
        from gan_zoo.compose import CONF
        from gan_zoo.errors import explain, is_usage_error
        from gan_zoo.quiet import quiet
        from gan_zoo.signals import Interrupted

        quiet()
        options = {name: with_home(value) for name, value in options.items()}
        try:
            command(*arguments, **options)
        except (Interrupted, KeyboardInterrupt) as stop:
            raise typer.Exit(stop.exit_code if isinstance(stop, Interrupted) else 130) from None
        except ModuleNotFoundError as error:
            if error.name not in EXTRAS:
                raise
            typer.echo(f"error: this needs {error.name}: pip install 'gan-zoo[{EXTRAS[error.name]}]'", err=True)
            raise typer.Exit(1) from error
        except Exception as error:
            if isinstance(error, typer.Exit) or not is_usage_error(error):
                raise
            typer.echo(f"error: {explain(error, CONF)}", err=True)
            raise typer.Exit(1) from error

    return run


def with_home(value: Any) -> Any:
    """Paths that begin with ``~``, which a shell leaves there in ``--out=~/x``, in the home folder."""
    if isinstance(value, Path):
        return value.expanduser()
    return [with_home(one) for one in value] if isinstance(value, list) else value


@app.callback()
def _root() -> None:
    """A research framework for GAN variants."""


@app.command(context_settings=PASS_ON)
def train(context: typer.Context) -> None:
    """Compose a GAN and train it: gan-zoo train [overrides], the same as python train.py."""
    from gan_zoo import run

    # Hydra, and processes that are started for further ranks, read the command from sys.argv.
    sys.argv = [str(Path(run.__file__)), *context.args]
    run.main()


@app.command()
@guarded
def sample(
    run: RunPath,
    out: Annotated[Path | None, typer.Option(help="A PNG; of walks also .gif or .mp4; with --count a folder.")] = None,
    what: Annotated[str, typer.Option(help="grid, walk (--linear), traverse, arithmetic (--plus, --minus).")] = "grid",
    count: Annotated[int | None, typer.Option(help="Write so many single pictures.", min=1)] = None,
    size: Annotated[int, typer.Option(help="Samples in a grid.", min=1)] = 64,
    seed: Seed = 0,
    label: Annotated[str | None, typer.Option("--class", help="Ask for this class (name or number) or code.")] = None,
    caption: Annotated[str | None, typer.Option(help="Ask for this caption.")] = None,
    truncation: Annotated[float | None, typer.Option(help="Latents within +- so many deviations.")] = None,
    linear: Annotated[bool, typer.Option("--linear", help="Walk along straight lines.")] = False,
    plus: Annotated[str, typer.Option(help="Numbers of samples in the grid: 3,7.")] = "0,1",
    minus: Annotated[str, typer.Option(help="Numbers of samples in the grid.")] = "2",
    checkpoint: Checkpoint = "best",
    device: Device = "auto",
    other_data: OtherData = False,
    trust: Trust = False,
) -> None:
    """Draw from a trained generator: grids, walks between samples, code traversals, latent arithmetic, folders."""
    from gan_zoo import sampling
    from gan_zoo.data.source import DataError
    from gan_zoo.films import FORMATS, animation
    from gan_zoo.pictures import grid_of, save
    from gan_zoo.runs import load_run

    if what not in ("grid", "walk", "traverse", "arithmetic"):
        raise DataError(f"--what must be one of grid, walk, traverse, arithmetic, got {what!r}")
    if what != "grid" and truncation is not None:
        raise DataError(f"--truncation goes with grids and --count, got --what {what}")
    if what in ("traverse", "arithmetic") and (label is not None or caption is not None):
        raise DataError(f"--class and --caption go with grids, walks and --count, got --what {what}")
    loaded = load_run(run, checkpoint, device, trust, other_data)
    target = out or loaded.folder / "drawn" / (f"{count}-of-seed-{seed}" if count else f"{what}-{seed}.png")
    if count is not None:
        sampling.export_folder(loaded, target, count, seed, truncation, label=label, caption=caption)
    elif what == "grid":
        save(sampling.grid(loaded, size, seed, truncation, label=label, caption=caption), target)
    elif what == "arithmetic":
        save(grid_of(sampling.arithmetic(loaded, numbers(plus), numbers(minus), seed), 8), target)
    else:
        walk = sampling.walk(loaded, seed, spherical=not linear, label=label, caption=caption)
        frames = walk if what == "walk" else sampling.traverse(loaded, seed)
        if target.suffix in FORMATS:
            animation(frames, target)
        else:
            save(grid_of(frames.flatten(0, 1), frames.shape[1]), target)
    typer.echo(target)


@app.command()
@guarded
def translate(
    run: RunPath,
    source: Annotated[Path, typer.Argument(metavar="IN", help="A folder of pictures.")],
    target: Annotated[Path, typer.Argument(metavar="OUT", help="Where the translations go, under the same names.")],
    direction: Annotated[str, typer.Option(help="forward or backward (CycleGAN).")] = "forward",
    full_size: Annotated[bool, typer.Option("--full-size", help="Do not resize to the training size.")] = False,
    checkpoint: Checkpoint = "best",
    device: Device = "auto",
    trust: Trust = False,
) -> None:
    """Send a folder of pictures through a trained CycleGAN or pix2pix."""
    from gan_zoo.runs import load_run
    from gan_zoo.translating import listed, translate_folder

    loaded = load_run(run, checkpoint, device, trust)
    written, failed = translate_folder(loaded, source, target, direction, full_size)
    typer.echo(f"{written} pictures in {target}")
    if failed:
        for line in listed(failed, written + len(failed)):
            typer.echo(line, err=True)
        raise typer.Exit(1)


@app.command()
@guarded
def explore(
    run: RunPath,
    port: Annotated[int | None, typer.Option(help="Default: the first free one from 7860.", min=1, max=65535)] = None,
    browser: Annotated[bool, typer.Option(help="Open a browser.")] = True,
    checkpoint: Checkpoint = "best",
    device: Device = "auto",
    trust: Trust = False,
) -> None:
    """Play with a trained model on a local web page: samples, directions, walks, translation, the run's curves."""
    from gan_zoo.runs import load_run

    loaded = load_run(run, checkpoint, device, trust)
    from gan_zoo.web.server import explore

    explore(loaded, port, browser)


@app.command()
@guarded
def export(
    run: RunPath,
    out: Annotated[Path, typer.Argument(metavar="OUT", help="A new folder.")],
    onnx: Annotated[bool, typer.Option("--onnx", help="Also write ONNX files, checked against torch.")] = False,
    push: Annotated[str | None, typer.Option(metavar="USER/NAME", help="Upload it to the Hugging Face hub.")] = None,
    private: Annotated[bool, typer.Option("--private", help="Only for you, if --push makes it new.")] = False,
    checkpoint: Checkpoint = "best",
    device: Device = "auto",
    trust: Trust = False,
) -> None:
    """Write a trained generator to give away: safetensors, JSON, a model card; gan_zoo.load(OUT) gives it back."""
    from gan_zoo import exporting, hub
    from gan_zoo.runs import load_run

    name = None if push is None else hub.check_push(push)
    typer.echo(exporting.export(load_run(run, checkpoint, device, trust), out, onnx=onnx))
    if name is not None:
        typer.echo(hub.push(out, name, private))


@app.command()
@guarded
def evaluate(
    run: Annotated[Path | None, typer.Argument(metavar="RUN", help="A run folder, or a checkpoint file.")] = None,
    overrides: Annotated[list[str] | None, typer.Argument(metavar="[metric=...] [extractor=...]")] = None,
    folder: Annotated[Path | None, typer.Option(help="Score this folder of pictures instead of a run.")] = None,
    against: Annotated[Path | None, typer.Option(help="The folder of real pictures.")] = None,
    num_samples: Annotated[int | None, typer.Option(help="Generated for every score.", min=2)] = None,
    image_size: Annotated[int, typer.Option(help="Of --folder and --against.", min=8)] = 64,
    checkpoint: Checkpoint = "best",
    device: Device = "auto",
    other_data: OtherData = False,
    trust: Trust = False,
) -> None:
    """Score a finished run (EMA weights, into its metrics.json), or one folder of pictures against another."""
    from gan_zoo import evaluating
    from gan_zoo.errors import CompositionError

    if folder is not None or against is not None:
        wishes = [*([str(run)] if run is not None else []), *(overrides or [])]
        scores = evaluating.compare_folders(folder, against, wishes, num_samples, image_size, device)
    elif run is None:
        raise CompositionError("RUN, or --folder and --against, must be given")
    else:
        scores = evaluating.evaluate_run(run, overrides or [], num_samples, checkpoint, trust, device, other_data)
    for line in evaluating.table(scores):
        typer.echo(line)


@app.command()
@guarded
def sweep(
    overrides: Annotated[list[str], typer.Argument(metavar="OVERRIDES", help="As for train; some of them vary.")],
    out: Annotated[Path | None, typer.Option(help="The study's folder; a study that is there goes on.")] = None,
    trials: Annotated[int, typer.Option(help="How many there shall be in all.", min=1)] = 20,
    jobs: Annotated[int, typer.Option(help="Side by side on this machine.", min=1)] = 1,
    score: Annotated[str | None, typer.Option(help="What decides; default: the metric's first score.")] = None,
    maximize: Annotated[bool, typer.Option("--maximize", help="More of --score is better.")] = False,
    sampler: Annotated[str, typer.Option(help="tpe or random.")] = "tpe",
    prune: Annotated[bool, typer.Option(help="Give up trials that are worse than the median.")] = True,
    seed: Annotated[int, typer.Option(help="Of the sampler.", min=0)] = 0,
    config_dir: Annotated[Path | None, typer.Option(help="A folder with configs of your own.")] = None,
) -> None:
    """Search with Optuna: gan-zoo sweep loss=hinge,rpgan 'optim.generator.lr=tag(log,interval(1e-5,1e-3))'."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from gan_zoo.searching import Search, default_score
    from gan_zoo.spaces import space_of

    space = space_of(overrides)
    judge = default_score(space, config_dir)
    target = out or Path("sweeps") / time.strftime("%Y-%m-%d_%H-%M-%S")
    search = Search(target, space, *((score, maximize) if score else judge), prune, sampler, seed)
    try:
        search.run(trials, jobs, ["--config-dir", str(config_dir)] if config_dir else [])
    finally:
        table = Table("trial", "state", escape(search.score), "values")
        for row in search.rows():
            table.add_row(*map(escape, row))
        Console().print(table)
    typer.echo(f"{target}: all of it by gan-zoo compare {target}, the best again by")
    typer.echo(search.best_command() or "nothing, as no trial has finished")


@app.command()
@guarded
def compare(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR...", help="Folders with runs in them.")],
    out: Annotated[Path | None, typer.Option(help="Also write a .html, .md or .csv file, by its ending.")] = None,
) -> None:
    """Put many runs into one table: means, spreads, failures, speed, the doctor's word, with --out as a file."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    from gan_zoo import comparing, comparing_files

    groups = comparing.grouped(comparing.find_runs(folders))
    text = None if out is None else comparing_files.rendered(groups, out.suffix)
    header, rows = comparing.rows_of(groups)
    table = Table()
    for name in header:
        table.add_column(escape(name), overflow="fold")
    for row in rows:
        table.add_row(*map(escape, row))
    Console().print(table)
    if out is not None and text is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
        out.write_text(text)
        typer.echo(out)


@app.command()
@guarded
def doctor(run: Annotated[Path, typer.Argument(metavar="RUN", help="A run folder with a metrics.csv.")]) -> None:
    """Say what went wrong with a run, since when, and which override to try; exit code 0 either way."""
    from gan_zoo.doctor.verdicts import diagnose_run, verdict
    from gan_zoo.errors import CompositionError

    if not (run / "metrics.csv").is_file():
        missing = "has no metrics.csv" if run.is_dir() else "does not exist"
        raise CompositionError(f"RUN must be a run folder, got {str(run)!r}, which {missing}")
    history, findings = diagnose_run(run)
    for finding in findings:
        typer.echo(f"{finding}{'' if finding.lasting else ' (later no more)'}")
    if not findings:
        typer.echo(verdict(history, findings))


def numbers(text: str) -> list[int]:
    """``3,7`` as [3, 7]."""
    from gan_zoo.errors import CompositionError

    try:
        return [int(part) for part in text.split(",") if part.strip()]
    except ValueError:
        raise CompositionError(f"--plus and --minus must be numbers like 3,7, got {text!r}") from None


def main() -> None:
    """The entry point; whether anybody reads the output does not matter."""
    never_blocking()
    app()


if __name__ == "__main__":
    main()
