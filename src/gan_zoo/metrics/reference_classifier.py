"""Small networks that are trained once on real data, cached, and then evaluate generated
samples.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gan_zoo.core.distributed import from_rank_0, rank
from gan_zoo.core.errors import DataError
from gan_zoo.core.files import atomic_path
from gan_zoo.core.paths import cache_root
from gan_zoo.core.progress import with_progress
from gan_zoo.core.rng import CPU, stable_seed
from gan_zoo.data.dataset import Source
from gan_zoo.data.files.cache import cache_key

RECIPE = "3 blocks of 3x3 convolutions, Adam, one cycle, shifts by up to 2 pixels: version 1"


class SmallNet(nn.Module):
    """uint8 images ``[B, C, H, W]``, resized to at most 32 pixels, to ``[B, outputs]``.

    Args:
        channels: C.
        outputs: size of what comes out.
    """

    def __init__(self, channels: int, outputs: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for c_in, c_out in ((channels, 32), (32, 64), (64, 128)):
            layers += [
                nn.Conv2d(c_in, c_out, 3, padding=1, bias=False),
                nn.BatchNorm2d(c_out),
                nn.ReLU(inplace=True),
            ]
            layers += [nn.MaxPool2d(2)]

        # 128 channels at 2 x 2 places are the 512 features.
        self.trunk = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten())
        self.head = nn.Linear(512, outputs)
        self.to(memory_format=torch.channels_last)

    def features(self, images: Tensor) -> Tensor:
        """What the last layer sees, ``[B, 512]``."""
        x = images.float() / 127.5 - 1
        if x.shape[-1] > 32:
            x = F.interpolate(x, (32, 32), mode="bilinear", antialias=True)
        y: Tensor = self.trunk(x.contiguous(memory_format=torch.channels_last))
        return y

    def forward(self, images: Tensor) -> Tensor:
        y: Tensor = self.head(self.features(images))
        return y


def split(source: Source) -> tuple[Source, Tensor, Source, Tensor]:
    """Training and held-out rows: the data's own held-out part if it is another, else a fixed tenth
    of the rows.
    """
    held_out = source.evaluation_split()
    if held_out is not source:
        return source, torch.arange(len(source)), held_out, torch.arange(len(held_out))

    # Otherwise a fixed random tenth is held out.
    order = torch.randperm(len(source), generator=torch.Generator().manual_seed(0))
    tenth = max(1, len(source) // 10)
    return source, order[tenth:], source, order[:tenth]


def shifted(images: Tensor, generator: torch.Generator) -> Tensor:
    """The batch moved by up to 2 pixels, the border repeated: the little augmentation a small set
    needs.
    """
    down, right = (int(torch.randint(-2, 3, (), generator=generator)) for _ in range(2))
    padded = F.pad(images.float(), (2, 2, 2, 2), mode="replicate")
    height, width = images.shape[2:]
    return padded[:, :, 2 + down : 2 + down + height, 2 + right : 2 + right + width]


def batches(rows: Tensor, steps: int, size: int, generator: torch.Generator) -> Iterator[Tensor]:
    """``steps`` random batches of ``rows``."""
    for _ in range(steps):
        yield rows[torch.randint(0, len(rows), (size,), generator=generator)]


def fitted(
    kind: str,
    source: Source,
    make: Callable[[], nn.Module],
    loss: Callable[[nn.Module, Source, Tensor, torch.Generator], Tensor],
    device: torch.device,
    steps: int,
    batch_size: int = 128,
) -> nn.Module:
    """A network trained on the real training rows of ``source``, or from the cache.

    Where several processes train together, rank 0 does it and the others are given the weights; all
    of them call this. Neither torch's global random state nor the caller's gradients are touched.

    Args:
        kind: what it is for, in the cache's key.
        make: makes the untrained network.
        loss: of the network on rows of the source.
        steps: batches that it is trained on.
    """
    train, rows, *_ = split(source)
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        # The network starts from the same weights at every call.
        torch.manual_seed(stable_seed(kind, "weights"))
        network = make().to(device)

        # The cache's key names the data, the network and the recipe.
        first = None if source.conditions is None else source.conditions[:1000]
        conditions = None if first is None else cache_key(first.tolist())
        labels = None if source.labels is None else cache_key(source.labels.tolist())
        key = cache_key(
            kind, RECIPE, source.fingerprint, str(network), steps, batch_size, conditions, labels
        )
        path = cache_root() / "networks" / f"{source.name}-{kind}-{key}.pt"

        # One process trains, unless the cache has the weights.
        if rank() == 0 and not _load(network, path, device):
            generator = torch.Generator().manual_seed(stable_seed(kind, "order"))
            title = f"Training the {kind} of {source.name} (once)"
            found = with_progress(batches(rows, steps, batch_size, generator), steps, title)
            _train(network, steps, (loss(network, train, batch, generator) for batch in found))

            # The cache has the weights whole or not at all.
            with atomic_path(path) as temporary:
                torch.save(network.state_dict(), temporary)

    # The other processes are given the weights.
    network.eval().requires_grad_(False)
    from_rank_0(network.state_dict().values())
    return network


def _train(network: nn.Module, steps: int, losses: Iterator[Tensor]) -> None:
    """A step of Adam for each of ``losses``, with one cycle of the learning rate."""
    parameters = list(network.parameters())
    optimizer = torch.optim.Adam(parameters, 2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    for loss in losses:
        # Unlike a backward pass, this touches no gradients but the network's own.
        gradients = torch.autograd.grad(loss, parameters)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            parameter.grad = gradient
        optimizer.step()
        schedule.step()


def _load(network: nn.Module, path: Path, device: torch.device) -> bool:
    if not path.exists():
        return False
    try:
        network.load_state_dict(torch.load(path, map_location=device, weights_only=True))
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError):
        path.unlink(missing_ok=True)
        return False
    return True


def check_labelled(source: Source) -> None:
    """Raise `DataError` unless ``source`` has what a classifier learns from."""
    if source.labels is None or not source.holds_images or source.num_classes is None:
        raise DataError(
            f"a classifier needs labelled images, data={source.name} has none: choose another"
            " metric"
        )
    if len(source) < 2:
        raise DataError(
            f"a classifier needs at least 2 images, data={source.name} has {len(source)}"
        )


def classifier(
    source: Source, device: torch.device = CPU, steps: int = 1200
) -> tuple[nn.Module, float]:
    """A classifier of ``source``'s labels, trained for ``steps`` batches, and its accuracy on real
    held-out images.

    Raises:
        DataError: if the data are not labelled images.
    """
    check_labelled(source)
    assert source.num_classes is not None
    channels, classes = source.samples.shape[1], source.num_classes

    def loss(network: nn.Module, data: Source, rows: Tensor, generator: torch.Generator) -> Tensor:
        assert data.labels is not None
        images = shifted(data.samples[rows], generator).to(device)
        return F.cross_entropy(network(images), data.labels[rows].to(device), label_smoothing=0.05)

    # The network, from the cache if it was trained before.
    network = fitted(
        "classifier", source, lambda: SmallNet(channels, classes), loss, device, steps=steps
    )

    # Its accuracy on images that it was not trained on.
    _, _, test, rows = split(source)
    assert test.labels is not None
    found = torch.cat(
        [network(test.samples[part].to(device)).argmax(1).cpu() for part in torch.split(rows, 500)]
    )
    return network, float((found == test.labels[rows]).float().mean())
