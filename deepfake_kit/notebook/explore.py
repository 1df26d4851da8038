"""Explorables that work with no kernel and no network: a slider over precomputed frames.

The frames live in an ipywidgets ``Stack``; ``jslink`` ties it to the slider in the
browser, so it moves on the published page, in JupyterLab and on Colab alike.
"""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Sequence

from PIL import Image

from deepfake_kit.notebook import style
from deepfake_kit.valid import require, whole

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

    counts = (len(frames), len(labels), len(alts))
    require(len({*counts}) == 1, "frames, labels, alts", counts, "equally many")
    whole("the number of frames", len(frames), 2, MAXIMUM_FRAMES)
    pages = []
    for frame, label, alt in zip(frames, labels, alts, strict=True):
        pictures = _pictures(frame)
        shown = "".join(
            f'<img class="{only if len(pictures) > 1 else ""}" alt="{html.escape(alt, quote=True)}" '
            f'src="data:image/webp;base64,{base64.b64encode(picture).decode()}" '
            f'style="width:100%;max-width:{width}px;{more}">'
            # Only the book's own style sheet knows a dark page; everywhere else the day's picture is shown.
            for picture, only, more in zip(pictures, ("only-light", "only-dark"), ("background:white", "display:none"))
        )
        title = f"<p><strong>{html.escape(name)}: {html.escape(str(label))}</strong></p>"
        pages.append(ipywidgets.HTML(f'<div class="kit-frame">{title}{shown}</div>'))
    stack = ipywidgets.Stack(pages, selected_index=0)
    look = {"style": {"description_width": "initial"}, "layout": {"width": "100%", "max_width": f"{width}px"}}
    handle = ipywidgets.IntSlider(min=0, max=len(pages) - 1, value=0, readout=False, description=name, **look)
    ipywidgets.jslink((handle, "value"), (stack, "selected_index"))
    box = ipywidgets.VBox([handle, stack])
    box.add_class("kit-explorable")
    return box


def _pictures(frame) -> list[bytes]:
    """A frame as WebP, for a light page and for a dark one; of a picture without ink there is one for both."""
    if isinstance(frame, bytes):
        return [_webp(Image.open(io.BytesIO(frame)).convert("RGB"))]
    if not hasattr(frame, "savefig"):
        return [_webp(Image.fromarray(frame))]
    import matplotlib.pyplot as plt

    day, night = io.BytesIO(), io.BytesIO()
    frame.savefig(day, format="png", dpi=100)
    style.night(frame)
    frame.savefig(night, format="png", dpi=100, facecolor="none")
    plt.close(frame)
    return [_webp(Image.open(day).convert("RGB")), _webp(Image.open(night))]


def _webp(image: Image.Image) -> bytes:
    """Lossless, its palette reduced: a third as heavy."""
    if image.mode != "L":
        # An octree keeps rare colours; the median cut lets a few blue dots on a large map turn green.
        image = image.quantize(256, Image.Quantize.FASTOCTREE).convert(image.mode)
    stream = io.BytesIO()
    image.save(stream, format="webp", lossless=True)
    return stream.getvalue()
