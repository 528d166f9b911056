"""Draws what every loss asks of a score, and how hard: one panel for each formula, values above, gradients below.

    python experiments/loss_atlas/draw.py

needs the extra `plots`. New files in conf/loss and new divergences appear by themselves.
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
IMAGES = (HERE / "atlas.png", HERE.parents[1] / "docs" / "images" / "loss_atlas.png")  # the site has a copy
SCORES = torch.linspace(-6, 6, 241)
COLUMNS = 6
BLUE, RED, GREEN = "#56B4E9", "#D55E00", "#004D38"  # told apart by color-blind readers, too
REAL, FAKE = {"color": BLUE, "linewidth": 3.2}, {"color": RED, "linewidth": 1.8}  # where lines coincide, both show
OF_G, BOUND = ({"color": GREEN, "linewidth": 1.5, "linestyle": dashes} for dashes in ((0, (4, 3)), ":"))
STATES = {"fisher": ("multiplier", 0.5), "began": ("k", 0.5)}  # as in training; both start at zero
NOTES = {
    "fisher": "multiplier 0.5",
    "began": "energy, k 0.5",
    "ebgan": "energy, margin 1",
    "loss_sensitive": "low on reals, margin 1",
}
MARGIN_OF_ONE = 0.4  # the distance of the images at which loss_sensitive asks for a margin of 1


@dataclass
class Panel:
    """One formula: the names it goes by, and the losses to draw; the second one's generator is drawn dotted."""

    names: list[str]
    losses: list[Loss]

    @property
    def title(self) -> str:
        """Its names, and what else a reader has to know."""
        notes = [NOTES[name] for name in self.names if name in NOTES]
        return ", ".join(self.names) + "".join(f"\n({note})" for note in notes)


def panels() -> list[Panel]:
    """One for each different formula in conf/loss, then one for each divergence of f-GAN."""
    found: dict[str, Panel] = {}
    for file in sorted((CONF / "loss").glob("*.yaml")):
        preset = OmegaConf.load(file)
        formula = preset.get("adversarial") or preset.loss.adversarial
        if not formula._target_.endswith(".FGAN"):
            panel = found.setdefault(str(formula), Panel([], [instantiate(formula)]))
            panel.names.append(file.stem)
    first = ["nonsaturating", "minimax"]
    known = sorted(found.values(), key=lambda p: min(first.index(n) if n in first else len(first) for n in p.names))
    for panel in known:
        panel.names.sort(key=lambda name: (name not in first, len(name)))
        if panel.names[0] in STATES:
            buffer, value = STATES[panel.names[0]]
            getattr(panel.losses[0], buffer).fill_(value)
    return known + [Panel([f"fgan: {name}"], [FGAN(name), FGAN(name, practical=False)]) for name in DIVERGENCES]


def critique(score: Tensor, x: float = 0.0) -> DiscriminatorOutput:
    """Two samples with the same score; their codes are at right angles, so that nothing pulls them apart."""
    return DiscriminatorOutput(score=score.expand(2), x=torch.full((2, 1), x), features=(torch.eye(2),))


def curve(loss: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    """The loss and its derivative at every score."""
    scores = SCORES.clone().requires_grad_()
    values = torch.stack([loss(score) for score in scores])
    (slopes,) = torch.autograd.grad(values.sum(), scores)
    return values.detach(), slopes


def curves(panel: Panel) -> list[tuple[str, dict[str, object], tuple[Tensor, Tensor]]]:
    """Label, style, and values with slopes; the side that is not varied is held at the undecided score."""
    loss, held = panel.losses[0], torch.tensor(float(panel.losses[0].threshold))
    other = critique(held, MARGIN_OF_ONE)
    drawn = [
        ("$L_D$ by the score of a real", REAL, curve(lambda s: loss.discriminator(critique(s), other))),
        ("$L_D$ by the score of a fake", FAKE, curve(lambda s: loss.discriminator(other, critique(s)))),
        ("$L_G$ by the score of a fake", OF_G, curve(lambda s: loss.generator(critique(s), other))),
    ]
    for bound in panel.losses[1:]:
        of_bound = curve(lambda s: bound.generator(critique(s)))  # noqa: B023
        drawn.append(("$L_G$ of f-GAN with practical=false", BOUND, of_bound))
    return drawn


def draw(panel: Panel, above: Axes, below: Axes) -> None:
    """Values into one pair of axes, slopes into the other, on the scales that all panels share."""
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
    """Draw atlas.png beside this file, and the site's copy."""
    mpl.use("Agg")
    shown = panels()
    rows = -(-len(shown) // COLUMNS)
    figure = plt.figure(figsize=(15, 0.7 + 4.1 * rows), dpi=90)
    grid = figure.add_gridspec(
        rows, COLUMNS, left=0.055, right=0.99, top=1 - 0.85 / (4.1 * rows), bottom=0.03, hspace=0.24, wspace=0.2
    )
    for number, panel in enumerate(shown):
        halves = GridSpecFromSubplotSpec(2, 1, grid[number // COLUMNS, number % COLUMNS], hspace=0.06)
        above, below = (figure.add_subplot(half) for half in halves)
        draw(panel, above, below)
        if number % COLUMNS == 0:
            above.set_ylabel("value", fontsize=10)
            below.set_ylabel("gradient", fontsize=10)
        if number >= len(shown) - COLUMNS:
            below.set_xlabel("score", fontsize=9)
    lines = {line.get_label(): line for axes in figure.axes for line in axes.get_lines() if line.get_label()[0] == "$"}
    figure.legend(lines.values(), lines.keys(), loc="upper center", ncols=4, fontsize=11, frameon=False)
    image = BytesIO()
    figure.savefig(image)
    for path in IMAGES:
        Image.open(image).convert("RGB").quantize(48).save(path, optimize=True)
        print(f"{path}: {len(shown)} formulas, {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
