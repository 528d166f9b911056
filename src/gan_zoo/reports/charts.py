"""Line charts and the look of pages that need nothing outside themselves."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping

Curve = list[tuple[float, float]]
COLOURS = ("#3b6fd4", "#d4533b", "#2f9e62", "#9a4fc4", "#c48a1f", "#3aa0a8")
STYLE = """body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:1200px;padding:0 1em;color:#1b1b1f}
table{border-collapse:collapse}td,th{padding:.35em .8em;border-bottom:1px solid #ddd;text-align:left}
figure{display:inline-block;margin:0 1em 1.5em 0;vertical-align:top;max-width:360px}
img{width:100%;image-rendering:pixelated}figcaption{font-size:13px;overflow-wrap:anywhere}
pre{white-space:pre-wrap;overflow-wrap:anywhere}
@media(prefers-color-scheme:dark){body{background:#16161a;color:#e6e6ea}td,th{border-color:#333}}"""


def chart(title: str, curves: Mapping[str, Curve], width: int = 460, height: int = 220, unit: str = "images") -> str:
    """A line chart as SVG over what is counted in ``unit``; values that are no numbers leave gaps out."""
    curves = {name: [p for p in curve if math.isfinite(p[1])] for name, curve in curves.items()}
    points = [point for curve in curves.values() for point in curve]
    if len(points) < 2:
        return ""
    (left, right), (low, high) = ((min(side), max(side)) for side in zip(*points, strict=True))
    across, up = (right - left) or 1, (high - low) or 1

    def line(curve: Curve, color: str) -> str:
        drawn = " ".join(
            f"{60 + (x - left) / across * (width - 70):.1f},{height - 25 - (y - low) / up * (height - 40):.1f}"
            for x, y in curve
        )
        return f'<polyline fill="none" stroke="{color}" stroke-width="1.5" points="{drawn}"/>'

    colored = list(zip(curves.items(), COLOURS * (1 + len(curves) // len(COLOURS)), strict=False))
    lines = "".join(line(curve, color) for (_, curve), color in colored)
    names = ", ".join(f'<span style="color:{color}">{html.escape(name)}</span>' for (name, _), color in colored)
    marks = ((high, 18), (low, height - 22))
    axis = "".join(f'<text x="55" y="{y}" text-anchor="end">{value:.3g}</text>' for value, y in marks)
    axis += f'<text x="60" y="{height - 5}">{left:,.0f}</text>'
    axis += f'<text x="{width - 10}" y="{height - 5}" text-anchor="end">{right:,.0f} {unit}</text>'
    svg = f'<svg viewBox="0 0 {width} {height}" font-size="11" fill="currentColor">{axis}{lines}</svg>'
    caption = html.escape(title) if list(curves) == [title] else f"{html.escape(title)}: {names}"
    return f'<figure style="width:{width}px;max-width:100%">{svg}<figcaption>{caption}</figcaption></figure>'
