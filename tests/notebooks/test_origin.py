"""Chapter 12: what a reader is told of each file; its switch and planted faults show where the chapter says."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from press.runs import execute, results

ROOT = Path(__file__).resolve().parents[2]
NAME = "12_proof_of_origin"
SAID = {
    "as signed, empty trust list": ["Valid", "signingCredential.untrusted"],
    "as signed": ["Trusted", "-"],
    "one byte of the picture flipped": ["Invalid", "assertion.dataHash.mismatch"],
    "saved again by Pillow": ["no manifest", "-"],
    "after Facebook": ["no manifest", "-"],
    "manifest moved onto another picture": ["Invalid", "assertion.dataHash.mismatch"],
    "signed by a stranger": ["Valid", "signingCredential.untrusted"],
    "a fake, signed as a photograph": ["Trusted", "-"],
}

pytestmark = pytest.mark.slow


def told(path: Path) -> dict[str, list[str]]:
    """The table of states of an executed chapter, by row."""
    found = (one for one in results.collect(path)["records"] if (one["type"], one["id"]) == ("table", "states"))
    cells = next(found)["cells"]
    return dict(zip(cells["index"], cells["data"], strict=True))


def states(folder: Path, parameters: dict | None = None) -> dict[str, list[str]]:
    """The table of states of the chapter, run as far as there."""
    notebook = nbformat.read(ROOT / "notebooks" / f"{NAME}.ipynb", as_version=4)
    (table,) = (at for at, cell in enumerate(notebook.cells) if 'run.table(\n    "states"' in cell.source)
    notebook.cells = notebook.cells[: table + 1]
    (folder / "notebooks").mkdir()
    nbformat.write(notebook, folder / "notebooks" / f"{NAME}.ipynb")
    options = {"output": folder / "out.ipynb", "notebooks": folder / "notebooks", "limit_seconds": 180}
    return told(execute.run(NAME, "smoke", parameters, **options))


def test_each_file_gets_the_state_that_the_specification_gives_it(tmp_path):
    assert states(tmp_path) == SAID


def test_a_list_that_trusts_everybody_shows_in_the_row_of_the_stranger_alone(tmp_path):
    broken = states(tmp_path, {"trust_strangers": True})
    assert {row for row in SAID if broken[row] != SAID[row]} == {"signed by a stranger"}
    assert broken["signed by a stranger"] == ["Trusted", "-"]


@pytest.mark.parametrize(
    ("right", "wrong", "check"),
    [
        ("file[start + length :]", "file[start + length + 1 :]", "bound"),
        ("marked = x + 0.016 *", "marked = x + 0.017 *", "hide"),
        ("np.arange(n + 1) - 1, n, 0.5", "np.arange(n + 1), n, 0.5", "threshold"),
    ],
)
def test_a_planted_fault_is_caught_by_its_check(tmp_path, right, wrong, check):
    text = (ROOT / "notebooks" / f"{NAME}.ipynb").read_text(encoding="utf-8")
    planted = tmp_path / "notebooks" / f"{NAME}.ipynb"
    planted.parent.mkdir()
    assert right in text
    planted.write_text(text.replace(right, wrong, 1), encoding="utf-8")  # the chapter's lines stand before any exercise
    with pytest.raises(execute.ChapterFailed, match=f"check '{check}' failed"):
        execute.run(NAME, "smoke", notebooks=planted.parent, output=tmp_path / "out.ipynb", limit_seconds=180)
