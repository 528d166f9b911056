"""The generator of BicycleGAN: images and latents to images."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gan_zoo.core.types import Count, Shape, Share
from gan_zoo.networks.dcgan import dcgan_init
from gan_zoo.networks.layers.normalization import norm_layer
from gan_zoo.networks.translation.image_to_image import check_shapes, unet_depth, upsample_layers


class LatentUNet(nn.Module):
    """A U-Net whose every halving also gets the latents, as constant channels.

    Zhu et al. 2017 (BicycleGAN), section 5: latents at all levels. Maps ``[B, C_in, S, S]`` and
    ``[B, latent_dim]`` to ``[B, C_out, S, S]`` in (-1, 1). The image is halved down to 2x2.

    Instance normalization removes a channel that is constant, so that latents act through the
    first and the last halving alone, which have no normalization.

    Args:
        in_shape, out_shape: ``[C, S, S]``, S a multiple of 2^depth.
        latent_dim: size of the latents.
        width: channels after the first layer (64 in the paper); they double up to 8 times that.
        depth: halvings; None for as many as lead to 2x2.
        norm: ``batch``, ``instance``, ``layer`` or ``none``.
        dropout: of the up to three inner layers of the decoder.
        upsample: ``transposed`` or ``resize``, which leaves no checkerboard.
    """

    def __init__(
        self,
        in_shape: Shape,
        out_shape: Shape,
        latent_dim: Count,
        width: Count = 64,
        depth: Count | None = None,
        norm: str = "batch",
        dropout: Share = 0.0,
        upsample: str = "transposed",
    ) -> None:
        super().__init__()
        depth = unet_depth(in_shape, depth)
        c_in, c_out = check_shapes(in_shape, out_shape, "generator=latent_unet", 2**depth, norm)
        self.multiple = 2**depth
        widths = [width * min(2**k, 8) for k in range(depth)]
        normalize = norm_layer(norm)

        # Halvings, the first and the last without normalization.
        self.down = nn.ModuleList()
        for level, channels in enumerate(widths):
            before = c_in if level == 0 else widths[level - 1]
            conv = nn.Conv2d(before + latent_dim, channels, 4, 2, 1)
            plain = level in (0, depth - 1)
            self.down.append(nn.Sequential(conv, nn.Identity() if plain else normalize(channels)))

        # Doublings, the outermost first; all but the innermost also get what was halved.
        self.up = nn.ModuleList()
        for level, channels in enumerate(widths):
            inside = channels if level == depth - 1 else 2 * channels
            outside = c_out if level == 0 else widths[level - 1]
            layers = [nn.ReLU(), *upsample_layers(inside, outside, upsample, kernel=4)]
            if level > 0:
                layers.append(normalize(outside))
            if level > 1 and depth - level <= 3:
                layers.append(nn.Dropout(dropout))
            self.up.append(nn.Sequential(*layers))
        self.apply(dcgan_init)

    def forward(self, x: Tensor, latents: Tensor) -> Tensor:
        # Each halving gets the latents in every pixel.
        halved: list[Tensor] = []
        for level, layer in enumerate(self.down):
            h = x if level == 0 else F.leaky_relu(halved[-1], 0.2)
            planes = latents.to(h)[:, :, None, None].expand(-1, -1, *h.shape[2:])
            halved.append(layer(torch.cat([h, planes], 1)))

        # Each doubling but the first gets the activations of its size.
        y = halved[-1]
        for level in reversed(range(len(self.up))):
            y = self.up[level](y)
            if level > 0:
                y = torch.cat([halved[level - 1], y], 1)
        return y.tanh()
