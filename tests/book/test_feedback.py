"""Edit and report, where a repository is known; what a search finds in folded parts; where in a page the reader is."""

from __future__ import annotations

import json
import urllib.parse
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from press import browser, feedback

STATIC = Path(feedback.__file__).parents[1] / "static"
CELL = (
    '<div class="cell docutils container"><div class="cell_input"><div class="highlight-ipython3"><pre><span></span>'
    '<span class="n">x</span> <span class="o">&lt;</span> <span class="mi">{}</span>\n</pre></div></div></div>'
)
RESULT = {
    "chapter": "02_demo",
    "profile": "smoke",
    "seed": 4,
    "began": "2026-11-29T00:13:01",
    "environment": {"git": "997d7af", "versions": {"torch": "2.13.0", "numpy": "2.4.6"}},
}


@pytest.fixture
def site(tmp_path) -> Path:
    for name, body in {
        "notebooks/02_demo": CELL.format(1) + CELL.format(2),
        "book/work-demo": "",
        "book/ledger": '<details><summary>R</summary><p id="in">a <span class="highlighted">word</span></p></details>',
        "kit/deepfake_kit": "",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / f"{name}.html").write_text(
            "<!doctype html><html lang=en><meta charset=utf-8><script src=../_static/finding.js></script>"
            f'<main><article class="bd-article"><h1>T</h1>{body}</article></main></html>'
        )
    cells = [{"cell_type": "code", "id": f"c{k}-ab", "source": [f"x < {k}"]} for k in (1, 2)]
    (tmp_path / "_sources" / "notebooks").mkdir(parents=True)
    (tmp_path / "_sources" / "notebooks" / "02_demo.ipynb").write_text(json.dumps({"cells": cells}))
    (tmp_path / "_static").mkdir()
    (tmp_path / "_static" / "finding.js").write_text((STATIC / "finding.js").read_text(encoding="utf-8"))
    return tmp_path


def asked(address: str) -> str:
    return urllib.parse.parse_qs(urllib.parse.urlsplit(address).query)["body"][0]


def test_without_a_repository_nothing_is_offered(site):
    before = (site / "notebooks/02_demo.html").read_text()
    assert feedback.write(site, [RESULT], "") == [] and (site / "notebooks/02_demo.html").read_text() == before


def test_edit_leads_to_the_source_and_a_report_is_filled_in(site):
    pages = feedback.write(site, [RESULT], "https://example.org/b")
    assert pages == ["book/ledger.html", "book/work-demo.html", "notebooks/02_demo.html"]
    for page, source in zip(pages, ("book/ledger.md", "deepfake_kit/papers/demo.yml", "notebooks/02_demo.ipynb")):
        soup = BeautifulSoup((site / page).read_text(), "html.parser")
        edit, report = soup.select(".kit-feedback a")
        assert edit["href"] == f"https://example.org/b/edit/main/{source}"
        assert f"Page: {page}" in asked(report["href"]) and ("Profile" in asked(report["href"])) == ("02_demo" in page)
    said = asked(report["href"])
    assert "Profile: smoke, seed 4, run of 2026-11-29" in said and "torch 2.13.0, numpy 2.4.6" in said
    assert "997d7af" in said
    assert [cell["data-kit-cell"] for cell in soup.select(".cell")] == ["c1-ab", "c2-ab"]


def test_a_cell_that_the_notebook_does_not_hold_gets_no_id(site):
    text = (site / "notebooks/02_demo.html").read_text()
    assert "data-kit-cell" not in feedback.with_cells(text, {"cells": []})


def test_pointing_at_a_cell_reports_that_cell(site, chromium):
    feedback.write(site, [RESULT], "https://example.org/b")
    page = browser.new_page(chromium)
    try:
        page.goto((site / "notebooks/02_demo.html").as_uri())
        page.locator(".cell").nth(1).hover()
        link = page.locator("a.kit-report-cell")
        assert "Cell: c2-ab" in asked(link.get_attribute("href"))
        assert "Cell: the whole page" in asked(page.locator("a.kit-report").get_attribute("href"))
    finally:
        page.context.close()


def test_what_a_search_found_in_a_folded_part_is_unfolded(site, chromium):
    page = browser.new_page(chromium)
    try:
        page.goto((site / "book/ledger.html").as_uri())
        page.wait_for_selector("details[open]", timeout=3000)
        assert page.locator("#in").is_visible()
        path = site / "book/ledger.html"
        stub = (
            '<p style="height: 3000px"></p><div class="cell"><pre hidden><span class="highlighted">a</span></pre></div>'
        )
        text = path.read_text()
        path.write_text(text.replace("</article>", stub + "</article>"))
        page.reload()  # its words stand in the editor that took the stub's place, and in the solution
        page.wait_for_function("scrollY > 1000", timeout=3000)
        assert not page.locator("#in").is_visible(), "an exercise that was looked for opens its solution"
        path.write_text(text.replace('class="highlighted"', 'class="other"'))
        page.reload()
        page.wait_for_timeout(400)
        assert not page.locator("#in").is_visible(), "it opens without anything to show"
    finally:
        page.context.close()


def test_the_contents_mark_the_section_that_a_jump_leads_to(tmp_path, chromium):
    parts = "".join(f'<section id="s{k}"><h2>S{k}</h2><p style="height: 4000px"></p></section>' for k in range(5))
    links = "".join(f'<li><a href="#s{k}">S{k}</a></li>' for k in range(5))
    script = (STATIC / "book.js").read_text(encoding="utf-8")
    (tmp_path / "page.html").write_text(
        f"<!doctype html><html lang=en><meta charset=utf-8><nav id=pst-page-toc-nav><ul>{links}</ul></nav>"
        f"<main><article class=bd-article><p style='height: 4000px'></p>{parts}</article></main>"
        f"<script>{script}</script>"
    )
    page = browser.new_page(chromium)
    marked = "[...document.querySelectorAll('nav .active, nav [aria-current=true]')].map(x => x.textContent).join()"
    try:
        page.goto((tmp_path / "page.html").as_uri())
        for top, name in ((1500, ""), (13000, "S2,S2"), (21000, "S4,S4"), (2000, ""), (9000, "S1,S1")):
            page.evaluate(f"scrollTo(0, {top})")
            page.wait_for_timeout(300)
            page.wait_for_function(f"{marked} === '{name}'", timeout=3000)
    finally:
        page.context.close()
