"""What a drawn face wears and what is behind it: background, clothes, glasses, hats."""

from __future__ import annotations

import numpy as np

from deepfake_kit.faces.features import LABEL, THIN, rgb
from deepfake_kit.faces.shapes import (
    F32,
    View,
    arch,
    at_least,
    attach,
    bump,
    cells,
    coverage,
    ellipse,
    over,
    reaches,
    soft,
    strands,
    stroke,
    tint,
    unit,
)


def background(view: View) -> None:
    """Fill the picture: plain wall, gradient, lamps out of focus, a window, or leaves."""
    p = view.p
    # The picture's own axes: X varies along rows only.
    share = unit(view.X[:, :1] * p.wall_x + view.Y[:, :, :1] * p.wall_y + F32(0.5))
    for channel in range(3):
        first, second = p.wall_a[:, channel], p.wall_b[:, channel]
        np.multiply(share, second - first, out=view.paint[:, channel])
        view.paint[:, channel] += first
    for name, draw in (("bokeh", _lamps), ("window", _window), ("foliage", _leaves)):
        view.layer(draw, p.background == name)


def _lamps(view: View) -> None:
    height, chance = cells(view.X + view.p.phase, view.Y + view.p.phase, 0.42)
    disc = coverage(F32(1.15) - chance * F32(0.85) - height, F32(0.16))
    over(view, disc * chance * F32(0.8), view.p.lamp)


def _window(view: View) -> None:
    x, y = view.X - view.p.window_x, view.Y + F32(0.35)
    pane = soft(np.maximum(np.abs(x) - F32(0.50), np.abs(y) - F32(0.75)), F32(0.10))
    bars = soft(F32(0.035) - np.minimum(np.abs(x), np.abs(y)), F32(0.06))
    over(view, pane * bars, view.p.lamp, tone=y * F32(-0.25) + F32(0.75))


def _leaves(view: View) -> None:
    p = view.p
    for size, weight in ((0.61, 1.0), (0.33, 0.95), (0.19, 0.8)):
        height, chance = cells(view.X + p.phase + view.Y * F32(0.4), view.Y - p.phase - view.X * F32(0.3), size)
        over(view, chance * chance * at_least(height - F32(0.27)) * F32(weight), p.leaf)


@reaches(lambda p: (-0.58, 0.58, 0.24, 1.24), body=True)
def neck(view: View) -> None:
    """Paint the neck, as far as no garment can cover it, with the shadow that the chin throws."""
    p = view.p
    x, y = _upright(view)
    ax = np.abs(x)
    flare = at_least(y - F32(0.62))
    neck = coverage(np.maximum(ax - p.neck_w - flare * flare * F32(1.6), -(y - F32(0.30))), view.px)
    roundness = x / p.neck_w
    tone = p.body_light - F32(0.18) * np.abs(roundness) + roundness * p.light_x * F32(0.22)
    tone -= bump(x - p.middle * F32(0.5), y - F32(0.56), F32(0.46), F32(0.34)) * F32(0.62)
    over(view, neck, p.skin, LABEL["skin"], at_least(tone, 0.12))


@reaches(lambda p: (-2.2, 2.2, 0.74, 2.6), body=True)
def clothes(view: View) -> None:
    """Paint shoulders and garment."""
    p = view.p
    x, y = _upright(view)
    ax = np.abs(x)
    slope = np.clip(ax, F32(0), F32(1.3))
    round_neck = ellipse(x, y - F32(0.80), p.neck_w * F32(1.22), F32(0.14))
    hole = np.where(p.is_v > 0, ax * F32(1.5) + y - F32(1.16), round_neck)
    cloth = coverage(-(y - F32(0.80) - p.collar_y - slope * slope * p.shoulder), view.px) * coverage(-hole, view.px)
    folds = strands((x * F32(1.2) + y * F32(0.35)) * F32(55) + p.phase)
    tone = folds * F32(0.22) + (p.body_light - F32(0.14)) + x * p.light_x * F32(0.30)
    over(view, cloth, p.cloth, LABEL["clothes"], at_least(tone, 0.15))
    tint(view, stroke(hole - F32(0.03), F32(0.012), view.px) * cloth, (0.35, 0.35, 0.35))


def _cloth_tone(view: View, x: np.ndarray) -> np.ndarray:
    p = view.p
    return at_least(p.body_light - F32(0.03) + x * p.light_x * F32(0.30), 0.15)


def _upright(view: View) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates of the body, which does not roll with the head as much."""
    p = view.p
    return view.X * p.cos_body - view.Y * p.sin_body, view.X * p.sin_body + view.Y * p.cos_body


@reaches(lambda p: (-0.45, 0.45, 0.62, 1.12), body=True)
def collar(view: View) -> None:
    """Fold a collar over the garment."""
    p = view.p
    x, y = _upright(view)
    ax = np.abs(x)
    flap = np.maximum(y - F32(1.04) + np.abs(ax - F32(0.16)) * F32(1.5), F32(0.70) - y + ax * F32(0.20))
    flap = np.maximum(flap, p.neck_w * F32(0.92) - ax - (y - F32(0.72)) * F32(1.3))
    over(view, coverage(flap, view.px), p.collar, LABEL["clothes"], _cloth_tone(view, x))


@reaches(lambda p: (-0.48, 0.48, 0.54, 0.99), body=True)
def turtleneck(view: View) -> None:
    """Pull the garment up the neck."""
    p = view.p
    x, y = _upright(view)
    ax, across = np.abs(x), x / p.neck_w
    flare = at_least(y - F32(0.62))
    roll = np.maximum(ax - p.neck_w * F32(1.07) - flare * F32(0.2), F32(0.68) - y - x * x * F32(0.35))
    high = coverage(np.maximum(roll, y - F32(0.92)), view.px)
    tone = _cloth_tone(view, x) - across * across * F32(0.16)
    over(view, high, p.cloth, LABEL["clothes"], tone)


@reaches(lambda p: (-1.02 * p.head_w - 0.12, 1.02 * p.head_w + 0.12, p.eye_y - 0.20, p.eye_y + 0.22))
def glasses(view: View) -> None:
    """Put on glasses: rims, bridge, temples, and lenses that tint and shine."""
    p = view.p
    x = view.X
    y = view.Y - p.eye_y - F32(0.012)
    u = np.where(x > p.lens_middle, (x - p.lens_right) / p.turn_right, (p.lens_left - x) / p.turn_left)
    qx = np.abs(u) - p.lens_w + F32(0.05)
    qy = np.abs(y - u * F32(-0.03)) - p.lens_h + F32(0.05)
    outside = np.sqrt(at_least(qx.copy()) ** 2 + at_least(qy.copy()) ** 2)
    square_lens = outside + np.clip(np.maximum(qx, qy), F32(-np.inf), F32(0)) - F32(0.05)
    lens = np.where(p.round_glass > 0, ellipse(u, y, p.lens_w, p.lens_h), square_lens)

    tint(view, soft(np.abs(lens - F32(0.02)), F32(0.07)) * F32(0.16), (0.8, 0.95, 1.0))
    glass = coverage(lens.copy(), view.px)
    over(view, glass * p.lens_alpha, p.lens_rgb, tone=at_least(F32(0.75) - y * F32(2.2), 0.35))
    glare = bump(u + y * F32(0.7) + p.lens_w * F32(0.30), y, p.lens_w * F32(0.40), p.lens_h * F32(0.9))
    over(view, glare * glass * p.glare, rgb(0.9, 0.95, 1.0))
    weight = np.maximum(p.rim, view.px * F32(0.4))  # a rim thinner than a pixel would fade away
    bridge = stroke(y + F32(0.022), weight * F32(0.9), view.px) * coverage(u + p.lens_w * F32(0.93), view.px)
    temple = stroke(y + F32(0.03), weight * F32(0.95), view.px) * coverage(p.lens_w * F32(0.97) - u, view.px)
    temple *= coverage(np.abs(x) - F32(1.02) * p.head_w, view.px)
    frame = np.maximum(np.maximum(stroke(lens, weight, view.px), bridge), temple)
    attach(view, frame, p.frame_rgb, LABEL["glasses"], threshold=THIN)
    np.copyto(view.label, np.uint8(LABEL["glasses"]), where=glass * p.lens_alpha > F32(0.5))


def hat(view: View) -> None:
    """Put on a hat: the chosen kind decides crown, band and brim."""
    for name, draw in (("beanie", _beanie), ("cap", _cap), ("fedora", _fedora)):
        view.layer(draw, view.p.hat == name)


def _under_shadow(view: View, edge_y: np.ndarray, strength: float) -> None:
    shadow = bump(view.X - view.p.hat_x, view.Y - edge_y, F32(0.62), F32(0.12))
    tint(view, shadow * F32(strength), (0.85, 0.95, 1.0))


@reaches(lambda p: (-0.70, 0.70, -0.92, -0.11))
def _beanie(view: View) -> None:
    p = view.p
    x = view.X - p.hat_x
    edge = p.hat_y + x * x * F32(0.10)
    _under_shadow(view, edge + F32(0.03), 0.4)
    dome = arch(x, view.Y - p.hat_y, p.head_w * F32(1.12), F32(0.52))
    knit = strands(x * F32(330) + view.Y * F32(20))
    alpha = coverage(np.maximum(dome, view.Y - edge), view.px)
    attach(view, alpha, p.hat_rgb, LABEL["hat"], knit * F32(0.45) + F32(0.65))
    fold = np.maximum(np.abs(x) - p.head_w * F32(1.15), np.abs(view.Y - edge + F32(0.075)) - F32(0.078))
    attach(view, coverage(fold, view.px), p.hat_rgb, LABEL["hat"], knit * F32(0.55) + F32(0.78))


@reaches(lambda p: (-0.80, 0.80, -0.86, -0.06))
def _cap(view: View) -> None:
    p = view.p
    x = view.X - p.hat_x
    edge = p.hat_y + F32(0.02)
    _under_shadow(view, edge + F32(0.10), 0.6)
    dome = arch(x, view.Y - p.hat_y, p.head_w * F32(1.09), F32(0.46))
    seams = stroke(np.abs(x) - F32(0.17) - (view.Y - p.hat_y) * F32(0.12), F32(0.006), view.px)
    tone = F32(0.95) - seams * F32(0.3) + x * p.light_x * F32(0.25)
    attach(view, coverage(np.maximum(dome, view.Y - edge), view.px), p.hat_rgb, LABEL["hat"], tone)
    x = x - p.bill_x
    bill = ellipse(x, view.Y - edge - F32(0.015) - x * x * F32(0.22), p.head_w * F32(0.98), F32(0.075))
    attach(view, coverage(bill, view.px), p.bill_rgb, LABEL["hat"], F32(0.72) - (view.Y - edge) * F32(2.0))


@reaches(lambda p: (-0.92, 0.92, -0.82, -0.09))
def _fedora(view: View) -> None:
    p = view.p
    x, edge = view.X - p.hat_x, p.hat_y
    _under_shadow(view, edge + F32(0.08), 0.6)
    dent = bump(x, view.Y - edge + F32(0.45), F32(0.16), F32(0.14))
    dome = arch(x, view.Y - edge, p.head_w * F32(0.98), F32(0.42)) + dent * F32(0.05)
    tone = F32(0.95) + x * p.light_x * F32(0.3) - dent * F32(0.3)
    crown = coverage(np.maximum(dome, view.Y - edge), view.px)
    attach(view, crown, p.hat_rgb, LABEL["hat"], tone)
    band = np.maximum(np.abs(x) - p.head_w * F32(0.98), np.abs(view.Y - edge + F32(0.055)) - F32(0.045))
    attach(view, coverage(band, view.px) * crown, p.bill_rgb, LABEL["hat"], np.full_like(x, F32(0.9)))
    brim = ellipse(x, view.Y - edge - x * x * F32(0.10), p.head_w * F32(1.45), F32(0.058))
    attach(view, coverage(brim, view.px), p.hat_rgb, LABEL["hat"], F32(0.8) - (view.Y - edge) * F32(2.5))
