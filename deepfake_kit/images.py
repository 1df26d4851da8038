"""One way to open a picture file: whatever camera, editor or phone wrote it, out come the sRGB pixels of a viewer.

Used wherever the kit takes a picture from outside, so that a turned, transparent or wide-gamut file means the same
to the readers, the platforms and the detectors.
"""

from __future__ import annotations

import io
import os
import re
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageCms, ImageOps
from torch import Tensor

from deepfake_kit.paths import said
from deepfake_kit.valid import invalid, require

#: What shows through where a picture is transparent: white, as on a page.
BACKGROUND = (255, 255, 255)
#: Larger pictures are refused before they are decoded (Pillow's own limit: 179 million pixels, 512 MiB as RGB).
MAX_PIXELS = 2 * 89_478_485
MAX_BYTES = 2 << 30
# After FF in the coded data of a JPEG: 00 is a stuffed byte, D0-D7 restart it, another FF fills; all else is a marker.
_JPEG_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")


def open_picture(source: str | os.PathLike | bytes, name: str | None = None) -> Image.Image:
    """Decode a picture file to upright 8-bit sRGB, as a viewer shows it.

    The EXIF orientation is applied. An embedded ICC profile is converted to sRGB (Pillow's LittleCMS, perceptual
    intent); one that is damaged or of another colour space than the picture is ignored, as browsers do. Transparent
    places show white. 16-bit grey is scaled by 255/65535, a float TIFF by 255 from [0, 1]. Palettes, CMYK, Lab and
    bilevel files become RGB. Of several frames the first is taken. Bytes after the picture's end, such as the film of
    a motion photo, are ignored; a file that lacks its end is refused.

    Parameters
    ----------
    source : path or bytes
        The file, or its bytes.
    name : str, optional
        What messages call the bytes; by default the path, or "picture".

    Returns
    -------
    PIL.Image.Image
        Mode "RGB", without metadata.

    Raises
    ------
    ValueError
        Naming the file: no picture, no file, cut, damaged, over `MAX_PIXELS` or `MAX_BYTES`, float values outside
        [0, 1], 32-bit whole numbers (their range is not stated in the file), grey TIFFs of 9 to 15 bits or of 16 with
        0 for white, PNGs with a clear colour in other than 8 bits (16 bits of grey are read), drawings that another
        program would draw (EPS, WMF), or `source` of another type.
    FileNotFoundError
        No such path.

    Examples
    --------
    >>> file = io.BytesIO(); Image.new("RGBA", (3, 2), (0, 255, 0, 0)).save(file, "PNG")
    >>> open_picture(file.getvalue()).getpixel((0, 0))
    (255, 255, 255)
    """
    if isinstance(source, bytes | bytearray | memoryview):
        name, data = name or "picture", bytes(source)
    elif isinstance(source, str | os.PathLike):
        name, size = name or said(source), os.path.getsize(source)
        if not os.path.isfile(source) or size > MAX_BYTES:
            raise invalid(name, f"no file, or {size:,} bytes", f"a file of at most {MAX_BYTES:,}")
        data = Path(source).read_bytes()
    else:
        raise invalid("picture", type(source).__name__, "a path, or the bytes of a file")
    try:
        with Image.open(io.BytesIO(data)) as picture:
            if picture.width * picture.height > MAX_PIXELS:
                raise ValueError(f"{picture.width} x {picture.height} pixels; valid: at most {MAX_PIXELS:,}")
            if picture.format in ("EPS", "WMF"):
                raise ValueError("a drawing, for another program to draw; valid: pixels")
            if not _has_its_end(picture.format, data):
                raise ValueError("cut off: the end-of-image marker is missing")
            picture.load()
            # Pillow reads the 16 bits of a PNG or PPM file as 32 in some versions; no other file's 32 bits are so.
            if picture.mode == "I" and picture.format not in ("PNG", "PPM"):
                raise ValueError("32-bit whole numbers; valid: 1, 8 or 16 bits a value")
            tags = getattr(picture, "tag_v2", {})
            odd = picture.mode.startswith("I;16") and (tags.get(262) == 0 or tags.get(258, (16,)) != (16,))
            keyed = picture.format == "PNG" and picture.mode in ("L", "RGB") and "transparency" in picture.info
            if odd or keyed and data[24] != 8:  # Pillow does not scale the key of other PNGs as it does their pixels
                raise ValueError("a TIFF of 9 to 15 bits or with 0 for white, or a PNG's clear colour not in 8 bits")
            return _onto_background(_upright(picture), picture.info.get("icc_profile"))
    except MemoryError:
        raise
    except Exception as error:  # on a damaged file Pillow's decoders raise nearly anything
        raise ValueError(
            f"{name}: truncated or not a picture that can be read ({len(data):,} bytes: {str(error).split(' <')[0]})"
        ) from error


def _has_its_end(format: str | None, data: bytes) -> bool:
    """Whether a JPEG or PNG file holds the end of its first picture; Pillow accepts one that lost only that."""
    if format in ("JPEG", "MPO"):
        place = 2
        while 0 <= place < len(data) - 1:
            marker = data[place + 1]
            if marker == 0xD9:
                return True
            if marker == 0xFF or marker == 0x01 or 0xD0 <= marker <= 0xD8:  # fill, or a marker without a length
                place += 1 if marker == 0xFF else 2
                continue
            place += 2 + int.from_bytes(data[place + 2 : place + 4], "big")
            if marker == 0xDA:
                found = _JPEG_MARKER.search(data, place)
                place = found.start() if found else -1
        return False
    if format == "PNG":
        place = 8
        while place + 12 <= len(data):
            if data[place + 4 : place + 8] == b"IEND":
                return True
            place += 12 + int.from_bytes(data[place : place + 4], "big")
        return False
    return True


def _upright(picture: Image.Image) -> Image.Image:
    """The picture turned as its EXIF data say; unreadable EXIF data say nothing."""
    try:
        picture.getexif()
    except Exception:  # EXIF data may be damaged in as many ways as a picture
        return picture
    return ImageOps.exif_transpose(picture)


def _onto_background(picture: Image.Image, profile: bytes | None) -> Image.Image:
    """RGB in 8 bits: first the number format, then the profile, then what is transparent onto `BACKGROUND`."""
    alpha = None
    if picture.mode.startswith("I;16") or picture.mode == "I":
        picture, alpha = _from_16_bits(picture)
    elif picture.mode == "F":
        picture = _from_floats(picture)
    elif picture.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in picture.info:
        picture = picture.convert("RGBA")
        alpha = picture.getchannel("A")
        picture = picture.convert("RGB")
    picture = _to_srgb(picture, profile)
    if alpha is not None:
        picture = Image.composite(picture, Image.new("RGB", picture.size, BACKGROUND), alpha)
    return Image.frombytes("RGB", picture.size, picture.tobytes())


def _from_16_bits(picture: Image.Image) -> tuple[Image.Image, Image.Image | None]:
    values = np.asarray(picture).astype(np.int64)
    grey = Image.fromarray(((values + 128) // 257).clip(0, 255).astype(np.uint8))
    key = picture.info.get("transparency")
    return grey, None if key is None else Image.fromarray(np.where(values == key, 0, 255).astype(np.uint8))


def _from_floats(picture: Image.Image) -> Image.Image:
    values = np.asarray(picture)
    if not ((values >= 0) & (values <= 1)).all():
        raise ValueError(f"float values from {values.min():g} to {values.max():g}; valid: finite, in [0, 1]")
    return Image.fromarray(np.rint(values * 255).astype(np.uint8))


def _to_srgb(picture: Image.Image, profile: bytes | None) -> Image.Image:
    if picture.mode == "LAB":
        return ImageCms.profileToProfile(picture, ImageCms.createProfile("LAB"), _SRGB, outputMode="RGB")
    if picture.mode not in ("L", "CMYK"):
        picture = picture.convert("L" if picture.mode == "1" else "RGB")
    if profile:
        try:
            embedded = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            space = embedded.profile.xcolor_space.strip()
            if space == "RGB" and picture.mode == "L":
                picture = picture.convert("RGB")
            if {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}.get(space) == picture.mode:
                return ImageCms.profileToProfile(picture, embedded, _SRGB, outputMode="RGB")
        except (ImageCms.PyCMSError, OSError):
            pass  # a damaged profile: the numbers are taken for sRGB
    return picture.convert("RGB")


_SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


def check_images(images, size: int | None = None, *, name: str = "images", square: bool = True) -> None:
    """Refuse anything but a float batch [N, 3, H, W] of finite values in [0, 1]; square and not empty, unless told so.

    Raises
    ------
    ValueError
        For another type, shape, side than `size`, or a value outside [0, 1]; the message begins with `name`.

    Examples
    --------
    >>> check_images(torch.zeros(1, 3, 8, 8), 8)
    """
    valid = f"[N, 3, {'S, S' if square else 'H, W'}]"
    if not isinstance(images, Tensor) or not images.is_floating_point():
        given = f"dtype {images.dtype}" if isinstance(images, Tensor) else type(images).__name__
        raise invalid(name, given, f"a float tensor {valid} in [0, 1]")
    shape = tuple(images.shape)
    odd = square and (shape[2:3] != shape[3:] or shape[0] < 1)
    if len(shape) != 4 or shape[1] != 3 or min(shape[2:]) < 1 or odd:
        raise invalid(name, f"shape {shape}", valid + (" with N >= 1" if square else ""))
    require(size in (None, shape[-1]), name, f"side {shape[-1]}", f"side {size}, for which this network was made")
    low, high = (float(end) for end in images.detach().aminmax()) if images.numel() else (0, 1)
    require(low >= 0 and high <= 1, name, f"values from {low:g} to {high:g}", "finite values in [0, 1]")


def to_model(images: Tensor) -> Tensor:
    """[0, 1] to [-1, 1].

    >>> to_model(torch.tensor([0.0, 1.0])).tolist()
    [-1.0, 1.0]
    """
    return images * 2 - 1


def to_unit(x: Tensor) -> Tensor:
    """[-1, 1] to [0, 1], cut off at the ends.

    >>> to_unit(torch.tensor([-1.0, 1.5])).tolist()
    [0.0, 1.0]
    """
    return (x.float() * 0.5 + 0.5).clamp(0, 1)


def to_model_range(images: Tensor) -> Tensor:
    """uint8 images [0, 255] as float32 in [-1, 1]; floating-point images are returned as they are.

    >>> to_model_range(torch.tensor([0, 255], dtype=torch.uint8)).tolist()
    [-1.0, 1.0]
    """
    return images.float().div(127.5).sub(1) if images.dtype == torch.uint8 else images
