"""A chapter's page as its reader meets it: what stands first, how much is code, what opens, what fits."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from press import browser
from press.pages import article, html_pages, parse


@pytest.fixture(scope="module")
def results(site) -> list:
    return json.loads((site / "results.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def chapters(site) -> list[str]:
    """The pages of the chapters that open as an article: those that say what was found."""
    named = [name for name in html_pages(site) if parse(site, name).select(".kit-findings")]
    assert named, "no chapter says what was found"
    return named


@pytest.fixture(scope="module")
def base(site):
    with browser.serve(site) as address:
        yield address


@pytest.fixture
def page(chromium):
    opened = browser.new_page(chromium)
    yield opened
    opened.context.close()


def test_it_opens_with_question_answer_findings_and_facts(site, chapters, results):
    times = {f"notebooks/{result['chapter']}.html": result["seconds"] for result in results}
    for name in chapters:
        soup = article(parse(site, name))
        order = [".kit-question", "figure[id^=hero-]", ".kit-answer", ".kit-findings", ".kit-facts", "h2"]
        places = [str(soup).index(str(soup.select_one(selector))) for selector in order]
        assert places == sorted(places), name
        items = soup.select(".kit-findings li")
        assert len(items) == 3 and sum(bool(re.search(r"\d", item.get_text())) for item in items) >= 2, name
        assert soup.select_one(".kit-answer").get_text(strip=True), f"{name}: no answer"
        assert soup.select_one("figure[id^=hero-] figcaption").get_text(strip=True), (
            f"{name}: what does the figure show?"
        )
        facts = soup.select_one(".kit-facts").get_text()
        seconds = times[name]
        assert (f"{seconds:.0f} seconds" if seconds < 90 else f"{seconds / 60:.1f} minutes") in facts, name


def test_figures_tables_and_equations_are_numbered_by_chapter(site, chapters):
    for name in chapters:
        soup, number = article(parse(site, name)), int(re.search(r"/(\d\d)_", name)[1])
        heads = [tag.get_text() for tag in soup.select(".caption-number, figure:not([id^=hero-]) figcaption strong")]
        for kind in ("Fig.", "Table"):
            told = [head for head in heads if head.startswith(f"{kind} ")]
            assert told == [f"{kind} {number}.{k + 1}" for k in range(len(told))] and told, name
        told = [tag.get_text().strip() for tag in soup.select(".eqno")]
        assert told == [f"({number}.{k + 1})" for k in range(len(told))], name


def test_all_code_opens_with_one_button_and_stays_so(chapters, base, page):
    browser.go(page, base + chapters[0])
    button, folds = page.locator("#kit-code"), page.locator("div.cell details.hide")
    solutions = page.locator("div.cell details.hide", has_text="Solution ·").count()
    button.click()
    assert page.locator("div.cell details.hide[open]").count() == folds.count() - solutions > 0
    browser.go(page, base + chapters[-1])
    assert page.locator("div.cell details.hide[open]").count() > 0, "the next page has forgotten it"
    page.locator("#kit-code").click()
    browser.go(page, base + chapters[0])
    assert page.locator("div.cell details.hide[open]").count() == 0
    folds.first.locator("> summary").click()
    browser.go(page, base + chapters[0])
    assert page.locator("div.cell details.hide[open]").count() == 1, "a cell's own state is forgotten"


def note(page, place: int):
    return page.locator(".kit-mark").nth(place).locator(".kit-note")


def test_a_mark_opens_by_focus_by_click_and_by_enter_and_closes(chapters, base, page):
    browser.go(page, base + chapters[0])
    button = page.locator(".kit-mark > button").first
    assert not note(page, 0).is_visible()
    button.focus()
    assert note(page, 0).is_visible() and note(page, 0).inner_text().strip()
    page.keyboard.press("Escape")
    assert not note(page, 0).is_visible()
    button.click()
    assert note(page, 0).is_visible()
    button.click()
    assert not note(page, 0).is_visible()
    button.focus()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert note(page, 0).is_visible(), "Enter keeps it open"


def test_no_more_than_two_marks_stand_in_a_row(site, chapters):
    for name in chapters:
        text = re.sub(r'<span class="kit-note".*?</span></span>', "", str(article(parse(site, name))), flags=re.DOTALL)
        text = re.sub(r'<span class="kit-mark[^>]*><button[^>]*>.</button>', "◦", text)
        text = re.sub(r"<[^>]+>|[\s,;·.]", "", text)
        assert max((len(row) for row in re.findall("◦+", text)), default=0) <= 2, name


@pytest.mark.parametrize(("width", "beside"), [(1440, True), (browser.PHONE, False)])
def test_a_note_stands_in_the_margin_or_on_a_phone_below_its_line(chapters, base, chromium, width, beside):
    opened = browser.new_page(chromium, width=width)
    try:
        browser.go(opened, base + chapters[0])
        button = opened.locator("article p:not(.kit-marks) .kit-mark > button").first
        button.focus()
        box, line = button.locator("xpath=../span").bounding_box(), button.bounding_box()
        assert (box["x"] > line["x"] + line["width"]) == beside
        assert box["x"] >= 0 and box["x"] + box["width"] <= width
        assert opened.evaluate(browser.TOO_WIDE) <= 1
    finally:
        opened.context.close()


@pytest.mark.parametrize(("width", "beside"), [(1440, True), (browser.PHONE, False)])
def test_a_side_note_stands_in_the_margin_or_on_a_phone_in_line(site, chapters, base, chromium, width, beside):
    name = next(name for name in chapters if parse(site, name).select_one("article p + blockquote.kit-side"))
    opened = browser.new_page(chromium, width=width)
    try:
        browser.go(opened, base + name)
        notes, wide = opened.locator("article p + blockquote.kit-side"), "article :is(figure, div.cell_input, table)"
        for note in notes.all():
            box, above = note.bounding_box(), note.locator("xpath=preceding-sibling::p[1]").bounding_box()
            assert (box["x"] >= above["x"] + above["width"]) == beside
            assert (box["y"] >= above["y"] + above["height"]) != beside
            assert box["x"] >= 0 and box["x"] + box["width"] <= width
            covered = opened.locator(wide).evaluate_all(
                "(parts, b) => parts.filter(p => p.checkVisibility()).map(p => p.getBoundingClientRect()).filter(r =>"
                " r.left < b.x + b.width"
                " && b.x < r.right && r.top + scrollY < b.y + b.height - 1 && b.y + 1 < r.bottom + scrollY).length",
                {**box, "y": box["y"] + opened.evaluate("scrollY")},
            )
            assert not covered, note.inner_text()
    finally:
        opened.context.close()


def test_the_books_own_fonts_are_loaded(chapters, base, page):
    browser.go(page, base + chapters[0])
    loaded = page.evaluate("() => [...document.fonts].filter(f => f.status === 'loaded').map(f => f.family)")
    assert {"Source Serif 4", "Source Sans 3"} <= {family.strip("\"'") for family in loaded}


def test_it_reads_without_a_script(chapters, base, chromium):
    context = chromium.new_context(java_script_enabled=False, viewport={"width": 1280, "height": 900})
    try:
        opened = context.new_page()
        opened.goto(base + chapters[0])
        assert opened.locator("figure[id^=hero-] img:visible").count() >= 1
        fold = opened.locator("div.cell details.hide").first
        fold.locator("> summary").click()
        assert fold.locator("pre").first.is_visible()
        opened.locator(".kit-mark > button").first.focus()
        assert opened.locator(".kit-mark .kit-note").first.is_visible()
    finally:
        context.close()


def test_the_home_page_shows_a_picture_findings_cards_and_doors(site, results):
    soup = article(parse(site, "book/index.html"))
    assert soup.select_one(".kit-hero img")
    found = soup.select(".kit-found li")
    assert len(found) == 5 and all(re.search(r"\d", item.get_text()) for item in found)
    assert all(item.select_one(".kit-asked") for item in [*found, soup.select_one(".kit-hero")]), "an answer alone"
    cards = soup.select(".kit-cards > li")
    assert len(cards) == len(results) and all(card.img and card.a for card in cards)
    assert len(soup.select(".kit-doors li")) == 3


@pytest.mark.parametrize(("theme", "shown"), [("", "only-light"), ("light", "only-light"), ("dark", "only-dark")])
def test_each_figure_shows_once_also_without_scripts(chromium, tmp_path, theme, shown):
    style = Path(__file__).resolve().parents[2] / "book" / "static" / "page.css"
    pictures = "".join(
        f'<img class="{kind}" style="width: 9px; height: 9px" src="data:image/gif;base64,R0lGODlhAQABAAAAACw=">'
        for kind in ("only-light", "only-dark")
    )
    page = f'<html data-theme="{theme}"><style>{style.read_text()}</style><div class="bd-article">{pictures}</div>'
    (tmp_path / "page.html").write_text(page if theme else page.replace(' data-theme=""', ""))
    context = chromium.new_context(java_script_enabled=False)
    try:
        opened = context.new_page()
        opened.goto((tmp_path / "page.html").as_uri())
        seen = [kind for kind in ("only-light", "only-dark") if opened.locator(f"img.{kind}").is_visible()]
        assert seen == [shown]
    finally:
        context.close()
