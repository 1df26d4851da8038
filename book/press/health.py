"""The health page: what the last build measured, chapter by chapter."""

from __future__ import annotations

import json
from pathlib import Path

from deepfake_kit.notebook import bands, settings
from press import templates

RESULTS = Path(__file__).resolve().parents[2] / "results"
BENCH, ALARMS, PLANTED = (RESULTS / f"{name}.json" for name in ("bench", "alarms", "planted"))


def table(results: list[dict]) -> str:
    """One row a chapter, as raw HTML, and the machine it ran on."""
    return templates.render(
        "health.html",
        results=[(result, settings.load(result["chapter"]), _sets(result)) for result in results],
        minutes=sum(result["seconds"] for result in results) / 60,
        slowest=max(results, key=lambda result: result["seconds"], default=None),
        machine=results[0]["environment"] if results else {},
    )


def speed(results: list[dict]) -> str:
    """The ratios that ``make bench`` measured and somebody kept, as raw HTML."""
    kept = _kept(BENCH)
    if kept:
        kept["met"] = sum(row["ratio"] <= row["aim"] for row in kept["rows"] if row["aim"] is not None)
    return templates.render("bench.html", kept=kept)


def beside(results: list[dict]) -> str:
    """How far each chapter's numbers are known to move with the seed, and how well that tells a bug, as raw HTML."""
    alarms = {(row["chapter"], row["profile"]): row["outside"] for row in _kept(ALARMS)}
    rows = []
    for result in results:
        for profile in ("smoke", "book"):
            if band := bands.load(result["chapter"], profile):
                vary = sum(map(bands.varies, band["numbers"].values()))
                about = settings.load(result["chapter"]), profile, len(band["seeds"]), len(band["numbers"]), vary
                rows.append((result["chapter"], *about, alarms.get((result["chapter"], profile))))
    return templates.render(
        "bands.html",
        rows=rows,
        fresh=sum(map(len, alarms.values())),
        cried=sum(bool(lines) for row in alarms.values() for lines in row),
        bugs=[row for row in _kept(PLANTED) if row["bug"] != "no bug"],
    )


def _kept(path: Path) -> list[dict]:
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []


def _sets(result: dict) -> dict[str, list[str]]:
    """What was read: weights with their hash, data sets with splits, counts and whether a stand-in took the place."""
    sets: dict[str, list[str]] = {}
    for row in result["data"]:
        words = f"{row['split']} {row['count']:,}{' (stand-in)' if row['stand_in'] else ''}"
        if words not in sets.setdefault(row["name"], []):
            sets[row["name"]].append(words)
    return sets
