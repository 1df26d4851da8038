"""Rerun any number: which chapter makes it, and what the paper, the book and your run say."""

from __future__ import annotations

import ast
import difflib
import json
from pathlib import Path

from deepfake_kit.notebook import bands, claims, kept, settings
from press import places
from press.runs import source

MADE_BY = {"figure": "figure", "table": "table", "claim": "claim", "value": "value", "verify": "check"}
ANCHORS = {"figure": "fig", "table": "tab", "check": "check"}


def made(notebooks: Path) -> dict[str, tuple[str, str, str]]:
    """Everything that the chapters make: chapter, type and id, by id and by the anchor on the page.

    An id that two chapters use stands only under its anchor (``fig-02-loss``), the earlier chapter's under both.
    """
    found: dict[str, tuple[str, str, str]] = {}
    for chapter in settings.chapters():
        path = notebooks / f"{chapter}.ipynb"
        cells = source.read_source(path).cells if path.is_file() else []
        for node in (node for cell in cells if cell.cell_type == "code" for node in _calls(cell.source)):
            first = node.args[0].value if node.args and isinstance(node.args[0], ast.Constant) else None
            names = [(MADE_BY.get(node.func.attr), first)]
            if node.func.attr == "say":
                names = [("value", word.arg) for word in node.keywords if word.arg != "kept"]
            for kind, name in (pair for pair in names if all(pair)):
                anchor = f"{ANCHORS.get(kind, kind)}-{chapter[:2]}-{str(name).replace('_', '-')}"
                for key in (name, anchor):
                    found.setdefault(key, (chapter, kind, name))
    return found


def _calls(source: str) -> list[ast.Call]:
    """The calls of the run's methods in a cell; none in a cell with magics."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return []
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
    return [node for node in calls if isinstance(node.func.value, ast.Name) and node.func.value.id == "run"]


def find(id: str, notebooks: Path) -> tuple[str | None, str, str]:
    """The chapter that makes a claim, figure, table, number or check (None if none does), its type and its own id.

    Raises
    ------
    ValueError
        If there is nothing of this id; the message offers the nearest.
    """
    known = made(notebooks)
    rows = {row.id: row for paper in claims.papers() for row in claims.load(paper)[1]}
    if id in known:
        return known[id]
    if id in rows:
        return rows[id].chapter if rows[id].verdict not in claims.OPEN else None, "claim", id
    near = difflib.get_close_matches(id, {**known, **rows}, n=5)
    hint = f"did you mean {', '.join(near)}?" if near else "the ledger lists claims, the pages name figures and tables"
    raise ValueError(f"id: got {id!r}, which no chapter makes and no work states; {hint}")


def book(chapter: str, profile: str, root: Path) -> list[dict]:
    """What the book records of a chapter: the kept run at ``long``, else what was last built here; maybe nothing."""
    if profile == settings.KEPT:
        found = kept.load(chapter, root)
        return found.about["records"] if found else []
    site = "html" if profile == "book" else f"html-{profile}"
    file = places.build(root) / site / "results.json"
    results = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else []
    return next((result["records"] for result in results if result["chapter"] == chapter), [])


def lines(kind: str, id: str, found: dict, theirs: list[dict], picture: Path) -> list[str]:
    """Paper, book, yours and verdict, a line each.

    Parameters
    ----------
    kind, id : str
        What was looked up.
    found : dict
        Your run, see :func:`press.runs.results.collect`.
    theirs : list of dict
        The book's records, see :func:`book`.
    picture : Path
        Where your figure was written, if it is one.
    """
    ours, other = (
        next((record for record in records if (record["type"], record["id"]) == (kind, id)), None)
        for records in (found["records"], theirs)
    )
    if ours is None:
        return [f"yours:   this run, at profile {found['profile']}, did not record {kind} {id!r}"]
    row = claims.find(id) if kind == "claim" else None
    whose, number = claims.stated(row) if row else ("", "")
    out = [f"{whose + ':':8} {number}"] if row else []
    for name, record in (("book", other), ("yours", ours)):
        out.append(f"{name + ':':8} {_said(kind, record, picture if record is ours else None)}")
    if row:
        approved = row.long.get("verdict", row.verdict) if found["profile"] == settings.KEPT else row.verdict
        same = "as the ledger says" if ours["verdict"] == approved else f"the ledger says {approved}"
        size = (
            ""
            if found["profile"] in ("book", settings.KEPT)
            else f", judged at profile book, not at {found['profile']}"
        )
        return out + [f"verdict: {ours['verdict']}, {same}{size}"]
    band = bands.load(found["chapter"], found["profile"])
    if kind == "value" and band:
        judged = bands.compare(bands.numbers([ours]), band)
        return out + [
            f"verdict: {judged[0]}" if judged else "verdict: this number has no band (a time, or a setting's)"
        ]
    keys = [key for key in ("cells", "value") if kind != "figure" and key in ours]
    equal = other is not None and keys and all(ours[key] == other[key] for key in keys)
    return out + [f"verdict: {'identical' if equal else 'look at both' if other else 'nothing to hold it against'}"]


def _said(kind: str, record: dict | None, picture: Path | None) -> str:
    if record is None:
        return "not built here; make book builds it"
    if kind == "figure":
        return str(picture or record.get("file") or "on its page")
    if kind == "table":
        import pandas as pd

        return "\n" + pd.DataFrame(**{name: record["cells"][name] for name in ("data", "index", "columns")}).to_string()
    if kind == "claim":
        ends = [claims.numbers(end) for end in record.get("interval") or ()]
        between = f" [{' to '.join(ends)}]" if ends else ""
        return f"{claims.numbers(record['value'])}{between}, {record.get('verdict', '')}"
    return str(record["value"])
