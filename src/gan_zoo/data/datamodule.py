"""LightningDataModule."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from lightning.pytorch import LightningDataModule

from gan_zoo.core.errors import DataError
from gan_zoo.core.rng import StepRNG
from gan_zoo.core.types import Batch, Count, Weight, Whole
from gan_zoo.data.batch_order import BatchSampler
from gan_zoo.data.dataset import Source
from gan_zoo.data.loader import InfiniteLoader

FIELD_NAMES = {"label": "a class", "text": "a caption", "vector": "a condition vector"}
FIELD_NAMES |= {"image": "an image of its own", "domain": "images of another domain"}
FIELD_NAMES |= {"category": "a column of categories"}


class DataModule(LightningDataModule):
    """Feeds batches of one `Source` to every rank.

    Args:
        source: the dataset.
        batch_size: size of the global batch, over all processes.
        seed: of the order, the flips and the noise.
        flip: mirror images at random.
        num_workers: worker processes for datasets that are not kept on the device.
        memory_limit: datasets of at most this many bytes are kept on the device.

    Raises:
        DataError: if the batch is larger than the data, or not divisible among the processes.
    """

    def __init__(
        self,
        source: Source,
        batch_size: Count,
        seed: int = 0,
        flip: bool = False,
        num_workers: Whole = 0,
        memory_limit: Weight = 2e9,
    ) -> None:
        super().__init__()
        # Options that do not match the data.
        if not isinstance(batch_size, int) or batch_size < 1:
            raise DataError(f"data.batch_size must be an integer >= 1, got {batch_size!r}")
        if batch_size > len(source):
            raise DataError(
                f"data.batch_size={batch_size} is more than the {len(source)} samples of"
                f" {source.name}"
            )
        if num_workers < 0:
            raise DataError(f"data.num_workers must be >= 0, got {num_workers}")
        if flip and source.samples.ndim != 4:
            raise DataError(
                f"data.flip mirrors images; {source.name} has samples of shape"
                f" {source.sample_shape}"
            )

        self.source = source
        self.batch_size = batch_size
        self.seed = seed
        self.flip = flip
        self.num_workers = num_workers
        self.memory_limit = memory_limit
        # Set by `require`.
        self.needs: Sequence[str] = ()

    def require(self, needs: Sequence[str], allows_unlabeled: bool = False) -> None:
        """Prepare batches that hold what a model needs in addition to samples.

        Args:
            needs: as in `gan_zoo.models.base.Model`.
            allows_unlabeled: whether the model accepts samples without labels.

        Raises:
            DataError: if the data do not have it.
        """
        self.needs = tuple(needs)
        if self.source.labeled is not None and "label" in needs and not allows_unlabeled:
            raise DataError("this model needs the label of every sample: data.labeled must be null")

        # Every field that the model needs must be available.
        available = self.source.available_fields
        if "labeled" in needs and "label" not in available:
            raise DataError(
                f"this model needs data with labels, data={self.source.name} has none: choose"
                " another data="
            )
        for need in needs:
            if need not in ("mismatched", "labeled") and need not in available:
                has = " and ".join(FIELD_NAMES[field] for field in sorted(available)) or "nothing"
                can_pair = self.source.aligned and self.source.unpaired
                advice = (
                    "set data.unpaired=false" if can_pair else "choose another data=, or condition="
                )
                raise DataError(
                    f"this model needs data that have {FIELD_NAMES[need]} for each sample; "
                    f"data={self.source.name} has {has}: {advice}"
                )

    def check(self, world_size: int) -> None:
        """Raise `DataError` if the global batch is not divisible by ``world_size`` processes."""
        if self.batch_size % world_size:
            raise DataError(
                f"data.batch_size={self.batch_size} is the global batch and must be divisible by"
                f" the {world_size} processes"
            )

    def train_dataloader(self) -> InfiniteLoader:
        """This rank's part of the infinite loader, from the current step on."""
        trainer = self.trainer
        assert trainer is not None

        # Random numbers of this rank, which depend on the step alone.
        rng = StepRNG(
            self.seed, 0, trainer.global_rank, trainer.world_size, trainer.strategy.root_device
        )
        return InfiniteLoader(
            source=self.source,
            sampler=BatchSampler(
                self.source,
                self.batch_size,
                rng,
                self.needs,
            ),
            rng=rng,
            # Asked when the loader begins, after a checkpoint was loaded.
            start=lambda: trainer.global_step,
            flip=self.flip,
            num_workers=self.num_workers,
            on_device=self.source.nbytes <= self.memory_limit,
        )

    def transfer_batch_to_device(
        self, batch: Batch, device: torch.device, dataloader_idx: int
    ) -> Batch:
        """Moves a batch; most are on the device already."""
        return batch.to(device)
