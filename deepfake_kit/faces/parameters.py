r"""From identity and attributes to the numbers that the layers of the renderer read.

Coordinates are those of the head (half-width about 0.5, y down), so every size draws the
same face. Features sit on an ellipsoid with half-width :math:`a`: a point at longitude
:math:`\theta` is seen at :math:`a\sin(\theta + \psi)` when the head turns by the yaw
:math:`\psi`, and is narrower by :math:`\cos(\theta + \psi) / \cos\theta` (orthographic
projection of a turned ellipsoid). Colours are linear light under gamma 2.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np

from deepfake_kit.faces.attributes import CUTS, HAIR_COLOURS, IDENTITY_NAMES, MONK_SWATCHES
from deepfake_kit.faces.shapes import F32


def linear(hex_colour: str) -> tuple[float, float, float]:
    """Read #rrggbb as linear light under gamma 2."""
    return tuple((int(hex_colour[i : i + 2], 16) / 255) ** 2 for i in (1, 3, 5))


def _hues(hue: np.ndarray, saturation, value) -> np.ndarray:
    """Colours [n, 3] of linear light from hue, saturation and value (A. R. Smith, SIGGRAPH 1978)."""
    turn = (np.array([5.0, 3.0, 1.0]) + 6 * np.asarray(hue)[:, None]) % 6
    ramp = np.clip(np.minimum(turn, 4 - turn), 0, 1)
    saturation, value = (np.broadcast_to(v, np.shape(hue))[:, None] for v in (saturation, value))
    return (value - value * saturation * ramp) ** 2


def _colour(rows) -> np.ndarray:
    return np.asarray(rows, F32).reshape(-1, 3)[:, :, None, None]


def _named(identity: np.ndarray) -> SimpleNamespace:
    return SimpleNamespace(**{name: identity[:, k].astype(float) for k, name in enumerate(IDENTITY_NAMES)})


def parameters(identity: np.ndarray, texture: np.ndarray, table: dict[str, np.ndarray], size: int) -> SimpleNamespace:
    """Turn identity and texture [n, K] and attribute columns [n] into what the layers read, [n, 1, 1] each."""
    who = _named(identity)
    at = SimpleNamespace(**table)
    q = SimpleNamespace()

    yaw, pitch, roll = (np.radians(v) for v in (at.yaw, at.pitch, at.roll))
    turn, nod = np.sin(yaw), np.sin(pitch)
    _head(q, who, at, roll, turn, nod)
    _eyes(q, who, at, yaw, nod)
    _mouth(q, who, at, yaw, turn, nod)
    _age(q, who, at)
    _complexion(q, who, at)
    _hair(q, who, at, turn, nod)
    _wear(q, at, turn)
    _light(q, at)
    strands = _named(texture)
    q.phase = (strands.face_width * 977 + strands.nose_width * 613 + strands.cheeks * 391 + 3000) % 4096

    shaped = SimpleNamespace(size=size)
    for name, value in vars(q).items():
        if value.ndim == 1 and value.dtype != object:
            value = value.astype(F32)[:, None, None]
        setattr(shaped, name, value)
    return shaped


def _head(q: SimpleNamespace, who: SimpleNamespace, at: SimpleNamespace, roll, turn, nod) -> None:
    q.cos, q.sin = np.cos(roll), np.sin(roll)
    q.cos_body, q.sin_body = np.cos(roll * 0.75), np.sin(roll * 0.75)
    q.cos_lean, q.sin_lean = np.cos(roll * 0.25), np.sin(roll * 0.25)  # of the body in the picture
    q.zoom, q.shift_x, q.shift_y = at.zoom * 1.12, at.shift_x, at.shift_y + 0.02
    q.head_w = 0.485 * (1 + 0.105 * who.face_width)
    q.head_up = np.full_like(turn, 0.62)
    q.head_low = 0.645 * (1 + 0.10 * who.face_length + 0.02 * at.mouth_open)
    q.jaw = 0.13 - 0.14 * who.jaw_width
    q.cheek = 0.015 + 0.055 * who.cheeks
    q.square = 0.12 + 0.30 * who.jaw_square
    q.jaw_shift = 0.13 * turn
    q.middle = q.head_w * turn * 0.92
    q.ear_y = 0.02 + 0.22 * nod
    q.ear_w, q.ear_h = 0.068 * (1 + 0.2 * who.ear_size), 0.125 * (1 + 0.18 * who.ear_size)
    q.ear_right = q.head_w * (1.01 - 0.30 * np.maximum(turn, 0))
    q.ear_left = -q.head_w * (1.01 + 0.30 * np.minimum(turn, 0))


def _eyes(q: SimpleNamespace, who: SimpleNamespace, at: SimpleNamespace, yaw, nod) -> None:
    spread = np.arcsin((0.207 + 0.040 * who.eye_spacing) / q.head_w)
    q.eye_right, q.eye_left = q.head_w * np.sin(spread + yaw), q.head_w * np.sin(yaw - spread)
    q.turn_right = np.maximum(np.cos(spread + yaw) / np.cos(spread), 0.35)
    q.turn_left = np.maximum(np.cos(spread - yaw) / np.cos(spread), 0.35)
    q.eye_y = -0.02 + 0.30 * nod
    q.eye_w = 0.112 * (1 + 0.20 * who.eye_size)
    q.eye_h = 0.060 * (1 + 0.24 * who.eye_size) * (at.eye_open * (1 - 0.22 * np.maximum(at.smile, 0)))
    q.lid_h, q.eye_low = q.eye_h * 1.10, q.eye_h * 0.62
    q.eye_tilt = 0.05 + 0.17 * who.eye_tilt
    q.iris_r = 0.050 * (1 + 0.10 * who.eye_size)
    q.gaze_u = at.gaze_x * 0.040
    q.gaze_v = at.gaze_y * 0.016 - 0.008
    hue = 0.075 + 0.53 * np.clip(who.iris_hue - 0.10, 0, 1) ** 0.6 * (who.iris_hue > 0.10)
    q.iris_rgb = _colour(_hues(hue, np.where(hue < 0.2, 0.72, 0.42), 0.42 + 0.18 * who.iris_lightness))
    q.light_u = np.sin(np.radians(at.light_azimuth)) * 0.022
    q.lash = 0.0105 + 0.003 * (who.eye_size > 0.2)
    q.brow_gap = 0.130 + 0.030 * who.brow_height + 0.032 * at.brow_raise
    q.brow_thick = 0.019 * (1 + 0.50 * who.brow_thickness)
    q.brow_bend = 0.030 * (1 + 0.6 * who.brow_arch) + 0.010 * at.brow_raise
    q.brow_slope = 0.010 - 0.026 * np.maximum(-at.brow_raise, 0) + 0.006 * np.maximum(at.brow_raise, 0)
    q.brow_dense = np.full_like(nod, 0.92)


def _mouth(q: SimpleNamespace, who: SimpleNamespace, at: SimpleNamespace, yaw, turn, nod) -> None:
    """Nose and mouth."""
    q.nose_y = q.eye_y + 0.245 + 0.048 * who.nose_length + 0.10 * nod
    q.nose_x = q.middle * 1.10 + 0.07 * turn
    q.nose_w = 0.105 * (1 + 0.32 * who.nose_width)
    smile = at.smile
    q.mouth_x = q.middle * 1.02 + 0.02 * turn
    q.mouth_y = q.nose_y + 0.160 + 0.030 * who.mouth_height + 0.03 * nod
    stretch = 1 + 0.22 * np.maximum(smile, 0) - 0.10 * at.mouth_open
    q.mouth_w = 0.165 * (1 + 0.19 * who.mouth_width) * stretch * np.cos(yaw) ** 0.7
    q.smile_bend = np.where(smile > 0, 0.062, 0.052) * smile
    q.smile_pos = np.maximum(smile, 0)
    opened = at.mouth_open * 0.105
    q.open_up = opened * 0.30 + 0.012 * q.smile_pos * (at.mouth_open > 0.12)
    q.open_down = opened * 0.80 + 0.010 * q.smile_pos * (at.mouth_open > 0.12)
    q.open_px = q.open_up + q.open_down
    q.teeth_h = np.minimum(q.open_px * 0.50, 0.040)
    full = 1 + 0.46 * who.lip_fullness
    thin = 1 - 0.18 * q.smile_pos - 0.0030 * np.maximum(at.age - 45, 0)
    q.lip_up, q.lip_low = 0.034 * full * thin, 0.046 * full * thin


def _age(q: SimpleNamespace, who: SimpleNamespace, at: SimpleNamespace) -> None:
    """What age and expression do to the skin."""
    old = np.clip((at.age - 30) / 50, 0, 1)
    q.aged = old
    q.socket = 0.20 + 0.14 * old
    q.crow = 0.75 * np.clip((at.age - 38) / 35, 0, 1) * (0.5 + 0.5 * q.smile_pos)
    q.hollow = np.maximum(0.10 + 0.22 * old - 0.10 * who.cheeks, 0)
    q.fold = np.minimum(0.10 + 0.30 * q.smile_pos + 0.42 * old, 0.7)
    frown = 0.35 * np.maximum(at.brow_raise - 0.5, 0)
    q.forehead_lines = np.minimum(0.85 * np.clip((at.age - 40) / 35, 0, 1) + frown, 0.9)
    q.blush = 0.24 - 0.012 * at.skin_level
    q.freckles = at.freckles * 0.8
    q.line = np.full(len(old), 0.0085)


def _complexion(q: SimpleNamespace, who: SimpleNamespace, at: SimpleNamespace) -> None:
    swatches = np.array([linear(swatch) for swatch in MONK_SWATCHES])
    skin = swatches[at.skin_level.astype(int) - 1]
    # A swatch is grey-balanced print; blood gives living skin less green and blue, light skin most.
    warm = 1 + who.undertone * 0.06
    skin = skin * np.stack([np.full_like(warm, 0.93), 0.78 * warm**0.5, 0.66 / warm], axis=1)
    skin = skin + np.array([0.040, 0.021, 0.013])  # the dark swatches leave out the light that skin scatters
    q.skin = _colour(skin)
    q.lip_rgb = _colour(skin * [0.80, 0.50, 0.52] + [0.018, 0.0, 0.003])
    coloured = np.array([linear(HAIR_COLOURS[name]) for name in at.hair_colour])
    q.hair_rgb = _colour(coloured)
    q.beard_rgb = _colour(coloured * 0.75)
    q.brow_rgb = _colour(coloured * 0.45 + skin * 0.03)
    q.lash_rgb = _colour(coloured * 0.12 + 0.004)
    q.sheen = 0.75 - 0.35 * (np.char.find(at.hair_colour.astype(str), "white") >= 0)
    q.gloss = 0.050 + 0.001 * at.skin_level


def _hair(q: SimpleNamespace, who: SimpleNamespace, at: SimpleNamespace, turn, nod) -> None:
    cut = np.array([CUTS[name] for name in at.hair_style], float).reshape(-1, 10)
    top, side, short, long_, line, bare, rough, curl, part, behind = cut.T
    length = at.hair_length
    grown = 0.75 + 0.5 * length
    covered = at.hat != "none"  # a hat presses the hair down and leaves no room for a bun
    top = np.where(covered, np.minimum(top, 0.04), top)
    q.length = length
    q.has_hair = np.where(at.hair_style == "bald", 0.0, np.where(at.hair_style == "buzz", 0.88, 1.0))
    q.hair_x = -0.05 * turn
    q.crown_x = -0.05 * turn + part * 0.35
    q.hair_w = q.head_w * 1.01 + side * grown
    q.hair_y = 0.02 + 0.05 * nod
    q.hair_h = q.head_up + q.hair_y + top * grown
    q.hair_end = short + (long_ - short) * length
    q.is_round = np.isin(at.hair_style, ("afro", "curly")).astype(float)
    q.hair_low = q.hair_h / np.maximum(q.hair_end - q.hair_y + 0.10, 0.2)
    q.rough = rough * np.where(curl > 0, 1.6, 1.0)
    q.curl = curl
    q.sway = np.where(at.hair_style == "wavy", 70.0, 16.0)
    q.parting = part * 0.55
    q.fringe_rough = np.where(at.hair_style == "fringe", 1.6, 0.7)
    q.hair_soft = np.where(at.hair_style == "buzz", 0.06, 0.014)
    receding = 0.05 * np.clip((at.age - 45) / 35, 0, 1) * (line < 0.1)
    hairline = -0.39 + line - 0.07 * who.forehead - receding + 0.20 * nod
    q.open_x = q.middle * 0.75
    q.open_y = 0.02 + 0.20 * nod
    q.open_w = q.head_w * bare
    q.open_h = q.open_y - hairline
    q.hair_shadow = np.where(at.hair_style == "bald", 0.0, 0.30)
    q.is_behind = behind
    q.is_bun = ((at.hair_style == "bun") & ~covered).astype(float)
    wears = at.facial_hair
    q.wears_moustache = np.isin(wears, ("moustache", "goatee", "beard", "stubble")).astype(float)
    q.wears_goatee = np.isin(wears, ("goatee", "beard", "stubble")).astype(float)
    q.wears_beard = np.isin(wears, ("beard", "stubble")).astype(float)
    q.beard_dense = np.where(wears == "stubble", 0.34, 0.93)


def _wear(q: SimpleNamespace, at: SimpleNamespace, turn) -> None:
    q.glasses, q.hat, q.background = at.glasses, at.hat, at.background
    # Glasses stand on the nose in front of the face, so they move a little more than the eyes.
    q.lens_middle = q.middle + 0.03 * turn
    q.lens_right, q.lens_left = q.eye_right + 0.03 * turn, q.eye_left + 0.03 * turn
    sun = at.glasses == "sunglasses"
    q.round_glass = (at.glasses == "round").astype(float)
    q.lens_w = np.where(at.glasses == "round", 0.132, 0.150)
    q.lens_h = np.where(at.glasses == "round", 0.122, np.where(sun, 0.108, 0.098))
    q.lens_alpha = np.where(sun, 0.93, 0.07)
    q.lens_rgb = _colour(np.where(sun[:, None], [[0.020, 0.017, 0.016]], [[0.75, 0.85, 0.9]]))
    q.glare = np.where(sun, 0.14, 0.22)
    q.rim = 0.011 + 0.007 * (at.accessory_hue * 7 % 1)
    dark = (at.accessory_hue * 13 % 1) < 0.65
    q.frame_rgb = _colour(_hues(at.accessory_hue, np.where(dark, 0.35, 0.5), np.where(dark, 0.16, 0.55)))
    q.hat_x = -0.03 * turn
    q.hat_y = np.full_like(turn, -0.33)
    q.bill_x = 0.30 * turn
    level = 0.25 + 0.55 * (at.accessory_hue * 5 % 1)
    q.hat_rgb = _colour(_hues(at.accessory_hue, 0.50, level))
    q.bill_rgb = _colour(_hues((at.accessory_hue + 0.45) % 1, 0.45, np.maximum(level - 0.2, 0.12)))
    q.neck_w = q.head_w * 0.60
    q.collar_y = np.full_like(turn, 0.02)
    q.shoulder = np.full_like(turn, 0.20)
    q.is_v = (at.clothes == "v_neck").astype(float)
    q.is_collar = (at.clothes == "collar").astype(float)
    q.is_high = (at.clothes == "turtleneck").astype(float)
    value = 0.16 + 0.70 * at.clothes_level
    q.cloth = _colour(_hues(at.clothes_hue, 0.15 + 0.5 * (at.clothes_hue * 11 % 1), value))
    q.collar = _colour(_hues(at.clothes_hue, 0.10, np.minimum(value + 0.22, 0.95)))
    value = 0.30 + 0.55 * at.background_level
    saturation = 0.06 + 0.26 * (at.background_hue * 9 % 1)
    q.wall_a = _colour(_hues(at.background_hue, saturation, value))
    plain = at.background == "plain"
    far = np.where(plain, value - 0.06, np.maximum(value - 0.32, 0.08))
    q.wall_b = _colour(_hues((at.background_hue + np.where(plain, 0.0, 0.08)) % 1, saturation * 1.1, far))
    angle = 2 * np.pi * (at.background_hue * 17 % 1)
    q.wall_x, q.wall_y = 0.45 * np.cos(angle), 0.45 * np.sin(angle)
    q.lamp = _colour(_hues((at.background_hue + 0.12) % 1, 0.25, np.minimum(value + 0.32, 1.0)))
    leafy = (at.background == "foliage")[:, None]
    q.wall_a = np.where(leafy[..., None, None], q.wall_b * _colour([[0.45, 0.60, 0.30]]), q.wall_a).astype(F32)
    q.leaf = _colour(_hues(0.18 + 0.14 * at.background_hue, 0.45, 0.30 + 0.40 * at.background_level))
    q.window_x = 0.9 * (at.background_level - 0.5)


def _light(q: SimpleNamespace, at: SimpleNamespace) -> None:
    azimuth, elevation = np.radians(at.light_azimuth), np.radians(at.light_elevation)
    q.light_x = np.sin(azimuth) * np.cos(elevation)
    q.light_y = -np.sin(elevation)
    q.light_z = np.cos(azimuth) * np.cos(elevation)
    q.contrast = at.light_contrast
    q.warm = at.light_warmth
    q.body_light = 0.95 - 0.25 * at.light_contrast
    q.exposure, q.saturation, q.blur, q.noise = at.exposure, at.saturation, at.blur, at.noise
