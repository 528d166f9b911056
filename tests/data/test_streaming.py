"""Packed images: the pixels, the order, what damage says, and what a second call does."""

import json
import os
import shutil
import sys
from importlib.util import find_spec
from itertools import islice

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

from gan_zoo.cli.app import app
from gan_zoo.core.errors import DataError
from gan_zoo.core.rng import CPU, StepRNG
from gan_zoo.data.batch_order import BatchSampler
from gan_zoo.data.crops import with_crops
from gan_zoo.data.datasets.image_folder import image_folder
from gan_zoo.data.datasets.streaming import streaming
from gan_zoo.data.files import pack as packing
from gan_zoo.data.files.pack import pieces
from gan_zoo.data.loader import InfiniteLoader, on_device
from gan_zoo.data.streamed_images import StreamedImages
from gan_zoo.data.window_shuffle import WindowShuffle
from gan_zoo.launch.train import train

needs_litdata = pytest.mark.skipif(
    find_spec("litdata") is None, reason="gan-zoo[streaming] is not installed"
)
SHARD = 7


def gan_zoo(*arguments):
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """30 images of two classes, 20x24 pixels, of three formats."""
    root = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    for number in range(30):
        place = root / ("cat" if number < 20 else "dog")
        place.mkdir(exist_ok=True)
        image = Image.fromarray(rng.integers(0, 256, (20, 24, 3), dtype=np.uint8))
        image.save(place / f"{number:02}.{('png', 'jpg', 'webp')[number % 3]}")
    return root


@pytest.fixture(scope="module")
def packed(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("packed") / "shards"
    done = gan_zoo("pack", folder, out, "--shard-images", SHARD)
    assert done.exit_code == 0, done.output
    assert "30 images of 2 classes in 5 shards (5 written now)" in done.output
    return out


def in_order(images, labels):
    """Images and labels, sorted by the images' bytes."""
    rows = sorted(range(len(images)), key=lambda row: images[row].numpy().tobytes())
    return images[rows], labels[rows]


# What is read.


@needs_litdata
def test_pixels_and_classes_are_those_of_the_folder(folder, packed):
    streamed = streaming(str(packed), image_size=16)
    read = image_folder(str(folder), image_size=16)
    assert streamed.classes == read.classes == ["cat", "dog"]
    images, labels = in_order(streamed.samples[torch.arange(30)], streamed.labels)
    expected, expected_labels = in_order(read.samples, read.labels)
    assert torch.equal(images, expected)
    assert torch.equal(labels, expected_labels)


@needs_litdata
def test_resized_once_without_loss(folder, tmp_path):
    assert gan_zoo("pack", folder, tmp_path / "out", "--size", 16).exit_code == 0
    streamed = streaming(str(tmp_path / "out"), image_size=16)
    read = image_folder(str(folder), image_size=16)
    images, _ = in_order(streamed.samples[torch.arange(30)], streamed.labels)
    assert torch.equal(images, in_order(read.samples, read.labels)[0])


@needs_litdata
@pytest.mark.parametrize("encoding", [(), ("--size", 2)])
def test_values_of_more_than_8_bits(encoding, tmp_path):
    (tmp_path / "ct").mkdir()
    values = np.array([[-1000, 0], [500, 1000]], np.float32)
    Image.fromarray(values).save(tmp_path / "ct" / "0.tiff")
    out = tmp_path / "out"
    line = ("pack", tmp_path / "ct", out, *encoding)
    wanted = ("--value-range", -1000, 1000)
    assert gan_zoo(*line, *wanted).exit_code == 0
    streamed = streaming(str(out), channels=1, image_size=2, value_range=[-1000, 1000])
    assert streamed.samples[0].tolist() == [[[0, 128], [191, 255]]]

    # Without a range the file is left out, a wrong one is refused.
    failed = gan_zoo("pack", tmp_path / "ct", tmp_path / "other", *encoding)
    assert failed.exit_code == 1
    refused = gan_zoo(*line, "--value-range", 3, 1)
    assert "error: --value-range must be LOW HIGH with LOW < HIGH, got 3 1" in refused.output
    with pytest.raises(DataError, match=r"data.value_range must be \[low, high\]"):
        streaming(str(out), value_range=[3, 1])


@needs_litdata
def test_quality_makes_jpegs_of_any_format(folder, tmp_path):
    done = gan_zoo("pack", folder, tmp_path / "out", "--size", 16, "--quality", 50)
    assert done.exit_code == 0
    shards = streaming(str(tmp_path / "out"), image_size=16).samples.decode.shards
    assert {shards.read(row)[:2] for row in range(30)} == {b"\xff\xd8"}


@needs_litdata
def test_litdata_reads_the_folder(packed):
    from litdata import StreamingDataset

    data = StreamingDataset(str(packed))
    assert len(data) == 30
    ours = streaming(str(packed), image_size=16)
    for row in (0, 13, 29):
        assert data[row][0] == ours.samples.decode.shards.read(row)
        assert data[row][1] == ours.labels[row]


@needs_litdata
def test_rows_slices_and_crops_are_those_of_a_tensor(packed):
    images = streaming(str(packed), image_size=16).samples
    whole = images[torch.arange(30)]
    assert type(whole) is torch.Tensor
    assert images.shape == (30, 3, 16, 16)
    assert images.nbytes == 30 * 3 * 16 * 16
    rows = torch.tensor([29, 3, 3])
    for function in (
        lambda x: x[rows],
        lambda x: x.index_select(0, rows),
        lambda x: x[4],
        lambda x: x[-1],
        lambda x: x[20:25][[1, 2]],
        lambda x: x[::7][torch.arange(5)],
        lambda x: x[:, :, 2:10, 3:9][rows],
        lambda x: x[torch.arange(30) % 4 == 0],
        lambda x: torch.cat([part.float() for part in torch.split(x, 8)]),
        lambda x: x.float().mean(),
    ):
        assert torch.equal(function(images), function(whole))
    # Slices read nothing.
    assert type(images[3:]) is type(images)
    assert type(images[:, :, 1:5, 1:5]) is type(images)


@needs_litdata
@pytest.mark.parametrize("cropped", [False, True])
def test_images_that_fit_into_memory_are_decoded_once(cropped, packed, monkeypatch):
    from gan_zoo.data import streamed_images

    monkeypatch.setattr(streamed_images, "BLOCK", 8)
    source = streaming(str(packed), image_size=16)
    source = with_crops(source, 12) if cropped else source
    expected = source.samples[torch.arange(30)]
    read = []
    honest = StreamedImages.read
    monkeypatch.setattr(
        StreamedImages, "read", lambda self, rows: read.extend(rows) or honest(self, rows)
    )
    moved = on_device(source, CPU)
    assert read == list(range(30))
    for tensor in (moved.samples, moved.stored_samples):
        assert type(tensor) is torch.Tensor
    assert torch.equal(moved.samples, expected)
    assert torch.equal(moved.labels, source.labels)


@needs_litdata
@pytest.mark.parametrize("limit", [0, 1e9])
def test_training_reads_what_is_like_a_url(limit, packed, tiny, tmp_path, monkeypatch):
    monkeypatch.setenv("GAN_ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    places = (f"data.root=local:{packed}", f"data.test_root=local:{packed}")
    sizes = ("data.image_size=16", "generator.width=8", "discriminator.width=8")
    options = ("data=streaming", "data.num_workers=0", f"data.memory_limit={limit}")
    train(tiny("model=dcgan", "trainer.max_steps=2", *options, *places, *sizes))


# The order.


def test_window_shuffle_is_a_permutation_that_opens_few_shards():
    sizes = [50] * 20
    order = WindowShuffle(sizes, 4)(torch.Generator().manual_seed(0))
    assert torch.equal(order.sort().values, torch.arange(1000))
    shard = order // 50
    # At key k the shards of places k - 4 < p <= k occur: 5 of them around any 10 samples.
    assert all(len(shard[at : at + 10].unique()) <= 5 for at in range(990))
    # Samples of all open shards are mixed: 40 in a row come from more than two.
    assert all(len(shard[at : at + 40].unique()) > 2 for at in range(960))
    again = WindowShuffle(sizes, 4)(torch.Generator().manual_seed(0))
    other = WindowShuffle(sizes, 4)(torch.Generator().manual_seed(1))
    assert torch.equal(order, again)
    assert not torch.equal(order, other)


def test_a_window_of_all_shards_mixes_uniformly():
    # The mean place of every sample is that of the middle: sd of a mean of 400 is 99 / sqrt(12 * 400).
    generator = torch.Generator().manual_seed(0)
    shuffle = WindowShuffle([30, 10, 60], 99)
    places = torch.stack([shuffle(generator).argsort() for _ in range(400)]).double()
    assert (places.mean(0) - 49.5).abs().max() < 5 * 100 / 4800**0.5


def loader(source, start=0, rank=0, world_size=1, workers=0):
    rng = StepRNG(3, 0, rank, world_size)
    sampler = BatchSampler(source, 8, rng)
    return InfiniteLoader(
        source, sampler, rng, lambda: start, flip=True, num_workers=workers, on_device=False
    )


@needs_litdata
def test_an_epoch_has_every_image_once(packed):
    source = streaming(str(packed), image_size=16, window=2)
    sampler = BatchSampler(source, 10, StepRNG(0, 0))
    rows = torch.cat([sampler.indices(step).samples for step in range(3)])
    assert torch.equal(rows.sort().values, torch.arange(30))


@needs_litdata
def test_two_ranks_see_the_batches_of_one(packed):
    source = streaming(str(packed), image_size=16, window=2)
    one = islice(loader(source), 6)
    two = zip(loader(source, 0, 0, 2), loader(source, 0, 1, 2), strict=False)
    for whole, (first, second) in zip(one, two, strict=False):
        assert torch.equal(whole.real, torch.cat([first.real, second.real]))
        assert torch.equal(whole.label, torch.cat([first.label, second.label]))


@needs_litdata
def test_starting_in_the_middle_equals_going_on(packed):
    source = streaming(str(packed), image_size=16, window=2)
    going_on = list(islice(loader(source, workers=2), 9))[5:]
    # As another process would: opened again, with another number of workers.
    again = streaming(str(packed), image_size=16, window=2)
    for a, b in zip(going_on, islice(loader(again, start=5, workers=1), 4), strict=True):
        assert torch.equal(a.real, b.real)
        assert torch.equal(a.label, b.label)


@needs_litdata
def test_random_crops_are_streamed(packed):
    source = with_crops(streaming(str(packed), image_size=16), 12)
    batch = next(iter(loader(source)))
    assert batch.real.shape == (8, 3, 12, 12)
    assert source.samples[torch.tensor([2])].shape == (1, 3, 12, 12)


# A second call, and damage.


@needs_litdata
def test_a_second_call_continues_or_says_it_is_complete(folder, tmp_path, monkeypatch):
    from gan_zoo.data.files import pack

    # Stopped after two shards: they are not packed images yet.
    out = tmp_path / "out"
    write = pack.write_shard

    def stop_at_two(target, number, *rest):
        if number == 2:
            raise KeyboardInterrupt
        write(target, number, *rest)

    monkeypatch.setattr(pack, "write_shard", stop_at_two)
    assert gan_zoo("pack", folder, out, "--shard-images", SHARD).exit_code == 130
    with pytest.raises(DataError, match=r"has no complete packed images .*gan-zoo pack FOLDER OUT"):
        streaming(str(out))
    before = {file.name: file.stat().st_mtime_ns for file in out.glob("*.bin")}
    assert len(before) == 2

    # The rest, then nothing; by two processes.
    monkeypatch.setattr(pack, "write_shard", write)
    second = gan_zoo("pack", folder, out, "--shard-images", SHARD, "--jobs", 2)
    assert "(3 written now)" in second.output
    assert all((out / name).stat().st_mtime_ns == time for name, time in before.items())
    assert "(complete before)" in gan_zoo("pack", folder, out, "--shard-images", SHARD).output
    other = gan_zoo("pack", folder, out, "--size", 8)
    assert other.exit_code == 1
    assert "was packed from other files or with other options" in other.output


@needs_litdata
def test_files_that_changed_are_other_files(folder, tmp_path):
    shutil.copytree(folder, tmp_path / "in")
    assert gan_zoo("pack", tmp_path / "in", tmp_path / "out").exit_code == 0
    file = tmp_path / "in" / "cat" / "00.png"
    os.utime(file, ns=(0, file.stat().st_mtime_ns + 1))
    again = gan_zoo("pack", tmp_path / "in", tmp_path / "out")
    assert again.exit_code == 1
    assert "was packed from other files" in again.output


@needs_litdata
def test_names_of_files_that_are_there_stay_names(folder, packed, tmp_path, monkeypatch):
    monkeypatch.chdir(folder)
    done = gan_zoo("pack", ".", tmp_path / "out", "--shard-images", SHARD)
    assert done.exit_code == 0
    for shard in packed.glob("*.bin"):
        assert (tmp_path / "out" / shard.name).read_bytes() == shard.read_bytes()
    images = streaming(str(tmp_path / "out"), image_size=16).samples
    expected = streaming(str(packed), image_size=16).samples
    assert torch.equal(images[torch.arange(30)], expected[torch.arange(30)])


@needs_litdata
def test_the_index_is_checked_too(packed, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(packed, out)
    index = out / "index.json"
    content = index.read_text()
    manifest = json.loads((out / "gan_zoo.json").read_text())

    # With its hash, and as it was packed before that was kept.
    for known in (True, False):
        if not known:
            del manifest["index_sha256"]
            (out / "gan_zoo.json").write_text(json.dumps(manifest))
        index.write_text(content)
        assert gan_zoo("pack", out, "--check").exit_code == 0
        assert len(streaming(str(out), image_size=8)) == 30
        for damaged in (content.replace("chunk-0-1", "chunk-0-2"), content[:-9], None):
            index.unlink(missing_ok=True)
            if damaged is not None:
                index.write_text(damaged)
            checked = gan_zoo("pack", out, "--check")
            assert checked.exit_code == 1
            assert checked.output.count("index.json is ") == 1
            with pytest.raises(DataError, match=r"index.json is missing or damaged"):
                streaming(str(out))


@needs_litdata
def test_resumed_shards_are_those_of_one_call(packed, folder, tmp_path):
    gan_zoo("pack", folder, tmp_path / "out", "--shard-images", SHARD, "--jobs", 2)
    ours, theirs = (
        json.loads((place / "gan_zoo.json").read_text()) for place in (packed, tmp_path / "out")
    )
    assert ours == theirs


@needs_litdata
def test_unreadable_files_are_named_and_left_out(tmp_path):
    (tmp_path / "in").mkdir()
    for number in range(3):
        Image.new("RGB", (8, 8), (number, 0, 0)).save(tmp_path / "in" / f"{number}.png")
    content = (tmp_path / "in" / "1.png").read_bytes()
    (tmp_path / "in" / "1.png").write_bytes(content[: len(content) // 2])
    done = gan_zoo("pack", tmp_path / "in", tmp_path / "out")
    assert done.exit_code == 0
    assert "left out: 1.png: " in done.output
    assert "2 images in 1 shards" in done.output
    data = streaming(str(tmp_path / "out"), image_size=8)
    assert len(data) == 2
    assert data.labels is None


@needs_litdata
def test_damaged_shards_are_one_line(folder, tmp_path):
    out = tmp_path / "out"
    gan_zoo("pack", folder, out, "--shard-images", SHARD)
    assert "all files have their hashes" in gan_zoo("pack", out, "--check").output

    # One byte in the middle of an image of shard 1.
    path = out / "chunk-0-1.bin"
    content = bytearray(path.read_bytes())
    offsets = np.frombuffer(content, np.uint32, SHARD + 1, 4)
    content[(int(offsets[3]) + int(offsets[4])) // 2] ^= 1
    del offsets
    path.write_bytes(content)
    checked = gan_zoo("pack", out, "--check")
    assert checked.exit_code == 1
    assert checked.output.strip().count("\n") == 0
    assert "chunk-0-1.bin is damaged: its bytes" in checked.output
    source = streaming(str(out), image_size=8)
    with pytest.raises(DataError, match=r"chunk-0-1.bin is damaged: image 3 of 7 is not"):
        source.samples[torch.tensor([SHARD + 3])]

    # From a worker process the same line, without its traceback.
    with pytest.raises(DataError) as caught:
        list(islice(loader(source, workers=1), 5))
    assert str(caught.value).startswith(str(out))
    assert "\n" not in str(caught.value)

    # Half a file is found at once.
    path.write_bytes(content[:100])
    with pytest.raises(DataError, match=r"chunk-0-1.bin is damaged: 100 bytes instead of"):
        streaming(str(out))


@needs_litdata
def test_bad_options_are_one_line(folder, packed, tmp_path):
    for options, message in (
        (("--size", 0), "--size must be >= 1, got 0"),
        (("--quality", 101), "--quality must be from 1 to 100, got 101"),
        (("--jobs", 0), "--jobs must be >= 1, got 0"),
    ):
        done = gan_zoo("pack", folder, tmp_path / "out", *options)
        assert (done.exit_code, done.output) == (1, f"error: {message}\n")
    full = gan_zoo("pack", folder, folder)
    assert "must be empty, or have been begun by gan-zoo pack" in full.output
    assert "OUT is missing" in gan_zoo("pack", folder).output
    nowhere = gan_zoo("pack", tmp_path / "nowhere", tmp_path / "out")
    assert nowhere.output.startswith("error: FOLDER must be a folder of images, got")
    with pytest.raises(DataError, match=r"data.root=.* has no complete packed images"):
        streaming(str(tmp_path / "nowhere"))
    with pytest.raises(DataError, match=r"data.window must be >= 1, got 0"):
        streaming(str(packed), window=0)


def test_without_litdata_the_extra_is_named(folder, tmp_path, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "litdata"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "litdata", None)
    with pytest.raises(
        DataError, match=r"data=streaming needs the package litdata.*'gan-zoo\[streaming\]'"
    ):
        streaming(str(tmp_path))
    done = gan_zoo("pack", folder, tmp_path / "out")
    assert done.output == "error: this needs litdata: pip install 'gan-zoo[streaming]'\n"


# Shards of a URL, by litdata's own stand-in for one.


@needs_litdata
def test_a_url_is_read_through_a_cache_of_limited_size(packed, tmp_path, monkeypatch):
    monkeypatch.setenv("GAN_ZOO_CACHE", str(tmp_path))
    local = streaming(str(packed), image_size=16, window=1)
    largest = max(shard.bytes for shard in local.samples.decode.shards.manifest.shards)
    source = streaming(f"local:{packed}", image_size=16, window=1, cache_size=2.5 * largest)
    assert torch.equal(source.labels, local.labels)
    assert source.samples.decode.shards.cache.is_relative_to(tmp_path)
    for _ in range(2):
        for a, b in zip(islice(loader(source), 8), islice(loader(local), 8), strict=True):
            assert torch.equal(a.real, b.real)
    kept = [file.stat().st_size for file in source.samples.decode.shards.cache.glob("*.bin")]
    assert 2 <= len(kept) < 5
    assert sum(kept) <= 2.5 * largest
    with pytest.raises(DataError, match=r"data.cache_size=.* is less than the 2 shards"):
        streaming(f"local:{packed}", window=1, cache_size=1.5 * largest)
    with pytest.raises(DataError, match=r"data.root=local:.*: gan_zoo.json cannot be read"):
        streaming(f"local:{tmp_path}/nowhere")


@needs_litdata
def test_a_damaged_download_is_refused(packed, tmp_path, monkeypatch):
    monkeypatch.setenv("GAN_ZOO_CACHE", str(tmp_path / "cache"))
    shutil.copytree(packed, tmp_path / "far")
    path = tmp_path / "far" / "chunk-0-0.bin"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    source = streaming(f"local:{tmp_path / 'far'}", image_size=8)
    with pytest.raises(
        DataError, match=r"chunk-0-0.bin is damaged: its bytes do not have the hash"
    ):
        source.samples[0]
    assert not list((tmp_path / "cache").rglob("*.bin"))


@needs_litdata
def test_a_damaged_file_in_the_cache_is_downloaded_again(packed, tmp_path, monkeypatch):
    monkeypatch.setenv("GAN_ZOO_CACHE", str(tmp_path / "cache"))
    first = streaming(f"local:{packed}", image_size=8).samples[0]
    (file,) = (tmp_path / "cache").rglob("*.bin")
    file.write_bytes(b"")
    assert torch.equal(streaming(f"local:{packed}", image_size=8).samples[0], first)
    assert file.stat().st_size > 0


@needs_litdata
@pytest.mark.parametrize("name", ["../../victim.bin", "/tmp/victim.bin", "chunk-0-0.txt"])
def test_a_manifest_names_files_of_its_folder_alone(name, packed, tmp_path):
    shutil.copytree(packed, tmp_path / "far")
    path = tmp_path / "far" / "gan_zoo.json"
    content = json.loads(path.read_text())
    content["shards"][0]["file"] = name
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match=r"gan_zoo.json is damaged: its list of shards"):
        streaming(f"local:{tmp_path / 'far'}", image_size=8)


@needs_litdata
def test_held_out_images_have_the_classes_of_training(folder, packed, tmp_path):
    shutil.copytree(folder / "dog", tmp_path / "some" / "dog")
    assert gan_zoo("pack", tmp_path / "some", tmp_path / "out").exit_code == 0
    source = streaming(str(packed), image_size=8, test_root=str(packed))
    assert torch.equal(source.evaluation_split().labels, source.labels)
    other = streaming(str(packed), image_size=8, test_root=str(tmp_path / "out"))
    with pytest.raises(DataError, match=r"must have the classes of data.root, \['cat', 'dog'\]"):
        other.evaluation_split()


def test_shards_are_cut_by_number_and_by_size(monkeypatch):
    monkeypatch.setattr(packing, "SHARD_BYTES", 10)
    costs = [4, 4, 4, 20, 1, 1, 1]
    assert pieces([0, 1, 2, 3, 4, 5, 6], costs, 2) == [[0, 1], [2], [3], [4, 5], [6]]
