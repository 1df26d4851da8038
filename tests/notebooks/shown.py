"""What every executed chapter is held to, at profile smoke: a rule is given the notebook and asserts."""

from __future__ import annotations

import json
import os
import re
import sys
from pathlib import Path

import drawn
import nbformat
from bs4 import BeautifulSoup
from press import gates, speed, worker
from press.runs import results

from deepfake_kit.notebook import bands, settings
from deepfake_kit.notebook.page import METADATA_KEY

ROOT = Path(__file__).resolve().parents[2]
KERNEL = "drawn"


def kernel(folder: Path, python: Path | str = sys.executable) -> str:
    """Write down a python's kernel that looks at figures (drawn_kernel.py); returns where Jupyter finds it."""
    place = folder / "kernels" / KERNEL / "kernel.json"
    place.parent.mkdir(parents=True, exist_ok=True)
    program = [str(python), str(Path(__file__).with_name("drawn_kernel.py")), "-f", "{connection_file}"]
    place.write_text(json.dumps({"argv": program, "display_name": "Python 3", "language": "python"}), "utf-8")
    return str(folder)


def every_cell_runs_in_half_a_minute(path: Path) -> None:
    found = results.collect(path)
    # The bound is for an idle machine; the factors cover one that is busy with other tests, or slower.
    busy, slow = os.getloadavg()[1] / os.cpu_count(), speed.factor()
    assert found["seconds"] <= 3 * 30 * max(1, busy) * max(1, slow)
    assert found["profile"] == "smoke"


def shows_what_a_chapter_must_show(path: Path) -> None:
    found = results.collect(path)
    kinds = [record["type"] for record in found["records"]]
    assert kinds.count("figure") >= 2 and kinds.count("explorable") >= 1
    assert kinds.count("claim") + kinds.count("check") >= 3
    assert any(record["type"] == "table" and record["id"] == "settings" for record in found["records"])


def solutions_are_right_and_stubs_unanswered(path: Path) -> None:
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type != "code" or not re.search(r"\bcheck\(", cell.source):
            continue
        said = "".join(output.get("text", "") for output in cell.outputs)
        expected = ": right." if "solution" in cell.metadata.get("tags", []) else ": not answered yet."
        assert expected in said, f"{cell.source[:80]!r} said {said!r}"


def every_picture_comes_with_words_and_nothing_is_said_on_the_side(path: Path) -> None:
    """A figure drawn in one cell and shown in the next would appear twice, the first time without words."""
    for cell in nbformat.read(path, as_version=4).cells:
        for output in cell.get("outputs", []):
            assert "image/png" not in output.get("data", {}) or METADATA_KEY in output.metadata, cell.source[:200]
            assert output.get("name") != "stderr", f"{cell.source[:200]!r} said {output.text[:300]!r}"


def nothing_of_this_machine_is_left(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert str(ROOT) not in text and str(Path.home()) + "/" not in text


def each_number_said_is_a_result(path: Path) -> None:
    """The gate that a whole book meets: at toy size, too, a page says no ``nan``."""
    assert gates.numbers_without_result(results.collect(path)) == []


def opens_only_what_its_settings_list(path: Path) -> None:
    """What no list names is in no key: the build refuses such a run, so no profile may make one."""
    assert worker.unlisted(results.collect(path)) == []


def heads(path: Path) -> list[str]:
    """The words at the head of each column and row of a chapter's tables."""
    outputs = (out for cell in nbformat.read(path, as_version=4).cells for out in cell.get("outputs", []))
    pages = ("".join(out.get("data", {}).get("text/html", "")) for out in outputs)
    found = (BeautifulSoup(page, "html.parser").select("table.kit-table th") for page in pages if "kit-table" in page)
    return [cell.decode_contents() for cells in found for cell in cells]


def the_words_of_figures_and_tables_can_be_read(path: Path) -> None:
    """Each in its own place, off the curves, none a key of the program."""
    seen = [json.loads(line) for line in path.with_suffix(".drawn").read_text(encoding="utf-8").splitlines()]
    assert len(seen) >= 3
    assert {id: wrong for row in seen for id, wrong in row.items() if wrong} == {}
    named = {setting.replace("_", " ") for setting in settings.load(path.stem).settings}  # the settings' own table
    words = [word for word in heads(path) if word not in named]
    assert len(words) > 10 and {word: drawn.keys(word) for word in words if drawn.keys(word)} == {}


def its_numbers_lie_in_their_bands(path: Path) -> None:
    """A change that moves a chapter's numbers leaves bands that call every reader's run wrong: measure them again.

    Other code is no excuse; other data, parameters or libraries are. A patch release of Python changes no number.
    """
    found = results.collect(path)
    band = bands.load(found["chapter"], "smoke")
    if band is None or bands.causes(found, {**band, "code": {}, "versions": _libraries(band)}):
        return
    lines = bands.compare(bands.numbers(found["records"]), band)
    assert [str(line) for line in lines if line.away > 1] == []


def _libraries(band: dict) -> dict[str, str]:
    return {name: version for name, version in band["versions"].items() if name != "python"}


RULES = (
    every_cell_runs_in_half_a_minute,
    shows_what_a_chapter_must_show,
    solutions_are_right_and_stubs_unanswered,
    every_picture_comes_with_words_and_nothing_is_said_on_the_side,
    nothing_of_this_machine_is_left,
    each_number_said_is_a_result,
    opens_only_what_its_settings_list,
    its_numbers_lie_in_their_bands,
    the_words_of_figures_and_tables_can_be_read,
)
