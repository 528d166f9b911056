"""Line charts as SVG."""

from __future__ import annotations

import math
from collections.abc import Mapping

from markupsafe import Markup

Curve = list[tuple[float, float]]
COLORS = ("#3b6fd4", "#d4533b", "#2f9e62", "#9a4fc4", "#c48a1f", "#3aa0a8")
LEFT = 60  # pixels from the left border to the curves
RIGHT, TOP, BOTTOM = 10, 15, 25


def chart(
    title: str,
    curves: Mapping[str, Curve],
    width: int = 460,
    height: int = 220,
    unit: str = "images",
) -> Markup:
    """A line chart as an SVG figure; values that are not finite are left out.

    Args:
        title: the caption.
        curves: points by name.
        width, height: in pixels.
        unit: of the horizontal axis.

    Returns:
        HTML, empty for fewer than two points.
    """
    curves = {name: [p for p in curve if math.isfinite(p[1])] for name, curve in curves.items()}
    points = [point for curve in curves.values() for point in curve]
    if len(points) < 2:
        return Markup()

    # Ranges of both axes.
    xs, ys = zip(*points, strict=True)
    left, right = min(xs), max(xs)
    low, high = min(ys), max(ys)
    x_scale = (width - LEFT - RIGHT) / ((right - left) or 1)
    y_scale = (height - TOP - BOTTOM) / ((high - low) or 1)

    # The curves.
    lines = Markup()
    names = Markup(", ").join(_colored(name, number) for number, name in enumerate(curves))
    for number, curve in enumerate(curves.values()):
        places = [
            f"{LEFT + (x - left) * x_scale:.1f},{height - BOTTOM - (y - low) * y_scale:.1f}"
            for x, y in curve
        ]
        lines += Markup(
            '<polyline fill="none" stroke="{}" stroke-width="1.5" points="{}"/>'
        ).format(_color(number), " ".join(places))

    # The figure; a single curve of the chart's name needs no legend.
    axis = _axis(width, height, (left, right), (low, high), unit)
    legend = Markup("{}: {}").format(title, names)
    caption = Markup.escape(title) if list(curves) == [title] else legend
    return Markup(
        '<figure style="width:{0}px;max-width:100%"><svg viewBox="0 0 {0} {1}" font-size="11"'
        ' fill="currentColor">{2}{3}</svg><figcaption>{4}</figcaption></figure>'
    ).format(width, height, axis, lines, caption)


def _axis(
    width: int, height: int, xs: tuple[float, float], ys: tuple[float, float], unit: str
) -> Markup:
    """The numbers at both ends of both axes."""
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
