"""How a notebook becomes an article: what is lifted, what is folded, where marks and numbers go. No browser."""

from __future__ import annotations

import io
import re

import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output
from PIL import Image
from press import decorate, margin, mend, night, opening, typeset

from deepfake_kit.notebook import marks
from deepfake_kit.notebook.page import METADATA_KEY
from deepfake_kit.notebook.run import NIGHT_KEY

PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="


def shown(record: dict, data: dict, **metadata):
    return new_output("display_data", data=data, metadata={METADATA_KEY: {"chapter": "07_x", **record}, **metadata})


def figure():
    about = {"type": "figure", "id": "curve", "number": "Fig. 7.1", "alt": "A curve.", "caption": "It rises."}
    return shown(about, {"image/png": PIXEL}, **{NIGHT_KEY: "bmlnaHQ="})


def check(id: str):
    box = marks.mark(f"check-07-{id}", "verified", "✓", id, "checked", "checked: $a=b$ (residual 0)")
    return shown({"type": "check", "id": id, "how": "by hand", "value": 0.0, "tolerance": 0.0}, {"text/html": box})


def said(text: str):
    return shown({"type": "sentence", "id": "s", "text": text}, {"text/markdown": text})


def chapter(text: str = "It holds [◦](#check-07-one)."):
    def code(source, *outputs, tags=()):
        return new_code_cell(source, outputs=list(outputs), metadata={"tags": list(tags)} if tags else {})

    return new_notebook(
        cells=[
            new_markdown_cell("# Title\n\n*What is asked?*\n\nThe lead."),
            new_markdown_cell("**After**\n\n- this\n\n**Prerequisites.** None.\n\n**Time.** About 5 minutes to read."),
            code("import torch"),
            code("run = start()"),
            new_markdown_cell(f"## A\n\n{text}\n\n$$a=b$$\n\nSee [Fig. ](#fig-07-curve)."),
            code("helper = 1", check("one"), check("two")),
            code("def told(): ..."),
            code("plot()", figure(), tags=["hero"]),
            code("secret = 2"),
            code("run.say()", said("So it is, 1 time.\n\n- a 1\n- b 2\n- c 3"), tags=["found", "remove-input"]),
            new_markdown_cell("## End\n\nBye."),
        ],
        metadata={METADATA_KEY: {"seconds": 12.0}},
    )


def dressed(**given):
    return decorate.decorated(chapter(**given), 7, shown=("told",), name="07_x").cells


def test_question_figure_answer_and_findings_come_first_and_once():
    cells = dressed()
    words = [cell.source for cell in cells]
    assert words[0] == "# 7 · Title" and "What is asked?" in words[1]
    assert cells[2].metadata["mystnb"]["figure"] == {"name": "hero-07", "caption": "It rises."}
    assert "kit-answer\nSo it is, 1 time." in words[3] and "- c 3" in words[4] and words[6] == "The lead."
    assert "About 5 minutes" in words[5] and "12 seconds" in words[5]
    assert sum("b 2" in decorate._text(cell) for cell in cells) == 1, "the findings stand twice"
    assert not any("**Time.**" in word for word in words)


def test_code_is_folded_but_for_what_the_chapter_shows():
    cells = [cell for cell in dressed() if cell.cell_type == "code" and cell.source != "pass"]
    folded = {cell.source for cell in cells if "hide-input" in cell.metadata.get("tags", [])}
    assert folded == {"import torch\n\n\nrun = start()", "helper = 1", "plot()", "secret = 2"}
    assert [cell.source for cell in cells if not cell.metadata.get("tags")] == ["def told(): ..."]
    labels = [cell.metadata["mystnb"]["code_prompt_show"] for cell in cells if "mystnb" in cell.metadata]
    assert labels[0].startswith("Set-up") and "Code of Fig. 7.1 · 1 line" in labels


def test_a_mark_stands_where_the_text_asks_and_else_in_the_table():
    cells = dressed()
    text = next(cell.source for cell in cells if cell.source.startswith("## A"))
    assert '<a class="kit-mark" href="#check-07-one">◦</a>' in text and "$$a=b$$ (eq-7-1)" in text
    assert '<a class="kit-ref" href="#fig-07-curve">Fig. 7.1</a>' in text
    table = next(c.outputs[0].data["text/html"] for c in cells if c.cell_type == "code" and "-claims" in c.id)
    assert 'id="check-07-two"' in table and 'id="check-07-one"' not in table and "2&nbsp;×&nbsp;checked" in table


def test_a_number_that_a_run_says_is_not_broken_at_its_exponent():
    notebook = chapter()
    notebook.cells[-2].outputs = [said("It moves by 3e-07, well-known.\n\n- a 1\n- b 2\n- c 3")]
    words = "".join(cell.source for cell in decorate.decorated(notebook, 7, name="07_x").cells)
    assert "3e-\u206007, well-known" in words


def test_an_equation_of_the_chapter_is_a_link_and_a_work_s_is_none():
    text = "\n".join(cell.source for cell in dressed(text="By Eq. (7.1) it does, as Eq. (2.1) of the thesis says."))
    assert 'By <a class="kit-ref" href="#equation-eq-7-1">Eq. (7.1)</a> it does, as Eq. (2.1) of' in text


SET = {
    "<td>-0.05</td><td>-</td><td>6.05 · 10<sup>−5</sup></td>": "<td>−0.05</td><td>–</td><td>6.05·10<sup>−5</sup></td>",
    "by 3e-\u206007 (-1.0e+00 to 5 %),\n95\n% of": "by 3·10⁻⁷ (−1.0 to 5%),\n95% of",
    "<td>1.08 · 10<sup>3</sup></td>": "<td>1080</td>",
    "35 ± 179 of 4 x 4": "35\u00a0±\u00a0179 of 4\u00a0×\u00a04",
}
LEFT = (
    "2026-11-30, 3-5, x-1, e-3, in % of",
    "<code>1e-5 - 5 %</code><pre>-1e-07</pre><script>-1e-07 %</script>",
    r'<span class="math">\(-1e-07 \cdot 5 %\)</span><img alt="-0.05 to 3e-07" width="5 %">',
)


def test_numbers_of_a_page_are_set_and_code_and_formulas_left_alone():
    for text, expected in [*SET.items(), *((text, text) for text in LEFT)]:
        page = typeset.page(f"-1 {'<p>'}<article>{text}</article>-1")
        assert page == f"-1 <p><article>{expected}</article>-1" and typeset.page(page) == page, text
    assert typeset.page("<p>-1e-07</p>") == "<p>-1e-07</p>", "what is no article"


@pytest.mark.parametrize(
    ("anchor", "whole"), [("tab-07-areas", True), ("kept-07-areas-table", True), ("tab-07-settings", False)]
)
def test_a_measured_column_keeps_its_last_zeros(anchor, whole):
    """What a work printed, whole counts, a column of unlike things and the settings stay as they are."""
    areas = pd.DataFrame(
        {
            "AUC": [0.97, 0.8512, 1.0, 0.0, 0.9113],
            "thesis": [0.9, 0.85, 0.8, 0.75, 0.7],
            "images": [5, 12, 7, 8, 10_000],
            "steps, loss": [39.62, 0.9, 0.06, 2, 3.1],
            "MAC": [813_100.0, 1.027e6, 562_200.0, 5.0e5, 2.25e6],
            "said": ["0.9", "<b>0.91</b>", "0.912 (0.9 to 1)", "", "–"],
        },
        index=["a", "b", "c", "d", "e"],
    )
    html = f"<article>{marks.table(areas, anchor, 'areas', 4)}</article>"
    shown = typeset.page(html)
    assert typeset.page(shown) == shown
    rows = [[cell.get_text() for cell in row("td")] for row in BeautifulSoup(shown, "html.parser").select("tbody tr")]
    read = dict(zip(areas.columns, zip(*rows, strict=True), strict=True))
    assert list(read["AUC"]) == (
        ["0.9700", "0.8512", "1.000", "0", "0.9113"] if whole else ["0.97", "0.8512", "1", "0", "0.9113"]
    )
    assert list(read["thesis"]) == ["0.9", "0.85", "0.8", "0.75", "0.7"]
    assert list(read["images"]) == ["5", "12", "7", "8", "10,000"]
    assert list(read["steps, loss"]) == ["39.62", "0.9", "0.06", "2", "3.1"]
    assert list(read["MAC"]) == ["813,100", "1,027,000", "562,200", "500,000", "2,250,000"]
    assert list(read["said"])[:3] == ["0.9", "0.91", "0.912 (0.9 to 1)"]


def test_what_changed_since_an_evening_is_told_once():
    told = "<strong>After an evening</strong> (from a larger run; {} to this point, here 5 seconds; {})"
    one, two = "code changed since: data, this chapter’s cells", "by the same code"
    told_of = (one.replace("’", "'"), one, two)
    page = "<article>" + "".join(told.format("3 minutes", since) for since in told_of) + "</article>"
    shorter = typeset.page(page)
    assert shorter.count("(3 minutes to this point, here 5 seconds)") == 1 and shorter.count("; by the same code)") == 1
    assert shorter.count(f'5 seconds; {one}">') == 1 and typeset.page(shorter) == shorter


def test_an_evening_that_found_its_networks_stored_tells_no_time():
    told = "<strong>After an evening</strong> (from a larger run; {} to this point, here {}; by the same code)"
    times = [("24 seconds", "41 seconds"), ("13 seconds", "2 minutes"), ("3 minutes", "170 seconds")]
    page = "<article>" + "".join(told.format(*pair) for pair in times) + "</article>"
    shorter = typeset.page(page)
    assert "seconds to this point" not in shorter and "(3 minutes to this point, here 170 seconds)" in shorter
    assert "(from a larger run; by the same code)" in shorter and "</strong> (from a larger run)" in shorter
    assert typeset.page(shorter) == shorter


def test_a_mark_that_no_run_made_stops_the_build():
    with pytest.raises(ValueError, match="check-07-three"):
        dressed(text="It holds [◦](#check-07-three).")


def test_a_rendered_mark_opens_at_its_first_place():
    mark = margin.read(check("one"))
    link = '<a class="kit-mark" href="#check-07-one">◦</a>'
    page = mend.mend_page(f"<p>It holds {link}.</p><p>{link}</p><p>again {link}</p>{margin.store([mark])}")
    assert page.count('id="check-07-one"') == 1 and page.count("<button") == 1
    assert '<p class="kit-marks"><a class="kit-again"' in page and "kit-store" not in page and "◦" not in page
    assert page == mend.mend_page(page)


def test_a_mark_stays_with_its_word_and_its_comma():
    mark = margin.read(check("one"))
    link = '<a class="kit-mark" href="#check-07-one">◦</a>'
    page = mend.mend_page(f"<p>It holds\xa0{link}, so</p>{margin.store([mark])}")
    assert re.search(
        r'It <span class="kit-whole kit-tight">holds\xa0<span class="kit-mark.*</span></span>,</span> so', page
    )
    assert page == mend.mend_page(page)


def test_figures_have_a_picture_for_a_dark_page():
    assert decorate.nights(chapter()) == {"fig-07-curve": b"night", "hero-07": b"night"}
    html = '<figure id="fig-07-curve"><a><img alt="A curve." class="x" src="../_images/1.png" /></a></figure>'
    page = mend.mend_page(html, frozenset({"fig-07-curve"}))
    assert page.count('alt="A curve."') == 2 and 'src="../_images/night/fig-07-curve.webp"' in page
    assert page == mend.mend_page(page, frozenset({"fig-07-curve"})) and mend.mend_page(html) == html


def test_a_kept_figure_has_one_too():
    picture = io.BytesIO()
    Image.new("RGB", (60, 40), "white").save(picture, "png")
    notebook = chapter()
    record = {"alt": "A curve that was kept.", "caption": "It rises."}
    shown = marks.kept("figure", record, picture.getvalue(), "kept-07-figure-curve", "an hour")
    notebook.cells[-2].outputs.append(new_output("display_data", data={"text/html": shown}, metadata={}))
    made = decorate.nights(notebook)
    dark = Image.open(io.BytesIO(made["kept-07-figure-curve"])).convert("RGBA")
    assert dark.size == (60, 40) and dark.getextrema()[3] == (0, 0)  # white paper is gone
    page = mend.mend_page(shown, frozenset(made))
    assert page.count('class="only-light"') == 1 and "../_images/night/kept-07-figure-curve.webp" in page
    light = decorate.evenings(notebook)["kept-07-figure-curve"]
    assert Image.open(io.BytesIO(light)).convert("RGB").getextrema() == ((255, 255),) * 3
    assert 'src="../_images/kept/kept-07-figure-curve.webp"' in page and "data:image" not in page
    assert page == mend.mend_page(page, frozenset(made)) and mend.mend_page(shown) == shown


def test_a_plot_keeps_each_pixel_and_a_noisy_picture_weighs_little():
    plot = Image.new("RGB", (300, 200), "white")
    plot.paste((0, 114, 178), (40, 40, 90, 160))
    assert np.array_equal(np.asarray(Image.open(io.BytesIO(night.webp(plot)))), np.asarray(plot))
    rng = np.random.default_rng(0)
    noisy = Image.fromarray(rng.integers(96, 160, (300, 300, 3)).astype(np.uint8))
    whole = io.BytesIO()
    noisy.save(whole, "webp", lossless=True)
    small = night.webp(noisy)
    assert len(small) < 0.8 * len(whole.getvalue())
    gap = np.asarray(Image.open(io.BytesIO(small)), float) - np.asarray(noisy)
    assert np.sqrt((gap**2).mean()) < 16  # the noise itself is 18


def test_a_chapter_that_says_nothing_opens_all_the_same():
    notebook = new_notebook(cells=[new_markdown_cell("# Title\n\nJust a lead."), new_markdown_cell("## A\n\nText.")])
    about = opening.read(notebook)
    assert (about.question, about.answer, about.hero) == ("", "", None)
    assert [cell.source[:12] for cell in decorate.decorated(notebook, 3).cells][::2] == ["# 3 · Title", "Just a lead."]


GUESS = """**Before you look.** How much?

*A number from 0 to 100, in %; within 5 is close.*

<details><summary>Answer</summary>

- **Close.** So it is.
- **Too low.** There is some.
- **Too high.** There is little.

</details>"""


def asking(number, asked="share"):
    """A chapter with a number to guess, which a later cell says."""
    notebook = chapter()
    cell = new_markdown_cell(GUESS, metadata={"tags": ["predict"], "guess": {"value": asked, "times": 100}})
    number = shown({"type": "value", "id": "share", "value": number}, {"application/papermill.record/text/plain": ""})
    notebook.cells[5:5] = [cell, new_code_cell("run.say()", outputs=[number, said("It is so.")])]
    return notebook


def test_a_number_to_guess_is_the_run_s():
    page = "\n".join(cell.source for cell in decorate.decorated(asking(0.2004), 7, name="07_x").cells)
    assert 'data-true="20.04' in page and 'data-unit="%"' in page and "This run: 20 %.\n\n</details>" in page
    other = "\n".join(cell.source for cell in decorate.decorated(asking(0.5), 7, name="07_x").cells)
    assert 'data-true="50.0"' in other and "20" not in other.partition("How much?")[2].partition("::::")[0]
    empty = "\n".join(cell.source for cell in decorate.decorated(asking(float("nan")), 7, name="07_x").cells)
    assert "kit-number" not in empty and "How much?" in empty, "no number, no form"
    with pytest.raises(ValueError, match="guess: got 'shore'; valid: a number that a run.say of the run records"):
        decorate.decorated(asking(0.2, "shore"), 7)
