"""Datasets with few labels for training."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from gan_zoo.core.errors import DataError
from gan_zoo.core.rng import CPU, seeded_generator
from gan_zoo.core.types import Count
from gan_zoo.data.dataset import Source

UNLABELED = -1


def with_few_labels(source: Source, count: Count) -> Source:
    """``source`` with ``count`` labels for training, balanced over the classes.

    They are chosen at random, the same every time; batches have the label -1 for the others.
    Metrics and the held-out part keep all labels.

    Raises:
        DataError: without labels, or if there are fewer than ``count`` or than classes.
    """
    if source.labels is None or source.num_classes is None:
        raise DataError(f"data.labeled needs data with labels, data={source.name} has none")
    if not source.num_classes <= count <= len(source):
        raise DataError(
            f"data.labeled must be from the {source.num_classes} classes to the {len(source)}"
            f" samples of data={source.name}, got {count}"
        )
    return replace(source, labeled=balanced(source.labels, source.num_classes, count))


def balanced(labels: Tensor, num_classes: int, count: int) -> Tensor:
    """The chosen rows, bool ``[N]``: ``count`` of them, balanced over the classes."""
    # A random order that is the same for every run on these data.
    order = torch.randperm(len(labels), generator=seeded_generator(CPU, "labeled", len(labels)))

    # The place of each row among those of its class, in the random order.
    place = torch.empty_like(labels)
    for number in range(num_classes):
        rows = order[labels[order] == number]
        place[rows] = torch.arange(len(rows))

    # Rounds over the classes: every class has its first row before any has its second.
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    key = place * num_classes + labels
    chosen[key.argsort()[:count]] = True
    return chosen
