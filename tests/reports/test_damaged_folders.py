"""Folders that cannot be scored are refused in one line, in the words of the command."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from gan_zoo.core.errors import DataError
from gan_zoo.data.datasets.openmoji import openmoji
from gan_zoo.inference.evaluate_folders import compare_folders

LINES = {
    "one": "--against must hold at least 2 images, .*one has 1$",
    "empty": "--against=.*empty has no images",
    "missing": "--against must be a folder of images, got .*missing",
    "truncated": r"--against: 1 of 3 images cannot be read: .*1\.png \(.*truncated\); remove them$",
    "junk": r"--against: 1 of 3 images cannot be read: .*1\.png \(cannot identify.*\); remove them$",
}


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    drawings = openmoji(image_size=32).samples[:3]
    monkeypatch.setenv("GAN_ZOO_CACHE", str(tmp_path / "cache"))
    for name, count in {"good": 3, "truncated": 3, "junk": 3, "one": 1, "empty": 0}.items():
        (tmp_path / name).mkdir()
        for number, drawing in enumerate(drawings[:count]):
            Image.fromarray(drawing.permute(1, 2, 0).numpy()).save(
                tmp_path / name / f"{number}.png"
            )
    whole = (tmp_path / "truncated" / "1.png").read_bytes()
    (tmp_path / "truncated" / "1.png").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "junk" / "1.png").write_bytes(b"junk")
    return tmp_path


@pytest.mark.parametrize("name", LINES)
def test_a_folder_that_cannot_be_scored_says_why(name: str, folders: Path) -> None:
    with pytest.raises(DataError, match=LINES[name]):
        compare_folders(folders / "good", folders / name, [], None, 32)
