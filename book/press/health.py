"""The health page: what the last build measured, chapter by chapter."""

from __future__ import annotations

import json
from pathlib import Path

from deepfake_kit.notebook import settings
from press import templates

BENCH = Path(__file__).resolve().parents[2] / "results" / "bench.json"


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
    kept = json.loads(BENCH.read_text(encoding="utf-8")) if BENCH.is_file() else None
    if kept:
        kept["met"] = sum(row["ratio"] <= row["aim"] for row in kept["rows"] if row["aim"] is not None)
    return templates.render("bench.html", kept=kept)


def _sets(result: dict) -> dict[str, list[str]]:
    """What was read: weights with their hash, data sets with splits, counts and whether a stand-in took the place."""
    sets: dict[str, list[str]] = {}
    for row in result["data"]:
        words = f"{row['split']} {row['count']:,}{' (stand-in)' if row['stand_in'] else ''}"
        if words not in sets.setdefault(row["name"], []):
            sets[row["name"]].append(words)
    return sets
