"""Published datasets, read from tiny files of the right format."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from gan_zoo.core.errors import DataError
from gan_zoo.data.dataset import check_matches_config
from gan_zoo.data.datasets.celeba import celeba
from gan_zoo.data.datasets.huggingface import huggingface
from gan_zoo.data.datasets.lsun import lsun
from gan_zoo.data.datasets.stacked_mnist import stacked_mnist
from gan_zoo.data.datasets.torchvision_datasets import cifar10, cifar100, kmnist, mnist, stl10, svhn
from tests.stand_ins import md5, pixels, write_cifar, write_digits, write_faces, write_scenes


@pytest.mark.parametrize(("make", "folder"), [(mnist, "MNIST"), (kmnist, "KMNIST")])
def test_gray_digits(make, folder: str, tmp_path: Path) -> None:
    images, labels = write_digits(tmp_path, folder)
    data = make(str(tmp_path), download=False)
    check_matches_config(data, [1, 32, 32], 10)
    assert np.array_equal(data.samples[:, 0, 2:-2, 2:-2].numpy(), images)
    assert data.labels.tolist() == labels.tolist()
    assert len(data.classes) == 10
    test = data.held_out()
    assert (data.split, test.split, len(test), test.held_out) == ("train", "test", 10, None)


@pytest.mark.parametrize(
    ("make", "dataset", "folder", "key", "names", "batches"),
    [
        (cifar10, "CIFAR10", "cifar-10-batches-py", "labels", "label_names", 5),
        (cifar100, "CIFAR100", "cifar-100-python", "fine_labels", "fine_label_names", 1),
    ],
)
def test_cifar(
    make, dataset: str, folder: str, key: str, names: str, batches: int, tmp_path: Path, monkeypatch
) -> None:
    write_cifar(tmp_path, monkeypatch, dataset, folder, key, names)
    data = make(str(tmp_path), download=False)
    check_matches_config(data, [3, 32, 32], 10)
    assert len(data) == 4 * batches
    assert np.array_equal(data.samples[:4].numpy(), pixels(4, 3072, seed=0).reshape(4, 3, 32, 32))
    assert data.labels[:4].tolist() == [3, 1, 4, 1]
    assert data.classes[3] == "class 3"
    assert np.array_equal(
        data.held_out().samples.flatten().numpy(), pixels(4, 3072, seed=99).flatten()
    )


def test_svhn(tmp_path: Path, monkeypatch) -> None:
    from scipy.io import savemat
    from torchvision import datasets

    images = pixels(32, 32, 3, 5)
    sums = {}
    for split in ("train", "test"):
        path = tmp_path / f"{split}_32x32.mat"
        savemat(path, {"X": images, "y": np.array([[10], [1], [2], [9], [10]])})
        sums[split] = ["", path.name, md5(path)]
    monkeypatch.setattr(datasets.SVHN, "split_list", {**datasets.SVHN.split_list, **sums})
    data = svhn(str(tmp_path), download=False)
    check_matches_config(data, [3, 32, 32], 10)
    assert np.array_equal(data.samples.numpy(), images.transpose(3, 2, 0, 1))
    assert data.labels.tolist() == [0, 1, 2, 9, 0]
    assert data.held_out().split == "test"
    (tmp_path / "test_32x32.mat").unlink()
    assert svhn(str(tmp_path), download=False).held_out is None
    with pytest.raises(DataError, match=r"data=svhn was not found in data.root="):
        svhn(str(tmp_path), "extra", download=False)
    with pytest.raises(DataError, match=r"data.split must be one of train, test, extra, got 'val'"):
        svhn(str(tmp_path), "val")


def test_stl10(tmp_path: Path, monkeypatch) -> None:
    from torchvision import datasets

    folder = tmp_path / "stl10_binary"
    folder.mkdir()
    images = pixels(3, 3, 96, 96)
    for part in ("train", "test", "unlabeled"):
        (folder / f"{part}_X.bin").write_bytes(images.transpose(0, 1, 3, 2).tobytes())
        (folder / f"{part}_y.bin").write_bytes(bytes([1, 10, 3]))
    (folder / "class_names.txt").write_text("\n".join(f"class {number}" for number in range(10)))
    for attribute in ("train_list", "test_list"):
        files = [[name, md5(folder / name)] for name, _ in getattr(datasets.STL10, attribute)]
        monkeypatch.setattr(datasets.STL10, attribute, files)
    data = stl10(str(tmp_path), "train", image_size=96, download=False)
    assert np.array_equal(data.samples.numpy(), images)
    assert data.labels.tolist() == [0, 9, 2]
    assert data.classes[9] == "class 9"
    unlabelled = stl10(str(tmp_path), download=False)
    check_matches_config(unlabelled, [3, 64, 64])
    assert (unlabelled.labels, unlabelled.available_fields, unlabelled.held_out().split) == (
        None,
        set(),
        "test",
    )
    both = stl10(str(tmp_path), "train+unlabeled", download=False)
    assert (len(both), both.labels) == (6, None)
    with pytest.raises(
        DataError, match=r"data.split must be one of train, test, unlabeled, train\+unlabeled"
    ):
        stl10(str(tmp_path), "val")


def test_faces(tmp_path: Path) -> None:
    write_faces(tmp_path)
    data = celeba(
        str(tmp_path),
        label="Smiling",
        attributes=["Male", "Smiling"],
        image_size=32,
        download=False,
    )
    check_matches_config(data, [3, 32, 32], 2, [2])
    assert data.samples[:, 0, 1:].max() < 20, "the white above and below is cropped"
    assert data.samples[:, 2, 1:].float().mean((1, 2)).tolist() == pytest.approx([0, 80], abs=4)
    assert data.labels.tolist() == [0, 1]
    assert data.classes == ["not Smiling", "Smiling"]
    assert data.conditions.tolist() == [[0, 0], [0, 1]]
    test = data.held_out()
    assert (len(test), test.labels.tolist(), test.split) == (1, [1], "test")
    plain = celeba(str(tmp_path), "all", download=False)
    assert (len(plain), plain.available_fields) == (3, set())


def test_faces_that_are_not_as_said(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"data=celeba was not found in data.root=.*data.download is false"
    ):
        celeba(str(tmp_path), download=False)
    write_faces(tmp_path)
    with pytest.raises(DataError, match=r"must be among Bald, Smiling, Male, got 'Happy'"):
        celeba(str(tmp_path), label="Happy", download=False)
    with pytest.raises(DataError, match=r"data.split=valid has none of the 3 images"):
        celeba(str(tmp_path), "valid", download=False)
    with pytest.raises(
        DataError, match=r"data.split must be one of train, valid, test, all, got 'val'"
    ):
        celeba(str(tmp_path), "val", download=False)
    (tmp_path / "celeba" / "img_align_celeba" / "000002.jpg").unlink()
    with pytest.raises(
        DataError, match=r"000002.jpg is listed in list_eval_partition.txt but missing"
    ):
        celeba(str(tmp_path), download=False)


def test_scenes(tmp_path: Path) -> None:
    pytest.importorskip("lmdb", reason="gan-zoo[lsun] is not installed")
    for part, number in (("train", 7), ("val", 3)):
        write_scenes(tmp_path / f"bedroom_{part}_lmdb", number)
    data = lsun(str(tmp_path), image_size=16)
    check_matches_config(data, [3, 16, 16])
    assert data.samples[:, 0, 0, 0].tolist() == list(range(7))
    assert len(data.held_out()) == 3
    assert lsun(str(tmp_path), num_samples=2).samples.shape == (2, 3, 64, 64)


def test_scenes_that_are_not_there(tmp_path: Path) -> None:
    with pytest.raises(
        DataError, match=r"data=lsun was not found: .*church_outdoor_train_lmdb must be"
    ):
        lsun(str(tmp_path), "church_outdoor")
    with pytest.raises(DataError, match=r"data.num_samples must be >= 1 or null, got 0"):
        lsun(str(tmp_path), num_samples=0)
    with pytest.raises(DataError, match=r"data.split must be one of train, val, got 'test'"):
        lsun(str(tmp_path), split="test")


def test_scenes_without_lmdb(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "lmdb", None)
    (tmp_path / "bedroom_train_lmdb").mkdir()
    (tmp_path / "bedroom_train_lmdb" / "data.mdb").touch()
    with pytest.raises(
        DataError, match=r"data=lsun needs the package lmdb.*pip install 'gan-zoo\[lsun\]'"
    ):
        lsun(str(tmp_path))


def test_stacked_digits_show_their_label(tmp_path: Path) -> None:
    images, labels = write_digits(tmp_path)
    data = stacked_mnist(str(tmp_path), num_samples=300, download=False)
    check_matches_config(data, [3, 32, 32], 1000)
    number = {image.tobytes(): int(label) for image, label in zip(images, labels, strict=True)}
    for row in range(0, 300, 17):
        red, green, blue = (
            number[channel.numpy().tobytes()] for channel in data.samples[row, :, 2:-2, 2:-2]
        )
        assert data.labels[row] == 100 * red + 10 * green + blue
    assert len(data.labels.unique()) > 200, "the colors are drawn independently"
    again = stacked_mnist(str(tmp_path), num_samples=300, download=False)
    assert torch.equal(again.samples, data.samples)
    other = stacked_mnist(str(tmp_path), num_samples=300, seed=1, download=False)
    assert not torch.equal(other.labels, data.labels)
    test = data.held_out()
    assert (len(test), test.split, test.held_out) == (10_000, "test", None)
    with pytest.raises(DataError, match=r"data.num_samples must be >= 1, got 0"):
        stacked_mnist(str(tmp_path), num_samples=0)


def hub(root: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    datasets = pytest.importorskip("datasets", reason="gan-zoo[hub] is not installed")

    def part(grays: range) -> object:
        kinds = [("cat", "dog")[gray % 2] for gray in grays]
        images = [
            Image.new("L" if gray % 3 else "RGB", (9, 12), (gray if gray % 3 else (gray,) * 3))
            for gray in grays
        ]
        features = {"image": datasets.Image(), "label": datasets.ClassLabel(names=["dog", "cat"])}
        features |= {"kind": datasets.Value("string"), "text": datasets.Value("string")}
        rows = {
            "image": images,
            "label": kinds,
            "kind": kinds,
            "text": [f"a {kind}" for kind in kinds],
        }
        return datasets.Dataset.from_dict(rows, features=datasets.Features(features))

    datasets.DatasetDict({"train": part(range(8)), "test": part(range(100, 105))}).save_to_disk(
        root / "saved"
    )
    return str(root / "saved")


def test_a_saved_data_set_of_the_hub(tmp_path: Path, monkeypatch) -> None:
    path = hub(tmp_path, monkeypatch)
    data = huggingface(
        path, label_column="label", caption_column="text", image_size=8, caption_length=3
    )
    check_matches_config(data, [3, 8, 8], 2, [3])
    assert data.samples[:, 0, 0, 0].tolist() == list(range(8))
    assert [data.classes[label] for label in data.labels] == ["cat", "dog"] * 4
    assert data.vocabulary == ("a", "cat", "dog")
    assert data.conditions[1].tolist() == [2, 4, 0]
    test = data.held_out()
    assert test.samples[:, 0, 0, 0].tolist() == list(range(100, 105))
    assert test.captions == ["a cat", "a dog", "a cat", "a dog", "a cat"]
    named = huggingface(path, label_column="kind", image_size=8, channels=1)
    assert named.classes == ["cat", "dog"]
    assert named.labels.tolist() == [0, 1] * 4
    assert named.available_fields == {"label"}


def test_a_data_set_that_does_not_fit(tmp_path: Path, monkeypatch) -> None:
    path = hub(tmp_path, monkeypatch)
    for options, message in (
        ({"split": "val"}, "data.split must be one of train, test, got 'val'"),
        (
            {"image_column": "img"},
            "data.image_column must be one of image, label, kind, text, got 'img'",
        ),
        ({"image_column": "text"}, "data.image_column must be a column of images, 'text' holds"),
    ):
        with pytest.raises(DataError, match=message):
            huggingface(path, **options)
    with pytest.raises(
        DataError, match=r"data.path must be a dataset on the Hub or a folder of one, got .*nowhere"
    ):
        huggingface(str(tmp_path / "nowhere"))


@pytest.mark.skipif(find_spec("datasets") is not None, reason="datasets is installed")
def test_the_hub_without_its_package() -> None:
    with pytest.raises(
        DataError,
        match=r"data=huggingface needs the package datasets.*pip install 'gan-zoo\[hub\]'",
    ):
        huggingface("someone/something")
