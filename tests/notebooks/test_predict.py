"""Questions before a figure: choices, one of them right, or a number of the run; replies, a figure to look at after."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from press import guess

FOLDER = Path(__file__).resolve().parents[2] / "notebooks"
ITEM = re.compile(r"^(\d)\. (.+)$", re.MULTILINE)
SHOWS = re.compile(r"run\.(?:figure|explorable|table)\(")
NUMBER = {"01", "02", "03", "04", "05", "07", "08", "09", "10", "11", "12"}  # that let a number be guessed
WITH = ("01", "02", "03", "04", "05", "06", "07", "08", "09", "10", "11", "12")  # chapters that ask at least four times


def questions(path: Path) -> list[int]:
    cells = nbformat.read(path, as_version=4).cells
    return [at for at, cell in enumerate(cells) if "predict" in cell.metadata.get("tags", [])]


def problems(cells: list, at: int) -> list[str]:
    """What is wrong with the question in cell `at`."""
    source, found, after = cells[at].source, [], cells[at + 1 :]
    if "guess" in cells[at].metadata:
        return number_problems(cells[at], after) + ([] if shown(after) else [SHOWN])
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
    return found + ([] if shown(after) else [SHOWN])


SHOWN = "stands before a figure or table of its section"


def shown(after: list) -> bool:
    """Whether the section goes on with a figure or a table."""
    end = next((i for i, c in enumerate(after) if c.cell_type == "markdown" and c.source.startswith("## ")), len(after))
    return any(c.cell_type == "code" and SHOWS.search(c.source) for c in after[:end])


def number_problems(cell, after: list) -> list[str]:
    """What is wrong with a number to guess: the run must say it, in a cell still to come."""
    try:
        asked = guess.read(cell)
    except ValueError as error:
        return [str(error)]
    found = [] if re.match(r"\*\*Before you look\.\*\* [^\n]*\?\n\n\*A number", cell.source) else ["asks one question"]
    found += [] if asked.low < asked.high and 0 < asked.near < (asked.high - asked.low) / 10 else ["bounds"]
    found += [] if all(len(reply) >= 30 for reply in asked.replies.values()) else ["says why, to every guess"]
    said = [
        c.source for c in after if "run.say(" in c.source and re.search(rf"^    {asked.value}=", c.source, re.MULTILINE)
    ]
    return found + ([] if len(said) == 1 else [f"{asked.value}: said by {len(said)} cells after it"])


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.ipynb")), ids=lambda path: path.stem)
def test_questions_are_whole(path):
    cells, asked = nbformat.read(path, as_version=4).cells, questions(path)
    assert [(cells[at].id, problem) for at in asked for problem in problems(cells, at)] == []
    choices = [at for at in asked if "guess" not in cells[at].metadata]
    assert len(choices) >= 4 or path.name[:2] not in WITH
    assert len(choices) < len(asked) or path.name[:2] not in NUMBER


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


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("%; within 2 is close", "%", "without its bounds"),
        ("- **Too low.** ", "- ", "without its bounds or a reply"),
        ("**Before you look.** ", "", "asks one question"),
        ("within 2 is", "within 90 is", "bounds"),
        ("from 0 to 100", "from 100 to 0", "bounds"),
        (None, "kept_chair", "kept_chair: said by 0 cells"),
    ],
)
def test_a_number_that_cannot_be_guessed_is_named(old, new, said):
    cells = nbformat.read(next(FOLDER.glob("02_*.ipynb")), as_version=4).cells
    at = next(i for i, cell in enumerate(cells) if "guess" in cell.metadata)
    assert problems(cells, at) == []
    if old:
        assert old in cells[at].source
        cells[at].source = cells[at].source.replace(old, new)
    else:
        cells[at].metadata["guess"]["value"] = new
    assert said in " ".join(problems(cells, at))
    assert problems(cells[: at + 1], at), "and one without a figure after it"
