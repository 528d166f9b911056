"""Models whose discriminator embeds samples near the proxy of their class."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from torch import Tensor, nn
from torch.nn import functional as F

from gan_zoo.core.types import (
    Batch,
    Count,
    DiscriminatorOutput,
    FakeSamples,
    LossTerms,
    TermOutputs,
    Weight,
    run_discriminator,
)
from gan_zoo.models.class_heads.class_conditional import ClassConditionalGAN


class EmbeddingDiscriminator(nn.Module):
    """A discriminator whose ``aux`` are embeddings of length 1, with proxies of the classes.

    Args:
        discriminator: its ``aux`` are the embeddings before normalization, ``[B, embedding_dim]``.
        num_classes: K.
        embedding_dim: F.
    """

    def __init__(self, discriminator: nn.Module, num_classes: int, embedding_dim: int) -> None:
        super().__init__()
        self.discriminator = discriminator
        self.proxies = nn.Embedding(num_classes, embedding_dim)

    def forward(self, x: Tensor) -> DiscriminatorOutput:
        output = run_discriminator(self.discriminator, x)
        return replace(output, aux=F.normalize(output.aux, dim=1))

    def normalized_proxies(self) -> Tensor:
        """The proxies ``[K, F]``, of length 1."""
        return F.normalize(self.proxies.weight, dim=1)


class ContraGAN(ClassConditionalGAN):
    """Embeddings are compared with proxies of classes and with each other, instead of classified.

    With `ConditionalContrastive` it is ContraGAN (Kang & Park 2020), with `DataToDataCrossEntropy`
    ReACGAN (Kang et al. 2021). Loss terms: ``contrast`` for the discriminator on reals, for the
    generator on fakes of the classes that it was given.

    Args:
        generator, discriminator, num_classes, latent_dim, prior: as in `ClassConditionalGAN`.
        contrast: ``(embeddings, proxies, labels) -> scalar``.
        embedding_dim: size of the embeddings.
        contrast_weight: factor on the terms.
    """

    # Embeddings are compared with each other: parts of a batch have fewer pairs.
    mean_of_samples: bool = False

    def __init__(
        self,
        generator: Callable[..., nn.Module],
        discriminator: Callable[..., nn.Module],
        contrast: nn.Module,
        num_classes: int | None,
        embedding_dim: Count = 512,
        contrast_weight: Weight = 1.0,
        latent_dim: Count = 100,
        prior: str = "normal",
    ) -> None:
        # Set first: `with_classes` needs it when the base class makes the discriminator.
        self.embedding_dim = embedding_dim
        super().__init__(
            generator, discriminator, num_classes, lambda _: embedding_dim, latent_dim, prior
        )
        self.contrast = contrast
        self.contrast_weight = contrast_weight

    def with_classes(self, discriminator: nn.Module) -> nn.Module:
        return EmbeddingDiscriminator(discriminator, self.num_classes, self.embedding_dim)

    def proxies(self) -> Tensor:
        """The normalized proxies of the classes, ``[K, F]``."""
        discriminator = self.discriminators["main"]
        assert isinstance(discriminator, EmbeddingDiscriminator)
        return discriminator.normalized_proxies()

    def discriminator_terms(
        self, batch: Batch, fakes: FakeSamples, outputs: Sequence[TermOutputs]
    ) -> LossTerms:
        real = outputs[0].real
        assert real is not None
        loss = self.contrast(real.aux, self.proxies(), batch.label)
        return {"contrast": self.contrast_weight * loss}

    def generator_terms(
        self, batch: Batch, fakes: FakeSamples, outputs: Sequence[TermOutputs]
    ) -> LossTerms:
        labels = self.generated_labels(batch)
        loss = self.contrast(outputs[0].fake.aux, self.proxies(), labels)
        return {"contrast": self.contrast_weight * loss}
