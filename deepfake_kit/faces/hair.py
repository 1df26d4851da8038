"""Hair of a drawn face: cut, curl, strands, and hair on the chin."""

from __future__ import annotations

import numpy as np

from deepfake_kit.faces.features import LABEL
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
    tint,
)


def _texture(view: View, phase: float = 0.0) -> np.ndarray:
    """Brightness of the strands in [0, 1]: lines that run from the crown, or curls."""
    p = view.p
    dx = view.X - p.crown_x
    spread = np.abs(dx) + np.abs(view.Y - F32(-0.62)) + F32(0.06)
    sway = strands(spread * F32(260) + p.phase)
    return strands(dx / spread * F32(430) + sway * p.sway + (p.phase + F32(phase)))


def _curls(view: View, chosen: np.ndarray) -> np.ndarray:
    """Brightness of curls for the chosen faces: round bumps on a lattice, each its own tone."""
    p = view.p
    x, y, size, phase = view.X[chosen], view.Y[chosen], p.curl[chosen], p.phase[chosen]
    # Bend the lattice, so that the curls do not stand in rows.
    bend = strands((x + y) * F32(190) + phase) * (size * F32(1.1))
    height, chance = cells(x + bend + phase, y - bend, size)
    fine, _ = cells(x - y * F32(0.7), y + x * F32(0.7) + bend, size * F32(0.53))
    return height * F32(0.45) + chance * F32(0.22) + fine * F32(0.38)


def _mass(view: View, width: np.ndarray) -> np.ndarray:
    """Distance to the outline of the hair: an arch that hangs down, or a round head of curls."""
    p = view.p
    y = view.Y - p.hair_y
    low = at_least(y.copy()) * (p.is_round * p.hair_low)
    return ellipse(view.X - p.hair_x, np.clip(y, F32(-np.inf), F32(0)) + low, width, p.hair_h)


def hair_behind(view: View) -> None:
    """Paint the mass of long hair that hangs behind neck and shoulders."""
    p = view.p
    texture = _texture(view, 977.0)
    distance = _mass(view, p.hair_w + F32(0.05) * at_least(view.Y.copy())) + (texture - F32(0.5)) * p.rough
    distance = np.maximum(distance, view.Y - p.hair_end - (texture - F32(0.5)) * F32(0.08))
    alpha = coverage(distance, np.maximum(view.px, F32(0.02)))
    over(view, alpha, p.hair_rgb, LABEL["hair"], texture * F32(0.42) + F32(0.25))


def hair_front(view: View) -> None:
    """Paint the hair on the head, with the shadow that it throws on the forehead."""
    p = view.p
    texture = _texture(view)
    curly = np.flatnonzero(p.curl[:, 0, 0] > 0)
    if len(curly):
        texture[curly] = _curls(view, curly)
    jitter = (texture - F32(0.5)) * p.rough
    outer = np.maximum(_mass(view, p.hair_w) + jitter, view.Y - p.hair_end - p.is_round * F32(0.06) + jitter)

    x = view.X - p.open_x
    opening = arch(x, view.Y - p.open_y + x * p.parting, p.open_w, p.open_h) + jitter * p.fringe_rough
    tint(view, soft(opening + F32(0.01), F32(-0.11)) * p.hair_shadow, (0.75, 0.92, 1.0))

    alpha = coverage(np.maximum(outer, -opening), np.maximum(view.px, p.hair_soft)) * p.has_hair
    sheen = bump(x + p.light_x * F32(-0.18), view.Y + F32(0.50), F32(0.42), F32(0.16)) * texture * p.sheen
    attach(view, alpha, p.hair_rgb, LABEL["hair"], texture * F32(0.85) + F32(0.52) + sheen)


@reaches(lambda p: (-0.26, 0.26, -0.98, -0.50))
def bun(view: View) -> None:
    """Tie the hair to a bun on top of the head."""
    p = view.p
    x = view.X - p.crown_x * F32(0.3)
    y = view.Y - p.hair_y + p.hair_h + F32(0.05)
    texture = strands((x + y * F32(0.6)) * F32(330) + p.phase)
    radius = F32(0.12) + F32(0.08) * p.length
    distance = ellipse(x, y, radius, radius * F32(0.85)) + (texture - F32(0.5)) * F32(0.02)
    alpha = coverage(distance, np.maximum(view.px, F32(0.012)))
    sheen = bump(x, y + F32(0.03), radius, radius * F32(0.5)) * F32(0.4)
    attach(view, alpha, p.hair_rgb, LABEL["hair"], texture * F32(0.85) + F32(0.52) + sheen)


@reaches(lambda p: (-p.head_w - 0.18, p.head_w + 0.18, p.eye_y + 0.05, p.head_low + 0.08))
def facial_hair(view: View) -> None:
    """Grow stubble, a moustache, a goatee or a full beard around the mouth."""
    p = view.p
    x = view.X - p.mouth_x
    ax = np.abs(x)
    y = view.Y - p.mouth_y
    texture = strands((x * F32(2.2) + view.Y * F32(0.5)) * F32(300) + p.phase)
    over_lip = y + (p.open_up + p.lip_up * F32(1.1)) + F32(0.03) - ax * F32(0.22)
    moustache = ellipse(ax - p.mouth_w * F32(0.42), over_lip, p.mouth_w * F32(0.62), F32(0.036))
    chin = ellipse(x, y - p.open_down - F32(0.22), F32(0.15), F32(0.17))
    # The beard is what lies outside an arch-shaped bare face, below the ears.
    bare = arch(x, -(view.Y - p.nose_y - F32(0.10)), p.head_w * F32(0.70), F32(0.21))
    bare = np.maximum(bare, view.Y - p.mouth_y - p.open_down - p.lip_low - F32(0.02))
    jaw = np.maximum(-bare, -(view.Y - p.eye_y - F32(0.12)))
    distance = np.full_like(x, F32(9))
    for shape, worn in ((moustache, p.wears_moustache), (chin, p.wears_goatee), (jaw, p.wears_beard)):
        np.minimum(distance, np.where(worn > 0, shape, F32(9)), out=distance)
    distance += (texture - F32(0.5)) * F32(0.05)
    alpha = coverage(distance, np.maximum(view.px, F32(0.05))) * p.beard_dense * (view.label != LABEL["mouth"])
    over(view, alpha, p.beard_rgb, tone=texture * F32(0.7) + F32(0.45))
    dense = (alpha > F32(0.5)) & (view.label == LABEL["skin"]) & (view.alpha > F32(0.5))
    np.copyto(view.label, np.uint8(LABEL["beard"]), where=dense)
