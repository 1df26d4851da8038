"""How alike the answers of two students are: numbers, no judgement. Short functions are alike of themselves."""

from __future__ import annotations

import ast
import csv
import io
from itertools import combinations
from pathlib import Path

from deepfake_kit.cache import write_whole
from press.course.notebooks import call_of_check

LENGTH = 4  # tokens in a row


class _Bare(ast.NodeTransformer):
    """Forgets what names are chosen and what is said in texts."""

    def visit_Name(self, node):
        return ast.Name("x", node.ctx)

    def visit_arg(self, node):
        return ast.arg("x")

    def visit_Constant(self, node):
        return ast.Constant("" if isinstance(node.value, str) else node.value)


def grams(source: str) -> set[tuple[str, ...]]:
    """Runs of the names of the syntax in a cell, without names and texts that its author chose.

    Examples
    --------
    >>> grams("a = b + c  # mine") == grams("left = one + two")
    True
    """
    try:
        tree = _Bare().visit(ast.parse(source))
    except (SyntaxError, ValueError, RecursionError):
        return set()
    words = [
        f"{type(node).__name__} {getattr(node, 'attr', '')} {node.value if isinstance(node, ast.Constant) else ''}"
        for node in ast.walk(tree)
        if not isinstance(node, ast.Load | ast.Store)
    ]
    return {tuple(words[i : i + LENGTH]) for i in range(len(words) - LENGTH + 1)}


def likeness(one: dict[str, set], other: dict[str, set]) -> tuple[float, int]:
    """Shared runs over all runs, of the exercises that both answer; and the number of runs."""
    both = [number for number in one if other.get(number) and one[number]]
    shared = sum(len(one[n] & other[n]) for n in both)
    every = sum(len(one[n] | other[n]) for n in both)
    return (shared / every if every else 0.0), every


def of(cells) -> dict[str, set]:
    """The runs of each exercise that the cells answer."""
    found: dict[str, set] = {}
    for source in cells:
        if asked := call_of_check(source):
            found.setdefault(asked.args[0].value, set()).update(grams(source))
    return found


def write(reports, target: Path) -> None:
    """A row for each pair of students, the most alike first, with the median of all pairs beside it."""
    cells: dict[str, dict[str, set]] = {}
    for report in reports:
        cells.setdefault(report.student, {}).update(report.grams)
    rows = [(*likeness(cells[a], cells[b]), a, b) for a, b in combinations(sorted(cells), 2)]
    rows = sorted((row for row in rows if row[1]), reverse=True)
    median = rows[len(rows) // 2][0] if rows else 0.0
    head = ["student", "other", "share of equal runs", "runs compared", "median of all pairs"]
    write_table(target, [head, *([a, b, round(share, 3), runs, round(median, 3)] for share, runs, a, b in rows)])


def write_table(target: Path, rows: list[list]) -> None:
    """A CSV file, whole."""
    text = io.StringIO()
    csv.writer(text).writerows([_cell(value) for value in row] for row in rows)
    write_whole(target, text.getvalue().encode("utf-8", "backslashreplace"))  # a file's name need not be text


def _cell(value):
    """A text that a spreadsheet would take for a formula gets a mark before it."""
    return f"'{value}" if isinstance(value, str) and value.startswith(tuple("=+-@\t\r")) else value
