"""A workspace in Weights & Biases with the sections of `gan_zoo.loggers.sections`."""

from __future__ import annotations

import json
from typing import Any

import wandb
from wandb_workspaces import workspaces as ws
from wandb_workspaces._graphql import execute_graphql, get_app_url
from wandb_workspaces.reports import v2 as wr

from gan_zoo.core.errors import ConfigError
from gan_zoo.loggers.sections import (
    IMAGES_PER_SECOND,
    IMAGES_SEEN,
    MEMORY,
    SAMPLES,
    SECTIONS,
    Chart,
)

VIEWS = """
query Views($entity: String, $project: String) {
  project(name: $project, entityName: $entity) {
    allViews(viewType: "project-view") { edges { node { name displayName } } }
  }
}
"""


def build_workspace(
    entity: str, project: str, name: str, metric: str, maximize: bool = False
) -> ws.Workspace:
    """The workspace, which nothing was sent of yet.

    Args:
        entity: a user or a team.
        project: of the runs.
        name: of the workspace.
        metric: what runs are compared by, the main metric of an evaluator, such as
            ``fd_efficientnet_lite0``.
        maximize: more of it is better.
    """
    # The charts of each section of our logs, then what is no line plot over images seen.
    panels: dict[str, list[Any]] = {
        section: [line_plot(chart) for chart in charts] for section, charts in SECTIONS.items()
    }
    panels["Samples"] = [wr.MediaBrowser(title="Samples", media_keys=[SAMPLES], num_columns=2)]
    panels["Cost"] += [
        wr.LinePlot(title=title, x="RelativeTime(Process)", y=[key])
        for title, key in MEMORY.items()
    ]
    panels["Comparison"] = comparison(metric, maximize)

    # In the order in which one looks at a run.
    order = ("Training", "Metrics", "Samples", "Diagnosis", "Cost", "Comparison")
    return ws.Workspace(
        entity=entity,
        project=project,
        name=name,
        sections=[ws.Section(name=title, panels=panels[title], is_open=True) for title in order],
        settings=ws.WorkspaceSettings(x_axis=IMAGES_SEEN),
    )


def line_plot(chart: Chart) -> wr.LinePlot:
    """A chart over the images seen."""
    return wr.LinePlot(
        title=chart.title,
        x=IMAGES_SEEN,
        metric_regex=chart.regex,
        log_y=chart.log_scale or None,
    )


def comparison(metric: str, maximize: bool) -> list[Any]:
    """Panels that compare runs by one metric: mean and standard deviation over seeds, and the best
    value of each run beside its settings and its speed.
    """
    groups = {
        "setting": "model, loss, data and overrides",
        "loss": "loss",
        "model": "model",
    }
    over_seeds = [
        wr.LinePlot(
            title=f"{metric} by {words}: mean and standard deviation",
            x=IMAGES_SEEN,
            y=[f"val/{metric}"],
            groupby=wr.Config(f"choices.{group}"),
            groupby_aggfunc="mean",
            groupby_rangefunc="stddev",
            max_runs_to_show=50,
        )
        for group, words in groups.items()
    ]

    # The summary keeps the best value; up is better on its axis.
    column = wr.ParallelCoordinatesPlotColumn
    best = wr.SummaryMetric(f"val/{metric}.{'max' if maximize else 'min'}")
    columns = [
        column(metric=wr.Config("optim.discriminator.lr"), log=True),
        column(metric=wr.Config("optim.generator.lr"), log=True),
        column(metric=wr.Config("choices.model")),
        column(metric=wr.Config("choices.loss")),
        column(metric=best, display_name=f"best {metric}", inverted=not maximize),
    ]
    return [
        *over_seeds,
        wr.ParallelCoordinatesPlot(title="Learning rates, parts and metric", columns=columns),
        wr.ScatterPlot(
            title=f"Best {metric} and speed", x=wr.SummaryMetric(IMAGES_PER_SECOND), y=best
        ),
        wr.RunComparer(diff_only=True),
    ]


def specification(workspace: ws.Workspace) -> dict[str, Any]:
    """What is sent, as plain data."""
    # The library's own model of the page, as it would be sent.
    view = workspace._to_model()
    return {
        "entity": view.entity,
        "project": view.project,
        "name": view.display_name,
        "spec": json.loads(view.spec.model_dump_json(by_alias=True, exclude_none=True)),
    }


def save_workspace(workspace: ws.Workspace) -> str:
    """Make the workspace, or replace the sections of the one of its name, and return its address.

    Raises:
        ConfigError: if the project cannot be found, or the server cannot be reached or refuses.
    """
    try:
        return _save(workspace)
    except Exception as error:
        # The client's exceptions have no base class in common.
        if not type(error).__module__.startswith("wandb."):
            raise
        raise ConfigError(f"Weights & Biases: {error}") from error


def _save(workspace: ws.Workspace) -> str:
    api = wandb.Api()
    workspace.entity = workspace.entity or api.default_entity or ""
    where = f"{workspace.entity}/{workspace.project}"
    answer = execute_graphql(api, VIEWS, {"entity": workspace.entity, "project": workspace.project})
    if answer.get("project") is None:
        raise ConfigError(f"no project {where} on {get_app_url(api)}, or it is not yours to see")

    # Filters, colors and pinned runs of an existing workspace stay as they are.
    views = [edge["node"] for edge in answer["project"]["allViews"]["edges"]]
    for view in views:
        if view["displayName"] == workspace.name:
            shown = view["name"].removeprefix("nw-").removesuffix("-v")
            existing = ws.Workspace.from_url(f"{get_app_url(api)}/{where}?nw={shown}")
            existing.sections = workspace.sections
            existing.settings = workspace.settings
            workspace = existing
            break
    address: str = workspace.save().url
    return address


def parse_project(text: str) -> tuple[str, str]:
    """Entity and project of ``[ENTITY/]PROJECT``; the entity is empty for one's own.

    Raises:
        ConfigError: if it is neither.
    """
    entity, slash, project = text.rpartition("/")
    if not project or (slash and not entity) or set("/\\#?%:") & set(entity + project):
        raise ConfigError(f"PROJECT must be ENTITY/PROJECT or PROJECT, got {text!r}")
    return entity, project
