"""The contract of a kind of sample."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

from PIL import Image
from torch import Tensor

if TYPE_CHECKING:
    from gan_zoo.data.dataset import Source


class SampleKind(ABC):
    """How samples are drawn for a person and written to files.

    Attributes:
        suffix: ending of the file that many samples are written to; empty for a folder of files.
        per_image: samples in a drawing for each image of a grid of images.
        is_image: whether samples are drawn as image grids.
    """

    suffix: ClassVar[str] = ""
    per_image: ClassVar[int] = 1
    is_image: ClassVar[bool] = False

    @abstractmethod
    def draw(self, samples: Tensor, source: Source) -> Image.Image:
        """Samples ``[B, ...]`` as one image, perhaps next to real ones of ``source``."""

    def write_beside(self, samples: Tensor, drawing: Path) -> None:  # noqa: B027
        """Write what a person needs besides the drawing of these samples, in a folder of its name;
        nothing unless a kind has its own.
        """

    @abstractmethod
    def write(self, blocks: Iterable[Tensor], target: Path) -> int:
        """Write blocks of samples ``[B, ...]`` to a file or folder, and return how many they
        were.
        """
