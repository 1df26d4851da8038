"""Variants of the exercises: the book's answer in another form or with other numbers (``exercises/variants.yml``)."""

from __future__ import annotations

import functools
from fractions import Fraction
from numbers import Rational
from pathlib import Path

import numpy as np


@functools.cache
def table() -> dict[str, list[dict]]:
    """``{"2.1": [variant 1, ...], ..., "forms": {...}}``: forms (`as`), numbers (`set`) and words of every variant."""
    import yaml  # which the page's Python has not

    path = Path(__file__).parents[1] / "exercises" / "variants.yml"
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def back(form, answer):
    """An answer, or a function's, in a variant's form (a name, ``[factor, shift]``, a mapping), in the book's form.

    Examples
    --------
    >>> back(["1/22100", 0], 3), float(back("rest", 0.25)), back({"even": False}, "even")
    (66300, 0.75, False)
    """
    if form is None:
        return answer
    if callable(answer):
        return lambda *given: back(form, answer(*given))
    if isinstance(form, dict):
        return form[answer]
    if isinstance(answer, tuple) and form != "reversed":
        return tuple(back(form, one) for one in answer)
    if isinstance(form, str):
        answer = float(answer) if isinstance(answer, Fraction) else answer  # of which numpy has no root
        return eval(table()["forms"][form]["back"], {"np": np, "y": answer})
    factor, shift = (Fraction(str(number)) for number in form)
    if np.ndim(answer):
        return (np.asarray(answer, float) - float(shift)) / float(factor)
    answer = answer if isinstance(answer, Rational) else float(answer + 0)  # a text cannot be added to
    exact = (Fraction(answer) - shift) / factor if isinstance(answer, Rational) or np.isfinite(answer) else answer
    if isinstance(exact, Fraction) and abs(exact - round(exact)) <= abs(exact) * Fraction(1, 10**12):
        return round(exact)  # what only rounding keeps from a whole number
    return float(exact)
