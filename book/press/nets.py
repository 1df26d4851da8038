"""The book's networks in the reader's page: where each stands, and what the browser needs; nothing is sent anywhere."""

from __future__ import annotations

import importlib.util
import json
import shutil
from pathlib import Path
from typing import NamedTuple

from nbformat.v4 import new_code_cell, new_output

from press import assets, live, templates

PLACE = "_static/nets"  # inside the site


class Box(NamedTuple):
    """Where a network stands: its chapter, the cell it follows, what the reader does, and how it goes elsewhere."""

    chapter: str
    after: str
    title: str
    ask: str
    elsewhere: str


BOXES = {
    "garments": Box(
        "02_diffusion_math",
        "c43-095004-read",
        "Draw garments here",
        "The network that an evening's training left draws four pictures in your browser, by DDIM. Keep the noise and "
        "change the number of passes: what changes in the pictures, and what does not?",
        "In the notebook, `make lab` opens it: after the training "
        '`diffusion.sample(model, (4, 1, 28, 28), schedule, "ddim", 20, clip=1.0)` draws four.',
    ),
    "mark": Box(
        "12_proof_of_origin",
        "quality-explorable",
        "Mark a picture of your own",
        "RivaGAN hides four letters, 32 bits, in a picture of yours. Save it as JPEG at lower and lower quality, and "
        "read the letters back. The picture does not leave your computer.",
        "In the notebook, `make lab` opens it: after this section `put(riva, images, bits)` marks pictures and "
        "`bits_of(riva, images)` reads them.",
    ),
    "detector": Box(
        "07_vit_lora",
        "shipped",
        "Put a picture before the detector",
        "The smaller of the two detectors, `drawn-spectrum`, runs in your browser. Save a drawn portrait as JPEG, ever "
        "more coarsely: no generator made it, whatever the detector says. Then open a picture of yours, which does not "
        "leave your computer.",
        "On the command line: `deepfake-kit detect photo.jpg --model drawn-spectrum`.",
    ),
}


def can() -> bool:
    """Whether this machine can put networks into the page: what runs them is there, and what exports them."""
    return assets.runtime(fetch=False) is not None and importlib.util.find_spec("onnx") is not None


def write(folder: Path, chapters: list[str], root: Path) -> set[str]:
    """Write the networks of these chapters and what runs them, see :func:`press.live.pack`; returns their names."""
    wanted = [name for name, box in BOXES.items() if box.chapter in chapters]
    if not wanted or not can():
        return set()
    from press import export  # brings torch

    facts, parts = {}, {}
    for name in wanted:
        if made := export.MADE[name](BOXES[name].chapter, root):
            graphs, facts[name] = made
            parts |= {f"{one}.onnx": data for one, data in graphs.items()}
    parts["facts.json"] = json.dumps(facts).encode()
    parts |= {name: path.read_bytes() for name, path in assets.runtime(fetch=False).items()}
    live.pack(folder, parts, "nets.js")
    shutil.copyfile(live.HERE / "nets-LICENSE", folder / "LICENSE")
    return set(facts)


def placed(cells: list, chapter: str, ready: set[str] = frozenset()) -> list:
    """A chapter's cells with the box of each of its networks; one that is not `ready` says how it goes elsewhere."""
    out = []
    for cell in cells:
        out.append(cell)
        for name, box in BOXES.items():
            if (box.chapter, box.after) == (chapter, cell.id):
                html = templates.render("net.html", net=name, box=box, where=PLACE if name in ready else "")
                output = new_output("display_data", data={"text/html": html}, metadata={})
                tagged = {"tags": ["remove-input"]}
                out.append(
                    new_code_cell("pass", id=f"net-{name}", outputs=[output], metadata=tagged, execution_count=1)
                )
    return out
