r"""Distances between sets of images or features, and how sure we are of them.

Images are float [N, C, H, W] in [0, 1] unless a function says otherwise; features are [N, D].
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor


def _features(name: str, x: Tensor) -> Tensor:
    if x.ndim != 2 or len(x) < 2:
        raise ValueError(f"{name} has shape {tuple(x.shape)}; features [N, D] with N at least 2 are needed")
    return x.double()


def _square_root(matrix: Tensor) -> Tensor:
    """Symmetric square root of a positive semi-definite matrix; rounding below zero is set to zero."""
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.T


def frechet_distance(features_a: Tensor, features_b: Tensor) -> Tensor:
    r"""Squared Fréchet distance between Gaussians fitted to two sets of features.

    .. math:: \lVert\mu_a-\mu_b\rVert^2
        + \operatorname{tr}\big(\Sigma_a + \Sigma_b - 2(\Sigma_a^{1/2}\Sigma_b\Sigma_a^{1/2})^{1/2}\big)

    Dowson and Landau 1982, Eq. (4); Heusel et al. 2017 use it on Inception features ("FID"). The value
    depends on the feature space and, because covariances are estimated, falls as N grows: compare only equal
    N in one space.

    Parameters
    ----------
    features_a, features_b : Tensor [N, D], [M, D]
        Any floating type, N and M at least 2; computed in float64.

    Returns
    -------
    Tensor, scalar float64
        At least 0, in squared units of the features.

    Raises
    ------
    ValueError
        If the features are not two-dimensional, too few, or of different width.

    Examples
    --------
    >>> x = torch.randn(100, 3)
    >>> round(frechet_distance(x, x + 2).item(), 6)
    12.0
    """
    a, b = _features("features_a", features_a), _features("features_b", features_b)
    if a.shape[1] != b.shape[1]:
        raise ValueError(f"features_b has {b.shape[1]} columns, features_a {a.shape[1]}; they must be equal")
    sigma_a, sigma_b = torch.cov(a.T).reshape(a.shape[1], -1), torch.cov(b.T).reshape(b.shape[1], -1)
    root = _square_root(sigma_a)
    cross = torch.linalg.eigvalsh(root @ sigma_b @ root).clamp(min=0).sqrt().sum()
    mean = (a.mean(0) - b.mean(0)).square().sum()
    return (mean + sigma_a.trace() + sigma_b.trace() - 2 * cross).clamp(min=0)


class Estimate(NamedTuple):
    """A value with its standard error."""

    value: float
    standard_error: float


def bootstrap(
    statistic: Callable[[Tensor], Tensor | float],
    samples: Tensor,
    repeats: int = 200,
    generator: torch.Generator | None = None,
) -> Estimate:
    """Value of a statistic of `samples` [N, ...] and its bootstrap standard error.

    Efron 1979. The standard error is used rather than percentiles because resampling shifts a Fréchet
    distance upwards, as any smaller sample does.

    Parameters
    ----------
    statistic : callable (samples [N, ...]) -> scalar
    samples : Tensor [N, ...]
        Resampled along the first axis, with replacement.
    repeats : int
        At least 2.
    generator : torch.Generator, optional
        On the CPU.

    Raises
    ------
    ValueError
        If repeats is below 2.

    Examples
    --------
    >>> bootstrap(torch.mean, torch.ones(10), repeats=5)
    Estimate(value=1.0, standard_error=0.0)
    """
    if repeats < 2:
        raise ValueError(f"repeats is {repeats}; a standard error needs at least 2")
    draws = [
        float(statistic(samples[torch.randint(len(samples), (len(samples),), generator=generator)]))
        for _ in range(repeats)
    ]
    mean = sum(draws) / repeats
    spread = math.sqrt(sum((d - mean) ** 2 for d in draws) / (repeats - 1))
    return Estimate(float(statistic(samples)), spread)


def grain(images: Tensor) -> Tensor:
    r"""Standard deviation of the pixel noise in images, estimated without knowing the clean ones.

    Immerkaer 1996: a Laplacian mask that gives 0 on flat areas and straight edges; the median of its absolute
    value is used in place of the mean, so that textured places do not count as noise,
    :math:`\hat\sigma = \operatorname{median}|x * M| / (6 \cdot 0.6745)`.

    Parameters
    ----------
    images : Tensor [N, C, H, W]
        Any range; the result is in the same units. H and W at least 3.

    Returns
    -------
    Tensor, scalar

    Examples
    --------
    >>> grain(torch.zeros(1, 1, 8, 8)).item()
    0.0
    """
    if images.ndim != 4 or min(images.shape[-2:]) < 3:
        raise ValueError(f"images has shape {tuple(images.shape)}; [N, C, H, W] from 3x3 pixels is needed")
    mask = images.new_tensor([[1, -2, 1], [-2, 4, -2], [1, -2, 1]])
    response = torch.nn.functional.conv2d(images.flatten(0, 1)[:, None], mask[None, None])
    return response.abs().median() / (6 * 0.6744897501960817)


def check_pictures(name: str, images) -> None:
    """Refuse anything but a float tensor [N, 3, H, W] of finite values in [0, 1].

    Raises
    ------
    ValueError
        For another type, dtype or shape, or a value outside [0, 1]; the message begins with `name`.

    Examples
    --------
    >>> check_pictures("images", torch.zeros(1, 3, 8, 8))
    """
    if not isinstance(images, Tensor) or not images.is_floating_point():
        given = f"dtype {images.dtype}" if isinstance(images, Tensor) else type(images).__name__
        raise ValueError(f"{name}: got {given}; valid: a float tensor [N, 3, H, W] in [0, 1]")
    if images.ndim != 4 or images.shape[1] != 3 or min(images.shape[2:]) < 1:
        raise ValueError(f"{name}: got shape {tuple(images.shape)}; valid: [N, 3, H, W]")
    if images.numel() and not bool(((images >= 0) & (images <= 1)).all()):
        low, high = float(images.min()), float(images.max())
        raise ValueError(f"{name}: got values from {low:g} to {high:g}; valid: finite values in [0, 1]")


def _check_pair(x: Tensor, y: Tensor, least: int) -> None:
    check_pictures("x", x)
    check_pictures("y", y)
    if x.shape != y.shape or min(x.shape[2:]) < least:
        raise ValueError(
            f"x, y: got shapes {tuple(x.shape)} and {tuple(y.shape)}; valid: equal, sides of at least {least}"
        )


def psnr(x: Tensor, y: Tensor) -> Tensor:
    r"""Peak signal-to-noise ratio of two batches in dB, one number an image.

    .. math:: -10 \log_{10} \frac{1}{3HW} \sum (x - y)^2

    for pixels in [0, 1] (Gonzalez and Woods, *Digital Image Processing*, with peak 1).

    Parameters
    ----------
    x, y : Tensor
        float [N, 3, H, W] in [0, 1]; computed in float64.

    Returns
    -------
    Tensor [N] float64
        Infinite for equal images.

    Raises
    ------
    ValueError
        For shapes that differ, another dtype, or values outside [0, 1].

    Examples
    --------
    >>> psnr(torch.zeros(1, 3, 8, 8), torch.full((1, 3, 8, 8), 0.1)).round(decimals=4).tolist()
    [20.0]
    """
    _check_pair(x, y, 1)
    return -10 * (x.double() - y.double()).square().mean(dim=(1, 2, 3)).log10()


def ssim(x: Tensor, y: Tensor) -> Tensor:
    r"""Structural similarity of two batches, one number an image.

    .. math:: \frac{(2\mu_x\mu_y + c_1)(2\sigma_{xy} + c_2)}
                   {(\mu_x^2 + \mu_y^2 + c_1)(\sigma_x^2 + \sigma_y^2 + c_2)}

    averaged over all positions and channels of an 11 x 11 Gaussian window with standard deviation
    1.5, :math:`c_1 = 0.01^2`, :math:`c_2 = 0.03^2` (Wang et al., "Image quality assessment: from error
    visibility to structural similarity", 2004, Eq. 13).

    Parameters
    ----------
    x, y : Tensor
        float [N, 3, H, W] in [0, 1], H and W at least 11.

    Returns
    -------
    Tensor
        [N] in [-1, 1]; 1 for equal images.

    Raises
    ------
    ValueError
        For shapes that differ, or images smaller than the window.

    Examples
    --------
    >>> images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    >>> ssim(images, images).tolist()
    [1.0, 1.0]
    """
    _check_pair(x, y, 11)
    offsets = torch.arange(-5, 6, dtype=torch.float64)
    window = torch.exp(-(offsets**2) / (2 * 1.5**2))
    window /= window.sum()
    a, b = x.double().cpu(), y.double().cpu()

    def sliding(side: int) -> Tensor:
        """Weights [side - 10, side]: row i averages the eleven positions from i on."""
        eye = torch.eye(side, dtype=torch.float64)
        return sum(weight * eye[i : side - 10 + i] for i, weight in enumerate(window))

    # The window is a product of a column and a row, so two matrix products average over all of its positions:
    # thirty times as fast as a grouped convolution in double precision.
    down, across = sliding(a.shape[2]), sliding(a.shape[3]).T

    def mean(plane: Tensor) -> Tensor:
        return down @ plane @ across

    mean_a, mean_b = mean(a), mean(b)
    var_a, var_b = mean(a * a) - mean_a**2, mean(b * b) - mean_b**2
    cov = mean(a * b) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    quotient = ((2 * mean_a * mean_b + c1) * (2 * cov + c2)) / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2))
    return quotient.mean(dim=(1, 2, 3)).to(x.dtype)
