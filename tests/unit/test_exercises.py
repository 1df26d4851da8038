"""Every exercise: right answers pass, wrong ones get a hint that names the idea, stubs count as unanswered.

The answers stand in ``answers/chapter_NN.py``.
"""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from deepfake_kit.notebook.check import check, exercises

RIGHT, WRONG = {}, {}
for path in sorted((Path(__file__).parent / "answers").glob("chapter_[0-9][0-9].py")):
    spec = importlib.util.spec_from_file_location(f"answers_{path.stem}", path)
    answers = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(answers)
    RIGHT |= answers.RIGHT
    WRONG |= answers.WRONG


def cases(table):
    return [
        pytest.param(number, answer, id=f"{number}-{i}") for number in table for i, answer in enumerate(table[number])
    ]


def test_every_exercise_has_two_right_and_four_wrong_answers():
    assert RIGHT.keys() == WRONG.keys() == exercises().keys() and len(RIGHT) >= 40
    assert [number for number in RIGHT if len(RIGHT[number]) < 2 or len(WRONG[number]) < 4] == []


@pytest.mark.parametrize(("number", "answer"), cases(RIGHT))
def test_right_answers_pass(number, answer, capsys):
    assert check(number, answer)
    assert capsys.readouterr().out == f"{number}: right.\n"


@pytest.mark.parametrize(("number", "answer"), cases(WRONG))
def test_wrong_answers_get_a_hint(number, answer, capsys):
    with np.errstate(all="ignore"):
        assert not check(number, answer)
    said = capsys.readouterr().out
    # An answer that fails of itself would be "hinted" whatever the grader does.
    assert said.startswith(f"{number}: not yet. ") and "your answer raised" not in said


@pytest.mark.parametrize(
    ("number", "answer", "error"),
    [
        ("2.1", lambda b: b[99], "IndexError"),
        ("2.4", lambda x, e, b, p: 1 / 0, "ZeroDivisionError"),
        ("5.3", lambda c: {}[c], "KeyError"),
        ("10.1", "much", "TypeError"),
    ],
)
def test_an_answer_that_raises_is_a_hint_and_no_exception(number, answer, error, capsys):
    assert not check(number, answer)
    assert capsys.readouterr().out.startswith(f"{number}: not yet. your answer raised {error}")


@pytest.mark.parametrize(
    ("number", "answer", "hint"),
    [
        ("5.2", "a lot", "numbers were asked for, not 'a lot'."),
        ("5.2", [0.36], "one number was asked for, not an array of shape (1,)."),
        ("2.1", lambda b: [str(x) for x in np.cumprod(1 - b)], "numbers were asked for, not ['0.9'"),
    ],
)
def test_an_answer_of_the_wrong_kind_is_told_so(number, answer, hint, capsys):
    assert not check(number, answer)
    assert capsys.readouterr().out.startswith(f"{number}: not yet. {hint}")


def test_a_hint_does_not_give_the_answer_away():
    hints = [exercises()["5.2"](x) for x in (0.25, 0.3, 1.0)]
    assert not any("0.36" in hint or "4 ln" in hint for hint in hints)


def stub(*arguments):
    """Not written yet."""


@pytest.mark.parametrize("number", RIGHT)
@pytest.mark.parametrize("answer", [None, ..., stub, lambda *arguments: ...], ids=["None", "dots", "stub", "lambda"])
def test_stubs_count_as_unanswered(number, answer, capsys):
    assert not check(number, answer)
    assert capsys.readouterr().out == f"{number}: not answered yet.\n"
