"""Faults planted in figures are found; the chapters' own figures are asked by :mod:`shown`."""

from __future__ import annotations

import drawn
import matplotlib
import matplotlib.pyplot as plt
import pytest

from deepfake_kit.notebook import style

matplotlib.use("Agg")


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
