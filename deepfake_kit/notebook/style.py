"""One look for every figure: colour-blind safe, readable on a phone and on a dark page."""

from __future__ import annotations

# Okabe and Ito's palette, the order chosen so that neighbours differ in lightness too.
COLOURS = ["#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000"]


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
