r"""Traces of upsampling in the spectrum: residuals, averaged spectra and radial profiles.

A generator builds its picture by enlarging smaller ones. Enlarging by inserting zeros copies the spectrum, and whatever
the following filter leaves of the copies betrays the generator (Odena et al., "Deconvolution and Checkerboard
Artifacts", Distill 2016; Zhang et al., "Detecting and Simulating Artifacts in GAN Fake Images", WIFS 2019; Durall et
al., "Watch your Up-Convolution", CVPR 2020). Frequencies are in cycles per pixel; 1/2 is the Nyquist frequency.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from deepfake_kit.valid import finite, invalid, require, whole


def _check(images: Tensor) -> None:
    if images.ndim != 4 or images.shape[2] != images.shape[3] or len(images) == 0:
        raise invalid("images", images, "[N, C, S, S] with N >= 1")
    finite("images", images)


def residual(images: Tensor) -> Tensor:
    r"""What a 3x3 median filter takes away: fine detail, noise and traces, without the scene.

    Marra et al., "Do GANs Leave Artificial Fingerprints?", MIPR 2019, use such denoising residuals.

    Parameters
    ----------
    images : Tensor [N, C, S, S]

    Returns
    -------
    Tensor [N, C, S, S]
        Of either sign.

    Raises
    ------
    ValueError
        If the images are not square or not finite, or there are none.

    Examples
    --------
    >>> residual(torch.ones(1, 1, 8, 8)).abs().max().item()
    0.0
    """
    _check(images)
    padded = F.pad(images, (1, 1, 1, 1), mode="reflect")
    windows = padded.unfold(2, 3, 1).unfold(3, 3, 1).flatten(-2)
    return images - windows.median(dim=-1).values


def power_spectrum(images: Tensor) -> Tensor:
    r"""Mean power :math:`\overline{|\mathrm{FFT}(x)|^2}/S^2` over images and channels, zero frequency in the middle.

    Parameters
    ----------
    images : Tensor [N, C, S, S]

    Returns
    -------
    Tensor [S, S], float64
        Row and column S//2 hold frequency 0; row and column 0 hold -1/2, the Nyquist frequency.

    Examples
    --------
    >>> power_spectrum(torch.ones(1, 1, 4, 4))[2, 2].item()
    16.0
    """
    _check(images)
    power = torch.fft.fft2(images.double()).abs().square().mean((0, 1)) / images.shape[-1] ** 2
    return torch.fft.fftshift(power)


def frequencies(side: int) -> Tensor:
    """Distance from frequency zero [side, side], cycles per pixel, laid out as :func:`power_spectrum`.

    >>> frequencies(4)[2].tolist()
    [0.5, 0.25, 0.0, 0.25]
    """
    axis = torch.fft.fftshift(torch.fft.fftfreq(side, dtype=torch.float64))
    return torch.hypot(axis[:, None], axis[None, :])


def radial_average(power: Tensor, bins: int | None = None) -> tuple[Tensor, Tensor]:
    """Mean of a spectrum over rings of equal frequency.

    Durall et al. 2020, Eq. (2): the azimuthal average.

    Parameters
    ----------
    power : Tensor [S, S]
        From :func:`power_spectrum`.
    bins : int, optional
        Rings between 0 and the corner, 0.707; by default one for each step of 1/S.

    Returns
    -------
    (Tensor [B], Tensor [B])
        Mean frequency and mean power of each ring that holds a sample, float64, on the spectrum's device.

    Raises
    ------
    ValueError
        If the spectrum is not square or bins is below 1.

    Examples
    --------
    >>> radial_average(torch.ones(8, 8))[1].unique().tolist()
    [1.0]
    """
    require(power.ndim == 2 and power.shape[0] == power.shape[1], "power", power, "[S, S]")
    side = power.shape[0]
    bins = whole("bins", round(side * 0.5**0.5) if bins is None else bins, 1)
    finite("power", power)
    radius = frequencies(side).flatten().to(power.device)
    ring = (radius / 0.5**0.5 * bins).long().clamp(max=bins - 1)
    count = radius.new_zeros(bins).index_add_(0, ring, torch.ones_like(radius))
    total = radius.new_zeros(bins).index_add_(0, ring, power.double().flatten())
    mean_radius = radius.new_zeros(bins).index_add_(0, ring, radius)
    filled = count > 0
    return (mean_radius / count)[filled], (total / count)[filled]
