"""How long the marking of many submissions takes, and whether each answer gets what it deserves.

Run ``python tests/bench/measure_grading.py [--count 200] [--jobs 2]``. It deals out the chapters in turn, answers six
exercises in ten by the variant's solution, a quarter by a solution with one fault, leaves the rest as stubs, adds a
cell that loops, prints or eats memory to every twentieth copy, marks all of them, and prints one JSON line.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "book")]
import nbformat  # noqa: E402
from press.course import grade, mutants, notebooks, plan  # noqa: E402

from deepfake_kit.notebook import settings  # noqa: E402

BAD = ("while True:\n    pass", "while True:\n    print('x' * 10**5)", "kept = [b'x' * 10**8 for _ in range(10**4)]")


def answered(exercise, variant: int, draw: random.Random) -> tuple[str, str]:
    """A cell for an exercise, and what kind of answer it is."""
    _, stub, solution = notebooks.asked(exercise, variant)
    chance = draw.random()
    if chance < 0.6:
        return solution, "right"
    return (draw.choice(mutants.mutants(solution)), "fault") if chance < 0.85 else (stub, "stub")


def hand_in(folder: Path, count: int) -> dict:
    """Write the submissions and the course's record; the kind of every answer by student."""
    outlines = plan.outlines(ROOT, [int(name[:2]) for name in settings.chapters()])
    draw, deals, kinds = random.Random(21), {}, {}
    (folder / "in").mkdir()
    for k in range(count):
        name, o = f"student-{k:03}", outlines[k % len(outlines)]
        deals[name] = notebooks.drawn(21, name, [e.number for e in o.exercises])
        copy = notebooks.dealt(o.notebook, o.exercises, deals[name], solved=False)
        kinds[name] = {}
        for exercise in o.exercises:
            stub = notebooks.asked(exercise, deals[name][exercise.number])[1]
            cell = next(cell for cell in copy.cells if cell.source == stub)
            cell.source, kinds[name][exercise.number] = answered(exercise, deals[name][exercise.number], draw)
        if k % 20 == 19:
            copy.cells.append(nbformat.v4.new_code_cell(BAD[k // 20 % len(BAD)]))
        nbformat.write(copy, folder / "in" / f"{name}.ipynb")
    (folder / "course.json").write_text(json.dumps({"variants": deals}))
    return kinds


def main() -> None:
    words = argparse.ArgumentParser()
    words.add_argument("--count", type=int, default=200)
    words.add_argument("--jobs", type=int, default=2)
    words.add_argument("--faults", action="store_true", help="name the faults that got full marks")
    options = words.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        kinds = hand_in(folder, options.count)
        began, load = time.monotonic(), os.getloadavg()[0]
        reports = grade.grade(folder / "in", folder / "marks.csv", folder, options.jobs)
        minutes = (time.monotonic() - began) / 60
    got = {kind: [0, 0] for kind in ("right", "fault", "stub")}
    for report in reports:
        for mark in report.marks:
            kind = kinds[report.student][mark.number]
            got[kind][0] += mark.share == 1
            got[kind][1] += 1
            if (kind == "right" and mark.share < 1) or (options.faults and kind == "fault" and mark.share == 1):
                print(kind, report.student, mark.number, mark.said, file=sys.stderr)
    facts = {"submissions": len(reports), "jobs": options.jobs, "cores": os.cpu_count(), "minutes": round(minutes, 1)}
    facts |= {
        "longest, s": round(max(r.seconds for r in reports)),
        "load": [round(load, 1), round(os.getloadavg()[0], 1)],
    }
    print(json.dumps(facts | {f"full marks, {kind}": f"{full} of {every}" for kind, (full, every) in got.items()}))


if __name__ == "__main__":
    main()
