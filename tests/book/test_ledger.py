"""The ledger as a reader sees it: every row, its symbols as formulas, its numbers beside its words."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from press import browser, decorate, ledger

from deepfake_kit.notebook import claims, marks
from deepfake_kit.notebook.page import METADATA_KEY


@pytest.fixture(scope="module")
def page() -> BeautifulSoup:
    return BeautifulSoup(ledger.table([]), "html.parser")


def test_every_claim_is_a_row_that_the_filters_can_find(page):
    rows = {row.details["id"].removeprefix("ledger-"): row for row in page.select("#ledger-list > li")}
    every = [claim for paper in claims.papers() for claim in claims.ledger(paper)[1]]
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
    head = page.find(id="ledger-hanyang-eq-cls").find("summary")
    assert head.select_one("span.math").get_text() == r"\(L_{cls}\)"
    names = page.find(id="ledger-dadfi-param-adam").select(".led-values dl dt")
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


def test_printed_values_stand_under_what_the_paper_states(page):
    row = page.find(id="ledger-ddtma-tab-2")
    assert "0.88" in [value.get_text() for value in row.select(".led-values dd dd")]
    assert not row.summary.select("dl"), "a row's line cannot hold a list"


def test_a_row_is_one_line_that_says_what_it_is_about(page):
    for row in page.select("#ledger-list > li"):
        line = row.summary
        assert not line.select("p, dl, br"), row.details["id"]
        assert len(line.select_one(".led-title").get_text()) <= 110, row.details["id"]
        assert line.select_one(".led-verdict").get_text().replace(" ", "-") == row["data-verdict"]
    assert "First derivative of Eq. " in ledger.gist(claims.find("ddtma-eq-18"))
    assert ledger.gist(claims.find("ddtma-eq-1")) == "One forward noising step keeps …"
    assert ledger.gist(claims.find("dadfi-fig-1")) == "The effect of the method on faces of CASIA-FaceV5 …"
    assert ledger.gist(claims.find("dadfi-eq-6")) == "Projected gradient step for model $i$"
    assert page.find(id="ledger-dadfi-eq-6").summary.select_one(".led-title > span .math")


def test_the_picture_has_a_tile_for_every_row(page):
    picture = page.select_one(".led-picture")
    for paper in claims.papers():
        for evidence in claims.EVIDENCE:
            rows = [row for row in claims.ledger(paper)[1] if row.evidence == evidence]
            cell = picture.select_one(f'[data-filter="paper={paper}&evidence={evidence}"]')
            assert (cell is None) == (not rows)
            if rows:
                tiles = [tile["class"][1].removeprefix("kit-") for tile in cell.select("i")]
                assert sorted(tiles) == sorted(row.verdict for row in rows)
                said = sum(int(number) for number in re.findall(r"(\d+) ", cell.select_one(".led-said").get_text()))
                assert said == len(rows), "a screen reader hears another number than the eye sees"


def test_the_files_hold_every_row(tmp_path):
    record = {"type": "claim", "id": "ddtma-eq-1", "value": 0.25, "interval": [0.2, 0.3], "verdict": "reproduced"}
    ledger.write(tmp_path, [{"chapter": "02_diffusion_math", "data": [], "records": [record]}])
    listed = json.loads((tmp_path / "ledger.json").read_text(encoding="utf-8"))
    table = list(csv.DictReader((tmp_path / "ledger.csv").open(encoding="utf-8", newline="")))
    every = [claim.id for paper in claims.papers() for claim in claims.load(paper)[1]]
    assert [row["id"] for row in listed] == [row["id"] for row in table] == every
    row = next(row for row in table if row["id"] == "ddtma-eq-1")
    assert row["here"] == "0.25" and row["interval"] == "[0.2, 0.3]" and row["states"].startswith("One forward")


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
        (dict(printed=0.3, evidence="arithmetic"), "0.3", "arithmetic of the print; read from an extracted text"),
        (dict(expected=0.0, evidence="re-derived", seen="page"), "0", "re-derived"),
        (
            dict(direction="> 0", evidence="small", size="9 devices"),
            "> 0",
            "replicated small (9 devices); read from an extracted text",
        ),
        (
            dict(printed=0.3, direction="> 7", verdict="direction-holds"),
            "0.3; direction: > 7",
            "re-derived; read from an extracted text",
        ),
    ],
)
def test_the_paper_is_given_only_what_it_prints(monkeypatch, about, stated, evidence):
    row = claims.Claim(id="demo-a", **{"verdict": "reproduced", **ROW, **about})
    monkeypatch.setattr(claims, "papers", lambda: ["demo"])
    monkeypatch.setattr(claims, "load", lambda _: ({"short": "Demo", "year": 2026}, (row,)))
    facts = BeautifulSoup(ledger.table([]), "html.parser").find(id="ledger-demo-a").select_one(".led-facts")
    said = {name.get_text(): name.find_next("dd").get_text() for name in facts("dt")}
    whose = "paper" if row.printed is not None else "if the statement held"
    assert said[whose] == stated and said["evidence"] == evidence
    assert ("paper" in said) == (row.printed is not None)


def test_raw_html_has_no_empty_line_that_would_end_it():
    first, _, second = ledger.table([]).partition("\n\n")
    assert first.startswith("<div") and second.startswith("<form") and "\n\n" not in second


@pytest.fixture
def shown(tmp_path, chromium):
    """The ledger alone on a page, with the book's own styles and script."""
    static = Path(ledger.__file__).parents[1] / "static"
    styles = "".join((static / name).read_text(encoding="utf-8") for name in ("book.css", "ledger.css"))
    text = (
        "<!doctype html><html lang=en data-theme=light><meta charset=utf-8><style>:root{--pst-color-text-base:#111;"
        "--pst-color-text-muted:#555;--pst-color-border:#ccc;--pst-color-surface:#eee;--pst-color-background:#fff;"
        f"--pst-color-primary:#06c}}{styles}</style><main class=bd-article>{ledger.table([])}</main>"
        f"<script>{(static / 'ledger.js').read_text(encoding='utf-8')}</script>"
    )
    (tmp_path / "ledger.html").write_text(text, encoding="utf-8")
    page = browser.new_page(chromium, width=1024)
    page.goto((tmp_path / "ledger.html").as_uri())
    yield page
    page.context.close()


def test_by_keyboard_the_ledger_is_searched_sorted_and_unfolded(shown):
    line = "#ledger-list > li:not([hidden]) summary"
    every = shown.locator(line).count()
    shown.keyboard.press("/")
    shown.keyboard.type("equilibrium")
    some = shown.locator(line).count()
    assert 0 < some < every and shown.locator("#ledger-count").inner_text() == f"{some} of {every} rows"
    assert "words=equilibrium" in shown.url
    shown.keyboard.press("ArrowDown")
    shown.keyboard.press("ArrowDown")
    shown.keyboard.press("Enter")
    opened = shown.locator("#ledger-list details[open]")
    assert opened.count() == 1 and opened.evaluate("x => x.closest('li').hidden") is False
    shown.keyboard.press("ArrowUp")
    shown.keyboard.press("ArrowUp")
    assert shown.evaluate("document.activeElement.id") == "filter-words"
    shown.select_option("#ledger-sort", "verdict")
    verdicts = [
        claims.VERDICTS.index(row.get_attribute("data-verdict")) for row in shown.locator("#ledger-list li").all()
    ]
    assert verdicts == sorted(verdicts)
    shown.locator(".led-cell").first.focus()
    shown.keyboard.press("Enter")
    assert shown.locator("#filter-paper").input_value() == claims.papers()[0]
    assert shown.evaluate("document.activeElement.matches('#ledger-list summary')")


def test_an_address_leads_to_a_row_or_to_a_choice(shown):
    address = shown.url.partition("#")[0]
    row = claims.load("ddtma")[1][-1].id
    shown.goto(f"{address}#verdict=contradicted&sort=kind")
    shown.reload()
    found = shown.locator("#ledger-list > li:not([hidden])")
    assert {one.get_attribute("data-verdict") for one in found.all()} == {"contradicted"}
    shown.goto(f"{address}#ledger-{row}")  # a row that the choice hides is shown all the same
    shown.wait_for_selector(f"#ledger-{row}[open]")
    assert shown.locator(f"#ledger-{row} .led-body").is_visible()


CUT = """() => [...document.querySelectorAll('.led-list summary, .led-list summary *, .led-picture *, .led-filter *')]
  .filter(x => !x.closest('.led-said') && x.getClientRects().length && getComputedStyle(x).clipPath === 'none')
  .filter(x => { const box = x.getBoundingClientRect();
    return box.right > innerWidth + 1 || box.left < -1 || x.scrollWidth > x.clientWidth + 2 && x.clientWidth > 0
      && !x.matches('select, input, button, i'); })
  .map(x => x.outerHTML.slice(0, 120))"""


@pytest.mark.parametrize("width", [1440, 1024, 768, 390])
def test_nothing_is_cut_off(shown, width):
    shown.set_viewport_size({"width": width, "height": 900})
    assert shown.evaluate(CUT) == [] and shown.evaluate(browser.TOO_WIDE) <= 1
    shown.evaluate(
        "document.querySelector('.led-title').style.cssText = 'overflow:hidden;white-space:nowrap;width:9rem'"
    )
    shown.evaluate("document.querySelector('.led-title').append('a long word'.repeat(9))")
    assert len(shown.evaluate(CUT)) >= 1, "a line that is cut off is not noticed"


def claim_cell(claim_id: str, verdict: str):
    record = {"type": "claim", "id": claim_id, "value": 0.25, "interval": [0.2, 0.3], "verdict": verdict}
    shown = marks.mark(f"check-{claim_id}", verdict, "✓", "a label", "said", "what was compared")
    mark = new_output("display_data", data={"text/html": shown}, metadata={METADATA_KEY: record})
    return new_code_cell("run.claim()", outputs=[mark])


def test_a_section_ends_with_one_table_of_its_claims():
    notebook = new_notebook(
        cells=[
            new_markdown_cell("# T"),
            new_markdown_cell("## A"),
            claim_cell("ddtma-eq-1", "reproduced"),
            claim_cell("ddtma-eq-2", "contradicted"),
            new_markdown_cell("The last of A.\n\n## B"),
            new_code_cell("x"),
            new_markdown_cell("## C"),
            claim_cell("ddtma-eq-3", "direction-holds"),
        ]
    )
    cells = decorate.decorated(notebook, 2).cells
    assert [cell.source.partition("\n")[0] for cell in cells[:1] + cells[2:]] == [
        "# 2 · T",
        "## A",
        "run.claim()",  # what follows each other shares one fold
        "The last of A.",
        "pass",
        "## B",
        "x",
        "## C",
        "run.claim()",
        "pass",
    ]
    page = BeautifulSoup(cells[5].outputs[0].data["text/html"], "html.parser")
    assert "1 × reproduced, 1 × contradicted" in " ".join(page.find("summary").get_text().split())
    assert [row.get("id") for row in page.select("tbody tr")] == ["check-ddtma-eq-1", "check-ddtma-eq-2"]
    assert "0.25 [0.2 to 0.3]" in page.get_text()
