"""What became of one work, as a short replication article: what holds comes first."""

from __future__ import annotations

from itertools import groupby
from pathlib import Path

from deepfake_kit.notebook import claims, settings
from press import templates

# The strongest evidence first.
ORDER = ["re-derived", "stated-size", "small", "arithmetic", "reading"]
KEYWORDS = ["deepfakes", "reproducibility", "replication"]


def measured(results: list[dict]) -> dict[str, dict]:
    """The claim records of all chapters, by claim id; each says whether a stand-in took the place of data or weights.

    Parameters
    ----------
    results : list of dict
        One dictionary a chapter, as :func:`press.runs.results.collect` makes it.
    """
    return {
        record["id"]: {**record, "stand_in": any(row["stand_in"] for row in result["data"])}
        for result in results
        for record in result["records"]
        if record["type"] == "claim"
    }


def strongest(results: list[dict]) -> dict[str, dict]:
    """What :func:`measured` finds, with the record of the kept evening's run where a row names it.

    Parameters
    ----------
    results : list of dict
        As for :func:`measured`; a chapter's ``kept`` holds the claim records of its kept run.
    """
    kept = {
        record["id"]: {**record, "chapter": result["chapter"], "stand_in": False}
        for result in results
        for record in result.get("kept", ())
        if claims.find(record["id"]).long
    }
    return {**measured(results), **kept}


def metadata(paper: str, results: list[dict]) -> dict:
    """What a replication journal asks for: title, authors, the work, code, data, keywords, type, bibliography."""
    from importlib import metadata as installed

    from deepfake_kit import provenance

    record, rows = claims.load(paper)
    chapters = sorted({row.chapter for row in rows if row.chapter in settings.chapters()})
    data = {name for chapter in chapters for name in settings.load(chapter).data if "{" not in name}
    data |= {row["name"] for result in results if result["chapter"] in chapters for row in result["data"]}
    return {
        "title": f"[Re] {record['title']}",
        "authors": [installed.metadata("deepfake-kit")["Author"] or "The authors of the book"],
        "replication": {name: record[name] for name in ("title", "authors", "year", "venue", "doi")},
        "code": {
            "package": f"deepfake-kit {installed.version('deepfake-kit')}",
            "git": provenance.git_revision(),
            "notebooks": chapters,
        },
        "data": sorted(data) or ["made by the notebooks"],
        "domain": "Computer Science",
        "language": "Python",
        "keywords": [*KEYWORDS, record["short"]],
        "type": "replication",
        "bibliography": "book/references.bib",
    }


def article(paper: str, results: list[dict] = (), book: bool = False) -> str:
    """Tell in Markdown what a work set out to do, what holds, what does not, and where.

    Parameters
    ----------
    paper : str
        Its short name, one of :func:`deepfake_kit.notebook.claims.papers`.
    results : list of dict
        The chapters' results, for the measured numbers; without them only the approved verdicts stand.
    book : bool
        As a page of the book, with links, instead of an article with its metadata.

    Raises
    ------
    ValueError
        If there is no such paper.

    Examples
    --------
    >>> article("survey").splitlines()[0]
    '---'
    """
    import jinja2
    import yaml

    record, rows = claims.ledger(paper)
    rows = sorted(rows, key=lambda row: ORDER.index(row.evidence))
    sized = sorted((row for row in rows if row.size), key=lambda row: row.size)
    template = jinja2.Environment(trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined)
    template.filters |= {
        "stated": templates.stated,
        "place": templates.place,
        "basis": lambda row: templates.sized(claims.basis(row)),
        "numbers": lambda x: templates.typeset(claims.numbers(x)),
    }
    return template.from_string(Path(__file__).with_name("report.md").read_text(encoding="utf-8")).render(
        about=record,
        book=book,
        found=strongest(results),
        head=yaml.safe_dump(metadata(paper, results), sort_keys=False, allow_unicode=True, width=100),
        verdict={name: [row for row in rows if row.verdict == name] for name in claims.VERDICTS},
        finding={name: [row for row in rows if row.finding == name] for name in claims.FINDINGS},
        rows=rows,
        sizes=[(templates.sized(size), list(group)) for size, group in groupby(sized, key=lambda row: row.size)],
        evidence=claims.EVIDENCE,
    )
