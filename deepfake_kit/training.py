r"""What all small image generators of the book share: their training faces, batches, ranges, fast arithmetic.

Networks work in [-1, 1]; every public boundary is float [0, 1].
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from deepfake_kit import faces
from deepfake_kit.diffusion.unet import fast_dtype
from deepfake_kit.faces.attributes import sample_scenes

#: What :func:`portraits` holds fixed: the studio of a passport photographer, so that small networks learn in a minute.
STUDIO = {
    "background": "plain",
    "background_hue": 0.55,
    "background_level": 0.5,
    "hat": "none",
    "glasses": "none",
    "clothes": "crew",
    "clothes_hue": 0.6,
    "clothes_level": 0.3,
    "zoom": 1.22,
    "shift_x": 0.0,
    "shift_y": -0.03,
    "roll": 0.0,
    "pitch": 0.0,
    "light_elevation": 25.0,
    "light_azimuth": 15.0,
    "light_contrast": 0.35,
    "light_warmth": 0.0,
    "exposure": 1.0,
    "saturation": 1.0,
    "blur": 0.05,
    "noise": 0.01,
}


def portraits(n: int, seed: int, size: int = 32, *, start: int = 0, people=None, **fixed) -> faces.Faces:
    """Draw faces in passport style: upright, large, evenly lit, before a plain wall, without hat or glasses.

    Person and expression vary as in :func:`deepfake_kit.faces.draw`; the head turns by a third of the angle.

    Parameters
    ----------
    n, seed, size, start, people, **fixed
        As in :func:`deepfake_kit.faces.draw`; `fixed` overrides the style.

    Returns
    -------
    faces.Faces

    Examples
    --------
    >>> portraits(2, seed=0).images.shape
    torch.Size([2, 3, 32, 32])
    """
    if "yaw" not in fixed:
        as_drawn = sample_scenes(seed, np.arange(start, start + n, dtype=np.int64))["yaw"]
        fixed["yaw"] = as_drawn / 3
    return faces.draw(n, seed, size, start=start, people=people, **{**STUDIO, **fixed})


def check_images(images: Tensor, size: int | None = None) -> None:
    """Refuse anything but a non-empty float batch [N, 3, H, W] in [0, 1], square, of the given size.

    Raises
    ------
    ValueError
        Naming what was given and what is valid.
    """
    if images.ndim != 4 or images.shape[1] != 3 or images.shape[2] != images.shape[3] or len(images) == 0:
        raise ValueError(f"images: got shape {tuple(images.shape)}; valid: [N, 3, S, S] with N >= 1")
    if size is not None and images.shape[-1] != size:
        raise ValueError(f"images: got side {images.shape[-1]}; this network was made for {size}")
    if not torch.is_floating_point(images):
        raise ValueError(f"images: got dtype {images.dtype}; valid: floating point in [0, 1]")
    low, high = float(images.min()), float(images.max())
    if not (low >= 0 and high <= 1):
        raise ValueError(f"images: got values from {low:g} to {high:g}; valid: [0, 1]")


def check_steps(steps: int, batch_size: int) -> None:
    """Refuse a number of steps or a batch size below 1."""
    for name, value in (("steps", steps), ("batch_size", batch_size)):
        if value < 1:
            raise ValueError(f"{name}: got {value}; valid: at least 1")


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


def batch(images: Tensor, size: int, generator: torch.Generator | None, mirror: bool = True) -> Tensor:
    """A random batch in [-1, 1], drawn with replacement; half of it mirrored, which doubles the data for nothing."""
    index = torch.randint(len(images), (size,), generator=generator, device=images.device)
    x = to_model(images[index])
    if mirror:
        flip = torch.rand(size, generator=generator, device=images.device) < 0.5
        x = torch.where(flip[:, None, None, None], x.flip(-1), x)
    return x


def fast_arithmetic(device: torch.device | str = "cpu"):
    """Context in which convolutions run in bfloat16 where the processor multiplies it natively."""
    kind = torch.device(device).type
    return torch.autocast(kind, dtype=torch.bfloat16, enabled=fast_dtype(device) == torch.bfloat16)


def initialise(model: nn.Module, generator: torch.Generator | None, gain: float = 2**0.5) -> None:
    r"""Draw every weight matrix anew from :math:`\mathcal N(0, g^2/\text{fan-in})`, from `generator`; zero all biases.

    The gain :math:`g=\sqrt2` keeps the size of signals through rectifiers (He et al. 2015).

    torch's own initialisation draws from the global generator, which would tie a forger to whatever ran before it.
    """
    with torch.no_grad():
        for module in model.modules():
            weight = getattr(module, "weight", None)
            if weight is None or weight.ndim < 2:
                continue
            fan_in = weight[0].numel()
            if isinstance(module, nn.ConvTranspose2d):  # each output pixel hears kernel/stride of the taps an axis
                fan_in = weight.shape[0] * weight[0, 0].numel() // (module.stride[0] * module.stride[1])
            weight.normal_(0, gain * fan_in**-0.5, generator=generator)
            if getattr(module, "bias", None) is not None:
                module.bias.zero_()
