"""The notebook shows, the kit keeps: what one chapter alone needs has a reason to be here. A draw has a generator."""

from __future__ import annotations

import ast
import json
from collections.abc import Iterable
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
LISTED = yaml.safe_load(Path(__file__).with_name("thin.yml").read_text(encoding="utf-8"))
SHORT = 40  # lines without the docstring


def kit() -> dict[str, ast.Module]:
    """The kit's modules by dotted name, without the graders."""
    folder = ROOT / "deepfake_kit"
    files = [path for path in folder.rglob("*.py") if path.relative_to(folder).parts[0] != "exercises"]
    return {".".join(path.relative_to(folder).with_suffix("").parts): ast.parse(path.read_text()) for path in files}


def notebooks() -> dict[str, ast.Module]:
    found = {}
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        cells = [cell for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
        lines = "\n".join("".join(cell["source"]) for cell in cells).splitlines()
        found[path.stem] = ast.parse("\n".join(line for line in lines if not line.lstrip().startswith(("%", "!"))))
    return found


def elsewhere() -> list[ast.Module]:
    rooms = ("book/press", "data_scripts", "tests/flower", "deepfake_kit/exercises")
    return [ast.parse(path.read_text()) for room in rooms for path in (ROOT / room).rglob("*.py")]


def used(tree: ast.AST) -> set[str]:
    """Names that some code reads or imports."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
            found.add(node.id)
        elif isinstance(node, ast.Attribute):
            found.add(node.attr)
        elif isinstance(node, ast.ImportFrom):
            found |= {alias.name for alias in node.names}
    return found


def length(node: ast.FunctionDef) -> int:
    told = node.body[0] if ast.get_docstring(node) else None
    return node.end_lineno - node.lineno + 1 - (told.end_lineno - told.lineno + 1 if told else 0)


def of_one_chapter(kit: dict, notebooks: dict, elsewhere: Iterable[ast.AST]) -> list[str]:
    """Short public functions that one notebook uses, and nothing else but tests and the room's own list of names."""
    read = {name: used(tree) for name, tree in notebooks.items()}
    others = set().union(*map(used, elsewhere))
    inside = {name: used(tree) for name, tree in kit.items() if not name.endswith("__init__")}
    found = []
    for module, tree in kit.items():
        beyond = others.union(*(names for name, names in inside.items() if name != module))
        for node in tree.body:
            if not isinstance(node, ast.FunctionDef) or node.name.startswith("_") or length(node) >= SHORT:
                continue
            own = set().union(*(used(other) for other in tree.body if other is not node))
            if node.name not in beyond | own and sum(node.name in names for names in read.values()) == 1:
                found.append(f"{module}.{node.name}")
    return sorted(found)


def test_what_one_chapter_alone_uses_has_a_reason_to_be_in_the_kit():
    listed = LISTED["kept"]
    assert of_one_chapter(kit(), notebooks(), elsewhere()) == sorted(listed) and all(listed.values())


def test_a_function_of_one_chapter_is_found():
    def modules(text: str) -> dict:
        return {"measure.odd": ast.parse(text), "measure.__init__": ast.parse("from measure.odd import double")}

    plain = "def double(x):\n    return 2 * x\n"
    one, two = ast.parse("double(3)"), ast.parse("other(3)")
    assert of_one_chapter(modules(plain), {"01": one, "02": two}, []) == ["measure.odd.double"]
    assert of_one_chapter(modules(plain), {"01": one, "02": one}, []) == []
    assert of_one_chapter(modules(plain), {"01": one}, [one]) == []
    assert of_one_chapter(modules(f"{plain}\n\ndef four(x):\n    return double(double(x))\n"), {"01": one}, []) == []
    long = "def double(x):\n" + SHORT * "    x += 1\n" + "    return x\n"
    assert of_one_chapter(modules(long), {"01": one}, []) == []


SEEDS = {"seed", "seeds", "random", "random_state", "rng"}


def seeded(module: str, tree: ast.Module) -> list[str]:
    """Public functions, methods and makers of objects of a module that take a seed or an unnamed kind of draw."""
    found = []
    for node in tree.body:
        inner = (
            [part for part in node.body if isinstance(part, ast.FunctionDef)] if isinstance(node, ast.ClassDef) else []
        )
        for part in [node, *inner]:
            if not isinstance(part, ast.FunctionDef) or part.name.startswith("_") and part.name != "__init__":
                continue
            arguments = part.args
            names = {x.arg for x in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)}
            if names & SEEDS and not node.name.startswith("_"):
                method = f".{part.name}" if part is not node and part.name != "__init__" else ""
                found.append(f"{module}.{node.name}{method}".removeprefix("__init__."))
    return found


def makes_generators(tree: ast.Module) -> bool:
    """Whether code makes a generator, or seeds one."""
    calls = {node.func for node in ast.walk(tree) if isinstance(node, ast.Call)}
    names = {f.attr if isinstance(f, ast.Attribute) else getattr(f, "id", "") for f in calls}
    return bool(names & {"manual_seed", "default_rng", "SeedSequence", "Philox", "RandomState", "Random"})


def test_a_draw_takes_a_generator():
    """A parameter named seed is the name of something, and says of what; a module that makes a generator says why."""
    found = sorted(name for module, tree in kit().items() for name in seeded(module, tree))
    assert found == sorted(LISTED["seeds"]) and all(LISTED["seeds"].values())
    makers = sorted(name for name, tree in kit().items() if makes_generators(tree))
    assert makers == sorted(LISTED["generators"]) and all(LISTED["generators"].values())


def test_a_seed_is_found():
    text = "def f(n, *, seed=0): ...\ndef _g(seed): ...\n"
    text += "class C:\n    def __init__(self, rng): ...\n    def h(self, seeds): ..."
    assert seeded("m", ast.parse(text)) == ["m.f", "m.C", "m.C.h"]
    assert seeded("m", ast.parse("def f(n, generator=None): ...")) == []
    assert makes_generators(ast.parse("import numpy as np\nx = np.random.default_rng(0)"))
    assert not makes_generators(ast.parse("def f(generator):\n    return generator.random()"))
