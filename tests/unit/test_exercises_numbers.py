"""No grader takes NaN or infinity for right: each right answer is spoilt at one call and one place at a time."""

import importlib.util
import math
from pathlib import Path

import numpy as np
import pytest

from deepfake_kit.notebook.check import check, exercises

BAD = (math.nan, math.inf, -math.inf)


def right_answers():
    found = {}
    for path in sorted((Path(__file__).parent / "answers").glob("chapter_[0-9][0-9].py")):
        spec = importlib.util.spec_from_file_location(path.stem, path)
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        found |= module.RIGHT
    return found


RIGHT = right_answers()


def spoilt(value):
    """Every way to spoil an answer: a number, or all or one of the numbers that it holds."""
    for bad in BAD:
        yield bad
        if isinstance(value, np.ndarray | list | tuple) and len(value):
            if isinstance(value, tuple):  # several results: each in its turn
                for i, part in enumerate(value):
                    yield tuple(np.full(np.shape(part), bad) if i == k else other for k, other in enumerate(value))
                continue
            yield np.full(np.shape(value), bad)
            for place in {0, np.size(value) - 1}:
                one = np.array(value, dtype=float)
                one.flat[place] = bad
                yield one if isinstance(value, np.ndarray) else one.tolist()


class Recorded:
    """The results of a right answer, call by call; graded again without computing them again."""

    def __init__(self, answer):
        self.answer, self.results = answer, []

    def __call__(self, *arguments):
        self.results.append(self.answer(*arguments))
        return self.results[-1]


def test_every_exercise_is_tried():
    assert RIGHT.keys() == exercises().keys() and len(RIGHT) >= 40


@pytest.mark.parametrize("number", RIGHT)
def test_what_is_not_a_finite_number_is_not_right(number, capsys):
    answer = RIGHT[number][0]
    if not callable(answer):
        for value in spoilt(answer):
            assert not check(number, value), value
        return
    right = Recorded(answer)
    assert check(number, right)
    for at in sorted({*range(min(8, len(right.results))), len(right.results) - 1}):
        for value in spoilt(right.results[at]):
            told = iter([*right.results[:at], value, *right.results[at + 1 :]])
            with np.errstate(all="ignore"):
                assert not check(number, lambda *arguments, told=told: next(told)), f"call {at} returned {value}"
    capsys.readouterr()
