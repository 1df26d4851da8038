r"""What Facebook, Telegram and Twitter do to a picture on its way to a reader.

A platform (1) strips the metadata, (2) shrinks a picture whose longer side exceeds a cap,
(3) codes it again as JPEG with its own quality and with half the colour resolution (4:2:0).
Boato et al. (*TrueFace*, IJCB 2022) shared 60,000 faces for real; no platform publishes its
pipeline, so :data:`PLATFORMS` gathers what has been measured, reported or can be read in
source code, with the source and its kind beside every number.

JPEG quality q scales the quantization table Q of Annex K by S/100, where S = 5000/q below
q = 50 and S = 200 - 2q from there on (the rule of the Independent JPEG Group; Wallace, "The
JPEG still picture compression standard", 1992). The codec is Pillow's, hence libjpeg's.
"""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import torch
from PIL import Image

from deepfake_kit.valid import one_of

#: Side in pixels of the pictures that TrueFace uploaded (FFHQ and StyleGAN, 1024 x 1024).
TRUEFACE_SIDE = 1024


@dataclass(frozen=True)
class Platform:
    """One documented pipeline. ``sources`` says for each parameter where the number comes from."""

    sides: tuple[int, ...]
    quality: tuple[int, int]
    subsampling: str
    progressive: bool
    filter: str
    sources: dict[str, str] = field(default_factory=dict)


PLATFORMS = {
    "facebook": Platform(
        sides=(720, 960, 2048),
        quality=(75, 85),
        subsampling="4:2:0",
        progressive=True,
        filter="lanczos",
        sources={
            "sides": "reported: the widths 720, 960, 2048 of Facebook's upload advice; 720 measured by "
            "Castiglione et al., A forensic analysis of images on online social networks, INCoS 2011",
            "quality": "measured: 75 by the author of a steganography tool, quoted by R. Heinrich, 2017; "
            "85 by a reader's identify run, Signal Processing Stack Exchange question 74275, 2021",
            "subsampling": "assumed: libjpeg's default below quality 90",
            "progressive": "measured: the same question 74275",
            "filter": "reported: S. Odio of Facebook, who names GraphicsMagick's Lanczos filter, interviewed by "
            "P. Yuen, An in depth look at Facebook's new photo service, 2010",
            "metadata": "measured: Castiglione et al. 2011, EXIF removed",
        },
    ),
    "telegram": Platform(
        sides=(1280,),
        quality=(80, 87),
        subsampling="4:2:0",
        progressive=True,
        filter="bilinear",
        sources={
            "sides": "source code: PhotoSideLimit = 1280 (option: 2560), Telegram Desktop, localimageloader.cpp",
            "quality": "source code: 80 in Telegram for Android, SendMessagesHelper.generatePhotoSizes; "
            "87 in Telegram Desktop, localimageloader.cpp",
            "subsampling": "source code: Telegram Desktop pull request 25596, 4:4:4 only from quality 90 on",
            "progressive": "source code: setProgressiveScanWrite in Telegram Desktop, localimageloader.cpp",
            "filter": "source code: Qt::SmoothTransformation in Telegram Desktop, a bilinear filter",
            "metadata": "source code: only the pixels are written again",
        },
    ),
    "twitter": Platform(
        sides=(1200, 2048),
        quality=(85, 85),
        subsampling="4:2:0",
        progressive=True,
        filter="lanczos",
        sources={
            "sides": "measured: variants medium (1200, served by default) and large (2048), issue 153 of "
            "afar1/fieldtheory-cli, 2026",
            "quality": "reported: N. O'Brien of Twitter, Upcoming changes to PNG image support, developer forum "
            "2018: 85 wherever the upload's quality is higher",
            "subsampling": "assumed: libjpeg's default below quality 90",
            "progressive": "reported: H. Kermani of Twitter, talk at Mobile @Scale London 2016, summed up in How "
            "Twitter handles 3,000 images per second; first of the goals of Twitter's own "
            "ios-twitter-image-pipeline, README",
            "filter": "assumed: the one that Facebook names",
            "metadata": "measured: the press council IPTC's test of 15 sites, Exif and IPTC fields removed, told by "
            "British Journal of Photography, March 2013",
        },
    ),
}
_SUBSAMPLING = {"4:4:4": 0, "4:2:2": 1, "4:2:0": 2}
_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "lanczos": Image.Resampling.LANCZOS}


def platform_table() -> pd.DataFrame:
    """List every parameter of every platform with its value, the kind of evidence and the source.

    Returns
    -------
    pandas.DataFrame
        Columns platform, parameter, value, evidence (measured, reported, source code, assumed), source.

    Examples
    --------
    >>> sorted(platform_table().evidence.unique())
    ['assumed', 'measured', 'reported', 'source code']
    """
    rows = []
    for name, platform in PLATFORMS.items():
        for parameter, source in platform.sources.items():
            value = "stripped" if parameter == "metadata" else getattr(platform, parameter)
            evidence, _, text = source.partition(":")
            rows.append((name, parameter, str(value), evidence, text.strip()))
    return pd.DataFrame(rows, columns=["platform", "parameter", "value", "evidence", "source"])


def share(
    images: torch.Tensor,
    platform: str,
    seed: int,
    *,
    upload_side: int = TRUEFACE_SIDE,
    quality: int | None = None,
) -> torch.Tensor:
    """Upload a batch and download it again: resize, JPEG, and back to the size it had.

    Parameters
    ----------
    images : torch.Tensor
        float [N, 3, H, W] in [0, 1].
    platform : str
        "facebook", "telegram" or "twitter".
    seed : int
        Image i draws the platform's served side and quality from (seed, i) alone.
    upload_side : int
        Side in pixels of the upload that each image stands for. A platform's cap of c pixels shrinks
        an image by c / upload_side, if below 1; so a 64-pixel face suffers the resizing that a
        1024-pixel face suffers. Give the images' own side for the plain rule.
    quality : int, optional
        JPEG quality 1 to 100 for all images in place of the platform's.

    Returns
    -------
    torch.Tensor
        Same shape, dtype and device as `images`, whole multiples of 1/255.

    Raises
    ------
    ValueError
        For an unknown platform (with the nearest valid name), a wrong shape or dtype, values outside
        [0, 1] or not finite, a quality or side out of range.

    Examples
    --------
    >>> images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    >>> share(images, "telegram", seed=0).shape
    torch.Size([2, 3, 32, 32])
    """
    return share_with_record(images, platform, seed, upload_side=upload_side, quality=quality)[0]


def share_with_record(
    images: torch.Tensor,
    platform: str,
    seed: int,
    *,
    upload_side: int = TRUEFACE_SIDE,
    quality: int | None = None,
) -> tuple[torch.Tensor, pd.DataFrame]:
    """As :func:`share`, and say what was done to each image.

    Returns
    -------
    images : torch.Tensor
        As :func:`share`.
    record : pandas.DataFrame
        One row an image: ``quality``, ``height`` and ``width`` as stored, ``bytes`` of the JPEG file,
        ``psnr`` in dB of the returned image against the upload (infinite where they are equal).

    Raises
    ------
    ValueError
        As :func:`share`.

    Examples
    --------
    >>> images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    >>> share_with_record(images, "twitter", seed=0)[1].quality.tolist()
    [85, 85]
    """
    rule = PLATFORMS[one_of("platform", platform, PLATFORMS)]
    _check_images(images)
    _whole("seed", seed, 0, 2**64 - 1)
    _whole("upload_side", upload_side, 1, 2**31)
    if quality is not None:
        _whole("quality", quality, 1, 100)
    pixels = (images.detach().cpu().double() * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    shared = np.empty_like(pixels)
    purpose = sorted(PLATFORMS).index(platform)

    def work(i: int) -> tuple[int, int, int, int]:
        rng = np.random.Generator(
            np.random.Philox(
                key=np.array([seed, i], np.uint64), counter=np.array([0, 0, 0, 16 + purpose], np.uint64)
            )
        )
        cap = rule.sides[int(rng.integers(len(rule.sides)))]
        drawn = int(rng.integers(rule.quality[0], rule.quality[1] + 1))
        height, width = pixels[i].shape[:2]
        share_of_side = min(1.0, cap / upload_side)
        stored = (max(1, round(height * share_of_side)), max(1, round(width * share_of_side)))
        used = drawn if quality is None else quality
        code = _encode(Image.fromarray(pixels[i]), rule, stored, used)
        with Image.open(io.BytesIO(code)) as seen:
            picture = seen.convert("RGB")
        if stored != (height, width):
            picture = picture.resize((width, height), Image.Resampling.BICUBIC)
        shared[i] = np.asarray(picture)
        return used, *stored, len(code)

    # Pillow's codec and filters let go of the interpreter lock, so threads share the images.
    with ThreadPoolExecutor(max(1, torch.get_num_threads())) as pool:
        rows = list(pool.map(work, range(len(pixels))))
    record = pd.DataFrame(rows, columns=["quality", "height", "width", "bytes"])
    error = ((shared.astype(np.float64) - pixels) ** 2).mean(axis=(1, 2, 3)) / 255**2
    with np.errstate(divide="ignore"):
        record["psnr"] = -10 * np.log10(error)
    out = (
        torch.from_numpy(shared).permute(0, 3, 1, 2).to(images.dtype).div_(255).contiguous().to(images.device)
    )
    return out, record


def upload(file: bytes, platform: str, *, quality: int | None = None, side: int | None = None) -> bytes:
    """Turn an uploaded picture file into the file that the platform serves, without its metadata.

    Parameters
    ----------
    file : bytes
        A JPEG, PNG or other file that Pillow reads.
    platform : str
        "facebook", "telegram" or "twitter".
    quality, side : int, optional
        JPEG quality and cap on the longer side; by default the platform's best quality and largest cap.

    Returns
    -------
    bytes
        A JPEG file with no EXIF, ICC profile or comment.

    Raises
    ------
    ValueError
        For an unknown platform or a file that is no picture.

    Examples
    --------
    >>> buffer = io.BytesIO(); Image.new("RGB", (1600, 800)).save(buffer, "PNG")
    >>> Image.open(io.BytesIO(upload(buffer.getvalue(), "telegram"))).size
    (1280, 640)
    """
    rule = PLATFORMS[one_of("platform", platform, PLATFORMS)]
    quality = rule.quality[1] if quality is None else _whole("quality", quality, 1, 100)
    side = max(rule.sides) if side is None else _whole("side", side, 1, 65500)
    try:
        with Image.open(io.BytesIO(file)) as opened:
            picture = opened.convert("RGB")
    except (OSError, SyntaxError) as problem:
        raise ValueError(
            f"file: got {len(file)} bytes that are no whole picture ({problem}); valid: a JPEG or PNG file"
        ) from problem
    share_of_side = min(1.0, side / max(picture.size))
    stored = (max(1, round(picture.height * share_of_side)), max(1, round(picture.width * share_of_side)))
    return _encode(picture, rule, stored, quality)


def platform_report(images: torch.Tensor, seed: int, *, upload_side: int = TRUEFACE_SIDE) -> pd.DataFrame:
    """Compare the platforms on one batch: quality, stored side, file size, PSNR and SSIM.

    Returns
    -------
    pandas.DataFrame
        One row a platform, means over the batch: quality, side (pixels), bytes, psnr (dB), ssim.

    Raises
    ------
    ValueError
        As :func:`share`.

    Examples
    --------
    >>> images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    >>> platform_report(images, seed=0).index.tolist()
    ['facebook', 'telegram', 'twitter']
    """
    rows = {}
    for platform in PLATFORMS:
        shared, record = share_with_record(images, platform, seed, upload_side=upload_side)
        rows[platform] = {
            "quality": record.quality.mean(),
            "side": record[["height", "width"]].max(axis=1).mean(),
            "bytes": record.bytes.mean(),
            "psnr": record.psnr.mean(),
            "ssim": float(ssim(images, shared).mean()),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("platform")


def ssim(x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    r"""Structural similarity of two batches, one number an image.

    .. math:: \frac{(2\mu_x\mu_y + c_1)(2\sigma_{xy} + c_2)}
                   {(\mu_x^2 + \mu_y^2 + c_1)(\sigma_x^2 + \sigma_y^2 + c_2)}

    averaged over all positions and channels of an 11 x 11 Gaussian window with standard deviation
    1.5, :math:`c_1 = 0.01^2`, :math:`c_2 = 0.03^2` (Wang et al., "Image quality assessment: from error
    visibility to structural similarity", 2004, Eq. 13).

    Parameters
    ----------
    x, y : torch.Tensor
        float [N, 3, H, W] in [0, 1], H and W at least 11.

    Returns
    -------
    torch.Tensor
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
    _check_images(x)
    _check_images(y)
    if x.shape != y.shape or min(x.shape[2:]) < 11:
        raise ValueError(
            f"x, y: got shapes {tuple(x.shape)} and {tuple(y.shape)}; valid: equal, sides of at least 11"
        )
    offsets = torch.arange(-5, 6, dtype=torch.float64)
    window = torch.exp(-(offsets**2) / (2 * 1.5**2))
    window /= window.sum()
    a, b = x.double().cpu(), y.double().cpu()

    def sliding(side: int) -> torch.Tensor:
        """Weights [side - 10, side]: row i averages the eleven positions from i on."""
        return sum(weight * torch.eye(side, dtype=torch.float64)[i : side - 10 + i] for i, weight in enumerate(window))

    # The window is a product of a column and a row, so two matrix products average over all of its positions:
    # thirty times as fast as a grouped convolution in double precision.
    down, across = sliding(a.shape[2]), sliding(a.shape[3]).T

    def mean(plane: torch.Tensor) -> torch.Tensor:
        return down @ plane @ across

    mean_a, mean_b = mean(a), mean(b)
    var_a, var_b = mean(a * a) - mean_a**2, mean(b * b) - mean_b**2
    cov = mean(a * b) - mean_a * mean_b
    c1, c2 = 0.01**2, 0.03**2
    quotient = ((2 * mean_a * mean_b + c1) * (2 * cov + c2)) / (
        (mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)
    )
    return quotient.mean(dim=(1, 2, 3)).to(x.dtype)


def _encode(picture: Image.Image, rule: Platform, stored: tuple[int, int], quality: int) -> bytes:
    """Shrink to `stored` = (height, width) and write a JPEG that carries the pixels and nothing else."""
    if stored != (picture.height, picture.width):
        picture = picture.resize((stored[1], stored[0]), _FILTERS[rule.filter])
    clean = Image.frombytes("RGB", picture.size, picture.tobytes())
    buffer = io.BytesIO()
    clean.save(
        buffer,
        "JPEG",
        quality=quality,
        subsampling=_SUBSAMPLING[rule.subsampling],
        progressive=rule.progressive,
    )
    return buffer.getvalue()


def _check_images(images) -> None:
    if not isinstance(images, torch.Tensor) or not images.is_floating_point():
        given = f"dtype {images.dtype}" if isinstance(images, torch.Tensor) else type(images).__name__
        raise ValueError(f"images: got {given}; valid: a float tensor [N, 3, H, W] in [0, 1]")
    if images.ndim != 4 or images.shape[1] != 3 or min(images.shape[2:]) < 1:
        raise ValueError(f"images: got shape {tuple(images.shape)}; valid: [N, 3, H, W]")
    if images.numel() and not bool(((images >= 0) & (images <= 1)).all()):
        low, high = float(images.min()), float(images.max())
        raise ValueError(f"images: got values from {low:g} to {high:g}; valid: finite values in [0, 1]")


def _whole(name: str, value, low: int, high: int) -> int:
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or not low <= value <= high:
        raise ValueError(f"{name}: got {value!r}; valid: a whole number from {low} to {high}")
    return int(value)
