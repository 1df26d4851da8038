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

from deepfake_kit.faces.attributes import ATTRIBUTES, IDENTITY_NAMES, check_column, sample_people, sample_scenes
from deepfake_kit.faces.features import REGIONS
from deepfake_kit.faces.renderer import PIXELS_PER_CHUNK, render_chunk
from deepfake_kit.valid import invalid, require, whole

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
    texture : torch.Tensor
        float32 [N, 21]: the identity whose strands of hair, leaves and lamps are drawn. It is `identity`
        itself, except after a counterfactual, which must not move them.
    """

    images: torch.Tensor
    attributes: pd.DataFrame
    masks: dict[str, torch.Tensor]
    identity: torch.Tensor
    seed: int
    texture: torch.Tensor

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
    whole("n", n, 0, 10**9)
    whole("seed", seed, 0, 2**64 - 1)
    whole("start", start, 0, 2**63 - 1 - n)
    whole("size", size, SMALLEST, LARGEST)
    indices = np.arange(start, start + n, dtype=np.int64)
    people = indices if people is None else _indices("people", people, n)
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


def render(attributes: pd.DataFrame, identity, seed: int, size: int = 64, *, texture=None) -> Faces:
    """Draw a table of attributes; the camera noise of a row follows its ``index`` and the seed.

    Parameters
    ----------
    attributes : pandas.DataFrame
        As in :attr:`Faces.attributes`.
    identity : array or torch.Tensor
        [N, 21] in [-1, 1], named by :data:`IDENTITY_NAMES`.
    seed, size : int
        As in :func:`draw`.
    texture : array or torch.Tensor, optional
        As :attr:`Faces.texture`; by default `identity`.

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
    whole("size", size, SMALLEST, LARGEST)
    whole("seed", seed, 0, 2**64 - 1)
    if not isinstance(attributes, pd.DataFrame):
        raise invalid("attributes", type(attributes).__name__, "a pandas table, as in Faces.attributes")
    missing = [name for name in ("index", *ATTRIBUTES) if name not in attributes]
    if missing:
        raise invalid("attributes", f"no column {missing[0]!r}", "a table with index and all of ATTRIBUTES")
    n = len(attributes)
    identity = _identity("identity", identity, n)
    texture = identity.copy() if texture is None else _identity("texture", texture, n)
    table = {name: check_column(name, attributes[name].to_numpy(), n) for name in ATTRIBUTES}
    indices = _indices("index", attributes["index"], n)
    images = np.empty((n, 3, size, size), np.float32)
    masks = [np.empty((n, size, size), bool) for _ in REGIONS]
    step = max(1, PIXELS_PER_CHUNK // size**2)

    def work(first: int) -> None:
        rows = slice(first, first + step)
        columns = {name: column[rows] for name, column in table.items()}
        shape = (identity[rows], texture[rows])
        render_chunk(*shape, columns, seed, indices[rows], images[rows], [mask[rows] for mask in masks])

    # NumPy lets go of the interpreter lock inside its loops, so threads share the chunks.
    with ThreadPoolExecutor(max(1, torch.get_num_threads())) as pool:
        list(pool.map(work, range(0, n, step)))
    visible = {region: torch.from_numpy(mask) for region, mask in zip(REGIONS, masks, strict=True)}
    images, identity, texture = (torch.from_numpy(array) for array in (images, identity, texture))
    return Faces(images, attributes.reset_index(drop=True), visible, identity, seed, texture)


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
        For anything but Faces, an unknown attribute (with the nearest valid name) or a value out of range.

    Examples
    --------
    >>> faces = draw(1, seed=1, size=32, glasses="none", hat="none")
    >>> bool(counterfactual(faces, "glasses", "square").changed.any())
    True
    """
    require(isinstance(faces, Faces), "faces", type(faces).__name__, "Faces, from draw or render")
    column = check_column(attribute, value, len(faces))
    table, identity = faces.attributes.copy(), faces.identity.clone()
    if attribute in ATTRIBUTES:
        table[attribute] = column
    else:
        identity[:, IDENTITY_NAMES.index(attribute)] = torch.as_tensor(column, dtype=identity.dtype)
    after = render(table, identity, faces.seed, faces.images.shape[-1], texture=faces.texture)
    return Counterfactual(faces, after, (after.images != faces.images).any(dim=1))


def _identity(name: str, given, n: int) -> np.ndarray:
    """A copy as float32 [n, 21] in [-1, 1]."""
    wanted = (n, len(IDENTITY_NAMES))
    try:
        if isinstance(given, torch.Tensor):  # NumPy's own conversion of a tensor warns from NumPy 2 on
            given = given.detach().cpu().numpy()
        identity = np.array(given, dtype=np.float32)
    except (TypeError, ValueError) as problem:
        raise invalid(name, f"{type(given).__name__}, no numbers", f"{wanted}, in [-1, 1]") from problem
    require(identity.shape == wanted, name, identity, f"{wanted}, values in [-1, 1]")
    outside = identity[~(np.abs(identity) <= 1)]
    if outside.size:
        raise invalid(name, f"{outside[0]:g}", f"{wanted}, values in [-1, 1]")
    return identity


def _indices(name: str, given, n: int) -> np.ndarray:
    """Whole numbers [n] from 0 on, which choose random streams."""
    try:
        column = np.asarray(given)
    except ValueError as problem:
        raise invalid(name, repr(given), f"{n} whole numbers >= 0") from problem
    if column.size == 0:
        column = column.astype(np.int64)  # an empty list is one of whole numbers too
    if column.shape != (n,) or column.dtype.kind not in "iu" or (column < 0).any():
        negative = f", {column.min()}" if column.dtype.kind == "i" and column.size and column.min() < 0 else ""
        raise invalid(name, f"shape {column.shape}, dtype {column.dtype}{negative}", f"{n} whole numbers >= 0")
    return column
