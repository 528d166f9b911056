"""Line charts and scatter plots as SVG."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from markupsafe import Markup

Curve = list[tuple[float, float]]
Band = list[tuple[float, float, float]]
"""x, low and high."""
COLORS = ("#3b6fd4", "#d4533b", "#2f9e62", "#9a4fc4", "#c48a1f", "#3aa0a8")
LEFT = 60  # pixels from the left border to the curves
RIGHT, TOP, BOTTOM = 10, 15, 25


def chart(
    title: str,
    curves: Mapping[str, Curve],
    width: int = 460,
    height: int = 220,
    unit: str = "images",
    bands: Mapping[str, Band] | None = None,
) -> Markup:
    """A line chart as an SVG figure; values that are not finite are left out.

    Args:
        title: the caption.
        curves: points by name.
        width, height: in pixels.
        unit: of the horizontal axis.
        bands: the spread around curves, by their names.

    Returns:
        HTML, empty for fewer than two points.
    """
    curves = {name: [p for p in curve if math.isfinite(p[1])] for name, curve in curves.items()}
    points = [point for curve in curves.values() for point in curve]
    if len(points) < 2:
        return Markup()

    # Bands lie behind all curves.
    bands = {
        name: [part for part in band if all(map(math.isfinite, part))]
        for name, band in (bands or {}).items()
    }
    edges = [(x, y) for band in bands.values() for x, *ends in band for y in ends]
    frame = _Frame.around(points + edges, width, height)
    drawn = Markup()
    for number, name in enumerate(curves):
        band = bands.get(name, [])
        outline = [(x, high) for x, _, high in band] + [(x, low) for x, low, _ in reversed(band)]
        if outline:
            drawn += Markup('<polygon fill="{}" fill-opacity="0.18" points="{}"/>').format(
                _color(number), frame.places(outline)
            )
    for number, curve in enumerate(curves.values()):
        drawn += Markup(
            '<polyline fill="none" stroke="{}" stroke-width="1.5" points="{}"/>'
        ).format(_color(number), frame.places(curve))

    # A single curve of the chart's name needs no legend.
    caption = Markup.escape(title) if list(curves) == [title] else _legend(title, curves)
    return _figure(frame, drawn, unit, caption)


def scatter(
    title: str,
    points: Mapping[str, Curve],
    width: int = 460,
    height: int = 220,
    unit: str = "images",
) -> Markup:
    """Points of several colors as an SVG figure, see `chart`; empty for fewer than two points."""
    points = {
        name: [(x, y) for x, y in own if math.isfinite(x) and math.isfinite(y)]
        for name, own in points.items()
    }

    # A chart needs two points to span its axes.
    everything = [point for own in points.values() for point in own]
    if len(everything) < 2:
        return Markup()
    frame = _Frame.around(everything, width, height)
    drawn = Markup()
    for number, own in enumerate(points.values()):
        for point in own:
            x, y = frame.place(point)
            drawn += Markup('<circle cx="{:.1f}" cy="{:.1f}" r="4" fill="{}"/>').format(
                x, y, _color(number)
            )
    return _figure(frame, drawn, unit, _legend(title, points))


class _Frame(NamedTuple):
    """Where values are in a figure."""

    width: int
    height: int
    xs: tuple[float, float]
    ys: tuple[float, float]

    @classmethod
    def around(cls, points: Curve, width: int, height: int) -> _Frame:
        """The frame that just holds these points."""
        xs, ys = zip(*points, strict=True)
        return cls(width, height, (min(xs), max(xs)), (min(ys), max(ys)))

    def place(self, point: tuple[float, float]) -> tuple[float, float]:
        """A point in pixels."""
        x_scale = (self.width - LEFT - RIGHT) / ((self.xs[1] - self.xs[0]) or 1)
        y_scale = (self.height - TOP - BOTTOM) / ((self.ys[1] - self.ys[0]) or 1)
        x = LEFT + (point[0] - self.xs[0]) * x_scale
        y = self.height - BOTTOM - (point[1] - self.ys[0]) * y_scale
        return x, y

    def places(self, points: Curve) -> str:
        """Points as SVG lists them."""
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in map(self.place, points))


def _figure(frame: _Frame, drawn: Markup, unit: str, caption: Markup) -> Markup:
    return Markup(
        '<figure style="width:{0}px;max-width:100%"><svg viewBox="0 0 {0} {1}" font-size="11"'
        ' fill="currentColor">{2}{3}</svg><figcaption>{4}</figcaption></figure>'
    ).format(frame.width, frame.height, _axis(frame, unit), drawn, caption)


def _legend(title: str, names: Iterable[str]) -> Markup:
    colored = (_colored(name, number) for number, name in enumerate(names))
    return Markup("{}: {}").format(title, Markup(", ").join(colored))


def _axis(frame: _Frame, unit: str) -> Markup:
    """The numbers at both ends of both axes."""
    width, height, xs, ys = frame
    label = Markup('<text x="{}" y="{}" text-anchor="{}">{}</text>')
    right = width - RIGHT
    return (
        label.format(LEFT - 5, TOP + 3, "end", f"{ys[1]:.3g}")
        + label.format(LEFT - 5, height - BOTTOM + 3, "end", f"{ys[0]:.3g}")
        + label.format(LEFT, height - 5, "start", f"{xs[0]:,.0f}")
        + label.format(right, height - 5, "end", f"{xs[1]:,.0f} {unit}")
    )


def _color(number: int) -> str:
    return COLORS[number % len(COLORS)]


def _colored(name: str, number: int) -> Markup:
    return Markup('<span style="color:{}">{}</span>').format(_color(number), name)
