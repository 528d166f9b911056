"""The workspace in Weights & Biases, as far as what is sent: there is no server here."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest

pytest.importorskip("wandb_workspaces", reason="the extra dashboard is not installed")

import wandb
from wandb_workspaces.workspaces import internal

from gan_zoo.core.errors import ConfigError
from gan_zoo.loggers import dashboard
from gan_zoo.loggers.sections import SECTIONS
from tests.helpers import invoke, refused

ORDER = ["Training", "Metrics", "Samples", "Diagnosis", "Cost", "Comparison"]


def sections_of(spec: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    sections = spec["section"]["panelBankConfig"]["sections"]
    return {section["name"]: section["panels"] for section in sections}


def made(metric: str = "fid", maximize: bool = False) -> dict[str, list[dict[str, Any]]]:
    workspace = dashboard.build_workspace("me", "gan_zoo", "mine", metric, maximize)
    return sections_of(dashboard.specification(workspace)["spec"])


def test_the_sections_have_charts_over_the_images_seen() -> None:
    panels = made()
    assert list(panels) == ORDER
    for name, charts in SECTIONS.items():
        for chart, panel in zip(charts, panels[name], strict=False):
            config = panel["config"]
            assert config["metricRegex"] == chart.regex
            assert config["useMetricRegex"]
            assert config["xAxis"] == "train/images_seen"
            assert config.get("yLogScale", False) == chart.log_scale
    assert panels["Samples"][0]["config"]["mediaKeys"] == ["samples"]
    memory = [panel["config"] for panel in panels["Cost"][len(SECTIONS["Cost"]) :]]
    assert [config["metrics"] for config in memory] == [
        ["system/proc.memory.rssMB"],
        ["system/gpu.0.memoryAllocatedBytes"],
    ]
    assert {config["xAxis"] for config in memory} == {"_runtime"}


@pytest.mark.parametrize(("maximize", "best"), [(False, "min"), (True, "max")])
def test_runs_are_compared_over_seeds_and_by_their_best_value(maximize: bool, best: str) -> None:
    *groups, parallel, scatter, differences = (
        panel["config"] for panel in made("modes", maximize)["Comparison"]
    )
    assert [group["groupBy"] for group in groups] == [
        "choices.value.setting",
        "choices.value.loss",
        "choices.value.model",
    ]
    for group in groups:
        assert group["metrics"] == ["val/modes"]
        assert (group["groupAgg"], group["groupArea"]) == ("mean", "stddev")
    assert [column["accessor"] for column in parallel["columns"]] == [
        "config:optim.value.discriminator.lr",
        "config:optim.value.generator.lr",
        "config:choices.value.model",
        "config:choices.value.loss",
        f"summary:val/modes.{best}",
    ]
    assert parallel["columns"][-1]["inverted"] != maximize
    assert scatter["xAxis"] == "summary:train/images_per_second"
    assert scatter["yAxis"] == f"summary:val/modes.{best}"
    assert differences == {"diffOnly": True}


def test_what_runs_are_compared_by_is_in_their_config(composed, monkeypatch) -> None:
    from hydra.core.hydra_config import HydraConfig

    from gan_zoo.config import resolvers

    assert resolvers.command_choices() == {}
    chosen = {"model": "gan", "loss": "hinge", "data": "ring"}
    overrides = ["loss=hinge", "seed=3", "optim.generator.lr=1e-3", "logger=wandb"]
    settings = type("Settings", (), {"choices": chosen, "task": overrides})
    settings.runtime = settings.overrides = settings  # type: ignore[attr-defined]
    monkeypatch.setattr(HydraConfig, "initialized", lambda: True)
    monkeypatch.setattr(HydraConfig, "get", lambda: settings)
    setting = "gan-hinge-ring-generator.lr=1e-3"
    assert resolvers.command_choices() == chosen | {"setting": setting}
    assert resolvers.run_name(3) == f"{setting}-s3"

    config = composed("data=ring", "model=gan")
    assert config.optim.generator.lr == config.optim.discriminator.lr == 1e-3


class Server:
    """In the place of wandb.ai: it keeps views and answers the three queries."""

    def __init__(self) -> None:
        self.views: dict[str, dict[str, Any]] = {}
        self.default_entity = "me"

    def answer(self, api: Any, query: str, variables: dict[str, Any]) -> dict[str, Any]:
        if "upsertView" in query:
            view = {
                "id": variables.get("id", f"id{len(self.views)}"),
                "name": variables["name"],
                "displayName": variables["displayName"],
                "spec": variables["spec"],
            }
            self.views[view["name"]] = view
            return {"upsertView": {"view": view, "inserted": True}}
        if (variables.get("project") or variables.get("name")) != "gan_zoo":
            return {"project": None}
        shown = [
            {"node": view}
            for view in self.views.values()
            if variables.get("viewName") in (None, view["name"])
        ]
        return {"project": {"allViews": {"edges": shown}}}


@pytest.fixture
def server(monkeypatch) -> Server:
    there = Server()
    monkeypatch.setattr(wandb, "Api", lambda: there)
    for module in (dashboard, internal):
        monkeypatch.setattr(module, "execute_graphql", there.answer)
    monkeypatch.setattr(dashboard, "get_app_url", lambda api: "https://wandb.example")
    monkeypatch.setattr(
        "wandb_workspaces.workspaces.interface.get_app_url", lambda api: "https://wandb.example"
    )
    return there


def test_a_workspace_is_made_and_then_updated(server: Server) -> None:
    first = invoke("dashboard", "gan_zoo", "--name", "mine").splitlines()[-1]
    (view,) = server.views.values()
    assert view["displayName"] == "mine"
    assert first.startswith("https://wandb.example/me/gan_zoo?nw=")

    # What a user changed beside the sections stays.
    spec = json.loads(view["spec"])
    spec["section"]["runSets"][0]["search"]["query"] = "hinge"
    spec["section"]["panelBankConfig"]["sections"] = []
    view["spec"] = json.dumps(spec)
    assert invoke("dashboard", "gan_zoo", "--name", "mine").splitlines()[-1] == first
    (again,) = server.views.values()
    updated = json.loads(again["spec"])
    assert again["id"] == view["id"]
    assert list(sections_of(updated)) == ORDER
    assert updated["section"]["runSets"][0]["search"]["query"] == "hinge"

    invoke("dashboard", "me/gan_zoo", "--name", "other")
    assert {view["displayName"] for view in server.views.values()} == {"mine", "other"}


def test_a_dry_run_prints_what_would_be_sent(monkeypatch) -> None:
    monkeypatch.setattr(wandb, "Api", lambda: pytest.fail("a dry run needs no server"))
    printed = invoke("dashboard", "team/gan_zoo", "--dry-run", "--metric", "val/fid")
    sent = json.loads(printed)
    assert (sent["entity"], sent["project"], sent["name"]) == ("team", "gan_zoo", "gan_zoo")
    assert list(sections_of(sent["spec"])) == ORDER
    assert "val/val/" not in printed


def test_what_a_user_can_put_right_is_one_line(server: Server, monkeypatch) -> None:
    with pytest.raises(ConfigError, match="PROJECT must be ENTITY/PROJECT or PROJECT, got '/a'"):
        dashboard.parse_project("/a")
    for wrong in ("", "a/", "a/b/c", "a b#"):
        with pytest.raises(ConfigError):
            dashboard.parse_project(wrong)
    assert "no project me/elsewhere on https://wandb.example" in refused("dashboard", "elsewhere")

    def no_key() -> None:
        raise wandb.errors.UsageError("No API key configured.")

    monkeypatch.setattr(wandb, "Api", no_key)
    assert refused("dashboard", "a") == "error: Weights & Biases: No API key configured."

    monkeypatch.delattr("gan_zoo.loggers.dashboard")
    for name in list(sys.modules):
        if name == "gan_zoo.loggers.dashboard" or name.startswith("wandb_workspaces."):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "wandb_workspaces", None)
    assert refused("dashboard", "a") == (
        "error: this needs wandb_workspaces: pip install 'gan-zoo[dashboard]'"
    )
