"""Plots every loss over the score: one panel for each formula, values above, gradients below.

    python experiments/loss_atlas/draw.py

needs the extra `plots`. New files in conf/loss and new divergences are included automatically.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import matplotlib as mpl
import torch
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.gridspec import GridSpecFromSubplotSpec
from omegaconf import OmegaConf
from PIL import Image
from torch import Tensor

from gan_zoo.config.compose import instantiate
from gan_zoo.core.paths import CONF
from gan_zoo.core.types import DiscriminatorOutput
from gan_zoo.losses.base import Loss
from gan_zoo.losses.f_gan import DIVERGENCES, FGAN

HERE = Path(__file__).parent
IMAGES = (
    HERE / "atlas.png",
    HERE.parents[1] / "docs" / "images" / "loss_atlas.png",
)  # the site has a copy
SCORES = torch.linspace(-6, 6, 241)
COLUMNS = 6
BLUE, RED, GREEN = "#56B4E9", "#D55E00", "#004D38"  # distinguishable for color-blind readers
REAL, FAKE = (
    {"color": BLUE, "linewidth": 3.2},
    {"color": RED, "linewidth": 1.8},
)  # where lines coincide, both show
OF_G, BOUND = (
    {"color": GREEN, "linewidth": 1.5, "linestyle": dashes} for dashes in ((0, (4, 3)), ":")
)
STATES = {"fisher": ("multiplier", 0.5), "began": ("k", 0.5)}  # as in training; both start at zero
NOTES = {
    "fisher": "multiplier 0.5",
    "began": "energy, k 0.5",
    "ebgan": "energy, margin 1",
    "loss_sensitive": "low on reals, margin 1",
}
MARGIN_OF_ONE = 0.4  # the distance of the images at which loss_sensitive has a margin of 1


@dataclass
class Panel:
    """One formula: its names, and the losses to plot; the generator loss of the second is dotted."""

    names: list[str]
    losses: list[Loss]

    @property
    def title(self) -> str:
        """Its names and notes."""
        notes = [NOTES[name] for name in self.names if name in NOTES]
        return ", ".join(self.names) + "".join(f"\n({note})" for note in notes)


def panels() -> list[Panel]:
    """One for each different formula in conf/loss, then one for each divergence of f-GAN."""
    # Presets with the same formula have one panel.
    found: dict[str, Panel] = {}
    for file in sorted((CONF / "loss").glob("*.yaml")):
        preset = OmegaConf.load(file)
        formula = preset.get("adversarial") or preset.loss.adversarial
        if not formula._target_.endswith(".FGAN"):
            panel = found.setdefault(str(formula), Panel([], [instantiate(formula)]))
            panel.names.append(file.stem)

    # The usual names first; losses with a state as in training.
    first = ["nonsaturating", "minimax"]
    known = sorted(
        found.values(),
        key=lambda p: min(first.index(n) if n in first else len(first) for n in p.names),
    )
    for panel in known:
        panel.names.sort(key=lambda name: (name not in first, len(name)))
        if panel.names[0] in STATES:
            buffer, value = STATES[panel.names[0]]
            getattr(panel.losses[0], buffer).fill_(value)
    return known + [
        Panel([f"fgan: {name}"], [FGAN(name), FGAN(name, practical=False)]) for name in DIVERGENCES
    ]


def output_of(score: Tensor, x: float = 0.0) -> DiscriminatorOutput:
    """Two samples with the same score; their codes are orthogonal, so that the pulling-away term is 0."""
    return DiscriminatorOutput(
        score=score.expand(2), x=torch.full((2, 1), x), features=(torch.eye(2),)
    )


def curve(loss: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """The loss and its derivative at every score."""
    scores = SCORES.clone().requires_grad_()
    values = torch.stack([loss(score) for score in scores])
    (slopes,) = torch.autograd.grad(values.sum(), scores)
    return values.detach(), slopes


def curves(panel: Panel) -> list[tuple[str, dict[str, object], tuple[Tensor, Tensor]]]:
    """Label, style, and values with slopes; the other side has the undecided score."""
    loss = panel.losses[0]
    undecided = torch.tensor(float(loss.threshold))
    other = output_of(undecided, MARGIN_OF_ONE)
    plotted = [
        (
            "$L_D$ by the score of a real",
            REAL,
            curve(lambda s: loss.discriminator(output_of(s), other)),
        ),
        (
            "$L_D$ by the score of a fake",
            FAKE,
            curve(lambda s: loss.discriminator(other, output_of(s))),
        ),
        (
            "$L_G$ by the score of a fake",
            OF_G,
            curve(lambda s: loss.generator(output_of(s), other)),
        ),
    ]
    for bound in panel.losses[1:]:
        of_bound = curve(lambda s: bound.generator(output_of(s)))  # noqa: B023
        plotted.append(("$L_G$ of f-GAN with practical=false", BOUND, of_bound))
    return plotted


def draw(panel: Panel, above: Axes, below: Axes) -> None:
    """Plot values above and slopes below, with the same scales for all panels."""
    for label, style, (values, slopes) in curves(panel):
        above.plot(SCORES, values, label=label, **style)
        below.plot(SCORES, slopes, **style)
    above.set_title(panel.title, fontsize=10, pad=4)
    for axes, low, high in ((above, -3, 7), (below, -2.2, 2.2)):
        axes.set(xlim=(-6, 6), ylim=(low, high), xticks=[-6, -3, 0, 3, 6])
        axes.axhline(0, color="0.6", linewidth=0.8, zorder=0)
        axes.axvline(0, color="0.85", linewidth=0.8, zorder=0)
        axes.tick_params(labelsize=8, length=2)
    above.set_xticklabels([])


def main() -> None:
    """Plot atlas.png in this folder, and its copy for the documentation."""
    mpl.use("Agg")

    # Two axes for each panel.
    shown = panels()
    rows = -(-len(shown) // COLUMNS)
    figure = plt.figure(figsize=(15, 0.7 + 4.1 * rows), dpi=90)
    grid = figure.add_gridspec(
        rows,
        COLUMNS,
        left=0.055,
        right=0.99,
        top=1 - 0.85 / (4.1 * rows),
        bottom=0.03,
        hspace=0.24,
        wspace=0.2,
    )
    for number, panel in enumerate(shown):
        halves = GridSpecFromSubplotSpec(
            2, 1, grid[number // COLUMNS, number % COLUMNS], hspace=0.06
        )
        above, below = (figure.add_subplot(half) for half in halves)
        draw(panel, above, below)
        if number % COLUMNS == 0:
            above.set_ylabel("value", fontsize=10)
            below.set_ylabel("gradient", fontsize=10)
        if number >= len(shown) - COLUMNS:
            below.set_xlabel("score", fontsize=9)

    # One legend for all panels.
    lines = {
        line.get_label(): line
        for axes in figure.axes
        for line in axes.get_lines()
        if line.get_label()[0] == "$"
    }
    figure.legend(
        lines.values(), lines.keys(), loc="upper center", ncols=4, fontsize=11, frameon=False
    )

    # Both files, with few colors.
    image = BytesIO()
    figure.savefig(image)
    for path in IMAGES:
        Image.open(image).convert("RGB").quantize(48).save(path, optimize=True)
        print(f"{path}: {len(shown)} formulas, {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
