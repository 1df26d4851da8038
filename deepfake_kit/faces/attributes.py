r"""Who is drawn and how: the attribute table of the drawn faces and its random streams.

Face ``i`` of seed ``s`` takes its numbers from counter-based Philox streams keyed by
``(s, i)`` (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011), one
stream for the person, one for the scene, one for the camera noise. No stream is shared
by two faces, so a face never depends on the batch it was drawn in.

Every attribute is drawn independently of every other, with one exception: grey hair
becomes likelier with age. A data set about fairness starts from no correlation and adds
its own.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pandas as pd
import torch

from deepfake_kit.valid import one_of

#: The identity vector, one number in [-1, 1] each. None of them moves with expression or pose.
IDENTITY_NAMES = tuple(
    "face_width face_length jaw_width jaw_square cheeks eye_spacing eye_size eye_tilt iris_hue iris_lightness "
    "brow_height brow_thickness brow_arch nose_length nose_width mouth_height mouth_width lip_fullness ear_size "
    "forehead undertone".split()
)

#: sRGB swatches of the ten-level Monk Skin Tone scale (E. Monk, "The Monk Skin Tone Scale", 2019).
MONK_SWATCHES = tuple("#f6ede4 #f3e7db #f7ead0 #eadaba #d7bd96 #a07e56 #825c43 #604134 #3a312a #292420".split())
HAIR_COLOURS = {  # name -> sRGB of the lit hair
    "black": "#231d1b",
    "dark_brown": "#402a20",
    "brown": "#69432c",
    "chestnut": "#7d3f28",
    "auburn": "#96492b",
    "blond": "#cfa766",
    "grey": "#9a9895",
    "white": "#dcd9d3",
}
HAIR_STYLES = ("bald", "buzz", "short", "side_part", "quiff", "curly", "afro", "bob", "fringe", "long", "wavy", "bun")
FACIAL_HAIR = ("none", "stubble", "moustache", "goatee", "beard")
GLASSES = ("none", "round", "square", "sunglasses")
HATS = ("none", "beanie", "cap", "fedora")
BACKGROUNDS = ("plain", "gradient", "bokeh", "window", "foliage")
CLOTHES = ("crew", "v_neck", "collar", "turtleneck")


@dataclass(frozen=True)
class Attribute:
    """One column of the attribute table: its valid values, its unit and what it belongs to."""

    scope: str  # person | expression | pose | light | scene | camera
    values: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 1.0
    unit: str = "1"
    whole: bool = False

    def describe(self) -> str:
        """Say in words which values are valid."""
        if self.values:
            return "one of " + ", ".join(self.values)
        return f"a {'whole ' if self.whole else ''}number from {self.low:g} to {self.high:g}"


ATTRIBUTES: dict[str, Attribute] = {
    "skin_level": Attribute("person", low=1, high=10, unit="Monk level", whole=True),
    "age": Attribute("person", low=18, high=85, unit="years"),
    "hair_style": Attribute("person", HAIR_STYLES),
    "hair_colour": Attribute("person", tuple(HAIR_COLOURS)),
    "hair_length": Attribute("person"),
    "facial_hair": Attribute("person", FACIAL_HAIR),
    "freckles": Attribute("person"),
    "glasses": Attribute("scene", GLASSES),
    "hat": Attribute("scene", HATS),
    "accessory_hue": Attribute("scene"),
    "smile": Attribute("expression", low=-1),
    "mouth_open": Attribute("expression"),
    "brow_raise": Attribute("expression", low=-1),
    "eye_open": Attribute("expression", low=0.25),
    "gaze_x": Attribute("expression", low=-1),
    "gaze_y": Attribute("expression", low=-1),
    "yaw": Attribute("pose", low=-35, high=35, unit="degrees"),
    "pitch": Attribute("pose", low=-20, high=20, unit="degrees"),
    "roll": Attribute("pose", low=-25, high=25, unit="degrees"),
    "shift_x": Attribute("pose", low=-0.15, high=0.15, unit="half image"),
    "shift_y": Attribute("pose", low=-0.15, high=0.15, unit="half image"),
    "zoom": Attribute("pose", low=0.8, high=1.25),
    "light_azimuth": Attribute("light", low=-75, high=75, unit="degrees"),
    "light_elevation": Attribute("light", low=-15, high=70, unit="degrees"),
    "light_contrast": Attribute("light", low=0.1, high=0.8),
    "light_warmth": Attribute("light", low=-1),
    "background": Attribute("scene", BACKGROUNDS),
    "background_hue": Attribute("scene"),
    "background_level": Attribute("scene"),
    "clothes": Attribute("scene", CLOTHES),
    "clothes_hue": Attribute("scene"),
    "clothes_level": Attribute("scene"),
    "exposure": Attribute("camera", low=0.7, high=1.3),
    "saturation": Attribute("camera", low=0.6, high=1.3),
    "blur": Attribute("camera", low=0, high=0.25, unit="weight of each neighbouring pixel"),
    "noise": Attribute("camera", low=0, high=0.06, unit="standard deviation at mid grey"),
}
_PERSON, _SCENE, _NOISE = 1, 2, 3


def streams(seed: int, indices: np.ndarray, purpose: int) -> Iterator[np.random.Philox]:
    """Open the counter-based stream of each face: key (seed, index), counter set by the purpose.

    One generator is set to the start of each stream in turn: five times as fast as a new one for each.
    """
    philox = np.random.Philox(key=0)
    state = philox.state
    state["state"]["counter"][:] = (0, 0, 0, purpose)
    state["state"]["key"][0] = seed
    for index in indices:
        state["state"]["key"][1] = index
        philox.state = state
        yield philox


@lru_cache(maxsize=1)
def _quantiles() -> np.ndarray:
    """Normal quantiles of the middles of 65,536 equal slices of probability."""
    middles = (torch.arange(65536, dtype=torch.float64) + 0.5) / 65536
    return torch.special.ndtri(middles).float().numpy()


def camera_noise(seed: int, indices: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Standard normal float32 noise [n, *shape] of some faces, for each the same in every batch.

    Sixteen random bits choose a quantile: three times as fast as the ziggurat, and no value
    lies beyond 4.3 standard deviations.
    """
    count = math.prod(shape)
    noise = np.empty((len(indices), count), np.float32)
    for row, philox in zip(noise, streams(seed, indices, _NOISE), strict=True):
        bits = philox.random_raw(-(-count // 4)).astype("<u8", copy=False).view("<u2")[:count]
        _quantiles().take(bits, out=row, mode="clip")  # nothing to clip, but NumPy then skips a copy
    return noise.reshape(-1, *shape)


class _Uniforms:
    """Hands out the columns of a [n, k] table of uniforms one by one."""

    def __init__(self, seed: int, indices: np.ndarray, purpose: int, columns: int = 96):
        self._table = np.empty((len(indices), columns))
        for row, philox in zip(self._table, streams(seed, indices, purpose), strict=True):
            np.random.Generator(philox).random(out=row)
        self._next = 0

    def unit(self) -> np.ndarray:
        column = self._table[:, self._next]
        self._next += 1
        return column

    def span(self, low: float, high: float) -> np.ndarray:
        return low + (high - low) * self.unit()

    def bell(self) -> np.ndarray:
        """Sum of four uniforms, scaled to variance 1: nearly normal, never beyond 3.47."""
        return (self.unit() + self.unit() + self.unit() + self.unit() - 2.0) * np.sqrt(3.0)

    def pick(self, weights: dict[str, float]) -> np.ndarray:
        edges = np.cumsum(list(weights.values())) / sum(weights.values())
        chosen = np.minimum(np.searchsorted(edges, self.unit(), side="right"), len(edges) - 1)
        return np.array(list(weights), dtype=object)[chosen]


def sample_people(seed: int, people: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Draw the identity vectors [n, K] and the person columns of the table."""
    u = _Uniforms(seed, people, _PERSON)
    identity = np.stack([np.clip(u.bell() * 0.55, -1, 1) for _ in IDENTITY_NAMES], axis=1)
    age = 18 + 67 * u.unit() ** 1.35
    colour = u.pick({"black": 30, "dark_brown": 22, "brown": 18, "chestnut": 7, "auburn": 7, "blond": 16})
    turns_grey, how_grey = u.unit(), u.unit()
    grey = turns_grey < np.clip((age - 40) / 35, 0, 0.95)
    colour[grey & (how_grey < 0.65)] = "grey"
    colour[grey & (how_grey >= 0.65)] = "white"
    columns = {
        "skin_level": 1 + np.minimum((10 * u.unit()).astype(np.int64), 9),
        "age": age,
        "hair_style": u.pick(dict(zip(HAIR_STYLES, (5, 8, 14, 13, 8, 8, 6, 9, 7, 10, 8, 6)))),
        "hair_colour": colour,
        "hair_length": u.unit(),
        "facial_hair": u.pick({"none": 68, "stubble": 10, "moustache": 5, "goatee": 6, "beard": 11}),
        "freckles": np.clip((u.unit() - 0.75) * 4, 0, 1),
    }
    return identity.astype(np.float32), columns


def sample_scenes(seed: int, indices: np.ndarray) -> dict[str, np.ndarray]:
    """Draw everything that is not the person: expression, pose, light, setting and camera."""
    u = _Uniforms(seed, indices, _SCENE)
    bounded = {name: (a.low, a.high) for name, a in ATTRIBUTES.items() if not a.values}

    def normal(name: str, mean: float, deviation: float) -> np.ndarray:
        return np.clip(mean + deviation * u.bell(), *bounded[name])

    return {
        "glasses": u.pick({"none": 66, "round": 13, "square": 14, "sunglasses": 7}),
        "hat": u.pick({"none": 82, "beanie": 7, "cap": 6, "fedora": 5}),
        "accessory_hue": u.unit(),
        "smile": u.span(-0.6, 1.0),
        "mouth_open": u.unit() ** 2.2,
        "brow_raise": normal("brow_raise", 0.0, 0.5),
        "eye_open": np.clip(1.15 - 0.75 * u.unit() ** 3, 0.25, 1.0),
        "gaze_x": normal("gaze_x", 0.0, 0.45),
        "gaze_y": normal("gaze_y", 0.0, 0.35),
        "yaw": normal("yaw", 0.0, 12.0),
        "pitch": normal("pitch", 0.0, 6.0),
        "roll": normal("roll", 0.0, 6.0),
        "shift_x": normal("shift_x", 0.0, 0.035),
        "shift_y": normal("shift_y", 0.0, 0.03),
        "zoom": normal("zoom", 1.0, 0.06),
        "light_azimuth": u.span(-65, 65),
        "light_elevation": u.span(-5, 60),
        "light_contrast": u.span(0.25, 0.7),
        "light_warmth": normal("light_warmth", 0.1, 0.4),
        "background": u.pick({"plain": 20, "gradient": 25, "bokeh": 20, "window": 17, "foliage": 18}),
        "background_hue": u.unit(),
        "background_level": u.unit(),
        "clothes": u.pick({"crew": 35, "v_neck": 22, "collar": 25, "turtleneck": 18}),
        "clothes_hue": u.unit(),
        "clothes_level": u.unit(),
        "exposure": normal("exposure", 1.0, 0.08),
        "saturation": normal("saturation", 1.0, 0.1),
        "blur": u.span(0.0, 0.16),
        "noise": u.span(0.003, 0.022),
    }


def check_column(name: str, given, n: int) -> np.ndarray:
    """Validate a value, or `n` of them, for one attribute or identity number.

    Raises
    ------
    ValueError
        If the name is unknown (the nearest valid one is offered) or a value is not valid.
    """
    one_of("attribute", name, (*ATTRIBUTES, *IDENTITY_NAMES))
    attribute = ATTRIBUTES.get(name, Attribute("person", low=-1))
    try:
        column = np.asarray(given)
    except ValueError as problem:
        raise ValueError(f"{name}: got {given!r}; valid: one value, or one for each of the {n} faces") from problem
    if column.ndim > 1 or (column.ndim == 1 and len(column) != n):
        raise ValueError(f"{name}: got shape {column.shape}; valid: one value, or one for each of the {n} faces")
    column = np.broadcast_to(column, (n,))
    if attribute.values:
        column = column.astype(object)
        try:
            found = pd.unique(column)
        except TypeError:  # something that cannot be looked up, such as a dict
            found = column
        for value in found:
            one_of(name, value, attribute.values)
        return column
    if column.dtype.kind not in "iuf":
        raise ValueError(f"{name}: got {given!r}; valid: {attribute.describe()}")
    inside = (column >= attribute.low) & (column <= attribute.high)
    if not inside.all():
        raise ValueError(f"{name}: got {column[~inside][0]}; valid: {attribute.describe()}")
    if attribute.whole:
        if (column != np.round(column)).any():
            raise ValueError(f"{name}: got {column[column != np.round(column)][0]}; valid: {attribute.describe()}")
        return column.astype(np.int64)
    return column.astype(np.float64)
