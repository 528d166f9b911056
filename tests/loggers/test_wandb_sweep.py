"""The search that ``wandb agent`` runs: its commands are commands of this project."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import yaml

from gan_zoo.config.compose import compose_overrides

SWEEP = Path(__file__).parents[2] / "experiments" / "sweeps" / "wandb.yaml"


def sweep() -> dict[str, Any]:
    config: dict[str, Any] = yaml.safe_load(SWEEP.read_text(encoding="utf-8"))
    return config


def ends(parameter: dict[str, Any]) -> list[Any]:
    """The values of a parameter, or both ends of its range."""
    if "value" in parameter:
        return [parameter["value"]]
    return parameter.get("values") or [parameter["min"], parameter["max"]]


def arguments(values: dict[str, Any]) -> list[str]:
    """The command as the agent fills it: ``${args_no_hyphens}`` is ``key=value`` for each."""
    filled = []
    for word in sweep()["command"][3:]:
        if word == "${args_no_hyphens}":
            filled += [f"{key}={value}" for key, value in values.items()]
        else:
            filled.append(word)
    return filled


def test_the_agent_starts_train_py() -> None:
    config = sweep()
    assert config["command"][:3] == ["${env}", "${interpreter}", "${program}"]
    assert config["program"] == "train.py"
    assert (SWEEP.parents[2] / config["program"]).is_file()


def test_every_choice_composes() -> None:
    names, choices = zip(*((k, ends(v)) for k, v in sweep()["parameters"].items()), strict=True)
    combinations = list(itertools.product(*choices))
    for values in (combinations[0], combinations[-1], combinations[len(combinations) // 2]):
        config = compose_overrides(arguments(dict(zip(names, values, strict=True))))
        assert config.logger.wandb.project == sweep()["project"]
        assert (
            config.trainer.max_steps == dict(zip(names, values, strict=True))["trainer.max_steps"]
        )


def test_the_objective_is_what_evaluations_log() -> None:
    config = compose_overrides([f"model={sweep()['parameters']['model']['value']}"])
    assert sweep()["metric"] == {"name": "val/fd_efficientnet_lite0", "goal": "minimize"}
    assert list(config.metric) == ["images"]
    assert config.extractor._target_.endswith("EfficientNetLite0")
