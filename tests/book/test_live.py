"""The exercises in the page: graders that need nothing but numpy, and a Python in the browser that runs them."""

from __future__ import annotations

import html
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from conftest import missing
from press import assets, browser, live
from press.course.notebooks import exercises

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = {path.stem: nbformat.read(path, as_version=4) for path in sorted((ROOT / "notebooks").glob("*.ipynb"))}
EVERY = [one for notebook in NOTEBOOKS.values() for one in exercises(notebook)]
BARE = """
import contextlib, io, json, sys

class Only:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in sys.stdlib_module_names | {"numpy", "deepfake_kit"}:
            raise ImportError(f"no {name} in the page")

sys.meta_path.insert(0, Only())
sys.path.insert(0, sys.argv[1])
from deepfake_kit.notebook.check import check, exercises
said = {}
for before, rows in json.load(sys.stdin):
    for number, stub, solution in rows:
        for kind, code in (("stub", stub), ("solution", solution)):
            names = {"check": check}
            with contextlib.redirect_stdout(io.StringIO()) as out:
                exec(before + "\\n" + code, names)
            said.setdefault(number, {})[kind] = out.getvalue()
json.dump([said, sorted(exercises())], sys.stdout)
"""


def test_graders_and_solutions_need_nothing_but_numpy(tmp_path):
    have = live.modules()
    for name, text in have.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    asked = [
        (live.preamble(notebook, have), [(one.number, one.stub, one.solution) for one in exercises(notebook)])
        for notebook in NOTEBOOKS.values()
    ]
    done = subprocess.run(
        [sys.executable, "-c", BARE, str(tmp_path)],
        input=json.dumps(asked),
        cwd=tmp_path,
        env={},
        text=True,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    said, known = json.loads(done.stdout)
    assert sorted(said) == known, "each grader has its exercise in a notebook"
    for number, words in said.items():
        assert words == {"stub": f"{number}: not answered yet.\n", "solution": f"{number}: right.\n"}


def test_an_exercise_that_is_not_whole_is_named():
    make = nbformat.v4
    prompt, stub = make.new_markdown_cell("**9.1** (5 minutes). Why?"), make.new_code_cell('x = ...\n\ncheck("9.1", x)')
    solution = make.new_code_cell('x = 1\n\ncheck("9.1", x)', metadata={"tags": ["solution"]})
    (one,) = exercises(make.new_notebook(cells=[prompt, stub, solution]))
    assert (one.number, one.minutes, one.name, one.stub, one.cells) == ("9.1", 5, "x", stub.source, (0, 1, 2))
    for cells, words in (
        ([prompt, stub], "a stub or a solution is missing"),
        ([prompt, solution], "a stub or a solution is missing"),
        ([prompt, stub, make.new_code_cell(stub.source), solution], "stands twice"),
        ([stub, solution], "no prompt before its stub"),
    ):
        with pytest.raises(ValueError, match=rf"exercise 9\.1.*{words}"):
            exercises(make.new_notebook(cells=cells))


PAGE = """<!DOCTYPE html><html lang="en" data-theme="light"><head><meta charset="utf-8"><title>Exercises</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="stylesheet" href="../_static/exercise.css"><script src="../_static/desk.js"></script>
<script src="../_static/exercise.js"></script>
<style>:root {{ --pst-color-text-base: #222; --pst-color-text-muted: #555; --pst-color-surface: #f5f5f5;
--pst-color-background: #fff; --pst-color-primary: #05a; --book-good: #007a5a; --book-fair: #9a5b00;
--book-good-surface: #e9f6f1; --book-fair-surface: #fdf3e1; }}</style>
</head><body><main><h1>Exercises</h1>{}</main></body></html>"""
# As Sphinx writes a cell of code and a folded one.
CELL = """<div class="cell tag_exercise"><div class="cell_input"><pre>{stub}</pre></div></div>
<div class="cell tag_remove-input"><div class="cell_output">{desk}</div></div>
<div class="cell"><details class="hide"><summary>Solution</summary><pre>{solution}</pre></details></div>"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory, third_party):
    """A site of one page with every exercise of the book."""
    wheel = assets.numpy_wheel()
    if wheel is None:
        missing("numpy for the page's Python cannot be had here")
    site = tmp_path_factory.mktemp("site")
    live.write(site / live.PLACE, third_party / "node_modules", wheel, NOTEBOOKS)
    for name in ("desk.js", "exercise.js", "exercise.css"):
        shutil.copy(ROOT / "book" / "static" / name, site / "_static" / name)
    cells = [
        CELL.format(
            stub=html.escape(one.stub),
            desk=live.desk(one.number, "chapter", python=True).outputs[0].data["text/html"],
            solution=html.escape(one.solution),
        )
        for one in EVERY
    ]
    (site / "notebooks").mkdir()
    (site / "notebooks" / "all.html").write_text(PAGE.format("".join(cells)), encoding="utf-8")
    return site


@pytest.fixture(scope="module")
def opened(folder, chromium):
    """The page over HTTP with all that it asked for; Python starts once for the tests that share it."""
    page, asked = browser.new_page(chromium), []
    page.on("request", lambda request: asked.append(request.url))
    with browser.serve(folder) as base:
        page.goto(base + "notebooks/all.html")
        yield page, asked, base
    page.context.close()


def busy() -> float:
    """How many times as long as on two cores of its own a thing may take here and now."""
    return max(1.0, os.getloadavg()[0] / 2, 2 / (os.cpu_count() or 1))


def answer(page, number: str, code: str, seconds: float = 60) -> tuple[str, str]:
    """Put an answer into an exercise's editor, press Check, return the verdict and the words."""
    box = page.locator(f'.kit-exercise[data-exercise="{number}"]')
    box.locator("textarea").fill(code)
    box.locator(".kit-check").click()
    said = box.locator('.kit-said[data-verdict]:not([data-verdict=""])')
    said.wait_for(timeout=1000 * seconds)
    return said.get_attribute("data-verdict"), said.inner_text()


@pytest.mark.slow
def test_nothing_of_python_is_loaded_before_a_click_and_every_exercise_answers(opened):
    page, asked, base = opened
    assert page.locator(".kit-exercise textarea").count() == len(EVERY) >= 64
    assert {url.removeprefix(base) for url in asked} == {
        "notebooks/all.html",
        "_static/desk.js",
        "_static/exercise.js",
        "_static/exercise.css",
    }
    before = time.perf_counter()
    assert answer(page, EVERY[0].number, EVERY[0].stub)[0] == "none"
    first = time.perf_counter() - before
    slowest = 0
    for one in EVERY:
        number, solution, name = one.number, one.solution, one.name
        assert answer(page, number, one.stub) == ("none", f"{number}: not answered yet.")
        before = time.perf_counter()
        assert answer(page, number, solution) == ("right", f"{number}: right.")
        slowest = max(slowest, time.perf_counter() - before)
        head, line = solution.rsplit("check(", 1)
        for wrong in ("lambda *given: given[0] * 0 + 17.25", "lambda *given: 'seven'"):
            value = wrong if one.is_function else wrong.partition(": ")[2].replace("given[0]", "1")
            verdict, said = answer(page, number, f"{head}\n{name} = {value}\ncheck({line}")
            assert verdict == "wrong" and said.startswith(f"{number}: not yet. ") and len(said) > 20
    print(f"first {first:.1f} s, slowest later {slowest:.2f} s")
    assert first <= 10 * busy() and slowest <= 1.5 * busy()
    assert all(not browser.is_foreign(url, base) for url in asked)


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("import numpy as np\nx = [np.empty(2 * 10**8) for _ in range(9)]", "line 2: MemoryError: Unable to allocate"),
        ("x = [0] * 10**9\ncheck('2.1', x)", "line 1: MemoryError"),
        ("import os\nos.abort()", "Python broke off: "),
        ("import ctypes\nctypes.string_at(2**32 - 1, 9)", "Python broke off: memory access out of bounds"),
        ("x = 1\nprint(y)\ncheck('2.1', x)", "line 2: NameError: name 'y' is not defined"),
        ("def f(:", "line 1: SyntaxError"),
        ("f = 3", "The last line is missing"),
        ("raise SystemExit", "SystemExit"),
        ("def f(b): return f(b)\ncheck('2.1', f)", "RecursionError"),
        ("import js\njs.fetch('https://example.org')\ncheck('2.1', None)", "not answered yet"),
    ],
)
def test_what_goes_wrong_is_said_and_the_next_check_works(opened, code, words):
    page, asked, base = opened
    verdict, said = answer(page, "2.1", code)
    assert words in said, said
    assert verdict != "right"
    assert answer(page, EVERY[5].number, EVERY[5].solution)[0] == "right"
    assert all(not browser.is_foreign(url, base) for url in asked)


def test_an_endless_loop_is_stopped_after_ten_seconds(opened):
    page = opened[0]
    assert answer(page, EVERY[5].number, EVERY[5].solution)[0] == "right"  # Python runs
    before = time.perf_counter()
    verdict, said = answer(page, "2.1", "while True: pass\ncheck('2.1', None)")
    assert verdict == "wrong" and "Stopped after 10 seconds" in said
    assert 9.9 <= time.perf_counter() - before <= 10 + 1.5 * busy()
    before = time.perf_counter()
    assert answer(page, EVERY[5].number, EVERY[5].solution)[0] == "right"
    assert time.perf_counter() - before <= 10 * busy()


def test_from_the_disk(folder, chromium):
    page, asked = browser.new_page(chromium, width=browser.PHONE, dark=True), []
    page.on("request", lambda request: asked.append(request.url))
    page.goto((folder / "notebooks" / "all.html").as_uri())
    for one in EVERY[:3] + EVERY[-2:]:
        assert answer(page, one.number, one.solution) == ("right", f"{one.number}: right.")
    assert all(url.startswith((folder.as_uri(), "blob:", "data:")) for url in asked)
    page.context.close()


def test_the_editor_by_keyboard(folder, chromium, axe):
    page = browser.new_page(chromium, width=browser.PHONE)
    with browser.serve(folder) as base:
        page.goto(base + "notebooks/all.html")
        assert page.evaluate(browser.TOO_WIDE) <= 1
        assert browser.violations(page, axe) == []
        number, stub = EVERY[0].number, EVERY[0].stub
        area = page.get_by_label(f"Your answer to exercise {number}", exact=True)
        area.fill("")
        area.type("def f(x):\nreturn x\n")
        assert area.input_value() == "def f(x):\n    return x\n    "
        page.keyboard.press("Backspace")
        assert area.input_value() == "def f(x):\n    return x\n"
        page.reload()
        assert area.input_value() == "def f(x):\n    return x\n", "the text stays in the browser"
        area.focus()
        page.keyboard.press("Tab")
        assert page.evaluate("() => document.activeElement.textContent") == "Check", "Tab leaves the editor"
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        assert area.input_value() == stub.rstrip(), "Reset"
        for key in ("Tab", "Tab", "Tab", "Enter"):  # past Check and Reset to Hint
            page.keyboard.press(key)
        hint = page.locator(".kit-hint").first
        assert hint.is_visible() and hint.locator("p").inner_text().strip()
        assert page.get_by_role("button", name="Hint").first.get_attribute("aria-expanded") == "true"
    page.context.close()


def test_every_exercise_has_a_hint_of_its_own():
    assert sorted(live.hints()) == sorted(one.number for one in EVERY)
    assert all(20 < len(hint) < 160 for hint in live.hints().values())
    assert len(set(live.hints().values())) == len(EVERY)


def test_without_python_the_page_says_where_to_solve_it():
    text = live.desk("2.1", "chapter", python=False).outputs[0].data["text/html"]
    assert "make lab" in text and "data-python" not in text


def test_a_question_answers_each_choice(chromium, axe, tmp_path):
    for name in ("predict.js", "exercise.css", "desk.js"):
        (tmp_path / "_static").mkdir(exist_ok=True)
        shutil.copy(ROOT / "book" / "static" / name, tmp_path / "_static" / name)
    box = """<div class="kit-predict docutils container"><p><strong>Before you look.</strong> Which?</p>
    <ol><li><p>This.</p></li><li><p>That.</p></li><li><p>None.</p></li></ol>
    <details><summary>Answer</summary><ol><li><p>Not this.</p></li><li><p><strong>Right.</strong> That.</p></li>
    <li><p>Some.</p></li></ol></details></div>"""
    (tmp_path / "notebooks").mkdir()
    text = PAGE.replace("exercise.js", "predict.js").format(box * 2)
    (tmp_path / "notebooks" / "all.html").write_text(text, encoding="utf-8")
    page = browser.new_page(chromium, width=browser.PHONE)
    page.goto((tmp_path / "notebooks" / "all.html").as_uri())
    assert page.get_by_role("group", name="Before you look. Which?").count() == 2
    first = page.get_by_role("group").first
    first.get_by_label("This.").check()
    assert first.get_by_role("status").inner_text() == "Not this."
    page.keyboard.press("ArrowDown")
    assert first.get_by_role("status").inner_text() == "Right. That."
    assert first.get_by_role("status").get_attribute("data-verdict") == "right"
    assert page.get_by_role("status").nth(1).inner_text() == "", "the other question keeps its own answer"
    assert browser.violations(page, axe) == []
    page.context.close()


def test_a_number_to_guess_says_how_far_off_it_is(chromium, axe, tmp_path):
    for name in ("predict.js", "exercise.css", "exercise.js"):
        (tmp_path / "_static").mkdir(exist_ok=True)
        shutil.copy(ROOT / "book" / "static" / name, tmp_path / "_static" / name)
    box = """<div class="kit-predict docutils container"><p><strong>Before you look.</strong> How much?</p>
    <p><em>A number from {} to {}{}; within {} is close.</em></p><details><summary>Answer</summary><ul>
    <li><p><strong>Close.</strong> So it is.</p></li><li><p><strong>Too low.</strong> There is some.</p></li>
    <li><p><strong>Too high.</strong> There is little.</p></li></ul><p>This run.</p></details><div hidden
    class="kit-number" data-low="{}" data-high="{}" data-unit="{}" data-near="{}" data-true="{}"></div></div>"""
    boxes = box.format(0, 100, ", in %", 5, 0, 100, "%", 5, 20.04) + box.format(1, 9, "", 0.5, 1, 9, "", 0.5, 2.5)
    (tmp_path / "notebooks").mkdir()
    text = PAGE.replace("exercise.js", "predict.js").format(boxes)
    (tmp_path / "notebooks" / "all.html").write_text(text, encoding="utf-8")
    page, errors = browser.new_page(chromium, width=browser.PHONE), []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto((tmp_path / "notebooks" / "all.html").as_uri())
    first, second = page.get_by_role("group", name="Before you look. How much?").all()
    said, field = first.get_by_role("status"), first.get_by_label("Your number, in %", exact=True)
    for typed, told, verdict in (
        ("30", "Too high. You said 30%, this run has 20%: 9.96 points too high. There is little.", "wrong"),
        ("7,5 %", "Too low. You said 7.5%, this run has 20%: 12.5 points too low. There is some.", "wrong"),
        ("24.9", "Close. You said 24.9%, this run has 20%: 4.86 points too high. So it is.", "right"),
        ("101", "Type a number from 0 to 100.", "wrong"),
        ("many", "Type a number from 0 to 100.", "wrong"),
        ("", "Type a number from 0 to 100.", "wrong"),
    ):
        field.fill(typed)
        page.keyboard.press("Enter")
        assert " ".join(said.inner_text().split()) == told
        assert said.get_attribute("data-verdict") == verdict
        assert field.get_attribute("aria-invalid") == str(told.startswith("Type")).lower()
    slider = second.get_by_role("slider")
    slider.focus()
    for _ in range(50):
        page.keyboard.press("ArrowLeft")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    assert second.get_by_role("textbox").input_value() == "3"
    told = " ".join(second.get_by_role("status").inner_text().split())
    assert told == "Close. You said 3, this run has 2.5: 0.5 too high. So it is."
    assert page.get_by_role("group").count() == 2 and page.locator("details:visible").count() == 0
    assert browser.violations(page, axe) == [] and page.evaluate(browser.TOO_WIDE) <= 1 and errors == []
    page.context.close()
