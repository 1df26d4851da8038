"""The press's own command line, called by ``make``: ``python -m press build | execute | render | words | ...``."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import sys
from pathlib import Path

from deepfake_kit import paths
from deepfake_kit.valid import seconds, spelt
from press import places

ROOT = Path(__file__).resolve().parents[2]
WHOLE, FROM_1 = spelt(int, "a whole number"), spelt(int, "a whole number from 1", lambda number: number >= 1)


def main(arguments: list[str] | None = None) -> int:
    """Run one command of the press; returns the exit status, 2 for bad input."""
    try:
        return command(arguments, "press")
    except (ValueError, FileNotFoundError) as error:
        print(f"press: {error}", file=sys.stderr)
        return 2


def command(arguments: list[str] | None, prog: str) -> int:
    """Run one command as `prog`, the press or ``deepfake-kit``; returns the exit status."""
    parser = argparse.ArgumentParser(prog=prog)
    commands = parser.add_subparsers(dest="command", required=True)
    build = commands.add_parser("build", help="execute what changed, render, inspect, publish to _build/html")
    build.add_argument("--profile", default="book")
    build.add_argument("--jobs", type=FROM_1, help="chapters at a time (default: the number of cores)")
    build.add_argument("--executor", help="the Snakemake executor plug-in that takes the chapters, e.g. slurm")
    execute = commands.add_parser("execute", help="one chapter's job (called by the build graph)")
    execute.add_argument("chapter")
    execute.add_argument("--profile", default="book")
    execute.add_argument("--key", required=True)
    render = commands.add_parser("render", help="make the pages (called by the build graph)")
    render.add_argument("--plan", required=True, type=Path)
    render.add_argument("--site", required=True)
    normalise = commands.add_parser("normalise", help="strip outputs and machine metadata from the notebooks' sources")
    normalise.add_argument("--check", action="store_true", help="change nothing; exit 1 if a source is not normal")
    colab = commands.add_parser("colab", help="copies of the notebooks whose first cell knows the repository")
    colab.add_argument("folder", type=Path)
    words = commands.add_parser("words", help="list the words in captions and prose that compare and are not computed")
    words.add_argument("chapter", nargs="?", help="one notebook's name; default: all")
    bind = commands.add_parser("bind", help="the finished book as one file beside it")
    bind.add_argument(
        "kind", choices=("pdf", "epub", "zip", "light"), help="light: a zip without what only a click loads"
    )
    certificate = commands.add_parser("certificate", help="make the book again from nothing and compare every output")
    certificate.add_argument("--profile", default="book")
    certificate.add_argument("--other", help="the build folder of a second book, instead of making one")
    again = commands.add_parser("again", help="make a few figures once more, chosen by the commit, and compare them")
    again.add_argument("--profile", default="book")
    again.add_argument("--figures", type=FROM_1, default=3)
    again.add_argument("--commit", default="", help="what chooses them (default: the checkout's commit)")
    course = commands.add_parser("course", help="student notebooks, solutions, a plan and papers for a course")
    course.add_argument("--chapters", default="", metavar="2,4,6", help="default: all")
    course.add_argument("--weeks", type=WHOLE, default=12)
    course.add_argument("--seed", type=WHOLE, default=0, help="draws the variants of the exercises")
    course.add_argument("--students", help="a file with one name a line: a folder and variants for each")
    course.add_argument("--slides", metavar="PROFILE", help="also execute the chapters, and make slides of the figures")
    course.add_argument("--out", default="course", help="the folder that is written")
    grade = commands.add_parser("grade", help="mark submissions: a table, a report a student")
    grade.add_argument("submissions", help="a folder of notebooks or programs, or of one folder a student; or one file")
    grade.add_argument("--csv", default="marks.csv", help="the table; reports go to a folder beside it")
    grade.add_argument("--course", help="the folder that course wrote, which knows each student's variants")
    grade.add_argument("--jobs", type=WHOLE, default=2, help="submissions at a time")
    commands.add_parser("mutants", help="measure the graders again: faults in the solutions, how many are noticed")
    drift = commands.add_parser("drift", help="add the finished book's numbers to a history, and say which moved")
    drift.add_argument("history", type=Path)
    _add_runs(commands)
    options = parser.parse_args(arguments)
    _mind_the_end()
    try:
        # The two jobs of the graph work in its folder; what they were handed is absolute already.
        with paths.command() if options.command not in ("execute", "render") else contextlib.nullcontext():
            return COMMANDS[options.command](options)
    except KeyboardInterrupt:
        kept = "; the chapters that are finished are kept" if options.command == "build" else ""
        print(f"{prog}: stopped{kept}", file=sys.stderr)
        return 130


def _add_runs(commands) -> None:
    """The commands of one chapter's run."""
    run = commands.add_parser("run", help="execute one chapter", description="Execute one chapter's notebook.")
    run.add_argument("chapter", help="the notebook's name or its number, e.g. 02_diffusion_math or 2")
    run.add_argument("--profile", default="book", help="smoke, book (default), long or paper")
    run.add_argument(
        "-p",
        dest="parameters",
        action="append",
        default=[],
        metavar="name=value",
        help="override one of the notebook's parameters; may be repeated",
    )
    run.add_argument("--keep", action="store_true", help="with --profile long: write its results to results/long")
    run.add_argument("--output", help="where the executed notebook goes")
    run.add_argument(
        "--limit", type=seconds, metavar="SECONDS", help="stop the chapter after so long (default: only if it hangs)"
    )

    again = commands.add_parser(
        "reproduce", help="run the chapter that makes a number, and set it beside the paper's and the book's"
    )
    again.add_argument("id", help="of a claim, figure, table, number or check, e.g. ddtma-eq-24 or fig-02-loss")
    again.add_argument("--profile", default="book", help="smoke, book (default), long or paper")

    article = commands.add_parser("report", help="one work's replication, as a short article in Markdown")
    article.add_argument("paper", help="its short name, e.g. ddtma")
    article.add_argument("--out", metavar="FILE", help="where it goes; default: to the screen")
    article.add_argument(
        "--results", metavar="FILE", help="results.json of a built book; default: this copy's, if built"
    )


def _mind_the_end() -> None:
    """End with the make or the graph that started this, if one did and named itself; end in order when told to."""
    from press.runs.kernel import end_with_parent

    if parent := os.environ.pop("DEEPFAKE_BOOK_PARENT", ""):
        end_with_parent(int(parent))
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as under nohup
            signal.signal(number, signal.default_int_handler)


def _of_a_run(options) -> int:
    from press.runs import command

    return command.COMMANDS[options.command](options)


def _build(options) -> int:
    from press import build

    page = build.build(ROOT, options.profile, options.jobs, options.executor or None) / "index.html"
    print(f"The book is in {page.relative_to(ROOT) if page.is_relative_to(ROOT) else page}")
    return 0


def _execute(options) -> int:
    from press import worker
    from press.runs.execute import ChapterFailed

    try:
        worker.work(ROOT, options.chapter, options.profile, options.key)
    except ChapterFailed as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def _render(options) -> int:
    from press import stage

    return stage.render(ROOT, json.loads(options.plan.read_text(encoding="utf-8")), options.site)


def _normalise(options) -> int:
    from press import sources

    return sources.normalise(ROOT / "notebooks", options.check)


def _colab(options) -> int:
    from press import sources, stage

    return sources.for_colab(ROOT / "notebooks", options.folder, stage.repository(ROOT))


def _words(options) -> int:
    from deepfake_kit.notebook import settings
    from press import words

    names = [settings.load(options.chapter).name] if options.chapter else settings.chapters()
    found = [row for name in names for row in words.problems(ROOT / "notebooks" / f"{name}.ipynb")]
    print("\n".join([*found, f"{len(found)} to compute or to excuse"]))
    return int(bool(found))


def _bind(options) -> int:
    from press import bind

    folder = places.built(ROOT, "html/results.json").parents[1]
    site, light = (folder / "html").resolve(), options.kind == "light"
    if light or options.kind == "zip":
        file = bind.archive(site, folder / f"deepfakes-book{'-light' * light}.zip", light)
    else:
        file = getattr(bind, options.kind)(ROOT, site, folder / f"deepfakes-book.{options.kind}")
    print(f"The book is in {file.relative_to(ROOT) if file.is_relative_to(ROOT) else file}")
    return 0


def _certificate(options) -> int:
    from press import certificate

    print(certificate.make(ROOT, options.profile, paths.absolute(options.other) if options.other else None))
    return 0


def _again(options) -> int:
    from press import certificate

    rows = certificate.again(ROOT, options.profile, options.figures, options.commit)
    for row in rows:
        print(f"{row['chapter']}, figure {row['id']}: {row['status']}")
    return int(any(row["status"] == "differs" for row in rows))


def _course(options) -> int:
    from deepfake_kit.notebook import settings
    from press.course import make

    numbers = make.whole_numbers(options.chapters) if options.chapters else [int(n[:2]) for n in settings.chapters()]
    students = paths.absolute(options.students) if options.students else None
    out = make.course(ROOT, numbers, options.weeks, options.seed, paths.absolute(options.out), students, options.slides)
    print(f"The course is in {out}" + ("" if (out / "colab").is_dir() else "; no repository is known: no Colab copies"))
    return 0


def _grade(options) -> int:
    from press.course import grade, submission

    folder, table = paths.absolute(options.submissions), paths.absolute(options.csv)
    reports = grade.grade(folder, table, options.course and paths.absolute(options.course), options.jobs)
    print(f"{len(reports)} submissions; {table}, reports in {table.with_suffix('')}")
    if others := submission.passed_over(folder):
        print(f"without a notebook or a program, and so in no table: {', '.join(map(paths.said, others))}")
    print(grade.walls(reports))
    return 0


def _mutants(options) -> int:
    from press.course import mutants, pages

    pages.MEASURED.write_text(json.dumps(mutants.measure(ROOT)).replace("], ", "],\n ") + "\n", encoding="utf-8")
    return 0


def _drift(options) -> int:
    import datetime

    from press import drift

    results = json.loads(places.built(ROOT, "html/results.json").read_text(encoding="utf-8"))
    moved = drift.add(paths.absolute(options.history), results, datetime.date.today().isoformat())
    print("\n".join(moved or ["no number moved with a library's version"]))
    return 0


COMMANDS = {
    "again": _again,
    "drift": _drift,
    "bind": _bind,
    "build": _build,
    "certificate": _certificate,
    "execute": _execute,
    "grade": _grade,
    "mutants": _mutants,
    "render": _render,
    "normalise": _normalise,
    "colab": _colab,
    "course": _course,
    "words": _words,
    **dict.fromkeys(("run", "reproduce", "report"), _of_a_run),
}

if __name__ == "__main__":
    sys.exit(main())
