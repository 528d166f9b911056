"""Image files as they are found: turned, deep, hidden, linked, odd."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from gan_zoo.core import paths
from gan_zoo.core.errors import DataError
from gan_zoo.core.paths import cache_root
from gan_zoo.data.dataset import check_matches_config
from gan_zoo.data.datasets.image_folder import image_folder
from gan_zoo.data.files.cache import cache_key, cached_images, check_fits
from gan_zoo.data.files.find import find_images
from gan_zoo.data.files.image_cache import Decoding, decode_files
from gan_zoo.data.files.image_io import decode, open_image
from gan_zoo.data.files.names import in_natural_order


def write(path: Path, value: int = 0, size: tuple[int, int] = (8, 8)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", size, value).save(path)
    return path


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photographs_stand_upright(orientation: int, tmp_path: Path) -> None:
    """The eight orientations of EXIF: the viewer's top left corner is at this corner of the stored image."""
    upright = np.zeros((8, 8), np.uint8)
    upright[:4, :4] = 200
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: np.rot90(upright),
        7: upright[::-1, ::-1].T,
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(tmp_path / "x.png", exif=exif)
    np.testing.assert_array_equal(decode(tmp_path / "x.png", 1, 8)[0], upright)


DEEP = {
    "signed 16 bits": np.array([[-1000, 0], [500, 1000]], np.int16),
    "32 bits": np.array([[-1000, 0], [500, 1000]], np.int32),
    "floats": np.array([[-1000, 0], [500, 1000]], np.float32),
}


@pytest.mark.parametrize("kind", DEEP)
def test_values_of_unknown_range_are_asked_for(kind: str, tmp_path: Path) -> None:
    image = Image.fromarray(
        DEEP[kind].astype(np.int32) if DEEP[kind].dtype == np.int16 else DEEP[kind]
    )
    image.save(tmp_path / "ct.tiff")
    with pytest.raises(
        ValueError, match=r"values from -1000 to 1000, .*: set data.value_range=\[low,high\]"
    ):
        decode(tmp_path / "ct.tiff", 1, 2)
    found = decode(tmp_path / "ct.tiff", 1, 2, [-1000, 1000])
    np.testing.assert_array_equal(found[0], [[0, 128], [191, 255]])
    clipped = decode(tmp_path / "ct.tiff", 1, 2, [0, 500])
    np.testing.assert_array_equal(clipped[0], [[0, 0], [255, 255]])


def test_sixteen_bits_of_png_are_from_black_to_white(tmp_path: Path) -> None:
    values = np.array([[0, 257], [32896, 65535]], np.uint16)
    Image.fromarray(values).save(tmp_path / "x.png")
    np.testing.assert_array_equal(decode(tmp_path / "x.png", 1, 2)[0], [[0, 1], [128, 255]])
    np.testing.assert_array_equal(
        decode(tmp_path / "x.png", 1, 2, [0, 257])[0], [[0, 255], [255, 255]]
    )


def test_the_range_is_part_of_the_caches_key(tmp_path: Path) -> None:
    Image.fromarray(np.array([[0, 4], [8, 16]], np.int32)).save(tmp_path / "a.tiff")
    files = [tmp_path / "a.tiff"]
    wide, narrow = (
        decode_files(tmp_path, files, Decoding(1, 2, value_range=[0, high])) for high in (16, 8)
    )
    assert wide.key != narrow.key
    assert not torch.equal(wide.images, narrow.images)
    with pytest.raises(DataError, match=r"data.value_range must be \[low, high\] .*, got \[3, 1\]"):
        decode_files(tmp_path, files, Decoding(1, 2, value_range=[3, 1]))


def test_four_channels_are_refused_by_name(tmp_path: Path) -> None:
    write(tmp_path / "a.png")
    with pytest.raises(
        DataError,
        match=r"data.channels must be 1 or 3, got 4: transparent images are composited on white",
    ):
        image_folder(str(tmp_path), channels=4, image_size=8)


def test_what_systems_leave_among_images_is_no_class(tmp_path: Path, capsys) -> None:
    for name in (
        "cat/1.png",
        "cat/2.JPE.png",
        "dog/1.jfif",
        ".ipynb_checkpoints/1.png",
        "@eaDir/1.png",
    ):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        Image.new("L", (8, 8)).save(path, format="PNG" if path.suffix == ".png" else "JPEG")
    for name in ("__MACOSX/._1.png", "dog/._1.jpg", "dog/notes.txt"):
        write(tmp_path / "x.png").rename(tmp_path / "moved")
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / "moved").rename(tmp_path / name)
    (tmp_path / "dog" / "2.avif").write_bytes(b"")
    source = image_folder(str(tmp_path), 1, 8)
    assert source.classes == ["cat", "dog"]
    assert source.labels.tolist() == [0, 0, 1]
    output = capsys.readouterr().err
    assert "3 images of 2 classes: cat 2, dog 1" in output
    assert "1 files in" in output
    assert "left out (.avif)" in output


def test_links_to_folders_are_followed_once(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere" / "1.png")
    root = tmp_path / "root"
    write(root / "a" / "1.png")
    (root / "b").symlink_to(tmp_path / "elsewhere")
    (root / "a" / "loop").symlink_to(root)
    assert [file.relative_to(root).as_posix() for file in find_images(root)] == [
        "a/1.png",
        "b/1.png",
    ]


def test_a_link_to_another_class_takes_nothing_from_it(tmp_path: Path) -> None:
    for name in ("a/1.png", "b/1.png", "b/2.png"):
        write(tmp_path / name)
    (tmp_path / "a" / "link").symlink_to(tmp_path / "b")
    source = image_folder(str(tmp_path), 1, 8)
    assert source.labels.tolist() == [0, 1, 1]


def test_files_are_in_the_order_of_their_paths(tmp_path: Path) -> None:
    names = ["a/2.png", "a.b/1.png", "a/b/1.png", "a/b.png", "a-b.png", "B/1.png", "a/10.png"]
    for name in names:
        write(tmp_path / name)
    assert find_images(tmp_path) == sorted(tmp_path / name for name in names)


def test_a_folder_that_may_not_be_read_is_left_out_with_a_message(
    tmp_path: Path, monkeypatch, capsys
) -> None:
    kept = write(tmp_path / "a" / "1.png")
    write(tmp_path / "b" / "1.png")
    scandir = os.scandir

    def refuse(folder):
        if Path(folder).name == "b":
            raise PermissionError(folder)
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", refuse)
    assert find_images(tmp_path) == [kept]
    assert f"left out (folder), the first is {tmp_path / 'b'}" in capsys.readouterr().err


def test_a_pipe_named_like_an_image_holds_nobody_up(tmp_path: Path, capsys) -> None:
    write(tmp_path / "1.png")
    os.mkfifo(tmp_path / "f.png")
    assert len(image_folder(str(tmp_path), 1, 8)) == 1
    assert "f.png" in capsys.readouterr().err


@pytest.mark.parametrize("size", [(1, 65_000), (40_000, 30)])
def test_a_line_of_pixels_is_refused_before_it_is_decoded(
    size: tuple[int, int], tmp_path: Path
) -> None:
    write(tmp_path / "good.png")
    write(tmp_path / "line.png", size=size)
    with pytest.raises(ValueError, match="one side is more than 32 times the other"):
        open_image(tmp_path / "line.png", 1)
    assert len(image_folder(str(tmp_path), 1, 256, on_error="skip")) == 1


def test_too_many_pixels_are_an_error_like_others(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 16)
    with pytest.raises(ValueError, match="more than 64,000,000 pixels"):
        open_image(write(tmp_path / "a.png"), 1)


def test_numbered_classes_are_in_the_order_of_their_numbers(tmp_path: Path) -> None:
    assert in_natural_order({"10", "2", "1", "a10b", "a9b"}) == ["1", "2", "10", "a9b", "a10b"]
    for number in range(12):
        write(tmp_path / str(number) / "x.png", 20 * number)
    source = image_folder(str(tmp_path), 1, 8)
    assert source.classes == [str(number) for number in range(12)]
    assert (source.samples[source.labels == 2] == 40).all()


def test_more_classes_than_there_are_is_an_error(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write(tmp_path / name / "x.png")
    source = image_folder(str(tmp_path), 1, 8)
    with pytest.raises(DataError, match=r"has 2 classes, but data.num_classes is 3"):
        check_matches_config(source, [1, 8, 8], 3)


def test_names_that_are_not_utf8(tmp_path: Path) -> None:
    folder = os.fsencode(tmp_path)
    (tmp_path / "good.png").write_bytes(write(tmp_path / "a.png").read_bytes())
    try:
        os.rename(folder + b"/a.png", folder + b"/\xff\xfe.png")  # noqa: PTH104 - pathlib has no bytes
    except OSError:
        pytest.skip("this file system has UTF-8 names only")
    assert len(image_folder(str(tmp_path), 1, 8, test_share=0.5, split="all")) == 2


def test_several_processes_fill_a_cache_once(tmp_path: Path, monkeypatch) -> None:
    """Those that wait for the first find its file; images are mapped read-only."""
    monkeypatch.setenv("GAN_ZOO_CACHE", str(tmp_path))
    filled = []

    def fill(array) -> None:
        filled.append(threading.get_ident())
        array[:] = 7

    path = cache_root() / "images" / f"x-{cache_key(1)}.npy"
    found: list[torch.Tensor] = []
    threads = [
        threading.Thread(target=lambda: found.append(cached_images(path, (4, 1, 2, 2), fill)))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(filled) == 1
    assert all((images == 7).all() for images in found)
    assert not np.load(path, mmap_mode="r").flags.writeable


def test_a_cache_that_does_not_fit_is_refused_before_it_is_written(
    tmp_path: Path, monkeypatch, capsys
) -> None:
    free = SimpleNamespace(free=3 * 10**9)
    monkeypatch.setattr("gan_zoo.data.files.cache.shutil.disk_usage", lambda folder: free)
    path = tmp_path / "images.npy"
    with pytest.raises(DataError, match=r"need 3.1 GB in .*, which has 3.0 GB left: set GAN_ZOO"):
        cached_images(path, (1_000_000, 3, 32, 32), lambda array: pytest.fail("written"))
    assert not list(tmp_path.glob("*.npy"))

    # What fits is announced if it is large.
    check_fits(tmp_path, 2_500_000_000)
    assert "the decoded data take 2.5 GB in" in capsys.readouterr().err
    check_fits(tmp_path, 2_500_000)
    assert capsys.readouterr().err == ""


def test_skipped_images_are_listed_whole_or_not_at_all(tmp_path: Path, monkeypatch) -> None:
    """The list has its name before the images have theirs: who finds the images finds the list."""
    write(tmp_path / "a.png")
    (tmp_path / "b.png").write_bytes(b"no image")
    replaced: list[str] = []
    replace = Path.replace
    monkeypatch.setattr(
        Path,
        "replace",
        lambda self, target: (replaced.append(Path(target).name), replace(self, target)),
    )
    source = image_folder(str(tmp_path), 1, 8, on_error="skip")
    assert len(source) == 1
    assert [name.endswith(".skipped.npy") for name in replaced] == [True, False]


def test_caches_without_a_home(tmp_path: Path, monkeypatch, capsys) -> None:
    monkeypatch.delenv("GAN_ZOO_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    paths._default_root.cache_clear()

    def no_home(self: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "expanduser", no_home)
    assert "gan_zoo-" in cache_root().name
    assert "GAN_ZOO_CACHE says where to keep them" in capsys.readouterr().err
    paths._default_root.cache_clear()
