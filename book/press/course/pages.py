"""The generated parts of the page for instructors: a guide a chapter, and how well the graders notice faults."""

from __future__ import annotations

import json
from pathlib import Path

from deepfake_kit.notebook import settings
from press import templates
from press.course import plan

ROOT = Path(__file__).resolve().parents[3]
MEASURED = Path(__file__).with_name("mutants.json")
KINDS = ("made", "hinted", "raised", "survived")


def guides(results: list[dict]) -> str:
    """A screen for each chapter, as raw HTML; minutes are those of this build where it ran the chapter."""
    numbers = [int(n[:2]) for n in settings.chapters() if (ROOT / "notebooks" / f"{n}.ipynb").is_file()]
    found = [outline for outline in plan.outlines(ROOT, numbers) if outline.record]
    for outline in found:
        for row in results:
            if row["chapter"] == outline.name and row["profile"] == "book":
                outline.run, outline.measured = row["seconds"] / 60, True
    return templates.render("guides.html", guide=plan.GUIDE, outlines=found, made={row["chapter"] for row in results})


def graders(results: list[dict]) -> str:
    """The table of ``mutants.json``, which ``python -m press mutants`` measures; a test measures it again."""
    rows: dict[int, dict] = {}
    for number, counts in json.loads(MEASURED.read_text(encoding="utf-8")).items():
        row = rows.setdefault(int(number.split(".")[0]), {"exercises": 0, **dict.fromkeys(KINDS, 0)})
        row["exercises"] += 1
        for kind, count in zip(KINDS, counts, strict=True):
            row[kind] += count
    total = {kind: sum(row[kind] for row in rows.values()) for kind in KINDS}
    listed = [{"chapter": chapter, **row} for chapter, row in sorted(rows.items())]
    return templates.render("graders.html", rows=listed, total=total, same=plan.load()["same"])
