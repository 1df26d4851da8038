r"""A small style-based generator: mapping network, adaptive instance normalisation, noise inputs, style mixing.

Source: Karras, Laine and Aila, "A Style-Based Generator Architecture for Generative Adversarial Networks", CVPR 2019.
It is trained by :func:`deepfake_kit.generators.gan.fit_gan` against the same discriminator as the plain generator.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from deepfake_kit.generators.gan import Discriminator, PixelNorm, _levels
from deepfake_kit.training import initialise
from deepfake_kit.valid import invalid, whole


def adain(x: Tensor, scale: Tensor, bias: Tensor, eps: float = 1e-8) -> Tensor:
    r"""Adaptive instance normalisation: give each feature map the deviation and mean that the style asks for.

    .. math:: \mathrm{AdaIN}(x_i, y) = y_{s,i}\,\frac{x_i-\mu(x_i)}{\sigma(x_i)} + y_{b,i}

    Karras et al. 2019, Eq. (1), after Huang and Belongie 2017. The mean and the (population) deviation are taken over
    the pixels of one map of one image.

    Parameters
    ----------
    x : Tensor [N, C, H, W]
    scale, bias : Tensor [N, C]
        :math:`y_s` and :math:`y_b`.
    eps : float
        Added to the variance, so that a constant map gives the bias.

    Returns
    -------
    Tensor [N, C, H, W]

    Raises
    ------
    ValueError
        If scale or bias is not [N, C].

    Examples
    --------
    >>> y = adain(torch.randn(1, 1, 8, 8), torch.tensor([[3.0]]), torch.tensor([[5.0]]))
    >>> round(y.mean().item(), 3), round(y.std(unbiased=False).item(), 3)
    (5.0, 3.0)
    """
    if scale.shape != x.shape[:2] or bias.shape != x.shape[:2]:
        raise invalid("scale, bias", (scale, bias), f"{tuple(x.shape[:2])}")
    variance, mean = torch.var_mean(x, dim=(2, 3), unbiased=False, keepdim=True)
    return (x - mean) * torch.rsqrt(variance + eps) * scale[:, :, None, None] + bias[:, :, None, None]


class MappingNetwork(nn.Module):
    """Code z [N, latent] to style w [N, latent] through fully connected layers (eight of 512 in the paper).

    >>> MappingNetwork(8, depth=2)(torch.zeros(3, 8)).shape
    torch.Size([3, 8])
    """

    def __init__(self, latent: int = 64, depth: int = 4):
        super().__init__()
        self.norm = PixelNorm()
        self.layers = nn.ModuleList(nn.Linear(latent, latent) for _ in range(depth))

    def forward(self, z: Tensor) -> Tensor:
        w = self.norm(z)
        for layer in self.layers:
            # The factor keeps the variance of leaky ReLU outputs near one through the layers.
            w = F.leaky_relu(layer(w), 0.2) * 2**0.5
        return w


class StyleLayer(nn.Module):
    """Upsample (optional), convolve, add noise, then let the style scale and shift each normalised feature map."""

    def __init__(self, c_in: int, c_out: int, latent: int, upsample: bool):
        super().__init__()
        self.upsample = upsample
        self.conv = nn.Conv2d(c_in, c_out, 3, padding=1)
        self.noise_strength = nn.Parameter(torch.zeros(c_out))
        self.style = nn.Linear(latent, 2 * c_out)

    def forward(self, x: Tensor, w: Tensor, noise: Tensor) -> Tensor:
        """x [N, C, H, W], style w [N, latent], noise [N, 1, H', W'] at the layer's own resolution."""
        if self.upsample:
            x = F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)
        x = self.conv(x)
        x = x + noise.to(x.dtype) * self.noise_strength[None, :, None, None]
        scale, bias = self.style(w).chunk(2, dim=1)
        return adain(F.leaky_relu(x, 0.2), 1 + scale, bias)


class StyleGenerator(nn.Module):
    """A learned constant, shaped by styles: two style layers at each resolution from 4x4.

    Parameters
    ----------
    size : int
        Side of the image, a power of two from 8.
    channels : tuple of int
        Width at 4x4 and after each doubling.
    latent : int
        Length of z and of w.
    depth : int
        Layers of the mapping network.

    Attributes
    ----------
    n_styles : int
        Number of style layers: 2 for each resolution, 18 at 1024 pixels.

    Examples
    --------
    >>> net = StyleGenerator(16, (8, 8, 8), latent=16)
    >>> net.draw(2).shape, net.n_styles
    (torch.Size([2, 3, 16, 16]), 6)
    """

    def __init__(self, size: int = 32, channels: tuple[int, ...] = (96, 64, 48, 24), latent: int = 64, depth: int = 4):
        super().__init__()
        self.levels, self.latent, self.size = _levels(size), latent, size
        widths = [channels[min(i, len(channels) - 1)] for i in range(self.levels + 1)]
        self.mapping = MappingNetwork(latent, depth)
        self.constant = nn.Parameter(torch.ones(1, widths[0], 4, 4))
        self.layers = nn.ModuleList()
        before = widths[0]
        for level, width in enumerate(widths):
            self.layers.append(StyleLayer(before, width, latent, upsample=level > 0))
            self.layers.append(StyleLayer(width, width, latent, upsample=False))
            before = width
        self.to_rgb = nn.Conv2d(before, 3, 1)

    @property
    def n_styles(self) -> int:
        return len(self.layers)

    @property
    def sides(self) -> list[int]:
        """Resolution that each style layer works at."""
        return [4 * 2 ** (i // 2) for i in range(self.n_styles)]

    def draw_codes(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Codes z [n, latent], standard normal, on the network's device."""
        return torch.randn(n, self.latent, generator=generator, device=self.constant.device)

    def draw_noise(self, n: int, generator: torch.Generator | None = None) -> list[Tensor]:
        """One noise map [n, 1, side, side] for each style layer."""
        return [torch.randn(n, 1, side, side, generator=generator, device=self.constant.device) for side in self.sides]

    def synthesise(self, styles: Tensor, noise: list[Tensor]) -> Tensor:
        """Styles [N, n_styles, latent] and noise maps to images [N, 3, size, size] in about [-1, 1]."""
        if styles.ndim != 3 or styles.shape[1] != self.n_styles:
            raise invalid("styles", styles, f"[N, {self.n_styles}, {self.latent}]")
        x = self.constant.expand(len(styles), -1, -1, -1)
        for i, layer in enumerate(self.layers):
            x = layer(x, styles[:, i], noise[i])
        return self.to_rgb(x)

    def forward(self, z: Tensor, noise: list[Tensor]) -> Tensor:
        """Image [N, 3, size, size] of code z [N, latent] and the noise maps of :meth:`draw_noise`."""
        w = self.mapping(z)
        return self.synthesise(w[:, None].expand(-1, self.n_styles, -1), noise)

    def draw(self, n: int, generator: torch.Generator | None = None) -> Tensor:
        """Images [n, 3, size, size] of fresh codes and fresh noise."""
        return self(self.draw_codes(n, generator), self.draw_noise(n, generator))


def mix_styles(w_a: Tensor, w_b: Tensor, n_styles: int, crossover: int) -> Tensor:
    r"""Styles that follow `w_a` in layers below `crossover` and `w_b` from there on (Karras et al. 2019, section 3.1).

    Parameters
    ----------
    w_a, w_b : Tensor [N, latent]
    n_styles : int
    crossover : int
        0 gives all of b, `n_styles` all of a.

    Returns
    -------
    Tensor [N, n_styles, latent]

    Raises
    ------
    ValueError
        If the crossover leaves 0 to n_styles.

    Examples
    --------
    >>> mix_styles(torch.zeros(1, 1), torch.ones(1, 1), 4, 3).flatten().tolist()
    [0.0, 0.0, 0.0, 1.0]
    """
    whole("crossover", crossover, 0, n_styles)
    from_a = torch.arange(n_styles, device=w_a.device)[None, :, None] < crossover
    return torch.where(from_a, w_a[:, None], w_b[:, None])


def new_style_gan(
    size: int, channels: tuple[int, ...], latent: int, depth: int, generator: torch.Generator | None
) -> tuple[StyleGenerator, Discriminator]:
    """A fresh pair of networks whose weights come from `generator`."""
    pair = StyleGenerator(size, channels, latent, depth), Discriminator(size, tuple(reversed(channels)))
    for net in pair:
        initialise(net, generator, gain=1.0)
    return pair
