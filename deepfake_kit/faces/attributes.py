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
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
import pandas as pd
import torch

from deepfake_kit.paths import beside
from deepfake_kit.valid import invalid, one_of, require

_TABLE = beside(__file__)
IDENTITY_NAMES = tuple(_TABLE["identity"])
MONK_SWATCHES = tuple(_TABLE["monk_swatches"])
HAIR_COLOURS, CUTS = _TABLE["hair_colours"], _TABLE["cuts"]


@dataclass(frozen=True)
class Attribute:
    """One column of the attribute table: what it belongs to, its valid values, its unit, and how it is drawn."""

    scope: str  # person | expression | pose | light | scene | camera
    values: tuple[str, ...] = ()
    low: float = 0.0
    high: float = 1.0
    unit: str = "1"
    whole: bool = False
    pick: dict[str, float] = field(default_factory=dict)
    span: tuple[float, float] = ()
    bell: tuple[float, float] = ()
    curve: tuple[float, float, float] = ()

    def __post_init__(self):
        object.__setattr__(self, "values", tuple(self.pick or self.values))

    def describe(self) -> str:
        """Say in words which values are valid."""
        if self.values:
            return "one of " + ", ".join(self.values)
        return f"a {'whole ' if self.whole else ''}number from {self.low:g} to {self.high:g}"


ATTRIBUTES: dict[str, Attribute] = {name: Attribute(**known) for name, known in _TABLE["attributes"].items()}
HAIR_STYLES = ATTRIBUTES["hair_style"].values
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

    def bell(self) -> np.ndarray:
        """Sum of four uniforms, scaled to variance 1: nearly normal, never beyond 3.47."""
        return (self.unit() + self.unit() + self.unit() + self.unit() - 2.0) * np.sqrt(3.0)

    def pick(self, weights: dict[str, float]) -> np.ndarray:
        edges = np.cumsum(list(weights.values())) / sum(weights.values())
        chosen = np.minimum(np.searchsorted(edges, self.unit(), side="right"), len(edges) - 1)
        return np.array(list(weights), dtype=object)[chosen]

    def drawn(self, attribute: Attribute) -> np.ndarray:
        """A column as the attribute says."""
        if attribute.pick:
            return self.pick(attribute.pick)
        if attribute.span:
            low, high = attribute.span
            return low + (high - low) * self.unit()
        if attribute.bell:
            mean, deviation = attribute.bell
            column = mean + deviation * self.bell()
        else:
            start, slope, power = attribute.curve
            column = start + slope * self.unit() ** power
        return np.clip(column, attribute.low, attribute.high)


def sample_people(seed: int, people: np.ndarray) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """Draw the identity vectors [n, K] and the person columns of the table."""
    u = _Uniforms(seed, people, _PERSON)
    identity = np.stack([np.clip(u.bell() * 0.55, -1, 1) for _ in IDENTITY_NAMES], axis=1)
    age = 18 + 67 * u.unit() ** 1.35
    colour = u.pick(_TABLE["young_hair"])
    turns_grey, how_grey = u.unit(), u.unit()
    grey = turns_grey < np.clip((age - 40) / 35, 0, 0.95)
    colour[grey & (how_grey < 0.65)] = "grey"
    colour[grey & (how_grey >= 0.65)] = "white"
    columns = {
        "skin_level": 1 + np.minimum((10 * u.unit()).astype(np.int64), 9),
        "age": age,
        "hair_style": u.pick(ATTRIBUTES["hair_style"].pick),
        "hair_colour": colour,
        "hair_length": u.unit(),
        "facial_hair": u.pick(ATTRIBUTES["facial_hair"].pick),
        "freckles": np.clip((u.unit() - 0.75) * 4, 0, 1),
    }
    return identity.astype(np.float32), columns


def sample_scenes(seed: int, indices: np.ndarray) -> dict[str, np.ndarray]:
    """Draw everything that is not the person: expression, pose, light, setting and camera."""
    u = _Uniforms(seed, indices, _SCENE)
    return {name: u.drawn(known) for name, known in ATTRIBUTES.items() if known.scope != "person"}


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
        raise invalid(name, repr(given), f"one value, or one for each of the {n} faces") from problem
    if column.ndim > 1 or (column.ndim == 1 and len(column) != n):
        raise invalid(name, column, f"one value, or one for each of the {n} faces")
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
    require(column.dtype.kind in "iuf", name, given, attribute.describe())
    inside = (column >= attribute.low) & (column <= attribute.high)
    if not inside.all():
        raise invalid(name, column[~inside][0], attribute.describe())
    if attribute.whole:
        if (column != np.round(column)).any():
            raise invalid(name, column[column != np.round(column)][0], attribute.describe())
        return column.astype(np.int64)
    return column.astype(np.float64)
