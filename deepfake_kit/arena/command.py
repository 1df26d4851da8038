"""The commands ``deepfake-kit arena check`` and ``arena run``."""

from __future__ import annotations

import os
import secrets
import sys

from deepfake_kit import paths
from deepfake_kit.valid import require, seconds, whole


def add(commands) -> None:
    """Give the command line its subcommands."""
    arena = commands.add_parser("arena", help="try or score a forger, detector or defence that somebody wrote")
    tasks = arena.add_subparsers(required=True, metavar="TASK")
    check = tasks.add_parser("check", help="say within seconds what is wrong with an entry")
    check.set_defaults(command=_check)
    enter = tasks.add_parser("run", help="score an entry on new pictures; the first time takes minutes")
    enter.add_argument("--leaderboard", default="leaderboard.json", metavar="FILE", help="default: leaderboard.json")
    enter.add_argument("--seed-file", metavar="FILE", help="holds the secret; default: made beside the board")
    enter.add_argument("--limit", type=seconds, default=120, metavar="SECONDS", help="for the entry; default: 120")
    enter.set_defaults(command=_run)
    for one in (check, enter):
        one.add_argument("entry", help="a Python file with one class")


def _entry(options):
    """The entry's file, once it is one: a run makes its world first, which takes minutes, and a pipe never ends."""
    entry = paths.absolute(options.entry)
    require(entry.is_file(), "entry", options.entry, "a Python file with one class")
    return entry


def _check(options) -> int:
    from deepfake_kit.arena import contest

    entry, walls = contest.check(_entry(options))
    missing = [wall for wall, stands in walls.items() if not stands]
    print(f"{entry.name}: a {entry.kind}, ready to enter\nwalls: {', '.join(w for w in walls if w not in missing)}")
    if missing:
        print(f"not to be had here: {', '.join(missing)}; run strangers' entries under an account of their own")
    return 0


def _run(options) -> int:
    from deepfake_kit.arena import contest, sandbox

    board, entry = paths.absolute(options.leaderboard), _entry(options)
    contest.read_board(board)
    secret = paths.absolute(options.seed_file) if options.seed_file else board.with_name(f"{board.name}.seed")
    if not secret.exists():
        secret.parent.mkdir(parents=True, exist_ok=True)
        with open(os.open(secret, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(f"{2**32 + secrets.randbelow(2**53 - 2**32)}\n")
    text = secret.read_text(encoding="utf-8").strip()[:60]
    seed = whole("the seed in --seed-file", int(text) if text.isascii() and text.isdigit() else text, 2**32, 2**53)
    print("Making the contest's forgers, editor and pictures: minutes the first time.", file=sys.stderr, flush=True)
    row = contest.enter(contest.world(seed), entry, board, sandbox.Limits(options.limit), [secret])
    for cell, (value, low, high) in row["cells"].items():
        print(f"  {cell:28} {value:.3f}  ({low:.3f} to {high:.3f})")
    print(f"points {row['points']:.3f}" if "refused" not in row else f"refused: {row['refused']}")
    return 1 if "refused" in row else 0
