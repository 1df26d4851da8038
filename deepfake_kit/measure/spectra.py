r"""Traces of upsampling in the spectrum: residuals, averaged spectra, radial profiles and the checkerboard.

A generator builds its picture by enlarging smaller ones. Enlarging by inserting zeros copies the spectrum, and whatever
the following filter leaves of the copies betrays the generator (Odena et al., "Deconvolution and Checkerboard
Artifacts", Distill 2016; Zhang et al., "Detecting and Simulating Artifacts in GAN Fake Images", WIFS 2019; Durall et
al., "Watch your Up-Convolution", CVPR 2020). Frequencies are in cycles per pixel; 1/2 is the Nyquist frequency.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from deepfake_kit.valid import finite


def _check(images: Tensor) -> None:
    if images.ndim != 4 or images.shape[2] != images.shape[3] or len(images) == 0:
        raise ValueError(f"images: got shape {tuple(images.shape)}; valid: [N, C, S, S] with N >= 1")
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
        Mean frequency and mean power of each ring that holds a sample.

    Raises
    ------
    ValueError
        If the spectrum is not square or bins is below 1.

    Examples
    --------
    >>> radial_average(torch.ones(8, 8))[1].unique().tolist()
    [1.0]
    """
    if power.ndim != 2 or power.shape[0] != power.shape[1]:
        raise ValueError(f"power: got shape {tuple(power.shape)}; valid: [S, S]")
    side = power.shape[0]
    bins = round(side * 0.5**0.5) if bins is None else bins
    if bins < 1:
        raise ValueError(f"bins: got {bins}; valid: at least 1")
    finite("power", power)
    radius = frequencies(side).flatten()
    ring = (radius / 0.5**0.5 * bins).long().clamp(max=bins - 1)
    count = torch.zeros(bins, dtype=torch.float64).index_add_(0, ring, torch.ones_like(radius))
    total = torch.zeros(bins, dtype=torch.float64).index_add_(0, ring, power.double().flatten())
    mean_radius = torch.zeros(bins, dtype=torch.float64).index_add_(0, ring, radius)
    filled = count > 0
    return (mean_radius / count)[filled], (total / count)[filled]


def insert_zeros(images: Tensor) -> Tensor:
    r"""Double the side by putting a zero after each pixel, the first half of a transposed convolution with stride 2.

    Its spectrum is the old one, repeated: :math:`X_{up}(f) = X(2f)`, so what was at frequency 0 appears at 1/2 too.

    >>> insert_zeros(torch.ones(1, 1, 1, 2)).tolist()
    [[[[1.0, 0.0, 1.0, 0.0], [0.0, 0.0, 0.0, 0.0]]]]
    """
    larger = images.new_zeros(*images.shape[:2], 2 * images.shape[2], 2 * images.shape[3])
    larger[:, :, ::2, ::2] = images
    return larger


def enlarge(images: Tensor, how: str) -> Tensor:
    """Double the side as generators do.

    Parameters
    ----------
    images : Tensor [N, C, S, S]
    how : {"zeros", "transposed", "nearest", "bilinear"}
        Zero insertion alone; a transposed convolution with a 3x3 box kernel and stride 2, whose taps overlap unevenly;
        nearest neighbours; bilinear interpolation.

    Returns
    -------
    Tensor [N, C, 2S, 2S]

    Raises
    ------
    ValueError
        For an unknown method.

    Examples
    --------
    >>> enlarge(torch.ones(1, 1, 4, 4), "nearest").shape
    torch.Size([1, 1, 8, 8])
    """
    _check(images)
    if how == "zeros":
        return insert_zeros(images)
    if how == "transposed":
        kernel = torch.full((3, 3), 4 / 9, dtype=images.dtype, device=images.device)
        channels = images.shape[1]
        return F.conv_transpose2d(
            images, kernel.expand(channels, 1, 3, 3), stride=2, padding=1, output_padding=1, groups=channels
        )
    if how == "nearest":
        return F.interpolate(images, scale_factor=2, mode="nearest")
    if how == "bilinear":
        return F.interpolate(images, scale_factor=2, mode="bilinear", align_corners=False)
    raise ValueError(f"how: got {how!r}; valid: zeros, transposed, nearest, bilinear")


def overlap(side: int, kernel: int, stride: int = 2) -> Tensor:
    """How many taps of a transposed convolution reach each output pixel [side', side'], away from the border.

    Uneven where the stride does not divide the kernel: that pattern is the checkerboard (Odena et al. 2016).

    >>> overlap(6, 4).unique().tolist(), overlap(6, 3).unique().tolist()
    ([4.0], [1.0, 2.0, 4.0])
    """
    if side < 4 or kernel < 1 or stride < 1:
        raise ValueError(f"side, kernel, stride: got {side}, {kernel}, {stride}; valid: side >= 4, the others >= 1")
    ones = torch.ones(1, 1, side, side)
    counts = F.conv_transpose2d(ones, torch.ones(1, 1, kernel, kernel), stride=stride)[0, 0]
    edge = kernel  # pixels nearer to the border than this miss taps for another reason
    return counts[edge:-edge, edge:-edge]


def natural_noise(n: int, side: int, exponent: float = 2.0, generator: torch.Generator | None = None) -> Tensor:
    r"""Random images whose power falls as :math:`1/f^{a}`, as that of photographs does (Field 1987: about 2).

    Parameters
    ----------
    n, side : int
    exponent : float
        The a above.
    generator : torch.Generator, optional

    Returns
    -------
    Tensor [n, 1, side, side]
        Zero mean, unit deviation over each image.

    Examples
    --------
    >>> natural_noise(2, 16).shape
    torch.Size([2, 1, 16, 16])
    """
    white = torch.fft.fft2(torch.randn(n, 1, side, side, generator=generator, dtype=torch.float64))
    radius = torch.fft.ifftshift(frequencies(side))
    radius[0, 0] = torch.inf
    images = torch.fft.ifft2(white * radius ** (-exponent / 2)).real
    return (images / images.std(dim=(2, 3), keepdim=True)).float()


def nyquist_energy(power: Tensor) -> float:
    """Power at the Nyquist frequencies (the row and the column at 1/2) on average, relative to the largest power.

    >>> nyquist_energy(torch.ones(8, 8))
    1.0
    """
    finite("power", power)
    if not power.max() > 0:
        raise ValueError("power: got no number above 0; valid: the spectrum of images that are not all zero")
    edge = torch.cat([power[0], power[1:, 0]])
    return float(edge.mean() / power.max())


def spike_suppression(side: int = 16, height: float = 50.0, generator: torch.Generator | None = None) -> float:
    r"""Spread of a feature map away from one planted spike after instance normalisation, relative to no spike.

    A generator can use a strong spike to smuggle a signal past the normalisation; the price is a blob (Karras et al.,
    "Analyzing and Improving the Image Quality of StyleGAN", CVPR 2020, section 2).

    >>> spike_suppression(height=0.0)
    1.0
    """
    plain = torch.randn(1, 1, side, side, generator=generator, dtype=torch.float64)
    spiked = plain.clone()
    spiked[0, 0, side // 2, side // 2] += height
    away = torch.ones(side, side, dtype=torch.bool)
    away[side // 2, side // 2] = False
    spread = [float(F.instance_norm(x)[0, 0][away].std()) for x in (plain, spiked)]
    return spread[1] / spread[0]
