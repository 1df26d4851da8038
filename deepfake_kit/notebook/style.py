"""One look for every figure: colour-blind safe, readable on a phone and on a dark page."""

from __future__ import annotations

# Okabe and Ito's palette, the order chosen so that neighbours differ in lightness too.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000"]
BLUE, ORANGE, GREEN, PINK, SKY, YELLOW, BLACK = COLOURS


def use() -> None:
    """Set matplotlib's defaults to the book's style.

    Examples
    --------
    >>> use()
    """
    import matplotlib as mpl
    from cycler import cycler

    mpl.rcParams.update(
        {
            "figure.figsize": (6.4, 3.6),
            "figure.dpi": 110,
            "figure.facecolor": "white",
            "figure.constrained_layout.use": True,
            "savefig.facecolor": "white",
            "axes.prop_cycle": cycler(color=COLOURS),
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlesize": 12,
            "axes.labelsize": 12,
            "font.size": 12,
            "xtick.labelsize": 11,
            "ytick.labelsize": 11,
            "legend.fontsize": 11,
            "legend.frameon": False,
            "lines.linewidth": 2.0,
            "image.cmap": "gray",
            "image.interpolation": "nearest",
        }
    )


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
