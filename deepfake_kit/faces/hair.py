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

#: style -> volume on top, volume at the sides, where the sides end (short, long), height of the hairline,
#: half width of the bare face, roughness of the edge, curl size (0: straight), parting, hair behind the neck
CUTS = {
    "bald": (0.00, 0.00, -0.60, -0.60, 0.00, 1.00, 0.000, 0.00, 0.00, 0),
    "buzz": (0.030, 0.020, -0.06, 0.02, 0.00, 0.93, 0.010, 0.00, 0.00, 0),
    "short": (0.095, 0.045, -0.04, 0.10, 0.00, 0.91, 0.035, 0.00, 0.06, 0),
    "side_part": (0.125, 0.050, -0.04, 0.12, 0.02, 0.90, 0.025, 0.00, 0.30, 0),
    "quiff": (0.200, 0.030, -0.08, 0.04, -0.03, 0.92, 0.085, 0.00, 0.10, 0),
    "curly": (0.190, 0.120, 0.00, 0.34, 0.03, 0.88, 0.050, 0.085, 0.05, 0),
    "afro": (0.300, 0.290, 0.08, 0.42, 0.02, 0.90, 0.045, 0.062, 0.00, 1),
    "bob": (0.125, 0.120, 0.34, 0.58, 0.05, 0.83, 0.020, 0.00, 0.12, 1),
    "fringe": (0.115, 0.090, 0.20, 0.95, 0.185, 0.86, 0.020, 0.00, 0.00, 1),
    "long": (0.115, 0.110, 0.70, 1.45, 0.01, 0.84, 0.030, 0.00, 0.12, 1),
    "wavy": (0.145, 0.160, 0.50, 1.35, 0.03, 0.84, 0.050, 0.13, 0.16, 1),
    "bun": (0.065, 0.030, -0.02, 0.06, 0.00, 0.92, 0.012, 0.00, 0.00, 0),
}


def _texture(view: View, phase: float = 0.0) -> np.ndarray:
    """Brightness of the strands in [0, 1]: lines that run from the crown, or curls."""
    p = view.p
    dx = view.X - p.crown_x
    dy = view.Y - F32(-0.62)
    spread = np.abs(dx)
    spread += np.abs(dy)
    spread += F32(0.06)
    angle = dx / spread
    sway = strands(spread * F32(260) + p.phase)
    angle *= F32(430)
    angle += sway * p.sway
    angle += p.phase + F32(phase)
    return strands(angle)


def _curls(view: View, chosen: np.ndarray) -> np.ndarray:
    """Brightness of curls for the chosen faces: round bumps on a lattice, each its own tone."""
    p = view.p
    x, y, size = view.X[chosen], view.Y[chosen], p.curl[chosen]
    # Bend the lattice, so that the curls do not stand in rows.
    bend = strands((x + y) * F32(190) + p.phase[chosen])
    bend *= size * F32(1.1)
    height, chance = cells(x + bend + p.phase[chosen], y - bend, size)
    fine, _ = cells(x - y * F32(0.7), y + x * F32(0.7) + bend, size * F32(0.53))
    height *= F32(0.45)
    height += chance * F32(0.22)
    height += fine * F32(0.38)
    return height


def _paint(view: View, alpha: np.ndarray, texture: np.ndarray, sheen: np.ndarray | None) -> None:
    tone = texture * F32(0.85)
    tone += F32(0.52)
    if sheen is not None:
        tone += sheen
    attach(view, alpha, view.p.hair_rgb, LABEL["hair"], tone)


def _mass(view: View, width: np.ndarray) -> np.ndarray:
    """Distance to the outline of the hair: an arch that hangs down, or a round head of curls."""
    p = view.p
    y = view.Y - p.hair_y
    low = at_least(y.copy())
    low *= p.is_round * p.hair_low
    np.clip(y, F32(-np.inf), F32(0), out=y)
    y += low
    return ellipse(view.X - p.hair_x, y, width, p.hair_h)


def hair_behind(view: View) -> None:
    """Paint the mass of long hair that hangs behind neck and shoulders."""
    p = view.p
    texture = _texture(view, 977.0)
    distance = _mass(view, p.hair_w + F32(0.05) * at_least(view.Y.copy()))
    distance += (texture - F32(0.5)) * p.rough
    np.maximum(distance, view.Y - p.hair_end - (texture - F32(0.5)) * F32(0.08), out=distance)
    alpha = coverage(distance, np.maximum(view.px, F32(0.02)))
    tone = texture * F32(0.42)
    tone += F32(0.25)
    over(view, alpha, p.hair_rgb, LABEL["hair"], tone)


def hair_front(view: View) -> None:
    """Paint the hair on the head, with the shadow that it throws on the forehead."""
    p = view.p
    texture = _texture(view)
    curly = np.flatnonzero(p.curl[:, 0, 0] > 0)
    if len(curly):
        texture[curly] = _curls(view, curly)
    jitter = texture - F32(0.5)
    jitter *= p.rough

    outer = _mass(view, p.hair_w)
    outer += jitter
    below = view.Y - p.hair_end
    below -= p.is_round * F32(0.06)
    below += jitter
    np.maximum(outer, below, out=outer)

    x = view.X - p.open_x
    y = view.Y - p.open_y
    y += x * p.parting
    opening = arch(x, y, p.open_w, p.open_h)
    jitter *= p.fringe_rough
    opening += jitter
    shadow = soft(opening + F32(0.01), F32(-0.11))
    shadow *= p.hair_shadow
    tint(view, shadow, (0.75, 0.92, 1.0))

    np.negative(opening, out=opening)
    np.maximum(outer, opening, out=outer)
    alpha = coverage(outer, np.maximum(view.px, p.hair_soft))
    alpha *= p.has_hair
    sheen = bump(view.X - p.open_x + p.light_x * F32(-0.18), view.Y + F32(0.50), F32(0.42), F32(0.16))
    sheen *= texture
    sheen *= p.sheen
    _paint(view, alpha, texture, sheen)


@reaches(lambda p: (-0.26, 0.26, -0.98, -0.50))
def bun(view: View) -> None:
    """Tie the hair to a bun on top of the head."""
    p = view.p
    x = view.X - p.crown_x * F32(0.3)
    y = view.Y - p.hair_y + p.hair_h + F32(0.05)
    texture = strands((x + y * F32(0.6)) * F32(330) + p.phase)
    radius = F32(0.12) + F32(0.08) * p.length
    distance = ellipse(x, y, radius, radius * F32(0.85))
    distance += (texture - F32(0.5)) * F32(0.02)
    alpha = coverage(distance, np.maximum(view.px, F32(0.012)))
    _paint(view, alpha, texture, bump(x, y + F32(0.03), radius, radius * F32(0.5)) * F32(0.4))


@reaches(lambda p: (-p.head_w - 0.18, p.head_w + 0.18, p.eye_y + 0.05, p.head_low + 0.08))
def facial_hair(view: View) -> None:
    """Grow stubble, a moustache, a goatee or a full beard around the mouth."""
    p = view.p
    x = view.X - p.mouth_x
    ax = np.abs(x)
    y = view.Y - p.mouth_y
    texture = strands((x * F32(2.2) + view.Y * F32(0.5)) * F32(300) + p.phase)
    jitter = (texture - F32(0.5)) * F32(0.05)

    lip_top = p.open_up + p.lip_up * F32(1.1)
    moustache = ellipse(
        ax - p.mouth_w * F32(0.42), y + lip_top + F32(0.03) - ax * F32(0.22), p.mouth_w * F32(0.62), F32(0.036)
    )
    chin = ellipse(x, y - p.open_down - F32(0.22), F32(0.15), F32(0.17))
    # The beard is what lies outside an arch-shaped bare face, below the ears.
    bare = arch(x, -(view.Y - p.nose_y - F32(0.10)), p.head_w * F32(0.70), F32(0.21))
    np.maximum(bare, view.Y - p.mouth_y - p.open_down - p.lip_low - F32(0.02), out=bare)
    jaw = np.maximum(-bare, -(view.Y - p.eye_y - F32(0.12)))
    distance = np.full_like(x, F32(9))
    for shape, worn in ((moustache, p.wears_moustache), (chin, p.wears_goatee), (jaw, p.wears_beard)):
        np.minimum(distance, np.where(worn > 0, shape, F32(9)), out=distance)
    distance += jitter
    alpha = coverage(distance, np.maximum(view.px, F32(0.05)))
    alpha *= p.beard_dense
    on_lips = view.label == LABEL["mouth"]
    alpha *= ~on_lips
    tone = texture * F32(0.7)
    tone += F32(0.45)
    over(view, alpha, p.beard_rgb, tone=tone)
    dense = alpha > F32(0.5)
    dense &= view.label == LABEL["skin"]
    dense &= view.alpha > F32(0.5)
    np.copyto(view.label, np.uint8(LABEL["beard"]), where=dense)
