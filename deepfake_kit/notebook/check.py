"""Grade an exercise on the spot: values in, a hint out; no files and no server.

The graders of chapter NN are in ``deepfake_kit/exercises/chapter_NN.py``, a
dictionary from the exercise's number to a function that returns ``None`` for a
right answer and a hint for a wrong one.
"""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path

from deepfake_kit.valid import one_of


def exercises() -> dict:
    """Every exercise of the book: ``{"2.1": grader, ...}``."""
    found: dict = {}
    for path in sorted((Path(__file__).parents[1] / "exercises").glob("chapter_*.py")):
        found |= importlib.import_module(f"deepfake_kit.exercises.{path.stem}").EXERCISES
    return found


def check(number: str, answer) -> bool:
    """Grade an answer, print one line, and return whether it is right.

    Parameters
    ----------
    number : str
        The exercise, e.g. ``"2.1"``.
    answer : object
        A value or a function, as the exercise asks. ``None``, ``...`` and a function that
        still returns one of them count as not answered yet.

    Returns
    -------
    bool
        True if the answer is right. A wrong answer is never an exception, so a notebook runs on.

    Raises
    ------
    ValueError
        If there is no such exercise.
    """
    graders = exercises()
    grader = graders[one_of("exercise", number, graders)]
    if answer is None or answer is ... or _is_stub(answer):
        print(f"{number}: not answered yet.")
        return False
    try:
        hint = grader(answer)
    except Exception as error:  # a student's mistake may raise anything; the message is the hint
        hint = f"your answer raised {type(error).__name__}: {error}"
    print(f"{number}: right." if hint is None else f"{number}: not yet. {hint}")
    return hint is None


def _is_stub(answer) -> bool:
    """Whether a function's body is only a docstring, ``...``, ``pass``, ``return None`` or ``return ...``."""
    if not inspect.isfunction(answer):
        return False

    def empty():
        return None

    def documented_empty():
        """Documented."""

    def returns_ellipsis():
        return ...

    def code(function):
        body = function.__code__
        return body.co_code, body.co_names, [c for c in body.co_consts if not isinstance(c, str)]

    return code(answer) in map(code, (empty, documented_empty, returns_ellipsis))
