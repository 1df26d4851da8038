"""How good the graders are: small faults put into each reference solution, and how many of them a grader notices.

Every mutant changes one place of the syntax tree: a sign, a factor, an axis, an index, a bound, a function, a name.
"""

from __future__ import annotations

import ast
import contextlib
import copy
import io
import signal
import warnings
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from deepfake_kit.notebook.check import judge
from press.course import notebooks, reference

SWAPS = {
    ast.Add: [ast.Sub],
    ast.Sub: [ast.Add],
    ast.Mult: [ast.Div, ast.Add],
    ast.Div: [ast.Mult],
    ast.FloorDiv: [ast.Div],
    ast.Pow: [ast.Mult],
    ast.Lt: [ast.Gt],
    ast.Gt: [ast.Lt],
    ast.LtE: [ast.Gt],
    ast.GtE: [ast.Lt],
    ast.Eq: [ast.NotEq],
    ast.NotEq: [ast.Eq],
}
NAMES = {
    "mean": ["sum"],
    "sum": ["mean"],
    "max": ["min"],
    "min": ["max"],
    "argmax": ["argmin"],
    "cumprod": ["cumsum", "prod"],
    "std": ["var"],
    "sqrt": ["square"],
    "exp": ["log"],
    "log": ["log2", "exp"],
    "sort": ["flip"],
    "isqrt": ["factorial"],
    "sha256": ["sha1"],
    "abs": ["sign"],
}

LEAST = 8
WHOLE = ("-({})", "2 * ({})", "({}) + 1", "({}) * 1.001", "({}) ** 2", "[{}]")


@dataclass
class Result:
    """What became of one exercise's mutants."""

    number: str
    hinted: int = 0
    raised: int = 0
    survived: list[str] = field(default_factory=list)

    @property
    def made(self) -> int:
        """All of them."""
        return self.hinted + self.raised + len(self.survived)


class Late(BaseException):
    """A mutant that does not end."""


def places(tree: ast.AST) -> list[ast.AST]:
    """The nodes of a solution that may change: all but imports and the call of ``check``."""
    body = [n for n in tree.body if not isinstance(n, ast.Import | ast.ImportFrom)]
    body = [n for n in body if notebooks.call_of_check(ast.unparse(n)) is None]
    return [node for part in body for node in ast.walk(part)]


def changes(node: ast.AST, names: list[str]) -> list[ast.AST]:
    """What may stand in the place of one node."""
    found: list[ast.AST] = []
    if isinstance(node, ast.BinOp):
        for kind in SWAPS.get(type(node.op), []):
            found.append(ast.BinOp(node.left, kind(), node.right))
        found += [node.left, node.right]  # a factor or a term is missing
    elif isinstance(node, ast.Compare) and type(node.ops[0]) in SWAPS:
        found += [ast.Compare(node.left, [kind()], node.comparators) for kind in SWAPS[type(node.ops[0])]]
    elif isinstance(node, ast.UnaryOp):
        found.append(node.operand)
    elif isinstance(node, ast.IfExp):
        found += [node.body, node.orelse, ast.IfExp(node.test, node.orelse, node.body)]
    elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
        found += [ast.Constant(node.value + 1), ast.Constant(node.value - 1)]
    elif isinstance(node, ast.Call):
        if len(node.args) >= 2:
            found.append(ast.Call(node.func, [node.args[1], node.args[0], *node.args[2:]], node.keywords))
        if len(node.args) == 1 and not node.keywords:
            found.append(node.args[0])  # the function is left out
    elif isinstance(node, ast.Attribute):
        found += [ast.Attribute(node.value, other, node.ctx) for other in NAMES.get(node.attr, [])]
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        found += [ast.Name(other, node.ctx) for other in (*NAMES.get(node.id, []), *names) if other != node.id]
    elif isinstance(node, ast.Tuple) and isinstance(node.ctx, ast.Load) and len(node.elts) == 2:
        found.append(ast.Tuple(node.elts[::-1], node.ctx))
    return found


def mutants(source: str) -> list[str]:
    """Every text that differs from a solution by one change.

    Examples
    --------
    >>> for text in mutants("def f(a):\\n    return 2 * a")[:6]:
    ...     print(text.splitlines()[-1].strip())
    return 2 / a
    return 2 + a
    return 2
    return a
    return 3 * a
    return 1 * a
    """
    tree = ast.parse(source)
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    names = [one.arg for function in functions for one in function.args.args]
    made = []
    for place, node in enumerate(places(tree)):
        for number in range(len(changes(node, names if len(names) > 1 else []))):
            changed = copy.deepcopy(tree)
            old = places(changed)[place]
            new = changes(old, names if len(names) > 1 else [])[number]
            _Put(old, new).visit(changed)
            made.append(ast.unparse(ast.fix_missing_locations(changed)))
    made = [text for text in dict.fromkeys(made) if text != ast.unparse(tree)]
    if len(made) < LEAST:  # a solution of one operation: its result is changed as well
        for formula in WHOLE:
            changed = copy.deepcopy(tree)
            last = [node for node in ast.walk(changed) if isinstance(node, ast.Return)][-1]
            last.value = ast.parse(formula.format(ast.unparse(last.value)), mode="eval").body
            made.append(ast.unparse(changed))
    return made


class _Put(ast.NodeTransformer):
    def __init__(self, old, new):
        self.old, self.new = old, new

    def visit(self, node):
        return self.new if node is self.old else self.generic_visit(node)


@contextlib.contextmanager
def within(seconds: float):
    """Run what may never end, print or warn: quietly, and for no more than so many seconds of a processor.

    Raises
    ------
    Late
        When the time is over.
    """

    def ring(*_):
        raise Late

    before = signal.signal(signal.SIGPROF, ring)
    try:
        signal.setitimer(signal.ITIMER_PROF, seconds)
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)


def verdict(number: str, source: str, notebook, seconds: float = 3) -> str | None:
    """What the grader says of one mutant; None if it passes."""

    try:
        with within(seconds):
            return judge(number, reference.answer(source, notebook))
    except (Late, Exception) as error:
        return f"your answer raised {type(error).__name__}"


def tried(exercise, notebook) -> Result:
    """Make all mutants of an exercise's solution and let its grader judge them."""
    result = Result(exercise.number)
    for text in mutants(exercise.solution):
        said = verdict(exercise.number, text, notebook)
        if said is None:
            result.survived.append(text)
        elif "your answer raised" in said:
            result.raised += 1
        else:
            result.hinted += 1
    return result


def measure(root: Path) -> dict[str, list[int]]:
    """For every exercise of the book: mutants made, hinted at, failing by their own error, passing."""
    found = {}
    for path in sorted((root / "notebooks").glob("*.ipynb")):
        notebook, asked = notebooks.chapter(path)
        for exercise in asked:
            result = tried(exercise, notebook)
            found[exercise.number] = [result.made, result.hinted, result.raised, len(result.survived)]
    return found
