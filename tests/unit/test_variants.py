"""Variants of the exercises: the reference of each passes its own grader and no other's."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from press.course import notebooks, reference

from deepfake_kit.notebook import variants
from deepfake_kit.notebook.check import check, exercises, judge

ROOT = Path(__file__).resolve().parents[2]
CHAPTERS = [notebooks.chapter(path) for path in sorted((ROOT / "notebooks").glob("*.ipynb"))]
ASKED = [pytest.param(nb, exercise, id=exercise.number) for nb, found in CHAPTERS for exercise in found]


def test_every_exercise_has_at_least_three_variants():
    assert variants.table().keys() - {"forms"} == exercises().keys() == {p.values[1].number for p in ASKED}
    assert min(len(variants.table()[number]) for number in exercises()) >= 2  # besides the book's own


@pytest.mark.parametrize(("notebook", "exercise"), ASKED)
def test_a_variant_s_reference_passes_its_grader_and_fails_the_others(notebook, exercise, capsys):
    kinds = range(len(variants.table()[exercise.number]) + 1)
    answers = [reference.answer(notebooks.asked(exercise, kind)[2], notebook) for kind in kinds]
    with np.errstate(all="ignore"):
        passed = [[judge(exercise.number, answers[k], grader) is None for grader in kinds] for k in kinds]
        told = [check(exercise.number, answers[0], kind) or capsys.readouterr().out for kind in kinds[1:]]
    assert passed == np.eye(len(answers), dtype=bool).tolist()
    assert all("this copy asks for something else" in line for line in told)


def test_a_hint_to_a_variant_says_in_which_form_its_numbers_are():
    assert "without the line *Here*" in judge("4.1", lambda price, cost: 100 * price / (2 * cost), 1)
    assert "without the line *Here*" not in judge("2.2", 200, 1) + judge("4.1", lambda price, cost: price, 0)
    assert judge("4.1", lambda price, cost: 1 / 0, 1).endswith("division by zero")


@pytest.mark.parametrize(("notebook", "exercise"), ASKED)
def test_every_word_to_swap_stands_in_the_prompt_or_the_solution(notebook, exercise):
    for kind in variants.table()[exercise.number]:
        assert "ask" in kind or any(old in exercise.prompt for old in kind["swap"]), kind
        for old in kind.get("swap", {}):
            assert old in exercise.prompt + exercise.solution, old


def test_a_stub_of_a_variant_is_not_answered_and_an_unknown_variant_is_named(capsys):
    assert not check("2.2", None, variant=1)
    assert capsys.readouterr().out == "2.2: not answered yet.\n"
    with pytest.raises(ValueError, match="variant: got 4; valid: a whole number from 0 to 3"):
        check("2.2", 5, variant=4)


def test_forms_keep_whole_numbers_whole_and_refuse_what_is_none():
    assert variants.back(["1/22100", 0], 3) == 66300 and isinstance(variants.back(["1/22100", 0], 3), int)
    assert np.isnan(variants.back("root", -0.5)) and np.isnan(variants.back([100, 0], np.nan))
    with pytest.raises(TypeError):
        variants.back("texts", [2, 3])


@pytest.mark.parametrize("kind", [torch.tensor, np.float32, Fraction, np.int64, float])
def test_a_form_takes_every_kind_of_number_that_the_graders_take(kind):
    assert variants.back([100, 0], kind(300)) == 3 and variants.back(["1/3", 1], kind(2)) == 3
    for form in ("square", "exp", "rest"):
        assert variants.back(form, kind(1)) == pytest.approx(variants.back(form, 1.0))
    with pytest.raises(TypeError):
        variants.back([100, 0], "300")


def test_a_rounded_answer_is_right_in_every_variant(capsys):
    for given in (np.log(4), 1.386294, 1.3863):
        assert judge("1.2", given, 1) is None
    assert judge("1.2", 1.39, 1) is not None
