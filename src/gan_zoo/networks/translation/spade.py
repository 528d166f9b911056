"""SPADE's generator: from an image or a label map, which enters at every normalization."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from gan_zoo.core.types import Count, Shape, Whole
from gan_zoo.networks.dcgan import dcgan_init
from gan_zoo.networks.layers.normalization import apply_spectral_norm, initialize
from gan_zoo.networks.translation.image_to_image import check_shapes

NORMS = ("batch", "instance")


class SPADE(nn.Module):
    """Normalization without its own scale and shift, then times (1 + gamma(m)), plus beta(m).

    Park et al. 2019, eq. 1 and figure 3. gamma and beta are maps: one hidden convolution of the
    condition m, resized to the activations, and one for each. So they differ between places, and
    what normalization removes of a uniform region, its label, is given back.

    Args:
        channels: C of the activations ``[B, C, H, W]``.
        condition_channels: of the conditions ``[B, condition_channels, H', W']``.
        hidden: channels of the hidden convolution (128 in the paper).
        norm: ``batch`` as in the paper, or ``instance``.
    """

    def __init__(
        self, channels: Count, condition_channels: Count, hidden: Count = 128, norm: str = "batch"
    ) -> None:
        super().__init__()
        if norm not in NORMS:
            raise ValueError(f"norm must be one of {', '.join(NORMS)}, got {norm!r}")
        # Neither has a scale and a shift of its own: those come from the condition.
        self.normalize = (
            nn.BatchNorm2d(channels, affine=False)
            if norm == "batch"
            else nn.GroupNorm(channels, channels, affine=False)
        )

        # One hidden convolution, and one for each of gamma and beta (figure 3).
        self.hidden = nn.Sequential(nn.Conv2d(condition_channels, hidden, 3, padding=1), nn.ReLU())
        self.scale = nn.Conv2d(hidden, channels, 3, padding=1)
        self.shift = nn.Conv2d(hidden, channels, 3, padding=1)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        hidden = self.hidden(F.interpolate(condition, x.shape[2:]))
        y: Tensor = self.normalize(x) * (1 + self.scale(hidden)) + self.shift(hidden)
        return y


class SPADEBlock(nn.Module):
    """A residual block of two `SPADE` and convolutions with spectral normalization.

    Park et al. 2019, figure 4: where the number of channels changes, the skip connection has a
    `SPADE` and a 1x1 convolution, too.

    Args:
        c_in, c_out: channels before and after.
        condition_channels, hidden, norm: as in `SPADE`.
    """

    def __init__(
        self, c_in: Count, c_out: Count, condition_channels: Count, hidden: Count, norm: str
    ) -> None:
        super().__init__()

        def spade(channels: int) -> nn.Module:
            return SPADE(channels, condition_channels, hidden, norm)

        def conv(before: int, after: int, kernel: int, bias: bool = True) -> nn.Module:
            layer = nn.Conv2d(before, after, kernel, padding=kernel // 2, bias=bias)
            return apply_spectral_norm(layer, "spectral")

        # As in figure 4, the narrower of both widths in the middle.
        middle = min(c_in, c_out)
        self.norms = nn.ModuleList([spade(c_in), spade(middle)])
        self.convs = nn.ModuleList([conv(c_in, middle, 3), conv(middle, c_out, 3)])

        # A skip connection learns only where it has to change the channels.
        self.changes = c_in != c_out
        if self.changes:
            self.skip_norm = spade(c_in)
            self.skip_conv = conv(c_in, c_out, 1, bias=False)

    def forward(self, x: Tensor, condition: Tensor) -> Tensor:
        skip = self.skip_conv(self.skip_norm(x, condition)) if self.changes else x
        for norm, conv in zip(self.norms, self.convs, strict=True):
            x = conv(F.leaky_relu(norm(x, condition), 0.2))
        y: Tensor = skip + x
        return y


class SPADEGenerator(nn.Module):
    """SPADE's generator: a small map of the condition, doubled between blocks that see all of it.

    Park et al. 2019, figure 5 and appendix A, without the encoder of styles: the first layer is a
    convolution of the condition at the smallest size. Maps conditions ``[B, C_in, H, W]``, one-hot
    label maps or any images, to ``[B, C_out, H, W]`` in (-1, 1).

    Args:
        in_shape, out_shape: ``[C, H, W]``; H and W are divisible by 2^doublings.
        width: channels before the last layer (64 in the paper); each size before has twice as many,
            up to 16 times that.
        doublings: None for as many as start at 4 pixels; 5 in the paper at 256 pixels.
        hidden: channels in each `SPADE` (128 in the paper).
        norm: ``batch`` as in the paper, or ``instance``.
    """

    def __init__(
        self,
        in_shape: Shape,
        out_shape: Shape,
        width: Count = 64,
        doublings: Whole | None = None,
        hidden: Count = 128,
        norm: str = "batch",
    ) -> None:
        super().__init__()
        if doublings is None:
            doublings = max(1, min(in_shape[1:]).bit_length() - 3)
        self.multiple = 2**doublings
        c_in, c_out = check_shapes(
            in_shape, out_shape, "generator=spade", self.multiple, norm, smallest=2
        )

        # From the smallest size on; one block at each size.
        widths = [width * min(16, 2 ** max(0, doublings - k)) for k in range(doublings + 1)]
        self.first = nn.Conv2d(c_in, widths[0], 3, padding=1)
        self.blocks = nn.ModuleList(
            SPADEBlock(before, after, c_in, hidden, norm)
            for before, after in zip([widths[0], *widths], widths, strict=False)
        )
        self.last = nn.Conv2d(widths[-1], c_out, 3, padding=1)
        initialize(self, dcgan_init)

    def forward(self, x: Tensor) -> Tensor:
        # Each block but the first follows a doubling.
        small = [side // self.multiple for side in x.shape[2:]]
        h = self.first(F.interpolate(x, small))
        for number, block in enumerate(self.blocks):
            h = block(h if number == 0 else F.interpolate(h, scale_factor=2), x)
        y: Tensor = self.last(F.leaky_relu(h, 0.2)).tanh()
        return y
