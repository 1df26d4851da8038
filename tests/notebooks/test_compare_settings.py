"""The comparison of two processors' verdicts finds what differs and what nearly does."""

from __future__ import annotations

import runpy
from pathlib import Path

import pytest

from deepfake_kit.notebook import claims

SCRIPT = runpy.run_path(str(Path(__file__).with_name("compare_settings.py")))
# A row that prints a number and how near is near enough.
ROW = next(
    row for row in claims.load("ddtma")[1] if type(row.printed) in (int, float) and row.tolerance and not row.empty
)


def run(value, id=ROW.id) -> dict:
    interval = (value, value) if ROW.random else None
    verdict = claims.compare(ROW.id, value, interval)
    row = {"type": "claim", "id": id, "value": value, "interval": interval, "empty": None, "verdict": verdict}
    return {"records": [row, {"type": "value", "id": "x", "value": value}]}


@pytest.mark.parametrize(
    ("one", "other", "different", "near"),
    [(0, 0, 0, 0), (0, 0.01, 0, 0), (0.98, 0.99, 0, 1), (0.99, 1.01, 1, 0), (-0.99, -1.01, 1, 0)],
)
def test_a_flip_differs_and_an_edge_is_near(one, other, different, near):
    found = SCRIPT["flips"](*(run(ROW.printed + x * ROW.tolerance) for x in (one, other)))
    assert tuple(map(len, found)) == (different, near)


def test_a_verdict_of_one_run_only_differs():
    assert SCRIPT["flips"](run(ROW.printed), run(ROW.printed, "other"))[0] == sorted(
        [f"{ROW.id}: judged in one run only", "other: judged in one run only"]
    )


def test_numbers_apart_are_told_relative_to_their_size():
    assert "x by 5e-01" in SCRIPT["apart"](run(2.0), run(1.0))


def test_an_end_that_is_not_finite_is_recorded_as_a_word():
    row = next(row for row in claims.load("hanyang")[1] if row.random and row.direction and not row.empty)
    runs = [{"records": [{**run(0.5, row.id)["records"][0], "verdict": "undecided", "interval": ["nan", "nan"]}]}] * 2
    assert SCRIPT["flips"](*runs) == ([], [])
