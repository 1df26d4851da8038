"""Run a cell that ends in ``check("N.k", answer)`` alone, with the imports of its chapter, and get the answer."""

from __future__ import annotations

import ast
from functools import cache


def imports(notebook) -> list[str]:
    """Every import that stands at the outermost level of a chapter's cells, one name a line."""
    return list(_imports(tuple(cell.source for cell in notebook.cells if cell.cell_type == "code")))


@cache  # asked again for each mutant of a chapter's exercises
def _imports(sources: tuple[str, ...]) -> tuple[str, ...]:
    found = []
    for source in sources:
        if source.lstrip().startswith("%"):
            continue
        try:
            lines = ast.parse(source).body
        except SyntaxError:  # a line for Colab
            continue
        for line in lines:
            if isinstance(line, ast.Import | ast.ImportFrom):
                for name in line.names:
                    one = ast.Import([name]) if isinstance(line, ast.Import) else None
                    found.append(ast.unparse(one or ast.ImportFrom(line.module, [name], line.level)))
    return tuple(dict.fromkeys(found))


def needed(source: str, lines: list[str]) -> list[str]:
    """Those of the import lines whose name `source` uses."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return []
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    return [line for line in lines if (line.split(" as ")[-1] if " as " in line else _bound(line)) in used]


def _bound(line: str) -> str:
    name = line.split("import ")[1]
    return name if line.startswith("from ") else name.split(".")[0]


def answer(source: str, notebook):
    """What a cell hands to ``check``; the kit's is replaced by one that only notes it.

    Raises
    ------
    ValueError
        If the cell calls no ``check``.
    """
    noted: list = []
    space = {"__name__": "exercise"}
    exec("\n".join(needed(source, imports(notebook))), space)
    space["check"] = lambda number, given, variant=0: noted.append(given)
    exec(compile(source, "<exercise>", "exec"), space)
    if not noted:
        raise ValueError(f"no check(...) in the cell {source[:60]!r}")
    return noted[-1]
