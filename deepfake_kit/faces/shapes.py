r"""Signed distances, coverage and paint: what the face renderer is built from.

A shape is a signed distance field :math:`d(x, y)`, negative inside. Its anti-aliased
coverage of a pixel of width :math:`p` is :math:`\mathrm{clip}(1/2 - d/p, 0, 1)`, the exact
covered share of a pixel cut by a straight edge parallel to its side. Layers are put on top
of each other with the *over* operator (Porter and Duff, "Compositing digital images",
SIGGRAPH 1984).

Only operations that IEEE 754 rounds exactly (+, -, *, /, sqrt, min, max) and table look-ups
touch the pixels. They give the same bits wherever a pixel lies in memory, which is why a face
does not depend on its batch.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from types import SimpleNamespace

import numpy as np
from numpy.lib.stride_tricks import as_strided

F32 = np.float32


class Chosen:
    """The parameters of some of the faces; each is cut out when a layer first reads it."""

    def __init__(self, whole, rows: np.ndarray):
        self._whole, self._rows = whole, rows

    def __getattr__(self, name: str):
        value = getattr(self._whole, name)
        if isinstance(value, np.ndarray):
            value = value[self._rows]
        setattr(self, name, value)
        return value


@dataclass
class View:
    """A rectangle of the pictures of some faces: coordinates, paint and labels.

    ``X, Y`` are head coordinates [n, h, w] (origin at the head's centre, head about one unit
    wide, y down); ``px`` is the width of a pixel in them; ``paint`` [n, 3, h, w] is linear light,
    ``label`` [n, h, w] the visible region, ``alpha`` [n, h, w] how much of a pixel the layers
    cover; ``p`` holds one [n, 1, 1] array a parameter.
    """

    X: np.ndarray
    Y: np.ndarray
    px: np.ndarray
    paint: np.ndarray
    label: np.ndarray
    alpha: np.ndarray
    p: SimpleNamespace | Chosen

    def layer(self, draw: Callable[[View], None], chosen: np.ndarray | None = None) -> None:
        """Let `draw` paint the pixels that it :func:`reaches` on the `chosen` faces (bool [n]; all by default).

        It paints a copy, cut out of each face where that face has them, so it computes no more
        pixels than it needs and those that belong together lie together in memory.
        """
        rows = np.arange(len(self.px)) if chosen is None else np.flatnonzero(chosen)
        if len(rows) == 0:
            return
        p = self.p if chosen is None else Chosen(self.p, rows)
        height, width = self.X.shape[1:]
        left = top = np.zeros(len(rows), int)
        if hasattr(draw, "box"):
            left, top, width, height = _rectangle(draw, p)
        if width <= 0 or height <= 0:
            return

        def tiles(plane: np.ndarray) -> np.ndarray:
            """Every rectangle of the plane, as NumPy's sliding_window_view but ten times as fast."""
            rest = (plane.shape[-2] - height + 1, plane.shape[-1] - width + 1)
            return as_strided(plane, plane.shape[:-2] + rest + (height, width), plane.strides + plane.strides[-2:])

        X, Y, paint, label, alpha = (tiles(plane) for plane in (self.X, self.Y, self.paint, self.label, self.alpha))
        at = (rows, top, left)
        part = View(X[at], Y[at], self.px[rows], paint[rows, :, top, left], label[at], alpha[at], p)
        draw(part)
        paint[rows, :, top, left], label[at], alpha[at] = part.paint, part.label, part.alpha


def reaches(box: Callable, body: bool = False) -> Callable:
    """Say how far a layer paints.

    ``box`` turns the parameters into the least and greatest x and y where the layer may change a
    pixel that shows, numbers or [n, 1, 1], in coordinates of the head (of the `body`, which rolls
    less, if so asked).
    """

    def mark(draw: Callable[[View], None]) -> Callable[[View], None]:
        draw.box, draw.on_body = box, body
        return draw

    return mark


def _rectangle(draw: Callable, p) -> tuple[np.ndarray, np.ndarray, int, int]:
    """Left and top pixel for each face, and one width and height, of rectangles that hold the box of `draw`."""
    cos, sin = (p.cos_lean, p.sin_lean) if draw.on_body else (p.cos, p.sin)
    x0, x1, y0, y1 = draw.box(p)

    def pixels(corners: list, shift: np.ndarray) -> tuple[np.ndarray, int]:
        """Of one axis: the first pixel for each face, and how many; one to spare on either side."""
        corners = [((corner * p.zoom + shift + 1) * (p.size / 2))[:, 0, 0] for corner in corners]
        first = np.clip(np.floor(np.minimum.reduce(corners)) - 1, 0, p.size).astype(int)
        after = np.clip(np.floor(np.maximum.reduce(corners)) + 2, 0, p.size).astype(int)
        length = int((after - first).max())
        return np.minimum(first, p.size - length), length

    left, width = pixels([x * cos - y * sin for x in (x0, x1) for y in (y0, y1)], p.shift_x)
    top, height = pixels([x * sin + y * cos for x in (x0, x1) for y in (y0, y1)], p.shift_y)
    return left, top, width, height


def coverage(distance: np.ndarray, px: np.ndarray) -> np.ndarray:
    """Covered share of each pixel by a shape, in [0, 1]; overwrites `distance`."""
    distance *= -1 / px
    distance += F32(0.5)
    return unit(distance)


def unit(plane: np.ndarray) -> np.ndarray:
    """Clip to [0, 1] in place."""
    return np.clip(plane, F32(0), F32(1), out=plane)


def at_least(plane: np.ndarray, low: float = 0.0) -> np.ndarray:
    """Raise values below `low` to it in place; three times as fast as ``np.maximum`` with a single number."""
    return np.clip(plane, F32(low), F32(np.inf), out=plane)


def stroke(distance: np.ndarray, half_width, px: np.ndarray) -> np.ndarray:
    """Coverage by a line along the zero of `distance`; lines thinner than a pixel turn faint."""
    wide = np.maximum(half_width, px * F32(0.5)).astype(F32)
    strength = np.minimum(2 * half_width / px, 1).astype(F32)
    return unit((wide - np.abs(distance)) / px + F32(0.5)) * strength


def soft(distance: np.ndarray, width) -> np.ndarray:
    """Coverage with a soft edge `width` wide, as smoothstep: shadows, lens blur."""
    plane = unit(distance * (F32(-1) / width) + F32(0.5))
    return (plane * F32(-2) + F32(3)) * plane * plane


def bump(x: np.ndarray, y: np.ndarray, rx, ry) -> np.ndarray:
    """Round hill of height 1 that is exactly 0 outside the ellipse of radii rx, ry."""
    plane = at_least(F32(1) - _squares(x, y, rx, ry))
    plane *= plane
    return plane


def ellipse(x: np.ndarray, y: np.ndarray, rx, ry) -> np.ndarray:
    """Approximate signed distance to an ellipse around 0: exact on its boundary."""
    plane = np.sqrt(_squares(x, y, rx, ry)) - F32(1)
    return plane * (np.minimum(rx, ry) * F32(0.7) + np.maximum(rx, ry) * F32(0.3))


def _squares(x: np.ndarray, y: np.ndarray, rx, ry) -> np.ndarray:
    plane = x * (F32(1) / rx)
    plane *= plane
    other = y * (F32(1) / ry)
    other *= other
    plane += other
    return plane


def arch(x: np.ndarray, y: np.ndarray, width, height) -> np.ndarray:
    """Distance to an arch: half an ellipse above y = 0, two straight posts below."""
    return ellipse(x, np.clip(y, F32(-np.inf), F32(0)), width, height)


def over(view: View, alpha: np.ndarray, colour: np.ndarray, label: int | None = None, tone=None) -> None:
    """Paint `colour` [n, 3, 1, 1] (times `tone` [n, h, w], its light and shade) with coverage `alpha`."""
    change = np.empty_like(alpha)
    for channel in range(3):  # one plane at a time: three would not stay in the cache
        plane, one = view.paint[:, channel], colour[:, channel]
        if tone is None:
            np.subtract(one, plane, out=change)
        else:
            np.multiply(tone, one, out=change)
            change -= plane
        change *= alpha
        plane += change
    if label is not None:
        np.copyto(view.label, np.uint8(label), where=alpha > F32(0.5))


def attach(view: View, alpha: np.ndarray, colour: np.ndarray, label: int, tone=None, threshold=0.5) -> None:
    """Paint as `over` does, and let the layer reach as far: its coverage becomes the union of both."""
    union = view.alpha * (F32(1) - alpha)
    union += alpha
    # Where the layer covered nothing before, its edge must not show what was never there.
    over(view, alpha / np.clip(union, F32(1e-6), F32(np.inf)), colour, tone=tone)
    np.copyto(view.label, np.uint8(label), where=alpha > F32(threshold))
    view.alpha[:] = union


def tint(view: View, amount: np.ndarray, colour: tuple[float, float, float]) -> None:
    """Multiply the paint by 1 - amount * colour, channel by channel: shade, blush, stubble."""
    factor = np.empty_like(amount)
    for channel, weight in enumerate(colour):
        if weight == 0:
            continue
        np.multiply(amount, F32(-weight), out=factor)
        factor += F32(1)
        view.paint[:, channel] *= factor


@lru_cache(maxsize=1)
def noise_table() -> np.ndarray:
    """Smooth periodic noise in [0, 1], 4096 entries, for strands and brows."""
    rng = np.random.default_rng(20190601)
    table = np.zeros(4096)
    for knots, weight in ((512, 1.0), (1024, 0.7)):
        values = rng.random(knots)
        at = np.arange(4096) * knots / 4096
        left = at.astype(int)
        share = at - left
        share = share * share * (3 - 2 * share)
        table += weight * (values[left] * (1 - share) + values[(left + 1) % knots] * share)
    table -= table.min()
    return (table / table.max()).astype(F32)


@lru_cache(maxsize=1)
def cell_table() -> np.ndarray:
    """Random numbers in [0, 1] for a periodic 64 x 64 lattice, for curls, freckles, leaves."""
    return np.random.default_rng(20190602).random(64 * 64).astype(F32)


def strands(position: np.ndarray) -> np.ndarray:
    """Look the noise table up at positions measured in entries."""
    entry = position.astype(np.int32)
    entry &= 4095
    return noise_table().take(entry)


def cells(x: np.ndarray, y: np.ndarray, size) -> tuple[np.ndarray, np.ndarray]:
    """Round bumps on a staggered lattice: height in [0, 1] and a random number for each cell."""
    per_unit = F32(1) / (F32(size) if np.isscalar(size) else size)
    v = y * per_unit
    row = np.floor(v)
    rows = row.astype(np.int32)
    u = x * per_unit + (rows & 1).astype(F32) * F32(0.5)
    column = np.floor(u)
    key = ((rows & 63) << 6) | (column.astype(np.int32) & 63)
    return bump(u - column - F32(0.5), v - row - F32(0.5), F32(0.72), F32(0.72)), cell_table().take(key)
