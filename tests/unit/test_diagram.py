"""A diagram draws what it is told, inside its page, and readable in both lights."""

import matplotlib.pyplot as plt
import pytest
from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

from deepfake_kit.notebook import style
from deepfake_kit.notebook.diagram import diagram

BOXES = {"x": (0.7, 0.6, "a face"), "E": (2.2, 0.6, "encoder", style.BLUE), "z": (3.6, 0.6, "code $z$", None)}


@pytest.fixture
def fig():
    made = diagram(BOXES, [("x", "E"), ("E", "z", "64 numbers", {"dashed": True})], size=(4.4, 1.2))
    yield made
    plt.close(made)


def test_every_box_holds_its_words_and_lies_inside(fig):
    fig.canvas.draw()
    boxes = [part for part in fig.axes[0].patches if isinstance(part, FancyBboxPatch)]
    for box, words in zip(boxes, fig.axes[0].texts):
        inner, outer = words.get_window_extent(), box.get_window_extent()
        assert outer.x0 < inner.x0 and inner.x1 < outer.x1 and outer.y0 < inner.y0 and inner.y1 < outer.y1
        assert fig.bbox.x0 < outer.x0 and outer.x1 < fig.bbox.x1
    assert len(boxes) == 3


def test_an_arrow_ends_at_the_boxes_it_joins(fig):
    fig.canvas.draw()
    face, encoder, _, first, _ = fig.axes[0].patches
    assert isinstance(first, FancyArrowPatch)
    start, end = (first.get_path().vertices[k, 0] for k in (0, 2))  # a curve of three points, then its head
    assert 0 < start - face.get_extents().transformed(fig.axes[0].transData.inverted()).x1 < 0.06
    assert 0 < encoder.get_extents().transformed(fig.axes[0].transData.inverted()).x0 - end < 0.12


def test_at_night_the_ink_is_light_and_the_page_is_clear(fig):
    style.night(fig)
    assert all(min(words.get_color()[:3]) > 0.8 for words in fig.axes[0].texts)
    box, *_ = fig.axes[0].patches
    assert min(box.get_edgecolor()[:3]) > 0.8 and box.get_facecolor()[3] < 0.2 and fig.patch.get_alpha() == 0


def test_an_arrow_to_nowhere_and_an_unknown_option_are_named():
    with pytest.raises(ValueError, match=r"no box is named \['F'\]"):
        diagram(BOXES, [("x", "F")])
    with pytest.raises(ValueError, match=r"got \['color'\]"):
        diagram(BOXES, [("x", "E", "", {"color": "red"})])


def test_a_logarithmic_axis_is_read_as_plain_numbers():
    style.use()
    fig, ax = plt.subplots()
    ax.semilogy([0, 1], [0.05, 0.6])
    fig.canvas.draw()
    shown = [words.get_text() for axis in (False, True) for words in ax.yaxis.get_ticklabels(minor=axis)]
    plt.close(fig)
    assert any("0.1" in text for text in shown) and any("0.2" in text for text in shown)
    assert not any("times" in text or "10^" in text for text in shown), shown
