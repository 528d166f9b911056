"""Tensors from files: any number of channels, scaled, with labels and label maps."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from gan_zoo.core.errors import DataError
from gan_zoo.data.datasets.tensor_file import array_header, tensor_file
from gan_zoo.data.image_tensors import to_unit
from tests.helpers import invoke

LATENTS = np.random.default_rng(0).normal(size=(40, 5, 8, 8)).astype(np.float32) * 3


def latents(folder: Path, suffix: str = ".npz", **more: np.ndarray) -> str:
    file = folder / f"latents{suffix}"
    arrays = {"samples": LATENTS, **more}
    if suffix == ".npy":
        np.save(file, LATENTS)
    elif suffix == ".npz":
        np.savez(file, **arrays)
    else:
        save_file({name: torch.from_numpy(array) for name, array in arrays.items()}, file)
    return str(file)


@pytest.mark.parametrize("suffix", [".npy", ".npz", ".safetensors"])
def test_tensors_keep_their_values_in_every_format(suffix: str, tmp_path: Path) -> None:
    root = latents(tmp_path, suffix)
    data = tensor_file(root)
    assert torch.equal(to_unit(data.samples), torch.from_numpy(LATENTS))
    assert not data.holds_images
    assert array_header(root).shape == [5, 8, 8]
    assert array_header(root, "labels") is None


def test_the_scaling_becomes_minus_one_and_one_and_is_undone_in_files(tmp_path: Path) -> None:
    data = tensor_file(latents(tmp_path), scaling=[-12, 4])
    torch.testing.assert_close(data.samples, (torch.from_numpy(LATENTS) + 4) / 8)
    data.sample_kind.write([data.samples[:25], data.samples[25:]], tmp_path / "out.npy")
    np.testing.assert_allclose(np.load(tmp_path / "out.npy"), LATENTS, atol=1e-5)


def test_labels_conditions_and_the_held_out_part_belong_to_their_rows(tmp_path: Path) -> None:
    labels = np.arange(40) % 7
    root = latents(tmp_path, labels=labels, conditions=LATENTS[:, :2, 0, 0].copy())
    data = tensor_file(root, test_share=0.3)
    rest = data.evaluation_split()
    assert 0 < len(rest) < len(data)
    assert len(rest) + len(data) == 40
    for part in (data, rest):
        for sample, label, condition in zip(
            part.samples, part.labels, part.conditions, strict=True
        ):
            (row,) = np.flatnonzero((sample.numpy() == LATENTS).all((1, 2, 3)))
            assert label == labels[row]
            assert condition.tolist() == LATENTS[row, :2, 0, 0].tolist()
    assert (data.num_classes, data.condition_kind) == (7, "vector")


def test_label_maps_become_one_channel_a_class_of_zeros_and_ones(tmp_path: Path) -> None:
    maps = np.random.default_rng(1).integers(0, 6, (40, 8, 8))
    data = tensor_file(latents(tmp_path, conditions=maps), condition_classes=6)
    one_hot = torch.nn.functional.one_hot(torch.from_numpy(maps), 6).permute(0, 3, 1, 2)
    assert torch.equal(to_unit(data.conditions), one_hot.float())
    assert data.condition_kind == "image"


def test_bytes_with_three_channels_are_images(tmp_path: Path) -> None:
    images = np.random.default_rng(2).integers(0, 256, (9, 3, 8, 8), dtype=np.uint8)
    np.save(tmp_path / "images.npy", images)
    data = tensor_file(str(tmp_path / "images.npy"))
    assert data.holds_images
    assert data.sample_kind.is_image


def test_a_run_on_latents_draws_saves_and_writes_them(tmp_path: Path, composed) -> None:
    from gan_zoo.launch.train import train

    small = ("generator.width=8", "discriminator.width=8", "data.batch_size=8", "logger=none")
    config = composed(
        "data=tensor_file",
        f"data.root={latents(tmp_path)}",
        "data.scaling=[-12,12]",
        *small,
        "trainer.max_steps=2",
        "callbacks.samples.count=4",
    )
    train(config)
    run = tmp_path / "run"
    assert list((run / "samples").glob("*.png"))
    (tmp_path / "latents.npz").unlink()
    target = tmp_path / "generated.npy"
    assert invoke("sample", run, "--count", 10, "--out", target).strip() == str(target)
    samples = np.load(target)
    assert samples.shape == (10, 5, 8, 8)
    assert 1 < np.abs(samples).max() <= 12


def test_spade_like_conditions_train_pix2pix(tmp_path: Path, tiny) -> None:
    from gan_zoo.launch.train import train

    images = np.random.default_rng(2).integers(0, 256, (9, 3, 16, 16), dtype=np.uint8)
    maps = np.random.default_rng(3).integers(0, 4, (9, 16, 16))
    np.savez(tmp_path / "maps.npz", samples=images, conditions=maps)
    data = ("data=tensor_file", f"data.root={tmp_path}/maps.npz", "data.condition_classes=4")
    small = ("generator.width=4", "discriminator.width=4", "discriminator.layers=1")
    train(tiny("model=pix2pix", *data, *small, "data.batch_size=4", "trainer.max_steps=1"))


@pytest.mark.parametrize(
    ("arrays", "options", "message"),
    [
        ({}, {"scaling": [1, 1]}, r"data.scaling must be \[low, high\]"),
        ({"samples": LATENTS[0]}, {}, r"samples must be \[N, C, H, W\] or \[N, D\], got \[5, 8, 8\]"),
        ({"samples": LATENTS * np.inf}, {}, "not finite"),
        ({"labels": np.zeros(3, int)}, {}, "labels must be 40 whole numbers"),
        ({"conditions": np.zeros((3, 2))}, {}, "there must be 40 conditions"),
        (
            {"conditions": np.full((40, 8, 8), 4)},
            {"condition_classes": 4},
            "conditions must be below data.condition_classes=4, got 4 to 4",
        ),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_named(arrays, options, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        tensor_file(latents(tmp_path, **arrays), **options)


def test_other_files_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.npz").write_bytes(b"no")
    with pytest.raises(DataError, match="cannot be read"):
        tensor_file(str(tmp_path / "a.npz"))
    with pytest.raises(DataError, match=r"must be a file .npy, .npz, .safetensors, got"):
        tensor_file(str(tmp_path / "a.pt"))
    np.savez(tmp_path / "b.npz", x=LATENTS)
    with pytest.raises(DataError, match=r"must hold 'samples', it holds \['x'\]"):
        tensor_file(str(tmp_path / "b.npz"))


def test_the_labels_of_a_file_are_the_classes_of_a_model(tmp_path: Path, tiny) -> None:
    from gan_zoo.config.build import build_module

    labels = np.array([0, 2, 1, 2])
    np.savez(tmp_path / "a.npz", samples=np.zeros((4, 1, 8, 8), np.uint8), labels=labels)
    overrides = ("data=tensor_file", f"data.root={tmp_path / 'a.npz'}", "model=cgan_single")
    config = tiny(*overrides, "generator.width=8", "discriminator.width=8")
    assert config.data.num_classes == 3
    assert build_module(config).model.num_requested_labels == 3
    np.savez(tmp_path / "b.npz", samples=np.zeros((4, 1, 8, 8), np.uint8))
    assert tiny("data=tensor_file", f"data.root={tmp_path / 'b.npz'}").data.num_classes is None
