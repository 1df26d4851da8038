"""The command line, ``deepfake-kit COMMAND``: run and reproduce chapters, and what the book offers as tools."""

from __future__ import annotations

import argparse
import os
import sys

from deepfake_kit import FOLDER, __version__, on_pictures, paths
from deepfake_kit.arena import command as arena
from deepfake_kit.notebook import settings

OF_THE_PRESS = {
    "run": "execute one chapter",
    "reproduce": "run the chapter that makes a number, and set it beside the paper's and the book's",
    "report": "one work's replication, as a short article in Markdown",
    "course": "student notebooks, solutions, a plan and papers for a course",
    "grade": "mark students' submissions: a table, a report a student",
}


def main(arguments: list[str] | None = None) -> int:
    """Run one command; returns the exit status: 0 well, 1 a chapter failed or a file cannot be written, 2 bad input."""
    options = _parser().parse_args(arguments)
    try:
        with paths.command():
            return options.command(options)
    except BrokenPipeError:  # the reader of our output, say `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (ValueError, OSError) as error:  # bad input, a full disk, a chapter that failed
        if options.debug:
            raise
        print(f"deepfake-kit: {error}", file=sys.stderr)
        return 2 if isinstance(error, ValueError | FileNotFoundError) else 1
    except KeyboardInterrupt:
        print("deepfake-kit: stopped", file=sys.stderr)
        return 130


def _press(options) -> int:
    """A command that needs a copy of the repository, where the press is."""
    asks = {"-h", "--help"} & {*options.words}  # which one may from anywhere
    sys.path.insert(0, str(paths.notebooks(FOLDER if asks else None).parent / "book"))
    from press.__main__ import command

    return command([options.name, *options.words], "deepfake-kit")


def _parser() -> argparse.ArgumentParser:
    told = "Tools of the book 'Deepfakes: made, shared, detected, defended'."
    parser = argparse.ArgumentParser(prog="deepfake-kit", description=told)
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    doctor = commands.add_parser("doctor", help="what is installed, which data is found where, what would run")
    doctor.set_defaults(command=_doctor)

    ledger = commands.add_parser("ledger", help="what the papers state and what we found, in numbers")
    ledger.add_argument("paper", nargs="?", help="list one paper's rows")
    ledger.set_defaults(command=_ledger)

    for name, what in OF_THE_PRESS.items():
        # Its words are the press's to read.
        one = commands.add_parser(name, help=what, add_help=False, prefix_chars="\0")
        one.add_argument("words", nargs="*")
        one.set_defaults(command=_press, name=name)
    on_pictures.add(commands)
    arena.add(commands)
    return parser


def _doctor(options) -> int:
    import torch

    from deepfake_kit import data, pretrained, provenance

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
        folder = paths.notebooks()
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


if __name__ == "__main__":
    sys.exit(main())
