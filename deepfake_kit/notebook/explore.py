"""Explorables that work with no kernel and no network: a slider over precomputed frames.

The frames live in an ipywidgets ``Stack``; ``jslink`` ties it to the slider in the
browser, so it moves on the published page, in JupyterLab and on Colab alike.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence

MAXIMUM_FRAMES = 60


def slider(frames: Sequence, labels: Sequence[str], name: str, alts: Sequence[str], width: int = 640):
    """A slider that shows one of several precomputed frames.

    Parameters
    ----------
    frames : sequence of matplotlib figures, PNG bytes or uint8 arrays
        One picture a position; figures are closed. Arrays are [H,W] or [H,W,3].
    labels : sequence of str
        What each position stands for, e.g. ``"t = 100"``; shown above the frame.
    name : str
        What the slider changes, e.g. ``"diffusion step t"``.
    alts : sequence of str
        Alternative text of each frame.
    width : int
        Largest width in CSS pixels; narrower screens shrink it.

    Returns
    -------
    ipywidgets.VBox
        The slider over the stack of frames.

    Raises
    ------
    ValueError
        If the sequences differ in length, are empty or longer than 60.
    """
    import ipywidgets

    if not len(frames) == len(labels) == len(alts):
        raise ValueError(f"frames, labels and alts must be equally long; got {len(frames)}, {len(labels)}, {len(alts)}")
    if not 2 <= len(frames) <= MAXIMUM_FRAMES:
        raise ValueError(f"frames must hold 2 to {MAXIMUM_FRAMES} pictures; got {len(frames)}")
    pages = []
    for frame, label, alt in zip(frames, labels, alts, strict=True):
        source = base64.b64encode(_png(frame)).decode()
        pages.append(
            ipywidgets.HTML(
                f'<div class="kit-frame"><p><strong>{html.escape(name)}: {html.escape(str(label))}</strong></p>'
                f'<img src="data:image/png;base64,{source}" alt="{html.escape(alt, quote=True)}" '
                f'style="width:100%;max-width:{width}px;background:white"></div>'
            )
        )
    stack = ipywidgets.Stack(pages, selected_index=0)
    handle = ipywidgets.IntSlider(
        min=0,
        max=len(pages) - 1,
        value=0,
        readout=False,
        description=name,
        style={"description_width": "initial"},
        layout=ipywidgets.Layout(width="100%", max_width=f"{width}px"),
    )
    ipywidgets.jslink((handle, "value"), (stack, "selected_index"))
    box = ipywidgets.VBox([handle, stack])
    box.add_class("kit-explorable")
    return box


def _png(frame) -> bytes:
    """PNG bytes of a figure, of an array, or the bytes themselves; palette-reduced to keep pages light."""
    from PIL import Image

    if isinstance(frame, bytes):
        return frame
    stream = io.BytesIO()
    if hasattr(frame, "savefig"):
        import matplotlib.pyplot as plt

        frame.savefig(stream, format="png", dpi=100)
        plt.close(frame)
        image = Image.open(stream).convert("RGB")
    else:
        image = Image.fromarray(frame)
    if image.mode == "RGB":
        # A palette makes the page a third as heavy. An octree keeps rare colours; the median cut lets a few blue dots
        # on a large map turn green.
        image = image.quantize(256, Image.Quantize.FASTOCTREE)
    stream = io.BytesIO()
    image.save(stream, format="png", optimize=True)
    return stream.getvalue()
