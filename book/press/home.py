"""The home page: one picture, what was found, a card a chapter. All of it is read from the executed notebooks."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

from deepfake_kit.notebook import settings
from deepfake_kit.notebook.run import NIGHT_KEY
from press import opening, templates

WIDTH = 640  # pixels of a card's picture, twice what a screen shows
CARDS = "_images/cards"
FOUND = 5  # sentences that say what was found
HOLDS = ("reproduced", "direction-holds", "adds-up")
FAILS = ("contradicted", "does-not-add-up")


def card(notebook, result: dict, folder: Path) -> dict:
    """What the home page tells of one chapter; its picture, and the one for a dark page, are put into `folder`.

    Parameters
    ----------
    notebook : NotebookNode
        The executed notebook, not yet dressed.
    result : dict
        The chapter's results.
    folder : Path
        Where the site's own files are staged; the pictures go below `CARDS` in it.
    """
    about = opening.read(notebook)
    output = about.hero or next(
        (
            output
            for cell in notebook.cells
            for output in cell.get("outputs", [])
            if opening.record(output).get("type") == "figure"
        ),
        None,
    )
    found = {
        "number": int(result["chapter"][:2]),
        "chapter": result["chapter"],
        "title": settings.load(result["chapter"]).title,
        "about": about,
        "reading": (re.search(r"(\d+) minutes to read", about.facts.get("Time", "")) or ["", ""])[1],
        "running": opening.minutes(result["seconds"] or 0),
        "holds": _count(result, HOLDS),
        "fails": _count(result, FAILS),
        "open": _count(result, ("undecided", "not-comparable")),
        "alt": "",
        "shows": "",
        "night": False,
    }
    if output is not None:
        found["alt"], found["shows"] = (opening.record(output)[key] for key in ("alt", "caption"))
        found["night"] = NIGHT_KEY in output.metadata
        _picture(output.data["image/png"], folder / CARDS / f"{result['chapter'][:2]}.webp")
        if found["night"]:
            _picture(output.metadata[NIGHT_KEY], folder / CARDS / f"{result['chapter'][:2]}-night.webp")
    return found


def page(cards: list[dict]) -> str:
    """The home page's picture, findings and cards as Markdown; a chapter that says no answer gives no finding."""
    told = [one for one in cards if one["about"].answer]
    hero, rest = next(iter(told), None), told[1:]
    count = min(FOUND, len(rest))
    found = [rest[round(k * (len(rest) - 1) / max(1, count - 1))] for k in range(count)]  # from all parts of the book
    text = templates.render("home.html", cards=cards, hero=hero, found=found, folder=CARDS)
    return re.sub(r"\n(## .*)\n", r"\n\n\1\n\n", text)  # a heading is Markdown, for the list of contents


def _count(result: dict, verdicts: tuple[str, ...]) -> int:
    return sum(record.get("verdict") in verdicts for record in result["records"])


def _picture(source: str, target: Path) -> None:
    from PIL import Image

    image = Image.open(io.BytesIO(base64.b64decode(source)))
    image.thumbnail((2 * WIDTH, 2 * WIDTH))
    target.parent.mkdir(parents=True, exist_ok=True)
    image.save(target, format="webp", quality=88)
