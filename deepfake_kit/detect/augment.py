r"""The seven alterations of Marogna's thesis (section 3.4), at random, for each picture of a batch on its own.

They make the two views that SimCLR compares, and vary the pictures of training with labels.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass, fields, replace

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional as F

from deepfake_kit.images import check_images
from deepfake_kit.valid import invalid, one_of, require, within

GREY = (0.299, 0.587, 0.114)


@dataclass(frozen=True)
class Augment:
    """Random alterations of a batch, each image on its own; a strength of 0 switches one off.

    The thesis names the seven alterations and no strength; the crop, without resizing, is ours and makes steps cheaper.

    Attributes
    ----------
    crop : int
        Side of a random square cut-out that becomes the view; 0 keeps the whole image.
    flip : float
        Probability of a mirror image.
    colour : float
        Brightness, contrast and saturation are each multiplied by 1 - colour to 1 + colour.
    grey : float
        Probability of dropping the colours.
    blur : float
        Largest standard deviation of a Gaussian blur, in pixels.
    noise : float
        Largest standard deviation of added Gaussian noise.
    cutout : float
        Side of a mid-grey square as a share of the view's side.
    jpeg : int
        Lowest JPEG quality; qualities are drawn up to 95. 0 means no compression.
    probability : float
        Of each of colour, blur, noise, cutout and jpeg, for each image.

    Examples
    --------
    >>> views = Augment(crop=24)(torch.rand(2, 3, 32, 32), torch.Generator().manual_seed(0))
    >>> views.shape, bool(views.min() >= 0), bool(views.max() <= 1)
    (torch.Size([2, 3, 24, 24]), True, True)
    """

    crop: int = 0
    flip: float = 0.5
    colour: float = 0.4
    grey: float = 0.2
    blur: float = 1.0
    noise: float = 0.05
    cutout: float = 0.3
    jpeg: int = 30
    probability: float = 0.5

    def __post_init__(self):
        for name in ("flip", "grey", "cutout", "probability", "colour"):
            within(name, getattr(self, name), "[0, 1]")
        for name in ("blur", "noise", "crop"):
            within(name, getattr(self, name), "[0, inf]")
        require(not self.jpeg or 1 <= self.jpeg <= 95, "jpeg", self.jpeg, "0, or a quality from 1 to 95")

    def only(self, *names: str) -> Augment:
        """The same alterations with all but the named ones off, and the named ones always on.

        >>> Augment().only("blur")
        Augment(crop=0, flip=0, colour=0, grey=0, blur=1.0, noise=0, cutout=0, jpeg=0, probability=1.0)
        """
        kept = {one_of("name", name, ALTERATIONS) for name in names}
        always = {name: 1.0 for name in ("flip", "grey") if name in kept}
        return replace(self, **{name: 0 for name in ALTERATIONS if name not in kept}, **always, probability=1.0)

    def without(self, *names: str) -> Augment:
        """The same alterations with the named ones off.

        >>> Augment().without("jpeg", "blur").jpeg
        0
        """
        return replace(self, **{one_of("name", name, ALTERATIONS): 0 for name in names})

    def __call__(self, images: Tensor, generator: torch.Generator | None = None) -> Tensor:
        """Alter images float [N, 3, S, S] in [0, 1]; the result is in [0, 1] too.

        Raises
        ------
        ValueError
            For another shape or range, a crop larger than the images, or images too small for the blur.
        """
        check_images(images)
        if self.crop > min(images.shape[2:]):
            raise invalid("crop", self.crop, f"at most the images' side {min(images.shape[2:])}")
        # The largest blur decides, so that no draw lets a picture pass that the next one would refuse.
        reach = int(np.ceil(3 * self.blur))
        require(
            not reach or min(images.shape[2:]) > reach, "images", images, f"sides above {reach} pixels for the blur"
        )
        x = random_crop(images, self.crop, generator) if self.crop else images
        x = torch.where(_chosen(x, self.flip, generator), x.flip(-1), x) if self.flip else x
        for name in ("colour", "blur", "noise", "cutout"):
            if strength := getattr(self, name):
                chosen = _chosen(x, self.probability, generator)
                x = torch.where(chosen, STEPS[name](x, strength, generator), x).clamp(0, 1)
        if self.grey:
            x = torch.where(_chosen(x, self.grey, generator), _to_grey(x).expand_as(x), x)
        if self.jpeg:
            quality = torch.randint(self.jpeg, 96, (len(x),), generator=generator, device=x.device)
            chosen = _chosen(x, self.probability, generator).flatten()
            x = x.clone()
            x[chosen] = jpeg(x[chosen], quality[chosen].tolist())
        return x


ALTERATIONS = tuple(f.name for f in fields(Augment) if f.name not in ("crop", "probability"))


def random_crop(images: Tensor, side: int, generator: torch.Generator | None = None) -> Tensor:
    """A square of `side` pixels from a random place of each image, not resized.

    >>> random_crop(torch.rand(2, 3, 8, 8), 5).shape
    torch.Size([2, 3, 5, 5])
    """
    n, _, height, width = images.shape
    top = torch.randint(height - side + 1, (n,), generator=generator, device=images.device)
    left = torch.randint(width - side + 1, (n,), generator=generator, device=images.device)
    rows = (top[:, None] + torch.arange(side, device=images.device))[:, :, None]
    columns = (left[:, None] + torch.arange(side, device=images.device))[:, None, :]
    return (
        images.permute(0, 2, 3, 1)[torch.arange(n, device=images.device)[:, None, None], rows, columns]
        .permute(0, 3, 1, 2)
        .contiguous()
    )


def jpeg(images: Tensor, qualities: list[int]) -> Tensor:
    """Each image through a real JPEG file of its own quality, colours stored at half the side (4:2:0).

    >>> jpeg(torch.full((1, 3, 16, 16), 0.5), [50]).shape
    torch.Size([1, 3, 16, 16])
    """
    require(len(qualities) == len(images), "qualities", len(qualities), f"one for each of the {len(images)} images")
    pixels = (images.detach().cpu() * 255).round().to(torch.uint8).permute(0, 2, 3, 1).numpy()
    out = np.empty_like(pixels)
    for i, quality in enumerate(qualities):
        file = io.BytesIO()
        Image.fromarray(pixels[i]).save(file, "JPEG", quality=int(quality), subsampling=2)
        out[i] = np.asarray(Image.open(file))
    return torch.from_numpy(out).permute(0, 3, 1, 2).to(images) / 255


def gaussian_blur(images: Tensor, sigma: Tensor) -> Tensor:
    """Blur each image by its own standard deviation [N] in pixels, mirrored at the border.

    >>> gaussian_blur(torch.ones(1, 1, 16, 16), torch.ones(1)).allclose(torch.ones(1, 1, 16, 16))
    True
    """
    reach = max(1, int(np.ceil(3 * float(sigma.max()))))
    require(min(images.shape[2:]) > reach, "images", images, f"sides above {reach} pixels, three deviations")
    offsets = torch.arange(-reach, reach + 1, device=images.device, dtype=images.dtype)
    sigma = sigma.to(images).clamp(min=1e-3)[:, None]
    # Each image's window ends at its own three deviations, whatever its neighbours in the batch need.
    taps = torch.exp(-0.5 * (offsets / sigma) ** 2) * (offsets.abs() <= (3 * sigma).ceil())
    taps = (taps / taps.sum(1, keepdim=True)).repeat_interleave(images.shape[1], 0)[:, None]
    flat = F.pad(images.reshape(1, -1, *images.shape[2:]), (reach,) * 4, mode="reflect")
    groups = flat.shape[1]
    flat = F.conv2d(F.conv2d(flat, taps[..., None], groups=groups), taps[..., None, :], groups=groups)
    return flat.reshape(images.shape)


def _colour(x: Tensor, strength: float, generator) -> Tensor:
    """Brightness, then contrast about the mean level, then saturation about the grey image."""
    by = 1 + strength * (2 * _uniform(x, 3, generator) - 1)
    x = x * by[0]
    level = _to_grey(x).mean((2, 3), keepdim=True)
    x = level + (x - level) * by[1]
    grey = _to_grey(x)
    return grey + (x - grey) * by[2]


def _blur(x: Tensor, strength: float, generator) -> Tensor:
    return gaussian_blur(x, strength * (0.1 + 0.9 * _uniform(x, 1, generator)).flatten())


def _noise(x: Tensor, strength: float, generator) -> Tensor:
    noise = torch.randn(x.shape, generator=generator, device=x.device, dtype=x.dtype)
    return x + strength * _uniform(x, 1, generator)[0] * noise


def _cutout(x: Tensor, strength: float, generator) -> Tensor:
    size = x.shape[-1]
    side = max(1, round(strength * size))
    corner = torch.randint(size - side + 1, (2, len(x), 1), generator=generator, device=x.device)
    offset = torch.arange(size, device=x.device) - corner
    inside = (offset >= 0) & (offset < side)
    return x.masked_fill((inside[0][:, :, None] & inside[1][:, None, :])[:, None], 0.5)


STEPS: dict[str, Callable] = {"colour": _colour, "blur": _blur, "noise": _noise, "cutout": _cutout}


def _uniform(x: Tensor, n: int, generator) -> Tensor:
    """`n` uniform numbers for each image, shaped to multiply images."""
    return torch.rand((n, len(x), 1, 1, 1), generator=generator, device=x.device, dtype=x.dtype)


def _chosen(x: Tensor, probability: float, generator) -> Tensor:
    return _uniform(x, 1, generator)[0] < probability


def _to_grey(x: Tensor) -> Tensor:
    return (x * x.new_tensor(GREY)[:, None, None]).sum(1, keepdim=True)
