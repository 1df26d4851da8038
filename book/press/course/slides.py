"""Slides from an executed chapter: reveal.js, one figure a slide, the plan of the lab in the speaker's notes (key S).

The folder holds all that the slides load, so they open from a disk without a server or a network.
"""

from __future__ import annotations

import base64
import re
import shutil
from pathlib import Path

import nbformat

from press import assets, templates
from press.runs import results

# From node_modules to the folder of the slides.
PARTS = {
    "reveal.js/dist/reveal.js": "reveal/reveal.js",
    "reveal.js/dist/reveal.css": "reveal/reveal.css",
    "reveal.js/dist/theme/white.css": "reveal/theme/white.css",
    "reveal.js/dist/theme/fonts": "reveal/theme/fonts",
    "reveal.js/plugin/notes/notes.js": "reveal/notes.js",
    "reveal.js/LICENSE": "reveal/LICENSE",
    "mathjax/es5/tex-mml-chtml.js": "mathjax/tex-mml-chtml.js",
    "mathjax/es5/output/chtml/fonts/woff-v2": "mathjax/output/chtml/fonts/woff-v2",
    "mathjax/LICENSE": "mathjax/LICENSE",
}


def lab_plan(page: str, number: int) -> list[list[str]]:
    """The rows of a chapter's plan on the page for instructors: minutes, what, how."""
    part = re.search(rf"^## Lab plan: [^\n]*\(chapter {number}, .*?(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    rows = re.findall(r"^\| (\d+ to \d+) \| (.+?) \| (.+) \|$", part[0], re.MULTILINE) if part else []
    return [list(row) for row in rows]


def sections(executed: Path) -> list[tuple[str, list[dict]]]:
    """The figures of an executed chapter under their section's heading, with caption and alternative text."""
    pictures, found = results.pictures(executed), []
    for cell in nbformat.read(executed, as_version=4).cells:
        if cell.cell_type == "markdown":
            found += [(line[3:], []) for line in cell.source.splitlines() if line.startswith("## ")]
            continue
        for out in cell.outputs:
            record = dict(out.get("metadata", {}).get("deepfake_kit", {}))
            if record.get("type") == "figure" and found and not record["photographs_of_people"]:
                found[-1][1].append({**record, "png": base64.b64encode(pictures[record["id"]]).decode()})
    return [row for row in found if row[1]]


def deck(outline, executed: Path, page: str) -> str:
    """One chapter's slides as HTML."""
    rows = lab_plan(page, int(outline.number))
    return templates.render("slides.html", o=outline, plan=rows, sections=sections(executed))


def write(folder: Path, decks: dict[str, str], third_party: Path) -> None:
    """Write the slides and everything that they load."""
    modules = assets.install(third_party)
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in decks.items():
        (folder / f"{name}.html").write_text(text, encoding="utf-8")
    for source, place in PARTS.items():
        goal = folder / place
        goal.parent.mkdir(parents=True, exist_ok=True)
        if (modules / source).is_dir():
            shutil.copytree(modules / source, goal, dirs_exist_ok=True)
        else:
            shutil.copyfile(modules / source, goal)
