"""Whether the words of a figure can be read: each in a place of its own, off the curves, inside the picture.

Decided from matplotlib's boxes after the layout. Words may lie on pictures and maps.
"""

from __future__ import annotations

import itertools
import re

import numpy as np

SLACK = 1.5  # pixels at 100 an inch that two boxes may share: letters leave as much free at their box's edge

NEAR = 5.5  # pixels between two trimmed boxes of labels in a row: less, and they read as one


def words(fig) -> dict:
    """The visible texts of a figure with their boxes in pixels, trimmed by :data:`SLACK`."""
    from matplotlib.text import Text

    fig.draw_without_rendering()
    slack, found = SLACK * fig.dpi / 100, {}
    hidden = {id(text) for ax in fig.axes for axis in (ax.xaxis, ax.yaxis) for text in unseen(ax, axis)}
    for text in fig.findobj(Text):
        if not text.get_text().strip() or not seen(text) or id(text) in hidden or text.get_rotation() % 90:
            continue
        box = Text.get_window_extent(text)
        if box.width > 2 * slack and box.height > 2 * slack:
            found[text] = box.padded(-slack)
    return found


def seen(artist) -> bool:
    """Whether it is drawn, and the axes that hold it."""
    ax = getattr(artist, "axes", None)
    return artist.get_visible() and (ax is None or ax.get_visible())


def unseen(ax, axis) -> list:
    """What an axis holds and matplotlib does not draw: labels of ticks outside, all of an axis that is off."""
    if not (ax.axison and axis.get_visible()):
        return axis.findobj()
    drawn = axis._update_ticks()
    ticks = [tick for tick in (*axis.get_major_ticks(), *axis.get_minor_ticks()) if tick not in drawn]
    return [label for tick in ticks for label in (tick.label1, tick.label2)]


def curves(ax) -> list[tuple[str, np.ndarray]]:
    """The drawn lines of an axes and the middles of its dots, in pixels."""
    found = []
    for line in ax.lines:
        if line.get_visible() and line.get_alpha() != 0:
            path = line.get_transform().transform_path(line.get_path())
            points = path.vertices[np.isfinite(path.vertices).all(1)]
            drawn = line.get_linestyle() not in ("None", "", " ", "none")
            found += [(name_of(line), fine(points) if drawn else points)] if len(points) else []
    for part in ax.collections:
        if part.get_visible() and hasattr(part, "get_segments"):
            for ends in part.get_segments():
                found.append(("an interval", fine(part.get_transform().transform(ends))))
        elif part.get_visible() and len(part.get_offsets()) and part.get_array() is None:
            found.append(
                (name_of(part), part.get_offset_transform().transform(np.ma.filled(part.get_offsets(), np.nan)))
            )
    return found


def fine(points: np.ndarray) -> np.ndarray:
    """The points of a line with so many between them that no word slips through."""
    if len(points) > 2000 or len(points) < 2:
        return points
    parts = [np.linspace(a, b, max(2, min(400, int(np.abs(b - a).max() / 2)))) for a, b in itertools.pairwise(points)]
    return np.concatenate(parts)


def name_of(artist) -> str:
    label = str(artist.get_label())
    return "a line without a name" if label.startswith("_") else label


def touched(box, points: np.ndarray) -> bool:
    inside = (points > (box.x0, box.y0)) & (points < (box.x1, box.y1))
    return bool(inside.all(1).any())


def faults(fig) -> list[str]:
    """What cannot be read in a figure, in words; empty where all can."""
    found = words(fig)
    wrong = [f"{short(text)} says {key}, a key" for text in found for key in keys(text.get_text())]
    picture = fig.bbox.padded(SLACK)
    for text, box in found.items():
        if box.x0 < picture.x0 or box.y0 < picture.y0 or box.x1 > picture.x1 or box.y1 > picture.y1:
            wrong.append(f"{short(text)} is cut off at the edge")
    for (one, a), (other, b) in itertools.combinations(found.items(), 2):
        if a.overlaps(b):
            wrong.append(f"{short(one)} lies on {short(other)}")
    for axis in (ax.xaxis for ax in fig.axes):
        labels = sorted(
            (found[text].x0, found[text].x1, short(text)) for text in axis.get_ticklabels() if text in found
        )
        for (_, end, one), (start, _, other) in itertools.pairwise(labels):
            if 0 <= start - end < NEAR * fig.dpi / 100:
                wrong.append(f"{one} runs into {other}")
    for ax in fig.axes:
        legend = ax.get_legend()
        named = [text for text in legend.get_texts() if text in found] if legend and legend.get_visible() else []
        lines = {text: with_handle(text, found[text]) for text in named}  # of the legend
        free = [text for text in ax.texts if text in found and not text.get_bbox_patch()]
        for name, points in curves(ax) if named or free else []:
            wrong += [f"{short(text)} in the legend lies on {name}" for text in named if touched(lines[text], points)]
            wrong += [f"{short(text)} is crossed by {name}" for text in free if struck(found[text], points)]
        for bar in ax.patches if named else []:
            if bar.get_visible() and getattr(bar, "get_width", float)():
                solid = bar.get_window_extent().padded(-1)
                wrong += [f"{short(text)} in the legend lies on a bar" for text in named if lines[text].overlaps(solid)]
    return list(dict.fromkeys(wrong + halves(fig, found)))


COUNTS = re.compile(r"(\w+ )?(class(es)?|(device|block|epoch|round|step|layer)s?|passes|pictures)\b", re.IGNORECASE)


def halves(fig, found: dict) -> list[str]:
    """Axes that count things and have ticks between whole numbers."""
    wrong = []
    for axis in (axis for ax in fig.axes for axis in (ax.xaxis, ax.yaxis)):
        name = axis.label.get_text()
        ticks = [t.get_text() for t in axis.get_ticklabels() if t in found]
        if COUNTS.match(name) and not re.search("share|mean|loss|per cent|%|relative", name):
            wrong += [f"{name!r} counts and has a tick at {tick}" for tick in ticks if re.search(r"\d\.\d", tick)][:1]
    return wrong


KEYS = re.compile(
    r"\b(gan|style-gan|vae|ddpm|facebook|telegram|twitter|jpeg|psnr|ssim|auc|lpips)\b|[a-z0-9]+_[a-z0-9]+"
)


def keys(text: str) -> list[str]:
    """Names of a program that stand where words should: keys in lower case, and names with an underscore."""
    plain = re.sub(r"\$[^$]*\$|<code>.*?</code>|<[^>]+>", " ", text)
    return [found[0] for found in KEYS.finditer(plain)]


def with_handle(text, box):
    """A line of a legend: its words, and the handle to the left."""
    from matplotlib.transforms import Bbox

    return Bbox.from_extents(box.x0 - 2.5 * text.get_fontsize() * text.figure.dpi / 72, box.y0, box.x1, box.y1)


def struck(box, points: np.ndarray) -> bool:
    """A curve through the middle third of a word strikes it out; one that ends at it points to it."""
    third = box.height / 3
    inside = (points[:, 0] > box.x0) & (points[:, 0] < box.x1)
    inside &= (points[:, 1] > box.y0 + third) & (points[:, 1] < box.y1 - third)
    return bool(inside.any())


def short(text) -> str:
    return repr(re.sub(r"\s+", " ", text.get_text())[:30])
