"""The reproduction ledger: every claim of every paper, what we find in the text, what our runs give."""

from __future__ import annotations

import csv
import json
import re
from collections import Counter
from pathlib import Path

import pandas as pd

from deepfake_kit.notebook import claims
from press import report, templates

KINDS = ("equation", "figure", "table", "parameter", "dataset", "algorithm", "claim")
ORDERS = {"work": "as in the works", "verdict": "verdict", "evidence": "evidence", "kind": "kind", "chapter": "chapter"}
GIST = 56  # characters of a row's line that say what the row is about
FORMULA = 14  # of a formula that may stand among them
DANGLING = re.compile(r"(?i)[\s,]+(?:an?|and|as|at|by|does|each|for|from|in|its|of|on|one|or|the|to|when|which|with)$")


def counts() -> pd.DataFrame:
    """Rows a paper (columns, and all) by finding, verdict and evidence (a pair of names each)."""
    rows = pd.DataFrame(
        [(claims.ledger(paper)[0]["short"], row) for paper in claims.papers() for row in claims.ledger(paper)[1]],
        columns=["paper", "row"],
    )
    papers = [claims.ledger(paper)[0]["short"] for paper in claims.papers()]
    parts = {}
    for field, names in (("finding", claims.FINDINGS), ("verdict", claims.VERDICTS), ("evidence", claims.EVIDENCE)):
        found = pd.crosstab(rows["row"].map(lambda row, field=field: getattr(row, field)), rows["paper"])
        parts[field] = found.reindex(index=list(names), columns=papers, fill_value=0)
    return pd.concat(parts).assign(all=lambda table: table.sum(axis=1))


def totals(results: list[dict]) -> str:
    """Counts of findings, verdicts and kinds of evidence a paper, as raw HTML."""
    return templates.render(
        "totals.html",
        works={claims.ledger(paper)[0]["short"]: paper for paper in claims.papers()},
        parts={name: part.droplevel(0) for name, part in counts().groupby(level=0, sort=False)},
    )


def picture(results: list[dict]) -> str:
    """Works by kinds of evidence, one small tile a row of the ledger, its sign and colour the verdict; raw HTML."""
    works = {paper: claims.ledger(paper) for paper in claims.papers()}
    cells = {
        (paper, evidence): Counter(row.verdict for row in about if row.evidence == evidence)
        for paper, (_, about) in works.items()
        for evidence in claims.EVIDENCE
    }
    every = Counter(row.verdict for _, about in works.values() for row in about)
    return templates.render("ledger_picture.html", works=works, cells=cells, every=every)


def gist(row: claims.Claim) -> str:
    """What a row is about, short enough for one line; a mere number ("Eq. (3)") is followed by its statement's start.

    Examples
    --------
    >>> gist(claims.find("ddtma-eq-1"))
    'One forward noising step keeps …'
    """
    if row.kind not in ("equation", "figure", "table", "algorithm") or len(row.label) > GIST // 2:
        return ""
    states = re.sub(r"^According to [^:]*:\s+(.)", lambda start: start[1].upper(), row.states)
    words = ""
    for part in re.split(r"(\$[^$]+\$)", states):  # up to the first formula that is too long for a line
        if part.startswith("$") and len(part) > FORMULA + 2:
            break
        words += part
    words = words.strip()
    first = re.split(r"(?<!Eq\.)(?<=[.;:])\s", words)[0]
    whole, parts, first = first == states or first != words, re.findall(r"\$[^$]+\$\S*|\S+", first), ""
    for part in parts:
        if len(first) + 1 + len(part) > GIST:
            whole = False
            break
        first += f" {part}"
    first = first.rstrip(".;:, (").strip()
    while not whole and DANGLING.search(first):
        first = DANGLING.sub("", first)
    return first and first + ("" if whole else " …")


def table(results: list[dict]) -> str:
    """The picture, the filters and the list of all claims, as raw HTML."""
    found = report.strongest(results)
    works = {paper: claims.ledger(paper) for paper in claims.papers()}
    plain = {
        name: {x: x.replace("-", " ") for x in options}
        for name, options in (("kind", KINDS), ("finding", claims.FINDINGS), ("verdict", claims.VERDICTS))
    }
    filters = {
        "paper": {paper: record["short"] for paper, (record, _) in works.items()},
        **plain,
        "evidence": claims.EVIDENCE,
    }
    rows = [(paper, record, row, found.get(row.id)) for paper, (record, about) in works.items() for row in about]
    ranks = {name: list(options) for name, options in filters.items()}
    return "\n\n".join(
        (
            picture(results),
            templates.render("ledger.html", filters=filters, orders=ORDERS, rows=rows, ranks=ranks, gist=gist),
        )
    )


def flat(results: list[dict]) -> list[dict]:
    """Every row of the ledger with what was measured, as plain values: what the CSV and the JSON file hold."""
    found = report.strongest(results)
    rows = []
    for paper in claims.papers():
        about, listed = claims.ledger(paper)
        for row in listed:
            record = found.get(row.id) or {}
            rows.append(
                {
                    "id": row.id,
                    "work": about["short"],
                    **{name: getattr(row, name) for name in ("kind", "label", "section", "states", "finding")},
                    **{name: getattr(row, name) for name in ("explanation", "verdict", "reason", "evidence", "size")},
                    **{name: getattr(row, name) for name in ("measure", "printed", "expected", "tolerance")},
                    **{name: getattr(row, name) for name in ("direction", "random", "empty")},
                    **{name: getattr(row, name) for name in ("values", "derived", "elsewhere")},
                    "chapter": record.get("chapter") or row.chapter,
                    "here": record.get("value"),
                    "interval": record.get("interval"),
                    "stand_in": record.get("stand_in", False),
                }
            )
    return rows


def write(folder: Path, results: list[dict]) -> None:
    """Write ``ledger.csv`` and ``ledger.json`` into `folder`; lists and tables inside a CSV field are JSON."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = flat(results)
    (folder / "ledger.json").write_text(json.dumps(rows, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    with (folder / "ledger.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]) if rows else [])
        writer.writeheader()
        for row in rows:
            writer.writerow(
                {
                    name: json.dumps(x, ensure_ascii=False) if isinstance(x, list | dict) else x
                    for name, x in row.items()
                }
            )
