"""Diagrams of boxes and arrows: what a network, an algorithm or a protocol hands to whom."""

from __future__ import annotations

from deepfake_kit.notebook.style import BLACK


def diagram(boxes: dict, arrows=(), size=(4.8, 2.4), fontsize: int = 11):
    """Draw boxes joined by arrows, for ``run.figure``; readable on a phone up to 4.8 inches wide, in light and dark.

    Parameters
    ----------
    boxes : dict of str to tuple
        By name ``(x, y, text)``, ``(x, y, text, colour)`` or ``(x, y, text, colour, (width, height))``: the middle in
        inches from the lower left corner; a colour of :mod:`deepfake_kit.notebook.style`, or None for words without a
        box. Without a size the box fits its text.
    arrows : sequence of tuple
        ``(from, to)``, ``(from, to, label)`` or ``(from, to, label, options)``, both ends named as in `boxes`. Options:
        ``bend`` (0 is straight, the sign says to which side), ``dashed``, ``colour``, ``at``: where the label stands,
        (x, y) in inches; else beside the arrow's middle.
    size : tuple of float
        Width and height of the figure in inches.
    fontsize : int
        Points.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    ValueError
        If an arrow names a box that is not there, or an option that is unknown.

    Examples
    --------
    >>> fig = diagram(
    ...     {"x": (0.6, 0.5, "face"), "E": (2, 0.5, "encoder", BLACK), "z": (3.4, 0.5, "code")},
    ...     [("x", "E"), ("E", "z", "64 numbers")], size=(4, 1))
    >>> [text.get_text() for text in fig.axes[0].texts]
    ['face', 'encoder', 'code', '64 numbers']
    """
    import matplotlib.pyplot as plt
    from matplotlib.colors import to_rgba
    from matplotlib.patches import FancyArrowPatch, FancyBboxPatch

    fig, ax = plt.subplots(figsize=size, layout="constrained")
    fig.get_layout_engine().set(w_pad=0, h_pad=0)  # one unit is one inch
    ax.set(xlim=(0, size[0]), ylim=(0, size[1]))
    ax.axis("off")
    placed = {}
    for name, (x, y, text, *more) in boxes.items():
        colour, extent = [*more, *(BLACK, None)[len(more) :]]
        words = ax.text(x, y, text, ha="center", va="center", fontsize=fontsize, linespacing=1.25)
        around = words.get_window_extent()
        width, height = extent or (around.width / fig.dpi + 0.18, around.height / fig.dpi + 0.16)
        fill, edge = ("none", "none") if colour is None else (to_rgba(colour, 0.15), colour)
        corner, shape = (x - width / 2, y - height / 2), "round,pad=0,rounding_size=0.06"
        placed[name] = FancyBboxPatch(corner, width, height, shape, fc=fill, ec=edge, lw=1.4, zorder=1)
        ax.add_patch(placed[name])
    for start, end, *more in arrows:
        if missing := {start, end} - set(placed):
            raise ValueError(f"arrow {start!r} to {end!r}: no box is named {sorted(missing)}; boxes: {sorted(placed)}")
        label, given = [*more, *("", {})[len(more) :]]
        options = {"bend": 0, "dashed": False, "colour": BLACK, "at": None} | given
        if len(options) > 4:
            raise ValueError(f"arrow {start!r} to {end!r}: options: bend, dashed, colour and at; got {sorted(given)}")
        (x, y), (to_x, to_y), bend = boxes[start][:2], boxes[end][:2], options["bend"]
        arrow = FancyArrowPatch((x, y), (to_x, to_y), arrowstyle="-|>", patchA=placed[start], patchB=placed[end])
        arrow.set(connectionstyle=f"arc3,rad={bend}", linestyle="--" if options["dashed"] else "-", lw=1.4)
        arrow.set(color=options["colour"], mutation_scale=12)
        ax.add_patch(arrow)
        if label:
            middle = (x + to_x + bend * (to_y - y)) / 2, (y + to_y - bend * (to_x - x)) / 2 + 0.13
            ax.text(*(options["at"] or middle), label, ha="center", va="center", fontsize=fontsize - 1)
    return fig
