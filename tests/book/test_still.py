"""Formulas on a page whose scripts do not run."""

from __future__ import annotations

import pytest
from press import assets, browser, pages, still

BODY = (
    '<p>Where <span class="math notranslate nohighlight">\\(x_i &lt; 2\\)</span>, so.</p>'
    '<div class="math notranslate nohighlight" id="equation-eq-2-1">\n<span class="eqno">(2.1)</span>\\['
    "\\mathbb{E}\\left[\\lVert x\\rVert^2\\right] = \\begin{cases}1 &amp; a\\\\[2pt] 2 &amp; b\\end{cases}\\]</div>"
)
SUM = " + ".join(["y_1"] * 40)
WIDE = f'<div class="math notranslate nohighlight"><span class="eqno">(2.2)</span>\\[x = {SUM}\\]</div>'
THEME = "<style>div.math { display: flex; flex-direction: row-reverse; }</style>"  # as the theme has it
PAGE = (
    "<!doctype html><html lang=en><head><meta charset=utf-8><title>t</title><script defer "
    "src=_static/mathjax/tex-mml-chtml.js></script></head><body><article>{}</article></body></html>"
)
STYLES = ("book.css", "page.css")
SEEN = """() => ({text: document.body.innerText,
  drawn: Array.from(document.querySelectorAll('math')).filter(one => !one.closest('mjx-container')).length})"""


@pytest.fixture(scope="module")
def site(tmp_path_factory, third_party):
    folder = tmp_path_factory.mktemp("still")
    assets.copy(folder, third_party)
    folder = (folder / "_extra").rename(folder / "html")
    (folder / "index.html").write_text(PAGE.format(BODY))
    styles = "".join(f"<style>{(folder.parent / 'static' / name).read_text()}</style>" for name in STYLES)
    wide = styles + THEME + WIDE
    (folder / "wide.html").write_text(PAGE.format(wide).replace("<article>", "<article class=bd-article>"))
    assert still.write(folder, third_party) == 3
    return folder


@pytest.mark.parametrize("scripts", [False, True])
def test_each_formula_shows_once(site, chromium, scripts):
    context = chromium.new_context(java_script_enabled=scripts)
    page = context.new_page()
    page.goto((site / "index.html").as_uri(), wait_until="load")
    if scripts:
        page.evaluate("() => MathJax.startup.promise")
    seen = page.evaluate(SEEN)
    context.close()
    assert seen["drawn"] == (0 if scripts else 2)
    assert "\\" not in seen["text"] and seen["text"].count("(2.1)") == 1
    if not scripts:
        assert "Where" in seen["text"] and "𝔼" in seen["text"] and seen["text"].count("𝑥") == 2


@pytest.mark.parametrize("scripts", [False, True])
def test_a_wide_formula_scrolls_from_its_first_letter(site, chromium, scripts):
    context = chromium.new_context(java_script_enabled=scripts, viewport={"width": 390, "height": 800})
    page = context.new_page()
    page.goto((site / "wide.html").as_uri(), wait_until="load")
    if scripts:
        page.evaluate("() => MathJax.startup.promise")
    start, edge = page.evaluate("""() => [document.querySelector('mjx-math, noscript > math'),
      document.querySelector('div.math')].map(node => node.getBoundingClientRect().left)""")
    too_wide = page.evaluate(browser.TOO_WIDE)
    context.close()
    assert start >= edge and too_wide <= 0


LONG = " + ".join(rf"\frac{{y_{{{k}}}}}{{2}}" for k in range(18))  # breaks
ROOT = rf"\sqrt{{{LONG}}}"  # has no place to break
INLINE = "span.math { display: inline-flex; align-items: baseline; max-width: 100%; overflow: hidden; }"  # the theme's


@pytest.mark.parametrize(
    ("tex", "kind"),
    [(LONG, "folds"), (rf"\left({LONG}\right)", "folds"), (ROOT, "scrolls"), (f"x = {ROOT}", "scrolls"), ("x = y", "")],
)
def test_a_long_formula_in_a_sentence_goes_on_in_the_next_line_or_scrolls(site, chromium, tex, kind):
    """With the theme's style alone it is cut off; one whose parts are too wide to fold looks as it did before."""
    styles = "".join((site.parent / "static" / name).read_text() for name in (*STYLES, "exercise.css"))
    script = (site.parent / "static" / "book.js").read_text()
    formula = rf'<p>It is <span class="math notranslate nohighlight">\({tex}\)</span>, as said.</p>'
    seen = {}
    for name, dressed in (("theme", ""), ("book", f"<style>{styles}</style><script>{script}</script>")):
        page = chromium.new_page(viewport={"width": 390, "height": 800})
        text = PAGE.format(f"<style>{INLINE}</style>{dressed}{formula}").replace(
            "<article>", "<article class=bd-article>"
        )
        (site / "inline.html").write_text(text)
        page.goto((site / "inline.html").as_uri(), wait_until="load")
        page.evaluate("() => MathJax.startup.promise")
        page.wait_for_timeout(100)
        seen[name] = page.evaluate("""() => {
          const box = document.querySelector('span.math'), edge = box.closest('p').getBoundingClientRect().right + 1;
          return {folds: box.matches('.kit-folds'), reached: box.tabIndex === 0, style: getComputedStyle(box).overflowX,
            beyond: Array.from(box.querySelectorAll('mjx-mi')).some(one => one.getBoundingClientRect().right > edge),
            rows: getComputedStyle(box.querySelector('mjx-math')).display};
        }""")
        page.close()
    (site / "inline.html").unlink()
    shown = {name: look.pop("rows") for name, look in seen.items()}
    assert shown["theme"] == "inline-block"
    assert shown["book"] == ("inline" if kind == "folds" else "inline-block")
    assert seen["theme"] == {"folds": False, "reached": False, "style": "hidden", "beyond": kind != ""}
    style = "visible" if kind == "folds" else "auto"
    scrolls = kind == "scrolls"
    assert seen["book"] == {"folds": kind == "folds", "reached": scrolls, "style": style, "beyond": scrolls}


LINE = " + ".join([r"\frac{y}{2}"] * 4)
SHOWN = {  # how far it folds, and how many signs its lines have
    "words": (r"x=\sqrt{1-y}\,z,\qquad z\sim\mathcal N(0,I),\quad y=1-w-z-x", "kit-folds", [2, 5, 4]),
    "brackets": (
        rf"\mathbb E\,\big\lVert f(x|y)+{LINE}\big\rVert^2=\mathbb E\,\lVert x-y+z\rVert^2+1",
        "kit-folds",
        [9, 6],
    ),
    "inside": (rf"f\Big({LINE}+{LINE}+{LINE}\Big)", "kit-folds kit-far", [9, 4]),
    "lines": (rf"\begin{{aligned}}x_1&=y+{LINE}+{LINE}+z+w,\\x&=y+z\end{{aligned}}", "kit-folds", [9, 3, 2]),
    "smaller": (rf"\sqrt{{{LINE}+{LINE}+y+z}}", "kit-folds kit-far kit-small", []),
    "root": (ROOT, "", []),
    "short": ("x = y", "", [1]),
}


@pytest.mark.parametrize("kind", SHOWN)
def test_a_wide_displayed_formula_goes_on_below_and_unfolds_where_there_is_room(site, chromium, kind):
    """At a wide space or before a relation, within brackets only where it must; what no break helps scrolls."""
    tex, ways, lines = SHOWN[kind]
    styles = "".join((site.parent / "static" / name).read_text() for name in STYLES)
    script = (site.parent / "static" / "book.js").read_text()
    box = f'<div class="math notranslate nohighlight"><span class="eqno">(2.2)</span>\\[{tex}\\]</div>'
    text = PAGE.format(f"{THEME}<style>{styles}</style><script>{script}</script>{box}")
    (site / "shown.html").write_text(text.replace("<article>", "<article class=bd-article>"))
    page = chromium.new_page(viewport={"width": 390, "height": 800})
    page.goto((site / "shown.html").as_uri(), wait_until="load")
    page.evaluate("() => MathJax.startup.promise")
    page.wait_for_timeout(150)
    seen = """() => {
      const box = document.querySelector('div.math'), shown = box.querySelector('mjx-container');
      const tops = [...box.querySelectorAll('mjx-math mjx-mo')].filter(one => !one.closest('mjx-sqrt'))
        .map(one => one.getBoundingClientRect()).map(one => (one.top + one.bottom) / 2).sort((a, b) => a - b);
      return {ways: ['kit-folds', 'kit-far', 'kit-small'].filter(name => box.matches('.' + name)).join(' '),
        lines: tops.reduce((all, top, k) => {
          if (k && top < tops[k - 1] + 16) all[all.length - 1]++; else all.push(1);
          return all; }, []),
        scrolls: shown.scrollWidth > shown.clientWidth + 1};
    }"""
    narrow = page.evaluate(seen)
    page.set_viewport_size({"width": 3000, "height": 800})
    page.wait_for_timeout(150)
    wide = page.evaluate(seen)
    page.close()
    (site / "shown.html").unlink()
    assert narrow == {"ways": ways, "lines": lines, "scrolls": kind == "root"}
    assert (
        wide["ways"] == ""
        and len(wide["lines"]) == {"lines": 2, "root": 0, "smaller": 0}.get(kind, 1)
        and not wide["scrolls"]
    )


def test_who_reads_a_page_sees_each_formula_once_and_again_changes_nothing(site, third_party):
    assert pages.parse(site, "index.html").find("math") is None
    before = (site / "index.html").read_text()
    assert still.write(site, third_party) == 0 and (site / "index.html").read_text() == before


def test_what_node_says_is_passed_on(tmp_path):
    with pytest.raises(assets.AssetError, match="formulas as MathML failed"):
        still.mathml([("x", False)], tmp_path)
