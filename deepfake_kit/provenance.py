"""Where a number comes from: code, machine, libraries, seed."""

from __future__ import annotations

import ast
import hashlib
import platform
import random
import subprocess
import sys
from collections.abc import Callable, Iterable
from importlib import metadata
from pathlib import Path

PACKAGE = Path(__file__).parent

LIBRARIES = ("torch", "numpy", "scipy", "matplotlib", "torchvision", "diffusers", "timm", "peft", "titanoboa", "vyper")


def git_revision(folder: Path | None = None) -> str:
    """Short git revision of the source tree, with ``+`` if it holds uncommitted changes.

    ``"unversioned"`` where the package was installed from a wheel or git is absent.
    """

    def git(*words: str) -> subprocess.CompletedProcess:
        return subprocess.run(["git", "-C", folder or PACKAGE, *words], capture_output=True, text=True, timeout=10)

    try:
        inside = not git("ls-files", "--error-unmatch", "__init__.py").returncode
        return inside and git("describe", "--always", "--dirty=+", "--exclude=*").stdout.strip() or "unversioned"
    except (OSError, subprocess.TimeoutExpired):
        return "unversioned"


def library_versions() -> dict[str, str]:
    """Installed versions of the libraries whose numerics can move a result."""
    versions = {"python": platform.python_version()}
    for name in LIBRARIES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def processor() -> str:
    """The processor's name as the system gives it."""
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def accelerator() -> str | None:
    """The CUDA device's name, or None."""
    import torch

    return torch.cuda.get_device_name(0) if torch.cuda.is_available() else None


def peak_memory_mb() -> float:
    """Largest resident memory of this process so far, in MiB."""
    if sys.platform == "win32":
        import psutil

        return psutil.Process().memory_info().peak_wset / 2**20
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def seed_everything(seed: int) -> None:
    """Seed python's, numpy's and torch's global generators."""
    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002  third-party code still draws from the legacy generator
    torch.manual_seed(seed)


def environment() -> dict:
    """Everything about code and machine that a reader needs to judge a number."""
    import torch

    return {
        "git": git_revision(),
        "versions": library_versions(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": processor(),
        "accelerator": accelerator(),
        "threads": torch.get_num_threads(),
    }


def module_file(name: str, package: Path = PACKAGE) -> Path | None:
    """The file of a module of the kit by its dotted name ("" is the package itself), or None if there is none.

    >>> module_file("diffusion.steps").name, module_file("diffusion").name, module_file("nothing")
    ('steps.py', '__init__.py', None)
    """
    path = package.joinpath(*name.split(".")) if name else package
    for file in (path / "__init__.py", path.with_name(f"{path.name}.py")):
        if file.is_file():
            return file
    return None


def imported(tree: ast.AST, package: Path = PACKAGE) -> set[str]:
    """Dotted names of the kit's modules that a syntax tree imports, or reaches through an alias of the package."""
    # A notebook makes the alias `kit` in one cell and uses it in others.
    aliases, found = {"deepfake_kit", "kit"}, set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                first, _, rest = name.name.partition(".")
                if first == "deepfake_kit":
                    found.add(rest) if rest else aliases.add(name.asname or first)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            first, _, room = node.module.partition(".")
            if first == "deepfake_kit":
                inside = [f"{room}.{name.name}".strip(".") for name in node.names]
                found |= {name if module_file(name, package) else room for name in inside}
    for node in ast.walk(tree):
        names: list[str] = []
        while isinstance(node, ast.Attribute):
            names.insert(0, node.attr)
            node = node.value
        if names and isinstance(node, ast.Name) and node.id in aliases:
            # What is no room is a function of the package itself, such as `kit.start`.
            found |= {".".join(names[: i + 1]) for i in range(len(names))} if module_file(names[0], package) else {""}
    return {name for name in found if module_file(name, package)}


def reached(
    modules: Iterable[str], package: Path = PACKAGE, imports: Callable[[str, ast.AST], set[str]] | None = None
) -> dict[str, Path]:
    """Modules of the kit that `modules` reach by importing, themselves included: dotted name and file.

    A room's ``__init__.py`` counts for each of its modules, since Python runs it; what it offers counts only
    where something is imported from the room itself.

    Parameters
    ----------
    modules : iterable of str
        Dotted names below ``deepfake_kit``; those that are no module are passed over.
    package : Path
        The package's folder.
    imports : callable (name, syntax tree) -> set of str, optional
        What a module imports; by default all of :func:`imported`.

    Examples
    --------
    >>> sorted(reached(["diffusion.velocity"]))
    ['', 'diffusion', 'diffusion.steps', 'diffusion.velocity', 'valid']
    """
    waiting, found, opened = {*modules}, {}, set()
    while waiting:
        name = waiting.pop()
        path = module_file(name, package)
        if path is None or name in opened:
            continue
        opened.add(name)
        for depth in range(name.count(".") + 1 if name else 0):
            room = ".".join(name.split(".")[:depth])
            found[room] = module_file(room, package)
        found[name] = path
        tree = ast.parse(path.read_text(encoding="utf-8"))
        waiting |= imports(name, tree) if imports else imported(tree, package)
    return found


# What shows, grades, checks or finds things, and computes no result.
NOT_CODE = {"", "__main__", "notebook", "exercises", "valid", "provenance", "paths", "cache", "_compat"}


def essential(text: str) -> str:
    """Source without docstrings, comments, empty lines and statements that only show something, ``run.figure(...)``.

    >>> essential("# why\\nx = 1\\nrun.say('it is {x}',\\n  x=x)")
    'x = 1'
    """
    lines, drop, hold, quoted = text.splitlines(), set(), set(), set()
    for node in ast.walk(ast.parse(text)):
        for part in getattr(node, "body", None) if isinstance(getattr(node, "body", None), list) else ():
            value = part.value if isinstance(part, ast.Expr) else None
            called = value.func.value if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute) else None
            words = isinstance(value, ast.Constant) and isinstance(value.value, str)
            if words or isinstance(called, ast.Name) and called.id == "run":
                drop |= set(range(part.lineno - 1, part.end_lineno))
            elif not hasattr(part, "body"):
                hold |= {part.lineno - 1, part.end_lineno - 1}  # it may share a line with one that goes
        if isinstance(node, ast.Constant | ast.JoinedStr):
            quoted |= set(range(node.lineno, node.end_lineno))  # there is no comment inside a text
    kept = ((index, line.rstrip()) for index, line in enumerate(lines) if index in hold or index not in drop)
    return "\n".join(line for index, line in kept if line and (index in quoted or not line.lstrip().startswith("#")))


def code_digest(*texts: str, tables: str = "") -> str:
    """Hash of what some source computes: 12 hexadecimal digits."""
    return hashlib.sha256(("\n\n".join(essential(text) for text in texts) + tables).encode()).hexdigest()[:12]


def module_code(name: str) -> str | None:
    """Hash of what a module computes, tables and contracts beside it included; None where there is no such module."""
    if (file := module_file(name)) is None:
        return None
    beside = [file.with_suffix(".yml"), *(sorted(file.parent.glob("contracts/*.vy")) if file.stem == "evm" else ())]
    more = "".join(place.read_text(encoding="utf-8") for place in beside if place.is_file())
    return code_digest(file.read_text(encoding="utf-8"), tables=more)


def code(cells: Iterable[str]) -> dict[str, str]:
    """The kit's modules that some cells reach and that can change a result, each with the hash of its code."""
    names: set[str] = set()
    for cell in cells:
        try:
            names |= imported(ast.parse(cell))
        except SyntaxError:  # a magic, such as that of the first cell
            continue
    found = (name for name in reached(names - {""}) if name.split(".")[0] not in NOT_CODE)
    return {name: module_code(name) for name in sorted(found)}
