"""How a chapter opens: its question, a figure with the answer, what was found, what it takes to read and to run.

The notebook holds the pieces where they are made, so that it runs from top to bottom; the page shows them first:

- the paragraph in italics under the title is the question;
- the figure of the cell tagged ``hero`` is shown there too, the answer below its caption;
- the ``run.say`` of the cell tagged ``found`` gives the answer (its first paragraph) and a list of three findings;
- the paragraphs that begin with **Prerequisites.** and **Time.** move up from the objectives.

A piece that a chapter lacks is left out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from deepfake_kit.notebook.page import METADATA_KEY

TITLE = re.compile(r"# (?P<title>[^\n]+)\n+(?:\*(?P<question>[^*].*?)\*\n+)?(?P<lead>.*)", re.DOTALL)
EXPONENT = re.compile(r"(?<=\de)-(?=\d)")  # of 3e-07, behind which a browser would end the line
FACT = re.compile(r"^\*\*(Prerequisites|Time)\.\*\*\s*(.+?)(?:\n\s*\n|\Z)", re.DOTALL | re.MULTILINE)


@dataclass
class Opening:
    """What a chapter says first; empty where it says nothing."""

    title: str = ""
    question: str = ""
    lead: str = ""
    answer: str = ""
    findings: list[str] = field(default_factory=list)
    hero: object = None  # the output that shows the figure
    facts: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0
    machine: str = ""


def tags(cell) -> list[str]:
    """A cell's tags."""
    return cell.metadata.get("tags", [])


def record(output) -> dict:
    """What a run noted about an output."""
    return output.get("metadata", {}).get(METADATA_KEY) or {}


def read(notebook) -> Opening:
    """What an executed notebook says about itself. The notebook stays as it is."""
    first = next(
        (cell for cell in notebook.cells if cell.cell_type == "markdown" and cell.source.startswith("# ")), None
    )
    about = TITLE.match(first.source + "\n") if first else None
    opening = (
        Opening(**{name: (text or "").strip() for name, text in about.groupdict().items()}) if about else Opening()
    )
    opening.seconds = notebook.metadata.get(METADATA_KEY, {}).get("seconds", 0.0)
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            opening.facts.update({name: " ".join(text.split()) for name, text in FACT.findall(cell.source)})
            continue
        for output in cell.outputs:
            kind = record(output).get("type")
            if kind == "start":
                where = record(output)["environment"]
                threads = f"{where['threads']} thread{'s' * (where['threads'] != 1)}"
                opening.machine = f"{where['accelerator'] or where['processor']}, {threads}"
            if "hero" in tags(cell) and kind == "figure":
                opening.hero = output
            if "found" in tags(cell) and kind == "sentence":
                opening.answer, _, rest = EXPONENT.sub("-\u2060", record(output)["text"]).partition("\n\n")
                opening.findings = [" ".join(item.split()) for item in re.split(r"^- ", rest, flags=re.MULTILINE)[1:]]
    return opening


def minutes(seconds: float) -> str:
    """A time in words that a reader can plan with.

    Examples
    --------
    >>> minutes(24), minutes(230)
    ('24 seconds', '3.8 minutes')
    """
    return f"{seconds:.0f} seconds" if seconds < 90 else f"{seconds / 60:.1f} minutes"
