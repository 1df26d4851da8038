r"""The book's own protection: ascent on weighted editors through what platforms do, as far as that has a gradient.

A perturbation that a platform's JPEG and resizing erase protects nobody. So each step looks at the face as it will
arrive (expectation over transformation, Athalye et al. 2018; for protections Yang et al. 2021, with another codec).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

import torch
from torch import Tensor
from torch.nn import functional as F

from deepfake_kit.defend import protect
from deepfake_kit.images import check_images
from deepfake_kit.training import fast_arithmetic
from deepfake_kit.valid import at_least_single, invalid

# Annex K of the JPEG standard, tables K.1 (brightness) and K.2 (colour), row by row.
_BRIGHTNESS = """16 11 10 16 24 40 51 61 12 12 14 19 26 58 60 55 14 13 16 24 40 57 69 56 14 17 22 29 51 87 80 62
18 22 37 56 68 109 103 77 24 35 55 64 81 104 113 92 49 64 78 87 103 121 120 101 72 92 95 98 112 100 103 99"""
_COLOUR = "17 18 24 47 99 99 99 99 18 21 26 66 99 99 99 99 24 26 56 99 99 99 99 99 47 66 99 99 99 99 99 99" + 32 * " 99"


@cache
def _tables() -> tuple[Tensor, Tensor, Tensor]:
    """Annex K's two tables [2, 8, 8], the cosine transform [8, 8], and RGB to brightness and two colours [3, 3]."""
    i = torch.arange(8.0)
    cosines = torch.cos((2 * i + 1) * i[:, None] * math.pi / 16) * torch.where(i == 0, 8**-0.5, 0.5)[:, None]
    colours = torch.tensor([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
    steps = [torch.tensor([float(x) for x in table.split()]).view(8, 8) for table in (_BRIGHTNESS, _COLOUR)]
    return torch.stack(steps), cosines, colours


def _coded(plane: Tensor, steps: Tensor) -> Tensor:
    """Planes [N, C, H, W] of grey levels around 0, in blocks of 8 by 8 rounded to multiples of `steps` [8, 8]."""
    n, c, h, w = plane.shape
    cosines = _tables()[1].to(plane)
    blocks = plane.reshape(n, c, h // 8, 8, w // 8, 8).transpose(3, 4)
    wanted = cosines @ blocks @ cosines.T / steps
    whole = wanted.round()
    soft = whole + (wanted - whole) ** 3 + 0.1 * (wanted - whole)  # exact forward; a slope that is nowhere zero
    kept = (soft + (whole - soft).detach()) * steps
    return (cosines.T @ kept @ cosines).transpose(3, 4).reshape(n, c, h, w)


def soft_jpeg(images: Tensor, quality: int = 75) -> Tensor:
    r"""JPEG with half the colour resolution, as far as it has a gradient; images float [N, 3, H, W] in [0, 1].

    Forward it rounds; backward the slope of rounding is that of :math:`[v]+(v-[v])^3+0.1(v-[v])`.

    Shin and Song 2017; the tables of Annex K, scaled as :mod:`deepfake_kit.social` says. Half precision is computed in
    float32.

    Raises
    ------
    ValueError
        For other images, sides that 16 does not divide, or a quality that is not 1 to 100.

    Examples
    --------
    >>> soft_jpeg(torch.full((1, 3, 16, 16), 0.5), 90).sub(0.5).abs().max().item() < 1 / 255
    True
    """
    check_images(images, square=False)
    if images.shape[2] % 16 or images.shape[3] % 16 or not 1 <= quality <= 100:
        got = f"{images.shape[2]} x {images.shape[3]} pixels at quality {quality}"
        raise invalid("images and quality", got, "sides that 16 divides, 1 to 100")
    tables, _, colours = (x.to(images.device, torch.promote_types(images.dtype, torch.float32)) for x in _tables())
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    bright, colour = ((tables * scale + 50) / 100).floor().clamp(1, 255)
    with torch.autocast(images.device.type, enabled=False):
        planes = torch.einsum("kc,nchw->nkhw", colours, 255 * images.to(colours))
        y = _coded(planes[:, :1] - 128, bright) + 128
        small = _coded(F.avg_pool2d(planes[:, 1:], 2), colour)
        y = torch.cat([y, F.interpolate(small, scale_factor=2, mode="bilinear")], dim=1)
        return (torch.einsum("ck,nkhw->nchw", torch.linalg.inv(colours), y) / 255).clamp(0, 1).to(images.dtype)


def smaller(images: Tensor, share: float = 0.75) -> Tensor:
    """Images [N, 3, H, W] made smaller and brought back to their size, both bilinear; differentiable.

    >>> smaller(torch.ones(1, 3, 16, 16)).shape
    torch.Size([1, 3, 16, 16])
    """
    side = [max(1, round(share * n)) for n in images.shape[2:]]
    x = at_least_single(images)
    small = F.interpolate(x, size=side, mode="bilinear", antialias=True)
    return F.interpolate(small, size=images.shape[2:], mode="bilinear").clamp(0, 1).to(images.dtype)


#: What :func:`robust` expects on the way: nothing, JPEG files, a resize.
ROADS = (lambda images: images, soft_jpeg, lambda images: soft_jpeg(images, 90), smaller)


def robust(
    editors: Sequence[protect.Editor],
    images: Tensor,
    epsilon: float = 0.025,
    iterations: int = 100,
    generator: torch.Generator | None = None,
    weights: Sequence[float] | None = None,
    through: Sequence[protect.Editor] = ROADS,
) -> Tensor:
    r"""The book's own method: :func:`deepfake_kit.defend.protect.pgd` on all editors, through platforms, in 8 bits.

    .. math:: \max_{\lVert\delta\rVert_\infty\le\epsilon}\;\mathbb E_T\sum_k w_k
        \lVert G_k(T(x+\delta))-G_k(T(x))\rVert_2^2

    Momentum 0.75, steps from half the bound down to a fiftieth. ``through=()`` leaves the platforms out: the strong
    attack that the chapter measures ceilings with.

    Parameters
    ----------
    editors : sequence of callables
        Images [N, 3, S, S] in [0, 1] to images of that shape; differentiable, frozen.
    images : Tensor
        float [N, 3, S, S] in [0, 1], whole multiples of 1/255; 16 divides S.
    epsilon : float
        Bound in units of [0, 1].
    iterations : int
    generator : torch.Generator, optional
    weights : sequence of float, optional
        One an editor; 1 by default.
    through : sequence of callables

    Returns
    -------
    Tensor
        Protected images, same shape, whole multiples of 1/255 within the ball.

    Raises
    ------
    ValueError
        As :func:`deepfake_kit.defend.protect.pgd`.

    Examples
    --------
    >>> x = torch.full((1, 3, 16, 16), 128 / 255)
    >>> round(255 * (robust([lambda z: 3 * z], x, 0.1, 4) - x).abs().max().item())
    25
    """
    steps = {"step": min(1.0, epsilon / 2), "last": epsilon / 50, "iterations": iterations, "momentum": 0.75}
    with fast_arithmetic(images.device):
        z = protect.pgd(list(editors), images, epsilon, generator=generator, weights=weights, through=through, **steps)
    return protect.to_file(z, images, epsilon)
