"""Bad input by the thousand: every one ends in one clear line or in a valid result."""

from __future__ import annotations

import contextlib
import io
import random
import string
import time
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from omegaconf import DictConfig, OmegaConf
from PIL import Image

from gan_zoo.core.errors import ConfigError, DataError, TrainingDiverged
from gan_zoo.data.datasets.captioned_folder import captioned_folder
from gan_zoo.data.datasets.image_folder import image_folder
from gan_zoo.data.files.image_io import FORMATS
from gan_zoo.launch.train import train

PATIENCE = 10.0  # seconds
UNHURRIED = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large]


def examples(count: int) -> settings:
    return settings(
        max_examples=count,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=UNHURRIED,
    )


def thousands(few: int, many: int) -> pytest.MarkDecorator:
    """A few in every test run, many with the faults."""
    return pytest.mark.parametrize("count", [few, pytest.param(many, marks=pytest.mark.slow)])


def one_line(error: Exception) -> str:
    message = " ".join(str(error).split())
    assert message, "an error without words"
    return message


# ------------------------------------------------------------------------- configs

SMALL = (
    "generator.width=8",
    "discriminator.width=8",
    "metric=none",
    "trainer.max_steps=1",
    "data.batch_size=8",
)
BASES = (
    ("model=gan", "data=ring", "regularizer=[r1,lecam]", "optim/schedule=cosine", *SMALL),
    ("data=digits", "data.image_size=16", "augment=ada", "loss=wgan_gp", *SMALL),
    ("model=cgan", "data=digits", "data.image_size=16", *SMALL),
)
VALUES = (
    -1,
    0,
    -0.5,
    "abc",
    "",
    [],
    {},
    [1, 2],
    {"a": 1},
    float("nan"),
    float("inf"),
    None,
    True,
    False,
    1.5,
    "???",
)
VALUES += ("${nothing}", "1e-3", -(10**9), "../..", "\0", "os.system")
LEFT_ALONE = ("launcher", "debug", "experiment", "run_dir", "hydra")


def dotted(node: object, name: str = "") -> list[str]:
    inner = (
        [key for k, v in node.items() for key in dotted(v, f"{name}.{k}" if name else k)]
        if isinstance(node, dict)
        else []
    )
    return inner + ([name] if name else [])


@thousands(30, 400)
@pytest.mark.fault("bad configs")
def test_a_config_with_a_bad_value(
    count: int, composed, tmp_path: Path, tally, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)  # some bad values are folders
    configs = [composed("logger=csv", "callbacks.samples.count=4", *base) for base in BASES]
    keys = [
        [
            key
            for key in dotted(OmegaConf.to_container(config, resolve=False))
            if not key.startswith(LEFT_ALONE)
        ]
        for config in configs
    ]
    chance = random.Random(0)
    for number in range(count):
        which = chance.randrange(len(BASES))
        config: DictConfig = configs[which].copy()
        OmegaConf.set_struct(config, False)
        config.run_dir = str(tmp_path / str(number))
        key, value = chance.choice(keys[which]), chance.choice(VALUES)
        with contextlib.suppress(Exception):  # what OmegaConf itself does not take
            OmegaConf.update(config, key, value, merge=False)
        begin = time.monotonic()
        quiet = contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO())
        try:
            with quiet[0], quiet[1]:
                train(config)
        except (ConfigError, TrainingDiverged) as error:
            one_line(error)
        except BaseException as error:
            pytest.fail(f"{BASES[which][:2]} {key}={value!r}: {type(error).__name__}: {error}")
        assert time.monotonic() - begin < PATIENCE, f"{key}={value!r}"
        if number:
            tally.count("bad configs", survived=True)


# ------------------------------------------------------------------------ images

MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I;16", "I", "F")
SUFFIXES = (".png", ".jpg", ".gif", ".webp", ".tif", ".bmp", ".PNG", ".ppm")


def encoded(mode: str, form: str, size: tuple[int, int], frames: int) -> bytes:
    gray = Image.linear_gradient("L").resize(size)
    image = (
        gray.convert("RGB").convert(mode)
        if mode in ("LA", "P", "RGBA", "CMYK")
        else gray.convert(mode)
    )
    buffer = io.BytesIO()
    try:
        image.save(
            buffer,
            form,
            **({"save_all": True, "append_images": [image] * (frames - 1)} if frames > 1 else {}),
        )
    except (OSError, ValueError, KeyError):  # not every format takes every mode
        return b""
    return buffer.getvalue()


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """An image, a damaged image, or no image at all."""
    size = draw(st.sampled_from([(1, 1), (16, 16), (3, 40), (40, 3), (200, 100)]))
    content = encoded(
        draw(st.sampled_from(MODES)), draw(st.sampled_from(FORMATS)), size, draw(st.integers(1, 3))
    )
    harm = draw(st.sampled_from(["none", "cut", "flip", "insert", "noise", "empty", "size"]))
    where = draw(st.integers(0, max(0, len(content) - 1)))
    if harm == "cut":
        return content[:where]
    if harm == "flip":
        return (
            content[:where]
            + bytes(b ^ draw(st.integers(1, 255)) for b in content[where : where + 4])
            + content[where + 4 :]
        )
    if harm == "insert":
        return content[:where] + draw(st.binary(min_size=1, max_size=20)) + content[where:]
    if harm == "noise":
        return draw(st.binary(max_size=200))
    if harm == "size" and content.startswith(b"\x89PNG"):  # a small file that says it is huge
        return content[:16] + draw(st.binary(min_size=8, max_size=8)) + content[24:]
    return b"" if harm == "empty" else content


@thousands(10, 150)
@pytest.mark.fault("bad images")
@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_folders_of_bad_images(count: int, tmp_path: Path, monkeypatch, tally) -> None:
    monkeypatch.setenv("GAN_ZOO_CACHE", str(tmp_path / "cache"))
    trials = []

    @examples(count)
    @given(
        st.lists(files(), min_size=8, max_size=8),
        st.lists(st.sampled_from(SUFFIXES), min_size=8, max_size=8),
    )
    def run_discriminator(contents: list[bytes], suffixes: list[str]) -> None:
        root = tmp_path / str(len(trials))
        root.mkdir()
        Image.new("RGB", (20, 20), (9, 9, 9)).save(root / "good.png")
        for number, (content, suffix) in enumerate(zip(contents, suffixes, strict=True)):
            (root / f"{number}{suffix}").write_bytes(content)
        begin = time.monotonic()
        skipped = image_folder(str(root), 3, 8, on_error="skip")
        assert 1 <= len(skipped) <= 9
        assert (skipped.samples[-1] == 9).all(), "the good one comes last, as it is"
        if len(skipped) < 9:
            with pytest.raises(DataError, match=f"{9 - len(skipped)} of 9 images cannot be read"):
                image_folder(str(root), 3, 8)
        assert time.monotonic() - begin < PATIENCE
        trials.extend(contents)
        for _ in contents:
            tally.count("bad images", survived=True)

    run_discriminator()
    assert len(trials) >= 8 * count * 0.9


def test_links_to_themselves_and_odd_names(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "deep").mkdir(parents=True)
    Image.new("RGB", (8, 8), (7, 7, 7)).save(root / "a\nb.png")
    (root / "loop.png").symlink_to(root / "loop.png")
    (root / "gone.png").symlink_to(root / "nowhere")
    (root / "deep" / "up").symlink_to(root)
    found = image_folder(str(root), 3, 8, on_error="skip")
    assert found.samples.tolist() == np.full((1, 3, 8, 8), 7).tolist()
    with pytest.raises(DataError, match=r"2 of 3 images cannot be read: .*gone.png .*, .*loop.png"):
        image_folder(str(root), 3, 8)


# -------------------------------------------------------------------------- tables

WORDS = st.text(st.sampled_from(string.ascii_letters + " ,;\"'=\n\r\t\0é😀"), max_size=12)
NAMES = ["a.png", "b.png", "../a.png", "/etc/passwd", "=1+1", '=cmd|"/c calc"!A1', "", "a.png\0"]
CELLS = st.one_of(WORDS, st.sampled_from(NAMES))
PIECES = st.sampled_from(
    ["file", "caption", "class", "a.png", '"', ",", "\n", "b.png", "x y", "\ufeff"]
)
ROWS = st.lists(st.lists(CELLS, min_size=1, max_size=4), min_size=0, max_size=5)
TABLES = st.one_of(
    st.binary(max_size=120),
    ROWS.map(
        lambda rows: "\n".join(
            ",".join(row) for row in [["file", "caption", "class"], *rows]
        ).encode()
    ),
    st.lists(PIECES, max_size=30).map(lambda pieces: "".join(pieces).encode()),
)


@thousands(60, 800)
@pytest.mark.fault("bad tables")
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_tables_with_bad_rows(count: int, tmp_path: Path, monkeypatch, tally) -> None:
    monkeypatch.setenv("GAN_ZOO_CACHE", str(tmp_path / "cache"))
    for name in ("a.png", "b.png"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)

    @examples(count)
    @given(TABLES, st.sampled_from(["stop", "skip"]), st.sampled_from([None, "class"]))
    def run_discriminator(table: bytes, on_error: str, class_column: str | None) -> None:
        (tmp_path / "captions.csv").write_bytes(table)
        begin = time.monotonic()
        try:
            source = captioned_folder(
                str(tmp_path),
                image_size=8,
                class_column=class_column,
                split="all",
                on_error=on_error,
            )
            assert len(source) == len(source.captions or [])
            assert source.samples.shape[1:] == (3, 8, 8)
            assert source.labels is None or len(source.labels) == len(source)
        except DataError as error:
            one_line(error)
        assert time.monotonic() - begin < PATIENCE
        tally.count("bad tables", survived=True)

    run_discriminator()


def test_a_table_cannot_lead_out_of_its_folder(tmp_path: Path) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "secret.png")
    for name in ("../secret.png", str(tmp_path / "secret.png")):
        (folder / "captions.csv").write_text(f"file,caption\n{name},x\n")
        with pytest.raises(DataError, match="which is not below"):
            captioned_folder(str(folder), image_size=8)
