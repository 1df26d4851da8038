"""A student's file read as data: which cells it adds to the chapter, and which exercises it answers."""

from __future__ import annotations

import ast
import contextlib
import json
from dataclasses import dataclass
from pathlib import Path

from deepfake_kit.notebook.check import exercises as graders
from press.course import wire
from press.course.notebooks import call_of_check

LARGEST = 20 << 20  # bytes of a file
ENDINGS = (".ipynb", ".py")


class Unreadable(ValueError):
    """A file that is no submission; the message says why."""


@dataclass(frozen=True)
class Submission:
    """One file: whose it is, and the source of its code cells."""

    path: Path
    student: str
    cells: tuple[str, ...]

    @property
    def numbers(self) -> list[str]:
        """The exercises that it hands to ``check``, in its order."""
        found = [asked.args[0].value for asked in map(call_of_check, self.cells) if asked]
        return [number for number in dict.fromkeys(found) if number in graders()]

    @property
    def variants(self) -> dict[str, int]:
        """The variants that its calls of ``check`` name: the copy's own word."""
        found = {}
        for asked in filter(None, map(call_of_check, self.cells)):
            kinds = [word.value for word in asked.keywords if word.arg == "variant"]
            if kinds and isinstance(kinds[0], ast.Constant) and type(kinds[0].value) is int:
                found[asked.args[0].value] = kinds[0].value
        return found


def files(place: Path) -> list[Path]:
    """Each file in and below a folder, or the one file; no links."""
    here = sorted(place.rglob("*")) if place.is_dir() else [place]
    return [path for path in here if path.is_file() and not path.is_symlink()]


def find(place: Path) -> list[tuple[str, Path]]:
    """Student and file of everything handed in: the student is the first folder below `place`, or the file's name.

    What Jupyter, macOS and others leave beside a file (``.ipynb_checkpoints``, ``._name``) is nobody's submission.
    """
    found = []
    for path in files(place):
        parts = path.relative_to(place if place.is_dir() else place.parent).parts
        if path.suffix.lower() in ENDINGS and not any(part.startswith((".", "__MACOSX")) for part in parts):
            found.append((parts[0] if len(parts) > 1 else path.stem, path))
    return found


def passed_over(place: Path) -> list[str]:
    """Whoever has something there and nothing to mark: a folder without notebook or program, a file of another kind."""
    known = {path.relative_to(place).parts[0] for _, path in find(place)} if place.is_dir() else set()
    there = sorted(path.name for path in place.iterdir()) if place.is_dir() else []
    return [name for name in there if name not in known and not name.startswith((".", "__MACOSX"))]


def read(student: str, path: Path) -> Submission:
    """Read a file; nothing of it runs.

    Raises
    ------
    Unreadable
        If it is too large, no notebook, or no text.
    """
    size = path.stat().st_size
    if size > LARGEST:
        raise Unreadable(f"the file has {size >> 20} MB; at most {LARGEST >> 20} are read")
    try:
        text = path.read_bytes().decode("utf-8-sig")
        if path.suffix.lower() == ".py":
            return Submission(path, student, _parts(text))
        if wire.nested(text):
            raise ValueError("brackets in brackets, too deep")
        content = json.loads(text)
        cells = tuple(_plain("".join(cell["source"])) for cell in content["cells"] if cell.get("cell_type") == "code")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Unreadable(f"the file is no notebook: {type(error).__name__}: {str(error)[:80]}") from None
    return Submission(path, student, cells)


def _plain(source: str) -> str:
    """A cell without the lines that only Jupyter understands; a line of Python may begin with their signs, too."""
    try:
        ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        lines = source.splitlines()
    else:
        return source
    if lines and lines[0].startswith("%%"):
        return ""
    return "\n".join(line for line in lines if not line.lstrip().startswith(("%", "!")))


def _parts(text: str) -> tuple[str, ...]:
    """A program cut after each call of ``check``, so that one part that fails leaves the others."""
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return (text,)
    parts: list[list[str]] = [[]]
    for node in body:
        parts[-1].append(ast.unparse(node))
        if call_of_check(parts[-1][-1]):
            parts.append([])
    return tuple("\n".join(part) for part in parts if part)


def given(course: Path) -> frozenset[str]:
    """Cells of the copies that ``course`` wrote, by one student's: a chapter may have changed since.

    A copy that cannot be read gives none.
    """
    copies = {path.name: path for path in sorted((course / "student").rglob("*.ipynb"))}
    found: set[str] = set()
    for path in copies.values():
        with contextlib.suppress(Unreadable, OSError):
            found |= {source.strip() for source in read("", path).cells}
    return frozenset(found)


def own(submission: Submission, chapter, given: frozenset[str] = frozenset()) -> list[tuple[str | None, str]]:
    """The cells to run, each with its exercise's number or None: those of exercises, and those that the chapter and the
    copy handed out, whose cells are `given`, have not."""
    known = {_plain(cell.source).strip() for cell in chapter.cells} | given
    found = []
    for source in submission.cells:
        asked = call_of_check(source)
        if asked or source.strip() not in known:
            found.append((asked.args[0].value if asked else None, source))
    return found
