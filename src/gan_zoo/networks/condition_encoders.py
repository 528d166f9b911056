"""Condition encoders: classes, captions, images and vectors of any origin to vectors.

Each side has its own encoder, trained with it. Vectors have length 1, many times shorter than
latents: a generator with a large condition ignores its latents.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize, one_hot

from gan_zoo.core.types import Batch, Count, DiscriminatorOutput, SampleRequest
from gan_zoo.networks.image_encoders import DCGANEncoder
from gan_zoo.networks.layers.shapes import square_image


class Condition(nn.Module):
    """Interface: takes the condition of a batch and maps it to ``[B, outputs]``.

    Attributes:
        need: the field that batches must have: ``label``, ``text``, ``image`` or ``vector``.
        outputs: size of the vectors.
    """

    need: ClassVar[str]
    outputs: int

    def of(self, given: Batch | SampleRequest) -> Tensor:
        """The raw conditions of a batch or of a request."""
        if given.condition is None:
            raise ValueError(
                f"{type(self).__name__} needs batches with a condition, this one has none"
            )
        return given.condition

    def mismatched(self, batch: Batch) -> Tensor:
        """Raw conditions that differ from those of `of` in every row."""
        if batch.mismatched_condition is None:
            raise ValueError(
                f"{type(self).__name__} needs batches with mismatched conditions, this one has none"
            )
        return batch.mismatched_condition

    def wrap(self, discriminator: nn.Module) -> ConditionalDiscriminator:
        """A discriminator of samples and raw conditions, which this encoder encodes."""
        return ConditionalDiscriminator(discriminator, self)

    def forward(self, condition: Tensor) -> Tensor:
        """Vectors ``[B, outputs]`` of raw conditions."""
        raise NotImplementedError


class ClassLabels(Condition):
    """What encoders of classes share.

    Args:
        num_classes: K >= 2.
    """

    need = "label"

    def __init__(self, num_classes: int | None) -> None:
        super().__init__()
        if num_classes is None or num_classes < 2:
            raise ValueError(
                "conditions that are classes need data with labels (data=digits, mnist, ...):"
                f" data.num_classes must be >= 2, got {num_classes}; folders and tar files with"
                " classes need it on the command line"
            )
        self.num_classes = num_classes

    def of(self, given: Batch | SampleRequest) -> Tensor:
        """The labels, or uniformly random ones where there are none."""
        if given.label is None:
            return given.rng.randint("classes", given.size, 0, self.num_classes)
        return given.label

    def mismatched(self, batch: Batch) -> Tensor:
        """(c + U{1 .. K-1}) mod K: every other class is equally likely, the matching one
        impossible.
        """
        shift = batch.rng.randint("wrong classes", batch.size, 1, self.num_classes)
        return (self.of(batch) + shift) % self.num_classes


class ClassCondition(ClassLabels):
    """A learned vector for each class.

    Args:
        num_classes: K >= 2.
        outputs: size of the vectors.
    """

    def __init__(self, num_classes: int | None, outputs: Count = 32) -> None:
        super().__init__(num_classes)
        assert num_classes is not None
        self.outputs = outputs
        self.embedding = nn.Embedding(num_classes, outputs)
        # Of length 1: latents are many times longer.
        nn.init.normal_(self.embedding.weight, 0, outputs**-0.5)

    def forward(self, condition: Tensor) -> Tensor:
        vectors: Tensor = self.embedding(condition)
        return vectors


class OneHotCondition(ClassLabels):
    """Classes as one-hot vectors: whatever linear map comes next is the embedding.

    Args:
        num_classes: K >= 2.
    """

    def __init__(self, num_classes: int | None) -> None:
        super().__init__(num_classes)
        assert num_classes is not None
        self.outputs = num_classes

    def forward(self, condition: Tensor) -> Tensor:
        return one_hot(condition, self.num_classes).float()


class BagOfWords(Condition):
    """A caption as the mean of its words' learned vectors; the order of words is lost.

    Args:
        vocabulary_size: number of token ids: 0 is padding and is ignored, 1 stands for unknown
            words.
        outputs: size of the vectors.
    """

    need = "text"

    def __init__(self, vocabulary_size: int | None, outputs: Count = 64) -> None:
        super().__init__()
        self.outputs = outputs
        # Padding does not count in the mean.
        self.words = nn.EmbeddingBag(
            require_vocabulary(vocabulary_size), outputs, mode="mean", padding_idx=0
        )
        # Also the row of the padding, which the mean leaves out.
        nn.init.normal_(self.words.weight, 0, 1)
        self.mix = nn.Sequential(
            nn.Linear(outputs, outputs), nn.LeakyReLU(0.2), nn.Linear(outputs, outputs)
        )

    def forward(self, condition: Tensor) -> Tensor:
        return normalize(self.mix(self.words(condition)), dim=1)


class RecurrentText(Condition):
    """A caption as the last state of a GRU over its words' learned vectors.

    Args:
        vocabulary_size: as in `BagOfWords`.
        outputs: size of the vectors.
    """

    need = "text"

    def __init__(self, vocabulary_size: int | None, outputs: Count = 64) -> None:
        super().__init__()
        self.outputs = outputs
        self.words = nn.Embedding(require_vocabulary(vocabulary_size), outputs, padding_idx=0)
        self.recurrent = nn.GRU(outputs, outputs, batch_first=True)

    def forward(self, condition: Tensor) -> Tensor:
        states, _ = self.recurrent(self.words(condition))
        last = (condition != 0).sum(1).clamp(min=1) - 1
        return normalize(states[torch.arange(len(states), device=states.device), last], dim=1)


class VectorCondition(Condition):
    """A vector of any origin (sentence or speech embeddings, attributes) through two layers.

    Args:
        condition_shape: ``[D]`` of the data's vectors.
        outputs: size of the encoded vectors.
    """

    need = "vector"

    def __init__(self, condition_shape: Sequence[int] | None, outputs: Count = 64) -> None:
        super().__init__()
        if condition_shape is None or len(condition_shape) != 1:
            raise ValueError(
                f"condition=vector needs data.condition_shape=[D], got {condition_shape}"
            )
        self.outputs = outputs
        self.layers = nn.Sequential(
            nn.Linear(condition_shape[0], 2 * outputs),
            nn.LeakyReLU(0.2),
            nn.Linear(2 * outputs, outputs),
        )

    def forward(self, condition: Tensor) -> Tensor:
        return normalize(self.layers(condition), dim=1)


class ImageCondition(Condition):
    """Another image, through the layers of DCGAN's discriminator.

    Args:
        condition_shape: ``[C, S, S]`` of the data's condition images.
        outputs: size of the vectors.
        width: as in `gan_zoo.networks.dcgan.DCGANDiscriminator`.
    """

    need = "image"

    def __init__(
        self, condition_shape: Sequence[int] | None, outputs: Count = 128, width: Count = 32
    ) -> None:
        super().__init__()
        if condition_shape is None or len(condition_shape) != 3:
            raise ValueError(
                f"condition=image needs data.condition_shape=[C, S, S], got {condition_shape}"
            )
        square_image(condition_shape, "condition=image")
        self.outputs = outputs
        self.encoder = DCGANEncoder(outputs, condition_shape, width, norm="layer")

    def forward(self, condition: Tensor) -> Tensor:
        return normalize(self.encoder(condition), dim=1)


class ConditionalDiscriminator(nn.Module):
    """A discriminator with the encoder of its conditions.

    Args:
        discriminator: scores samples given vectors.
        condition: the encoder of the vectors.
    """

    def __init__(self, discriminator: nn.Module, condition: Condition) -> None:
        super().__init__()
        self.discriminator = discriminator
        self.condition = condition

    def forward(self, x: Tensor, condition: Tensor) -> Tensor | DiscriminatorOutput:
        output: Tensor | DiscriminatorOutput = self.discriminator(x, self.condition(condition))
        return output


def require_vocabulary(size: int | None) -> int:
    """The vocabulary's size, if the data have one."""
    if size is None or size < 3:
        raise ValueError(
            "condition=text needs data with captions: data.vocabulary_size must be >= 3, got"
            f" {size}"
        )
    return size
