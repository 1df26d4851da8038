"""The graders against mutants of the solutions, and against answers of the wrong kind; and their speed."""

import json
import time
import types
from pathlib import Path

import numpy as np
import pytest
from press.course import mutants, notebooks, pages, plan, reference

from deepfake_kit.notebook.check import judge

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = [notebooks.chapter(path) for path in sorted((ROOT / "notebooks").glob("*.ipynb"))]
ASKED = [pytest.param(nb, exercise, id=exercise.number) for nb, found in CHAPTERS for exercise in found]


def wrong_kinds(right):
    """The right answer as something else: texts, one axis more, complex numbers."""
    if isinstance(right, tuple | list) and right and not isinstance(right[0], str):
        parts = [list(wrong_kinds(part)) for part in right]
        return [type(right)(part[k] for part in parts) for k in range(min(map(len, parts)))]
    if isinstance(right, str | bytes):
        return [[right], (right,), f"{right!r}"]
    values = np.asarray(right)
    return [values.astype(str) if values.ndim else str(right), values[None], values.astype(complex)]


@pytest.mark.parametrize(("notebook", "exercise"), ASKED)
def test_a_wrong_kind_a_constant_and_a_copy_fail(notebook, exercise):
    right = reference.answer(exercise.solution, notebook)
    bad = [np.nan, "", "0", [], b"", -1.5]
    if isinstance(right, types.FunctionType):
        answers = [lambda *given, k=k: wrong_kinds(right(*given))[k] for k in range(3)]
        answers += [lambda *given, value=value: value for value in [*bad, 0, 0.0, 1, 1.0, True, False]]
        answers += [lambda *given, k=k: given[k % len(given)] for k in range(4)]
    else:
        answers = [*bad, str(right), np.asarray(right)[None], complex(right), [right]]
    with np.errstate(all="ignore"):
        passed = [k for k, answer in enumerate(answers) if judge(exercise.number, answer) is None]
    assert passed == []


@pytest.mark.parametrize(("notebook", "exercise"), ASKED)
def test_a_check_takes_less_than_two_seconds(notebook, exercise):
    right = reference.answer(exercise.solution, notebook)
    began = time.process_time()
    assert judge(exercise.number, right) is None
    assert time.process_time() - began < 2


@pytest.mark.slow
@pytest.mark.parametrize(
    ("notebook", "found"), CHAPTERS, ids=lambda value: value[0].number if isinstance(value, list) else ""
)
def test_the_mutants_on_the_page_are_those_of_today(notebook, found):
    results = {exercise.number: mutants.tried(exercise, notebook) for exercise in found}
    stored = json.loads(pages.MEASURED.read_text(encoding="utf-8"))
    assert {n: [r.made, r.hinted, r.raised, len(r.survived)] for n, r in results.items()} == {
        n: stored[n] for n in results
    }


def test_95_of_100_mutants_fail_and_each_that_passes_is_accounted_for():
    stored = json.loads(pages.MEASURED.read_text(encoding="utf-8"))
    assert stored.keys() == {p.values[1].number for p in ASKED}
    assert {n: passed for n, (_, _, _, passed) in stored.items() if passed} == {
        n: many for n, (many, _) in plan.load()["same"].items()
    }
    assert min(made for made, *_ in stored.values()) >= 8
    hinted, passed = (sum(row[k] for row in stored.values()) for k in (1, 3))
    assert passed <= 0.05 * (hinted + passed)


def test_a_grader_with_a_hole_is_noticed(monkeypatch):
    notebook, found = next(chapter for chapter in CHAPTERS if chapter[1][0].number == "2.1")
    exercise = found[2]
    clean = mutants.tried(exercise, notebook)
    monkeypatch.setattr(mutants, "judge", lambda number, answer: None if answer(0.5, 0.6) > 0 else "no")
    assert not clean.survived and len(mutants.tried(exercise, notebook).survived) > 5
