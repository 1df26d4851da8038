"""Drawn people before a plain wall: passport portraits, and film of one person, for small networks to learn from."""

from __future__ import annotations

import numpy as np
from torch import Tensor

from deepfake_kit import faces
from deepfake_kit.faces import Faces
from deepfake_kit.faces.attributes import sample_scenes
from deepfake_kit.paths import beside
from deepfake_kit.valid import invalid, whole

STUDIO, STILL, ALIGNED = beside(__file__).values()
TAKE = 100_000  # people of one take


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
    whole("frames", frames, 1, TAKE)
    played = {
        "mouth_open": rng.uniform(0, 1, frames),
        "smile": rng.uniform(-0.5, 0.5, frames),
        "yaw": rng.normal(0, 2, frames).clip(-5, 5),
    }
    fixed = {**STILL, **(ALIGNED if aligned else {}), **played, **fixed}
    return portraits(frames, seed, size, start=take * TAKE, people=people, **fixed)


def crop(images: Tensor, size: int = 32) -> Tensor:
    """The inner face, brows to chin, of frames [N, 3, S, S]: [N, 3, size, size], where S is 7/4 of `size`.

    >>> import torch
    >>> crop(torch.zeros(1, 3, 56, 56)).shape
    torch.Size([1, 3, 32, 32])
    """
    side = frame_side(size)
    if images.ndim != 4 or images.shape[-1] != side or images.shape[-2] != side:
        raise invalid("images", images, f"[N, 3, {side}, {side}] for a crop of {size}")
    top, left = size // 2, (side - size) // 2
    return images[..., top : top + size, left : left + size].contiguous()


def frame_side(size: int) -> int:
    """Side of the frame that a crop of `size` is cut from."""
    return size * 7 // 4
