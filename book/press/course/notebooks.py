"""The exercises of a chapter's notebook, and its copies: a student's, with a variant of each, and the solutions."""

from __future__ import annotations

import ast
import copy
import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

import nbformat

from deepfake_kit.notebook import variants
from press.opening import tags
from press.runs.source import read_source, stripped

SEVERAL = ("3.4", "7.5", "8.2", "8.4")  # whose answer is a tuple; a form applies to each part
POINTER = re.compile(r"Each has a solution(?: below it)?, folded away on the page\.\s*")
SETTINGS = ("parameters",)


@dataclass(frozen=True)
class Exercise:
    """One exercise: its number, minutes, prompt, the stub's and the solution's source, and the answer's name."""

    number: str
    minutes: int
    prompt: str
    stub: str
    solution: str
    name: str
    cells: tuple[int, int, int]

    @property
    def level(self) -> str:
        """A word for its difficulty, by its minutes."""
        return "short" if self.minutes <= 5 else "middle" if self.minutes <= 10 else "long"

    @property
    def is_function(self) -> bool:
        """Whether a function is asked for, not a value."""
        return f"def {self.name}(" in self.stub


def call_of_check(source: str) -> ast.Call | None:
    """The last ``check("N.k", name)`` of a cell, or None."""
    try:
        nodes = list(ast.walk(ast.parse(source)))
    except SyntaxError:
        return None
    found = [n for n in nodes if isinstance(n, ast.Call) and isinstance(n.func, ast.Name) and n.func.id == "check"]
    found = [n for n in found if len(n.args) == 2 and isinstance(n.args[0], ast.Constant)]
    return found[-1] if found else None


def number_of(cell) -> str | None:
    """The number of the exercise that a notebook's cell asks or solves, or None."""
    found = call_of_check(cell.source) if cell.cell_type == "code" else None
    return found.args[0].value if found else None


def exercises(notebook) -> list[Exercise]:
    """The exercises of a chapter: each is a prompt, a stub and a cell tagged ``solution``, one after the other.

    Raises
    ------
    ValueError
        If an exercise has not one stub, one solution and, before the stub, a prompt that begins with its number.
    """
    places: dict[tuple[str, bool], int] = {}
    for i, cell in enumerate(notebook.cells):
        if number := number_of(cell):
            if (number, solved := "solution" in tags(cell)) in places:
                raise ValueError(f"cell {cell.id}: exercise {number} stands twice; valid: one stub and one solution")
            places[number, solved] = i
    found = []
    for number in dict.fromkeys(number for number, _ in places):
        if not {(number, False), (number, True)} <= places.keys():
            raise ValueError(f"exercise {number}: a stub or a solution is missing; valid: one of each")
        cells = (places[number, False] - 1, places[number, False], places[number, True])
        prompt, stub, solution = (notebook.cells[i].source if i >= 0 else "" for i in cells)
        start = re.search(rf"^(### |\*\*).*?{re.escape(number)}\b", prompt, re.MULTILINE)
        if not start:
            raise ValueError(f"exercise {number}: no prompt before its stub; valid: a cell with **{number}**")
        prompt = prompt[start.start() :]
        minutes = re.search(r"\((\d+) minutes\)", prompt)
        name = ast.unparse(call_of_check(solution).args[1])
        found.append(Exercise(number, int(minutes[1]) if minutes else 10, prompt, stub, solution, name, cells))
    return found


def chapter(path: Path) -> tuple[nbformat.NotebookNode, list[Exercise]]:
    """A chapter's source and its exercises."""
    notebook = stripped(read_source(path))
    return notebook, exercises(notebook)


def drawn(seed: int, student: str, numbers: list[str]) -> dict[str, int]:
    """A variant of each exercise for one student: the same for the same seed and name.

    Examples
    --------
    >>> drawn(7, "ada", ["2.1", "2.2"]) == drawn(7, "ada", ["2.1", "2.2"])
    True
    """
    found = {}
    for number in numbers:
        digest = hashlib.sha256(f"{seed} {student} {number}".encode()).digest()
        found[number] = int.from_bytes(digest[:8], "big") % (len(variants.table()[number]) + 1)
    return found


def swapped(text: str, words: dict[str, str]) -> str:
    """`text` with every key of `words` replaced."""
    for old, new in words.items():
        text = text.replace(old, new)
    return text


def asked(exercise: Exercise, variant: int) -> tuple[str, str, str]:
    """Prompt, stub and solution of a variant of an exercise; 0 is the book's own."""
    if not variant:
        return exercise.prompt, exercise.stub, exercise.solution
    kind = variants.table()[exercise.number][variant - 1]
    words = kind.get("swap", {})
    prompt = swapped(exercise.prompt, words) + (f"\n\n**Here:** {kind['ask']}" if "ask" in kind else "")
    plain = f'check("{exercise.number}", {exercise.name})'
    line = f"{plain[:-1]}, variant={variant})"
    extra = rewritten(exercise, kind["as"]) if "as" in kind else ""
    solution = swapped(exercise.solution, words).replace(plain, extra + line)
    return prompt, exercise.stub.replace(plain, line), solution


def rewritten(exercise: Exercise, form) -> str:
    """Lines that give the book's answer in a variant's form, to stand before its check."""
    if isinstance(form, dict):
        formula = f"{ {value: key for key, value in form.items()}!r}[y]"
    elif isinstance(form, str):
        formula = variants.table()["forms"][form]["to"]
    else:
        factor, shift = form
        formula = "y" if factor == 1 else "-y" if factor == -1 else f"y * {factor}"
        if exercise.number == "5.1":  # whole numbers stay whole
            formula = formula.replace("/", "//")
        formula += f" + {shift}" if shift else ""
    if not exercise.is_function:
        value = re.sub(r"\by\b", exercise.name, formula)
        return f"{exercise.name} = {value}\n\n"
    book = f"book_{exercise.name}"
    several = exercise.number in SEVERAL and form != "reversed"
    body = (
        f"return tuple({formula} for y in {book}(*given))" if several else f"y = {book}(*given)\n    return {formula}"
    )
    return f"{book} = {exercise.name}\n\n\ndef {exercise.name}(*given):\n    {body}\n\n\n"


def dealt(notebook, found: list[Exercise], deal: dict[str, int], solved: bool):
    """A copy of a chapter with the variants of `deal`; unless `solved`, without a word of the solutions."""
    made = copy.deepcopy(notebook)
    for exercise in found:
        prompt, stub, solution = asked(exercise, deal.get(exercise.number, 0))
        before, gap, answer = (made.cells[i] for i in exercise.cells)
        before.source = before.source.replace(exercise.prompt, prompt)
        gap.source, answer.source = stub, solution
    gone = {exercise.cells[2] for exercise in found} if not solved else set()
    made.cells = [cell for i, cell in enumerate(made.cells) if i not in gone]
    for cell in made.cells:
        cell.source = POINTER.sub("", cell.source) if not solved else cell.source
        kept = [tag for tag in tags(cell) if tag in SETTINGS]
        cell.metadata = nbformat.from_dict({"tags": kept} if kept else {})
    made.metadata["course"] = {"variants": {e.number: deal.get(e.number, 0) for e in found}}
    return made


def told(notebook) -> list[str]:
    """Lines of a chapter's solutions that no student's copy may hold: not those of stubs, imports and its own text."""
    found = exercises(notebook)
    solved = {e.cells[2] for e in found}
    shown = "\n".join(cell.source for i, cell in enumerate(notebook.cells) if i not in solved)
    lines = [line.strip() for e in found for line in e.solution.splitlines()]
    return [
        line
        for line in lines
        if len(line) > 8 and line not in shown and not re.match(r"(def |import |from |# Solution [\d.]+$)", line)
    ]
