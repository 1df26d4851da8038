"""Values between the grader and the process of a submission, as one line of JSON each: nothing in them can run."""

from __future__ import annotations

import base64
import decimal
import itertools
import json
import math
import numbers
import os
import re
import select
import time
from collections.abc import Iterator, Set

import numpy as np

LONGEST = 32 << 20  # bytes of one line
MOST = 1_000_000  # values of what may have no end


def nested(text: str, most: int = 60) -> bool:
    """Whether brackets stand in brackets more than `most` deep: such a text can end the process that reads it.

    Examples
    --------
    >>> nested("[" * 100), nested('["' + "[" * 100 + '"]')
    (True, False)
    """
    depth = 0
    for found in re.finditer(r'"(?:[^"\\]|\\.)*"|[\[\]{}]', text):
        depth += {"[": 1, "{": 1, "]": -1, "}": -1}.get(found[0], 0)
        if depth > most:
            return True
    return False


class Gone(Exception):
    """The other side ended, or was too slow or too long-winded; the message says which."""


def pack(value, functions: list):
    """A value as JSON can hold it; a function goes to the list and only its place travels.

    Raises
    ------
    TypeError
        For a type that no grader takes.
    """
    if value is None or isinstance(value, bool | int | float | str):
        return value if type(value) in (type(None), bool, int, float, str) else _plain(value)
    if hasattr(value, "detach"):  # a tensor
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray | np.generic):
        if value.dtype.kind not in "biufcSU":
            raise TypeError(f"an array of {value.dtype} is no answer")
        content = base64.b64encode(np.ascontiguousarray(value).tobytes()).decode()
        return {"array": [value.dtype.str, list(value.shape), content, isinstance(value, np.generic)]}
    if isinstance(value, bytes):
        return {"bytes": value.hex()}
    if isinstance(value, numbers.Rational | decimal.Decimal):
        return float(value)
    if isinstance(value, range | Set | Iterator):  # as the notebook's graders take any row of values
        value = list(itertools.islice(value, MOST))
    if isinstance(value, list | tuple):
        return {"tuple" if isinstance(value, tuple) else "list": [pack(one, functions) for one in value]}
    if callable(value):
        functions.append(value)
        return {"function": len(functions) - 1}
    raise TypeError(f"a {type(value).__name__} is no answer; valid: numbers, texts, lists, tuples, arrays, functions")


def _plain(value):
    """A subclass's own methods stay behind."""
    return next(kind(value) for kind in (bool, int, float, str) if isinstance(value, kind))


def unpack(value, remote):
    """The value again; `remote` makes a function of a place."""
    if not isinstance(value, dict):
        return value
    (kind, content), *_ = value.items()
    if kind == "array":
        dtype, shape, text, scalar = content
        made = np.frombuffer(base64.b64decode(text), np.dtype(dtype)).reshape(shape).copy()
        return made[()] if scalar else made
    if kind == "bytes":
        return bytes.fromhex(content)
    if kind in ("list", "tuple"):
        made = [unpack(one, remote) for one in content]
        return tuple(made) if kind == "tuple" else made
    return remote(int(content))


class Line:
    """Two pipes as a conversation in lines of JSON."""

    def __init__(self, incoming: int, outgoing: int, until: float = math.inf):
        self.incoming, self.outgoing, self.until, self.rest = incoming, outgoing, until, b""
        os.set_blocking(outgoing, False)

    def ready(self, until: float, write: bool = False) -> None:
        """Wait until the pipe can be used, at the latest until a time of the monotonic clock."""
        left = min(until, self.until) - time.monotonic()
        places = ([], [self.outgoing], []) if write else ([self.incoming], [], [])
        if left <= 0 or not any(select.select(*places, None if left == math.inf else left)):
            raise Gone("it takes too long")

    def send(self, message: dict, seconds: float = math.inf) -> None:
        """Send one message."""
        data, until = json.dumps(message).encode() + b"\n", time.monotonic() + seconds
        while data:
            self.ready(until, write=True)
            try:
                data = data[os.write(self.outgoing, data) :]
            except BrokenPipeError:
                raise Gone("it ended the process") from None

    def receive(self, seconds: float = math.inf) -> dict:
        """The next message.

        Raises
        ------
        Gone
            If the other side ends, takes longer than `seconds`, or sends more than a line may hold or no JSON.
        """
        parts, size, until = [self.rest], len(self.rest), time.monotonic() + seconds
        while b"\n" not in parts[-1]:
            self.ready(until)
            parts.append(os.read(self.incoming, 1 << 20))
            size += len(parts[-1])
            if not parts[-1]:
                raise Gone("it ended the process")
            if size > LONGEST:
                raise Gone(f"it gives more than {LONGEST >> 20} MB")
        line, self.rest = b"".join(parts).split(b"\n", 1)
        try:
            message = {} if nested(line.decode()) else json.loads(line)
        except (ValueError, RecursionError):
            raise Gone("it writes where only the course does") from None
        return message if isinstance(message, dict) else {}


class Peer:
    """One end of the conversation: calls the other side's functions, and answers calls of its own meanwhile."""

    def __init__(self, line: Line, functions: list | None = None, seconds: float = math.inf):
        self.line, self.functions, self.seconds = line, [] if functions is None else functions, seconds

    def remote(self, place: int):
        """A function that is called on the other side; what it changes in arrays and lists is changed here as well."""

        def call(*given):
            self.line.send({"call": place, "with": [pack(one, self.functions) for one in given]}, self.seconds)
            return self.wait(given)

        return call

    def wait(self, given=()):
        """Answer calls until the value arrives, or an error under its own name."""
        while True:
            message = self.line.receive(self.seconds)
            if "call" in message:
                self.answer(message)
                continue
            if "error" in message:
                name, words = (str(word)[:200] for word in message["error"])
                raise type(name if name.isidentifier() else "Error", (Exception,), {})(words)
            try:
                for mine, theirs in zip(given, message["with"], strict=True):
                    if isinstance(mine, np.ndarray):
                        np.copyto(mine, unpack(theirs, self.remote))
                    elif isinstance(mine, list):
                        mine[:] = unpack(theirs, self.remote)
                return unpack(message["value"], self.remote)
            except (KeyError, ValueError, TypeError, IndexError) as error:
                raise Gone(f"its answer cannot be read: {error}") from None

    def answer(self, message: dict) -> None:
        """Make one call for the other side."""
        try:
            given = [unpack(one, self.remote) for one in message["with"]]
            value = self.functions[message["call"]](*given)
            reply = {"value": pack(value, self.functions), "with": [pack(one, self.functions) for one in given]}
        except Gone:
            raise
        except BaseException as error:
            reply = {"error": [type(error).__name__, str(error)[:200]]}
        self.line.send(reply, self.seconds)
