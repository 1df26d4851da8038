"""What the benchmarks share: time two ways by turns, tell their ratio with its spread, leave a report.

``python tests/bench/ratios.py FOLDER`` writes all reports of a folder as one table, ``bench.md``; with ``--keep`` also
into ``results/bench.json``, which the book's page of health shows.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np


def by_turns(
    ours: Callable, theirs: Callable, repeats: int, clock: Callable[[], float] = time.perf_counter
) -> list[tuple[float, float]]:
    """Seconds of both in each repeat, after one unmeasured call of each; what else runs disturbs both alike."""
    ours(), theirs()
    found = []
    for _ in range(repeats):
        times = []
        for work in (ours, theirs):
            start = clock()
            work()
            times.append(clock() - start)
        found.append(tuple(times))
    return found


def row(work: str, against: str, ratios, aim: float | None = None) -> dict:
    """Print one line: ours over the alternative, the median and the middle half of the repeats; below 1 is better."""
    low, middle, high = (float(x) for x in np.percentile(np.asarray(ratios, float), [25, 50, 75]))
    wanted = "" if aim is None else f"; aim: at most {aim:g}"
    print(
        f"{work}: {middle:.3g} of {against} (middle half {low:.3g} to {high:.3g}, {len(ratios)} repeats{wanted})",
        flush=True,
    )
    about = {"work": work, "against": against, "ratio": middle, "quarter": low, "three_quarters": high}
    return {**about, "repeats": len(ratios), "aim": aim}


def of(pairs: list[tuple[float, float]]) -> list[float]:
    """The ratio of each pair of times."""
    return [ours / theirs for ours, theirs in pairs]


def write(out: Path | None, name: str, rows: list[dict], **more) -> None:
    """Leave ``name.json`` in the folder `out`."""
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        report = {"rows": rows, "machine": platform.machine(), "python": platform.python_version(), **more}
        (out / f"{name}.json").write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")


def reports(folder: Path) -> list[dict]:
    """The rows of all reports in a folder."""
    found = (json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("bench_*.json")))
    return [row for report in found for row in report["rows"]]


def table(rows: list[dict]) -> str:
    """Rows as a table in Markdown."""
    lines = ["| work | against | ratio | middle half | repeats | aim |", "|---|---|---|---|---|---|"]
    for x in rows:
        spread = f"{x['quarter']:.3g} to {x['three_quarters']:.3g}"
        aim = "" if x["aim"] is None else f"{x['aim']:.3g}"
        lines.append(f"| {x['work']} | {x['against']} | {x['ratio']:.3g} | {spread} | {x['repeats']} | {aim} |")
    return "\n".join(lines) + "\n"


def keep(rows: list[dict], place: Path) -> None:
    """Keep the rows, with the day and the machine, for the book."""
    from deepfake_kit import provenance
    from deepfake_kit.cache import write_whole

    about = {"date": f"{date.today()}", "machine": provenance.processor(), "cores": os.cpu_count()}
    write_whole(place, json.dumps({**about, "rows": rows}, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("--keep", action="store_true")
    options = parser.parse_args()
    found = reports(options.folder)
    (options.folder / "bench.md").write_text(table(found), encoding="utf-8")
    print(options.folder / "bench.md")
    if options.keep:
        keep(found, Path(__file__).resolve().parents[2] / "results" / "bench.json")
