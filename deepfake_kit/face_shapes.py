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
from dataclasses import dataclass, replace
from functools import lru_cache
from types import SimpleNamespace

import numpy as np

F32 = np.float32


@dataclass
class View:
    """A rectangle of the pictures of some faces: coordinates, paint and labels.

    ``X, Y`` are head coordinates [n, h, w] (origin at the head's centre, head about one unit
    wide, y down); ``px`` is the width of a pixel in them; ``paint`` [n, 3, h, w] is linear light,
    ``label`` [n, h, w] the visible region; ``p`` holds one [n, 1, 1] array a parameter.
    """

    X: np.ndarray
    Y: np.ndarray
    px: np.ndarray
    paint: np.ndarray
    label: np.ndarray
    alpha: np.ndarray
    p: SimpleNamespace

    def crop(self, x0, x1, y0, y1) -> View | None:
        """Cut the pixel rectangle that holds the box [x0, x1] x [y0, y1] of every face, or None."""
        p = self.p
        corners_x, corners_y = [], []
        for x in (x0, x1):
            for y in (y0, y1):
                corners_x.append((x * p.cos - y * p.sin) * p.zoom + p.shift_x)
                corners_y.append((x * p.sin + y * p.cos) * p.zoom + p.shift_y)
        size = p.size
        left, right = (_to_pixel(f(corners_x), size, e) for f, e in ((np.min, -1), (np.max, 2)))
        top, bottom = (_to_pixel(f(corners_y), size, e) for f, e in ((np.min, -1), (np.max, 2)))
        if right <= left or bottom <= top:
            return None
        rows, columns = slice(top, bottom), slice(left, right)
        return replace(
            self,
            X=self.X[:, rows, columns].copy(),
            Y=self.Y[:, rows, columns].copy(),
            paint=self.paint[:, :, rows, columns],
            label=self.label[:, rows, columns],
            alpha=self.alpha[:, rows, columns],
        )

    def only(self, chosen: np.ndarray, draw: Callable[[View], None]) -> None:
        """Let `draw` work on the chosen faces of this view and keep what it painted."""
        indices = np.flatnonzero(chosen)
        if len(indices) == 0:
            return
        p = SimpleNamespace(
            **{
                name: value[indices] if isinstance(value, np.ndarray) else value
                for name, value in vars(self.p).items()
            }
        )
        part = View(
            self.X[indices],
            self.Y[indices],
            self.px[indices],
            self.paint[indices],
            self.label[indices],
            self.alpha[indices],
            p,
        )
        draw(part)
        self.paint[indices], self.label[indices], self.alpha[indices] = part.paint, part.label, part.alpha


def _to_pixel(coordinate: float, size: int, extra: int) -> int:
    return int(np.clip(np.floor((coordinate + 1) * size / 2) + extra, 0, size))


def coverage(distance: np.ndarray, px: np.ndarray) -> np.ndarray:
    """Covered share of each pixel by a shape, in [0, 1]; overwrites `distance`."""
    distance *= -1 / px
    distance += F32(0.5)
    return unit(distance)


def unit(plane: np.ndarray) -> np.ndarray:
    """Clip to [0, 1] in place."""
    np.maximum(plane, F32(0), out=plane)
    np.minimum(plane, F32(1), out=plane)
    return plane


def stroke(distance: np.ndarray, half_width, px: np.ndarray) -> np.ndarray:
    """Coverage by a line along the zero of `distance`; lines thinner than a pixel turn faint."""
    wide = np.maximum(half_width, px * F32(0.5)).astype(F32)
    strength = np.minimum(2 * half_width / px, 1).astype(F32)
    plane = np.abs(distance)
    np.subtract(wide, plane, out=plane)
    plane /= px
    plane += F32(0.5)
    unit(plane)
    plane *= strength
    return plane


def soft(distance: np.ndarray, width) -> np.ndarray:
    """Coverage with a soft edge `width` wide, as smoothstep: shadows, lens blur."""
    plane = distance * (F32(-1) / width)
    plane += F32(0.5)
    unit(plane)
    smooth = plane * F32(-2)
    smooth += F32(3)
    smooth *= plane
    smooth *= plane
    return smooth


def bump(x: np.ndarray, y: np.ndarray, rx, ry) -> np.ndarray:
    """Round hill of height 1 that is exactly 0 outside the ellipse of radii rx, ry."""
    plane = x * (F32(1) / rx)
    plane *= plane
    other = y * (F32(1) / ry)
    other *= other
    plane += other
    np.subtract(F32(1), plane, out=plane)
    np.maximum(plane, F32(0), out=plane)
    plane *= plane
    return plane


def ellipse(x: np.ndarray, y: np.ndarray, rx, ry) -> np.ndarray:
    """Approximate signed distance to an ellipse around 0: exact on its boundary."""
    plane = x * (F32(1) / rx)
    plane *= plane
    other = y * (F32(1) / ry)
    other *= other
    plane += other
    np.sqrt(plane, out=plane)
    plane -= F32(1)
    plane *= np.minimum(rx, ry) * F32(0.7) + np.maximum(rx, ry) * F32(0.3)
    return plane


def arch(x: np.ndarray, y: np.ndarray, width, height) -> np.ndarray:
    """Distance to an arch: half an ellipse above y = 0, two straight posts below."""
    return ellipse(x, np.minimum(y, F32(0)), width, height)


def over(view: View, alpha: np.ndarray, colour: np.ndarray, label: int | None = None, tone=None) -> None:
    """Paint `colour` [n, 3, 1, 1] (times `tone` [n, h, w], its light and shade) with coverage `alpha`."""
    for channel in range(3):  # one plane at a time: three would not stay in the cache
        plane, one = view.paint[:, channel], colour[:, channel]
        if tone is None:
            change = one - plane
        else:
            change = tone * one
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
    over(view, alpha / np.maximum(union, F32(1e-6)), colour, tone=tone)
    np.copyto(view.label, np.uint8(label), where=alpha > F32(threshold))
    view.alpha[:] = union


def tint(view: View, amount: np.ndarray, colour: tuple[float, float, float]) -> None:
    """Multiply the paint by 1 - amount * colour, channel by channel: shade, blush, stubble."""
    for channel, weight in enumerate(colour):
        factor = amount * F32(-weight)
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
    return noise_table()[position.astype(np.int32) & 4095]


def cells(x: np.ndarray, y: np.ndarray, size) -> tuple[np.ndarray, np.ndarray]:
    """Round bumps on a staggered lattice: height in [0, 1] and a random number for each cell."""
    v = y * (F32(1) / F32(size) if np.isscalar(size) else F32(1) / size)
    row = np.floor(v)
    rows = row.astype(np.int32)
    u = x * (F32(1) / F32(size) if np.isscalar(size) else F32(1) / size)
    u += (rows & 1).astype(F32) * F32(0.5)
    column = np.floor(u)
    key = ((rows & 63) << 6) | (column.astype(np.int32) & 63)
    u -= column
    u -= F32(0.5)
    v -= row
    v -= F32(0.5)
    return bump(u, v, F32(0.72), F32(0.72)), cell_table()[key]
