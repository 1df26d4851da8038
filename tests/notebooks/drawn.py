"""Whether the words of a figure can be read: each in a place of its own, off the curves, inside the picture.

Decided from matplotlib's boxes after the layout. Words may lie on pictures and maps.
"""

from __future__ import annotations

import itertools
import re

import numpy as np

SLACK = 1.5  # pixels at 100 an inch that two boxes may share: letters leave as much free at their box's edge


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
    """Whether it is drawn, and all that holds it."""
    return artist.get_visible() and all(
        ax.get_visible() and (ax.axison or not isaxis(artist, ax)) for ax in [getattr(artist, "axes", None)] if ax
    )


def isaxis(artist, ax) -> bool:
    return any(artist in axis.findobj() for axis in (ax.xaxis, ax.yaxis))


def unseen(ax, axis) -> list:
    """The labels of ticks that lie outside the axis: matplotlib keeps them and does not draw them."""
    low, high = sorted(axis.get_view_interval())
    ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
    room = 1e-9 * (high - low)
    out = [t for t in ticks if not low - room <= t.get_loc() <= high + room or not t.get_visible()]
    labels = [label for t in out for label in (t.label1, t.label2)]
    return labels + ([] if ax.axison and axis.get_visible() else [*axis.findobj()])


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
        if part.get_visible() and len(part.get_offsets()) and part.get_array() is None:
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
    found, wrong = words(fig), []
    picture = fig.bbox.padded(SLACK)
    for text, box in found.items():
        if box.x0 < picture.x0 or box.y0 < picture.y0 or box.x1 > picture.x1 or box.y1 > picture.y1:
            wrong.append(f"{short(text)} is cut off at the edge")
    for (one, a), (other, b) in itertools.combinations(found.items(), 2):
        if a.overlaps(b):
            wrong.append(f"{short(one)} lies on {short(other)}")
    for ax in fig.axes:
        legend = ax.get_legend()
        named = [text for text in legend.get_texts() if text in found] if legend and legend.get_visible() else []
        free = [text for text in ax.texts if text in found and not text.get_bbox_patch()]
        for name, points in curves(ax) if named or free else []:
            wrong += [f"{short(text)} in the legend lies on {name}" for text in named if touched(found[text], points)]
            wrong += [f"{short(text)} is crossed by {name}" for text in free if struck(found[text], points)]
        for bar in ax.patches if named else []:
            if bar.get_visible() and getattr(bar, "get_width", float)():
                solid = bar.get_window_extent().padded(-1)
                wrong += [f"{short(text)} in the legend lies on a bar" for text in named if found[text].overlaps(solid)]
    return list(dict.fromkeys(wrong))


def struck(box, points: np.ndarray) -> bool:
    """A curve through the middle third of a word strikes it out; one that ends at it points to it."""
    third = box.height / 3
    inside = (points[:, 0] > box.x0) & (points[:, 0] < box.x1)
    inside &= (points[:, 1] > box.y0 + third) & (points[:, 1] < box.y1 - third)
    return bool(inside.any())


def short(text) -> str:
    return repr(re.sub(r"\s+", " ", text.get_text())[:30])
