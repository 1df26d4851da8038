"""A mark beside an equation leads to a check that the same chapter makes."""

from __future__ import annotations

import ast
import re
from itertools import groupby
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell

from deepfake_kit.notebook import claims

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
MARK = re.compile(r"\[◦\]\(#check-([\w.-]+)\)")


def parts(path: Path) -> tuple[list[str], str]:
    """What a chapter says, in Markdown and by `run.say`, and its code."""
    cells = nbformat.read(path, as_version=4).cells
    prose = [cell.source for cell in cells if cell.cell_type == "markdown" or "run.say(" in cell.source]
    return prose, "\n".join(cell.source for cell in cells if cell.cell_type == "code")


def faults(prose: list[str], code: str, number: str) -> list[str]:
    """Marks that lead nowhere, and checks that no sentence or equation carries, in words."""
    verified = set(re.findall(r'run\.verify\(\s*"([^"]+)"', code))
    claimed = set(re.findall(r'"((?:ddtma|hanyang|marogna|dadfi|survey)-[\w.-]+)"', code))  # in a loop, too
    known = {f"{number}-{name.replace('_', '-')}" for name in verified} | claimed
    marked = {name for text in prose for name in MARK.findall(text)}
    return [f"no check #check-{name}" for name in sorted(marked - known)] + [
        f"no mark for #check-{name}" for name in sorted(known - marked)
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_mark_leads_to_a_check_and_every_check_has_its_mark(path):
    assert faults(*parts(path), path.stem[:2]) == []


def fixed_empties(code: str) -> list[str]:
    """Claims whose empty method is a number that was written and not measured: it could not pass by construction."""
    calls = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
    given = [(call, word.value) for call in calls for word in call.keywords if word.arg == "empty"]
    return [
        ast.unparse(call.args[0])
        for call, value in given
        if not any(isinstance(node, ast.Name) for node in ast.walk(value))
    ]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_an_empty_method_is_measured(path):
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    code = "\n".join(cell.source for cell in cells if "setup" not in cell.metadata.get("tags", []))
    assert fixed_empties(code) == []


@pytest.mark.parametrize("number", ["0.0", "-1.0", "2 * 0.5"])
def test_an_empty_method_that_nobody_measured_is_found(number):
    assert fixed_empties(f'run.claim("ddtma-eq-1", x, empty={number})') == ["'ddtma-eq-1'"]
    assert fixed_empties('run.claim("ddtma-eq-1", x, empty=untrained.mean() - 1)') == []


def typed_numbers(code: str) -> list[str]:
    """Claims of a number that was typed and not measured: the row neither quotes nor names it."""
    calls = [node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Call)]
    found = []
    for call in calls:
        if getattr(call.func, "attr", "") == "claim" and not any(
            isinstance(x, ast.Name) for x in ast.walk(call.args[1])
        ):
            row = claims.find(ast.literal_eval(call.args[0]))
            told = f"{row.printed} {row.where} {row.values} {row.measure} 100"  # 100: for per cent
            known = {float(x.replace(",", "")) for x in re.findall(r"\d+(?:,\d{3})*(?:\.\d+)?", told)}
            if {x.value for x in ast.walk(call.args[1]) if isinstance(x, ast.Constant)} - known:
                found.append(row.id)
    return found


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_claim_is_measured_or_holds_the_numbers_of_its_row(path):
    cells = [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code"]
    code = "\n".join(cell.source for cell in cells if "setup" not in cell.metadata.get("tags", []))
    assert typed_numbers(code) == []


def test_a_claim_of_a_number_that_nobody_measured_is_found():
    assert typed_numbers('run.claim("hanyang-claim-ucf", 13 / 14)') == ["hanyang-claim-ucf"]
    assert typed_numbers('run.claim("hanyang-claim-8400", 100 * 420 / 500)') == []
    assert typed_numbers('run.claim("hanyang-claim-ucf", (across < ours).mean())') == []


def test_every_derivation_of_chapter_2_has_a_mark():
    """A cell that derives something displayed ends it at a check; a cell that only defines is named here."""
    prose, _ = parts(ROOT / "notebooks" / "02_diffusion_math.ipynb")
    defines = ("v=\\sqrt{\\bar\\alpha_t}", "x_\\tau=(1-\\tau)")
    derived = [text for text in prose if "$$" in text and not any(words in text for words in defines)]
    assert len(derived) >= 5
    for text in derived:
        after = text.partition("$$")[2]
        assert MARK.search(after), f"no mark below the equation {after[:80]!r}"


@pytest.mark.parametrize("code", ['run.verify("two-steps", 0)', 'run.claim(\n    "ddtma-eq-1", 0)'])
def test_a_mark_without_its_check_is_found(code):
    prose = ["[◦](#check-02-two-steps) [◦](#check-ddtma-eq-1)"]
    assert len(faults(prose, code, "02")) == 1
    assert len(faults(prose, "", "02")) == 2
    assert len(faults([], code, "02")) == 1


def boxes_in_a_row(cells) -> int:
    """The most boxes (quoted paragraphs) that follow each other with nothing between."""
    blocks = [
        block.lstrip().startswith(">") if cell.cell_type == "markdown" else False
        for cell in cells
        for block in (re.split(r"\n\s*\n", cell.source.strip()) if cell.cell_type == "markdown" else [""])
    ]
    return max((len(list(run)) for boxed, run in groupby(blocks) if boxed), default=0)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_never_more_than_two_boxes_stand_in_a_row(path):
    assert boxes_in_a_row(nbformat.read(path, as_version=4).cells) <= 2


def test_a_row_of_boxes_is_counted():
    box, prose, code = new_markdown_cell("> one\n\n> two"), new_markdown_cell("Prose."), new_code_cell("x = 1")
    assert boxes_in_a_row([box, box]) == 4
    assert boxes_in_a_row([box, prose, box, code, box]) == 2
    assert boxes_in_a_row([prose, code]) == 0
