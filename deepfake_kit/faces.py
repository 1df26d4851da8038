r"""Drawn faces: the book's stand-in wherever a photograph would be used.

Every face is drawn from numbers, so its attributes and regions are known exactly, it shows
nobody, and it needs no licence. :func:`draw` samples faces, :func:`render` draws a table of
attributes, :func:`counterfactual` draws the same face again with one attribute changed.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from deepfake_kit.face_attributes import (
    ATTRIBUTES,
    IDENTITY_NAMES,
    check_column,
    sample_people,
    sample_scenes,
)
from deepfake_kit.face_features import REGIONS
from deepfake_kit.face_renderer import PIXELS_PER_CHUNK, render_chunk

__all__ = [
    "ATTRIBUTES",
    "IDENTITY_NAMES",
    "REGIONS",
    "Counterfactual",
    "Faces",
    "counterfactual",
    "draw",
    "render",
]
SMALLEST, LARGEST = 32, 256


@dataclass(frozen=True)
class Faces:
    """A batch of drawn faces.

    Attributes
    ----------
    images : torch.Tensor
        float32 [N, 3, H, W] in [0, 1], whole multiples of 1/255 as a camera would store them.
    attributes : pandas.DataFrame
        N rows: ``index`` and ``person`` (which random streams), then one column for each name in
        :data:`ATTRIBUTES`. These are the exact values that were drawn.
    masks : dict of str to torch.Tensor
        bool [N, H, W] for each name in :data:`REGIONS`: the region visible at a pixel. The masks
        share no pixel and cover the image.
    identity : torch.Tensor
        float32 [N, 21] in [-1, 1], named by :data:`IDENTITY_NAMES`: the shape of the face. It holds
        nothing of expression, pose or light.
    seed : int
        The seed the faces were drawn from.
    """

    images: torch.Tensor
    attributes: pd.DataFrame
    masks: dict[str, torch.Tensor]
    identity: torch.Tensor
    seed: int

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True)
class Counterfactual:
    """The same faces before and after one change, and where the change shows.

    ``changed`` is bool [N, H, W]: True exactly where a channel of the two images differs.
    """

    before: Faces
    after: Faces
    changed: torch.Tensor


def draw(n: int, seed: int, size: int = 64, *, start: int = 0, people=None, **fixed) -> Faces:
    """Draw faces; face i depends on the seed and on i alone.

    Parameters
    ----------
    n : int
        How many faces, at least 0.
    seed : int
        Seed of all streams, 0 to 2**64 - 1.
    size : int
        Height and width in pixels, 32 to 256.
    start : int
        Index of the first face: ``draw(10, s)`` ends with the faces of ``draw(5, s, start=5)``.
    people : sequence of int, optional
        Which person each face shows; by default face i shows person i. ``people=[0] * 9`` draws one
        person nine times, with expression, pose, light and camera of their own.
    **fixed
        Attributes or identity numbers to set, one value for all faces or one for each:
        ``glasses="none"``, ``yaw=0``, ``smile=[-1, 0, 1]``.

    Returns
    -------
    Faces

    Raises
    ------
    ValueError
        For a size out of range, an unknown attribute (with the nearest valid name) or a bad value.

    Examples
    --------
    >>> faces = draw(4, seed=0, size=32, glasses="round")
    >>> faces.images.shape, faces.attributes.glasses.unique().tolist()
    (torch.Size([4, 3, 32, 32]), ['round'])
    """
    for name, value, low, high in (
        ("n", n, 0, 10**9),
        ("seed", seed, 0, 2**64 - 1),
        ("start", start, 0, 2**63),
        ("size", size, SMALLEST, LARGEST),
    ):
        _whole(name, value, low, high)
    indices = np.arange(start, start + n, dtype=np.int64)
    people = indices if people is None else np.asarray(people)
    if people.shape != (n,) or people.dtype.kind not in "iu" or (people < 0).any():
        raise ValueError(
            f"people: got shape {people.shape}, dtype {people.dtype}; valid: {n} whole numbers >= 0"
        )
    persons, who = np.unique(people, return_inverse=True)
    identity, columns = sample_people(seed, persons)
    identity = identity[who]
    columns = {name: column[who] for name, column in columns.items()} | sample_scenes(seed, indices)
    table = pd.DataFrame({"index": indices, "person": people} | {name: columns[name] for name in ATTRIBUTES})
    for name, given in fixed.items():
        column = check_column(name, given, n)
        if name in ATTRIBUTES:
            table[name] = column
        else:
            identity[:, IDENTITY_NAMES.index(name)] = column
    return render(table, identity, seed, size)


def render(attributes: pd.DataFrame, identity, seed: int, size: int = 64) -> Faces:
    """Draw a table of attributes; the camera noise of a row follows its ``index`` and the seed.

    Parameters
    ----------
    attributes : pandas.DataFrame
        As in :attr:`Faces.attributes`.
    identity : array or torch.Tensor
        [N, 21] in [-1, 1], named by :data:`IDENTITY_NAMES`.
    seed, size : int
        As in :func:`draw`.

    Returns
    -------
    Faces

    Raises
    ------
    ValueError
        For a missing column, a bad value, or an identity of another shape or range.

    Examples
    --------
    >>> faces = draw(2, seed=0, size=32)
    >>> torch.equal(render(faces.attributes, faces.identity, seed=0, size=32).images, faces.images)
    True
    """
    _whole("size", size, SMALLEST, LARGEST)
    _whole("seed", seed, 0, 2**64 - 1)
    missing = [name for name in ("index", *ATTRIBUTES) if name not in attributes]
    if missing:
        raise ValueError(
            f"attributes: got no column {missing[0]!r}; valid: a table with index and all of ATTRIBUTES"
        )
    n = len(attributes)
    identity = np.array(identity, dtype=np.float32)
    if identity.shape != (n, len(IDENTITY_NAMES)) or not (np.abs(identity) <= 1).all():
        raise ValueError(
            f"identity: got shape {identity.shape}; valid: ({n}, {len(IDENTITY_NAMES)}), values in [-1, 1]"
        )
    table = {name: check_column(name, attributes[name].to_numpy(), n) for name in ATTRIBUTES}
    indices = attributes["index"].to_numpy()
    images = np.empty((n, 3, size, size), np.float32)
    labels = np.empty((n, size, size), np.uint8)
    step = max(1, PIXELS_PER_CHUNK // size**2)

    def work(first: int) -> None:
        rows = slice(first, first + step)
        images[rows], labels[rows] = render_chunk(
            identity[rows], {name: column[rows] for name, column in table.items()}, seed, indices[rows], size
        )

    # NumPy lets go of the interpreter lock inside its loops, so threads share the chunks.
    with ThreadPoolExecutor(max(1, torch.get_num_threads())) as pool:
        list(pool.map(work, range(0, n, step)))
    labels = torch.from_numpy(labels)
    masks = {region: labels == value for value, region in enumerate(REGIONS)}
    return Faces(
        torch.from_numpy(images), attributes.reset_index(drop=True), masks, torch.from_numpy(identity), seed
    )


def counterfactual(faces: Faces, attribute: str, value) -> Counterfactual:
    """Draw the same faces with one attribute changed and everything else, noise included, kept.

    Parameters
    ----------
    faces : Faces
        From :func:`draw` or :func:`render`.
    attribute : str
        A name in :data:`ATTRIBUTES` or :data:`IDENTITY_NAMES`.
    value : scalar or sequence
        The new value, one for all faces or one for each.

    Returns
    -------
    Counterfactual

    Raises
    ------
    ValueError
        For an unknown attribute (with the nearest valid name) or a value out of range.

    Examples
    --------
    >>> faces = draw(1, seed=1, size=32, glasses="none", hat="none")
    >>> bool(counterfactual(faces, "glasses", "square").changed.any())
    True
    """
    column = check_column(attribute, value, len(faces))
    table, identity = faces.attributes.copy(), faces.identity.clone()
    if attribute in ATTRIBUTES:
        table[attribute] = column
    else:
        identity[:, IDENTITY_NAMES.index(attribute)] = torch.as_tensor(column, dtype=identity.dtype)
    after = render(table, identity, faces.seed, faces.images.shape[-1])
    return Counterfactual(faces, after, (after.images != faces.images).any(dim=1))


def _whole(name: str, value, low: int, high: int) -> None:
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or not low <= value <= high:
        raise ValueError(f"{name}: got {value!r}; valid: a whole number from {low} to {high}")
