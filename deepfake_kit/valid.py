"""Refuse bad input in one voice: which argument, what was given, what is valid."""

from __future__ import annotations

import argparse
import contextlib
import difflib
from collections.abc import Callable, Iterable
from numbers import Integral


def one_of(argument: str, given, valid: Iterable[str]) -> str:
    """Return `given` if it is one of the `valid` names.

    Parameters
    ----------
    argument : str
        What the name stands for, as the message shall call it.
    given : str
        The name to look up.
    valid : iterable of str
        Every accepted name.

    Raises
    ------
    ValueError
        If `given` is not a valid name; the message offers the nearest one and lists all.

    Examples
    --------
    >>> one_of("profile", "book", ["smoke", "book", "paper"])
    'book'
    >>> one_of("profile", "boook", ["smoke", "book", "paper"])
    Traceback (most recent call last):
    ValueError: unknown profile 'boook'; did you mean 'book'? valid: smoke, book, paper
    """
    names = list(valid)
    if given in names:
        return given
    near = [name for word in (str(given), str(given).lower()) for name in difflib.get_close_matches(word, names, n=1)]
    hint = f" did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"unknown {argument} {given!r};{hint} valid: {', '.join(names)}")


def whole(argument: str, given, low: int, high: int) -> int:
    """Return `given` as an int if it is a whole number, python's or numpy's, from `low` to `high`.

    Raises
    ------
    ValueError
        If it is not; True and False do not count as numbers.

    Examples
    --------
    >>> whole("seed", 3, 0, 9)
    3
    >>> whole("seed", True, 0, 9)
    Traceback (most recent call last):
    ValueError: seed: got True; valid: a whole number from 0 to 9
    """
    if not isinstance(given, Integral) or isinstance(given, bool) or not low <= given <= high:
        raise ValueError(f"{argument}: got {given!r}; valid: a whole number from {low} to {high}")
    return int(given)


def spelt(kind: type, valid: str, fits: Callable[[float], bool] = lambda number: True) -> Callable[[str], float]:
    """For argparse, as ``type=``: reads a word as a number of this kind that fits; its error says what is `valid`.

    >>> seconds("2.5")
    2.5
    """

    def number(word: str) -> float:
        with contextlib.suppress(ValueError):
            if fits(found := kind(word)):
                return found
        raise argparse.ArgumentTypeError(f"got {word!r}; valid: {valid}")

    return number


seconds = spelt(float, "a number of seconds above 0", lambda number: 0 < number < float("inf"))


def finite(argument: str, given):
    """Return `given`, an array or tensor, if all of its numbers are finite.

    Raises
    ------
    ValueError
        If some are not a number or infinite; the message says how many.

    Examples
    --------
    >>> finite("scores", [1.0, 2.0])
    [1.0, 2.0]
    >>> finite("scores", [1.0, float("nan")])
    Traceback (most recent call last):
    ValueError: scores: got 1 of 2 numbers that are not finite; valid: finite numbers
    """
    import numpy as np

    good = given.isfinite() if hasattr(given, "isfinite") else np.isfinite(np.asarray(given, dtype=float))
    if not good.all():
        bad = int((~good).sum())
        size = good.numel() if hasattr(good, "numel") else good.size
        raise ValueError(f"{argument}: got {bad} of {size} numbers that are not finite; valid: finite numbers")
    return given


def numbers(given):
    """An array or a tensor of any float type and device as a float64 array.

    >>> import torch
    >>> numbers(torch.ones(2, dtype=torch.bfloat16)).tolist()
    [1.0, 1.0]
    """
    import numpy as np

    return given.detach().cpu().double().numpy() if hasattr(given, "detach") else np.asarray(given, float)
