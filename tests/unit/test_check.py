"""Exercises grade values and functions, and never break a notebook."""

from __future__ import annotations

import pytest

from deepfake_kit.notebook import check


@pytest.fixture(autouse=True)
def graders(monkeypatch):
    def grade(function):
        return None if function(2) == 4 else "try 2"

    monkeypatch.setattr(check, "exercises", lambda: {"9.1": grade})


def stub(x):
    """Square x."""
    ...


def stub_without_words(x):
    pass


def stub_that_returns_dots(x):
    return ...


@pytest.mark.parametrize("answer", [None, ..., stub, stub_without_words, stub_that_returns_dots])
def test_a_stub_is_not_answered(answer, capsys):
    assert not check.check("9.1", answer)
    assert "not answered yet" in capsys.readouterr().out


@pytest.mark.parametrize("answer", [lambda x: "data", lambda x: 0, lambda x: not x])
def test_a_function_that_returns_a_word_or_a_number_is_answered(answer, capsys):
    assert not check.check("9.1", answer)
    assert "not yet. try 2" in capsys.readouterr().out


def test_right_wrong_and_raising(capsys):
    assert check.check("9.1", lambda x: x * x)
    assert not check.check("9.1", lambda x: x + 1)
    assert not check.check("9.1", lambda x: x / 0)
    said = capsys.readouterr().out.splitlines()
    assert said == [
        "9.1: right.",
        "9.1: not yet. try 2",
        "9.1: not yet. your answer raised ZeroDivisionError: division by zero",
    ]


def test_unknown_exercise():
    with pytest.raises(ValueError, match="exercise: got '9.2'"):
        check.check("9.2", 1)
