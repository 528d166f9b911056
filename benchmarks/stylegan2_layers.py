"""Layers of StyleGAN2 compared with their textbook form: python benchmarks/stylegan2_layers.py

Modulated convolutions by scaled inputs and outputs, compared with a convolution of each sample by
weights of its own (one group for each sample); filtered resampling by one strided convolution,
compared with inserted zeros and a filter at every place. Values agree. Each figure is the median
over rounds of images/s of a forward and a backward pass, and of a forward pass that is
differentiated twice, as path length and R1 do; ratios are taken round by round. `--write` writes
this machine's table into benchmarks/results/.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial

import torch
from measuring import device, interleaved, median, ratio, table, timed, write
from torch import Tensor, nn
from torch.nn import functional as F

from gan_zoo.networks.layers.modulated import EPSILON, ModulatedConv
from gan_zoo.networks.layers.resample import Resample, filter_kernel

BATCH = 16


def per_sample(layer: ModulatedConv, x: Tensor, style: Tensor) -> Tensor:
    """A modulated convolution as one group for each sample."""
    scales = layer.affine(style) * layer.gain
    weight = layer.weight[None] * scales[:, None, :, None, None]
    if layer.demodulate:
        weight = weight * (weight.square().sum((2, 3, 4), keepdim=True) + EPSILON).rsqrt()
    size, c_out, c_in, kernel, _ = weight.shape
    flat = x.reshape(1, size * c_in, *x.shape[2:])
    if layer.blur is None:
        y = F.conv2d(flat, weight.flatten(0, 1), padding=kernel // 2, groups=size)
    else:
        transposed = weight.transpose(1, 2).flatten(0, 1)
        y = F.conv_transpose2d(flat, transposed, stride=2, groups=size)
    y = y.view(size, c_out, *y.shape[2:])
    return y if layer.blur is None else layer.blur(y)


def at_every_place(x: Tensor, up: bool) -> Tensor:
    """Filtered resampling: zeros inserted or every second place kept, the filter at all places."""
    channels = x.shape[1]
    kernel = filter_kernel(4.0 if up else 1.0).to(x).expand(channels, 1, 4, 4)
    if not up:
        return F.conv2d(F.pad(x, (1, 1, 1, 1)), kernel, groups=channels)[:, :, ::2, ::2]
    zeros = x.new_zeros(*x.shape[:2], 2 * x.shape[2], 2 * x.shape[3])
    zeros[:, :, ::2, ::2] = x
    return F.conv2d(F.pad(zeros, (2, 1, 2, 1)), kernel, groups=channels)


def passes(forward: Callable[[Tensor], Tensor], x: Tensor, twice: bool) -> Callable[[], None]:
    """A forward and a backward pass, or two backward passes through each other."""

    def step() -> None:
        leaf = x.detach().requires_grad_()
        y = forward(leaf)
        if not twice:
            y.sum().backward()
            return
        (gradient,) = torch.autograd.grad(y.square().sum(), leaf, create_graph=True)
        gradient.square().sum().backward()

    return step


def competitors(channels: int, size: int) -> dict[str, tuple[Callable, Callable, Tensor]]:
    """Our layer, the textbook form and the input of every case."""
    x = torch.randn(BATCH, channels, size, size, device=device())
    style = torch.randn(BATCH, 512, device=device())
    cases = {}
    for name, up in (("modulated 3x3", False), ("modulated 3x3, doubled", True)):
        layer = ModulatedConv(channels, channels, 3, 512, up=up).to(device())
        cases[name] = (partial(layer, style=style), partial(per_sample, layer, style=style), x)
    for name, up in (("filter, doubled", True), ("filter, halved", False)):
        resample: nn.Module = Resample(up).to(device())
        cases[name] = (resample, partial(at_every_place, up=up), x)
    return cases


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--write", action="store_true")
    arguments = parser.parse_args()
    rows = []
    for channels, size in ((256, 8), (128, 16), (64, 32)):
        for name, (ours, textbook, x) in competitors(channels, size).items():
            torch.testing.assert_close(ours(x), textbook(x), atol=1e-3, rtol=1e-3)
            for twice in (False, True):
                runs = {
                    kind: partial(timed, passes(forward, x, twice), 1, arguments.steps, BATCH)
                    for kind, forward in (("ours", ours), ("textbook", textbook))
                }
                speeds = interleaved(runs, arguments.rounds)
                row = [f"{name}, {channels} channels, {size} pixels", "two" if twice else "one"]
                row += [median(speeds["ours"]), median(speeds["textbook"])]
                rows.append([*row, f"{ratio(speeds, 'ours', 'textbook'):.2f}"])
                print("  ".join(rows[-1]), flush=True)
    result = table(["layer", "backward passes", "ours", "textbook", "ours / textbook"], rows)
    if arguments.write:
        command = f"python benchmarks/stylegan2_layers.py --rounds {arguments.rounds}"
        print(write("Layers of StyleGAN2", command, {"Images/s, batch 16": result}))


if __name__ == "__main__":
    main()
