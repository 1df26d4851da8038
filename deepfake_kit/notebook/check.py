"""Grade an exercise on the spot: values in, a hint out; no files and no server.

The graders of chapter NN are in ``deepfake_kit/exercises/chapter_NN.py``, a
dictionary from the exercise's number to a function that returns ``None`` for a
right answer and a hint for a wrong one.
"""

from __future__ import annotations

import importlib
import inspect
from pathlib import Path

from deepfake_kit.notebook import variants
from deepfake_kit.valid import one_of, whole

FORM = " (Its numbers are those of the exercise without the line *Here*.)"


def exercises() -> dict:
    """Every exercise of the book: ``{"2.1": grader, ...}``."""
    found: dict = {}
    for path in sorted((Path(__file__).parents[1] / "exercises").glob("chapter_*.py")):
        found |= importlib.import_module(f"deepfake_kit.exercises.{path.stem}").EXERCISES
    return found


def check(number: str, answer, variant: int = 0) -> bool:
    """Grade an answer, print one line, and return whether it is right.

    Parameters
    ----------
    number : str
        The exercise, e.g. ``"2.1"``.
    answer : object
        A value or a function, as the exercise asks. ``None``, ``...`` and a function that
        still returns one of them count as not answered yet.
    variant : int
        Which variant of the exercise this copy asks for; 0 is the book's own.

    Returns
    -------
    bool
        True if the answer is right. A wrong answer is never an exception, so a notebook runs on.

    Raises
    ------
    ValueError
        If there is no such exercise or variant.
    """
    hint = judge(number, answer, variant)
    if hint and variant and judge(number, answer) is None:
        hint = "not yet. That answers the book's own exercise; this copy asks for something else. Read its text again."
    print(f"{number}: right." if hint is None else f"{number}: {hint}")
    return hint is None


def judge(number: str, answer, variant: int = 0) -> str | None:
    """What :func:`check` prints of an answer that is not right; None for a right one."""
    graders = exercises()
    grader = graders[one_of("exercise", number, graders)]
    kinds = variants.table()[number] if variant else []
    asked = kinds[whole("variant", variant, 0, len(kinds)) - 1] if kinds else {}
    if answer is None or answer is ... or _is_stub(answer):
        return "not answered yet."
    try:
        hint = grader(variants.back(asked.get("as"), answer), **asked.get("set", {}))
        hint = hint and hint + FORM * ("as" in asked)
    except Exception as error:  # a student's mistake may raise anything; the message is the hint
        unfit = type(error).__module__ == "deepfake_kit.exercises"  # a grader's own word
        hint = str(error) if unfit else f"your answer raised {type(error).__name__}: {error}"
    return hint and f"not yet. {hint}"


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
        return body.co_code, body.co_names, body.co_consts[function.__doc__ is not None :]

    return code(answer) in map(code, (empty, documented_empty, returns_ellipsis))
