"""Dress an executed notebook for the page: its opening, folded code, marks, numbers, a table of verdicts a section."""

from __future__ import annotations

import ast
import base64
import re
from collections import Counter
from copy import deepcopy

from nbformat.v4 import new_code_cell, new_markdown_cell, new_output

from deepfake_kit.notebook import claims
from deepfake_kit.notebook.run import NIGHT_KEY
from press import guess, keys, live, margin, nets, night, numbers, opening, templates
from press.course.notebooks import number_of
from press.opening import record, tags

CAPTION = re.compile(r'<p class="kit-caption">.*?</p>', re.DOTALL)
SECTION = re.compile(r"^## ", re.MULTILINE)
KEPT = re.compile(
    r'<div class="kit-kept" id="(?P<id>[^"]+)">(?:(?!</div>).)*?<img src="data:image/png;base64,(?P<picture>[^"]+)"',
    re.DOTALL,
)


def decorated(
    notebook,
    number: int,
    shown: tuple[str, ...] = (),
    repository: str = "",
    name: str = "",
    python: bool = False,
    ready: set[str] = frozenset(),
):
    """The notebook of chapter `number` as Sphinx shall see it; its title begins with that number.

    Code is folded, but for the cells that define what `shown` names, those tagged ``open``, and the stubs of
    exercises. myst-nb takes alternative text and caption from a cell's metadata, not from the output's, and gives
    them to every output of that cell. So a figure is put into a cell of its own, which shows no code.

    Parameters
    ----------
    notebook : NotebookNode
        The executed notebook; it is changed.
    number : int
        The chapter's number.
    shown : tuple of str
        What stays unfolded, by name.
    repository, name : str
        Address of the repository and name of the notebook, for the buttons; empty: no such button.
    python : bool
        Whether the book holds a Python that grades the exercises in the page.
    ready : set of str
        The networks that run in the page, see :func:`press.nets.write`.

    Raises
    ------
    ValueError
        If there is no title, a cell holds two figures, or the text asks for a mark that no run made.
    """
    marks, records = _take_marks(notebook)
    _number(notebook, number, {mark.anchor for mark in marks})
    about = opening.read(notebook)
    if not about.title:
        raise ValueError(f"chapter {number}: no Markdown cell begins with '# ' and a title")
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if not _empty(output)]
            if sum(record(output).get("type") == "figure" for output in cell.outputs) > 1:
                raise ValueError(f"cell {cell.id} shows two figures; one a cell, so that each keeps its own caption")
    text = "\n".join([_text(cell) for cell in notebook.cells] + [about.lead])
    named = {found[1] for found in margin.LINK.finditer(text)}
    cells = _with_tables(
        nets.placed(notebook.cells, name, ready), records, {mark.anchor: mark for mark in marks}, named
    )
    cells = _opened(cells, about, number, repository, name)
    cells = _folded(cells, shown, name, python)
    stored = margin.store([mark for mark in marks if mark.anchor in named])
    notebook.cells = [*cells, *([new_markdown_cell(stored, id="marks")] if stored else [])]
    return notebook


def _text(cell) -> str:
    """What a cell says in words, as Markdown."""
    if cell.cell_type == "markdown":
        return cell.source
    return "\n".join(
        output.data["text/markdown"] for output in cell.outputs if "text/markdown" in output.get("data", {})
    )


def _take_marks(notebook) -> tuple[list[margin.Mark], dict[str, list[dict]]]:
    """The marks that the run made, taken out of its outputs, and by cell the records that came with them."""
    marks, records = [], {}
    for cell in notebook.cells:
        kept = []
        for output in cell.get("outputs", []):
            mark = margin.read(output) if record(output).get("type") in ("claim", "check") else None
            if mark:
                marks.append(mark)
                records.setdefault(cell.id, []).append({**record(output), "anchor": mark.anchor})
            else:
                kept.append(output)
        if cell.cell_type == "code":
            cell.outputs = kept
    return marks, records


def _number(notebook, number: int, known: set[str]) -> None:
    """Number the displayed equations, and turn places of marks and references into links that Sphinx passes on."""
    told = {
        f"{kind}-{number:02d}-{about['id'].replace('_', '-')}": about["number"]
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if (about := record(output)).get("number") and (kind := numbers.KINDS.get(about["type"]))
    }
    records = [record(output) for cell in notebook.cells for output in cell.get("outputs", [])]
    values = {about["id"]: about["value"] for about in records if about.get("type") == "value"}
    own_equation = re.compile(rf"\bEq\. \({number}\.(\d+)\)")  # another number is that of a work's equation
    count = 0

    def tagged(found):
        nonlocal count
        count += 1
        return f"$${found[1]}$$ (eq-{number}-{count})"  # Sphinx counts through the book; mend.py says 6.4

    def linked(text):
        text = numbers.REFERENCE.sub(
            lambda found: f'<a class="kit-ref" href="#{found[1]}">{told.get(found[1], "?")}</a>', text
        )
        text = own_equation.sub(rf'<a class="kit-ref" href="#equation-eq-{number}-\1">Eq. ({number}.\1)</a>', text)
        return margin.placed(text, known)

    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            cell.source = linked(numbers.EQUATION.sub(tagged, cell.source))
            if "predict" in tags(cell):  # predict.js makes a form of it
                cell.source = f"::::{{container}} kit-predict\n{guess.told(cell, values)}\n::::"
        for output in cell.get("outputs", []):
            if "text/markdown" in output.get("data", {}):
                output.data["text/markdown"] = opening.EXPONENT.sub("-\u2060", linked(output.data["text/markdown"]))


def _with_tables(cells: list, records: dict, marks: dict, named: set[str]) -> list:
    """The cells, and at the end of each section that judges claims or checks equations one table of them."""
    out, due = [], []
    for cell in [*cells, None]:
        heading = SECTION.search(cell.source) if cell is not None and cell.cell_type == "markdown" else None
        if due and (cell is None or heading):
            if heading and (last := cell.source[: heading.start()].strip()):  # it belongs to the section that ends
                out.append(new_markdown_cell(last, id=f"{cell.id}-before"[-64:]))
                cell.source = cell.source[heading.start() :]
            rows = [
                (claims.find(one["id"]) if one["type"] == "claim" else None, one, marks[one["anchor"]]) for one in due
            ]
            counts = Counter(one["verdict"] for one in due if one["type"] == "claim")
            checks = sum(one["type"] == "check" for one in due)
            box = templates.render("section.html", rows=rows, counts=counts, checks=checks, named=named)
            out.append(_shown_only(f"{out[-1].id}-claims"[-64:], [_html(box)]))
            due = []
        if cell is not None:
            out.append(cell)
            due += records.get(cell.id, [])
    return out


def _opened(cells: list, about: opening.Opening, number: int, repository: str, name: str) -> list:
    """The cells with the chapter's opening in front, and without what moved there."""
    first = next(
        place for place, cell in enumerate(cells) if cell.cell_type == "markdown" and cell.source.startswith("# ")
    )
    head = [new_markdown_cell(f"# {number} · {about.title}", id="title-number")]  # found in the contents as well
    if about.question:
        head.append(_box("question", about.question))
    if about.hero:
        head.append(_figure(f"hero-{number:02d}", about.hero, f"hero-{number:02d}", record(about.hero)["caption"]))
    if about.answer:
        head.append(_box("answer", about.answer))
    if about.findings:
        head.append(_box("findings", "**What we found**\n\n" + "\n".join(f"- {item}" for item in about.findings)))
    head.append(
        new_markdown_cell(
            templates.render("opening.html", about=about, repository=repository, chapter=name, minutes=opening.minutes),
            id="opening-facts",
        )
    )
    lead = about.lead.strip()
    rest = [*cells[:first], *([new_markdown_cell(lead, id="lead")] if lead else []), *cells[first + 1 :]]
    kept = []
    for cell in rest:
        if "found" in tags(cell) and about.findings:
            cell.outputs = [one for one in cell.outputs if record(one).get("type") != "sentence"]
        if cell.cell_type == "markdown":
            cell.source = opening.FACT.sub("", cell.source).strip()
        if cell.cell_type == "code" or cell.source:
            kept.append(cell)
    return head + kept


def _box(kind: str, text: str):
    """A Markdown cell in a box of its own class."""
    return new_markdown_cell(f":::{{container}} kit-{kind}\n{text}\n:::", id=f"opening-{kind}")


def _folded(cells: list, shown: tuple[str, ...], chapter: str = "", python: bool = False) -> list:
    """The cells with code folded: what follows each other without a word between shares one fold, below its output."""
    out, due = [], []
    sections = [
        place for place, cell in enumerate(cells) if cell.cell_type == "markdown" and SECTION.search(cell.source)
    ]
    start = sections[0] if sections else 0

    def fold(label: str = "Code", outputs=(), kind: str = "hide-input") -> None:
        if due:
            source = "\n\n\n".join(cell.source for cell in due)
            n = sum(bool(line.strip()) for line in source.splitlines())
            lines = f"{label} · {n} line{'s' * (n > 1)}"
            cell = new_code_cell(source, id=f"{due[0].id}-fold"[-64:], outputs=list(outputs), execution_count=1)
            named = ["solution"] * (label == "Solution")
            cell.metadata = {"tags": [kind, *named], "mystnb": {"code_prompt_show": lines, "code_prompt_hide": lines}}
            out.append(cell)
            due.clear()

    setup = []  # outputs of the set-up: the table of settings, a stand-in's notice
    for place, cell in enumerate(cells):
        if place == start:
            fold("Set-up, parameters and settings", setup, "hide-cell" if setup else "hide-input")
        if cell.cell_type != "code" or cell.id.startswith("hero-"):
            if place >= start:
                fold()
            out.append(cell)
            continue
        if "remove-cell" in tags(cell):
            continue
        outputs, cell.outputs = cell.outputs, []
        number, solution = number_of(cell), "solution" in tags(cell)
        if number:  # what the book's own run said to an empty stub is no answer to the reader
            outputs = []
        stays, bare, alone = _stays_open(cell, shown), "remove-input" in tags(cell), cell.source.startswith("%%")
        if stays or alone or cell.id.endswith("-claims"):
            fold()
        if stays:
            cell.metadata.pop("tags", None)
            out.append(cell)
            if number:
                cell.metadata["tags"] = ["exercise"]
                out.append(live.desk(number, chapter, python))
        elif not bare:
            due.append(cell)
            if place < start:
                setup += outputs
                continue
        if outputs:
            out += _shown(cell, outputs)
        if (outputs or solution or alone) and not bare and not stays:
            told = [one["number"] for output in outputs if (one := record(output)).get("number")]
            fold("Solution" if solution else f"Code of {told[0]}" if told else "Code")
    fold()
    return out


def _stays_open(cell, shown: tuple[str, ...]) -> bool:
    """Whether the page shows a cell's code: an equation or algorithm of the chapter, or an exercise's stub."""
    if {"solution", "remove-input"} & set(tags(cell)):
        return False
    if "open" in tags(cell):
        return True
    if cell.source.startswith("%%"):
        return False
    if number_of(cell):
        return True
    tree = ast.parse("\n".join(keys.without_magics(cell.source)))
    return any(
        getattr(node, "name", "") in shown
        or any(
            isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store) and part.id in shown
            for part in ast.walk(node)
        )
        for node in tree.body
    )


def _shown(cell, outputs: list) -> list:
    """What a cell shows, without its code: its figure stands in a cell of its own."""
    place = next((k for k, output in enumerate(outputs) if record(output).get("type") == "figure"), None)
    if place is None:
        return [_shown_only(f"{cell.id}-shown"[-64:], outputs)]
    before, figure, after = outputs[:place], outputs[place], outputs[place + 1 :]
    about = record(figure)
    anchor = f"fig-{about['chapter'][:2]}-{about['id'].replace('_', '-')}"
    caption = f"**{about['number']}** {about['caption']}" if about.get("number") else about["caption"]
    for output in after:
        if "deepfake_kit_under" in output.get("metadata", {}):
            output.data["text/html"] = CAPTION.sub("", output.data["text/html"])
    cells = [_shown_only(f"{cell.id}-before"[-64:], before)] if before else []
    cells.append(_figure(f"{cell.id}-figure"[-64:], figure, anchor, caption))
    return cells + ([_shown_only(f"{cell.id}-after"[-64:], after)] if after else [])


def _figure(id: str, output, anchor: str, caption: str):
    """A cell that shows one figure with its alternative text and caption; :func:`nights` holds its dark version."""
    shown = deepcopy(output)
    shown.metadata.pop(NIGHT_KEY, None)
    cell = _shown_only(id, [shown])
    cell.metadata["mystnb"] = {"image": {"alt": record(output)["alt"]}, "figure": {"name": anchor, "caption": caption}}
    return cell


def nights(notebook) -> dict[str, bytes]:
    """The pictures for a dark page (WebP) by their figure's anchor; the opening's and a kept one have their own."""
    found = {}
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if NIGHT_KEY in output.get("metadata", {}):
                number, id = record(output)["chapter"][:2], record(output)["id"].replace("_", "-")
                for anchor in (f"fig-{number}-{id}", *([f"hero-{number}"] if "hero" in tags(cell) else [])):
                    found[anchor] = base64.b64decode(output.metadata[NIGHT_KEY])
    return found | {id: night.turned(picture) for id, picture in _kept(notebook)}


def evenings(notebook) -> dict[str, bytes]:
    """The pictures of a kept run (WebP) by their figure's anchor: within the page they weigh a third more."""
    return {id: night.light(picture) for id, picture in _kept(notebook)}


def _kept(notebook) -> list[tuple[str, bytes]]:
    """The anchors and pictures (PNG) of a kept run, which a notebook holds within its outputs."""
    outputs = (output for cell in notebook.cells for output in cell.get("outputs", []))
    texts = ("".join(output.get("data", {}).get("text/html", "")) for output in outputs)
    return [(kept["id"], base64.b64decode(kept["picture"])) for text in texts for kept in KEPT.finditer(text)]


def _html(text: str):
    return new_output("display_data", data={"text/html": text}, metadata={})


def _shown_only(id: str, outputs: list):
    """A cell of which the page shows only the outputs."""
    # myst-nb skips a cell without source, outputs and all.
    return new_code_cell("pass", id=id, outputs=outputs, metadata={"tags": ["remove-input"]}, execution_count=1)


def _empty(output) -> bool:
    """An output that only carries a record and shows nothing."""
    data = output.get("data", {})
    return (
        output.output_type == "display_data" and set(data) <= {"text/plain"} and not data.get("text/plain", "").strip()
    )
