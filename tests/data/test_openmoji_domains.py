"""OpenMoji as two domains and with captions."""

from __future__ import annotations

import pickle
import re

import pytest
import torch

from gan_zoo.core.errors import DataError
from gan_zoo.data.dataset import check_matches_config
from gan_zoo.data.datasets.openmoji import (
    STYLES,
    at_night,
    emoji_names,
    flat_svg,
    inverted_lightness,
    line_art_svg,
    openmoji,
    openmoji_captions,
    openmoji_lines,
    openmoji_restyled,
    rotated_hue,
)
from gan_zoo.data.datasets.openmoji_styles import openmoji_styles
from gan_zoo.data.splits import is_held_out, variant_group


def test_only_lines_are_left_of_a_drawing() -> None:
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg"><g id="color"><path d="C"/></g><g id="skin"/>'
        '<g id="line"><path d="L"/></g><g id="line-supplement"><path d="S"/></g></svg>'
    )
    drawn = line_art_svg(svg)
    assert 'd="L"' in drawn
    assert 'd="S"' in drawn
    assert 'd="C"' not in drawn
    assert "skin" not in drawn


def test_styles_by_hand() -> None:
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg"><g id="color"><path d="C"/></g>'
        '<g id="line"><path d="L"/></g></svg>'
    )
    assert 'd="C"' in flat_svg(svg)
    assert 'd="L"' not in flat_svg(svg)
    colors = torch.tensor([[255, 255, 255], [0, 0, 0], [240, 120, 0], [90, 90, 120]])
    images = colors.to(torch.uint8)[:, :, None, None]
    dark = inverted_lightness(images).flatten(1).tolist()
    assert dark == [[0, 0, 0], [255, 255, 255], [255, 135, 15], [145, 145, 175]]
    assert rotated_hue(images)[2].flatten().tolist() == [0, 240, 120]
    night = at_night(images).flatten(1).tolist()
    assert night == [[89, 114, 191], [0, 0, 0], [84, 54, 0], [31, 40, 90]]
    assert at_night(images[:, :1]).flatten().tolist() == [114, 0, 108, 40], "gray images"
    again = inverted_lightness(inverted_lightness(images[[0, 1, 3]]))
    torch.testing.assert_close(again, images[[0, 1, 3]])  # where nothing is clipped


@pytest.mark.parametrize("style", STYLES)
def test_restyled_drawings_have_their_partners(style: str) -> None:
    train = openmoji_restyled(style)
    test = train.held_out()
    check_matches_config(train, [3, 32, 32], None, [3, 32, 32])
    assert train.unpaired
    assert train.aligned
    assert len(train) + len(test) == len(openmoji_restyled(style, split="all")) > 2000
    original, restyled = test.conditions, test.samples
    if style == "dark":
        assert torch.equal(restyled, inverted_lightness(original))
        assert restyled.float().mean() < 70 < 180 < original.float().mean()
    elif style == "hue":
        assert torch.equal(restyled.float().mean(1), original.float().mean(1))
    elif style == "night":
        assert torch.equal(restyled, at_night(original))
    else:
        dark_line = (original < 40).all(1)
        assert (restyled.amax(1)[dark_line] < 40).float().mean() < 0.2, "outlines are gone"
    assert train.fingerprint != openmoji_restyled("flat" if style != "flat" else "hue").fingerprint
    with pytest.raises(
        DataError, match=r"data.style must be one of flat, dark, hue, night, got 'x'"
    ):
        openmoji_restyled("x")


def test_lines_and_colors_of_the_same_emojis() -> None:
    train = openmoji_lines(unpaired=False)
    test = train.held_out()
    check_matches_config(train, [3, 32, 32], None, [3, 32, 32])
    assert (train.split, test.split, train.aligned, train.unpaired) == (
        "train",
        "test",
        True,
        False,
    )
    assert len(train) + len(test) == len(openmoji_lines(split="all")) > 4300
    assert len(test) / len(train) == pytest.approx(1 / 9, abs=0.03)
    lines, color = train.conditions.float(), train.samples.float()
    assert (lines.amax(1) - lines.amin(1)).max() < 8, "lines are gray"
    assert ((color.amax(1) - color.amin(1)).flatten(1).amax(1) > 40).float().mean() > 0.9, (
        "drawings are not"
    )
    dark_line = (lines < 40).all(1)
    here, elsewhere = (
        (c.amax(1)[dark_line] < 128).float().mean() for c in (color, color.roll(500, 0))
    )
    assert here > 0.9, "where a line is, the drawing of that row has one"
    assert elsewhere < 0.5
    assert (lines.flatten(1).amin(1) < 223).all()
    assert (lines - color).abs().flatten(1).amax(1).min() >= 32


def test_lines_keep_their_own_channels_and_order() -> None:
    data = openmoji_lines(condition_channels=1, split="test")
    assert data.unpaired
    assert data.held_out is None
    assert data.conditions.shape == (len(data), 1, 32, 32)
    assert data.fingerprint != openmoji_lines(split="test").fingerprint


def test_captions_name_the_drawings() -> None:
    train = openmoji_captions()
    test = train.held_out()
    check_matches_config(train, [3, 32, 32], None, [16])
    assert len(train) + len(test) == 3953
    assert train.conditions.shape == (len(train), 16)
    assert train.available_fields == {"text"}
    assert train.vocabulary[:2] == ("skin", "tone")
    assert test.vocabulary == train.vocabulary
    row = train.captions.index("grinning face")
    assert [train.vocabulary[number - 2] for number in train.conditions[row] if number] == [
        "grinning",
        "face",
    ]
    every = openmoji_captions(split="all")
    red, blue = (
        every.samples[every.captions.index(f"{name} circle")].float().mean((1, 2))
        for name in ("red", "blue")
    )
    assert red[0] > red[2]
    assert blue[2] > blue[0]


def test_a_smaller_vocabulary_has_unknown_words() -> None:
    data = openmoji_captions(vocabulary_size=10, caption_length=3)
    assert len(data.vocabulary) == 8
    assert data.conditions.shape[1] == 3
    assert data.conditions.max() == 9
    assert (data.conditions == 1).any()


def test_skin_tones_stay_with_their_emoji() -> None:
    assert variant_group("1F44B-1F3FD") == variant_group("1f44b") == "1f44b"
    assert variant_group("1FAF1-1F3FB-200D-1FAF2-1F3FC") == "1faf1-200d-1faf2"
    assert variant_group("photo-0012") != variant_group("photo-0013")
    train, test = (
        {
            re.sub(r" (medium-)?(light|medium|dark) skin tone", "", caption)
            for caption in data.captions
        }
        for data in (openmoji_captions(), openmoji_captions(split="test"))
    )
    assert not train & test
    assert sum(is_held_out(f"image-{number}", 0.1) for number in range(10_000)) == pytest.approx(
        1000, abs=100
    )


def test_names_of_emojis() -> None:
    assert emoji_names(["1F600", "2764", "1F44B-1F3FD", "E425"]) == [
        "grinning face",
        "red heart",
        "waving hand medium skin tone",
        None,
    ]


def test_a_held_out_part_travels_to_worker_processes() -> None:
    held_out = openmoji_lines().held_out
    assert torch.equal(pickle.loads(pickle.dumps(held_out))().samples, held_out().samples)


@pytest.mark.parametrize("make", [openmoji_lines, openmoji_captions])
def test_unknown_splits(make) -> None:
    with pytest.raises(DataError, match=r"data.split must be one of train, test, all, got 'val'"):
        make(split="val")


def test_the_default_set_is_whole() -> None:
    data = openmoji(image_size=32)
    assert (data.conditions, data.held_out, data.split) == (None, None, "all")


def test_styles_as_classes() -> None:
    """A drawing is in the same split in every style, and its styles are those of the pairs."""
    train = openmoji_styles()
    test = train.held_out()
    check_matches_config(train, [3, 32, 32], 3)
    assert train.classes == ["original", "hue", "dark"]
    assert train.labels.bincount().tolist() == [len(train) // 3] * 3
    assert len(train) + len(test) == len(openmoji_styles(split="all"))
    pairs = openmoji_restyled("dark", split="test")
    assert torch.equal(test.samples[test.labels == 0], pairs.conditions)
    assert torch.equal(test.samples[test.labels == 2], pairs.samples)
    assert torch.equal(test.samples[test.labels == 1], rotated_hue(test.samples[test.labels == 0]))
    others = openmoji_styles(["dark", "original"])
    assert others.fingerprint != train.fingerprint
    for styles in ([], ["hue", "hue"], ["blue"]):
        with pytest.raises(DataError, match="styles must be different ones of original"):
            openmoji_styles(styles)
