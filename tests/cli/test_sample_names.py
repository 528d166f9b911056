"""Default names of what `gan-zoo sample` writes."""

from __future__ import annotations

import pytest

from gan_zoo.cli.sample import file_name


@pytest.mark.parametrize(
    ("what", "count", "options", "expected"),
    [
        ("grid", None, {"class": None, "psi": None}, "grid-0.png"),
        ("grid", None, {"class": "3"}, "grid-class-3-0.png"),
        ("walk", None, {"space": "w"}, "walk-space-w-0.png"),
        ("grid", None, {"caption": "a red/blue car!"}, "grid-caption-a-red-blue-car-0.png"),
        ("grid", 16, {"class": None}, "16-of-seed-0"),
        (
            "grid",
            16,
            {"class": "face", "truncation": 0.5},
            "16-of-seed-0-class-face-truncation-0.5",
        ),
    ],
)
def test_different_requests_have_different_names(what, count, options, expected) -> None:
    assert file_name(what, count, 0, options) == expected
