"""Verdicts from numbers, by hand-made rows."""

from __future__ import annotations

import math

import pytest

from deepfake_kit import claims

ROW = dict(kind="claim", label="l", section="s", states="s", finding="holds", explanation="e", verdict="not-attempted")


@pytest.fixture
def row(monkeypatch):
    """Put one row in place of the papers."""

    def make(**more):
        monkeypatch.setattr(claims, "find", lambda _: claims.Claim(id="x", **ROW, **more))

    return make


@pytest.mark.parametrize(
    ("printed", "tolerance", "direction", "value", "verdict"),
    [
        (0.2, 0.02, None, 0.219, "reproduced"),
        (0.2, 0.02, None, 0.221, "contradicted"),
        (0.2, 0.02, "> 0", 0.5, "direction-holds"),
        (0.2, 0.02, "> 0", -0.5, "contradicted"),
        (0.2, 0.02, "> 0", 0.2, "reproduced"),
        (None, None, "<= 1", 1.0, "direction-holds"),
        (None, None, "< 1", 1.0, "contradicted"),
        (5, None, None, 5, "reproduced"),
        ([1, 2], 0.1, None, [1.05, 1.95], "reproduced"),
        ([1, 2], 0.1, None, [1.05, 2.2], "contradicted"),
        (0.2, 1e9, "> 0", math.nan, "contradicted"),
    ],
)
def test_compare(row, printed, tolerance, direction, value, verdict):
    row(printed=printed, tolerance=tolerance, direction=direction)
    assert claims.compare("x", value) == verdict


def test_compare_needs_something_to_compare_with(row):
    row()
    with pytest.raises(ValueError, match="neither"):
        claims.compare("x", 1.0)


def test_compare_needs_as_many_numbers(row):
    row(printed=[1, 2])
    with pytest.raises(ValueError, match="prints 2 numbers, 3 given"):
        claims.compare("x", [1, 2, 3])


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="did you mean 'ddtma'"):
        claims.load("dtma")
    with pytest.raises(ValueError, match="unknown claim"):
        claims.find("ddtma-eq-99")
