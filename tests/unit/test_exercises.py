"""Every exercise: right answers pass, wrong ones get a hint that names the idea, stubs count as unanswered.

The answers stand in ``answers/chapter_NN.py``.
"""

import ast
import importlib.util
from pathlib import Path

import numpy as np
import pytest
from press.course import notebooks

from deepfake_kit.notebook.check import check, exercises

RIGHT, WRONG, WRITTEN = {}, {}, {}
for path in sorted((Path(__file__).parent / "answers").glob("chapter_[0-9][0-9].py")):
    spec = importlib.util.spec_from_file_location(f"answers_{path.stem}", path)
    answers = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(answers)
    RIGHT |= answers.RIGHT
    WRONG |= answers.WRONG
    tree = ast.parse(path.read_text(encoding="utf-8"))
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    table = next(node.value for node in tree.body if isinstance(node, ast.Assign) and node.targets[0].id == "RIGHT")
    for number, rows in zip(table.keys, table.values, strict=True):
        WRITTEN[number.value] = [functions.get(ast.unparse(row), row) for row in rows.elts]


def cases(table):
    return [
        pytest.param(number, answer, id=f"{number}-{i}") for number in table for i, answer in enumerate(table[number])
    ]


def test_every_exercise_has_two_right_and_four_wrong_answers():
    assert RIGHT.keys() == WRONG.keys() == exercises().keys() and len(RIGHT) >= 40
    assert [number for number in RIGHT if len(RIGHT[number]) < 2 or len(WRONG[number]) < 4] == []


def bare(node: ast.AST) -> str:
    """An answer without the names that its author chose: a function of one line is its formula."""
    node = ast.parse(ast.unparse(node)).body[0]
    node = node.value if isinstance(node, ast.Expr) else node
    if isinstance(node, ast.Lambda | ast.FunctionDef):
        arguments = [argument.arg for argument in node.args.args]
        body = [node.body] if isinstance(node, ast.Lambda) else node.body
        if isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant):
            body = body[1:]
        known = {name: f"a{place}" for place, name in enumerate(arguments)}
        for name in (one for part in body for one in ast.walk(part) if isinstance(one, ast.Name)):
            if isinstance(name.ctx, ast.Store):
                known.setdefault(name.id, f"v{len(known)}")
            name.id = known.get(name.id, name.id)
        node = ast.Module([ast.Expr(part.value) if isinstance(part, ast.Return) else part for part in body], [])
        node.body = [part if isinstance(part, ast.stmt) else ast.Expr(part) for part in node.body]
    return ast.unparse(node)


def solutions():
    """The book's own solution of each exercise: the function, or the last value."""
    found = {}
    for path in sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb")):
        for exercise in notebooks.chapter(path)[1]:
            nodes = ast.parse(exercise.solution).body
            named = [n for n in nodes if isinstance(n, ast.FunctionDef) and n.name == exercise.name]
            found[exercise.number] = (named or [n.value for n in nodes if isinstance(n, ast.Assign)])[-1]
    return found


SOLUTIONS = solutions()


@pytest.mark.parametrize("number", RIGHT)
def test_two_right_answers_are_written_otherwise_than_the_solution(number):
    own = bare(SOLUTIONS[number])
    assert len({bare(node) for node in WRITTEN[number]} - {own}) >= 2, own


@pytest.mark.parametrize(
    "path", sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb")), ids=lambda p: p.stem
)
def test_an_exercise_takes_no_name_that_a_later_cell_reads(path):
    notebook, found = notebooks.chapter(path)
    for exercise in found:
        for cell in notebook.cells[exercise.cells[2] + 1 :]:
            if cell.cell_type == "code" and exercise.number not in cell.source:
                names = {node.id for node in ast.walk(ast.parse(cell.source)) if isinstance(node, ast.Name)}
                assert exercise.name not in names, (exercise.number, exercise.name, cell.id)


def test_another_name_makes_no_other_answer():
    first = ast.parse("def mine(x, y):\n    'Said.'\n    z = x + y\n    return 2 * z").body[0]
    again = ast.parse("def yours(b, c):\n    d = b + c\n    return 2 * d").body[0]
    assert bare(first) == bare(again) and bare(ast.parse("lambda b: b + 1").body[0]) == bare(
        ast.parse("def f(q):\n    return q + 1").body[0]
    )
    assert bare(first) != bare(ast.parse("def f(x, y):\n    z = x - y\n    return 2 * z").body[0])


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
