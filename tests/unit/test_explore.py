"""A slider's frames, its link and its words."""

from __future__ import annotations

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

from deepfake_kit.notebook import explore


def frames(n):
    return [np.full((8, 8), 20 * (i % 12), dtype=np.uint8) for i in range(n)]


def test_each_frame_keeps_its_picture_and_words():
    box = explore.slider(frames(3), ["a", "b", "c"], "shade", ["dark", "grey", "light"])
    handle, stack = box.children
    assert (handle.min, handle.max, handle.description) == (0, 2, "shade")
    for i, page in enumerate(stack.children):
        picture = base64.b64decode(re.search(r"base64,([^\"]+)", page.value)[1])
        assert np.all(np.asarray(Image.open(io.BytesIO(picture)).convert("L")) == 20 * i)
        assert f'alt="{["dark", "grey", "light"][i]}"' in page.value


def test_the_slider_is_linked_in_the_browser():
    box = explore.slider(frames(2), "ab", "n", "ab")
    handle, stack = box.children
    assert any(link.source[0] is handle and link.target == (stack, "selected_index") for link in _links())


def _links():
    from ipywidgets.widgets.widget import _instances

    return [widget for widget in _instances.values() if type(widget).__name__ in ("Link", "DirectionalLink")]


def test_markup_in_labels_is_escaped():
    box = explore.slider(frames(2), ["<b>", "b"], "n", ['"quoted"', "b"])
    assert "<b>" not in box.children[1].children[0].value
    assert "&quot;quoted&quot;" in box.children[1].children[0].value


@pytest.mark.parametrize(("n", "labels"), [(1, ["a"]), (61, ["a"] * 61), (3, ["a", "b"])])
def test_lengths_are_checked(n, labels):
    with pytest.raises(ValueError, match="frames"):
        explore.slider(frames(n), labels, "n", ["x"] * n)


def test_figures_become_light_pictures():
    import matplotlib.pyplot as plt

    others, figures = set(plt.get_fignums()), []
    for _ in range(2):
        fig, ax = plt.subplots(figsize=(4, 3))
        ax.plot([1, 2])
        figures.append(fig)
    box = explore.slider(figures, "ab", "n", "ab")
    assert all(len(page.value) < 30_000 for page in box.children[1].children)
    assert set(plt.get_fignums()) == others


def test_a_figures_frame_has_a_picture_for_a_dark_page():
    """Black ink turns light there, the ground is left out; anywhere but on the book's page it stays hidden."""
    import matplotlib.pyplot as plt

    figures = []
    for _ in range(2):
        fig, ax = plt.subplots(figsize=(4, 3))
        ax.plot([1, 2], color="black")
        figures.append(fig)
    page = explore.slider(figures, "ab", "n", "ab").children[1].children[0].value
    assert re.findall(r'class="(only-\w+)"', page) == ["only-light", "only-dark"] and "display:none" in page
    day, night = (
        np.asarray(Image.open(io.BytesIO(base64.b64decode(source))).convert("RGBA")).astype(int)
        for source in re.findall(r"base64,([^\"]+)", page)
    )
    assert day[0, 0, 3] == 255 and night[0, 0, 3] == 0
    ink = day[..., :3].max(-1) < 30
    assert ink.any() and night[ink][:, :3].min() > 180 and night[ink][:, 3].min() > 180


def test_a_few_dots_keep_their_colour_on_a_colourful_picture():
    across = np.linspace(0, 255, 200)
    picture = np.stack(
        [np.tile(across, (150, 1)), np.tile(across[::-1], (150, 1)), np.tile(across[:150, None], (1, 200))], axis=-1
    ).astype(np.uint8)
    blue = np.array([0, 114, 178])
    picture[40:43, 60:63] = blue
    shown = np.asarray(Image.open(io.BytesIO(explore._pictures(picture)[0])).convert("RGB")).astype(int)
    assert np.abs(shown[40:43, 60:63] - blue).max() < 20
