"""What the pages compute: graders and exercises in the browser, and the contracts of chapter 5 with their machine."""

from __future__ import annotations

import ast
import base64
import gzip
import json
import sys
from functools import cache as once
from pathlib import Path

import yaml
from nbformat.v4 import new_code_cell, new_output

from press import assets, templates
from press.course import reference

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent / "python"
PLAIN = sys.stdlib_module_names | {"numpy"}  # what Python has in the page


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

    def works(line: str) -> bool:
        (node,) = ast.parse(line).body
        module = getattr(node, "module", None) or node.names[0].name
        place = module.replace(".", "/")
        return module.split(".")[0] in PLAIN or f"{place}.py" in have or f"{place}/{node.names[0].name}.py" in have

    return "\n".join(filter(works, reference.imports(notebook)))


@once
def hints() -> dict[str, str]:
    """The hint of each exercise, by its number."""
    return yaml.safe_load((ROOT / "book" / "hints.yml").read_text(encoding="utf-8"))


def desk(number: str, chapter: str, python: bool):
    """What stands below an exercise's stub: its hint, and how to solve it here, or elsewhere where Python is absent."""
    html = templates.render(
        "exercise.html", number=number, hint=hints().get(number, ""), chapter=chapter, where=PLACE if python else ""
    )
    output = new_output("display_data", data={"text/html": html}, metadata={})
    id = f"exercise-{number.replace('.', '-')}"
    return new_code_cell("pass", id=id, outputs=[output], metadata={"tags": ["remove-input"]}, execution_count=1)


PLACE = "_static/python"  # inside the site
PYTHON = ("pyodide.js", "pyodide.asm.js", "pyodide.asm.wasm", "python_stdlib.zip", "pyodide-lock.json")


def write(folder: Path, modules_folder: Path, wheel: Path, notebooks: dict) -> None:
    """Write what the page's Python is made of.

    Each part is a script that hands its name and its packed bytes to the page: a page from the disk may load scripts
    and nothing else.

    Parameters
    ----------
    folder : Path
        Where to; made if missing.
    modules_folder : Path
        ``node_modules``, with Pyodide.
    wheel : Path
        numpy for WebAssembly.
    notebooks : dict of str to NotebookNode
        The chapters with exercises, by name.
    """
    have = modules()
    kit = {
        "files": {**have, "graded.py": (HERE / "graded.py").read_text(encoding="utf-8")},
        "chapters": {str(int(name[:2])): preamble(notebook, have) for name, notebook in notebooks.items()},
    }
    parts = {name: (modules_folder / "pyodide" / name).read_bytes() for name in PYTHON}
    parts |= {"numpy.whl": wheel.read_bytes(), "kit.json": json.dumps(kit).encode()}
    pack(folder, parts, "worker.js")


def pack(folder: Path, parts: dict[str, bytes], worker: str) -> None:
    """Write parts by their names, and the worker that opens them, for ``desk.js`` of the page to load."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in parts.items():
        packed = base64.b64encode(gzip.compress(data, 9, mtime=0)).decode()
        (folder / f"{name}.js").write_text(f'kitPart("{name}","{packed}")\n', encoding="ascii")
    source = "".join((HERE / name).read_text(encoding="utf-8") for name in ("parts.js", worker))
    (folder / "worker.js").write_text(f'kitPart("worker.js",{json.dumps(source)})\n', encoding="utf-8")
    names = [f"{name}.js" for name in [*parts, "worker"]]
    (folder / "parts.js").write_text(f"kitPart('parts',{json.dumps(names)})\n", encoding="ascii")


def market(folder: Path, third_party: Path) -> None:
    """Write chapter 5's contracts, compiled from the kit's source, and the Ethereum machine that runs them in the page.

    Parameters
    ----------
    folder : Path
        Where to, beside the explorable ``deposit.js``.
    third_party : Path
        Where :func:`press.assets.install` put esbuild and @ethereumjs/evm.
    """
    from deepfake_kit.chain import evm

    made = {}
    for name in ("task_market", "repaired_market"):
        code, abi = evm.compiled(evm.source(name))
        contract = evm.Contract(None, "", abi)
        made[name] = {
            "code": code.hex(),
            "functions": {
                call: {
                    "selector": contract.selectors[call].hex(),
                    "names": [one["name"] for one in about["inputs"]],
                    "inputs": [one["type"] for one in about["inputs"]],
                    "payable": about["stateMutability"] == "payable",
                    "view": about["stateMutability"] in ("view", "pure"),
                }
                for call, about in contract.functions.items()
            },
            "events": {
                f"{topic:064x}": {
                    "name": about["name"],
                    "inputs": [[one["name"], one["type"], one["indexed"]] for one in about["inputs"]],
                }
                for topic, about in contract.events.items()
            },
        }
    (folder / "contracts.js").write_text(f"kitLive.contracts={json.dumps(made, separators=(',', ':'))}\n", "ascii")
    (folder / "machine.js").write_text(assets.bundled(third_party, HERE / "machine.js"), encoding="utf-8")
