"""The DCGAN paper's analyses (Radford et al. 2016, sections 5 and 6) on any trained DCGAN.

python experiments/dcgan_paper/run.py probe RUN       # linear classifier on discriminator
                                                      # features, and two baselines
python experiments/dcgan_paper/run.py filters RUN     # first-layer filters, and guided
                                                      # backpropagation of later units
python experiments/dcgan_paper/run.py walk RUN        # interpolations between samples
python experiments/dcgan_paper/run.py arithmetic RUN  # thick A - thin A + thin B, on averaged
                                                      # latents
python experiments/dcgan_paper/run.py drop RUN        # zero the generator units of a color
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from torch import Tensor, nn
from torch.nn import functional as F

from gan_zoo.core.types import SampleRequest
from gan_zoo.data.dataset import Source
from gan_zoo.data.image_tensors import to_uint8, to_unit
from gan_zoo.inference import sampling
from gan_zoo.inference.latents import draw_latents
from gan_zoo.inference.load import load_run
from gan_zoo.inference.model import LoadedModel
from gan_zoo.metrics.reference_classifier import classifier
from gan_zoo.networks.dcgan import DCGANDiscriminator
from gan_zoo.visualization.image_grid import grid_of, save

app = typer.Typer(no_args_is_help=True, add_completion=False, help=__doc__)
HERE = Path(__file__).parent
RunPath = Annotated[Path, typer.Argument(metavar="RUN")]


@contextmanager
def recorded_outputs(layers: list[nn.Module]) -> Iterator[list[Tensor]]:
    """The outputs of ``layers`` in the last forward pass, in their order."""
    outputs: list[Tensor] = []
    hooks = [
        layer.register_forward_hook(lambda _, __, output: outputs.append(output))
        for layer in layers
    ]
    try:
        yield outputs
    finally:
        for hook in hooks:
            hook.remove()


def activations_of(discriminator: DCGANDiscriminator) -> list[nn.Module]:
    """The discriminator's nonlinearities, from the image's end."""
    return [layer for layer in discriminator.layers if isinstance(layer, nn.LeakyReLU)]


# ------------------------------------------------------------------------------------- probe


@torch.no_grad()
def discriminator_features(discriminator: DCGANDiscriminator, images: Tensor) -> np.ndarray:
    """All layers' activations, each max-pooled to 4x4 and concatenated (section 5.1)."""
    rows = []
    for block in torch.split(images, 500):
        with recorded_outputs(activations_of(discriminator.eval())) as outputs:
            discriminator(to_unit(block))
            rows.append(torch.cat([F.adaptive_max_pool2d(h, 4).flatten(1) for h in outputs], 1))
    return torch.cat(rows).numpy()


def accuracy(train: tuple[np.ndarray, Tensor], test: tuple[np.ndarray, Tensor]) -> float:
    """The test accuracy of an L2-regularized linear classifier on standardized features.

    The strength of the regularization is chosen on a fifth of the training images.
    """
    from sklearn.linear_model import RidgeClassifier
    from sklearn.preprocessing import StandardScaler

    scale = StandardScaler().fit(train[0])
    x = scale.transform(train[0]).astype(np.float32)
    y = train[1].numpy()
    cut = len(train[0]) * 4 // 5

    def fitted(alpha: float, rows: slice) -> RidgeClassifier:
        return RidgeClassifier(alpha, solver="cholesky").fit(x[rows], y[rows])

    best = max(
        (100, 1000, 10_000), key=lambda alpha: fitted(alpha, slice(cut)).score(x[cut:], y[cut:])
    )
    return float(
        fitted(best, slice(None)).score(
            scale.transform(test[0]).astype(np.float32), test[1].numpy()
        )
    )


@app.command()
def probe(run: RunPath, num_train: int = 10_000, seeds: int = 3) -> None:
    """Classify real test images by features of a trained or untrained discriminator, and by raw pixels."""
    loaded = load_run(run, "last")
    train = loaded.source
    test = loaded.source.evaluation_split()
    discriminator = loaded.module.model.discriminators["main"]
    rows = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))[:num_train]

    def score(features) -> float:
        return accuracy(
            (features(train.samples[rows]), train.labels[rows]),
            (features(test.samples), test.labels),
        )

    print(f"| features | accuracy on {len(test):,} test images, {num_train:,} for training |")
    print("| --- | --- |")
    print(f"| raw pixels | {score(lambda images: images.flatten(1).float().numpy()):.4f} |")
    untrained = []
    for seed in range(seeds):
        torch.manual_seed(seed)
        fresh = DCGANDiscriminator(train.sample_shape, loaded.config["discriminator"]["width"])
        fresh.train()(to_unit(train.samples[rows[:2000]]))  # running statistics of real images
        untrained.append(score(lambda images, fresh=fresh: discriminator_features(fresh, images)))
    print(
        f"| untrained discriminator, {seeds} seeds | {np.mean(untrained):.4f} ± {np.std(untrained):.4f} |"
    )
    print(
        f"| trained discriminator | {score(lambda images: discriminator_features(discriminator, images)):.4f} |"
    )


# ----------------------------------------------------------------------------------- filters


@contextmanager
def guided(discriminator: DCGANDiscriminator) -> Iterator[None]:
    """Backward passes let only positive gradients through active units (Springenberg et al. 2015)."""
    layers = activations_of(discriminator)
    for layer in layers:
        layer.inplace = False
    hooks = [
        layer.register_full_backward_hook(lambda _, gradient, __: (gradient[0].clamp(min=0),))
        for layer in layers
    ]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def excitation(
    discriminator: DCGANDiscriminator, images: Tensor, units: int = 8, layer: int = 2
) -> Tensor:
    """For the units of a layer with the strongest peaks: the 8 images that excite each most, guided to the pixels."""
    discriminator.eval().requires_grad_(False)
    last = activations_of(discriminator)[layer]

    # Peaks of each unit on each image.
    with torch.no_grad(), recorded_outputs([last]) as outputs:
        discriminator(to_unit(images))
        peaks = outputs[0].amax((2, 3))

    # Guided backpropagation to the images with the highest peaks.
    rows = []
    for unit in peaks.std(0).topk(units).indices.tolist():
        x = to_unit(images[peaks[:, unit].topk(8).indices]).requires_grad_()
        with guided(discriminator), recorded_outputs([last]) as outputs:
            discriminator(x)
            outputs[0][:, unit].amax((1, 2)).sum().backward()
        rows.append(x.grad / x.grad.abs().amax((1, 2, 3), keepdim=True).clamp(min=1e-12))
    return torch.cat(rows)


@app.command()
def filters(run: RunPath, images: int = 2000) -> None:
    """Plot first-layer filters and guided backpropagation, of the trained and an untrained discriminator."""
    loaded = load_run(run, "last")
    discriminator = loaded.module.model.discriminators["main"]
    torch.manual_seed(0)
    fresh = DCGANDiscriminator(loaded.source.sample_shape, loaded.config["discriminator"]["width"])
    real = loaded.source.evaluation_split().samples[:images]
    fresh.train()(to_unit(real))

    # Guided backpropagation of both.
    halves = [excitation(network, real) for network in (discriminator, fresh)]
    pages = [grid_of(half, 8) for half in halves]
    gap = torch.full((3, pages[0].shape[1], 12), 255, dtype=torch.uint8)
    save(torch.cat([pages[0], gap, pages[1]], 2), HERE / "guided.png")

    # First-layer filters.
    weights = discriminator.layers[0].weight.detach()
    scaled = F.interpolate(weights / weights.abs().amax(), scale_factor=6)
    save(grid_of(scaled, 8), HERE / "filters.png")
    print(HERE / "guided.png", HERE / "filters.png")


# ------------------------------------------------------------------------- latents: walks, sums


@app.command()
def walk(run: RunPath, seed: int = 0) -> None:
    """Interpolate between six pairs of samples along great circles."""
    frames = sampling.interpolation_grid(load_run(run, "last"), seed)
    save(grid_of(frames.flatten(0, 1), frames.shape[1]), HERE / "walk.png")
    print(HERE / "walk.png")


def found(samples: Tensor, source: Source, digit: int, thick: bool, count: int = 3) -> Tensor:
    """The numbers of the ``count`` thickest or thinnest samples of a digit, by a classifier and the mean of pixels."""
    network, _ = classifier(source)
    is_digit = network(to_uint8(samples)).argmax(1) == digit
    ink = samples.flatten(1).mean(1)
    ranked = ink.masked_fill(~is_digit, -9.0 if thick else 9.0).sort(descending=thick).indices
    return ranked[:count]


@app.command()
def arithmetic(
    run: RunPath, first: int = 0, second: int = 7, pool: int = 2000, seed: int = 0
) -> None:
    """thick FIRST - thin FIRST + thin SECOND, each the mean of three latents, is a thick SECOND (section 6.3.2)."""
    loaded = load_run(run, "last")
    latents = draw_latents(loaded.module, pool, seed)
    samples = torch.cat([sampling.generate(loaded, block) for block in torch.split(latents, 250)])
    groups = [
        found(samples, loaded.source, d, thick)
        for d, thick in ((first, True), (first, False), (second, False))
    ]

    # The sum of the means, and points around it.
    means = [latents[group].mean(0) for group in groups]
    total = means[0] - means[1] + means[2]
    torch.manual_seed(seed)
    around = total + 0.25 * torch.randn(9, len(total)).clamp(-1, 1)
    around[4] = total

    # Left the groups and their means, right the sum.
    averaged = sampling.generate(loaded, torch.stack(means))
    rows = [torch.cat([samples[group], averaged[i : i + 1]]) for i, group in enumerate(groups)]
    left = grid_of(torch.cat(rows), 4)
    right = grid_of(sampling.generate(loaded, around), 3)
    gap = torch.full((3, left.shape[1], 16), 255, dtype=torch.uint8)
    save(torch.cat([left, gap, right], 2), HERE / "arithmetic.png")
    print(HERE / "arithmetic.png")


# ------------------------------------------------------------------------------ dropping units


def is_yellow(samples: Tensor) -> Tensor:
    """Where images ``[B, 3, H, W]`` in [-1, 1] are yellow: much red and green, little blue."""
    red, green, blue = samples.unbind(1)
    return (red > 0.4) & (green > 0.1) & (blue < 0.0)


@app.command()
def drop(run: RunPath, seed: int = 0, show: int = 32) -> None:
    """Find the feature maps of yellow by regression and zero them; samples before and after (6.3.1)."""
    from sklearn.linear_model import LogisticRegression

    loaded = load_run(run, "last")
    generator = loaded.module.inference_generators["main"]
    maps = [m for m in generator.layers if isinstance(m, nn.ReLU)][-1]
    latents = draw_latents(loaded.module, 400, seed)
    before, h = images_and_maps(loaded, latents, maps)

    # Regression of yellow on the feature maps.
    yellow = F.adaptive_avg_pool2d(is_yellow(before).float()[:, None], h.shape[2:]).flatten() > 0.5
    rows = h.permute(0, 2, 3, 1).flatten(0, 2)
    chosen = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))[:20_000]
    model = LogisticRegression(max_iter=500, class_weight="balanced").fit(
        rows[chosen], yellow[chosen]
    )
    weights = torch.from_numpy(model.coef_[0]) * rows.std(0)
    dropped = weights > weights.max() / 4

    # Samples without these maps.
    with zeroed(maps, dropped):
        after, _ = images_and_maps(loaded, latents, maps)
    fractions = [float(is_yellow(images).float().mean()) for images in (before, after)]
    print(f"accuracy of the regression {model.score(rows[chosen], yellow[chosen]):.3f}")
    print(
        f"dropped {int(dropped.sum())} of {len(dropped)} maps; yellow pixels {fractions[0]:.2%} -> {fractions[1]:.2%}"
    )

    # The samples with most yellow.
    most = is_yellow(before).float().flatten(1).mean(1).topk(show).indices
    pages = [grid_of(images[most], 8) for images in (before, after)]
    gap = torch.full((3, pages[0].shape[1], 12), 255, dtype=torch.uint8)
    save(torch.cat([pages[0], gap, pages[1]], 2), HERE / "dropped.png")
    print(HERE / "dropped.png")


@torch.no_grad()
def images_and_maps(run: LoadedModel, latents: Tensor, layer: nn.Module) -> tuple[Tensor, Tensor]:
    """Samples and the outputs of ``layer`` that lead to them."""
    with recorded_outputs([layer]) as outputs:
        samples = run.module.sample(
            SampleRequest(len(latents), sampling.StepRNG(0, 0), latents=latents)
        )
    return samples, outputs[0]


@contextmanager
def zeroed(layer: nn.Module, maps: Tensor) -> Iterator[None]:
    """Within the block the chosen feature maps of ``layer`` are zero."""
    hook = layer.register_forward_hook(lambda _, __, output: output * (~maps)[None, :, None, None])
    try:
        yield
    finally:
        hook.remove()


if __name__ == "__main__":
    app()
