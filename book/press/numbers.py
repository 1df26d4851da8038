"""Numbers by chapter: a "Fig. 6.4" in the text is what the run calls that figure, in the source and on the page."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import nbformat

from deepfake_kit.notebook import marks
from press import keys

KINDS = {"figure": "fig", "explorable": "exp", "table": "tab"}
REFERENCE = re.compile(r"\[(?:Fig\.|Table)[^\]\n]*\]\(#((?:fig|exp|tab)-\d\d-[\w-]+)\)")
EQUATION = re.compile(r"(?<![\\`])\$\$(.+?)\$\$", re.DOTALL)
NAMED_EQUATION = re.compile(r"\bEqs?\. \((\d+\.\d+)\)")


def of(notebook, chapter: str) -> dict[str, str]:
    """The number of each figure, slider and table by its anchor, in the order of a notebook's calls.

    Raises
    ------
    ValueError
        If an id is not written out, for then no reader of the source can know its number.
    """
    found: dict[str, str] = {}
    for cell in notebook.cells:
        if cell.cell_type != "code":
            continue
        calls = [
            node
            for node in ast.walk(ast.parse("\n".join(keys.without_magics(cell.source))))
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and node.func.attr in KINDS
            and getattr(node.func.value, "id", "") == "run"
        ]
        for call in sorted(calls, key=lambda node: node.lineno):
            if not (call.args and isinstance(call.args[0], ast.Constant)):
                raise ValueError(f"chapter {chapter}, cell {cell.id}: write out the id of run.{call.func.attr}(...)")
            if (id := call.args[0].value) != "settings":
                name = marks.NUMBERED[call.func.attr]
                count = sum(number.startswith(name) for number in found.values())
                anchor = f"{KINDS[call.func.attr]}-{chapter[:2]}-{id.replace('_', '-')}"
                found[anchor] = f"{name} {int(chapter[:2])}.{count + 1}"
    return found


def renumbered(notebook, chapter: str):
    """The notebook with the right number in each ``[Fig. 6.4](#fig-06-loss)``; unknown anchors stay as they are."""
    numbers = of(notebook, chapter)
    for cell in notebook.cells:
        cell.source = REFERENCE.sub(
            lambda found: f"[{numbers[found[1]]}](#{found[1]})" if found[1] in numbers else found[0], cell.source
        )
    return notebook


def equations(notebook) -> int:
    """How many displayed equations a chapter has."""
    return sum(len(EQUATION.findall(cell.source)) for cell in notebook.cells if cell.cell_type == "markdown")


def problems(path: Path) -> list[str]:
    """References that lead nowhere or hold a wrong number, and what no sentence of the chapter refers to."""
    notebook = nbformat.read(path, as_version=4)
    numbers, chapter = of(notebook, path.stem), int(path.stem[:2])
    text = "\n".join(cell.source for cell in notebook.cells)
    named = {found[1]: found[0] for found in REFERENCE.finditer(text)}
    wrong = [f"{words} leads nowhere" for anchor, words in named.items() if anchor not in numbers]
    wrong += [
        f"{found[0]} should be {numbers[found[1]]}; run `make format`"
        for found in REFERENCE.finditer(text)
        if found[1] in numbers and not found[0].startswith(f"[{numbers[found[1]]}]")
    ]
    last = equations(notebook)
    wrong += [
        f"Eq. ({number}) does not exist: the chapter has {last} displayed equations"
        for number in NAMED_EQUATION.findall(text)
        if int(number.split(".")[0]) == chapter and not 1 <= int(number.split(".")[1]) <= last
    ]
    wrong += [f"no sentence refers to {name} (#{anchor})" for anchor, name in numbers.items() if anchor not in named]
    return [f"{path.stem}: {words}" for words in wrong]
