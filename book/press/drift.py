"""A history of the book's numbers under newer and newer libraries: which version was the first to move one?"""

from __future__ import annotations

import json
import math
from pathlib import Path

from deepfake_kit.cache import write_whole
from deepfake_kit.notebook import bands

MOVED = 1e-6  # relative; less is rounding


def entry(results: list[dict], date: str) -> dict:
    """What one build adds to the history: its date, its versions, and each number by ``chapter/id``."""
    environment = results[0]["environment"]
    numbers = {
        f"{result['chapter']}/{name}": x
        for result in results
        for name, x in bands.numbers(result["records"]).items()
        if math.isfinite(x)
    }
    return {"date": date, "versions": dict(environment["versions"]), "numbers": numbers}


def moves(history: list[dict]) -> list[dict]:
    """The numbers that moved when a library did, each at the first build that shows it.

    A number that also moves between two builds with the same versions tells the time or the machine, and is left out.

    Parameters
    ----------
    history : list of dict
        See :func:`entry`, oldest first.

    Returns
    -------
    list of dict
        Rows ``number, date, before, after, libraries``; ``libraries`` holds every one that changed between the two
        builds, as ``name old -> new``.
    """
    found, restless = [], set()
    for old, new in zip(history, history[1:]):
        names = old["versions"].keys() | new["versions"].keys()
        changed = [
            f"{name} {old['versions'].get(name, 'absent')} -> {new['versions'].get(name, 'absent')}"
            for name in sorted(names)
            if old["versions"].get(name) != new["versions"].get(name)
        ]
        for number in sorted(old["numbers"].keys() & new["numbers"].keys()):
            x, y = old["numbers"][number], new["numbers"][number]
            if abs(x - y) <= MOVED * max(abs(x), abs(y)):
                continue
            if changed:
                found.append({"number": number, "date": new["date"], "before": x, "after": y, "libraries": changed})
            else:
                restless.add(number)
    return [row for row in found if row["number"] not in restless]


def add(file: Path, results: list[dict], date: str) -> list[str]:
    """Add a build to the history in `file`; returns a line for each number that this build is the first to move."""
    history = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else []
    history.append(entry(results, date))
    write_whole(file, json.dumps(history, indent=0) + "\n")
    rows = [row for row in moves(history) if row["date"] == date]
    return [
        f"{row['number']}: {row['before']:.6g}, now {row['after']:.6g} ({', '.join(row['libraries'])})" for row in rows
    ]
