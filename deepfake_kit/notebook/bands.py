"""Your run beside the book's: is each number where it falls when only the seed changes?

``chapters/<chapter>.bands.json`` holds, a profile, what ``tests/notebooks/bands.py`` measured over many seeds.
"""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import NamedTuple

from deepfake_kit import provenance
from deepfake_kit.notebook import settings

FALSE_ALARM = 0.05  # chance that a run of the same code with another seed has any number outside


class Line(NamedTuple):
    """One number of a run and its band; `away` is its distance from the middle in half-widths, over 1 outside.

    A number that the run did not give, or that is NaN, is infinitely far away.
    """

    id: str
    value: float
    low: float
    high: float
    away: float

    def __str__(self) -> str:
        word = "inside" if self.away <= 1 else f"OUTSIDE, {self.away:.2g} half-widths from the middle"
        return f"{self.id}: {self.value:.5g}, the book's {self.low:.5g} to {self.high:.5g}: {word}"


def file(chapter: str) -> Path:
    """Where a chapter's bands lie."""
    return settings.FOLDER / f"{chapter}.bands.json"


def load(chapter: str, profile: str) -> dict | None:
    """The measured numbers behind a chapter's bands at a profile, or None where nobody measured."""
    path = file(chapter)
    return json.loads(path.read_text(encoding="utf-8")).get(profile) if path.is_file() else None


def numbers(records: list[dict]) -> dict[str, float]:
    """The numbers of a run by id: those in its prose, and those it held against claims (``id[0]`` if several)."""
    found = {}
    for record in records:
        if record["type"] not in ("value", "claim"):
            continue
        if not isinstance(x := record["value"], str | bool) or x in ("nan", "inf", "-inf"):
            names = [f"{record['id']}[{k}]" for k in range(len(x))] if isinstance(x, list) else [record["id"]]
            found |= dict(zip(names, map(float, x if isinstance(x, list) else [x]), strict=True))
    return found


def interval(values: list[float], tests: int) -> tuple[float, float]:
    r"""Where one more seed's number falls, with chance :math:`(1-0.05)^{1/m}` for each of m numbers.

    The prediction interval of normal draws, :math:`\bar x\pm t_{n-1}\,s\sqrt{1+1/n}`. Draws that are not normal by the
    test of Shapiro and Wilk (p < .01, eight or more) have a heavy tail or a bound: theirs is taken on the scale of
    :math:`\operatorname{arsinh}(x/\operatorname{median}|x|)` and leaves the width of all draws on either side of them.
    Where the seed changes nothing, it is what rounding may move.

    Parameters
    ----------
    values : list of float
        One a seed.
    tests : int
        How many numbers that vary are judged together.

    Examples
    --------
    >>> low, high = interval([1.0, 2.0, 3.0], 1)
    >>> round(low, 2), round(high, 2)
    (-2.97, 6.97)
    """
    import numpy as np
    from scipy import stats

    x = np.asarray(values, dtype=float)
    rounding = 1e-9 + 1e-5 * abs(x).max()
    if not varies(values):
        return float(x.mean() - rounding), float(x.mean() + rounding)
    heavy = len(x) >= 8 and stats.shapiro(x).pvalue < 0.01
    scale = np.median(abs(x)) or abs(x).max()
    y = np.arcsinh(x / scale) if heavy else x
    t = stats.t.ppf((1 + (1 - FALSE_ALARM) ** (1 / max(1, tests))) / 2, len(x) - 1)
    ends = y.mean() + np.array([-1, 1]) * t * y.std(ddof=1) * (1 + 1 / len(x)) ** 0.5
    if heavy:
        ends = scale * np.sinh([min(ends[0], 2 * y.min() - y.max()), max(ends[1], 2 * y.max() - y.min())])
    return float(ends[0] - rounding), float(ends[1] + rounding)


def varies(values: list[float]) -> bool:
    """Whether a number changes with the seed, by more than rounding."""
    return max(values) - min(values) > 1e-9 + 1e-6 * max(map(abs, values))


def compare(found: dict[str, float], band: dict) -> list[Line]:
    """Each of a run's numbers beside its band; those outside come first, the farthest first.

    Parameters
    ----------
    found : dict
        The run's numbers, see :func:`numbers`.
    band : dict
        See :func:`load`.
    """
    tests = sum(varies(values) for values in band["numbers"].values())
    lines = []
    for name, values in band["numbers"].items():
        x, (low, high) = found.get(name, math.nan), interval(values, tests)
        away = math.inf if math.isnan(x) else abs(x - (low + high) / 2) / ((high - low) / 2)
        lines.append(Line(name, x, low, high, away))
    return sorted(lines, key=lambda line: -line.away)


def causes(about: dict, band: dict) -> list[str]:
    """What may have moved a run's numbers: data, parameters, libraries, code that are not those of the bands.

    Parameters
    ----------
    about : dict
        ``data``, ``parameters`` and ``environment`` of the run.
    band : dict
        See :func:`load`.
    """
    found = [f"{row['name']} was a stand-in" for row in about["data"] if row["stand_in"]]
    found += [
        f"parameter {name} is {x!r}, there {band['parameters'][name]!r}"
        for name, x in about["parameters"].items()
        if name in band["parameters"] and band["parameters"][name] != x
    ]
    here = about["environment"]["versions"]
    found += [f"{name} {here[name]}, there {x}" for name, x in band["versions"].items() if here.get(name, x) != x]
    changed = [name for name, digest in band["code"].items() if provenance.module_code(name) != digest]
    return found + ([f"code that changed since: {', '.join(changed)}"] if changed else [])


def report(about: dict, chapter: str, profile: str, records: list[dict]) -> list[str]:
    """Your run beside the book's, a line a number; the first says how many lie inside, the last why some may not.

    Parameters
    ----------
    about : dict
        See :func:`causes`.
    chapter, profile : str
    records : list of dict
        What the run recorded.
    """
    band = load(chapter, profile)
    if band is None:
        return [f"How far the numbers of {chapter} move with the seed was not measured at profile {profile}."]
    lines = compare(numbers(records), band)
    outside = [line for line in lines if line.away > 1]
    words = [
        f"{len(lines) - len(outside)} of {len(lines)} numbers lie where the book's {len(band['seeds'])} seeds at "
        f"profile {profile} put them; with another seed one run in twenty has some outside."
    ]
    same = "data, parameters, libraries and code are the same: chance, or this notebook"
    why = "; ".join(causes(about, band)) or same
    return words + [str(line) for line in lines] + ([f"Likely causes: {why}."] if outside else [])
