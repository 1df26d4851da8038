"""The notebooks as they are committed: stripped, strict parameters, short cells, plain Markdown."""

from __future__ import annotations

import ast
import importlib
import re
import types
from pathlib import Path

import nbformat
import pytest
from press import keys, sources
from press.course.notebooks import exercises
from press.runs.source import default_parameters

from deepfake_kit.notebook import check, settings

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
SETUP_LINES = 14

pytestmark = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)


def cells(path: Path, kind: str = "code"):
    return [cell for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == kind]


def tagged(path: Path, tag: str):
    return [cell for cell in cells(path) if tag in cell.metadata.get("tags", [])]


def test_source_is_stripped_and_canonical(path):
    text = path.read_text(encoding="utf-8")
    assert text == sources.canonical(nbformat.reads(text, as_version=4)), "run `make format`"
    nbformat.validate(nbformat.reads(text, as_version=4))


def test_chapter_has_settings_and_a_place_in_the_contents(path):
    assert path.stem in settings.chapters()
    assert f"file: notebooks/{path.stem}\n" in (ROOT / "_toc.yml").read_text()


def test_first_code_cell_makes_it_run_anywhere(path):
    first = cells(path)[0]
    assert {"setup", "remove-cell"} <= set(first.metadata.tags)
    assert path.read_text(encoding="utf-8").count(sources.EMPTY) == 1
    assert len(first.source.splitlines()) <= SETUP_LINES


def test_every_parameter_is_declared_once_and_used_later(path):
    declared = default_parameters(path)
    assert list(declared)[:2] == ["profile", "seed"] and declared["profile"] == "book"
    after = [cell for cell in cells(path) if "parameters" not in cell.metadata.get("tags", [])]
    used = {
        node.id
        for cell in after
        for node in ast.walk(ast.parse("\n".join(keys.without_magics(cell.source))))
        if isinstance(node, ast.Name)
    }
    assert set(declared) <= used, f"parameters that nothing reads: {set(declared) - used}"


def missing(source: str) -> list[str]:
    """What this code takes from modules of the kit that are not there; names bound anew are left out."""
    tree, modules, absent = ast.parse(source), {}, []
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("deepfake_kit"):
            for name in node.names:
                try:
                    found = getattr(importlib.import_module(node.module), name.name, None)
                    found = importlib.import_module(f"{node.module}.{name.name}") if found is None else found
                except ModuleNotFoundError:
                    absent.append(f"{node.module}.{name.name}")
                    continue
                if isinstance(found, types.ModuleType):
                    modules[name.asname or name.name] = found
    bound = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    bound |= {node.arg for node in ast.walk(tree) if isinstance(node, ast.arg)}
    return absent + [
        f"{node.value.id}.{node.attr}"
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
        if node.value.id in modules.keys() - bound and not hasattr(modules[node.value.id], node.attr)
    ]


def test_what_it_takes_from_the_kit_is_there(path):
    assert missing("\n".join(line for cell in cells(path) for line in keys.without_magics(cell.source))) == []
    assert missing("from deepfake_kit.detect import vit, gone\nvit.gone(1)\nvit.features") == [
        "deepfake_kit.detect.gone",
        "vit.gone",
    ]


def test_every_setting_is_used(path):
    trees = [ast.parse("\n".join(keys.without_magics(cell.source))) for cell in cells(path)]
    read = {node.attr for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    unused = [name for name in settings.load(path.stem).settings if name not in read]
    assert not unused, f"settings that nothing reads: {unused}"


def test_no_branches_on_the_profile(path):
    assert not [cell.source for cell in cells(path) if re.search(r"\bif\b.*\b(smoke|profile)\b", cell.source)]


def test_it_begins_with_its_title(path):
    first = nbformat.read(path, as_version=4).cells[0]
    assert first.cell_type == "markdown" and first.source.startswith("# ")


def test_cells_are_short(path):
    """At most 25 lines that say something."""
    lines = {cell.id: sum(bool(line.strip()) for line in cell.source.splitlines()) for cell in cells(path)}
    assert not {name: count for name, count in lines.items() if count > 25}


def test_lines_fit_a_page(path):
    """Wider code must be scrolled on a laptop, on the page and in JupyterLab."""
    shown = [cell for cell in cells(path) if "remove-cell" not in cell.metadata.get("tags", [])]
    assert not [line for cell in shown for line in cell.source.splitlines() if len(line) > 110]


def test_markdown_reads_well_on_colab(path):
    for cell in cells(path, "markdown"):
        assert not re.search(r"^\s*:::|^\s*```\{|\{[a-z:]+\}`", cell.source, re.MULTILINE), cell.source[:200]


def test_exercises_have_stub_solution_and_grader(path):
    number = path.stem[:2].lstrip("0")
    graders = {name for name in check.exercises() if name.split(".")[0] == number}
    found = exercises(nbformat.read(path, as_version=4))
    assert len(graders) >= 4 and {one.number for one in found} == graders
    assert all(re.match(rf"# Solution {re.escape(one.number)}\b", one.solution) for one in found)
    assert all("hide-input" in cell.metadata.tags for cell in tagged(path, "solution"))


def test_sentences_show_no_code(path):
    for cell in cells(path):
        if re.match(r"run\.say\(", cell.source) and cell.source.rstrip().endswith(")"):
            assert "remove-input" in cell.metadata.get("tags", []), cell.source[:100]


def _parts(cell):
    """The top-level statements of a cell, by the names that they define or assign."""
    for node in ast.parse("\n".join(keys.without_magics(cell.source))).body:
        yield (
            {part.id for part in ast.walk(node) if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)}
            | {getattr(node, "name", "")},
            node,
        )


def test_what_the_chapter_is_about_is_written_out_and_the_kit_held_against_it(path):
    """Each equation and algorithm named under `shown:` stands in the chapter as at most 15 lines, checked beside."""
    shown = settings.load(path.stem).shown
    assert shown, "name under `shown:` in the chapter's settings what it writes out"
    for name in shown:
        places = [(k, node) for k, cell in enumerate(cells(path)) for names, node in _parts(cell) if name in names]
        assert places, f"{name} is written out in no cell"
        k, node = places[0]
        body = node.body[1:] if isinstance(node, ast.FunctionDef) and ast.get_docstring(node) else [node]
        lines = {part.lineno for one in body for part in ast.walk(one) if hasattr(part, "lineno")}
        assert len(lines) <= 15, f"{name} takes {len(lines)} lines"
        assert any("run.verify(" in cell.source for cell in cells(path)[k : k + 3]), f"no run.verify beside {name}"


def test_a_figure_is_shown_once_and_in_words(path):
    """A figure left open at a cell's end is shown by the kernel as well, without words for who cannot see it."""
    draws = re.compile(r"plt\.(subplots|figure)\(|\bdiagram\(")
    shown = re.compile(r"run\.(figure|explorable)\(|plt\.close\(|frames\.append\(|\breturn ")
    left = [c.id for c in cells(path, "code") if draws.search(c.source) and not shown.search(c.source)]
    assert not left, f"{left}: plt.close(fig), or run.figure in the same cell"
