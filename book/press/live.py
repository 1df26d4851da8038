"""Exercises that answer in the page: which cells they are, and the part of the kit that grades them in the browser."""

from __future__ import annotations

import ast
import re
import sys
from pathlib import Path
from typing import NamedTuple

from press import keys
from press.opening import tags

ROOT = Path(__file__).resolve().parents[2]
CHECK = re.compile(r'^check\("(\d+\.\d+)", ', re.MULTILINE)
PLAIN = sys.stdlib_module_names | {"numpy"}  # what Python has in the page


class Exercise(NamedTuple):
    """One exercise of a chapter: its number, what the reader starts from, and the book's solution."""

    number: str
    stub: str
    solution: str


def exercises(notebook) -> list[Exercise]:
    """The exercises of a notebook, in its order.

    Raises
    ------
    ValueError
        If an exercise has not one stub and one solution.
    """
    stubs, solutions = {}, {}
    for cell in notebook.cells:
        found = CHECK.findall(cell.source) if cell.cell_type == "code" else []
        if found:
            table = solutions if "solution" in tags(cell) else stubs
            if len(found) > 1 or found[0] in table:
                raise ValueError(f"cell {cell.id}: exercise {found[-1]} stands twice; valid: one stub and one solution")
            table[found[0]] = cell.source
    if odd := stubs.keys() ^ solutions.keys():
        raise ValueError(f"exercise {min(odd)}: a stub or a solution is missing; valid: one of each")
    return [Exercise(number, stub, solutions[number]) for number, stub in stubs.items()]


def _imports(path: Path, deep: bool) -> set[str]:
    """The modules of the kit that a file imports, or may: a name taken from a package may be a module."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    found = set()
    for node in ast.walk(tree) if deep else tree.body:
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("deepfake_kit"):
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names if alias.name.startswith("deepfake_kit")}
    return found


def modules(root: Path = ROOT) -> dict[str, str]:
    """What the graders need of the kit: the text of each file by its path inside the repository.

    A grader may import within a function; of what it imports only the top of the file counts.
    """
    kit = Path(root) / "deepfake_kit"
    waiting = [kit / "notebook" / "check.py", *sorted((kit / "exercises").glob("chapter_*.py"))]
    found: dict[str, str] = {}
    while waiting:
        path = waiting.pop()
        name = path.relative_to(root).as_posix()
        if name in found:
            continue
        found[name] = path.read_text(encoding="utf-8")
        waiting += [path.with_name("__init__.py")] if path.name != "__init__.py" else []
        for module in _imports(path, deep=path.parent.name == "exercises"):
            place = Path(root, *module.split("."))
            waiting += [one for one in (place.with_suffix(".py"), place / "__init__.py") if one.is_file()]
    return dict(sorted(found.items()))


def preamble(notebook, have: dict[str, str]) -> str:
    """The imports of a chapter that work in the page, one a line; `have` is what :func:`modules` gave."""
    lines = []
    for cell in notebook.cells:
        if cell.cell_type != "code" or cell.source.startswith("%%"):
            continue
        for node in ast.parse("\n".join(keys.without_magics(cell.source))).body:
            if isinstance(node, ast.Import):
                kept = [one for one in node.names if one.name.split(".")[0] in PLAIN]
                lines += [ast.unparse(ast.Import(kept))] if kept else []
            elif isinstance(node, ast.ImportFrom):
                place = node.module.replace(".", "/")
                kept = [
                    one
                    for one in node.names
                    if node.module.split(".")[0] in PLAIN or f"{place}.py" in have or f"{place}/{one.name}.py" in have
                ]
                lines += [ast.unparse(ast.ImportFrom(node.module, kept, 0))] if kept else []
    return "\n".join(dict.fromkeys(lines))
