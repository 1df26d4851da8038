"""The features of a drawn face: eyes, brows, nose, mouth, ears, and what age does to them."""

from __future__ import annotations

import numpy as np

from deepfake_kit.faces.shapes import (
    F32,
    View,
    at_least,
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

#: Values of the label plane. Every pixel has exactly one: the region that is visible there.
REGIONS = ("background", "clothes", "skin", "hair", "beard", "eyes", "mouth", "glasses", "hat")
THIN = 0.34  # what thin shapes must cover to count as visible: rims and lips rarely fill half a small pixel
LABEL = {name: i for i, name in enumerate(REGIONS)}


def rgb(red: float, green: float, blue: float) -> np.ndarray:
    """A colour of linear light, shaped to broadcast over [n, 3, h, w]."""
    return np.array([red, green, blue], F32)[None, :, None, None]


def _both_eyes(view: View) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Coordinates around the nearer eye: u outward from its centre, v down, and its side (bool, right)."""
    p = view.p
    right = view.X > p.middle
    u = np.where(right, view.X - p.eye_right, p.eye_left - view.X) / np.where(right, p.turn_right, p.turn_left)
    return u, view.Y - p.eye_y, right


@reaches(lambda p: (p.eye_left - 0.33, p.eye_right + 0.33, p.eye_y - 0.20, p.eye_y + 0.19))
def sockets(view: View) -> None:
    """Shade the eye sockets and, with age, the bags under the eyes."""
    p = view.p
    u, v, _ = _both_eyes(view)
    shade = bump(u - p.eye_w * F32(-0.25), v + F32(0.045), p.eye_w * F32(1.75), F32(0.13)) * p.socket
    bags = bump(u, v - p.eye_h * F32(1.5) - F32(0.012), p.eye_w * F32(1.1), F32(0.042))
    tint(view, shade + bags * (p.aged * F32(0.30) + F32(0.07)), (0.75, 0.95, 1.0))
    crow = u - p.eye_w * F32(1.25)
    near = bump(crow - F32(0.03), v, F32(0.06), F32(0.07))
    for slope in (-0.5, 0.0, 0.5):
        line = stroke(v - F32(slope) * crow + F32(0.005), p.line * F32(0.8), view.px)
        tint(view, line * near * p.crow, (0.5, 0.65, 0.7))


@reaches(lambda p: (p.eye_left - 0.20, p.eye_right + 0.20, p.eye_y - 0.16, p.eye_y + 0.08))
def eyes(view: View) -> None:
    """Draw both eyes at once: white, iris, pupil, catchlight, lids and lashes."""
    p = view.p
    u, v, right = _both_eyes(view)
    v += p.eye_tilt * u
    bow = u / p.eye_w
    bow = F32(1) - bow * bow
    upper = -v - bow * p.lid_h  # above the edge of the upper lid
    lower = v - bow * p.eye_low
    inside = coverage(np.maximum(upper, lower), view.px) * (bow > 0)
    white = rgb(0.80, 0.76, 0.73) * np.ones((len(p.eye_w), 1, 1, 1), F32)
    over(view, inside, white, LABEL["eyes"])
    _iris(view, u, v, np.where(right, F32(1), F32(-1)), inside, unit(upper * (F32(1) / p.eye_h) + F32(1)))

    along = bow > F32(-0.12)
    over(view, stroke(upper, p.lash, view.px) * along, p.lash_rgb)
    tint(view, stroke(lower, p.line * F32(0.8), view.px) * along, (0.30, 0.42, 0.45))
    crease = stroke(upper - p.eye_h * F32(0.42) - F32(0.008), p.line, view.px)
    tint(view, crease * (bow > 0) * F32(0.45), (0.75, 0.9, 0.95))


def _iris(view: View, u: np.ndarray, v: np.ndarray, side: np.ndarray, inside: np.ndarray, shadow: np.ndarray) -> None:
    """Draw iris, pupil, the shadow of the lid and the catchlight `inside` the eye; `side` is 1 right, -1 left."""
    p, r = view.p, view.p.iris_r
    u, v = u - p.gaze_u * side, v - p.gaze_v
    radius = ellipse(u, v, r, r)
    glow = bump(u, v - r * F32(0.5), r * F32(1.3), r * F32(1.2))
    over(view, coverage(radius.copy(), view.px) * inside, p.iris_rgb, tone=F32(0.55) + glow * F32(0.9))
    tint(view, stroke(radius, r * F32(0.1), view.px) * inside, (0.6, 0.6, 0.6))
    pupil = coverage(ellipse(u, v, r * F32(0.45), r * F32(0.45)), view.px)
    over(view, pupil * inside, rgb(0.008, 0.007, 0.007))
    tint(view, shadow * inside, (0.55, 0.58, 0.6))
    light = ellipse(u * side - p.light_u, v + r * F32(0.4), r * F32(0.27), r * F32(0.27))
    over(view, coverage(light, view.px) * inside, rgb(1.5, 1.5, 1.5))


@reaches(lambda p: (p.eye_left - 0.27, p.eye_right + 0.27, p.eye_y - 0.28, p.eye_y + 0.05))
def brows(view: View) -> None:
    """Draw the eyebrows: an arched, tapered stroke of hair."""
    p = view.p
    u, v, _ = _both_eyes(view)
    along = (u - p.eye_w * F32(0.08)) / (p.eye_w * F32(1.45))
    bow = along - F32(0.08)
    line = v + p.brow_gap - bow * bow * p.brow_bend - along * p.brow_slope
    taper = unit((F32(1) - along) * F32(0.75)) * p.brow_thick
    alpha = coverage(np.abs(line) - taper, np.maximum(view.px, F32(0.018)))
    alpha *= unit((F32(1) - np.abs(along)) * F32(5))
    alpha *= strands((u * F32(3.0) + v * F32(1.4)) * F32(420) + p.phase) * F32(0.5) + F32(0.5)
    over(view, alpha * p.brow_dense, p.brow_rgb)


@reaches(lambda p: (p.nose_x - 0.25, p.nose_x + 0.25, p.nose_y - 0.43, p.nose_y + 0.13))
def nose(view: View) -> None:
    """Shade the nose: bridge, tip, wings, nostrils and the shadow it throws."""
    p = view.p
    down = unit((view.Y - p.eye_y) / (p.nose_y - p.eye_y))
    x = view.X - p.middle - (p.nose_x - p.middle) * down
    y = view.Y - p.nose_y
    wide = p.nose_w

    bridge_y = view.Y - (p.eye_y + p.nose_y) * F32(0.5)
    length = p.nose_y - p.eye_y
    # The flank turned away from the light is darker than the one turned to it.
    for side in (-1.0, 1.0):
        flank = bump(x - F32(side) * wide * F32(0.62), bridge_y - F32(0.015), wide * F32(0.62), length * F32(0.75))
        flank *= np.maximum(F32(0.22) - F32(side) * p.light_x * F32(0.42), F32(0.02))
        tint(view, flank, (0.75, 0.95, 1.0))
    ridge = bump(x + p.light_x * wide * F32(0.2), bridge_y, wide * F32(0.36), length * F32(0.66))
    ridge += bump(x + p.light_x * F32(0.02), y + F32(0.022), wide * F32(0.62), F32(0.062)) * F32(1.5)
    tint(view, ridge * F32(-0.17), (1.0, 0.95, 0.9))
    under = bump(x + p.light_x * F32(0.03), y - F32(0.052), wide * F32(1.15), F32(0.05))
    tint(view, under * F32(0.42), (0.75, 0.92, 1.0))
    ax = np.abs(x)
    wing = ellipse(ax - wide * F32(0.66), y - F32(0.004), wide * F32(0.40), F32(0.045))
    edge = stroke(wing, p.line * F32(1.2), view.px) * unit((ax - wide * F32(0.60)) * F32(30) + unit(y * F32(30)))
    tint(view, edge * F32(0.5), (0.65, 0.85, 0.9))
    hole = coverage(ellipse(ax - wide * F32(0.42), y - F32(0.030), wide * F32(0.24), F32(0.014)), view.px)
    tint(view, hole * F32(0.8), (0.80, 0.90, 0.92))


@reaches(lambda p: (p.mouth_x - 0.32, p.mouth_x + 0.32, p.mouth_y - 0.18, p.mouth_y + 0.36))
def mouth(view: View) -> None:
    """Draw the mouth: lips, the gap between them, teeth and tongue."""
    p = view.p
    x = view.X - p.mouth_x
    u = x / p.mouth_w
    bow = F32(1) - u * u
    y = view.Y - p.mouth_y - bow * p.smile_bend - F32(0.15) * p.smile_bend  # from the line that joins the closed lips
    full = at_least(bow.copy())
    root = np.sqrt(full)
    up, down = root * p.open_up, root * p.open_down

    shadow = bump(x, y - p.open_down - p.lip_low * F32(1.75), p.mouth_w * F32(0.75), F32(0.055))
    tint(view, shadow * F32(0.30), (0.75, 0.92, 1.0))
    corner = bump(np.abs(x) - p.mouth_w * F32(1.03), y, F32(0.045), F32(0.04))
    tint(view, corner * (F32(0.28) + F32(0.22) * p.smile_pos), (0.75, 0.95, 1.0))

    notch = unit(F32(1) - np.abs(u) * F32(3.2))
    top = up + p.lip_up * (root * F32(0.55) + full * F32(0.55)) - p.lip_up * F32(0.30) * notch
    bottom = down + p.lip_low * root
    lips = coverage(np.maximum(-y - top, y - bottom), np.maximum(view.px, F32(0.012))) * (bow > 0)
    over(view, lips, p.lip_rgb)
    upper_lip = coverage(np.maximum(-y - top, y + up), view.px)
    tint(view, upper_lip * (bow > 0) * F32(0.28), (0.9, 1.0, 1.0))
    low = y - p.open_down - p.lip_low * F32(0.45)
    shine = bump(x + p.light_x * F32(0.03), low, p.mouth_w * F32(0.6), p.lip_low * F32(0.55) + F32(0.004))
    lower_lip = coverage(np.maximum(y - bottom, down - y), view.px)
    tint(view, lower_lip * shine * F32(-0.38), (1.0, 1.0, 1.0))
    gap = _gap(view, x, y, up, down, bow > 0)
    np.copyto(view.label, np.uint8(LABEL["mouth"]), where=np.maximum(lips, gap) > F32(THIN))


def _gap(view: View, x, y, up, down, inside) -> np.ndarray:
    """Draw what is between the lips, teeth and tongue or a line, and return its coverage."""
    p = view.p
    gap = coverage(np.maximum(-y - up, y - down), view.px) * inside * unit(p.open_px / view.px)
    over(view, gap, rgb(0.055, 0.012, 0.012))
    tongue = bump(x, y - p.open_down * F32(1.0), p.mouth_w * F32(0.62), p.open_down + F32(0.001))
    over(view, tongue * gap, rgb(0.36, 0.09, 0.09))
    u = x / p.mouth_w
    teeth = coverage(np.maximum(-y - up, y + up - p.teeth_h), view.px)
    over(view, teeth * gap, rgb(0.78, 0.74, 0.66), tone=at_least(F32(1) - u * u * F32(0.55), 0.2))
    line = stroke(y + up * F32(0.999), p.line * F32(1.1), view.px) * inside
    tint(view, line * unit(F32(1.0) - p.open_px / (view.px * F32(2))), (0.62, 0.80, 0.82))
    return gap


@reaches(lambda p: (p.nose_x - 0.49, p.nose_x + 0.49, p.nose_y - 0.19, p.nose_y + 0.39))
def cheeks(view: View) -> None:
    """Colour the cheeks, lift them with a smile, and draw the folds beside the nose."""
    p = view.p
    ax, y = np.abs(view.X - p.nose_x), view.Y - p.nose_y
    blush = bump(ax - F32(0.25), y + F32(0.01), F32(0.20), F32(0.16))
    tint(view, blush * (F32(-0.10) - F32(0.12) * p.smile_pos), (1.0, 1.0, 1.0))
    tint(view, blush * p.blush, (0.0, 0.42, 0.38))
    tint(view, bump(ax - F32(0.34), y - F32(0.17), F32(0.13), F32(0.20)) * p.hollow, (0.8, 0.95, 1.0))
    fold = ax - p.nose_w * F32(1.05) - F32(0.02) - (y + F32(0.02)) * F32(0.42)
    crease = soft(np.abs(fold), F32(0.05)) * bump(ax - F32(0.19), y - F32(0.12), F32(0.14), F32(0.16))
    tint(view, crease * p.fold, (0.7, 0.9, 0.95))


@reaches(lambda p: (p.middle - 0.32, p.middle + 0.32, p.eye_y - 0.49, p.eye_y - 0.17))
def forehead_lines(view: View) -> None:
    """Draw three wavy wrinkles on an old or surprised forehead."""
    p = view.p
    x, y = view.X - p.middle, view.Y - p.eye_y + F32(0.33)
    wave = strands(x * F32(90) + p.phase) * F32(0.035)
    for step in (-0.06, 0.0, 0.06):
        line = stroke(y - F32(step) + wave + x * x * F32(0.5), p.line * F32(1.2), view.px)
        tint(view, line * bump(x, y, F32(0.30), F32(0.14)) * p.forehead_lines, (0.6, 0.78, 0.85))


@reaches(lambda p: (p.nose_x - 0.48, p.nose_x + 0.48, p.nose_y - 0.31, p.nose_y + 0.21))
def freckles(view: View) -> None:
    """Scatter freckles over nose and cheeks."""
    p = view.p
    height, chance = cells(view.X - p.nose_x + p.phase, view.Y - p.nose_y, 0.034)
    dots = unit((height - F32(1.1) + chance * F32(0.45)) * F32(4)) * (chance > F32(0.55))
    dots *= bump(view.X - p.nose_x, view.Y - p.nose_y + F32(0.05), F32(0.46), F32(0.24))
    tint(view, dots * p.freckles * F32(0.9), (0.35, 0.55, 0.7))


@reaches(lambda p: (p.ear_right - 0.14, p.ear_right + 0.14, p.ear_y - 0.18, p.ear_y + 0.18))
def right_ear(view: View) -> None:
    """Put an ear beside the head, on the right of the picture."""
    _ear(view, view.X - view.p.ear_right)


@reaches(lambda p: (p.ear_left - 0.14, p.ear_left + 0.14, p.ear_y - 0.18, p.ear_y + 0.18))
def left_ear(view: View) -> None:
    """Put an ear beside the head, on the left of the picture."""
    _ear(view, view.p.ear_left - view.X)


def _ear(view: View, x: np.ndarray) -> None:
    """Paint an ear at distance `x` outwards; its paint is skin, so only coverage and shade change."""
    p = view.p
    y = view.Y - p.ear_y
    inner = bump(x, y, p.ear_w * F32(0.62), p.ear_h * F32(0.66)) * F32(0.5) * (x > -p.ear_w * F32(0.8))
    tint(view, inner, (0.55, 0.85, 0.9))
    ear = coverage(ellipse(x + y * F32(0.18), y, p.ear_w, p.ear_h), view.px)
    np.maximum(view.alpha, ear, out=view.alpha)
