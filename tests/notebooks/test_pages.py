"""What a chapter's page needs from its notebook: a question, an answer, marks at their place, numbers that hold."""

from __future__ import annotations

import ast
import json
import re
from pathlib import Path

import nbformat
import pytest
from press import margin, numbers, opening
from press.course.notebooks import exercises
from press.opening import tags

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
# Whoever tags one takes it off this list.
LATER: set[str] = set()


def ready(path: Path) -> bool:
    return '"found"' in path.read_text(encoding="utf-8")


def read(path: Path):
    return nbformat.read(path, as_version=4)


def test_every_chapter_but_those_listed_is_held_to_the_rules():
    assert {path.stem for path in NOTEBOOKS if not ready(path)} == LATER


every = pytest.mark.parametrize("path", [path for path in NOTEBOOKS if ready(path)], ids=lambda path: path.stem)


def missing(notebook) -> list[str]:
    """What the opening lacks, in words."""
    title = notebook.cells[0].source
    found = [cell for cell in notebook.cells if "found" in tags(cell)]
    heroes = [cell for cell in notebook.cells if "hero" in tags(cell)]
    facts = {name for cell in notebook.cells for name, _ in opening.FACT.findall(cell.source)}
    wrong = [] if opening.TITLE.match(title)["question"] else ["no question in italics under the title"]
    wrong += [] if len(heroes) == 1 and "run.figure(" in heroes[0].source else ["one figure is tagged hero"]
    wrong += [f"no paragraph **{name}.**" for name in ("Prerequisites", "Time") if name not in facts]
    if len(found) != 1 or found[0].source.count("run.say(") != 1:
        return [*wrong, "one cell tagged found says the answer and three findings"]
    calls = [node for node in ast.walk(ast.parse(found[0].source)) if isinstance(node, ast.Call)]
    said = next(call for call in calls if getattr(call.func, "attr", "") == "say")
    answer, _, rest = ast.literal_eval(said.args[0]).partition("\n\n")
    items = re.split("^- ", rest, flags=re.MULTILINE)[1:]
    wrong += [] if len(items) == 3 else [f"{len(items)} findings instead of three"]
    return wrong + ["an answer or finding without a computed number" for text in (answer, *items) if "{" not in text]


@every
def test_it_opens_with_question_figure_answer_and_three_findings(path):
    assert missing(read(path)) == []


@every
def test_numbers_hold_and_everything_shown_is_referred_to(path):
    assert numbers.problems(path) == []


@every
def test_no_more_than_two_marks_in_a_row(path):
    rows = {cell.id: max(margin.rows(cell.source), default=0) for cell in read(path).cells}
    assert {id: count for id, count in rows.items() if count > margin.ROW} == {}


@every
def test_no_heading_without_text(path):
    cells = read(path).cells
    bare = []
    for k, cell in enumerate(cells):
        if cell.cell_type == "markdown":
            rest = re.split(r"^#+ .*$", cell.source, flags=re.MULTILINE)[1:]
            bare += [cell.id for part in rest[:-1] if not part.strip()]
            follows = k + 1 < len(cells) and "run.say(" in cells[k + 1].source
            bare += [cell.id] if rest and not rest[-1].strip() and not follows else []
    assert bare == []


def headings(notebook) -> list[str]:
    cells = (cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    return [line for source in cells for line in re.findall(r"^## (.*)$", source, re.MULTILINE)]


@every
def test_sections_are_numbered_up_to_those_that_end_the_chapter(path):
    told = [re.match(r"\d*", line)[0] for line in headings(read(path))]
    numbered = [number for number in told if number]
    assert told[: len(numbered)] == [str(k + 1) for k in range(len(numbered))] and len(numbered) > len(told) / 2


WORDS = "None One Two Three Four Five Six Seven Eight Nine Ten Eleven Twelve".split()
ENDS = ["What you have seen", "Exercises", "Sources"]
PROMPT = re.compile(r"^\*\*Exercise (?P<number>\d+\.\d+)\*\* \((?P<minutes>\d+) minutes\)\. \S", re.MULTILINE)
BREAK = re.compile(r"^(?:#+ .*|\*\*)Break it.*", re.MULTILINE | re.IGNORECASE)


def ends_otherwise(notebook) -> list[str]:
    """Where a chapter's end has another shape than that of all chapters, in words."""
    wrong = [] if headings(notebook)[-3:] == ENDS else [f"it does not end with {ENDS}"]
    text = "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    asked = [exercise.number for exercise in exercises(notebook)]
    found = [(one["number"], int(one["minutes"])) for one in PROMPT.finditer(text)]
    wrong += [] if [number for number, _ in found] == asked else ["a prompt is not **Exercise N.k** (M minutes). ..."]
    told = f"{WORDS[len(asked)]}, {sum(minutes for _, minutes in found)} minutes in all. `check` tells right"
    wrong += [] if f"## Exercises\n\n{told}" in text else [f"below Exercises stands not: {told}"]
    k = next(k for k, cell in enumerate(notebook.cells) if "found" in tags(cell))
    before = [cell.source for cell in notebook.cells[:k] if cell.cell_type == "markdown"]
    wrong += [] if before[-1] == f"## {ENDS[0]}" else ["the findings do not follow their heading"]
    breaks = BREAK.findall(text)
    wrong += [] if breaks else ["nothing to break"]
    return wrong + [line for line in breaks if not re.match(r"## \d+\. Break it: |\*\*Break it[^*]*\.\*\* ", line)]


@every
def test_it_ends_as_every_chapter_does(path):
    assert ends_otherwise(read(path)) == []


def bare(notebook) -> list[str]:
    """The cells whose last line would print its number below them: a semicolon keeps it off the page."""
    code = {cell.id: cell.source for cell in notebook.cells if cell.cell_type == "code"}
    last = {name: source.rstrip().rpartition("\n")[2] for name, source in code.items()}
    return [name for name, line in last.items() if re.match(r"run\.(value|recheck)\(.*\)$", line)]


@every
def test_no_number_is_left_below_a_cell(path):
    assert bare(read(path)) == []


NOTE = re.compile(r"^> \*[^*\n]+\.\*.*(?:\n> .*)*", re.MULTILINE)
LONGEST = 45  # words of a side note


def notes(notebook) -> list[str]:
    """The side notes of a chapter: quotations that begin with words in italics and a full stop."""
    cells = (cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    return [note for source in cells for note in NOTE.findall(source)]


def wrong_notes(notebook) -> list[str]:
    """Side notes that are too long for a margin, or stand right below a heading."""
    long = [note[:40] for note in notes(notebook) if len(note.replace(">", "").split()) > LONGEST]
    below = [cell.id for cell in notebook.cells if re.search(r"^#+ .*\n+> \*[^*\n]+\.\*", cell.source, re.MULTILINE)]
    return long + below


@every
def test_side_notes_fit_a_margin(path):
    assert wrong_notes(read(path)) == []


@pytest.mark.parametrize("stem", ["01_how_deepfakes_are_made", "09_simclr_on_edge", "10_dadfi"])
def test_chapters_that_explain_in_the_margin(stem):
    assert len(notes(read(ROOT / "notebooks" / f"{stem}.ipynb"))) >= 3


# -- planted faults ------------------------------------------------------------------------------------


def planted(tmp_path: Path, change) -> Path:
    """Chapter 4 with one change, under its own name."""
    source = next(path for path in NOTEBOOKS if path.stem.startswith("04"))
    notebook = json.loads(source.read_text(encoding="utf-8"))
    for cell in notebook["cells"]:
        cell["source"] = "".join(cell["source"])
    change(notebook["cells"])
    path = tmp_path / source.name
    path.write_text(json.dumps(notebook), encoding="utf-8")
    return path


def strip(cell: dict, text: str, other: str | None = None) -> None:
    assert text in cell["source"]
    cell["source"] = cell["source"].replace(text, text.removeprefix("- ") if other is None else other)


def cell_with(cells: list, text: str, tag: str = "") -> dict:
    return next(c for c in cells if text in c["source"] and (not tag or tag in c["metadata"].get("tags", [])))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda cells: cells[0].update(source="# Title\n\nNo question."), "no question"),
        (lambda cells: cell_with(cells, "run.figure(", "hero")["metadata"]["tags"].remove("hero"), "tagged hero"),
        (lambda cells: cell_with(cells, "run.say(", "found")["metadata"]["tags"].remove("found"), "tagged found"),
        (lambda cells: cell_with(cells, "**Time.**").update(source="x"), "**Time.**"),
        (lambda cells: strip(cell_with(cells, "run.say(", "found"), "- One lost factor"), "2 findings"),
    ],
)
def test_an_opening_that_lacks_something_is_found(tmp_path, change, said):
    assert any(said in words for words in missing(read(planted(tmp_path, change))))


@pytest.mark.parametrize(
    ("right", "wrong", "said"),
    [
        ("**Exercise 4.2** (10 minutes). ", "**4.2** (10 minutes). ", "a prompt is not"),
        ("Exercise 4.2** (10 minutes). ", "Exercise 4.2** (15 minutes). ", "below Exercises stands not: Seven, 80"),
        ("## Exercises\n\nSeven,", "## Exercises\n\nEight,", "below Exercises stands not: Seven, 75"),
        ("## What you have seen", "## What we take along", "does not end with"),
        ("## 8. Break it: ", "### Break it: ", "### Break it: the wrong"),
    ],
)
def test_an_end_of_another_shape_is_found(tmp_path, right, wrong, said):
    path = planted(tmp_path, lambda cells: strip(cell_with(cells, right), right, wrong))
    assert any(said in words for words in ends_otherwise(read(path)))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[Fig. 4.99](#fig-04-node-utility)", "should be Fig. 4.1"),
        ("[Fig. 4.1](#fig-04-nothing)", "leads nowhere"),
        ("By Eq. (4.99) it holds.", "does not exist"),
    ],
)
def test_a_wrong_reference_is_found(tmp_path, text, said):
    path = planted(tmp_path, lambda cells: cells[0].update(source=cells[0]["source"] + "\n\n" + text))
    assert any(said in words for words in numbers.problems(path))


def test_a_figure_that_nothing_refers_to_is_found(tmp_path):
    def forget(cells):
        for cell in cells:
            cell["source"] = cell["source"].replace("(#fig-04-node-utility)", "(#s2)")

    assert any("#fig-04-node-utility" in words for words in numbers.problems(planted(tmp_path, forget)))


def test_a_number_left_below_a_cell_is_found():
    cells = [nbformat.v4.new_code_cell(f'x = 1\nrun.value("x", x){end}') for end in ("", ";")]
    assert bare(nbformat.v4.new_notebook(cells=cells)) == [cells[0].id]


def test_three_marks_in_a_row_are_found():
    assert margin.rows("It holds [◦](#check-a), [◦](#check-b); [◦](#check-c). More [◦](#check-d)") == [3, 1]


@pytest.mark.parametrize("fault", ["> *Word.* " + "and so on " * 20, "## A heading\n\n> *Word.* It means this."])
def test_a_side_note_that_is_long_or_has_no_paragraph_is_found(fault):
    good = nbformat.v4.new_markdown_cell("A paragraph.\n\n> *Word.* It means\n> this.\n\nMore.")
    notebook = nbformat.v4.new_notebook(cells=[good])
    assert len(notes(notebook)) == 1 and wrong_notes(notebook) == []
    notebook.cells.append(nbformat.v4.new_markdown_cell(fault))
    assert len(wrong_notes(notebook)) == 1


def test_format_writes_the_numbers():
    notebook = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_code_cell('run.table("settings", x)\nrun.figure("a_b", f)\nrun.explorable("c", w)'),
            nbformat.v4.new_code_cell('run.table("d", x)'),
            nbformat.v4.new_markdown_cell("[Fig. ](#exp-07-c), [Table 9](#tab-07-d) and [Fig. 1](#fig-07-a-b)"),
        ]
    )
    assert numbers.renumbered(notebook, "07_x").cells[2].source == (
        "[Fig. 7.2](#exp-07-c), [Table 7.1](#tab-07-d) and [Fig. 7.1](#fig-07-a-b)"
    )
