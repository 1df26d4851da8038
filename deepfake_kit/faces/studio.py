"""Drawn people before a plain wall: passport portraits, and film of one person, for small networks to learn from."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from deepfake_kit import faces
from deepfake_kit.faces import Faces
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


#: What :func:`footage` holds fixed besides the studio: only mouth, smile and a small turn of the head move.
STILL = {"gaze_x": 0.0, "gaze_y": 0.0, "brow_raise": 0.0, "eye_open": 1.0, "noise": 0.006}


#: What aligning faces by their landmarks takes away, as every swap tool does first: where eyes and mouth sit.
ALIGNED = {"eye_spacing": 0.0, "nose_length": 0.0, "mouth_height": 0.0}


TAKE = 100_000  # people of one take


def footage(
    person: int, frames: int, seed: int, size: int = 56, *, take: int = 0, aligned: bool = True, **fixed
) -> Faces:
    """Film one drawn person in a studio, mouth and smile spread evenly over their range, with small turns of the head.

    Parameters
    ----------
    person : int
        Which person of the seed's population.
    frames : int
        How many frames, 1 to 100,000; more would film the people of the next take.
    seed : int
    size : int
        Side in pixels.
    take : int
        Another take films the same person anew: other expressions, other camera noise.
    aligned : bool
        Put eyes, nose and mouth of everybody at the same places, as aligning by landmarks does.
    **fixed
        Attributes to set, as in :func:`deepfake_kit.faces.draw`, for instance ``mouth_open=0.5``.

    Returns
    -------
    Faces

    Examples
    --------
    >>> footage(3, 2, seed=0).attributes.person.tolist()
    [3, 3]
    """
    return _film([person] * frames, [seed, person, take], seed, size, take, aligned, fixed)


def crowd(frames: int, seed: int, size: int = 56, *, take: int = 0, aligned: bool = True, **fixed) -> Faces:
    """One frame each of many people in the same studio, to fit and to test readers on; see :func:`footage`.

    >>> crowd(3, seed=0).attributes.person.nunique()
    3
    """
    people = range(take * TAKE, take * TAKE + frames)
    return _film(list(people), [seed, 10**6, take], seed, size, take, aligned, fixed)


def _film(people: list[int], entropy: list[int], seed: int, size: int, take: int, aligned: bool, fixed: dict) -> Faces:
    rng, frames = np.random.default_rng(entropy), len(people)
    if not 1 <= frames <= TAKE:
        raise ValueError(f"frames: got {frames}; valid: 1 to {TAKE:,}")
    played = {
        "mouth_open": rng.uniform(0, 1, frames),
        "smile": rng.uniform(-0.5, 0.5, frames),
        "yaw": rng.normal(0, 2, frames).clip(-5, 5),
    }
    return portraits(
        frames,
        seed,
        size,
        start=take * TAKE,
        people=people,
        **{**STILL, **(ALIGNED if aligned else {}), **played, **fixed},
    )


def crop(images: Tensor, size: int = 32) -> Tensor:
    """The inner face, brows to chin, of frames [N, 3, S, S]: [N, 3, size, size], where S is 7/4 of `size`.

    >>> import torch
    >>> crop(torch.zeros(1, 3, 56, 56)).shape
    torch.Size([1, 3, 32, 32])
    """
    side = frame_side(size)
    if images.ndim != 4 or images.shape[-1] != side or images.shape[-2] != side:
        raise ValueError(f"images: got shape {tuple(images.shape)}; valid: [N, 3, {side}, {side}] for a crop of {size}")
    top, left = size // 2, (side - size) // 2
    return images[..., top : top + size, left : left + size].contiguous()


def frame_side(size: int) -> int:
    """Side of the frame that a crop of `size` is cut from."""
    return size * 7 // 4
