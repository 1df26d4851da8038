"""The self-check: a second book from nothing, compared output by output."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nbformat
import pytest
import small_book
import yaml
from press import certificate

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def checked(small, tmp_path_factory) -> Path:
    """A small book with its certificate: the built one beside a second, from nothing."""
    folder = shutil.copytree(small, tmp_path_factory.mktemp("book") / "book", symlinks=True)
    done = small_book.press(folder, "certificate", timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def test_two_books_from_nothing_are_the_same(checked):
    found = json.loads((checked / "results" / "certificate.json").read_text())
    assert {row["status"] for row in found["outputs"]} == {"identical"}
    kinds = {(row["chapter"], row["type"]) for row in found["outputs"]}
    assert {("91_demo", "figure"), ("91_demo", "claim"), ("91_demo", "sentence"), ("92_other", "figure")} <= kinds
    assert found["files"]["unequal"] == [] and found["files"]["equal"] > 100
    assert 0 < len(found["files"]["timed"]) <= 10
    listed = yaml.safe_load((checked / "codecheck.yml").read_text())
    assert "self-check" in listed["codechecker"][0]["name"] and listed["manifest"][0]["comment"] == "identical"
    shown = (checked / "_build" / "html" / "book" / "certificate.html").read_text()
    assert "Every output is identical." in shown and "self-check" in shown


def test_what_differs_is_named(checked, tmp_path):
    """Faults planted in the second book: a number, a picture, an output less, a page's bytes."""
    first, second = checked / "_build", tmp_path / "other"
    shutil.copytree(first, second, symlinks=True)
    path = next((second / "executed" / "book" / "91_demo").glob("*/notebook.ipynb"))
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            record = output.get("metadata", {}).get("deepfake_kit", {})
            if record.get("type") == "value":
                record["value"] = 4
            if record.get("type") == "figure":
                output["data"]["image/png"] = "AAAA" + output["data"]["image/png"][4:]
            if record.get("type") == "claim":
                del output["metadata"]["deepfake_kit"]
    nbformat.write(notebook, path)
    page = second / "html" / "book" / "ledger.html"
    page.write_text(page.read_text() + " ")
    found = certificate.compare(first, second, "book")
    rest = {(row["type"], row["id"]): row["note"] for row in found["outputs"] if row["status"] != "identical"}
    assert rest == {
        ("value", "points"): "3, then 4",
        ("figure", "line"): "",
        ("claim", "demo-eq-1"): "made by one of the two only",
    }
    assert found["files"]["unequal"] == ["book/ledger.html"]


def test_books_of_other_sources_are_refused(checked, tmp_path):
    second = tmp_path / "other"
    second.mkdir()
    plan = json.loads((checked / "_build" / "plan.json").read_text())
    plan["chapters"]["91_demo"]["key"] = "0" * 20
    (second / "plan.json").write_text(json.dumps(plan))
    with pytest.raises(ValueError, match="was not made from the sources"):
        certificate.compare(checked / "_build", second, "book")
    with pytest.raises(ValueError, match="at profile smoke"):
        certificate.compare(checked / "_build", checked / "_build", "smoke")


def test_a_few_figures_are_made_once_more(checked):
    done = small_book.press(checked, "again", "--figures", "2", "--commit", "abc")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("figure line: identical") == 2
    path = next((checked / "_build" / "executed" / "book" / "92_other").glob("*/notebook.ipynb"))
    before = path.read_text()
    try:
        path.write_text(before.replace('"image/png": "iVBOR', '"image/png": "AAAAA'))
        assert path.read_text() != before
        done = small_book.press(checked, "again", "--figures", "2", "--commit", "abc")
    finally:
        path.write_text(before)
    assert done.returncode == 1 and "92_other, figure line: differs" in done.stdout
