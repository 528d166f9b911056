"""WebDataset's tar files: pixels, classes, captions, partners, the order, the index, and bad input."""

import gzip
import io
import multiprocessing
import os
import tarfile
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np
import pytest
import torch
from PIL import Image

from gan_zoo.core.errors import DataError
from gan_zoo.core.rng import StepRNG
from gan_zoo.data.batch_order import BatchSampler
from gan_zoo.data.datasets.image_folder import image_folder
from gan_zoo.data.datasets.webdataset import webdataset
from gan_zoo.data.files import tar_index
from gan_zoo.data.loader import InfiniteLoader
from gan_zoo.launch.train import train

COUNT = 30
SHARD = 7
COLORS = ("red", "green", "blue")


def encoded(seed, suffix="png", height=20, width=24):
    """An image file of random pixels."""
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, {"jpg": "JPEG"}.get(suffix, suffix.upper()))
    return file.getvalue()


def write_tar(path, members):
    """A tar of ``members``, pairs of names and bytes, in their order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return path


def sample(number, key=None):
    """The members of a sample with everything."""
    key = key or f"{number:03}"
    suffix = ("png", "jpg", "webp")[number % 3]
    return [
        (f"{key}.{suffix}", encoded(number, suffix)),
        (f"{key}.cls", f"{number % 3}\n".encode()),
        (f"{key}.txt", f"A {COLORS[number % 3]} thing, número {number}".encode()),
        (f"{key}.source.png", encoded(100 + number)),
        (f"{key}.json", b"{}"),
    ]


def write_tars(root, count=COUNT, each=SHARD):
    """Tars of ``each`` samples, the last one in a sub-folder and with keys in a folder."""
    starts = range(0, count, each)
    for number, start in enumerate(starts):
        nested = start == starts[-1]
        members = []
        for row in range(start, min(start + each, count)):
            members += sample(row, f"./some.where/{row:03}" if nested else None)
        write_tar(root / ("more" if nested else "") / f"{number:02}.tar", members)


@pytest.fixture(scope="module")
def tars(tmp_path_factory):
    root = tmp_path_factory.mktemp("tars")
    write_tars(root)
    return root


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The same images as files, and their partners."""
    root = tmp_path_factory.mktemp("images")
    for place, member in (("image", 0), ("source", 3)):
        (root / place).mkdir()
        for number in range(COUNT):
            name, content = sample(number)[member]
            (root / place / name).write_bytes(content)
    return root


def everything(images):
    return images[torch.arange(len(images))]


# What is read.


@pytest.mark.parametrize(("channels", "size"), [(3, 16), (1, [12, 18])])
def test_pixels_are_those_of_the_folder(channels, size, tars, folder):
    source = webdataset(str(tars), channels, size)
    read = image_folder(str(folder / "image"), channels, size)
    assert torch.equal(everything(source.samples), read.samples)


def test_classes_are_numbers(tars):
    source = webdataset(str(tars), image_size=8)
    assert source.labels.tolist() == [row % 3 for row in range(COUNT)]
    assert source.labels.dtype == torch.int64
    assert source.num_classes == 3
    assert source.available_fields == {"label"}


def test_captions_are_token_conditions(tars):
    source = webdataset(str(tars), image_size=8, captions=True, caption_length=4)
    assert source.captions[4] == "A green thing, número 4"
    assert source.conditions.shape == (COUNT, 4)
    words = [source.vocabulary[number - 2] for number in source.conditions[4].tolist()]
    assert words == ["a", "green", "thing", "número"]
    assert source.available_fields == {"label", "text"}


@pytest.mark.parametrize("suffix", ["source.png", ".Source.PNG"])
def test_partners_are_streamed_conditions(suffix, tars, folder):
    source = webdataset(str(tars), image_size=16, condition_suffix=suffix, condition_channels=1)
    read = image_folder(str(folder / "source"), 1, 16)
    assert torch.equal(everything(source.conditions), read.samples)
    assert type(source.conditions) is type(source.samples)
    assert torch.equal(everything(source.samples), everything(webdataset(str(tars), 3, 16).samples))
    assert source.available_fields == {"label", "image", "domain"}


def test_mismatched_partners_are_found_by_their_pixels(tmp_path):
    twins = [("0.png", encoded(0)), ("0.a.png", encoded(5)), ("1.png", encoded(1))]
    twins += [("1.a.png", encoded(5)), ("2.png", encoded(2)), ("2.a.png", encoded(6))]
    write_tar(tmp_path / "0.tar", twins)
    source = webdataset(str(tmp_path), image_size=8, condition_suffix="a.png")
    sampler = BatchSampler(source, 3, StepRNG(0, 0), ["mismatched"])
    for step in range(9):
        rows = sampler.indices(step)
        assert all((a == 2) != (b == 2) for a, b in zip(rows.samples, rows.mismatched, strict=True))


def test_members_that_mean_nothing_are_ignored(tmp_path):
    path = tmp_path / "a.tar"
    members = [("._0.png", b"x"), ("README", b"x"), ("0.png", encoded(0)), ("0.seg.png", b"x")]
    write_tar(path, members)
    with tarfile.open(path, "a") as tar:
        info = tarfile.TarInfo("folder.d")
        info.type = tarfile.DIRTYPE
        tar.addfile(info)
        content = encoded(1)
        info = tarfile.TarInfo("folder.d/" + 200 * "n" + ".PNG")
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
    write_tar(tmp_path / ".hidden.tar", [("0.png", b"x")])
    source = webdataset(str(tmp_path), image_size=8)
    assert len(source) == 2
    assert source.labels is None
    assert source.conditions is None


def test_held_out_tars_have_the_words_and_classes_of_training(tars, tmp_path):
    write_tar(tmp_path / "test" / "0.tar", [*sample(1), *sample(34)])
    source = webdataset(
        str(tars), image_size=8, captions=True, caption_length=5, test_root=str(tmp_path / "test")
    )
    held_out = source.evaluation_split()
    assert (source.split, len(held_out)) == ("train", 2)
    assert held_out.vocabulary == source.vocabulary
    assert torch.equal(held_out.conditions[0], source.conditions[1])
    assert held_out.conditions[1, 4] == 1  # a number that training has not

    # More classes than in training, or none.
    for label, says in ((b"7", "got 0 to 7"), (None, "got none")):
        members = [("0.png", encoded(0))] + ([] if label is None else [("0.cls", label)])
        write_tar(tmp_path / "test" / "0.tar", members)
        other = webdataset(str(tars), image_size=8, test_root=str(tmp_path / "test"))
        with pytest.raises(
            DataError, match=rf"data.test_root must have the classes of data.root, 0 to 2, {says}"
        ):
            other.evaluation_split()


# The order.


def loader(source, start=0, rank=0, world_size=1, workers=0):
    rng = StepRNG(3, 0, rank, world_size)
    sampler = BatchSampler(source, 8, rng)
    return InfiniteLoader(
        source, sampler, rng, lambda: start, flip=True, num_workers=workers, on_device=False
    )


def opened(tars):
    return webdataset(str(tars), image_size=16, window=2, condition_suffix="source.png")


def assert_equal_batches(a, b):
    for field in ("real", "label", "condition"):
        assert torch.equal(getattr(a, field), getattr(b, field))


def test_an_epoch_has_every_image_once_and_few_tars_at_a_time(tars):
    source = opened(tars)
    sampler = BatchSampler(source, 10, StepRNG(0, 0))
    rows = torch.cat([sampler.indices(step).samples for step in range(3)])
    assert torch.equal(rows.sort().values, torch.arange(COUNT))
    shard = rows // SHARD
    assert all(len(shard[at : at + 4].unique()) <= 3 for at in range(COUNT - 4))
    source.samples[rows]
    assert len(source.samples.decode.shards.tars.files._open) == 3


def test_two_ranks_see_the_batches_of_one(tars):
    source = opened(tars)
    one = islice(loader(source), 6)
    two = zip(loader(source, 0, 0, 2), loader(source, 0, 1, 2), strict=False)
    for whole, (first, second) in zip(one, two, strict=False):
        for field in ("real", "label", "condition"):
            parts = torch.cat([getattr(first, field), getattr(second, field)])
            assert torch.equal(getattr(whole, field), parts)


def test_starting_in_the_middle_equals_going_on(tars):
    going_on = list(islice(loader(opened(tars), workers=2), 9))[5:]
    # As another process would: opened again, with another number of workers.
    for a, b in zip(going_on, islice(loader(opened(tars), start=5, workers=1), 4), strict=True):
        assert_equal_batches(a, b)


@pytest.mark.parametrize("method", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_other_processes_read_the_same(method, tars):
    source = opened(tars)
    first = source.samples[3]  # with files that are open already
    with multiprocessing.get_context(method).Pool(1) as pool:
        assert torch.equal(pool.apply(source.samples.read, ([3],))[0], first)


# The index.


@pytest.fixture
def indexed(monkeypatch, tmp_path):
    """The names of the tars that are read to index them, in a cache of the test's own."""
    monkeypatch.setenv("GAN_ZOO_CACHE", str(tmp_path / "cache"))
    names = []
    honest = tar_index.read_samples

    def read(path, wanted):
        names.append(path.name)
        return honest(path, wanted)

    monkeypatch.setattr(tar_index, "read_samples", read)
    return names


def test_tars_are_indexed_once(indexed, tars, tmp_path):
    options = {"image_size": 8, "captions": True}
    first = webdataset(str(tars), **options)
    assert sorted(indexed) == [f"{number:02}.tar" for number in range(5)]
    again = webdataset(str(tars), **options)
    assert len(indexed) == 5
    assert again.fingerprint == first.fingerprint
    assert again.captions == first.captions
    assert torch.equal(again.labels, first.labels)
    assert len(list((tmp_path / "cache" / "webdataset").glob("*.npz"))) == 1

    # Other members are wanted, so another index; the size of images makes no difference.
    assert webdataset(str(tars), image_size=8).fingerprint != first.fingerprint
    assert len(indexed) == 10
    assert webdataset(str(tars), image_size=16, window=3).fingerprint != first.fingerprint
    assert len(indexed) == 10


def test_who_comes_at_once_makes_one_index(indexed, tars):
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: webdataset(str(tars), image_size=8), range(4)))
    assert len(indexed) == 5


def test_a_changed_tar_is_indexed_again(indexed, tmp_path):
    root = tmp_path / "tars"
    path = write_tar(root / "0.tar", sample(0))
    before = webdataset(str(root), image_size=8)
    write_tar(path, [*sample(1), *sample(2)])
    after = webdataset(str(root), image_size=8)
    assert (len(before), len(after)) == (1, 2)
    assert before.fingerprint != after.fingerprint
    assert indexed == ["0.tar", "0.tar"]

    # Whoever has the old index does not read wrong bytes.
    with pytest.raises(DataError, match=r"0.tar has changed since .*: start or resume again"):
        before.samples[0]

    # Nor whoever has it open, when the bytes are replaced in place.
    held = after.samples[0]
    assert torch.equal(after.samples[0], held)
    with path.open("r+b") as file:
        file.write(path.read_bytes())
    os.utime(path, ns=(1, 1))
    with pytest.raises(DataError, match=r"0\.tar has changed since"):
        after.samples[0]
    later = webdataset(str(root), image_size=8)
    path.unlink()
    with pytest.raises(DataError, match=r"0.tar cannot be opened: No such file"):
        later.samples[0]


# Bad input.


@pytest.mark.parametrize(
    ("members", "options", "says"),
    [
        (
            [],
            {},
            "data.root and data.test_root must hold tar files with samples such as 000.jpg, .*0.tar has none",
        ),
        ([("a.cls", b"1")], {}, r"0.tar: the sample 'a' has no image, only .cls: every sample"),
        ([("a/b.avif", b"1")], {}, "0.tar has none"),
        (
            [(f"a.{number}.cls.x", b"1") for number in range(9)] + [("a.cls", b"1")],
            {},
            r"'a' has no image, only \.0\.cls\.x, \.1\.cls\.x, \.2\.cls\.x and 7 more: .* up to the first dot",
        ),
        (
            [("a.png", b""), ("a.jpg", b"")],
            {},
            "0.tar has two members of one key where one image is allowed: a.png and a.jpg",
        ),
        ([("a.cls", b"1"), ("a.cls", b"1")], {}, "one .cls is allowed"),
        ([("a.png", b""), ("a.cls", b"-1")], {}, r"a.cls must be .* an integer >= 0 .* got '-1'"),
        ([("a.png", b""), ("a.cls", b"1.5")], {}, "got '1.5'"),
        ([("a.png", b""), ("a.cls", 20 * b"1")], {}, "of at most 9 digits, got '1111"),
        ([("a.png", b""), ("a.cls", b"\xff")], {}, "a.cls must be text in UTF-8"),
        (
            [("a.png", b""), ("a.cls", b"1"), ("b.png", b"")],
            {},
            "0.tar: the sample 'b' has no .cls, others have: all samples must have one, or none",
        ),
        (
            [("a.png", b""), ("a.txt", b"x"), ("b.png", b"")],
            {"captions": True},
            "the sample 'b' has no .txt, only .png: data.captions=true needs one in every sample",
        ),
        ([("a.png", b""), ("a.txt", b"\xff")], {"captions": True}, "a.txt must be text in UTF-8"),
        (
            [("a.png", b""), ("a.s.png", b""), ("b.png", b"")],
            {"condition_suffix": "s.png"},
            "'b' has no .s.png, only .png: data.condition_suffix=s.png needs one in every sample",
        ),
        (
            [("a.png", b"")],
            {"condition_suffix": "npy"},
            r"data.condition_suffix must end like an image \(.*\) or be null, got 'npy'",
        ),
        (
            [("a.png", b"")],
            {"condition_suffix": "s.png", "captions": True},
            "data.captions must be false or data.condition_suffix null, .*, got true and s.png",
        ),
        ([("a.png", b"")], {"window": 0}, "data.window must be >= 1, got 0"),
        ([("a.png", b"")], {"channels": 4}, "data.channels must be 1 or 3, got 4"),
    ],
)
def test_bad_samples_are_one_line(members, options, says, tmp_path):
    write_tar(tmp_path / "0.tar", members)
    with pytest.raises(DataError, match=says) as caught:
        webdataset(str(tmp_path), image_size=8, **options)
    assert "\n" not in str(caught.value)


def test_classes_are_those_of_all_tars_or_of_none(tmp_path):
    write_tar(tmp_path / "0.tar", [("a.png", b""), ("a.cls", b"1")])
    write_tar(tmp_path / "1.tar", [("a.png", b"")])
    with pytest.raises(
        DataError, match=r"1.tar has samples without .cls, .*0.tar samples with: all samples"
    ):
        webdataset(str(tmp_path))


def test_a_folder_without_tars_is_one_line(tmp_path):
    with pytest.raises(DataError, match=r"data.root=.* has no tar files \(.tar\)"):
        webdataset(str(tmp_path))
    with pytest.raises(DataError, match=r"data.root must be a folder of tar files, got"):
        webdataset(str(tmp_path / "nowhere"))


def test_links_hold_no_bytes(tmp_path):
    path = write_tar(tmp_path / "0.tar", [("a.png", encoded(0))])
    with tarfile.open(path, "a") as tar:
        info = tarfile.TarInfo("b.png")
        info.type = tarfile.LNKTYPE
        info.linkname = "a.png"
        tar.addfile(info)
    with pytest.raises(DataError, match=r"b.png must be an ordinary file, got a link .*--hard-der"):
        webdataset(str(tmp_path))


def test_damaged_tars_are_one_line(tmp_path):
    path = write_tar(tmp_path / "0.tar", [*sample(0), *sample(1)])
    whole = path.read_bytes()
    with tarfile.open(path) as tar:
        members = tar.getmembers()
    last = members[-1]
    end = last.offset_data + 512
    header = members[5].offset
    for content, says in (
        (b"", "empty file"),
        (b"\x89PNG" * 1000, "truncated header|bad checksum|invalid header"),
        (gzip.compress(whole), "header|checksum"),
        (whole[: last.offset_data - 300], "it ends too early, after"),  # in a header
        (whole[: members[5].offset_data + 10], "unexpected end of data"),  # in an image
        (whole[:end], "it ends too early, after"),  # where a member ends
        (whole[:header] + b"x" + whole[header + 1 :], f"what follows byte {header:,} is damaged"),
        (whole + whole, f"what follows byte {end:,} is damaged, or another tar"),
    ):
        path.write_bytes(content)
        with pytest.raises(
            DataError,
            match=rf"data.test_root must hold complete, uncompressed tar files, got .*0.tar: .*({says})",
        ) as caught:
            webdataset(str(tmp_path))
        assert "\n" not in str(caught.value)


def test_compressed_tars_are_left_out_with_a_line(tmp_path, capsys):
    path = write_tar(tmp_path / "0.tar", sample(0))
    (tmp_path / "devkit.tar.gz").write_bytes(b"")
    assert len(webdataset(str(tmp_path), image_size=8)) == 1
    assert "1 files in" in capsys.readouterr().err
    path.unlink()
    with pytest.raises(DataError, match=r"has no tar files \(.tar\); compressed .*: unpack them"):
        webdataset(str(tmp_path))


def test_a_tar_without_samples_is_a_shard_of_none(tmp_path):
    write_tar(tmp_path / "0.tar", [("README.md", b"about")])
    write_tar(tmp_path / "1.tar", sample(0))
    write_tar(tmp_path / "2.tar", [])
    source = webdataset(str(tmp_path), image_size=8)
    assert len(source) == 1
    assert source.samples[0].shape == (3, 8, 8)
    assert source.labels is not None
    assert len(source.permute(torch.Generator())) == 1


@pytest.mark.parametrize(
    ("content", "says"),
    [(encoded(0)[:-300], "truncated|broken|image"), (b"no image", "not an image of a known")],
)
def test_a_damaged_image_names_the_tar_and_the_key(content, says, tmp_path):
    write_tar(tmp_path / "0.tar", [*sample(0), ("a/1.png", content), ("a/1.cls", b"1")])
    source = webdataset(str(tmp_path), image_size=8)
    with pytest.raises(DataError, match=rf"0.tar: a/1.png cannot be read: .*({says})") as caught:
        source.samples[1]
    assert "\n" not in str(caught.value)
    # Also where the file has become another one.
    os.truncate(tmp_path / "0.tar", 0)
    assert "byte" in source.samples.decode.shards.name(1)


def test_values_of_more_than_8_bits(tmp_path):
    stream = io.BytesIO()
    values = np.array([[-1000, 0], [500, 1000]], np.float32)
    Image.fromarray(values).save(stream, "TIFF")
    write_tar(tmp_path / "0.tar", [("0.tiff", stream.getvalue())])
    unknown = webdataset(str(tmp_path), channels=1, image_size=2)
    with pytest.raises(DataError, match=r"set data.value_range=\[low,high\]"):
        unknown.samples[0]
    known = webdataset(str(tmp_path), channels=1, image_size=2, value_range=[-1000, 1000])
    assert known.samples[0].tolist() == [[[0, 128], [191, 255]]]
    assert known.fingerprint != unknown.fingerprint


# Training.

SMALL = ("data=webdataset", "data.image_size=16", "data.num_workers=0", "trainer.max_steps=10")
NARROW = ("generator.width=8", "discriminator.width=8")


@pytest.mark.parametrize(
    "options",
    [
        pytest.param(
            ("model=dcgan", "data.num_classes=3", "data.memory_limit=1e9"), marks=pytest.mark.slow
        ),
        pytest.param(("model=cgan", "data.num_classes=3"), marks=pytest.mark.slow),
        ("model=cgan", "data.captions=true", "condition=text", "data.test_root=ROOT"),
        ("model=pix2pix", "data.condition_suffix=source.png"),
    ],
    ids=["dcgan", "classes", "captions", "pix2pix"],
)
def test_models_train(options, tars, tiny):
    options = [option.replace("ROOT", str(tars)) for option in options]
    train(tiny(*options, *SMALL, *NARROW, f"data.root={tars}", "data.load_size=20"))


def test_conditions_made_from_samples_are_not_overridden(tars, tiny):
    config = tiny("model=pix2pix", "data/derive=mask", *SMALL, f"data.root={tars}")
    assert list(config.data.condition_shape) == [4, 16, 16]
