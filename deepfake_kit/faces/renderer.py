r"""Turn parameters into pictures: head, light, layers and camera.

Skin is lit by a wrapped Lambert term
:math:`\max(0, (n \cdot l + w) / (1 + w))` (Lambert, "Photometria", 1760; the wrap softens the
edge of the shadow as light scattered in skin does) and a narrow highlight. Paint is linear
light; the camera blurs it, adds noise that grows with the square root of the signal, and
codes it with gamma 2 in 8 bits.
"""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np

from deepfake_kit.faces import features, hair, wear
from deepfake_kit.faces.attributes import camera_noise
from deepfake_kit.faces.features import LABEL
from deepfake_kit.faces.parameters import parameters
from deepfake_kit.faces.shapes import F32, View, at_least, bump, coverage, over, unit

CAMERA = ("exposure", "saturation", "blur", "noise")
PIXELS_PER_CHUNK = 524288  # 128 faces of 64 x 64, enough that two threads seldom wait for each other


def _head(view: View) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Signed distance to the head, and the position on it in units of its half-axes."""
    p = view.p
    # Far below the chin the jaw would narrow to nothing and open again: half a head further down is enough.
    below = np.clip(view.Y * (F32(1) / p.head_low), F32(0), F32(1.5))
    square = below * below
    middle = at_least(below * (F32(1) - below))
    width = (F32(1) - p.jaw * square + p.cheek * middle * F32(4)) * p.head_w
    nx = (view.X - p.jaw_shift * square) / width
    ny = np.clip(view.Y, F32(-np.inf), F32(0)) * (F32(1) / p.head_up) + below
    xx, yy = nx * nx, ny * ny
    field = at_least(xx + yy - xx * yy * (p.square * (view.Y > 0)))
    return (np.sqrt(field) - F32(1)) * F32(0.55), nx, ny


def _shade(view: View, nx: np.ndarray, ny: np.ndarray) -> None:
    """Light the head: wrapped Lambert, warm shadows, a soft highlight on skin and hair."""
    p = view.p
    nx, ny = nx * F32(0.92), ny * F32(0.80)
    nz = np.sqrt(at_least(F32(1) - (nx * nx + ny * ny), 0.02))
    facing = nx * p.light_x + ny * p.light_y + nz * p.light_z
    wrapped = unit((facing + F32(0.38)) * F32(1 / 1.38)) * (p.contrast * F32(1.12)) + (F32(1.06) - p.contrast)
    dim = at_least(F32(1) - wrapped)
    for channel, (cool, warm) in enumerate(((-0.03, 0.07), (0.05, 0.0), (0.10, -0.09))):
        factor = (dim * F32(-cool) + F32(1)) * wrapped
        view.paint[:, channel] *= factor * (F32(1) + p.warm * F32(warm)) if warm else factor
    # The half vector between light and camera (0, 0, 1), not normalised: enough for a soft gloss.
    spot = bump(nx - p.light_x * F32(0.45), ny - p.light_y * F32(0.45) + F32(0.10), F32(0.42), F32(0.34))
    spot *= p.gloss
    spot *= view.label == LABEL["skin"]
    for channel in range(3):
        view.paint[:, channel] += spot


def _camera(paint: np.ndarray, p: SimpleNamespace, noise: np.ndarray) -> None:
    """Expose, saturate, blur, add noise and code the pictures in 8 bits with gamma 2, in place."""
    paint *= p.exposure[:, None]
    grey = paint[:, 0] * F32(0.30) + paint[:, 1] * F32(0.59) + paint[:, 2] * F32(0.11)
    paint *= p.saturation[:, None]
    paint += (grey * (F32(1) - p.saturation))[:, None]
    at_least(paint)
    side = p.blur[:, None]
    for axis in (2, 3):
        lines = np.moveaxis(paint, axis, 0)
        both = np.empty_like(paint)
        sums = np.moveaxis(both, axis, 0)
        np.add(lines[:-2], lines[2:], out=sums[1:-1])
        np.add(lines[0], lines[1], out=sums[0])  # beyond the edge, the edge goes on
        np.add(lines[-2], lines[-1], out=sums[-1])
        both *= side
        paint *= F32(1) - F32(2) * side
        paint += both
    # Highlights roll off smoothly instead of clipping.
    knee = at_least(paint - F32(0.70))
    paint -= knee
    paint += knee / (knee * F32(3.0) + F32(1))
    # Gamma 2 turns noise that grows as sqrt(signal) into noise of one strength.
    np.sqrt(unit(paint), out=paint)
    noise *= p.noise[:, None]
    paint += noise
    paint *= F32(255)
    paint += F32(0.5)
    np.floor(paint, out=paint)
    np.clip(paint, F32(0), F32(255), out=paint)
    paint /= F32(255)


def render_chunk(
    identity: np.ndarray,
    texture: np.ndarray,
    table: dict[str, np.ndarray],
    seed: int,
    indices: np.ndarray,
    images: np.ndarray,
    masks: list[np.ndarray],
) -> None:
    """Draw one chunk into `images`, float32 [n, 3, size, size] in [0, 1], and a mask a region, bool [n, size, size]."""
    n, size = len(images), images.shape[-1]
    p = parameters(identity, texture, table, size)
    label = np.zeros((n, size, size), np.uint8)
    _picture(p, images, label)
    step = max(1, PIXELS_PER_CHUNK // 4 // size**2)  # three channels at once fill the cache sooner
    for first in range(0, n, step):
        rows = slice(first, first + step)
        part = SimpleNamespace(**{name: getattr(p, name)[rows] for name in CAMERA})
        _camera(images[rows], part, camera_noise(seed, indices[rows], (3, size, size)))
    for value, mask in enumerate(masks):
        np.equal(label, value, out=mask)


def _picture(p: SimpleNamespace, images: np.ndarray, label: np.ndarray) -> None:
    """Paint linear light into `images` [n, 3, size, size] and the visible region into `label` [n, size, size]."""
    n, size = len(images), images.shape[-1]
    line = (np.arange(size, dtype=F32) + F32(0.5)) * F32(2 / size) - F32(1)
    across, down = (np.broadcast_to(axis, (n, size, size)) for axis in (line[None, None, :], line[None, :, None]))
    dx, dy = line[None, None, :] - p.shift_x, line[None, :, None] - p.shift_y
    X = (dx * p.cos + dy * p.sin) / p.zoom
    Y = (dy * p.cos - dx * p.sin) / p.zoom
    px = (F32(2 / size) / p.zoom).astype(F32)
    room = View(across, down, px, images, label, np.ones((n, size, size), F32), p)
    wear.background(room)
    body = replace(room, X=X, Y=Y)
    body.layer(hair.hair_behind, p.is_behind[:, 0, 0] > 0)
    body.layer(wear.neck)
    body.layer(wear.clothes)
    body.layer(wear.collar, p.is_collar[:, 0, 0] > 0)
    body.layer(wear.turtleneck, p.is_high[:, 0, 0] > 0)

    distance, nx, ny = _head(body)
    head = replace(body, paint=np.empty((n, 3, size, size), F32), alpha=coverage(distance, px))
    head.paint[:] = p.skin
    head.layer(features.right_ear)
    head.layer(features.left_ear)
    np.copyto(label, np.uint8(LABEL["skin"]), where=head.alpha > F32(0.5))
    head.layer(features.cheeks)
    head.layer(features.sockets)
    head.layer(features.forehead_lines, p.forehead_lines[:, 0, 0] > 0)
    head.layer(features.freckles, p.freckles[:, 0, 0] > 0)
    head.layer(features.nose)
    head.layer(features.mouth)
    head.layer(hair.facial_hair, p.wears_moustache[:, 0, 0] > 0)
    head.layer(features.eyes)
    head.layer(features.brows)
    hair.hair_front(head)
    head.layer(hair.bun, p.is_bun[:, 0, 0] > 0)
    head.layer(wear.glasses, p.glasses != "none")
    wear.hat(head)
    _shade(head, nx, ny)
    over(room, head.alpha, head.paint)
