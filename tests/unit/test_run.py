"""A run's records, checked in a real IPython shell."""

from __future__ import annotations

import json
import random
import re

import matplotlib
import numpy as np
import pandas as pd
import pytest
import torch
from bs4 import BeautifulSoup
from IPython import get_ipython
from IPython.testing.globalipapp import start_ipython
from IPython.utils.capture import capture_output

from deepfake_kit.notebook import claims, run, settings

matplotlib.use("Agg")
CHAPTER = settings.chapters()[0]
ALT = "A line that rises by one from each of the three points to the next."


@pytest.fixture
def shown(monkeypatch):
    """A fresh run, and a function that returns what a call published in a notebook."""
    start_ipython()
    monkeypatch.setattr(get_ipython(), "kernel", "what tells a notebook from a terminal", raising=False)
    with capture_output():
        opened = run.start(CHAPTER, profile="smoke", seed=3)

    def outputs(call):
        with capture_output() as captured:
            call()
        return [(output.data, output.metadata) for output in captured.outputs]

    return opened, outputs


def test_a_terminal_shows_no_empty_lines(capsys):
    start_ipython()
    assert not hasattr(get_ipython(), "kernel")
    opened = run.start(CHAPTER, profile="smoke", seed=3)
    opened.value("n", 3)
    assert capsys.readouterr().out == ""
    opened.say("There are {count} points.", count=3)
    assert "There are 3 points." in capsys.readouterr().out


def test_start_seeds_every_generator():
    draws = []
    for _ in range(2):
        run.start(CHAPTER, "smoke", seed=7)
        draws.append((random.random(), np.random.rand(), torch.rand(1).item()))  # noqa: NPY002  the legacy generator is the point
    assert draws[0] == draws[1]
    run.start(CHAPTER, "smoke", seed=8)
    assert random.random() != draws[0][0]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (dict(chapter="02_difusion_math"), "chapter: got"),
        (dict(chapter=CHAPTER, profile="bok"), "did you mean 'book'"),
        (dict(chapter=CHAPTER, seed=-1), "seed: got"),
        (dict(chapter=CHAPTER, seed=0.5), "seed: got"),
    ],
)
def test_start_refuses_bad_input(words, message):
    with pytest.raises(ValueError, match=message):
        run.start(**words)


def test_figure_carries_picture_alt_and_provenance(shown):
    import matplotlib.pyplot as plt

    opened, outputs = shown
    fig, ax = plt.subplots()
    ax.plot([1, 2, 3])
    (picture, about), (under, _) = outputs(lambda: opened.figure("line", fig, alt=ALT, caption="It rises by $1$."))
    assert "image/png" in picture
    record = about["deepfake_kit"]
    assert (record["type"], record["id"], record["alt"], record["seed"]) == ("figure", "line", ALT, 3)
    assert f"deepfake-kit run {CHAPTER} --profile smoke -p seed=3" in under["text/html"]
    assert r"\(1\)" in under["text/html"]
    assert not plt.fignum_exists(fig.number)


@pytest.mark.parametrize("words", [dict(alt="short", caption="c"), dict(alt=ALT, caption=" ")])
def test_figure_needs_words(shown, words):
    import matplotlib.pyplot as plt

    with pytest.raises(ValueError, match="alt|caption"):
        shown[0].figure("line", plt.figure(), **words)


def test_an_id_is_used_once(shown):
    shown[0].value("x", 1.0)
    with pytest.raises(ValueError, match="already used"):
        shown[0].value("x", 2.0)


def test_table_keeps_its_cells(shown):
    opened, outputs = shown
    (data, about), _ = outputs(
        lambda: opened.table("t", pd.DataFrame({"loss": [0.123456]}, index=["ours"]), caption="c")
    )
    assert about["deepfake_kit"]["cells"] == {"columns": ["loss"], "index": ["ours"], "data": [[0.123456]]}
    assert "0.1235" in data["text/html"]


def test_row_numbers_are_not_shown(shown):
    """As in chapter 5's table of attempts: the first column names the rows."""
    frame = pd.DataFrame({"attempt": ["pay twice", "join late"], "answer": ["refused", "refused"]})
    (data, about), _ = shown[1](lambda: shown[0].table("t", frame, caption="c"))
    assert re.findall("<th>(.*?)</th>", data["text/html"]) == ["attempt", "answer", "pay twice", "join late"]
    assert about["deepfake_kit"]["cells"]["columns"] == ["attempt", "answer"]


def test_no_number_is_a_program_s(shown):
    """As `9.9e-05` and `-0` in chapter 1's tables."""
    frame = pd.DataFrame({"share": [9.9e-05, -0.0]}, index=["hair", "facebook, eyes"])
    (data, _), _ = shown[1](lambda: shown[0].table("t", frame, caption="c"))
    found = BeautifulSoup(data["text/html"], "html.parser")
    assert [cell.get_text() for cell in found.select("td")] == ["9.9 · 10−5", "0"]
    assert found.select("tbody th")[1].get_text() == "Facebook, eyes"


def test_value_can_be_glued(shown):
    opened, outputs = shown
    ((data, about),) = outputs(lambda: opened.value("x", torch.tensor(1.5)))
    assert data[run.GLUE_MIME] == "1.5"
    assert about["scrapbook"]["name"] == "x"


@pytest.mark.parametrize("x", [[1, 2], None, {"a": 1}])
def test_value_is_one_number(shown, x):
    with pytest.raises(ValueError, match="one number"):
        shown[0].value("x", x)


def test_say_records_each_number(shown):
    opened, outputs = shown
    published = outputs(lambda: opened.say("It keeps {mass:.1%}.", mass=np.float64(0.25)))
    assert published[-1][0]["text/markdown"] == "It keeps 25.0%."
    assert published[0][1]["deepfake_kit"]["value"] == 0.25


def test_a_range_of_one_number_is_said_as_one(shown):
    """As `100% to 100% of the frames` on chapter 1's page."""
    opened, outputs = shown
    import matplotlib.pyplot as plt

    said = outputs(lambda: opened.say("In {low:.0%} to {high:.0%} of them.", low=0.999, high=1.0))
    assert said[-1][0]["text/markdown"] == "In 100% of them."
    drawn = outputs(lambda: opened.figure("line", plt.figure(), alt=ALT, caption="Means of 0.50 to 0.50."))
    assert drawn[0][1]["deepfake_kit"]["caption"] == "Means of 0.50." and "0.50 to" not in drawn[1][0]["text/html"]


@pytest.mark.parametrize(
    ("a", "interval", "within", "word"),
    [
        (1.0, None, 0, "below"),
        (3.0, None, 0, "above"),
        (2.0, None, 0, "about equal to"),
        (1.0, (0.5, 2.5), 0, "about equal to"),
        (1.0, None, 1.5, "about equal to"),
        (3.0, (2.1, 4), 0, "above"),
    ],
)
def test_words_follow_the_numbers(a, interval, within, word):
    assert run.Run.compare_words(a, 2.0, interval=interval, within=within) == word
    if interval:
        assert run.Run.compare_words(a, 2.0, interval=np.array(interval), within=within) == word


def test_words_need_numbers():
    with pytest.raises(ValueError, match="not NaN"):
        run.Run.compare_words(float("nan"), 2.0)
    with pytest.raises(ValueError, match="three words"):
        run.Run.compare_words(1.0, 2.0, words=("less", "more"))


def test_claim_records_the_interval_and_never_calls_ours_the_papers(shown, monkeypatch):
    opened, outputs = shown
    row = dict(
        kind="claim",
        label="l",
        section="s",
        states="s",
        finding="holds",
        explanation="e",
        verdict="undecided",
        evidence="re-derived",
    )
    about = claims.Claim(id="ddtma-x", **row, expected=0.5, tolerance=0.1, random=True)
    monkeypatch.setattr(claims, "find", lambda _: about)
    ((data, metadata),) = outputs(lambda: opened.claim("ddtma-x", 0.6, interval=(0.2, 0.9)))
    assert metadata["deepfake_kit"]["interval"] == [0.2, 0.9] and metadata["deepfake_kit"]["verdict"] == "undecided"
    assert "Paper 0.5" not in data["text/plain"] and "the statement held 0.5" in data["text/plain"]


def test_verify_passes_small_and_refuses_large_or_nan(shown):
    opened, outputs = shown
    ((data, _),) = outputs(lambda: opened.verify("fine", 1e-9, 1e-6, "by hand"))
    assert "by hand" in data["text/html"]
    for residual in (1e-3, float("nan")):
        with pytest.raises(AssertionError, match="failed"):
            opened.verify("bad", residual, 1e-6)


def test_verify_takes_a_tensor_that_remembers_its_gradient(shown, recwarn):
    shown[1](lambda: shown[0].verify("gradient", torch.zeros(1, requires_grad=True).sum()))
    assert not [warning for warning in recwarn if "requires_grad" in str(warning.message)]


def test_claim_shows_the_verdict_and_an_anchor(shown, monkeypatch):
    opened, outputs = shown
    row = claims.find("ddtma-eq-1")
    monkeypatch.setattr(claims, "compare", lambda *_, **__: "contradicted")
    ((data, about),) = outputs(lambda: opened.claim("ddtma-eq-1", 2.0))
    mark = BeautifulSoup(data["text/html"], "html.parser").find(id="check-ddtma-eq-1")
    assert mark.name == "details" and not mark.has_attr("open"), "a mark opens on click and Enter, without any script"
    assert mark.summary.get_text() == "✗ Eq. (1): contradicted"
    assert "here 2" in mark.p.get_text() and "read from an extracted text" in mark.p.get_text().lower()
    assert row.label in data["text/html"]
    assert about["deepfake_kit"]["verdict"] == "contradicted"


def test_stand_in_is_said_under_every_figure(shown):
    import matplotlib.pyplot as plt

    opened, outputs = shown
    row = {"name": "emnist", "split": "train", "count": 9, "sha256": "0" * 64, "description": "digits"}
    opened.data.append({**row, "stand_in": True, "photographs_of_people": False})
    published = outputs(lambda: opened.figure("line", plt.figure(), alt=ALT, caption="c"))
    assert "Stand-in data" in published[-1][0]["text/html"]


def test_records_survive_json(shown):
    opened, _ = shown
    opened.value("nan", float("nan"))
    assert json.loads(json.dumps(opened.records))[-1]["value"] == "nan"


def test_after_photographs_of_people_every_figure_must_say_what_it_shows(shown):
    import matplotlib.pyplot as plt

    opened, outputs = shown
    row = {"name": "fairface", "split": "val", "count": 9, "sha256": "0" * 64, "stand_in": False, "description": "9"}
    opened.data.append({**row, "photographs_of_people": True})
    with pytest.raises(ValueError, match="show_photographs of figure .*aggregates of fairface only"):
        opened.figure("faces", plt.figure(), alt=ALT, caption="c")
    for id, shows in (("mean", False), ("single", True)):
        words = dict(alt=ALT, caption="c", show_photographs=shows)
        published = outputs(lambda id=id, words=words: opened.figure(id, plt.figure(), **words))
        assert published[0][1]["deepfake_kit"]["photographs_of_people"] is shows


def test_the_name_of_a_tables_index_stands_in_the_corner_and_not_in_a_row_of_its_own(shown):
    opened, outputs = shown
    frame = pd.DataFrame({"loss": [0.1, 0.2]}, index=pd.Index(["a", "b"], name="device"))
    (data, _), *_ = outputs(lambda: opened.table("named", frame, caption="c"))
    head = data["text/html"].split("</thead>")[0]
    assert head.count("<tr") == 1 and "device" in head and "loss" in head
    assert frame.index.name == "device"


def test_large_counts_have_their_thousands_apart_and_names_made_of_digits_stay(shown):
    opened, outputs = shown
    frame = pd.DataFrame({"gas": [81002, 2024], "hash": ["0123456789", "x81002"]}, index=pd.Index([10000000, -12345]))
    (data, record), *_ = outputs(lambda: opened.table("counts", frame, caption="c"))
    for written in ("<td>81,002</td>", "<td>2024</td>", "<td>0123456789</td>", "x81002", "<th>10,000,000</th>"):
        assert written in data["text/html"]
    assert "<th>-12,345</th>" in data["text/html"]
    assert record["deepfake_kit"]["cells"]["data"][0] == [81002, "0123456789"]


def test_two_prices_in_a_table_are_no_formula(shown):
    opened, outputs = shown
    frame = pd.DataFrame({"price": ["$3", "$4"], "symbol": ["$x_1$", "$x_2$"]})
    (data, _), *_ = outputs(lambda: opened.table("prices", frame, caption="c"))
    assert data["text/html"].count('class="math') == 2 and "<th>$3</th>" in data["text/html"]


def test_a_chapters_generators_depend_on_seed_and_number_alone(shown):
    opened, _ = shown
    draw = [torch.rand(1, generator=opened.generator(k)).item() for k in (1, 1, 2)]
    assert draw[0] == draw[1] != draw[2]
    assert opened.generator(1).initial_seed() == 1000 * opened.seed + 1


def test_seconds_takes_the_least_of_the_repeats(shown, monkeypatch):
    import time

    clock = iter([0, 3, 10, 11, 20, 25])
    monkeypatch.setattr(time, "perf_counter", lambda: next(clock))
    assert shown[0].seconds(lambda: None) == 1


def test_a_table_keeps_small_numbers_and_infinity(shown):
    opened, outputs = shown
    x = [4.4e-16, 2.5e-11, 0.1234567890123, np.inf, -np.inf, np.nan]
    columns = {"x": x, "n": range(6), "who": [None, "a", np.float32(0.5), True, 3, "b"]}
    (_, about), _ = outputs(lambda: opened.table("small", pd.DataFrame(columns, index=[*x[:5], "f"]), caption="c"))
    cells = json.loads(json.dumps(about["deepfake_kit"]["cells"], allow_nan=False))
    assert [row[0] for row in cells["data"]] == [*x[:3], "inf", "-inf", None]
    assert [row[1] for row in cells["data"]] == [*range(6)] and cells["index"] == [*x[:3], "inf", "-inf", "f"]
    assert [row[2] for row in cells["data"]] == [None, "a", 0.5, True, 3, "b"] and cells["columns"] == [*columns]


def test_ranges_leave_the_end_of_another_number(shown):
    from deepfake_kit.notebook.marks import ranges

    for text in (
        "1 to 1,200 steps",
        "5 to 5,000",
        "1,200 to 200 of them",
        "3 to 3/4",
        "1/2 to 2",
        "-5 to 5",
        "−5 to 5",
    ):
        assert ranges(text) == text
    assert ranges("1,200 to 1,200 steps, 3 to 3, and -5 to -5") == "1,200 steps, 3, and -5"


@pytest.mark.parametrize("k", [-1, 10_000, 0.5])
def test_a_generators_number_is_bounded(shown, k):
    with pytest.raises(ValueError, match="k: got"):
        shown[0].generator(k)


def test_a_command_to_make_it_again_survives_spaces(shown):
    import shlex

    opened, outputs = shown
    opened.parameters = {"caption": "a woman; $HOME 'q'"}
    said = outputs(lambda: opened.table("again", pd.DataFrame({"a": [1]}), caption="c"))[1][0]["text/html"]
    words = shlex.split(BeautifulSoup(said, "html.parser").pre.text)
    assert words[-2:] == ["-p", "caption=a woman; $HOME 'q'"]
