"""When must a chapter run again? Its key: notebook, reachable kit source, lock, parameters, data, weights, profile.

jupyter-cache keys on the cells' source alone, so an edited kit would leave old
figures standing. This key holds everything that can change a result.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import json
from pathlib import Path

from deepfake_kit import pretrained, provenance
from deepfake_kit.notebook import settings
from deepfake_kit.notebook.run import Run
from press.runs import source

KIT = provenance.PACKAGE
# The modules of the run's class, which every run goes through with all that they import. No list by hand: who gives the
# run another parent is seen here. (An import graph such as grimp's would not do: a notebook starts its run by name.)
RUN = tuple(parent.__module__.removeprefix("deepfake_kit.") for parent in Run.__mro__ if parent is not object)
EXECUTOR = Path(source.__file__).parent  # what executes it and reads its records
BY_METHOD = ("", *RUN)  # the package and the run: what a notebook names of them
# Folders with one file a chapter or a row a claim: only the chapter's own part counts.
BY_CHAPTER = {"chapters", "exercises", "papers"}


def chapter_key(root: Path, chapter: str, profile: str, kit: Path = KIT) -> str:
    """Key of one chapter's executed notebook: 20 hexadecimal digits."""
    notebook = root / "notebooks" / f"{chapter}.ipynb"
    code = [cell.source for cell in source.read_source(notebook).cells if cell.cell_type == "code"]
    for number, cell in enumerate(code, 1):
        try:
            ast.parse("\n".join(without_magics(cell)))
        except SyntaxError as error:
            line = (error.text or "").rstrip()
            raise ValueError(f"chapter {chapter}, cell [{number}]: {error.msg}, line {error.lineno}: {line}") from None
    about = settings.load(chapter)
    parameters = {**source.default_parameters(notebook), "profile": profile}
    data_sets = about.data_sets(parameters)
    parts = {
        "notebook": _digest(notebook.read_bytes()),
        "kit": {
            str(path.relative_to(kit.resolve())): _digest(path.read_bytes())
            for path in reachable(code, kit, about.number)
        },
        "executor": tree_key([EXECUTOR / f"{name}.py" for name in ("execute", "kernel", "results", "source")]),
        "chapter": _digest((kit / "chapters" / f"{chapter}.yml").read_bytes()),
        "claims": _claim_rows(code),
        "lock": _digest((root / "requirements.lock").read_bytes()),
        "parameters": parameters,
        "data": {name: _fingerprint(name) for name in data_sets},
        "weights": {name: pretrained.ensure(name) for name in about.weights.get(profile, ())},
        "profile": profile,
        "beside": [tree_key([path]) for path in _beside(root, chapter, kit, code) if path.exists()],
    }
    return _digest(json.dumps(parts, sort_keys=True).encode())[:20]


def _beside(root: Path, chapter: str, kit: Path, code: list[str]) -> list[Path]:
    """What a run is shown beside: the kept results of the chapter and of those that its code names, and its bands."""
    named = [name for name in settings.chapters() if name == chapter or any(f'load("{name}")' in cell for cell in code)]
    return [*(root / "results" / settings.KEPT / name for name in named), kit / "chapters" / f"{chapter}.bands.json"]


def reachable(code: list[str], kit: Path = KIT, number: str = "") -> list[Path]:
    """Kit files that notebook code can reach: imported modules, what they import, and data files they name.

    Parameters
    ----------
    code : list of str
        The source of the notebook's code cells; IPython magics are allowed.
    kit : Path
        The package's folder.
    number : str
        The chapter's two digits; its graders count, those of other chapters do not.

    Notes
    -----
    Attribute access through the package (``kit.diffusion.UNet``) counts as an import; what a method of the run or a
    function of the package imports counts where the notebook names it (``run.load`` reaches ``data``). A module's
    string that names a data file or folder of the package counts as reading it.
    """
    trees = [ast.parse("\n".join(without_magics(cell))) for cell in code]
    graders = kit / "exercises" / f"chapter_{number}.py"
    files: set[Path] = set()
    if graders.is_file():
        files.add(graders)
        trees.append(ast.parse(graders.read_text(encoding="utf-8")))
    nodes = [node for tree in trees for node in ast.walk(tree)]
    methods = {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    methods |= {alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names}

    def imports(name: str, tree: ast.AST) -> set[str]:
        return provenance.imported(_called(tree, methods) if name in BY_METHOD else tree, kit)

    named = {name for tree in trees for name in provenance.imported(tree, kit)}
    for path in provenance.reached({*RUN, *named}, kit, imports).values():
        files.add(path)
        files |= _named_files(path, kit)
        if (tables := path.with_suffix(".yml")).is_file():  # what `paths.beside` reads
            files.add(tables)
    return sorted(file.resolve() for file in files)


def _called(tree: ast.AST, methods: set[str]) -> ast.Module:
    """The module without those public functions, and methods of its classes, that the notebook never names."""
    body = [
        part
        for node in tree.body
        for part in (node.body if isinstance(node, ast.ClassDef) else [node])
        if not isinstance(part, ast.FunctionDef) or part.name.startswith("_") or part.name in methods
    ]
    return ast.Module(body=body, type_ignores=[])


def _named_files(module: Path, kit: Path) -> set[Path]:
    """Data files that a module names in a string, from its own folder or the package's; folders taken whole.

    Folders of code are no data, though a string such as ``"data"`` may spell their names.
    """
    found: set[Path] = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if not (isinstance(node, ast.Constant) and isinstance(node.value, str) and 0 < len(node.value) < 80):
            continue
        if node.value in BY_CHAPTER or not node.value.isprintable() or not node.value.strip("./ "):
            continue
        for place in {kit, module.parent}:
            path = place / node.value
            if not path.exists() or kit.resolve() not in (path := path.resolve()).parents:
                continue
            if path.is_file() and path.suffix != ".py":
                found.add(path)
            elif path.is_dir() and not (path / "__init__.py").exists():
                found |= {file for file in path.rglob("*") if file.is_file() and "__pycache__" not in file.parts}
    return found


def _claim_rows(code: list[str]) -> dict[str, str]:
    """The rows of the claims files that the notebook names, so that editing another row leaves it alone."""
    from deepfake_kit.notebook import claims

    trees = [ast.parse("\n".join(without_magics(cell))) for cell in code]
    texts = {node.value for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant)}
    rows = [row for paper in claims.papers() for row in claims.load(paper)[1] if row.id in texts]
    return {row.id: repr(row) for row in rows}


def without_magics(cell: str) -> list[str]:
    """The cell's lines as the Python that IPython makes of them: ``%magic``, ``x = !command`` and ``name?`` are calls.

    Below ``%%time`` stands code like any other; below ``%%bash`` stands none, and IPython's call takes its place.
    """
    from IPython.core.inputtransformer2 import TransformerManager

    manager = TransformerManager()
    first, _, rest = cell.lstrip().partition("\n")
    if first.startswith("%%"):
        body = manager.transform_cell(rest)
        with contextlib.suppress(SyntaxError):
            ast.parse(body)
            return body.splitlines()
    return manager.transform_cell(cell).splitlines()


def _fingerprint(name: str) -> str:
    from deepfake_kit import data

    # Fetches the set if it is nowhere yet: otherwise its arrival would change the key of the next build.
    return data.ensure(name)


def tree_key(paths: list[Path], more: str = "") -> str:
    """Key of a set of files and folders: names and contents, 20 hexadecimal digits."""
    digest = hashlib.sha256(more.encode())
    for path in paths:
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in files:
            if file.is_file() and "__pycache__" not in file.parts:
                digest.update(f"{file.relative_to(path.parent)}\0{_digest(file.read_bytes())}\n".encode())
    return digest.hexdigest()[:20]


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
