"""Datasets, and their errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gan_zoo.core.errors import DataError
from gan_zoo.core.files import atomic_path
from gan_zoo.data.datamodule import DataModule
from gan_zoo.data.datasets.digits import digits
from gan_zoo.data.datasets.gaussian_mixtures import grid, ring, spiral
from gan_zoo.data.datasets.image_folder import image_folder
from gan_zoo.data.datasets.openmoji import openmoji
from gan_zoo.data.datasets.torchvision_datasets import fashion_mnist, mnist
from gan_zoo.data.files.image_io import decode
from gan_zoo.data.image_tensors import fit_images, to_uint8, to_unit


def make_image(
    path: Path, mode: str = "RGB", size: tuple[int, int] = (20, 12), color=(255, 0, 0), **options
) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, color).save(path, **options)
    return path


def test_uint8_and_back() -> None:
    values = torch.arange(256, dtype=torch.uint8)
    assert torch.equal(to_uint8(to_unit(values)), values)
    assert to_unit(values).aminmax() == (-1, 1)
    assert to_uint8(torch.tensor([-9.0, 9.0])).tolist() == [0, 255]


def test_openmoji_is_drawn_once() -> None:
    first = openmoji(image_size=16)
    assert first.samples.shape[0] > 4000
    assert first.samples.shape[1:] == (3, 16, 16)
    assert first.samples[:, :, 0, 0].float().mean() > 240, "drawings are on white"
    assert first.samples.float().std() > 30, "and not empty"
    again = openmoji(image_size=16)
    assert torch.equal(first.samples, again.samples)
    assert openmoji(channels=1, image_size=16).samples.shape[1] == 1


def test_digits() -> None:
    data = digits()
    assert data.samples.shape == (1797, 1, 8, 8)
    assert data.samples.aminmax() == (0, 255)
    assert set(data.labels.tolist()) == set(range(10))
    assert digits(channels=3, image_size=32).samples.shape == (1797, 3, 32, 32)


@pytest.mark.parametrize(("make", "modes"), [(ring, 8), (grid, 25), (spiral, 20)])
def test_mixtures_have_the_modes_they_say(make, modes: int) -> None:
    data = make(num_samples=20_000)
    assert data.centers.shape == (modes, 2)
    assert data.labels.bincount().min() == 20_000 // modes
    for mode in range(modes):
        mine = data.samples[data.labels == mode]
        torch.testing.assert_close(mine.mean(0), data.centers[mode], atol=4 * data.std / 20, rtol=0)
        assert mine.std(0).mean() == pytest.approx(data.std, rel=0.1)


def test_mnist_keeps_its_pixels_in_a_border() -> None:
    images = torch.randint(0, 255, (3, 1, 28, 28), dtype=torch.uint8)
    fitted = fit_images(images, 1, 32)
    assert torch.equal(fitted[..., 2:-2, 2:-2], images)
    assert fit_images(images, 3, 16).shape == (3, 3, 16, 16)


def test_real_mnist(shared_data: Path) -> None:
    for make in (mnist, fashion_mnist):
        data = make(str(shared_data), download=False)
        assert data.samples.shape == (60_000, 1, 32, 32)
        assert data.labels.bincount().min() > 5000


def test_a_share_of_a_folder_is_held_out_with_its_labels(tmp_path: Path) -> None:
    for number in range(40):
        color = (number, 0, 100 * (number % 2))
        make_image(tmp_path / "ab"[number % 2] / f"{number}.png", color=color)
    complete = image_folder(str(tmp_path), image_size=8)
    train = image_folder(str(tmp_path), image_size=8, test_share=0.3)
    assert train.held_out is not None
    assert complete.held_out is None
    test = train.held_out()
    seen, unseen = (set(part.samples[:, 0, 0, 0].tolist()) for part in (train, test))
    assert (train.split, test.split, complete.split) == ("train", "test", "all")
    assert not seen & unseen
    assert seen | unseen == set(range(40))
    for part in (train, test):
        assert torch.equal(part.labels == 1, part.samples[:, 2, 0, 0] == 100)
    assert train.fingerprint != test.fingerprint != complete.fingerprint
    with pytest.raises(DataError, match=r"data.test_share must be >= 0 and < 1, got 1.5"):
        image_folder(str(tmp_path), image_size=8, test_share=1.5)


def test_real_folder(shared_data: Path) -> None:
    data = image_folder(str(shared_data / "emoji" / "noto"), image_size=32)
    assert data.samples.shape == (3786, 3, 32, 32)
    assert data.labels is None


def test_missing_mnist_says_where_it_looked(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=rf"data=mnist was not found in data.root={tmp_path}.*set data.root"
    ):
        mnist(str(tmp_path), download=False)
    with pytest.raises(DataError, match=r"data.split must be one of train, test, got 'val'"):
        mnist(str(tmp_path), split="val")


def test_a_download_without_network_is_one_line(tmp_path: Path, monkeypatch) -> None:
    from torchvision import datasets

    def offline(self) -> None:
        raise RuntimeError("Error downloading train-images\nmore\nlines")

    monkeypatch.setattr(datasets.MNIST, "download", offline)
    with pytest.raises(DataError, match="could not be downloaded") as caught:
        mnist(str(tmp_path))
    assert "\n" not in str(caught.value)


def test_folders_are_read_whatever_is_in_them(tmp_path: Path) -> None:
    make_image(tmp_path / "cats" / "deep" / "a.png", size=(40, 20))
    make_image(tmp_path / "cats" / "b.jpg", "L", color=7)
    make_image(tmp_path / "dogs" / "c.webp")
    make_image(tmp_path / "dogs" / "d.PNG", "RGBA", color=(0, 0, 0, 0))
    make_image(tmp_path / "dogs" / "e.gif", "P", color=3)
    (tmp_path / "dogs" / "notes.txt").write_text("not an image")
    data = image_folder(str(tmp_path), image_size=8)
    assert data.samples.shape == (5, 3, 8, 8)
    assert data.labels.tolist() == [0, 0, 1, 1, 1]
    assert data.samples[3].min() == 255, "what is transparent is white"
    assert image_folder(str(tmp_path), channels=1, image_size=8).samples.shape == (5, 1, 8, 8)


def test_deep_images_are_scaled_not_clipped(tmp_path: Path) -> None:
    Image.fromarray(np.full((8, 8), 40_000, dtype=np.uint16)).save(tmp_path / "deep.png")
    assert decode(tmp_path / "deep.png", 1, 8).max() == 40_000 >> 8


def test_images_keep_their_proportions(tmp_path: Path) -> None:
    wide = Image.new("RGB", (90, 30), "white")
    wide.paste((0, 0, 0), (30, 0, 60, 30))
    wide.save(tmp_path / "wide.png")
    assert decode(tmp_path / "wide.png", 3, 30).max() == 0, "the center is cropped, not squeezed"


def test_one_unreadable_image_is_named(tmp_path: Path, capsys) -> None:
    for name in "abc":
        make_image(tmp_path / f"{name}.png")
    (tmp_path / "broken.png").write_bytes(b"not a png")
    (tmp_path / "cut.png").write_bytes((tmp_path / "a.png").read_bytes()[:50])
    with pytest.raises(
        DataError, match=r"2 of 5 images cannot be read: .*broken.png .*cut.png .*on_error=skip"
    ) as e:
        image_folder(str(tmp_path), image_size=8)
    assert "\n" not in str(e.value)
    assert len(image_folder(str(tmp_path), image_size=8, on_error="skip")) == 3
    output = capsys.readouterr().err
    assert "2 of 5 images cannot be read and are left out: " in output
    assert all(name in output for name in ("broken.png", "cut.png"))
    with pytest.raises(DataError, match="2 of 5 images cannot be read"):
        image_folder(str(tmp_path), image_size=8)


def test_a_image_with_too_many_pixels_is_refused(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr("gan_zoo.data.files.image_io.MAX_PIXELS", 100)
    with pytest.raises(ValueError, match="20x12 pixels are more than 100"):
        decode(make_image(tmp_path / "big.png"), 3, 8)


@pytest.mark.parametrize(
    ("root", "message"),
    [
        ("", "has no images"),
        ("nowhere", "which is not a folder"),
        ("file", "which is not a folder"),
    ],
)
def test_folders_without_images(root: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match=message):
        image_folder(str(tmp_path / root))


def test_a_changed_folder_is_read_again(tmp_path: Path) -> None:
    make_image(tmp_path / "a.png", color=(255, 0, 0))
    before = image_folder(str(tmp_path), image_size=8)
    make_image(tmp_path / "a.png", color=(0, 255, 0), size=(21, 12))
    after = image_folder(str(tmp_path), image_size=8)
    assert before.fingerprint != after.fingerprint
    assert after.samples[0, :, 0, 0].tolist() == [0, 255, 0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "data.batch_size must be an integer >= 1, got 0"),
        ({"batch_size": "abc"}, "got 'abc'"),
        ({"batch_size": 1798}, "data.batch_size=1798 is more than the 1797 samples of digits"),
        ({"batch_size": 8, "num_workers": -1}, "data.num_workers must be >= 0, got -1"),
    ],
)
def test_impossible_batches(options, message: str) -> None:
    with pytest.raises(DataError, match=message):
        DataModule(digits(), **options)


def test_a_batch_that_cannot_be_shared() -> None:
    with pytest.raises(DataError, match="divisible by the 3 processes"):
        DataModule(digits(), batch_size=8).check(world_size=3)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_text("old")

    def interrupted() -> None:
        with atomic_path(target) as temporary:
            temporary.write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        interrupted()
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    assert target.read_text() == "old"
