"""Questions before a figure: three or four choices, one of them right, a reply to each, a figure to look at after."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
ITEM = re.compile(r"^(\d)\. (.+)$", re.MULTILINE)
SHOWS = re.compile(r"run\.(?:figure|explorable|table)\(")
WITH = ("01", "02", "04", "05", "06", "08")  # chapters that ask; the others may


def questions(path: Path) -> list[int]:
    cells = nbformat.read(path, as_version=4).cells
    return [at for at, cell in enumerate(cells) if "predict" in cell.metadata.get("tags", [])]


def problems(cells: list, at: int) -> list[str]:
    """What is wrong with the question in cell `at`."""
    source, found = cells[at].source, []
    asked, _, answer = source.partition("<details><summary>Answer</summary>\n\n")
    choices, replies = ITEM.findall(asked), ITEM.findall(answer.removesuffix("</details>"))
    if not re.match(r"\*\*Before you look\.\*\* [^\n]*\?\n\n1\. ", asked):
        found.append("begins with '**Before you look.**' and one question")
    if not 3 <= len(choices) <= 4 or [number for number, _ in choices] != [str(i + 1) for i in range(len(choices))]:
        found.append("has three or four numbered choices")
    if [number for number, _ in replies] != [number for number, _ in choices] or not answer.endswith("\n\n</details>"):
        found.append("has one reply a choice, in the fold")
    if sum(reply.startswith("**Right.** ") for _, reply in replies) != 1:
        found.append("has one right choice")
    if any(len(reply) < 30 for _, reply in replies):
        found.append("says why, for every choice")
    after = cells[at + 1 :]
    end = next((i for i, c in enumerate(after) if c.cell_type == "markdown" and c.source.startswith("## ")), len(after))
    if not any(c.cell_type == "code" and SHOWS.search(c.source) for c in after[:end]):
        found.append("stands before a figure or table of its section")
    return found


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.ipynb")), ids=lambda path: path.stem)
def test_questions_are_whole(path):
    cells, asked = nbformat.read(path, as_version=4).cells, questions(path)
    assert [(cells[at].id, problem) for at in asked for problem in problems(cells, at)] == []
    assert len(asked) >= 4 or path.name[:2] not in WITH


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("**Before you look.** ", ""),
        ("**Right.** ", ""),
        ("\n3. ", "\n- "),
        ("</details>", ""),
        ("<details><summary>Answer</summary>\n\n1. ", "<details><summary>Answer</summary>\n\n1. No.\n- "),
    ],
)
def test_a_broken_question_is_named(old, new):
    path = next(FOLDER.glob("02_*.ipynb"))
    cells, at = nbformat.read(path, as_version=4).cells, questions(path)[0]
    assert old in cells[at].source
    cells[at].source = cells[at].source.replace(old, new, 1)
    assert problems(cells, at)
    assert problems(cells[: at + 1], at), "and one without a figure after it"
