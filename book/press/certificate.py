"""A self-check in the manner of CODECHECK: the finished book beside a second one made from nothing."""

from __future__ import annotations

import datetime
import hashlib
import json
import re
import shutil
import subprocess
import tempfile
from collections import Counter
from pathlib import Path

import nbformat
import yaml

from deepfake_kit import paths
from deepfake_kit.cache import write_whole
from deepfake_kit.notebook import bands
from deepfake_kit.notebook.page import METADATA_KEY
from press import places, templates
from press.runs import execute

KEPT = Path("results") / "certificate.json"
STATUS = ("identical", "in band", "differs")
SHOWN = {"figure": "image/png", "explorable": "text/html"}  # compared by their bytes; the others by what they say
SAYS = ("value", "cells", "text", "verdict")
# What tells the time: chapters and home say how long they took, and the records and the index of words hold that.
TIMED = r"results\.json|searchindex\.js|(_sources/)?(notebooks/.*|book/(health|index))\.(html|md|ipynb)"


def make(root: Path, profile: str, other: Path | None = None) -> Path:
    """Compare the finished book with a second one, write ``codecheck.yml`` and what the page shows.

    Parameters
    ----------
    root : Path
        The repository.
    profile : str
    other : Path, optional
        The build folder of a second book of the same sources, from another machine for example. Default: it is made
        from nothing in ``certificate/`` of the build's folder, with an empty cache.

    Returns
    -------
    Path
        ``codecheck.yml``, in `root`.

    Raises
    ------
    ValueError
        If the two were not made from the same sources, or `other` holds no book.
    """
    from press import build

    if other and not (other / "plan.json").is_file():  # before the work of half an hour
        raise ValueError(f"--other: got {other}, with no plan.json in it; valid: the build folder of a second book")
    first = places.build(root)
    build.build(root, profile)
    if other is None:
        other = first / "certificate"
        shutil.rmtree(other, ignore_errors=True)
        with paths.variables({"DEEPFAKE_BOOK_BUILD": str(other), "DEEPFAKE_KIT_CACHE": str(other / "cache")}):
            build.build(root, profile)
    found = compare(first, other, profile)
    found |= {"commit": checked_out(root), "date": datetime.date.today().isoformat(), "profile": profile}
    write_whole(root / KEPT, json.dumps(found, indent=1, ensure_ascii=False) + "\n")
    write_whole(root / "codecheck.yml", codecheck(found, yaml.safe_load((root / "CITATION.cff").read_text("utf-8"))))
    build.build(root, profile)  # the page shows it
    return root / "codecheck.yml"


def chosen(figures: list[tuple[str, str]], commit: str, count: int) -> list[tuple[str, str]]:
    """`count` of the figures, chapter and id each, by the hash of a commit: nobody picks those that come out well.

    Raises
    ------
    ValueError
        If there are not that many.
    """
    if not 1 <= count <= len(figures):
        raise ValueError(f"figures: got {count}; valid: 1 to {len(figures)}")
    return sorted(figures, key=lambda figure: hashlib.sha256(f"{commit} {figure}".encode()).digest())[:count]


def again(root: Path, profile: str, count: int, commit: str = "") -> list[dict]:
    """Execute the chapters of a few figures once more, and compare these figures with those of the finished book.

    Parameters
    ----------
    root : Path
        The repository, with a finished book.
    profile : str
    count : int
        How many figures.
    commit : str, optional
        What chooses them, see :func:`chosen`. Default: the checkout's own commit.

    Returns
    -------
    list of dict
        Rows ``chapter, type, id, status, note``, one a figure.
    """
    folder = places.build(root)
    plan = json.loads(places.built(root, "plan.json").read_text(encoding="utf-8"))
    if plan["profile"] != profile:
        raise ValueError(f"profile: the last build is at {plan['profile']!r}, got {profile!r}")
    made = {
        name: outputs(folder / "executed" / profile / name / row["key"] / "notebook.ipynb")
        for name, row in plan["chapters"].items()
    }
    figures = [(name, id) for name, found in made.items() for kind, id in found if kind == "figure"]
    picked, rows = chosen(figures, commit or checked_out(root), count), []
    for name in sorted({name for name, _ in picked}):
        with tempfile.TemporaryDirectory() as place:
            path = execute.run(name, profile, output=Path(place) / "notebook.ipynb", notebooks=root / "notebooks")
            new = outputs(path)
        here, there = (
            {key: x for key, x in found.items() if key[0] == "figure" and (name, key[1]) in picked}
            for found in (made[name], new)
        )
        rows += _chapter(name, here, there, profile)
    return rows


def compare(first: Path, second: Path, profile: str) -> dict:
    """Two finished builds, output by output and file by file.

    Parameters
    ----------
    first, second : Path
        Build folders, each with a ``plan.json`` and what was executed for it.
    profile : str

    Returns
    -------
    dict
        ``outputs``: rows ``chapter, type, id, status, note``; ``files``: how many are ``equal``, and the paths of those
        that are ``timed`` (they tell the time) and ``unequal`` (they should be equal); ``environments`` of the two.
    """
    plans = [json.loads((folder / "plan.json").read_text(encoding="utf-8")) for folder in (first, second)]
    if plans[0]["chapters"] != plans[1]["chapters"] or any(plan["profile"] != profile for plan in plans):
        raise ValueError(f"other: {second} was not made from the sources and data of {first}, at profile {profile}")
    rows = []
    for name, row in plans[0]["chapters"].items():
        here, there = (folder / "executed" / profile / name / row["key"] for folder in (first, second))
        rows += _chapter(name, outputs(here / "notebook.ipynb"), outputs(there / "notebook.ipynb"), profile)
    from press import stage

    page = "html" if profile == "book" else f"html-{profile}"
    here, there = stage.manifest((first / page).resolve()), stage.manifest((second / page).resolve())
    unequal = sorted(path for path in here.keys() | there.keys() if here.get(path) != there.get(path))
    timed = [path for path in unequal if re.fullmatch(TIMED, path)]
    return {
        "outputs": rows,
        "files": {
            "equal": len(here.keys() | there.keys()) - len(unequal),
            "timed": timed,
            "unequal": [path for path in unequal if path not in timed],
        },
        "environments": [_environment(folder / page / "results.json") for folder in (first, second)],
    }


def outputs(notebook: Path) -> dict[tuple[str, str], object]:
    """What an executed notebook shows and says, by type and id: pictures as their hash, the rest as it is."""
    found = {}
    for cell in nbformat.read(notebook, as_version=4).cells:
        for output in cell.get("outputs", []):
            record = output.get("metadata", {}).get(METADATA_KEY) or {}
            kind = record.get("type")
            if kind in SHOWN:
                shown = output["data"].get(SHOWN[kind], "")
                found[kind, record["id"]] = hashlib.sha256("".join(shown).encode()).hexdigest()
            elif said := {name: record[name] for name in SAYS if name in record}:
                found[kind, record["id"]] = said
    return found


def _chapter(name: str, here: dict, there: dict, profile: str) -> list[dict]:
    band = bands.load(name, profile) or {"numbers": {}}
    tests = sum(bands.varies(values) for values in band["numbers"].values())
    rows = []
    for kind, id in sorted(here.keys() | there.keys()):
        mine, yours = here.get((kind, id)), there.get((kind, id))
        status, note = "identical", ""
        if mine is None or yours is None:
            status, note = "differs", "made by one of the two only"
        elif mine != yours:
            status, note = "differs", ""
            if "value" in mine and isinstance(mine["value"], int | float):
                note = f"{mine['value']:.6g}, then {yours['value']:.6g}"
                if id in band["numbers"]:
                    low, high = bands.interval(band["numbers"][id], tests)
                    status = "in band" if low <= yours["value"] <= high else status
        rows.append({"chapter": name, "type": kind, "id": id, "status": status, "note": note})
    return rows


def _environment(results: Path) -> dict:
    found = json.loads(results.read_text(encoding="utf-8"))[0]["environment"]
    return {name: found[name] for name in ("system", "processor", "accelerator", "versions") if name in found}


def checked_out(root: Path) -> str:
    done = subprocess.run(["git", "rev-parse", "HEAD"], cwd=root, capture_output=True, text=True)
    return done.stdout.strip()


def codecheck(found: dict, citation: dict) -> str:
    """The certificate in CODECHECK's format, https://codecheck.org.uk/spec/config/1.0: who, what, when, how it went."""
    counts = Counter(row["status"] for row in found["outputs"])
    content = {
        "version": "https://codecheck.org.uk/spec/config/1.0",
        "paper": {"title": citation["title"], "authors": [{"name": row["name"]} for row in citation["authors"]]},
        "manifest": [
            {"file": f"notebooks/{row['chapter']}.ipynb#{row['type']}-{row['id']}", "comment": row["status"]}
            for row in found["outputs"]
            if row["type"] in ("figure", "table", "explorable")
        ],
        "codechecker": [{"name": "The authors themselves: this is a self-check, nobody independent ran it"}],
        "summary": f"A finished book and a second one made from nothing, commit {found['commit'][:10]}, profile "
        f"{found['profile']}: of "
        f"{len(found['outputs'])} outputs " + ", ".join(f"{counts[status]} {status}" for status in STATUS) + ".",
        "check_time": found["date"],
    }
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=120)


def page(root: Path) -> str:
    """What the book's page shows of the last certificate."""
    if not (root / KEPT).is_file():
        return "No certificate has been made of this copy: `make certificate` makes one.\n"
    found = json.loads((root / KEPT).read_text(encoding="utf-8"))
    chapters: dict[str, Counter] = {}
    for row in found["outputs"]:
        chapters.setdefault(row["chapter"], Counter())[row["status"]] += 1
    return templates.render("certificate.html", found=found, chapters=chapters, status=STATUS)
