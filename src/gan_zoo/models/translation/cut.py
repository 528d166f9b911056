"""The one-way unpaired translation model with a patchwise contrastive loss."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gan_zoo.core.types import (
    AdversarialTerm,
    Batch,
    Count,
    FakeSamples,
    LossTerms,
    SampleRequest,
    Shape,
    TermOutputs,
    Weight,
    Whole,
)
from gan_zoo.models.base import Model, require_images


@runtime_checkable
class StagedTranslator(Protocol):
    """A translator whose first half can be run alone.

    Attributes:
        stage_widths: channels of each stage: the image, the halvings, the residual blocks.
        num_halvings: how many of them are halvings.
    """

    stage_widths: list[int]
    num_halvings: int

    def activations(self, x: Tensor, stages: Sequence[int]) -> list[Tensor]:
        """Activations ``[B, C, H, W]`` of images after each of ``stages``, in rising order."""
        ...


class PatchProjections(nn.Module):
    """A network of two layers for each stage: activations ``[B, P, C]`` to unit vectors ``[B, P,
    F]``.

    Park et al. 2020, section 3.

    Args:
        widths: C of each stage.
        embedding_dim: F.
    """

    def __init__(self, widths: Sequence[int], embedding_dim: Count) -> None:
        super().__init__()
        self.heads = nn.ModuleList(
            nn.Sequential(
                nn.Linear(width, embedding_dim),
                nn.ReLU(),
                nn.Linear(embedding_dim, embedding_dim),
            )
            for width in widths
        )

    def forward(self, rows: Sequence[Tensor]) -> list[Tensor]:
        return [F.normalize(head(row), dim=-1) for head, row in zip(self.heads, rows, strict=True)]


class CUT(Model):
    """A translator from A to B whose output keeps the content of each patch of the input.

    Park et al. 2020, eq. 5. A is the domain of a batch's conditions, B that of its samples. With
    NCE(x, G(x)) the mean over stages of the contrastive loss of ``contrast``, between projected
    activations of the translator's own first half at the same random positions of x and G(x):

        CUT:      L_G = adv(D, G(a)) + w/2 (NCE(a, G(a)) + NCE(b, G(b))),
        FastCUT:  L_G = adv(D, G(a)) + w NCE(a, G(a)).

    Term ``realism``; loss terms ``nce`` and ``identity``. The projections belong to the generators.

    Args:
        generator: makes a `StagedTranslator`, called with ``in_shape`` and ``out_shape``.
        discriminator: makes a discriminator of samples.
        contrast: ``(queries, keys) -> scalar`` of unit vectors ``[B, P, F]``.
        a_shape, b_shape: ``[C, H, W]`` of both domains, which must be equal.
        nce_weight: w (1 for CUT, 10 for FastCUT).
        identity: whether half of w goes to NCE(b, G(b)).
        flip_equivariance: whether half of the images, chosen at random, are translated mirrored
            (FastCUT).
        stages: 0 for the image, then the halvings and the residual blocks; None for those of the
            paper: image, halvings, the first and the middle block.
        positions: P, drawn for each image and stage; all where there are fewer.
        embedding_dim: F.
    """

    term_names: ClassVar[tuple[str, ...]] = ("realism",)
    needs = ("domain",)

    def __init__(
        self,
        generator: Callable[..., nn.Module],
        discriminator: Callable[..., nn.Module],
        contrast: nn.Module,
        a_shape: Shape | None,
        b_shape: Shape,
        nce_weight: Weight = 1.0,
        identity: bool = True,
        flip_equivariance: bool = False,
        stages: Sequence[Whole] | None = None,
        positions: Count = 256,
        embedding_dim: Count = 256,
    ) -> None:
        super().__init__()
        a_shape = require_images(a_shape, "model=cut")
        if list(a_shape) != list(b_shape):
            raise ValueError(
                "model=cut compares inputs and outputs by one network and needs domains of one"
                f" shape, got {list(a_shape)} and {list(b_shape)}"
            )
        if nce_weight < 0 or positions < 1 or embedding_dim < 1:
            raise ValueError(
                "nce_weight must be >= 0, positions and embedding_dim >= 1, got"
                f" {nce_weight}, {positions} and {embedding_dim}"
            )

        # The projections are trained with the translator.
        translator = generator(in_shape=a_shape, out_shape=b_shape)
        staged = check_staged(translator)
        self.stages = chosen_stages(len(staged.stage_widths), staged.num_halvings, stages)
        widths = [staged.stage_widths[stage] for stage in self.stages]
        projections = PatchProjections(widths, embedding_dim)
        self.generators = nn.ModuleDict({"main": translator, "projections": projections})
        self.discriminators = nn.ModuleDict({"main": discriminator()})
        self.contrast = contrast
        self.nce_weight = nce_weight
        self.identity = identity
        self.flip_equivariance = flip_equivariance
        self.positions = positions

    def generate(self, batch: Batch) -> FakeSamples:
        assert batch.condition is not None
        return {"fake": self.generators["main"](self.mirrored(batch, batch.condition))}

    def adversarial_terms(self, batch: Batch, fakes: FakeSamples) -> Sequence[AdversarialTerm]:
        return [AdversarialTerm("realism", self.discriminators["main"], batch.real, fakes["fake"])]

    def generator_terms(
        self, batch: Batch, fakes: FakeSamples, outputs: Sequence[TermOutputs]
    ) -> LossTerms:
        assert batch.condition is not None
        nce = self.nce(batch, fakes["fake"], batch.condition, "positions")
        if not self.identity:
            return {"nce": self.nce_weight * nce}

        # What is in the target domain already keeps its content, too.
        kept = self.generators["main"](self.mirrored(batch, batch.real))
        identity = self.nce(batch, kept, batch.real, "identity positions")
        return {"nce": self.nce_weight / 2 * nce, "identity": self.nce_weight / 2 * identity}

    def nce(self, batch: Batch, output: Tensor, source: Tensor, purpose: str) -> Tensor:
        """The mean over stages of the contrastive loss of ``source`` and its translation
        ``output``, which is mirrored as by `mirrored`.
        """
        translator: Any = self.generators["main"]
        projections = self.generators["projections"]
        of_output = [
            self.mirrored(batch, activation)
            for activation in translator.activations(output, self.stages)
        ]
        with torch.no_grad():  # keys are constants
            of_source = translator.activations(source, self.stages)

        # The same positions of both, other ones for each image and stage.
        places = [
            self.draw_positions(batch, activation, f"{purpose} {stage}")
            for stage, activation in zip(self.stages, of_output, strict=True)
        ]
        queries = projections([rows_at(*pair) for pair in zip(of_output, places, strict=True)])
        with torch.no_grad():
            keys = projections([rows_at(*pair) for pair in zip(of_source, places, strict=True)])
        losses = [self.contrast(*pair) for pair in zip(queries, keys, strict=True)]
        return torch.stack(losses).mean()

    def draw_positions(self, batch: Batch, activation: Tensor, purpose: str) -> Tensor:
        """Distinct positions of each image, ``[B, P]`` (int64)."""
        count = activation.shape[2] * activation.shape[3]
        order = batch.rng.uniform(purpose, batch.size, count)
        return order.topk(min(self.positions, count), dim=1).indices

    def mirrored(self, batch: Batch, images: Tensor) -> Tensor:
        """``images`` ``[B, C, H, W]`` of which a random half is mirrored, the same ones in the
        whole step.
        """
        if not self.flip_equivariance:
            return images
        flips = batch.rng.uniform("flip", batch.size) < 0.5
        return torch.where(flips[:, None, None, None], images.flip(3), images)

    def sample(self, request: SampleRequest, generators: nn.ModuleDict) -> Tensor:
        with request.rng.as_default():  # for translators with dropout at test time
            samples: Tensor = generators["main"](request.condition)
        return samples

    def visuals(self, request: SampleRequest, generators: nn.ModuleDict) -> dict[str, Tensor]:
        """Input and output, and the target where it is known, else another B."""
        assert request.condition is not None
        visuals = {"input": request.condition, "sample": self.sample(request, generators)}
        if request.target is not None:
            visuals["target"] = request.target
        # Without pairs any image of B shows at least the domain.
        elif request.unrelated is not None:
            visuals["another B"] = request.unrelated
        return visuals


def check_staged(translator: nn.Module) -> StagedTranslator:
    """``translator``, as one with stages.

    Raises:
        ValueError: if it has no stages.
    """
    if not isinstance(translator, StagedTranslator):
        raise ValueError(
            "model=cut needs a generator with activations(x, stages), such as"
            f" generator=resnet_translator, got {type(translator).__name__}"
        )
    return translator


def chosen_stages(count: int, halvings: int, stages: Sequence[int] | None) -> list[int]:
    """``stages`` out of ``count``, of which some are ``halvings``, in rising order; by default
    those of the paper.

    Raises:
        ValueError: if there are not as many.
    """
    if stages is None:
        # The image, the halvings, the first block and the one in the middle.
        blocks = count - 1 - halvings
        return sorted({*range(halvings + 2), halvings + (blocks + 1) // 2})
    if not stages or not all(0 <= stage < count for stage in stages):
        raise ValueError(
            f"stages must be at least one number from 0 to {count - 1}, got {list(stages)}"
        )
    return sorted(set(stages))


def rows_at(activation: Tensor, positions: Tensor) -> Tensor:
    """The channels ``[B, P, C]`` of ``activation`` ``[B, C, H, W]`` at ``positions`` ``[B, P]``."""
    rows = activation.flatten(2).mT
    return rows.gather(1, positions[:, :, None].expand(-1, -1, rows.shape[2]))
