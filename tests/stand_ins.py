"""Tiny data sets in the formats of the published ones."""

from __future__ import annotations

import hashlib
import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image


def pixels(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)


def md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes()).hexdigest()


def write_digits(
    root: Path, folder: str = "MNIST", train: int = 20, test: int = 10
) -> tuple[np.ndarray, np.ndarray]:
    """The IDX files of MNIST and its kin; returns the images and labels for training."""
    raw = root / folder / "raw"
    raw.mkdir(parents=True)
    for seed, (part, number) in enumerate({"t10k": test, "train": train}.items()):
        images = pixels(number, 28, 28, seed=seed)
        labels = np.arange(number, dtype=np.uint8) % 10
        sizes = b"".join(size.to_bytes(4, "big") for size in (number, 28, 28))
        (raw / f"{part}-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03" + sizes + images.tobytes())
        (raw / f"{part}-labels-idx1-ubyte").write_bytes(
            b"\0\0\x08\x01" + number.to_bytes(4, "big") + labels.tobytes()
        )
    return images, labels


def write_cifar(
    root: Path,
    patch: pytest.MonkeyPatch,
    dataset: str = "CIFAR10",
    folder: str = "cifar-10-batches-py",
    key: str = "labels",
    names: str = "label_names",
    batch_size: int = 4,
) -> None:
    """The pickled batches of CIFAR-10 or CIFAR-100, whose checksums replace those in torchvision."""
    from torchvision import datasets

    kind = getattr(datasets, dataset)
    (root / folder).mkdir(parents=True)

    def write(name: str, content: dict[str, Any]) -> str:
        path = root / folder / name
        path.write_bytes(pickle.dumps(content))
        return md5(path)

    def batch(seed: int) -> dict[str, Any]:
        labels = ([3, 1, 4, 1] * batch_size)[:batch_size]
        return {"data": pixels(batch_size, 3072, seed=seed), key: labels}

    training = [[name, write(name, batch(seed))] for seed, (name, _) in enumerate(kind.train_list)]
    testing = [[name, write(name, batch(99))] for name, _ in kind.test_list]
    classes = write(kind.meta["filename"], {names: [f"class {n}" for n in range(10)]})
    meta = {**kind.meta, "md5": classes}
    for attribute, value in {"train_list": training, "test_list": testing, "meta": meta}.items():
        patch.setattr(datasets.CIFAR10, attribute, value)
        patch.setattr(kind, attribute, value)


def write_faces(root: Path, count: int = 3) -> None:
    """The folder and lists of CelebA; the last image is the test part."""
    folder = root / "celeba"
    (folder / "img_align_celeba").mkdir(parents=True)
    parts = []
    attributes = [str(count), "Bald Smiling Male"]
    for number in range(count):
        name = f"{number + 1:06d}.jpg"
        face = Image.new("RGB", (178, 218), "white")
        face.paste((0, 0, 80 * number % 256), (0, 20, 178, 198))
        face.save(folder / "img_align_celeba" / name, quality=95)
        parts.append(f"{name} {2 if number == count - 1 else 0}")
        attributes.append(f"{name} -1  {1 if number else -1} -1")
    (folder / "list_eval_partition.txt").write_text("\n".join(parts) + "\n")
    (folder / "list_attr_celeba.txt").write_text("\n".join(attributes))


def write_scenes(folder: Path, count: int) -> None:
    """An LMDB of LSUN, images of one gray each."""
    import lmdb

    folder.parent.mkdir(parents=True, exist_ok=True)
    with lmdb.open(str(folder), map_size=2**22) as store, store.begin(write=True) as transaction:
        for gray in range(count):
            file = io.BytesIO()
            Image.new("RGB", (40, 30), (gray,) * 3).save(file, "WEBP", lossless=True)
            transaction.put(f"{gray:04d}".encode(), file.getvalue())


def write_classes(root: Path, classes: int, each: int = 2) -> None:
    """ImageNet's layout: a folder of JPEGs of different sizes for each class."""
    for number in range(classes):
        folder = root / f"n{number:08d}"
        folder.mkdir(parents=True)
        for k in range(each):
            image = Image.fromarray(pixels(40 + k, 50, 3, seed=classes * k + number))
            image.save(folder / f"n{number:08d}_{k}.JPEG")


def write_domains(root: Path, count: int = 8) -> None:
    """The layout of CycleGAN's repository."""
    for number, name in enumerate(("trainA", "trainB", "testA", "testB")):
        (root / name).mkdir(parents=True)
        for k in range(count):
            image = Image.fromarray(pixels(32, 32, 3, seed=count * number + k))
            image.save(root / name / f"{k}.jpg")


def write_halves(root: Path, count: int = 8) -> None:
    """The layout of pix2pix's repository: A and B side by side in one image."""
    for number, name in enumerate(("train", "val")):
        (root / name).mkdir(parents=True)
        for k in range(count):
            image = Image.fromarray(pixels(32, 64, 3, seed=count * number + k))
            image.save(root / name / f"{k}.jpg")


def write_words(root: Path, count: int = 8) -> None:
    """Speech Commands: a folder of 16 kHz WAV files for each word."""
    import soundfile

    for number, word in enumerate(("zero", "one", "two")):
        (root / word).mkdir(parents=True)
        for k in range(count):
            sound = np.random.default_rng(count * number + k).uniform(-1, 1, 16_000)
            soundfile.write(root / word / f"{k}.wav", sound, 16_000)


def write_census(file: Path, count: int = 600) -> None:
    """Rows of the census table: numbers, categories and missing values."""
    draw = np.random.default_rng(0)
    lines = ["age,workclass,education-num,sex,hours-per-week,income"]
    for _ in range(count):
        age = draw.integers(17, 90)
        work = draw.choice(["Private", "State-gov", "?"])
        education, sex = draw.integers(1, 17), draw.choice(["Male", "Female"])
        lines.append(f"{age},{work},{education},{sex},{draw.integers(1, 99)},{age > 40}")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
