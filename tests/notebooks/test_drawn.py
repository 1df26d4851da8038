"""Words of figures and tables: each in its own place, off the curves, none a key of the program."""

from __future__ import annotations

import json
from pathlib import Path

import drawn
import matplotlib
import matplotlib.pyplot as plt
import nbformat
import pytest
from bs4 import BeautifulSoup

from deepfake_kit.notebook import settings, style

ROOT = Path(__file__).resolve().parents[2]
NAMES = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
matplotlib.use("Agg")


def heads(path: Path) -> list[str]:
    """The words at the head of each column and row of a chapter's tables."""
    outputs = (out for cell in nbformat.read(path, as_version=4).cells for out in cell.get("outputs", []))
    pages = ("".join(out.get("data", {}).get("text/html", "")) for out in outputs)
    found = (BeautifulSoup(page, "html.parser").select("table.kit-table th") for page in pages if "kit-table" in page)
    return [cell.decode_contents() for cells in found for cell in cells]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_words_of_a_chapter_can_be_read(executed, name):
    path = executed(name)
    seen = [json.loads(line) for line in path.with_suffix(".drawn").read_text(encoding="utf-8").splitlines()]
    assert len(seen) >= 3
    assert {id: wrong for row in seen for id, wrong in row.items() if wrong} == {}
    named = {setting.replace("_", " ") for setting in settings.load(name).settings}  # the settings' own table
    words = [word for word in heads(path) if word not in named]
    assert len(words) > 10 and {word: drawn.keys(word) for word in words if drawn.keys(word)} == {}


# -- planted faults ------------------------------------------------------------------------------------


@pytest.fixture
def axes():
    style.use()
    fig, ax = plt.subplots()
    ax.plot([0, 1, 2], [0, 1, 0], label="loss")
    ax.set(xlabel="share", ylabel="loss")
    yield ax
    plt.close(fig)


def test_a_plain_figure_is_well(axes):
    axes.legend(loc="upper left")
    assert drawn.faults(axes.figure) == []


def on_the_curve(ax):
    ax.legend(loc="center", bbox_to_anchor=(0.3, 0.55))


def on_a_line_across(ax):
    ax.axvline(0.05, ls=":")
    ax.legend(loc="upper left")


def on_a_bar(ax):
    ax.bar([2], [1.5], 0.5)
    ax.legend(loc="center right")


def on_an_interval(ax):
    ax.errorbar([1.9], [0.9], [0.6], fmt="o")
    ax.legend(["loss"], loc="upper right")


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (on_the_curve, "in the legend lies on loss"),
        (on_a_line_across, "in the legend lies on a line"),
        (on_a_bar, "in the legend lies on a bar"),
        (on_an_interval, "in the legend lies on an interval"),
        (lambda ax: (ax.text(0.2, 0.5, "one thing"), ax.text(0.25, 0.5, "another")), "'one thing' lies on 'another'"),
        (lambda ax: ax.text(1, 0.97, "the highest point", ha="center", va="center"), "is crossed by loss"),
        (lambda ax: ax.figure.text(0.95, 0.5, "beyond the edge"), "is cut off at the edge"),
        (lambda ax: ax.set_xticks([0, 0.225], ["StarGAN", "STGAN"]), "'StarGAN' runs into 'STGAN'"),
        (lambda ax: ax.set(xlabel="round"), "counts and has a tick at"),
        (lambda ax: ax.set(title="style-gan after facebook"), "says style-gan, a key"),
        (lambda ax: ax.set(title="n_nodes"), "says n_nodes, a key"),
    ],
)
def test_a_fault_is_found(axes, fault, said):
    fault(axes)
    assert any(said in wrong for wrong in drawn.faults(axes.figure))


def test_words_on_a_picture_or_beside_a_curve_are_none(axes):
    axes.annotate("highest", (1, 1), xytext=(1.3, 1.0))
    axes.set_xticks([0, 1, 2])
    axes.set_xlabel("round")
    assert drawn.faults(axes.figure) == []


def test_formulas_and_code_are_no_keys():
    assert drawn.keys("<code>n_nodes</code> and $x_i$, the GAN's AUC") == []
