"""The glossary: words that are explained, letters that mean one thing a chapter, previews without network."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup
from docutils import nodes
from docutils.core import publish_doctree
from press import browser, glossary, previews, terms

ROOT = Path(__file__).resolve().parents[2]
# The letters whose meaning changes from work to work, and what else may stand around them in a formula.
CHANGING = {
    r"\alpha": re.compile(r"(?<!\\bar)(?<!\\bar\{)(?<!\\bar\s)\\alpha(?![A-Za-z_])"),
    r"\epsilon": re.compile(r"(?<!\\hat)\\epsilon(?![A-Za-z_])"),
    "T": re.compile(r"(?<![\\A-Za-z^])T(?![A-Za-z])"),
    "C": re.compile(r"(?<![\\A-Za-z])(?<!\\hat )C(?![A-Za-z])"),
}


def formulas(cells) -> str:
    """All formulas of a chapter, in prose and in captions."""
    text = "\n".join(cell.source for cell in cells)
    text = re.sub(r"\\\\(?=[A-Za-z])", r"\\", text)  # a backslash in a string of Python
    return "\n".join(a or b for a, b in re.findall(r"\$\$(.+?)\$\$|\$([^$\n]+)\$", text, re.DOTALL))


def misplaced(meanings: dict[str, set[str]], chapters: dict[str, str]) -> list[str]:
    """Chapters in which a changing letter is used and not explained, or explained and not used."""
    return [
        f"{letter} in chapter {chapter}"
        for letter, pattern in CHANGING.items()
        for chapter, text in chapters.items()
        if bool(pattern.search(re.sub(r"\\(text|mathrm|operatorname)\{[^}]*\}", "", text)))
        != (chapter in meanings[letter])
    ]


def test_there_are_enough_words_and_letters():
    words, letters = glossary.load()
    assert len(words) >= 80 and len(letters) >= 50
    for word in words:
        assert 20 <= len(word.text) <= 260 and word.text.endswith("."), word.term


def test_changing_letters_mean_one_thing_a_chapter_and_the_table_says_which():
    meanings = {symbol.tex: set(symbol.means) for symbol in glossary.load()[1]}
    chapters = {
        path.name[:2]: formulas(nbformat.read(path, as_version=4).cells) for path in ROOT.glob("notebooks/*.ipynb")
    }
    assert misplaced(meanings, chapters) == []
    chapters["02"] += "\n C_i"
    chapters["10"] = chapters["10"].replace("T", "Q")
    assert misplaced(meanings, chapters) == ["T in chapter 10", "C in chapter 02"], "a letter is not noticed"


def test_the_table_shows_every_meaning():
    page = BeautifulSoup(glossary.notation([]), "html.parser")
    rows = page.select("tbody tr")
    assert [row.th.get_text() for row in rows] == [rf"\({symbol.tex}\)" for symbol in glossary.load()[1]]
    epsilon = next(row for row in rows if row.th.get_text() == r"\(\epsilon\)")
    assert len(epsilon.select("li")) == 2 and "chapter 10" in epsilon.get_text()


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("- term: Adam\n", "- term: attention\n", "the spelling 'attention' stands twice"),
        ("also: [clients]", "also: [detectors]", "the spelling 'detectors' stands twice"),
        ("tex: 'v'", "tex: 'w'", "the letter 'w' stands twice"),
    ],
)
def test_a_word_that_stands_twice_is_refused(tmp_path, old, new, words):
    text = glossary.FILE.read_text(encoding="utf-8")
    assert old in text
    (tmp_path / "glossary.yml").write_text(text.replace(old, new), encoding="utf-8")
    with pytest.raises(ValueError, match=words):
        glossary.load(tmp_path / "glossary.yml")


PAGE = """
Title with a GAN
================

A GAN and another GAN, no gang, with ``a U-Net``, `a diffusion model`_ and a diffusion
model in words. Deepfakes, DDIM but ddim.

.. _a diffusion model: elsewhere.html

Sources
-------

A Paper on Blockchain.
"""


def test_the_first_use_in_running_text_is_linked():
    document = publish_doctree(PAGE)
    assert terms.link(document, "glossary.html") == ["term-gan", "term-diffusion-model", "term-deepfake", "term-ddim"]
    links = [link for link in document.findall(nodes.reference) if "book-term" in link["classes"]]
    assert [link.astext() for link in links] == ["GAN", "diffusion\nmodel", "Deepfakes", "DDIM"]
    assert document.astext().replace("\n", " ").count("GAN") == 3, "the text itself changed"
    assert links[0]["refuri"] == "glossary.html#term-gan"


def test_a_word_with_two_meanings_is_linked_where_it_has_the_glossary_s():
    text = "A federated round; the other way round."
    linked = {page: terms.link(publish_doctree(text), "x", page) for page in ("notebooks/06_x", "notebooks/08_x", "")}
    assert linked == {"notebooks/06_x": ["term-round"], "notebooks/08_x": [], "": []}
    chapters = {symbol for row in glossary.load()[1] for symbol in row.means}
    assert {two for term in glossary.load()[0] for two in term.only} <= chapters


def test_every_spelling_finds_its_word():
    for word in glossary.load()[0]:
        for name in (word.term, *word.also):
            found = glossary.find(f"see {name}, and")
            assert [(start, end, one.term) for start, end, one in found] == [(4, 4 + len(name), word.term)], name


SITE = {
    "notebooks/02_demo.html": '<p><a class="book-term" href="../book/glossary.html#term-gan">GAN</a>, '
    '<a href="#eq">(1)</a>, <a href="../book/references.html#good">Good</a>, <a href="01_other.html#fig-01-a">Fig.</a>'
    ', <a href="#tab">Table</a>, <a href="01_other.html#tab-01-b">another</a></p><div class="cell_output"><div><div '
    'class="kit-scroll" id="tab"></div></div><div><p class="kit-caption">Ten rows.</p></div></div><p>'
    '</p><div class="math notranslate nohighlight" id="eq"><span class="eqno">(1)</span>\\[a=b\\]</div>',
    "notebooks/01_other.html": '<figure id="fig-01-a"><img src="../_images/a.png" alt="x"><figcaption><p>It <i>falls'
    '</i>.<a class="headerlink" href="#fig-01-a">#</a></p></figcaption></figure><div class="cell_output"><div '
    'id="tab-01-b"></div><p class="kit-caption">Two rows.</p></div><div class="cell_output"><div '
    'id="tab-01-c"></div></div>',
    "book/glossary.html": '<dl><dt id="term-gan">GAN</dt><dd>Two networks. <a href="../notebooks/01_other.html">'
    "chapter 1</a></dd></dl>",
    "book/references.html": '<div class="citation" id="good"><span>[1]</span><p>A. Good. <em>T</em>.</p></div>',
}


@pytest.fixture
def site(tmp_path) -> Path:
    """A page with a link of each kind, the rest of its site, and the book's own script."""
    script = (Path(glossary.FILE).parent / "static" / "finding.js").read_text(encoding="utf-8")
    for folder in ("_static", "_images"):
        (tmp_path / folder).mkdir()
    (tmp_path / "_static" / "finding.js").write_text(script, encoding="utf-8")
    (tmp_path / "_images" / "a.png").write_bytes(b"")
    for name, body in SITE.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(
            f'<!doctype html><html lang=en><meta charset=utf-8><script src="../_static/finding.js"></script>'
            f'<main><article class="bd-article">{body}</article></main>'
        )
    return tmp_path


def test_a_link_to_another_page_has_its_preview(site):
    assert previews.write(site) == {
        "book/glossary.html#term-gan": "<p><b>GAN</b> Two networks.</p>",
        "book/references.html#good": "<p>A. Good. <em>T</em>.</p>",
        "notebooks/01_other.html#fig-01-a": '<img src="_images/a.png" alt=""><p>It <i>falls</i>.</p>',
        "notebooks/01_other.html#tab-01-b": "<p>Two rows.</p>",
    }


def test_previews_are_shown_by_keyboard_and_pointer_from_the_disk(site, chromium):
    previews.write(site)
    page = browser.new_page(chromium)
    try:
        page.goto((site / "notebooks/02_demo.html").as_uri())
        box = page.locator("#kit-preview")
        for expected in ("Two networks", "a=b", "A. Good", "It falls", "Ten rows", "Two rows"):
            page.keyboard.press("Tab")
            page.wait_for_function(
                "words => (document.getElementById('kit-preview') || document.body).textContent.includes(words)"
                " && document.activeElement.getAttribute('aria-describedby') === 'kit-preview'",
                arg=expected,
                timeout=5000,
            )
            assert box.is_visible() and box.get_attribute("role") == "tooltip"
            if expected == "It falls":
                assert page.evaluate("document.querySelector('#kit-preview img').src").endswith("/_images/a.png")
        page.keyboard.press("Escape")
        assert not box.is_visible() and page.locator("[aria-describedby]").count() == 0
        page.locator("a.book-term").hover()
        page.wait_for_selector("#kit-preview:visible")
        assert "Two networks" in box.inner_text()
    finally:
        page.context.close()
