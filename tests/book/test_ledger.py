"""The ledger as a reader sees it: every row, its symbols as formulas, its numbers beside its words."""

from __future__ import annotations

import re

import pytest
from bs4 import BeautifulSoup
from press import ledger

from deepfake_kit.notebook import claims


@pytest.fixture(scope="module")
def page() -> BeautifulSoup:
    return BeautifulSoup(ledger.table([]), "html.parser")


def test_every_claim_is_a_row_that_the_filters_can_find(page):
    rows = {row["id"].removeprefix("ledger-"): row for row in page.select("#ledger-rows tr")}
    every = [claim for paper in claims.papers() for claim in claims.load(paper)[1]]
    assert set(rows) == {claim.id for claim in every}
    offered = {
        name: {option["value"] for option in page.select(f"#filter-{name} option")} - {""}
        for name in ("paper", "kind", "finding", "verdict")
    }
    for claim in every:
        row = rows[claim.id]
        stated = (claim.kind, claim.finding, claim.verdict)
        assert (row["data-kind"], row["data-finding"], row["data-verdict"]) == stated
        for name, values in offered.items():
            assert row[f"data-{name}"] in values


def test_symbols_are_formulas_in_labels_and_names_of_values(page):
    head = page.find(id="ledger-hanyang-eq-cls").find("th")
    assert head.select_one("span.math").get_text() == r"\(L_{cls}\)"
    names = page.find(id="ledger-dadfi-param-adam").select("dt")
    assert [name.get_text() for name in names] == [r"\(\alpha_1\)", r"\(\alpha_2\)", r"\(\tau\)"]


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
    lines = [line.strip("| ").replace("*", "").split(" | ") for line in ledger.totals([]).splitlines()[2:]]
    *papers, total = [[int(number) for number in line[1:]] for line in lines]
    assert [sum(column) for column in zip(*papers)] == total
    for row in [*papers, total]:
        assert row[0] == sum(row[3:]), "each row has one verdict"
