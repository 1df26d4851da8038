"""One look for every figure: colour-blind safe, readable on a phone and on a dark page."""

from __future__ import annotations

from pathlib import Path

# Okabe and Ito's palette, the order chosen so that neighbours differ in lightness too.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000"]
BLUE, ORANGE, GREEN, PINK, SKY, YELLOW, BLACK = COLOURS


def use() -> None:
    """Set matplotlib's defaults to the book's style.

    Examples
    --------
    >>> use()
    """
    import matplotlib.style as mpl_style
    from cycler import cycler

    sheet = Path(__file__).with_name("style.mplstyle")
    mpl_style.use([sheet, {"axes.prop_cycle": cycler(color=COLOURS)}])


def turned(colour):
    """A colour on a dark page, as red, green, blue and opacity; "none" where it is transparent.

    >>> turned("black"), turned("none")
    ((0.9, 0.9, 0.9, 1.0), 'none')
    """
    from matplotlib.colors import to_rgba

    r, g, b, a = to_rgba(colour)
    if not a:
        return "none"
    grey = max(r, g, b) - min(r, g, b) < 0.1
    return tuple(float(0.9 - 0.8 * x if grey else 0.25 + 0.75 * x) for x in (r, g, b)) + (float(a),)


def night(fig) -> None:
    """Make a figure one for a dark page: grey ink turns over, colours brighten, pictures and maps stay as they are.

    Examples
    --------
    >>> import matplotlib.pyplot as plt
    >>> fig, ax = plt.subplots()
    >>> title = ax.set_title("black on white")
    >>> night(fig)
    >>> title.get_color()
    (0.9, 0.9, 0.9, 1.0)
    >>> plt.close(fig)
    """
    import numpy as np

    kept = {fig.patch, *(ax.patch for ax in fig.axes)}
    for ax in fig.axes:
        if ax.images or any(part.get_array() is not None for part in ax.collections):
            kept |= {*ax.texts, *ax.lines, *ax.patches, *ax.collections}  # drawn upon a picture, whose colours stay
    parts = {part for part in fig.findobj() if part not in kept}
    for part in list(parts):  # what findobj passes over
        parts |= {getattr(part, name, None) for name in ("_bbox_patch", "arrow_patch")} - {None}
    changes = []  # read first: a marker takes its line's colour
    for part in parts:
        filled = hasattr(part, "get_facecolor")
        for name in ("facecolor", "edgecolor") if filled else ("color", "markerfacecolor", "markeredgecolor"):
            found = getattr(part, f"get_{name}", lambda: "none")()
            if not isinstance(found, str) or found not in ("none", "auto"):
                many = np.ndim(found) == 2
                changes.append((getattr(part, f"set_{name}"), [turned(x) for x in found] if many else turned(found)))
    for change, colour in changes:
        change(colour)
    for ax in (fig, *fig.axes):
        ax.patch.set_alpha(0)


def sheet(images, columns: int):
    """Images laid out in rows of `columns`, as one picture for ``imshow``; places left over are white.

    Parameters
    ----------
    images : Tensor [N, C, H, W]
        In [0, 1], C = 1 (grey) or 3.
    columns : int

    Returns
    -------
    ndarray [rows * H, columns * W] if C = 1, else [rows * H, columns * W, 3]

    Examples
    --------
    >>> import torch
    >>> sheet(torch.zeros(5, 3, 8, 8), columns=4).shape
    (16, 32, 3)
    """
    n, channels, height, width = images.shape
    rows = -(-n // columns)
    page = images.new_ones(rows * columns, channels, height, width)
    page[:n] = images
    grid = page.reshape(rows, columns, channels, height, width).permute(0, 3, 1, 4, 2)
    picture = grid.reshape(rows * height, columns * width, channels).detach().cpu().numpy()
    return picture[..., 0] if channels == 1 else picture
