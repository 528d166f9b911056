"""Cost of metrics: python benchmarks/evaluation_speed.py

InceptionV3 of gan_zoo compared with torch-fidelity's, on the same images and the same random
weights in the published format, interleaved; the default extractor with and without fused layers; a
complete evaluation compared with the extractor's forward alone; and the memory of a process over
the number of samples. `--write` writes this machine's tables into benchmarks/results/.
"""

from __future__ import annotations

import argparse
import multiprocessing
import statistics
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from unittest import mock

import torch
from measuring import Speeds, device, interleaved, median, ratio, table, timed, write
from torch import Tensor, nn

from gan_zoo.core.rng import CPU, StepRNG
from gan_zoo.core.types import SampleRequest
from gan_zoo.data.dataset import Source
from gan_zoo.data.image_tensors import to_unit
from gan_zoo.metrics.base import Generated, Samples, evaluate_all
from gan_zoo.metrics.extractors.base import Extractor
from gan_zoo.metrics.extractors.efficientnet_lite0 import EfficientNetLite0
from gan_zoo.metrics.extractors.inception import InceptionV3
from gan_zoo.metrics.image_quality import ImageScores
from gan_zoo.networks.fused import has_onednn

COUNTS = (256, 1024, 4096)
SIDE = 64


def random_images(count: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 256, (count, 3, SIDE, SIDE), dtype=torch.uint8, generator=generator)


def fidelity(folder: Path) -> tuple[nn.Module, Path]:
    """torch-fidelity's network with random weights, and the file that holds them in the published format."""
    from torch_fidelity import feature_extractor_inceptionv3 as theirs

    torch.manual_seed(0)
    with (
        mock.patch.object(theirs, "load_state_dict_from_url", return_value={}),
        mock.patch.object(theirs.FeatureExtractorInceptionV3, "load_state_dict", return_value=None),
    ):
        network: nn.Module = theirs.FeatureExtractorInceptionV3(
            "inception", ["2048", "logits_unbiased"]
        )
    path = folder / "inception.pth"
    torch.save(network.state_dict(), path)
    return network.to(device()), path


def images_per_second(steps: dict[str, Callable[[], None]], rounds: int, images: int) -> Speeds:
    for step in steps.values():
        step()
    return interleaved(
        {name: partial(timed, step, 0, 1, images) for name, step in steps.items()}, rounds
    )


def comparison(speeds: Speeds, ours: str, other: str) -> str:
    by_round = [a / b for a, b in zip(speeds[ours], speeds[other], strict=True)]
    rows = []
    for name, values in speeds.items():
        rows.append([name, median(values), ", ".join(f"{value:,.1f}" for value in values)])
    rows.append(
        [
            f"{ours} / {other}",
            f"{ratio(speeds, ours, other):.2f}",
            ", ".join(f"{r:.2f}" for r in by_round),
        ]
    )
    return table(["", "images/s", "round by round"], rows)


def extractors(path: Path, theirs: nn.Module, rounds: int, count: int) -> str:
    """InceptionV3 of gan_zoo and of torch-fidelity."""
    ours = InceptionV3(str(path), check_hash=False).to(device())
    images = random_images(count).to(device())
    with torch.no_grad():
        torch.testing.assert_close(ours(images[:4])[0], theirs(images[:4])[0], rtol=1e-3, atol=1e-5)
        speeds = images_per_second(
            {"ours": lambda: ours(images), "torch-fidelity": lambda: theirs(images)}, rounds, count
        )
    return comparison(speeds, "ours", "torch-fidelity")


def default_extractor(rounds: int, count: int) -> str:
    """The default extractor with and without fused operations."""
    ours = EfficientNetLite0().to(device())
    images = random_images(count).to(device())

    def one_by_one() -> None:
        with mock.patch("gan_zoo.networks.fused.has_onednn", return_value=False):
            ours(images)

    ways = {"as it is": lambda: ours(images), "without oneDNN's fusion": one_by_one}
    speeds = images_per_second(ways, rounds, count)
    return comparison(speeds, "as it is", "without oneDNN's fusion")


class Replay(Extractor):
    """An extractor with stored features, at no cost."""

    def __init__(self, extractor: Extractor) -> None:
        super().__init__()
        self.protocol = dict(extractor.protocol)
        self.num_features = extractor.num_features
        self.num_classes = extractor.num_classes
        self.features, self.logits = (
            torch.randn(8192, n, device=device()) for n in (self.num_features, self.num_classes)
        )
        self.at = 0

    name = "replay"

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        rows = torch.arange(self.at, self.at + len(images)) % len(self.features)
        self.at += len(images)
        return self.features[rows], self.logits[rows]


def rest(extractor: Extractor, count: int) -> Callable[[], None]:
    """A complete evaluation of given samples without the forward; the reals' statistics are cached before."""
    evaluator = ImageScores(Replay(extractor), count)
    source = Source("noise", "all", random_images(4096, 1))
    evaluator.real_moments(source, device())
    samples = to_unit(random_images(64).to(device()))

    def draw(block: int) -> Generated:
        return Generated({"sample": samples}, SampleRequest(64, StepRNG(0, block, device=CPU)))

    return lambda: (
        evaluate_all({"images": evaluator}, Samples(draw, count, 64), source, device()) and None
    )


def complete(extractor: Extractor, rounds: int, count: int) -> list[str]:
    """Seconds of the forward of ``count`` images, of the rest, and the ratio of an evaluation to the forward."""
    seen = min(count, 256 if isinstance(extractor, InceptionV3) else 1024)
    extractor = extractor.to(device())
    images = random_images(64).to(device())

    def forward() -> None:
        for _ in range(seen // 64):
            extractor(images)

    steps = {"forward": (forward, seen), "rest": (rest(extractor, count), count)}
    seconds = {
        name: lambda step=step: count / timed(step[0], 1, 1, step[1])
        for name, step in steps.items()
    }
    speeds = interleaved(seconds, rounds)
    times = 1 + ratio(speeds, "rest", "forward")
    return [
        extractor.name,
        f"{count:,}",
        *(f"{statistics.median(s):.2f}" for s in speeds.values()),
        f"{times:.2f}",
    ]


def memory(count: int) -> float:
    """Peak memory in MB of a process that evaluates ``count`` samples in blocks."""
    evaluator = ImageScores(EfficientNetLite0(32), count)
    real = Source("noise", "all", random_images(256, 1))

    def draw(block: int) -> Generated:
        return Generated(
            {"sample": to_unit(random_images(64, block))}, SampleRequest(64, StepRNG(0, block))
        )

    evaluate_all({"images": evaluator}, Samples(draw, count, 64), real, CPU)
    status = Path("/proc/self/status").read_text(
        encoding="utf-8"
    )  # rusage would count the parent's memory, too
    return (
        int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])
        / 2**10
    )


def memories() -> str:
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=1) as pool:
        found = [pool.apply(memory, (count,)) for count in COUNTS]
    return table(
        ["samples", "peak MB"],
        [[f"{n:,}", f"{m:,.0f}"] for n, m in zip(COUNTS, found, strict=True)],
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--images", type=int, default=64, help="for each extractor in a round")
    parser.add_argument("--samples", type=int, default=2560, help="of a complete evaluation")
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()

    # Tables are printed as they are made.
    tables: dict[str, str] = {}

    def show(title: str, text: str) -> None:
        tables[title] = text
        print(f"## {title}\n\n{text}\n", flush=True)

    with (
        tempfile.TemporaryDirectory() as folder,
        mock.patch.dict("os.environ", {"GAN_ZOO_CACHE": folder}),
    ):
        theirs, path = fidelity(Path(folder))
        show(
            "InceptionV3 (at least 1.3)",
            extractors(path, theirs, arguments.rounds, arguments.images),
        )
        print(f"oneDNN's fused convolutions: {'yes' if has_onednn() else 'no'}\n")
        show("The default extractor", default_extractor(arguments.rounds, 4 * arguments.images))
        rows = [
            complete(e, 3, arguments.samples)
            for e in (EfficientNetLite0(), InceptionV3(str(path), check_hash=False))
        ]
        header = ["extractor", "samples", "forward, s", "all else, s", "evaluation / forward"]
        show(
            "A complete evaluation compared with the forward alone (at most 1.10)",
            table(header, rows),
        )
        show("Memory over the number of samples (flat)", memories())
    if arguments.write:
        options = (
            f"--rounds {arguments.rounds} --images {arguments.images} --samples {arguments.samples}"
        )
        print(write("Evaluation speed", f"python benchmarks/evaluation_speed.py {options}", tables))


if __name__ == "__main__":
    main()
