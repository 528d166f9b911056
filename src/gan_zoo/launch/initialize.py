"""Training that starts from the weights of another run."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from gan_zoo.core.errors import ConfigError
from gan_zoo.runs.checkpoint_io import read_checkpoint
from gan_zoo.runs.folder import RunFolder
from gan_zoo.training.module import GANModule

SIDES = {
    "generator": ("model.generators.", "ema.generators."),
    "discriminator": ("model.discriminators.",),
}


def initialize_from(module: GANModule, run: str, only: str | None = None) -> str:
    """Copy the weights of a run into ``module`` where name and shape are the same; training begins
    at step 0.

    Args:
        module: about to be trained.
        run: a run folder, whose best checkpoint is taken, or a checkpoint.
        only: ``generator`` or ``discriminator``; None for both.

    Returns:
        One line on what was copied.

    Raises:
        ConfigError: if there is no such run, or no weight has the name and shape of one of the
            module's.
    """
    from gan_zoo.inference.load import find_checkpoint

    # What to initialize, and the checkpoint to take it from.
    if only is not None and only not in SIDES:
        raise ConfigError(f"init_only must be null, {' or '.join(SIDES)}, got {only!r}")
    path = Path(run).expanduser()
    if not path.exists():
        raise ConfigError(
            f"init must be a run folder or a checkpoint, got {run!r}, which does not exist"
        )
    checkpoint = find_checkpoint(path)
    RunFolder.of_checkpoint(checkpoint).checkpoints.verify(checkpoint)

    saved = read_checkpoint(checkpoint)["state_dict"]
    current = network_tensors(module, only)

    # Tensors are copied where name and shape agree.
    copied = {
        key: saved[key]
        for key, tensor in current.items()
        if matching_weights(saved.get(key), tensor)
    }
    if not copied:
        raise ConfigError(
            f"init={run} has no weights of the names and shapes of this run's networks"
        )

    # In place: `current` holds the module's own tensors.
    for key, value in copied.items():
        current[key].copy_(value)
    return f"init     {len(copied)} of {len(current)} tensors from {checkpoint}"


def network_tensors(module: GANModule, only: str | None) -> dict[str, Tensor]:
    """Weights and running statistics of the networks of one side, or both.

    Losses and regularizers start with states of their own.
    """
    prefixes = tuple(
        prefix for side, parts in SIDES.items() for prefix in parts if only in (None, side)
    )
    state = module.state_dict()
    return {key: tensor for key, tensor in state.items() if key.startswith(prefixes)}


def matching_weights(saved: object, tensor: Tensor) -> bool:
    """Whether ``saved`` is a tensor of the same shape."""
    return isinstance(saved, Tensor) and saved.shape == tensor.shape
