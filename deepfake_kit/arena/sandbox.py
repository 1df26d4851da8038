"""An entry read without running it, and run where it can harm nobody."""

from __future__ import annotations

import ast
import contextlib
import hashlib
import json
import math
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

#: What is called of each kind, in this order: the method, and its arguments after `self`. The last must be there, and a
#: detector's fit.
CALLS = {
    "forger": {"fit": ("real", "generator"), "make": ("generator", "n")},
    "detector": {"fit": ("real", "fake", "generator"), "score": ("images",)},
    "defence": {"fit": ("before", "after", "generator"), "protect": ("images",)},
}
LARGEST = 200_000  # bytes of an entry's file


class Refused(ValueError):
    """An entry that cannot be scored; the message says why, for its author."""


@dataclass(frozen=True)
class Limits:
    """What one run of an entry may take: seconds by the clock (and of the processor), megabytes of memory."""

    seconds: float = 120
    megabytes: int = 4096


@dataclass(frozen=True)
class Entry:
    """One file: its name, the name and kind of its class, its text and the SHA-256 of that."""

    name: str
    class_name: str
    kind: str
    source: bytes
    sha256: str


@dataclass(frozen=True)
class Answer:
    """What an entry gave: float32 values, processor seconds, and which walls stood around it."""

    values: np.ndarray
    seconds: float
    walls: dict[str, bool]


def read(path: str | os.PathLike) -> Entry:
    """Read an entry and see what kind it is; nothing of it runs.

    Raises
    ------
    Refused
        For a name, a size, a syntax or a class that the arena does not take; the message names the line where it can.
    FileNotFoundError
        If there is no such file.
    """
    path = Path(path)
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]{0,39}\.py", path.name):
        raise Refused(f"file name: got {path.name!r}; valid: a letter, then letters, digits and _, at most 40, and .py")
    size = path.stat().st_size
    if not path.is_file() or size > LARGEST:
        raise Refused(f"file: got {size:,} bytes, or no file; valid: a file of at most {LARGEST:,}")
    source = path.read_bytes()
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise Refused(f"line {getattr(error, 'lineno', '?')}: this is not Python: {error}") from None
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef) and not node.name.startswith("_")]
    if len(classes) != 1:
        names = ", ".join(node.name for node in classes) or "none"
        raise Refused(f"classes: got {names}; valid: one (others may begin with _)")
    kind = _kind(classes[0])
    if not (ast.get_docstring(classes[0]) or "").strip():
        raise Refused(f"line {classes[0].lineno}: class {classes[0].name} has no docstring; say there what it does")
    return Entry(path.stem, classes[0].name, kind, source, hashlib.sha256(source).hexdigest())


def _kind(node: ast.ClassDef) -> str:
    methods = [part.name for part in node.body if isinstance(part, ast.FunctionDef)]
    kinds = [kind for kind, calls in CALLS.items() if [*calls][-1] in methods]
    where = f"line {node.lineno}: methods of {node.name}: got {', '.join(methods) or 'none'}"
    if len(kinds) != 1:
        raise Refused(f"{where}; valid: one of make, score, protect")
    if kinds[0] == "detector" and "fit" not in methods:
        raise Refused(f"{where}; valid: a detector has fit(self, real, fake, generator) as well")
    return kinds[0]


def run(
    entry: Entry,
    arrays: dict[str, np.ndarray],
    shape: tuple[int, ...],
    limits: Limits | None = None,
    hidden: Sequence[str | os.PathLike] = (),
    seed: int = 0,
) -> Answer:
    """Call an entry's methods (:data:`CALLS`) one after the other in a caged process (:mod:`deepfake_kit.arena.cage`).

    Parameters
    ----------
    entry : Entry
    arrays : dict
        What the process may know, by the names of the arguments. Labels that it must not know stay out of it.
    shape : tuple of int
        Of what the last call must give: finite numbers. Its first number is the argument `n`.
    limits : Limits, optional
    hidden : sequence of paths
        Files that the process must not read, where namespaces can be had.
    seed : int
        Of the argument `generator`, which is numpy's. The process can read it: give it none that must stay secret.

    Raises
    ------
    Refused
        If it fails, is stopped, or gives anything else.
    """
    limits = limits or Limits()
    facts = {"class": entry.class_name, "seed": seed, "n": shape[0], "calls": [*CALLS[entry.kind].items()]}
    texts = {"source": entry.source, "plan": json.dumps(facts).encode()}
    single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    with tempfile.TemporaryDirectory() as scratch, tempfile.TemporaryFile() as task, tempfile.TemporaryFile() as answer:
        np.savez(task, **arrays, **{name: np.frombuffer(text, np.uint8) for name, text in texts.items()})
        task.seek(0)
        cage, kit = Path(__file__).with_name("cage.py"), Path(__file__).parents[2]
        words = [cage, answer.fileno(), limits.seconds, limits.megabytes, scratch, kit, *map(os.path.abspath, hidden)]
        began, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
        process = subprocess.Popen(
            [sys.executable, "-I", "-B", *map(str, words)],
            stdin=task,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PATH": os.defpath, "HOME": scratch, "TMPDIR": scratch, **single},
            pass_fds=[answer.fileno()],
            start_new_session=True,
        )
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(limits.seconds)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        after, taken = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - began
        answer.seek(0)
        content = answer.read(10_000 + 4 * math.prod(shape))
    if not content:
        late = taken >= limits.seconds or process.returncode == -signal.SIGXCPU
        why = f"it takes longer than {limits.seconds:g} s" if late else f"it ended with status {process.returncode}"
        raise Refused(f"no answer: {why}")
    values, walls = _parsed(content, shape)
    return Answer(values, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, walls)


def _parsed(content: bytes, shape: tuple[int, ...]) -> tuple[np.ndarray, dict[str, bool]]:
    """Values and walls from what came back, none of which is trusted."""
    line, _, numbers = content.partition(b"\n")
    try:
        head = dict(json.loads(line))
        walls = {name: head["walls"][name] is True for name in ("limits", "namespaces", "system calls")}
    except (ValueError, TypeError, KeyError, RecursionError):
        raise Refused("answer: it was not written by the arena; an entry returns what it has to say") from None
    if "error" in head:
        raise Refused("".join(c for c in str(head["error"]) if c.isprintable())[:400])
    if head.get("shape") != list(shape) or len(numbers) != 4 * math.prod(shape):
        raise Refused(f"answer: got the shape {str(head.get('shape'))[:60]}; valid: {list(shape)}")
    values = np.frombuffer(numbers, "<f4").reshape(shape)
    if wrong := np.count_nonzero(~np.isfinite(values)):
        raise Refused(f"answer: got {wrong} values that are not finite; valid: finite numbers")
    return values, walls
