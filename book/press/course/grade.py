"""Mark submissions: each runs in a process of its own, shut in; the graders stay outside and call its functions."""

from __future__ import annotations

import contextlib
import functools
import html
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from multiprocessing import connection
from pathlib import Path

import numpy as np
from tqdm import tqdm

from deepfake_kit.cache import write_whole
from deepfake_kit.notebook import settings, variants
from deepfake_kit.notebook.check import judge
from deepfake_kit.valid import whole
from press.course import notebooks, plan, reference, similar, wire
from press.course import submission as handed

ROOT = Path(__file__).resolve().parents[3]


@dataclass(frozen=True)
class Limits:
    """What one submission may take: seconds a cell or call, seconds in all, MB of memory, characters printed."""

    cell: float = 5
    total: float = 40
    megabytes: int = 4096
    printed: int = 1_000_000


@dataclass
class Mark:
    """What an exercise got: share of its points, a word for the student, and how many calls went well."""

    number: str
    share: float
    said: str
    worth: int

    @property
    def points(self) -> float:
        """Points, to the hundredth."""
        return round(self.share * self.worth, 2)


@dataclass
class Report:
    """One submission marked."""

    student: str
    file: str
    marks: list[Mark] = field(default_factory=list)
    trouble: list[str] = field(default_factory=list)
    seconds: float = 0.0
    printed: int = 0
    walls: dict = field(default_factory=dict)
    grams: dict[str, set] = field(default_factory=dict)

    @property
    def points(self) -> float:
        """The sum of the points."""
        return round(sum(mark.points for mark in self.marks), 2)


class Caged:
    """The process of one submission, from its cells to the calls of its functions."""

    def __init__(self, task: dict, limits: Limits, until: float, hidden: list[str]):
        self.task, self.at, self.scratch = task, None, tempfile.mkdtemp(prefix="submission-")
        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        words = [theirs_in, theirs_out, limits.total, limits.megabytes, self.scratch, ROOT, *hidden]
        self.process = subprocess.Popen(
            [sys.executable, "-I", "-B", str(Path(__file__).with_name("worker.py")), *map(str, words)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PATH": os.defpath, "HOME": self.scratch, "TMPDIR": self.scratch, "OMP_NUM_THREADS": "1"},
            pass_fds=[theirs_in, theirs_out],
            start_new_session=True,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self.pipes = ours_in, ours_out
        self.line = wire.Line(ours_in, ours_out, until)
        self.peer = wire.Peer(self.line, seconds=limits.cell + 2)

    def answers(self) -> dict:
        """Run the cells; what the submission answers, what went wrong, and the walls around it."""
        self.line.send(self.task)
        seconds = 30.0  # to start Python and the chapter's packages
        while True:
            message = self.line.receive(seconds)
            if "answers" in message:
                return message
            self.at, seconds = message.get("at", self.at), self.task["seconds"] + 2

    def end(self) -> None:
        """End the process, whatever it does."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        for pipe in self.pipes:
            os.close(pipe)
        with contextlib.suppress(OSError):
            os.rmdir(self.scratch)


@functools.cache
def chapter(number: str):
    """Source and exercises of the chapter of an exercise such as ``"2.1"``."""
    name = next(name for name in settings.chapters() if int(name[:2]) == int(number.split(".")[0]))
    return notebooks.chapter(ROOT / "notebooks" / f"{name}.ipynb")


@functools.cache
def calls_in_all(number: str, variant: int) -> int:
    """How many calls the grader makes of a right answer."""
    notebook, found = chapter(number)
    exercise = next(one for one in found if one.number == number)
    right = reference.answer(notebooks.asked(exercise, variant)[2], notebook)
    counted = Counted(right)
    with np.errstate(all="ignore"):
        judge(number, counted if callable(right) else right, variant)
    return max(1, counted.calls)


class Counted:
    """A function that counts its calls."""

    def __init__(self, function):
        self.function, self.calls, self.gone = function, 0, None

    def __call__(self, *given):
        self.calls += 1
        try:
            return self.function(*given)
        except wire.Gone as gone:
            self.gone = gone
            raise


def hidden(folder: Path | None = None) -> list[str]:
    """Files that no submission may read: graders, solutions, and the other submissions."""
    found = [*(ROOT / "deepfake_kit" / "exercises").glob("*.py"), *(ROOT / "notebooks").glob("*.ipynb")]
    found += [*(ROOT / "tests").rglob("answers/*.py"), *(handed.files(folder) if folder else [])]
    return [str(path.resolve()) for path in found]


def marked(
    student: str,
    path: Path,
    deal: dict[str, int] | None,
    limits: Limits,
    covered: list[str],
    known: frozenset[str] = frozenset(),
) -> Report:
    """Mark one file.

    Parameters
    ----------
    student : str
        Whose it is.
    path : Path
        A notebook or a program.
    deal : dict, optional
        The student's variants by exercise; None takes the copy's own word.
    limits : Limits
    covered : list of str
        Files that it must not read.
    known : frozenset of str, optional
        Cells of the copies that were handed out, which are nobody's own.
    """
    began, report = time.monotonic(), Report(student, path.name)
    try:
        given = handed.read(student, path)
        if not given.numbers:
            raise handed.Unreadable("no cell ends in check(...) of an exercise of the book")
    except handed.Unreadable as error:
        report.trouble.append(str(error))
        return report
    report.grams = similar.of(given.cells)
    notebook, found = chapter(given.numbers[0])
    cells = handed.own(given, notebook, known)
    lines = reference.imports(notebook)
    wanted = dict.fromkeys(one for _, source in cells for one in reference.needed(source, lines))
    task = {"imports": list(wanted), "cells": cells, "skip": [], "seconds": limits.cell, "print": limits.printed}
    marks: dict[str, Mark] = {}
    lost: dict[str, str] = {}
    worth = {exercise.number: plan.points(exercise) for exercise in found}
    until = began + limits.total
    while left := [number for number in worth if number not in marks]:
        caged = Caged(task, limits, until, covered)
        try:
            said = caged.answers()
            _note(said, report, lost)
            for number in left:
                caged.at = number
                kind = (given.variants if deal is None else deal).get(number, 0)
                kind = kind if 0 <= kind <= len(variants.table()[number]) else 0
                marks[number] = _mark(number, said["answers"], lost.get(number), caged, kind, worth[number])
        except (wire.Gone, KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
            words, at = str(error) if isinstance(error, wire.Gone) else "it writes where only the course does", caged.at
            if isinstance(at, int) and 0 <= at < len(cells) and at not in task["skip"] and time.monotonic() < until:
                task = {**task, "skip": [*task["skip"], at]}
                if cells[at][0]:
                    lost[cells[at][0]] = words
                else:
                    report.trouble.append(words)
            else:  # while a function was called, or before anything ran
                for number in [at] if at in left and time.monotonic() < until else left:
                    marks[number] = Mark(number, 0.0, lost.get(number, words), worth[number])
        finally:
            caged.end()
    report.marks = [marks[number] for number in worth]
    report.seconds = time.monotonic() - began
    return report


def _note(said: dict, report: Report, lost: dict[str, str]) -> None:
    """What a process says of its cells, into the report."""
    report.printed, report.walls = max(report.printed, int(said["printed"])), dict(said["walls"])
    for number, words in said["errors"].values():
        words = str(words)[:300]
        if words.startswith("NameError"):
            words += " (an exercise's cell runs with the chapter's imports and your own cells, not with the chapter's)"
        if number:
            lost[str(number)] = words
        elif words not in report.trouble:
            report.trouble.append(words)


def _mark(number: str, answers: dict, words: str | None, caged: Caged, kind: int, worth: int) -> Mark:
    """Let the kit's grader judge one answer."""
    if answers.get(number) is None:
        return Mark(number, 0.0, words or "not answered yet.", worth)
    answer = wire.unpack(answers[number], caged.peer.remote)
    counted = Counted(answer)
    with np.errstate(all="ignore"):
        hint = judge(number, counted if callable(answer) else answer, kind)
    if counted.gone:  # the grader took it for the student's own error
        raise counted.gone
    if hint is None:
        return Mark(number, 1.0, "right.", worth)
    share = 0.0
    if counted.calls and "your answer raised" not in hint:
        rubric = plan.load()["rubric"]
        share = rubric["ran"] + rubric["cases"] * min(1.0, (counted.calls - 1) / calls_in_all(number, kind))
    return Mark(number, share, hint, worth)


def grade(
    folder: Path, csv_file: Path, course: Path | None = None, jobs: int = 2, limits: Limits | None = None
) -> list[Report]:
    """Mark everything in a folder; write the table, a report a student, and how alike the answers are.

    Parameters
    ----------
    folder : Path
        Files, or one folder a student; or one file.
    csv_file : Path
        Of the marks. Reports go to a folder of the same name, likeness to ``...-alike.csv``.
    course : Path, optional
        What ``course`` wrote: it knows each student's variants.
    jobs : int
        Submissions at a time.
    limits : Limits, optional

    Raises
    ------
    ValueError
        If `folder` holds no submission, or another argument is not valid; nothing runs then.
    """
    found, limits = handed.find(folder), limits or Limits()
    if not found:
        what = f"{folder}, {'without one .ipynb or .py' if folder.exists() else 'which does not exist'}"
        raise ValueError(f"submissions: got {what}; valid: a file, or a folder of files or of one folder a student")
    whole("--jobs", jobs, 1, 999)
    if csv_file.suffix != ".csv" or csv_file.is_dir() or csv_file.with_suffix("") == folder:
        raise ValueError(f"--csv: got {csv_file}; valid: NAME.csv, and no submissions in the folder NAME beside it")
    deals, known = (_deals(course), handed.given(course)) if course else ({}, frozenset())
    csv_file.with_suffix("").mkdir(parents=True, exist_ok=True)  # before the work: it may be a place to read only
    covered = hidden(folder)
    tasks = [(name, path, deals.get(name, deals.get("class")), limits, covered, known) for name, path in found]
    reports = list(tqdm(_each(tasks, jobs, limits.total + 60), total=len(tasks), unit="submission"))
    reports.sort(key=lambda report: (report.student, report.file))
    write(reports, csv_file)
    similar.write(reports, csv_file.with_name(f"{csv_file.stem}-alike.csv"))
    return reports


def _deals(course: Path) -> dict:
    """Each student's variants, from the folder that ``course`` wrote."""
    try:
        found = json.loads((course / "course.json").read_text(encoding="utf-8"))["variants"]
        if all(type(kind) is int for deal in found.values() for kind in deal.values()):
            return found
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        pass
    raise ValueError(f"--course: got {course}, with no course.json to read; valid: the folder that course wrote")


def _each(tasks: list[tuple], jobs: int, seconds: float):
    """Reports as they are finished. Each is made in a process of its own: what ends that process ends one report."""
    fork, running = multiprocessing.get_context("fork"), {}
    while tasks or running:
        while tasks and len(running) < jobs:
            task, (ours, theirs) = tasks.pop(0), fork.Pipe(duplex=False)
            process = fork.Process(target=_send, args=(theirs, task))
            process.start()
            theirs.close()
            running[ours] = process, task, time.monotonic() + seconds
        ready = connection.wait(running, timeout=1)
        late = [ours for ours, (_, _, until) in running.items() if time.monotonic() > until and ours not in ready]
        for ours in [*ready, *late]:
            process, task, _ = running.pop(ours)
            try:
                if ours in late:
                    raise EOFError
                yield ours.recv()
            except EOFError:
                yield Report(task[0], task[1].name, trouble=["it ended the process that read it, or held it up"])
            finally:
                process.kill()
                process.join()
                ours.close()


def _send(pipe, task: tuple) -> None:
    pipe.send(marked(*task))


def write(reports: list[Report], csv_file: Path) -> None:
    """The table of marks, and a page for each student."""
    numbers = sorted({m.number for r in reports for m in r.marks}, key=lambda n: [int(part) for part in n.split(".")])
    rows = [["student", "file", "points", "of", *numbers, "seconds", "trouble"]]
    for r in reports:
        got = {mark.number: mark.points for mark in r.marks}
        row = [r.student, r.file, r.points, sum(m.worth for m in r.marks), *(got.get(n, "") for n in numbers)]
        rows.append([*row, round(r.seconds, 1), "; ".join(r.trouble)])
    similar.write_table(csv_file, rows)
    for student in dict.fromkeys(report.student for report in reports):
        theirs = [report for report in reports if report.student == student]
        name = os.fsdecode(os.fsencode(student)[:250])  # ".html" and this are the most that a name may have
        text = page(student, theirs).encode("utf-8", "backslashreplace")  # a name need not be text
        write_whole(csv_file.with_suffix("") / f"{name}.html", text)


def page(student: str, reports: list[Report]) -> str:
    """One student's report: points and hints."""
    body = [f"<h1>{html.escape(student)}</h1>"]
    for r in reports:
        total = sum(m.worth for m in r.marks)
        body.append(f"<h2>{html.escape(r.file)}: {r.points:g} of {total} points</h2>")
        body += [f"<p>{html.escape(words)}</p>" for words in r.trouble]
        body.append("<table><tr><th>exercise</th><th>points</th><th>of</th><th>what the grader says</th></tr>")
        for m in r.marks:
            body.append(f"<tr><td>{m.number}<td>{m.points:g}<td>{m.worth}<td>{html.escape(m.said)}</tr>")
        body.append("</table>")
    style = "body{font:16px sans-serif;max-width:50em;margin:2em auto}td,th{padding:.3em .8em;text-align:left}"
    head = f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{html.escape(student)}</title>'
    return f"{head}<style>{style}</style>" + "\n".join(body) + "</html>\n"


def walls(reports: list[Report]) -> str:
    """Which walls stood around the submissions, in one line."""
    seen = [report.walls for report in reports if report.walls]
    missing = sorted({name for one in seen for name, stood in one.items() if not stood})
    if not missing:
        return "Each submission ran without network, other files read-only, new processes refused by the kernel."
    return (
        f"This machine could not give every submission its walls ({', '.join(missing)}): Python alone refused network, "
        "new processes and writing. That stops an accident, not an attack; mark on a machine that has them."
    )
