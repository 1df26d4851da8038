"""The command line, ``deepfake-kit COMMAND``: run and reproduce chapters, and what the book offers as tools."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from deepfake_kit import __version__, on_pictures
from deepfake_kit.arena import command
from deepfake_kit.notebook import settings
from deepfake_kit.valid import whole

OF_THE_PRESS = {
    "course": "student notebooks, solutions, a plan and papers for a course",
    "grade": "mark students' submissions: a table, a report a student",
}


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status: 0 well, 1 a chapter failed or a file cannot be written, 2 bad input."""
    parser = _parser()
    words = sys.argv[1:] if arguments is None else arguments
    options = parser.parse_args(words[:1] if words[0:1] and words[0] in OF_THE_PRESS else words)
    options.words = words
    from deepfake_kit import paths
    from deepfake_kit.notebook.execute import ChapterFailed

    try:
        with paths.command():
            return options.command(options)
    except (ValueError, FileNotFoundError) as error:
        if options.debug:
            raise
        print(f"deepfake-kit: {error}", file=sys.stderr)
        return 2
    except ChapterFailed as error:
        if options.debug:
            raise
        print(f"deepfake-kit: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # the reader of our output, say `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:  # a full disk, a folder that is read-only
        if options.debug:
            raise
        print(f"deepfake-kit: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("deepfake-kit: stopped", file=sys.stderr)
        return 130


def _press(options) -> int:
    """A command that needs a copy of the repository, where the press is."""
    from deepfake_kit.notebook import execute

    sys.path.insert(0, str(execute.notebooks_folder().parent / "book"))
    from press.__main__ import main as press

    return press(options.words, "deepfake-kit")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="deepfake-kit", description="Tools of the book 'Deepfakes: made, shared, detected, defended'."
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    doctor = commands.add_parser("doctor", help="what is installed, which data is found where, what would run")
    doctor.set_defaults(command=_doctor)

    run = commands.add_parser("run", help="execute one chapter", description="Execute one chapter's notebook.")
    run.add_argument("chapter", type=_chapter, help="the notebook's name or its number, e.g. 02_diffusion_math or 2")
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
        "--limit", type=_seconds, metavar="SECONDS", help="stop the chapter after so long (default: only if it hangs)"
    )
    run.set_defaults(command=_run)

    reproduce = commands.add_parser(
        "reproduce", help="run the chapter that makes a number, and set it beside the paper's and the book's"
    )
    reproduce.add_argument("id", help="of a claim, figure, table, number or check, e.g. ddtma-eq-24 or fig-02-loss")
    reproduce.add_argument("--profile", default="book", help="smoke, book (default), long or paper")
    reproduce.set_defaults(command=_reproduce)

    ledger = commands.add_parser("ledger", help="what the papers state and what we found, in numbers")
    ledger.add_argument("paper", nargs="?", help="list one paper's rows")
    ledger.set_defaults(command=_ledger)

    report = commands.add_parser("report", help="one work's replication, as a short article in Markdown")
    report.add_argument("paper", help="its short name, e.g. ddtma")
    report.add_argument("--out", metavar="FILE", help="where it goes; default: to the screen")
    report.add_argument(
        "--results", metavar="FILE", help="results.json of a built book; default: this copy's, if built"
    )
    report.set_defaults(command=_report)

    for name, what in OF_THE_PRESS.items():
        commands.add_parser(name, help=what, add_help=False).set_defaults(command=_press)
    on_pictures.add(commands)
    command.add(commands, _seconds)
    return parser


def _chapter(word: str) -> str:
    """A chapter's name for its number; any other word as it is."""
    return next((name for name in settings.chapters() if name[:2] == word.zfill(2)), word)


def _seconds(word: str) -> float:
    """A time limit from the command line; argparse turns the error into its one line."""
    try:
        seconds = float(word)
    except ValueError:
        seconds = float("nan")
    if not 0 < seconds < float("inf"):
        raise argparse.ArgumentTypeError(f"{word!r} is not a number of seconds above 0")
    return seconds


def _checked(options) -> tuple[settings.Chapter, dict]:
    """The chapter and the overrides that the command line names, or a ValueError before anything runs."""
    from deepfake_kit import data
    from deepfake_kit.notebook import execute, sources

    parameters = sources.parse_parameters(options.parameters)
    if "profile" in parameters:
        raise ValueError(f"the profile is given as --profile {parameters['profile']}, not as a parameter")
    about = settings.load(options.chapter)
    settings.one_of("profile", options.profile, settings.PROFILES)
    if options.keep and (options.profile != settings.KEPT or parameters):
        raise ValueError(
            f"--keep: got --profile {options.profile} with {parameters or 'no parameters'}; "
            f"valid: --profile {settings.KEPT} at the notebook's own parameters"
        )
    if options.output:
        execute.checked_output(options.output, execute.notebooks_folder())
    notebook = execute.notebooks_folder() / f"{options.chapter}.ipynb"
    if notebook.is_file():
        values = sources.checked_parameters(notebook, {**parameters, "profile": options.profile})
        whole("seed", values.get("seed", 0), 0, 2**53)  # a run's generators take 1000 times the seed, in 64 bits
        for name in about.data_sets(values):
            data.source(name)  # raises, and lists the valid names
    return about, parameters


def _executed(about: settings.Chapter, profile: str, parameters: dict | None = None, **options) -> Path:
    """Execute a chapter with a bar of its progress."""
    from tqdm import tqdm

    from deepfake_kit.data import dataset
    from deepfake_kit.notebook import execute

    with tqdm(total=1, desc=f"{about.name} ({profile})", unit="cell", file=sys.stderr) as bar:

        def show(done: int, total: int, seconds: float) -> None:
            bar.total, bar.n = total, done
            left = 60 * about.minutes[profile] - seconds
            bar.set_postfix_str(f"about {left:.0f} s left" if left > 0 else "longer than stated")

        return execute.run(
            about.name,
            profile,
            parameters,
            progress=show,
            check=lambda found: dataset.differences(found["data"]),
            **options,
        )


def _run(options) -> int:
    import tempfile

    from deepfake_kit import paths
    from deepfake_kit.notebook import bands, kept, results

    about, parameters = _checked(options)
    code = kept.code(about.name) if options.keep else {}
    networks = tempfile.TemporaryDirectory()
    with networks, paths.variables({kept.FOLDER: networks.name} if options.keep else {}):
        path = _executed(about, options.profile, parameters, limit_seconds=options.limit, output=options.output)
        if options.keep:
            print(f"kept in {kept.write(path, Path(networks.name), kept.folder(options.chapter), code)}")
    found = results.collect(path)
    kinds = ("figure", "table", "explorable", "claim", "check")
    counts = ", ".join(f"{sum(r['type'] == kind for r in found['records'])} {kind}s" for kind in kinds)
    print(f"{path}\n{counts}; {found['seconds']:.0f} s, {found['peak_memory_mb']:.0f} MiB at most")
    if stand_ins := sorted({row["name"] for row in found["data"] if row["stand_in"]}):
        print(f"STAND-IN DATA: {', '.join(stand_ins)} could not be found; see deepfake-kit doctor")
    print("\n".join(bands.report(found, found["chapter"], found["profile"], found["records"])))
    return 0


def _reproduce(options) -> int:
    from deepfake_kit.notebook import claims, execute, kept, reproduce, results

    folder = execute.notebooks_folder()
    settings.one_of("profile", options.profile, settings.PROFILES)
    chapter, kind, id = reproduce.find(options.id, folder)
    if kind == "claim":
        row = claims.find(id)
        print(f"{id}: {claims.load(id.partition('-')[0])[0]['short']}, {row.label}. {row.states}")
    if chapter is None:
        print(f"verdict: {row.verdict}, by {claims.EVIDENCE[row.evidence]}; no run speaks to it. {row.reason or ''}")
        return 0
    path = _executed(settings.load(chapter), options.profile)
    picture = path.with_name(f"{path.stem}-{id}.png")
    if kind == "figure":
        picture.write_bytes(kept.pictures(path)[id])
    theirs = reproduce.book(chapter, options.profile, folder.parent)
    print("\n".join(reproduce.lines(kind, id, results.collect(path), theirs, picture)))
    return 0


def _doctor(options) -> int:
    import torch

    from deepfake_kit import data, pretrained, provenance
    from deepfake_kit.notebook import execute

    print(f"deepfake_kit {__version__}, git {provenance.git_revision()}")
    print("libraries: " + ", ".join(f"{name} {version}" for name, version in provenance.library_versions().items()))
    print(f"machine:   {provenance.accelerator() or provenance.processor()}, {torch.get_num_threads()} thread(s)")
    print("data:")
    for name in data.names():
        try:
            print(f"  {data.locate(name)}")
        except OSError as error:  # one set that cannot be looked at leaves the others to be told of
            print(f"  {name}: {error}")
    print("weights:")
    for name in pretrained.names():
        print(f"  {pretrained.locate(name)}")
    try:
        folder = execute.notebooks_folder()
    except FileNotFoundError as error:
        print(f"chapters:  {error}")
        return 0
    print("chapters:")
    for name in settings.chapters():
        about = settings.load(name)
        there = "" if (folder / f"{name}.ipynb").is_file() else "  (no notebook)"
        minutes = ", ".join(f"{profile} {about.minutes[profile]:g} min" for profile in settings.PROFILES)
        print(f"  {name}: {about.title} ({minutes}){there}")
    return 0


def _ledger(options) -> int:
    from deepfake_kit.notebook import claims

    for paper in [options.paper] if options.paper else claims.papers():
        record, rows = claims.ledger(paper)
        print(f"{record['short']} ({record['year']}): {len(rows)} rows")
        for what, field, names in (
            ("text", "finding", claims.FINDINGS),
            ("runs", "verdict", claims.VERDICTS),
            ("evidence", "evidence", claims.EVIDENCE),
        ):
            counts = ", ".join(f"{sum(getattr(row, field) == name for row in rows)} {name}" for name in names)
            print(f"  {what}: {counts}")
        if options.paper:
            for row in rows:
                print(f"  {row.id:40} {row.finding:15} {row.verdict:16} {row.evidence or ''}".rstrip())
    return 0


def _report(options) -> int:
    import json

    from deepfake_kit import paths
    from deepfake_kit.cache import write_whole
    from deepfake_kit.notebook import execute, report

    out = paths.absolute(options.out) if options.out else None
    if out and (out.is_dir() or options.out.endswith("/")):
        raise ValueError(f"--out: got {options.out!r}, a folder; valid: a file's name, such as {options.paper}.md")
    built = paths.absolute(options.results or execute.notebooks_folder().parent / "_build" / "html" / "results.json")
    if options.results and not built.is_file():
        raise ValueError(f"--results: no file {options.results!r}; valid: the results.json of a built book")
    results = json.loads(built.read_text(encoding="utf-8")) if built.is_file() else []
    text = report.article(options.paper, results)
    write_whole(out, text) if out else print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
