"""The ledger as a reader sees it: every row, its symbols as formulas, its numbers beside its words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from press import decorate, ledger

from deepfake_kit.notebook import claims
from deepfake_kit.notebook.run import METADATA_KEY


@pytest.fixture(scope="module")
def page() -> BeautifulSoup:
    return BeautifulSoup(ledger.table([]), "html.parser")


def test_every_claim_is_a_row_that_the_filters_can_find(page):
    rows = {row["id"].removeprefix("ledger-"): row for row in page.select("#ledger-rows tr")}
    every = [claim for paper in claims.papers() for claim in claims.load(paper)[1]]
    assert set(rows) == {claim.id for claim in every}
    offered = {
        name: {option["value"] for option in page.select(f"#filter-{name} option")} - {""}
        for name in ("paper", "kind", "finding", "verdict", "evidence")
    }
    for claim in every:
        row = rows[claim.id]
        stated = [claim.kind, claim.finding, claim.verdict, claim.evidence]
        assert [row[f"data-{name}"] for name in ("kind", "finding", "verdict", "evidence")] == stated
        for name, values in offered.items():
            assert row[f"data-{name}"] in values


def test_symbols_are_formulas_in_labels_and_names_of_values(page):
    head = page.find(id="ledger-hanyang-eq-cls").find("th")
    assert head.select_one("span.math").get_text() == r"\(L_{cls}\)"
    names = page.find(id="ledger-dadfi-param-adam").select("dt")
    assert [name.get_text() for name in names] == [r"\(\alpha_1\)", r"\(\alpha_2\)", r"\(\tau\)"]


def test_a_formula_in_the_markdown_loads_mathjax_for_those_in_the_table():
    """Sphinx leaves MathJax out of a page whose own Markdown has none."""
    assert re.search(r"\$.+\$", (Path(ledger.__file__).parents[1] / "ledger.md").read_text(encoding="utf-8"))


def test_no_row_shows_its_source(page):
    page = BeautifulSoup(str(page), "html.parser")
    for hidden in page.select(".math, code, script"):
        hidden.decompose()
    words = page.get_text(" ")
    assert "$" not in re.sub(r"\$[\d,]+", "", words)
    assert re.findall(r"\w*[_^]\{\S*|\\[a-zA-Z]+", words) == []


def test_printed_values_stand_beside_what_the_paper_states(page):
    cells = page.find(id="ledger-ddtma-tab-2").find_all("td")
    assert "0.88" in [value.get_text() for value in cells[0].select("details dd")]
    assert not cells[3].select("details"), "the narrow column of the paper's number cannot hold a list"


def test_totals_add_up():
    counts = ledger.counts()
    every = sum(len(claims.load(paper)[1]) for paper in claims.papers())
    assert counts.groupby(level=0).sum()["all"].tolist() == [every] * 3
    assert (counts.drop(columns="all").sum(axis=1) == counts["all"]).all()
    page = BeautifulSoup(ledger.totals([]), "html.parser")
    shown = [[int(cell.get_text()) for cell in row("td")] for row in page.select("tbody tr:has(td)")]
    assert shown == counts.to_numpy().tolist()


ROW = dict(
    kind="equation",
    label="Eq. (1)",
    section="I",
    states="s",
    finding="holds",
    explanation="e",
    measure="m",
    evidence="re-derived",
)


@pytest.mark.parametrize(
    ("about", "stated", "evidence"),
    [
        (dict(printed=0.3, evidence="arithmetic"), "0.3paper", "arithmetic of the print; read from an extracted text"),
        (dict(expected=0.0, evidence="re-derived", seen="page"), "0if the statement held", "re-derived"),
        (
            dict(direction="> 0", evidence="small", size="9 devices"),
            "> 0if the statement held",
            "replicated small (9 devices); read from an extracted text",
        ),
        (
            dict(printed=0.3, direction="> 7", verdict="direction-holds"),
            "0.3paperdirection: > 7",
            "re-derived; read from an extracted text",
        ),
    ],
)
def test_the_paper_is_given_only_what_it_prints(monkeypatch, about, stated, evidence):
    row = claims.Claim(id="demo-a", **{"verdict": "reproduced", **ROW, **about})
    monkeypatch.setattr(claims, "papers", lambda: ["demo"])
    monkeypatch.setattr(claims, "load", lambda _: ({"short": "Demo", "year": 2026}, (row,)))
    cells = BeautifulSoup(ledger.table([]), "html.parser").find(id="ledger-demo-a")("td")
    assert cells[4].get_text() == stated and cells[3].get_text() == evidence
    assert cells[4]["data-label"] == ("paper" if row.printed is not None else "if the statement held")


def test_raw_html_has_no_empty_line_that_would_end_it():
    first, _, second = ledger.table([]).partition("\n\n")
    assert first.startswith("<div") and second.startswith("<form") and "\n\n" not in second


def claim_cell(claim_id: str, verdict: str):
    record = {"type": "claim", "id": claim_id, "value": 0.25, "interval": [0.2, 0.3], "verdict": verdict}
    mark = new_output("display_data", data={"text/html": "<details>"}, metadata={METADATA_KEY: record})
    return new_code_cell("run.claim()", outputs=[mark])


def test_a_section_ends_with_one_table_of_its_claims():
    notebook = new_notebook(
        cells=[
            new_markdown_cell("# T"),
            new_markdown_cell("## A"),
            claim_cell("ddtma-eq-1", "reproduced"),
            claim_cell("ddtma-eq-2", "contradicted"),
            new_markdown_cell("## B"),
            new_code_cell("x"),
            new_markdown_cell("## C"),
            claim_cell("ddtma-eq-3", "direction-holds"),
        ]
    )
    cells = decorate.decorated(notebook, 2).cells
    assert [cell.source[:4] for cell in cells] == [
        "# 2 ",
        "## A",
        "run.",
        "run.",
        "pass",
        "## B",
        "x",
        "## C",
        "run.",
        "pass",
    ]
    page = BeautifulSoup(cells[4].outputs[0].data["text/html"], "html.parser")
    assert "1 reproduced, 1 contradicted" in " ".join(page.find("summary").get_text().split())
    assert [link["href"] for link in page.select("tbody th a")] == ["#check-ddtma-eq-1", "#check-ddtma-eq-2"]
    assert "0.25 [0.2 to 0.3]" in page.get_text()
