"""Dress an executed notebook for the page: alternative texts, numbered captions, a table of verdicts a section."""

from __future__ import annotations

import re
from collections import Counter

from nbformat.v4 import new_code_cell, new_output

from deepfake_kit.notebook import claims
from deepfake_kit.notebook.run import METADATA_KEY
from press import templates

CAPTION = re.compile(r'<p class="kit-caption">.*?</p>', re.DOTALL)


def decorated(notebook, number: int):
    """The notebook of chapter `number` as Sphinx shall see it; its title begins with that number.

    myst-nb takes alternative text and caption from a cell's metadata, not from the output's, and gives
    them to every output of that cell. So a figure is put into a cell of its own, which shows no code.

    Raises
    ------
    ValueError
        If there is no title, or a cell holds two figures.
    """
    cells = []
    titles = (cell for cell in notebook.cells if cell.cell_type == "markdown" and cell.source.startswith("# "))
    if not (title := next(titles, None)):
        raise ValueError(f"chapter {number}: no Markdown cell begins with '# ' and a title")
    title.source = f"# {number} · {title.source[2:]}"  # "chapter 4" in the text is found in the contents
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type != "code":
            cells.append(cell)
            continue
        cell.outputs = [output for output in cell.outputs if not _empty(output)]
        places = [place for place, output in enumerate(cell.outputs) if _record(output).get("type") == "figure"]
        if len(places) > 1:
            raise ValueError(
                f"cell {index} shows {len(places)} figures; one a cell, so that each keeps its own caption"
            )
        cells += _split(cell, places[0]) if places else [cell]
    notebook.cells = _with_tables(cells)
    return notebook


def _with_tables(cells: list) -> list:
    """The cells, and at the end of each section that judges claims one table of them."""
    out, records = [], []
    for cell in [*cells, None]:
        if records and (cell is None or cell.cell_type == "markdown" and re.search("^## ", cell.source, re.MULTILINE)):
            rows = [(claims.find(record["id"]), record) for record in records]
            counts = Counter(record["verdict"] for record in records)
            box = templates.render("section.html", rows=rows, counts=counts)
            shown = new_output("display_data", data={"text/html": box}, metadata={})
            out.append(_shown_only(f"{out[-1].id}-claims"[-64:], [shown]))
            records = []
        if cell is not None:
            out.append(cell)
            records += [_record(output) for output in cell.get("outputs", []) if _record(output).get("type") == "claim"]
    return out


def _split(cell, place: int) -> list:
    """The cell with what it shows before its figure, the figure, and what it shows after it."""
    before, figure, after = cell.outputs[:place], cell.outputs[place], cell.outputs[place + 1 :]
    record = _record(figure)
    cell.outputs = before
    alone = _shown_only(f"{cell.id}-figure"[-64:], [figure])
    alone.metadata["mystnb"] = {
        "image": {"alt": record["alt"]},
        "figure": {
            "name": f"fig-{record['chapter'][:2]}-{record['id'].replace('_', '-')}",
            "caption": record["caption"],
        },
    }
    for output in after:
        if "deepfake_kit_under" in output.get("metadata", {}):
            output.data["text/html"] = CAPTION.sub("", output.data["text/html"])
    return [cell, alone, *([_shown_only(f"{cell.id}-after"[-64:], after)] if after else [])]


def _shown_only(id: str, outputs: list):
    """A cell of which the page shows only the outputs."""
    # myst-nb skips a cell without source, outputs and all.
    return new_code_cell("pass", id=id, outputs=outputs, metadata={"tags": ["remove-input"]}, execution_count=1)


def _record(output) -> dict:
    return output.get("metadata", {}).get(METADATA_KEY) or {}


def _empty(output) -> bool:
    """An output that only carries a record and shows nothing."""
    data = output.get("data", {})
    return (
        output.output_type == "display_data" and set(data) <= {"text/plain"} and not data.get("text/plain", "").strip()
    )
