"""What the commands share."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import Annotated, Any

import typer

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="A research framework for GAN variants."
)
EXTRAS = {
    "gradio": "explore",
    "optuna": "sweep",
    "onnxruntime": "onnx",
    "onnxscript": "onnx",
    "onnx": "onnx",
    "huggingface_hub": "hub",
    "imageio_ffmpeg": "mp4",
    "wandb_workspaces": "dashboard",
    "ray": "ray",
    "litdata": "streaming",
}
PASS_THROUGH = {"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}

RunPath = Annotated[
    Path, typer.Argument(metavar="RUN", help="A run folder, a checkpoint, or an export.")
]
Checkpoint = Annotated[str, typer.Option(help="best or last.")]
Trust = Annotated[
    bool, typer.Option("--trust", help="Build classes from outside gan_zoo that the run names.")
]
Device = Annotated[str, typer.Option(help="auto: the best there is; or cpu, cuda, cuda:1, mps.")]
OtherData = Annotated[
    bool, typer.Option("--other-data", help="Use data that the run was not trained on.")
]
Seed = Annotated[int, typer.Option(help="The same seed gives the same images.", min=0)]


def handle_errors(command: Callable[..., None]) -> Callable[..., None]:
    """``command``, where what a user can put right is one line on stderr and exit code 1."""

    @wraps(command)
    def run(*arguments: Any, **options: Any) -> None:
        from gan_zoo.config.messages import format_error, is_usage_error
        from gan_zoo.core.errors import Interrupted
        from gan_zoo.core.paths import CONF
        from gan_zoo.core.warning_filters import quiet

        quiet()
        options = {name: with_home(value) for name, value in options.items()}
        try:
            command(*arguments, **options)
        except (Interrupted, KeyboardInterrupt) as stop:
            # Stopped by a signal, or by Ctrl-C outside of our handlers.
            raise typer.Exit(stop.exit_code if isinstance(stop, Interrupted) else 130) from None
        except ModuleNotFoundError as error:
            # Packages of our extras come with advice; any other one is a bug.
            if error.name not in EXTRAS:
                raise
            typer.echo(
                f"error: this needs {error.name}: pip install 'gan-zoo[{EXTRAS[error.name]}]'",
                err=True,
            )
            raise typer.Exit(1) from error
        except Exception as error:
            # What the user cannot put right keeps its traceback.
            if isinstance(error, typer.Exit) or not is_usage_error(error):
                raise
            typer.echo(f"error: {format_error(error, CONF)}", err=True)
            raise typer.Exit(1) from error

    return run


def exit_if_failed(failed: dict[Path, Exception], total: int) -> None:
    """Name the images of ``total`` that could not be read, and exit with 1 if there are any."""
    from gan_zoo.inference.translate import format_failures

    # They do not stop the others, but the command has failed.
    if failed:
        for line in format_failures(failed, total):
            typer.echo(line, err=True)
        raise typer.Exit(1)


def with_home(value: Any) -> Any:
    """Paths that begin with ``~``, which a shell leaves there in ``--out=~/x``, in the home
    folder.
    """
    if isinstance(value, Path):
        return value.expanduser()
    return [with_home(one) for one in value] if isinstance(value, list) else value
