"""What a long preparation says."""

from __future__ import annotations

import pytest

from gan_zoo.core import progress


def test_without_a_terminal_one_line_says_what_takes_long(monkeypatch, capsys) -> None:
    monkeypatch.setattr(progress, "SILENT", 0.0)
    assert list(progress.with_progress("abc", 3, "Training [x] (once)")) == ["a", "b", "c"]
    assert capsys.readouterr().err == "Training [x] (once): about 0 s left\n"


@pytest.mark.parametrize("items", ["", "abc"])
def test_what_is_quick_says_nothing(items: str, capsys) -> None:
    assert "".join(progress.with_progress(items, 3, "Reading")) == items
    assert capsys.readouterr().err == ""
