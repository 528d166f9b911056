"""gan_zoo: a research framework for GAN variants.

The parts are here under their own names: ``from gan_zoo import DataModule, GANModule, fit``. Each
is imported when it is first asked for, so that ``import gan_zoo`` is quick; ``__init__.pyi`` lists
them.
"""

from __future__ import annotations

from typing import Any

import lazy_loader

__version__ = "0.1.0"
__getattr__, _, _parts = lazy_loader.attach_stub(__name__, __file__)
__all__ = ["__version__", "load", *_parts]


def load(folder: str, **options: Any) -> Any:
    """The generators of an export or a run: ``gan_zoo.load(folder).sample(16, seed=0)``.

    See `gan_zoo.inference.load.load_run`.

    ``hf://user/name`` is an export on the Hugging Face hub.
    """
    from gan_zoo.inference.load import load_run

    return load_run(folder, **options)


def __dir__() -> list[str]:
    """What there is, for completion."""
    return __all__
