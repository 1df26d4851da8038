"""A submission's own process: it shuts itself in (deepfake_kit/arena/cage.py), runs the cells, and answers calls.

Run by its path with the numbers of two pipes, limits, a scratch folder, the repository, and the files it must not read.
Started with ``-I``: nothing of the environment or of the working folder is imported.
"""

from __future__ import annotations

import importlib.util
import io
import os
import signal
import sys
import types


class Printed(io.TextIOBase):
    """Where a submission prints: it is counted, and past a bound the printing cell ends."""

    def __init__(self, most: int):
        self.left = self.most = most

    def write(self, text: str) -> int:
        """Count, keep nothing."""
        self.left -= len(text)
        if self.left < 0:
            raise RuntimeError(f"it prints more than {self.most:,} characters")
        return len(text)


class Late(BaseException):
    """The time of a cell or a call is over; no ``except Exception`` holds it."""


def _alarm(*_):
    raise Late


def _covered(event: str, given: tuple, hidden: set[str]) -> None:
    """Without namespaces: files that must not be read, refused by Python."""
    if event == "open" and isinstance(given[0], str) and os.path.realpath(given[0]) in hidden:
        raise PermissionError(f"not permitted: {given[0]}")


def _module(path: str, name: str):
    spec = importlib.util.spec_from_file_location(name, path)
    made = importlib.util.module_from_spec(spec)
    sys.modules[name] = made  # dataclasses look there
    spec.loader.exec_module(made)
    return made


def main(
    incoming: int, outgoing: int, seconds: float, megabytes: int, scratch: str, root: str, hidden: list[str]
) -> None:
    """Run the cells of one submission, then make the calls that the grader asks for."""
    cage = _module(f"{root}/deepfake_kit/arena/cage.py", "cage")
    cage.limit(seconds, megabytes)
    walls = {"limits": True, "namespaces": cage.separate(scratch, hidden), "system calls": cage.forbid()}
    os.chdir(scratch)
    sys.path.append(root)
    wire = _module(f"{root}/book/press/course/wire.py", "wire")
    line = wire.Line(incoming, outgoing)
    task = line.receive()
    from deepfake_kit.notebook import check as kit

    is_stub = kit._is_stub
    space: dict = {"__name__": "__main__"}
    for one in task["imports"]:
        try:
            exec(one, space)
        except Exception as error:  # a package that this machine lacks
            print(f"{one}: {error}", file=sys.stderr)
    if not all(walls.values()):
        cage.refuse(os.path.realpath(scratch) + os.sep)
        sys.addaudithook(lambda event, given: _covered(event, given, set(hidden)))
    answers: dict = {}
    errors: dict = {}

    def check(number, answer=None, variant=0):
        answers[str(number)] = None if answer is ... or is_stub(answer) else answer
        return True

    space["check"] = check
    sys.modules["deepfake_kit.notebook.check"] = types.SimpleNamespace(check=check, __spec__=None)
    sys.stdout = sys.stderr = Printed(task["print"])
    signal.signal(signal.SIGALRM, _alarm)
    for place, (number, source) in enumerate(task["cells"]):
        if place in task["skip"]:
            continue
        line.send({"at": place})
        try:
            signal.setitimer(signal.ITIMER_REAL, task["seconds"])
            exec(compile(source, f"<cell {place}>", "exec"), space)
        except BaseException as error:
            words = "it takes too long" if isinstance(error, Late) else f"{type(error).__name__}: {error}"[:300]
            errors[str(place)] = [number, words]
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    functions: list = []
    packed = {}
    for number, answer in answers.items():
        try:
            packed[number] = wire.pack(answer, functions)
        except Exception as error:
            errors[f"answer {number}"] = [number, f"{type(error).__name__}: {error}"[:300]]
    line.send({"answers": packed, "errors": errors, "printed": sys.stdout.most - sys.stdout.left, "walls": walls})
    peer = wire.Peer(line, functions)
    while True:
        message = line.receive()
        signal.setitimer(signal.ITIMER_REAL, task["seconds"])
        try:
            peer.answer(message)
        except Late:
            line.send({"error": ["TimeoutError", "it takes too long"]})
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)


if __name__ == "__main__":
    words = sys.argv[1:]
    try:
        main(int(words[0]), int(words[1]), float(words[2]), int(words[3]), words[4], words[5], words[6:])
    finally:
        os._exit(0)
