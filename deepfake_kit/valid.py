"""Refuse bad input in one voice: which argument, what was given, what is valid.

:func:`require` and the others of this file say it in one line; where a condition does not fit there, ``raise
invalid(...)`` says it in the same words. What is wrong with a *file* is told by its reader, which names the file.
"""

from __future__ import annotations

import argparse
import contextlib
import difflib
from collections.abc import Callable, Iterable
from numbers import Integral, Real


def invalid(argument: str, given, valid: str) -> ValueError:
    """The error that refuses an argument: arrays and tensors are told by type and shape, a text as it is.

    >>> print(invalid("alpha", 2, "a number in [0, 1]"))
    alpha: got 2; valid: a number in [0, 1]
    >>> import numpy as np
    >>> print(invalid("a, b", (np.zeros(2), np.zeros((3, 1))), "equal shapes"))
    a, b: got float64 (2,) and float64 (3, 1); valid: equal shapes
    """
    return ValueError(f"{argument}: got {_told(given)}; valid: {valid}")


def _told(given) -> str:
    if isinstance(given, tuple):
        return " and ".join(map(_told, given)) or "nothing"
    if getattr(given, "shape", ()) != ():
        return f"{given.dtype} {tuple(given.shape)}"
    return given if isinstance(given, str) else repr(given.item() if hasattr(given, "item") else given)


def _quoted(given):
    return repr(given) if isinstance(given, str) else given  # '0' is no number


def require(fits, argument: str, given, valid: str) -> None:
    """Refuse an argument unless it `fits`.

    >>> require(3 % 2 == 0, "width", 3, "an even number")
    Traceback (most recent call last):
    ValueError: width: got 3; valid: an even number
    """
    if not fits:
        raise invalid(argument, given, valid)


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
    ValueError: profile: got 'boook'; did you mean 'book'? valid: smoke, book, paper
    """
    names = list(valid)
    if given in names:
        return given
    near = [name for word in (str(given), str(given).lower()) for name in difflib.get_close_matches(word, names, n=1)]
    hint = f" did you mean {near[0]!r}?" if near else ""
    raise ValueError(f"{argument}: got {given!r};{hint} valid: {', '.join(names)}")


def whole(argument: str, given, low: int, high: int | None = None) -> int:
    """Return `given` as an int if it is a whole number, python's or numpy's, from `low` to `high` or without end.

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
    good = isinstance(given, Integral) and not isinstance(given, bool) and given >= low
    reach = f"from {low} to {high}" if high is not None else f"of at least {low}"
    require(good and (high is None or given <= high), argument, _quoted(given), f"a whole number {reach}")
    return int(given)


def within(argument: str, given, interval: str) -> float:
    """Return `given` if it is a number, python's or numpy's, in an interval; NaN is in none.

    Raises
    ------
    ValueError
        If it is not; True and False do not count as numbers.

    Examples
    --------
    >>> within("alpha", 0.5, "(0, 1]")
    0.5
    >>> within("alpha", 0, "(0, inf)")
    Traceback (most recent call last):
    ValueError: alpha: got 0; valid: a number in (0, inf)
    """
    low, high = map(float, interval[1:-1].split(","))
    good = isinstance(given, Real) and not isinstance(given, bool) and low <= given <= high
    open_end = good and (given == low and interval[0] == "(" or given == high and interval[-1] == ")")
    require(good and not open_end, argument, _quoted(given), f"a number in {interval}")
    return given


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
        raise invalid(argument, f"{bad} of {size} numbers that are not finite", "finite numbers")
    return given


def at_least_single(x):
    """A tensor in at least float32, in which squares and sums of half precision neither overflow nor vanish.

    >>> import torch
    >>> at_least_single(torch.ones(1, dtype=torch.half)).dtype, at_least_single(torch.ones(1).double()).dtype
    (torch.float32, torch.float64)
    """
    import torch

    return x.to(torch.promote_types(x.dtype, torch.float32))


def numbers(given):
    """An array or a tensor of any float type and device as a float64 array.

    >>> import torch
    >>> numbers(torch.ones(2, dtype=torch.bfloat16)).tolist()
    [1.0, 1.0]
    """
    import numpy as np

    return given.detach().cpu().double().numpy() if hasattr(given, "detach") else np.asarray(given, float)
