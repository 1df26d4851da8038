"""The history of numbers names the version that moved one."""

from __future__ import annotations

import json

import pytest
from press import certificate, drift


def results(versions: dict, **numbers: float) -> list[dict]:
    """One chapter's results as a build publishes them."""
    records = [{"type": "value", "id": name, "value": x} for name, x in numbers.items()]
    return [{"chapter": "91_demo", "environment": {"versions": versions}, "records": records}]


def test_the_first_version_that_moved_a_number_is_named(tmp_path):
    file, old, new = tmp_path / "history.json", {"torch": "2.13", "scipy": "1.17"}, {"torch": "2.14", "scipy": "1.17"}
    assert drift.add(file, results(old, auc=0.9, error=1.0, seconds=3.0), "2026-11-02") == []
    assert drift.add(file, results(old, auc=0.9, error=1.0, seconds=3.4), "2026-11-09") == []
    said = drift.add(file, results(new, auc=0.8, error=1.0 + 1e-9, seconds=3.1), "2026-11-16")
    assert said == ["91_demo/auc: 0.9, now 0.8 (torch 2.13 -> 2.14)"], "not rounding, and not a number that tells time"
    assert drift.add(file, results({**new, "scipy": "1.18"}, auc=0.8, error=1.0, seconds=3.2), "2026-11-23") == []
    rows = drift.moves(json.loads(file.read_text()))
    assert [(row["number"], row["date"]) for row in rows] == [("91_demo/auc", "2026-11-16")]


def test_a_number_that_is_no_number_is_left_out(tmp_path):
    found = drift.entry(results({}, auc=float("nan"), error=1.0), "2026-11-02")
    assert set(found["numbers"]) == {"91_demo/error"}


def test_the_commit_chooses_the_figures():
    figures = [("01_a", "x"), ("01_a", "y"), ("02_b", "z"), ("03_c", "w")]
    chosen = [certificate.chosen(figures, f"{n:040x}", 3) for n in range(60)]
    assert all(len(set(three)) == 3 and set(three) <= set(figures) for three in chosen)
    assert chosen[0] == certificate.chosen(figures[::-1], f"{0:040x}", 3), "the order of the list does not matter"
    assert {figure for three in chosen for figure in three} == set(figures), "every figure's turn comes"
    with pytest.raises(ValueError, match="figures: got 5; valid: 1 to 4"):
        certificate.chosen(figures, "0" * 40, 5)
