r"""Distances between two images, and the noise in one: PSNR, SSIM, grain.

Images are float [N, C, H, W] in [0, 1] unless a function says otherwise.
"""

from __future__ import annotations

import torch
from torch import Tensor

from deepfake_kit.images import check_images
from deepfake_kit.valid import at_least_single, finite, invalid, require


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
        In the images' dtype, float32 for whole numbers; computed in float32 for half precision.

    Raises
    ------
    ValueError
        For another shape, or values that are not finite.

    Examples
    --------
    >>> grain(torch.zeros(1, 1, 8, 8)).item()
    0.0
    """
    if images.ndim != 4 or min(images.shape[-2:]) < 3:
        raise invalid("images", images, "[N, C, H, W] of 3 x 3 pixels or more")
    x = at_least_single(finite("images", images))
    mask = x.new_tensor([[1, -2, 1], [-2, 4, -2], [1, -2, 1]])
    response = torch.nn.functional.conv2d(x.flatten(0, 1)[:, None], mask[None, None])
    return (response.abs().median() / (6 * 0.6744897501960817)).to(torch.result_type(images, 1.0))


def _check_pair(x: Tensor, y: Tensor, least: int) -> None:
    check_images(x, name="x", square=False)
    check_images(y, name="y", square=False)
    require(x.shape == y.shape and min(x.shape[2:]) >= least, "x, y", (x, y), f"equal, sides of at least {least}")


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
        [N] in [-1, 1]; 1 for equal images. In the dtype of `x` and on its device; computed in float64.

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
    a, b = x.double(), y.double()

    def sliding(side: int) -> Tensor:
        """Weights [side - 10, side]: row i averages the eleven positions from i on."""
        eye = torch.eye(side, dtype=torch.float64, device=a.device)
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
