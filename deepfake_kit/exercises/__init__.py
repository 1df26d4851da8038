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
