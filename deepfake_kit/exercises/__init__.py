"""Graders of the exercises, one module a chapter."""

from __future__ import annotations

import numpy as np


class Unfit(TypeError):
    """An answer of the wrong kind; the message is the hint."""


def numbers(value) -> np.ndarray:
    """An answer as float64, of its own shape; texts and complex numbers are refused."""
    if np.asarray(value).dtype.kind in "SUc":
        raise Unfit(f"numbers were asked for, not {value!r:.60}.")
    return np.asarray(value, dtype=float)


def number(value) -> float:
    """An answer that is one number, not an array with an axis."""
    if np.ndim(value):
        raise Unfit(f"one number was asked for, not an array of shape {np.shape(value)}.")
    return float(numbers(value))


def near(ours, right, slack: float = 1e-9) -> bool:
    """Whether two answers have one shape and the same finite numbers; texts must be equal."""
    if isinstance(right, str):
        return isinstance(ours, str) and ours == right
    ours, right = numbers(ours), numbers(right)
    return ours.shape == right.shape and bool(np.all(np.abs(ours - right) <= slack * np.maximum(1, np.abs(right))))


def compared(answer, cases, right, slips: dict, otherwise: str, slack: float = 1e-9) -> str | None:
    """Hold an answer against the right function: None, or a hint.

    Parameters
    ----------
    answer : callable
        The student's. It gets copies of arrays, and may not change them.
    cases : iterable of tuple
        Arguments.
    right : callable
        The same function, right.
    slips : dict
        A hint: the function of somebody who needs it, or options that make `right` that function.
    otherwise : str
        The hint where no slip fits; ``{0}`` stands for the first argument.
    slack : float
        What may be off, relative above 1 and absolute below.

    Returns
    -------
    str or None
        A hint, or None where every case is right.

    Examples
    --------
    >>> compared(lambda x: x + x, [(2,), (3,)], lambda x: x**2, {"Multiply.": lambda x: 2 * x}, "What is {0} squared?")
    'Multiply.'
    """
    for given in cases:
        mine = [one.copy() if isinstance(one, np.ndarray) else one for one in given]
        ours, wanted = answer(*mine), right(*given)
        if not all(np.array_equal(a, b, True) for a, b in zip(mine, given, strict=True) if isinstance(b, np.ndarray)):
            return "your function changes what it is given: work on a copy."
        if near(ours, wanted, slack):
            continue
        if not isinstance(wanted, str) and np.shape(ours) != np.shape(wanted):
            return f"asked is an answer of shape {np.shape(wanted)}, yours has {np.shape(ours)}."
        for hint, slip in slips.items():
            if near(ours, right(*given, **slip) if isinstance(slip, dict) else slip(*given), slack):
                return hint
        return otherwise.format(*given)
    return None


def numbered(chapter: int, *graders) -> dict:
    """The graders of a chapter by their exercise's number, in the book's order."""
    return {f"{chapter}.{place}": grader for place, grader in enumerate(graders, 1)}
