"""The user's own images: in two domains, and with a table."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from PIL import Image

from gan_zoo.core.errors import DataError
from gan_zoo.data.dataset import check_matches_config
from gan_zoo.data.datasets.captioned_folder import captioned_folder
from gan_zoo.data.datasets.cyclegan_folders import cyclegan_folder, side_by_side_folder
from gan_zoo.data.datasets.paired_folders import paired_folder, unpaired_folder


def make_image(path: Path, gray: int, mode: str = "RGB", size: tuple[int, int] = (10, 8)) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(
        mode, size, {"L": gray, "RGB": (gray,) * 3, "RGBA": (gray, gray, gray, 255)}[mode]
    ).save(path)
    return path


def domains(root: Path, number: int = 60) -> None:
    """Pairs have the same name; sources are as bright as their number, targets a hundred brighter."""
    for gray in range(number):
        make_image(
            root / "source" / f"sub{gray % 2}" / f"p{gray}.png", gray, "L" if gray % 3 else "RGBA"
        )
        make_image(root / "target" / f"sub{gray % 2}" / f"p{gray}.bmp", gray + 100)


def grays(images: torch.Tensor) -> list[int]:
    assert (images == images[:, :1, :1, :1]).all()
    return images[:, 0, 0, 0].tolist()


def test_partners_share_a_row(tmp_path: Path) -> None:
    domains(tmp_path)
    data = paired_folder(str(tmp_path), image_size=4, condition_channels=1)
    check_matches_config(data, [3, 4, 4], None, [1, 4, 4])
    assert [gray + 100 for gray in grays(data.conditions)] == grays(data.samples)
    test = data.held_out()
    assert [gray + 100 for gray in grays(test.conditions)] == grays(test.samples)
    assert sorted(grays(data.conditions) + grays(test.conditions)) == list(range(60))
    assert 0 < len(test) < 20
    assert (data.aligned, data.unpaired, test.split, test.held_out) == (True, False, "test", None)
    assert data.fingerprint != test.fingerprint
    assert paired_folder(str(tmp_path), image_size=4, unpaired=True).unpaired
    assert len(paired_folder(str(tmp_path), image_size=4, split="all")) == 60
    assert paired_folder(str(tmp_path), image_size=4, test_share=0).held_out is None


def test_more_images_do_not_move_those_held_out(tmp_path: Path) -> None:
    domains(tmp_path, 40)
    before = grays(paired_folder(str(tmp_path), image_size=4).held_out().conditions)
    domains(tmp_path, 60)
    after = grays(paired_folder(str(tmp_path), image_size=4).held_out().conditions)
    assert set(before) <= set(after)
    assert all(gray >= 40 for gray in set(after) - set(before))


def test_images_without_partner(tmp_path: Path) -> None:
    domains(tmp_path, 5)
    make_image(tmp_path / "source" / "alone.png", 9)
    with pytest.warns(
        UserWarning, match=r"^1 images without a partner of the same name are left out, alone among"
    ):
        assert len(paired_folder(str(tmp_path), image_size=4, split="all")) == 5
    make_image(tmp_path / "other" / "x.png", 9)
    with pytest.raises(
        DataError, match=r"no image in .*source has a partner of the same name in .*other"
    ):
        paired_folder(str(tmp_path), target_folder="other")


def test_an_unreadable_partner_takes_the_other_along(tmp_path: Path) -> None:
    domains(tmp_path, 6)
    (tmp_path / "source" / "sub0" / "p2.png").write_bytes(b"no image")
    (tmp_path / "target" / "sub1" / "p3.bmp").write_bytes(b"no image")
    with pytest.raises(DataError, match=r"1 of 6 images cannot be read: .*p2.png .*on_error=skip"):
        paired_folder(str(tmp_path), image_size=4)
    data = paired_folder(str(tmp_path), image_size=4, on_error="skip", split="all")
    assert sorted(grays(data.conditions)) == [0, 1, 4, 5]
    assert [gray + 100 for gray in grays(data.conditions)] == grays(data.samples)


def test_domains_of_different_sizes(tmp_path: Path) -> None:
    for gray in range(30):
        make_image(tmp_path / "horses" / f"h{gray}.png", gray)
    for gray in range(50):
        make_image(tmp_path / "zebras" / f"z{gray}.png", 100 + gray)
    data = unpaired_folder(str(tmp_path), "horses", "zebras", image_size=4)
    test = data.held_out()
    assert (data.aligned, data.unpaired) == (False, True)
    assert sorted(grays(data.samples) + grays(test.samples)) == list(range(100, 150))
    assert sorted(grays(data.conditions) + grays(test.conditions)) == list(range(30))
    assert len(data) != len(data.conditions)
    assert len(test) > 0 < len(test.conditions)


@pytest.mark.parametrize("make", [paired_folder, unpaired_folder])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"source_folder": "nowhere"},
            "data.source_folder must be a folder of images, got .*nowhere",
        ),
        ({"target_folder": "empty"}, "data.target_folder=.*empty has no images"),
        ({"split": "val"}, "data.split must be one of train, test, all, got 'val'"),
        ({"test_share": 1}, r"data.test_share must be >= 0 and < 1, got 1"),
        ({"test_share": 0, "split": "test"}, "data.split=test has none of the 4 samples"),
        ({"on_error": "cry"}, "data.on_error must be one of stop, skip, got 'cry'"),
        ({"channels": 2}, "data.channels must be 1 or 3, got 2"),
    ],
)
def test_impossible_domains(make, options, message: str, tmp_path: Path) -> None:
    domains(tmp_path, 4)
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=message) as caught:
        make(str(tmp_path), **{"image_size": 4, **options})
    assert "\n" not in str(caught.value)


def test_two_images_of_one_name(tmp_path: Path) -> None:
    domains(tmp_path, 4)
    make_image(tmp_path / "source" / "sub0" / "p0.jpg", 3)
    with pytest.raises(
        DataError, match=r"data.source_folder has two images of one name: .*p0.jpg and .*p0.png"
    ):
        paired_folder(str(tmp_path))


def table(root: Path, number: int = 40) -> Path:
    rows = ["name,caption,kind"]
    for gray in range(number):
        make_image(root / "images" / f"p{gray}.png", gray)
        rows.append(
            f'p{gray}.png,"gray, number {gray}",{"even" if gray % 2 == 0 else "an odd one"}'
        )
    (root / "captions.csv").write_text("\n".join(rows), encoding="utf-8-sig")
    return root


OPTIONS = {"folder": "images", "file_column": "name", "class_column": "kind", "image_size": 4}


def test_captions_and_classes_of_a_table(tmp_path: Path) -> None:
    data = captioned_folder(str(table(tmp_path)), **OPTIONS, caption_length=4)
    test = data.held_out()
    assert data.classes == test.classes == ["an odd one", "even"]
    for part in (data, test):
        check_matches_config(part, [3, 4, 4], 2, [4])
        assert part.labels.tolist() == [1 - gray % 2 for gray in grays(part.samples)]
        assert list(part.captions) == [f"gray, number {gray}" for gray in grays(part.samples)]
        assert part.vocabulary == data.vocabulary
    assert data.vocabulary[:2] == ("gray", "number")
    assert data.conditions[:, :2].tolist() == [[2, 3]] * len(data)
    assert [data.vocabulary[number - 2] for number in data.conditions[:, 2]] == [
        str(g) for g in grays(data.samples)
    ]
    assert test.conditions[:, 2].eq(1).all(), "numbers that training has not seen are unknown words"
    assert sorted(grays(data.samples) + grays(test.samples)) == list(range(40))


def test_classes_without_captions(tmp_path: Path) -> None:
    data = captioned_folder(str(table(tmp_path)), **OPTIONS, caption_column=None, split="all")
    assert (data.conditions, data.captions, data.available_fields) == (None, None, {"label"})
    assert len(data) == 40


def test_rows_without_image(tmp_path: Path) -> None:
    root = table(tmp_path, 20)
    for number in (1, 3, 5, 7):
        (root / "images" / f"p{number}.png").unlink()
    with pytest.raises(
        DataError, match=r"4 of 20 files .* p1.png, p3.png, p5.png and 1 more; .*data.on_error=skip"
    ):
        captioned_folder(str(root), **OPTIONS)
    with pytest.warns(UserWarning, match=r"4 of 20 files"):
        data = captioned_folder(str(root), **OPTIONS, on_error="skip", split="all")
    assert sorted(grays(data.samples)) == [0, 2, 4, 6, *range(8, 20)]
    assert list(data.captions) == [f"gray, number {gray}" for gray in grays(data.samples)]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"csv": "none.csv"}, "data.csv must be a CSV file in UTF-8, got .*none.csv"),
        (
            {"class_column": "color"},
            "captions.csv has no column 'color': its columns are name, caption, kind",
        ),
        ({"folder": "nowhere"}, "data.folder must be a folder of images"),
        ({"text": "bert"}, "data.text must be one of words, minilm, got 'bert'"),
    ],
)
def test_impossible_tables(options, message: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=message):
        captioned_folder(str(table(tmp_path, 4)), **{**OPTIONS, **options})


def test_a_table_without_rows(tmp_path: Path) -> None:
    (tmp_path / "captions.csv").write_text("file,caption\n")
    with pytest.raises(DataError, match=r"data.csv=captions.csv has no rows"):
        captioned_folder(str(tmp_path))


def test_real_styles_of_emoji(shared_data: Path) -> None:
    data = paired_folder(str(shared_data / "emoji"), "noto", "twemoji", image_size=16)
    test = data.held_out()
    assert (len(data), len(test)) == (3397, 389)

    def darkness(images: torch.Tensor) -> torch.Tensor:
        return 255 - images.float().mean(1).flatten(1)

    samples, conditions = darkness(test.samples), darkness(test.conditions)
    similar = torch.nn.functional.cosine_similarity
    partners, strangers = similar(samples, conditions), similar(samples, conditions.roll(97, 0))
    assert partners.mean() > strangers.mean() + 0.1


def test_real_captions(shared_data: Path) -> None:
    root = str(shared_data / "emoji")
    data = captioned_folder(
        root,
        "emoji.csv",
        "noto",
        caption_column="name",
        class_column="category",
        image_size=16,
        split="all",
    )
    assert len(data) == 3786
    assert len(data.classes) == 10
    assert data.classes[data.labels[data.captions.index("grinning face")]] == "Smileys & Emotion"


# ---------------------------------------------------------------- CycleGAN's layouts


def test_folders_of_cyclegan_have_their_own_test_sets(tmp_path: Path) -> None:
    for name, count, gray in (
        *(("trainA", 3, 10), ("trainB", 5, 20)),
        *(("testA", 1, 30), ("testB", 2, 40)),
    ):
        (tmp_path / name).mkdir()
        for k in range(count):
            Image.new("RGB", (6, 4), (gray, gray, gray)).save(tmp_path / name / f"{k}.jpg")
    data = cyclegan_folder(str(tmp_path), image_size=4)
    assert (len(data), len(data.conditions), data.unpaired) == (5, 3, True)
    assert (grays(data.samples), grays(data.conditions)) == ([20] * 5, [10] * 3)
    held_out = data.evaluation_split()
    assert (grays(held_out.samples), grays(held_out.conditions)) == ([40] * 2, [30])
    back = cyclegan_folder(str(tmp_path), direction="BtoA", image_size=4)
    assert (grays(back.samples), grays(back.conditions)) == ([10] * 3, [20] * 5)
    assert grays(back.evaluation_split().samples) == [30]


def test_pairs_side_by_side_are_halved_in_either_direction(tmp_path: Path) -> None:
    for folder, shift in (("train", 0), ("val", 100)):
        (tmp_path / folder).mkdir()
        for k in range(3):
            image = Image.new("L", (8, 4), 10 + k + shift)
            image.paste(50 + k + shift, (4, 0, 8, 4))
            image.save(tmp_path / folder / f"{k}.png")
    data = side_by_side_folder(str(tmp_path), image_size=4)
    assert (grays(data.conditions), grays(data.samples)) == ([10, 11, 12], [50, 51, 52])
    assert data.aligned
    assert not data.unpaired
    back = side_by_side_folder(str(tmp_path), direction="BtoA", image_size=4)
    assert (grays(back.conditions), grays(back.samples)) == ([50, 51, 52], [10, 11, 12])
    assert grays(data.evaluation_split().conditions) == [110, 111, 112]


def test_what_is_wrong_with_these_layouts_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"data.direction must be AtoB or BtoA, got 'AB'"):
        cyclegan_folder(str(tmp_path), direction="AB")
    with pytest.raises(DataError, match=r"trainB in data.root must be a folder"):
        cyclegan_folder(str(tmp_path))
    (tmp_path / "train").mkdir()
    Image.new("L", (7, 4)).save(tmp_path / "train" / "odd.png")
    with pytest.raises(DataError, match=r"odd.png \(7 pixels wide, which cannot be halved"):
        side_by_side_folder(str(tmp_path), image_size=4)
