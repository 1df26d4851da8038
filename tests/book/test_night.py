"""The picture of a kept figure, turned for a dark page, against the figure itself drawn for one."""

from __future__ import annotations

import io

import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image
from press import mend, night

from deepfake_kit.notebook import style

GROUND = np.array([0x14, 0x18, 0x1D])  # of a dark page, page.css


def on_ground(picture: bytes) -> np.ndarray:
    rgba = np.asarray(Image.open(io.BytesIO(picture)).convert("RGBA"), float)
    part = rgba[..., 3:] / 255
    return part * rgba[..., :3] + (1 - part) * GROUND


@pytest.fixture
def figure():
    style.use()
    fig, ax = plt.subplots()
    x = np.linspace(0, 1, 50)
    for k, colour in enumerate(style.COLOURS):
        ax.plot(x, x + k, color=colour, label=f"line {k}")
    ax.fill_between(x, x - 3, x - 1, color=style.ORANGE, alpha=0.3)
    ax.bar([1.3], [6], 0.2, color=style.GREEN)
    ax.axhline(-0.5, color="0.5", lw=1)
    ax.set(xlabel="share", ylabel="loss", title="Ink on paper")
    yield fig
    plt.close(fig)


def saved(fig, kind="png", **more) -> bytes:
    file = io.BytesIO()
    fig.savefig(file, format=kind, dpi=150, **more)
    return file.getvalue()


def test_a_plot_is_turned_as_the_figure_is(figure):
    day = saved(figure)
    style.night(figure)
    right, found = on_ground(saved(figure, facecolor="none")), on_ground(night.turned(day))
    off = np.abs(right - found).max(-1)
    assert off.mean() < 1.5 and (off > 40).mean() < 0.004  # levels of 255: only where two inks meet
    white = np.abs(on_ground(day) - right).max(-1)
    assert white.mean() > 150, "the white picture is told apart"


def test_a_picture_stays_and_the_words_around_it_turn():
    fig, ax = plt.subplots()
    ax.imshow(np.random.default_rng(0).random((12, 12)), cmap="gray")
    ax.set_axis_off()
    ax.set_title("samples")
    day = saved(fig)
    plt.close(fig)
    before, after = on_ground(day), on_ground(night.turned(day))
    (part,) = night.pictures(before / 255)
    assert (before[part] == after[part]).all() and before[part].shape[0] > 300
    assert after[0, 0].tolist() == GROUND.tolist() and after[: part[0].start].max() > 200


def test_a_picture_of_many_colours_weighs_less_and_keeps_each_pixel(tmp_path):
    faces = np.random.default_rng(0).integers(0, 256, (40, 40, 3), np.uint8).repeat(8, 0).repeat(8, 1)
    file = tmp_path / "_images" / "faces.png"
    file.parent.mkdir()
    Image.fromarray(faces).convert("RGBA").save(file)
    before = file.stat().st_size
    mend.lighten(tmp_path)
    assert file.stat().st_size < before and (np.asarray(Image.open(file).convert("RGB")) == faces).all()
