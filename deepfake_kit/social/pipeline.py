r"""What Facebook, Telegram and Twitter do to a picture on its way to a reader.

A platform (1) strips the metadata, (2) shrinks a picture whose longer side exceeds a cap,
(3) codes it again as JPEG with its own quality and with half the colour resolution (4:2:0).
Boato et al. (*TrueFace*, IJCB 2022) shared 60,000 faces for real; no platform publishes its
pipeline, so :mod:`deepfake_kit.social.platforms` gathers what is known, with the source and the
kind of evidence beside every number, and :func:`sensitivity` says how much hangs on the rest.

JPEG quality q scales the quantization table Q of Annex K by S/100, where S = 5000/q below
q = 50 and S = 200 - 2q from there on (the rule of the Independent JPEG Group; Wallace, "The
JPEG still picture compression standard", 1992). The codec is Pillow's, hence libjpeg's.
"""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
from PIL import Image

from deepfake_kit.images import check_images, open_picture
from deepfake_kit.measure.images import psnr, ssim
from deepfake_kit.social.platforms import ALTERNATIVES, PLATFORMS, Platform, platform_table
from deepfake_kit.valid import invalid, one_of, require, whole

#: Side in pixels of the pictures that TrueFace uploaded (FFHQ and StyleGAN, 1024 x 1024).
TRUEFACE_SIDE = 1024
_SUBSAMPLING = {"4:4:4": 0, "4:2:2": 1, "4:2:0": 2}


def share(
    images: torch.Tensor, platform: str, seed: int, *, upload_side: int = TRUEFACE_SIDE, quality: int | None = None
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
    images: torch.Tensor, platform: str, seed: int, *, upload_side: int = TRUEFACE_SIDE, quality: int | None = None
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
    one_of("platform", platform, PLATFORMS)
    return _pass(images, platform, PLATFORMS[platform], seed, upload_side, quality)


def _pass(
    images: torch.Tensor, platform: str, rule: Platform, seed: int, upload_side: int, quality: int | None
) -> tuple[torch.Tensor, pd.DataFrame]:
    """Send a batch through `rule`, with the random draws of `platform`."""
    check_images(images, square=False)
    whole("seed", seed, 0, 2**64 - 1)
    whole("upload_side", upload_side, 1, 2**31)
    if quality is not None:
        whole("quality", quality, 1, 100)
    pixels = (images.detach().cpu().double() * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    shared = np.empty_like(pixels)
    purpose = 16 + sorted(PLATFORMS).index(platform)

    def work(i: int) -> tuple[int, int, int, int]:
        key, counter = np.array([seed, i], np.uint64), np.array([0, 0, 0, purpose], np.uint64)
        rng = np.random.Generator(np.random.Philox(key=key, counter=counter))
        cap = rule.sides[int(rng.integers(len(rule.sides)))]
        drawn = int(rng.integers(rule.quality[0], rule.quality[1] + 1))
        height, width = pixels[i].shape[:2]
        stored = _stored(height, width, cap / upload_side)
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
    before, after = (torch.from_numpy(batch).permute(0, 3, 1, 2) for batch in (pixels, shared))
    record["psnr"] = psnr(before.double() / 255, after.double() / 255).numpy()
    return after.to(images.dtype).div_(255).contiguous().to(images.device), record


def upload(file: bytes, platform: str, *, quality: int | None = None, side: int | None = None) -> bytes:
    """Turn an uploaded picture file into the file that the platform serves, without its metadata.

    Parameters
    ----------
    file : bytes
        A JPEG, PNG or other file that :func:`deepfake_kit.images.open_picture` reads, upright, in sRGB, on white.
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
        For an unknown platform, a quality or side out of range, or a file that is no picture.

    Examples
    --------
    >>> buffer = io.BytesIO(); Image.new("RGB", (1600, 800)).save(buffer, "PNG")
    >>> Image.open(io.BytesIO(upload(buffer.getvalue(), "telegram"))).size
    (1280, 640)
    """
    rule = PLATFORMS[one_of("platform", platform, PLATFORMS)]
    quality = rule.quality[1] if quality is None else whole("quality", quality, 1, 100)
    side = max(rule.sides) if side is None else whole("side", side, 1, 65500)
    if not isinstance(file, bytes | bytearray | memoryview):
        raise invalid("file", type(file).__name__, "the bytes of a JPEG or PNG file")
    picture = open_picture(file, "file")
    return _encode(picture, rule, _stored(picture.height, picture.width, side / max(picture.size)), quality)


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
    rows = {name: _damage(images, name, rule, seed, upload_side) for name, rule in PLATFORMS.items()}
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("platform")


def sensitivity(images: torch.Tensor, seed: int, *, upload_side: int = TRUEFACE_SIDE) -> pd.DataFrame:
    """Say how much the report would change if an inferred parameter were another one.

    Parameters
    ----------
    images, seed, upload_side
        As :func:`platform_report`; each row draws the same qualities and sizes.

    Returns
    -------
    pandas.DataFrame
        One row for each inferred parameter and each value that it might have: platform, parameter, value, used
        (bool: the value that :func:`share` takes), bytes, psnr (dB) and ssim, means over the batch.

    Raises
    ------
    ValueError
        As :func:`share`.

    Examples
    --------
    >>> images = torch.rand(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    >>> sensitivity(images, seed=0).query("platform == 'facebook'").value.tolist()
    ['4:2:0', '4:2:2', '4:4:4']
    """
    rows = []
    table = platform_table()
    for name, parameter in table.loc[table.evidence == "inferred", ["platform", "parameter"]].itertuples(index=False):
        for value in ALTERNATIVES[parameter]:
            damage = _damage(images, name, replace(PLATFORMS[name], **{parameter: value}), seed, upload_side)
            used = value == getattr(PLATFORMS[name], parameter)
            rows.append((name, parameter, value, used, damage["bytes"], damage["psnr"], damage["ssim"]))
    return pd.DataFrame(rows, columns=["platform", "parameter", "value", "used", "bytes", "psnr", "ssim"])


def _damage(images: torch.Tensor, platform: str, rule: Platform, seed: int, upload_side: int) -> dict[str, float]:
    """Means over a batch that went through `rule`."""
    check_images(images, square=False)
    require(min(images.shape[2:]) >= 11, "images", images, "sides of at least 11 pixels")
    shared, record = _pass(images, platform, rule, seed, upload_side, None)
    return {
        "quality": record.quality.mean(),
        "side": record[["height", "width"]].max(axis=1).mean(),
        "bytes": record.bytes.mean(),
        "psnr": record.psnr.mean(),
        "ssim": float(ssim(images, shared).mean()),
    }


def _stored(height: int, width: int, share_of_side: float) -> tuple[int, int]:
    """Height and width after shrinking, never enlarging, at least one pixel each."""
    share_of_side = min(1.0, share_of_side)
    return max(1, round(height * share_of_side)), max(1, round(width * share_of_side))


def _encode(picture: Image.Image, rule: Platform, stored: tuple[int, int], quality: int) -> bytes:
    """Shrink to `stored` = (height, width) and write a JPEG that carries the pixels and nothing else."""
    if stored != (picture.height, picture.width):
        picture = picture.resize((stored[1], stored[0]), Image.Resampling[rule.filter.upper()])
    clean = Image.frombytes("RGB", picture.size, picture.tobytes())
    buffer = io.BytesIO()
    clean.save(
        buffer, "JPEG", quality=quality, subsampling=_SUBSAMPLING[rule.subsampling], progressive=rule.progressive
    )
    return buffer.getvalue()
