"""A kept figure for a dark page, made from its picture: the run that drew it is over, only the picture is left.

What a plot shows is ink of the book's colours on white. Each pixel is taken as so much of one ink over the paper, the
paper is taken away, and the ink is turned as :func:`deepfake_kit.notebook.style.turned` says. Photographs, samples
and maps stay as they are.
"""

from __future__ import annotations

import io

import numpy as np
from matplotlib.colors import to_rgb

from deepfake_kit.notebook import style

LARGE = 0.003  # share of the figure from which a closed patch of many colours is a picture
FLAT = 12  # colours: a bar has few, a picture many


def inks() -> tuple[np.ndarray, np.ndarray]:
    """The book's colours, and what they become on a dark page, both [n, 3] in [0, 1]."""
    day = np.array([to_rgb(colour) for colour in style.COLOURS])
    return day, np.array([style.turned(colour)[:3] for colour in style.COLOURS])


def turned(picture: bytes) -> bytes:
    """The picture of a figure, PNG on white, as one for a dark page, WebP on nothing."""
    from PIL import Image

    image = np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"), float) / 255
    day, dark = inks()
    away, ink = 1 - image.reshape(-1, 3), 1 - day  # what is missing to white
    amount = np.clip(away @ ink.T / (ink**2).sum(1), 0, 1)
    left = ((away[:, None] - amount[..., None] * ink) ** 2).sum(-1)  # [pixels, inks]
    best = left.argmin(1)
    rows = np.arange(len(best))
    out = np.concatenate([dark[best], amount[rows, best][:, None]], 1).reshape(*image.shape[:2], 4)
    for part in pictures(image):
        out[part] = np.concatenate([image[part], np.ones((*image[part].shape[:2], 1))], -1)
    return webp(Image.fromarray((255 * out).round().astype(np.uint8)))


def light(picture: bytes) -> bytes:
    """The picture of a figure, PNG, as WebP."""
    from PIL import Image

    return webp(Image.open(io.BytesIO(picture)).convert("RGB"))


def webp(image) -> bytes:
    """An image as WebP: each pixel kept where that is not much larger, as with plots; noisy faces are."""
    sizes = []
    for how in ({"quality": 90}, {"lossless": True}):
        found = io.BytesIO()
        image.save(found, "webp", **how)
        sizes.append(found.getvalue())
    few, whole = sizes
    return whole if len(whole) <= max(1.2 * len(few), 20_000) else few


def pictures(image: np.ndarray) -> list[tuple[slice, slice]]:
    """Where pictures and maps lie in a figure [H, W, 3]: closed patches that fill their box with many colours."""
    from scipy import ndimage

    solid = ndimage.binary_fill_holes((image < 0.98).any(-1))
    found = []
    for part in ndimage.find_objects(ndimage.label(ndimage.binary_opening(solid, np.ones((9, 9))))[0]):
        box = image[part]
        colours = np.unique((box * 31).round().reshape(-1, 3), axis=0)
        if box.shape[0] * box.shape[1] > LARGE * solid.size and solid[part].mean() > 0.9 and len(colours) > FLAT:
            found.append(part)
    return found
