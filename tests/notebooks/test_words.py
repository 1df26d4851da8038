"""Captions and sentences that compare are computed, or excused with a reason."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, writes
from press import __main__, words

from deepfake_kit.notebook import settings

NOTEBOOKS = Path(__file__).resolve().parents[2] / "notebooks"
# Each stood in this book, and a later run made it false.
ONCE_FALSE = [
    "the averaged weights end at or below the plain ones.",
    "The U-Net lies below up to step 500; after that the two agree.",
    "More steps, better samples.",
    "about equal within the wide bars, near and above the grey band of real images.",
    "Nobody would call it a fake.",
    "a machine that holds all the images learns fastest.",
    "random vectors at temperature 0.07 lie about half a unit above it.",
    "but the intervals overlap.",
    "The probe finds the wished attribute after the edit and not before.",
    "our editors, trained on pairs, are smoother than the published ones.",
    "Every attempt is refused by name, and no honest party loses a wei.",
]


@pytest.mark.parametrize("chapter", settings.chapters())
def test_words_that_compare_are_computed(chapter):
    assert words.problems(NOTEBOOKS / f"{chapter}.ipynb") == []


@pytest.fixture
def listed(tmp_path, monkeypatch):
    """What the lint says to one cell, with the excuses given."""

    def ask(source: str, kind=new_code_cell, excuses: dict | None = None) -> list[str]:
        path = tmp_path / "91_demo.ipynb"
        path.write_text(writes(new_notebook(cells=[kind(source, id="here")])), encoding="utf-8")
        (tmp_path / "91_demo.yml").write_text(yaml.safe_dump({"words": excuses or {}}), encoding="utf-8")
        monkeypatch.setattr(settings, "FOLDER", tmp_path)
        return words.problems(path)

    return ask


@pytest.mark.parametrize("sentence", ONCE_FALSE)
@pytest.mark.parametrize(
    "source",
    [
        "run.say({!r})",
        'run.figure("f", fig, alt="", caption=f"At {{x:.2f}}; " {!r})',
        'run.figure("f", fig, {!r}, "")',
        'text = {!r}\nrun.table("t", df, caption=text)',
        'run.claim("ddtma-eq-1", x, note={!r})',
    ],
)
def test_a_literal_is_found(listed, source, sentence):
    assert listed(source.format(sentence))


@pytest.mark.parametrize(
    "sentence", ["Whoever was wrong pays.", "Nothing else differs between real and forged.", "The two agree."]
)
def test_prose_is_found(listed, sentence):
    assert listed(sentence, new_markdown_cell)


@pytest.mark.parametrize(
    "source",
    [
        'run.say("It lies {word} the line.", word="below" if a < b else "above")',
        'run.say("It lies {word} the line.", word=run.compare_words(a, b))',
        'run.figure("f", fig, alt="A line.", caption=f"It lies {[\'above\', \'below\'][a < b]} the line.")',
        'word = "best" if a > b else "worst"\nrun.say(f"It does {word}.")',
        'run.table("t", df, caption="A number for each method (lower is better).")',
        'axis.set(label="below")',
        'run.say("{fewest} of them.", fewest=3)',
    ],
)
def test_a_computed_word_passes(listed, source):
    assert listed(source) == []


@pytest.mark.parametrize(
    "text",
    [
        "`below`",
        "$$a \\text{ below } b$$",
        "> The paper: ours is better.",
        "Which is better?",
        "**Exercise 1.1.** The best one.",
    ],
)
def test_code_formulas_quotations_questions_and_tasks_are_no_prose(listed, text):
    assert listed(text, new_markdown_cell) == []


LITERAL = 'run.say("It lies below the line, at {x:.2f}.")'
REASON = "true of every run: a square is not negative"


@pytest.mark.parametrize("phrases", ["lies below the line", ["It lies below"], "It lies below the line, at …"])
def test_an_excuse_covers_the_phrase_that_it_quotes(listed, phrases):
    assert listed(LITERAL, excuses={"here": {REASON: phrases}}) == []


@pytest.mark.parametrize(
    "source",
    [
        'run.say("It lies below the line, at {x:.2f}. The loss is lower.")',
        'run.say("It lies below the line, at {x:.2f}, and lower than before.")',
        'run.say("It lies below the line, at {x:.2f}. Once more: it lies below the line.")',
    ],
)
def test_a_new_word_in_an_excused_cell_is_found(listed, source):
    assert len(listed(source, excuses={"here": {REASON: "lies below the line"}})) == 1


def test_an_excuse_needs_a_reason_and_a_use(listed):
    assert "without a reason" in listed(LITERAL, excuses={"here": {"": "lies below the line"}})[0]
    assert "nothing compares" in listed("x = 1", excuses={"here": {"a reason": "below"}})[0]
    assert "nothing compares" in listed(LITERAL, excuses={"here": {"a reason": ["lies below", "at …"]}})[0]
    assert "quotes no phrase" in listed(LITERAL, excuses={"here": REASON})[1]


def test_the_command_lists_them_and_says_how_many(listed, monkeypatch, tmp_path, capsys):
    listed('run.say("It lies below the line.")')
    monkeypatch.setattr(settings, "load", lambda name: settings.Chapter(name, "t", {}, (), {}))
    monkeypatch.setattr(__main__, "ROOT", tmp_path)
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "91_demo.ipynb").rename(tmp_path / "notebooks" / "91_demo.ipynb")
    assert __main__.main(["words", "91_demo"]) == 1
    assert capsys.readouterr().out == "91_demo here: below: It lies below the line.\n1 to compute or to excuse\n"
