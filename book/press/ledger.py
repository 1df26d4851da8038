"""The reproduction ledger: every claim of every paper, what we find in the text, what our runs give."""

from __future__ import annotations

import pandas as pd

from deepfake_kit.notebook import claims, report
from press import templates

KINDS = ("equation", "figure", "table", "parameter", "dataset", "algorithm", "claim")


def counts() -> pd.DataFrame:
    """Rows a paper (columns, and all) by finding, verdict and evidence (a pair of names each)."""
    rows = pd.DataFrame(
        [(claims.load(paper)[0]["short"], row) for paper in claims.papers() for row in claims.load(paper)[1]],
        columns=["paper", "row"],
    )
    papers = [claims.load(paper)[0]["short"] for paper in claims.papers()]
    parts = {}
    for field, names in (("finding", claims.FINDINGS), ("verdict", claims.VERDICTS), ("evidence", claims.EVIDENCE)):
        found = pd.crosstab(rows["row"].map(lambda row, field=field: getattr(row, field)), rows["paper"])
        parts[field] = found.reindex(index=list(names), columns=papers, fill_value=0)
    return pd.concat(parts).assign(all=lambda table: table.sum(axis=1))


def totals(results: list[dict]) -> str:
    """Counts of findings, verdicts and kinds of evidence a paper, as raw HTML."""
    return templates.render(
        "totals.html",
        works={claims.load(paper)[0]["short"]: paper for paper in claims.papers()},
        parts={name: part.droplevel(0) for name, part in counts().groupby(level=0, sort=False)},
    )


def table(results: list[dict]) -> str:
    """Totals, filters and the table of all claims, as raw HTML."""
    found = report.measured(results)
    works = {paper: claims.load(paper) for paper in claims.papers()}
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
    return totals(results) + "\n\n" + templates.render("ledger.html", filters=filters, rows=rows)
