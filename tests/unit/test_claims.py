"""Verdicts from numbers, by hand-made rows."""

from __future__ import annotations

import math

import numpy as np
import pytest

from deepfake_kit.notebook import claims

ROW = dict(
    kind="claim",
    label="l",
    section="s",
    states="s",
    finding="holds",
    explanation="e",
    verdict="not-attempted",
    evidence="re-derived",
)


@pytest.fixture
def row(monkeypatch):
    """Put one row in place of the papers."""

    def make(**more):
        monkeypatch.setattr(claims, "find", lambda _: claims.Claim(id="x", **{**ROW, **more}))

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
        (0.2, 1e9, "> 0", math.nan, "undecided"),
    ],
)
def test_compare(row, printed, tolerance, direction, value, verdict):
    row(printed=printed, tolerance=tolerance, direction=direction)
    assert claims.compare("x", value) == verdict


@pytest.mark.parametrize(
    ("about", "value", "interval", "verdict"),
    [
        (dict(printed=0.5, tolerance=0.1), 0.5, (0.42, 0.58), "reproduced"),
        (dict(printed=0.5, tolerance=0.1), 0.5, (0.3, 0.7), "undecided"),
        (dict(printed=0.5, tolerance=0.1), 0.65, (0.55, 0.75), "undecided"),
        (dict(printed=0.5, tolerance=0.1), 0.7, (0.61, 0.8), "contradicted"),
        (dict(printed=0.5, tolerance=0.1, direction="> 0"), 0.8, (0.3, 1.3), "direction-holds"),
        (dict(printed=0.5, tolerance=0.1, direction="> 0"), 0.8, (-0.1, 1.7), "undecided"),
        (dict(printed=0.5, tolerance=0.1, direction="> 0"), -0.2, (-0.3, -0.1), "contradicted"),
        (dict(direction="< 1"), 0.9, (0.8, 1.1), "undecided"),
        (dict(direction="< 1"), 0.9, (0.8, 0.99), "direction-holds"),
        (dict(direction="< 1"), 1.2, (1.1, 1.3), "contradicted"),
        (dict(printed=[1, 2], tolerance=0.1), [1, 2.5], ([0.5, 2.4], [1.5, 2.6]), "contradicted"),
        (dict(printed=[1, 2], tolerance=0.1), [1, 2], ([0.5, 1.95], [1.5, 2.05]), "undecided"),
        (dict(expected=0, tolerance=0.1), 0.0, (-0.05, 0.05), "reproduced"),
    ],
)
def test_an_interval_must_decide(row, about, value, interval, verdict):
    row(random=True, **about)
    assert claims.compare("x", value, interval=interval) == verdict


def test_a_random_quantity_needs_its_interval_around_it(row):
    row(random=True, printed=1)
    with pytest.raises(ValueError, match="interval of claim .*: got None"):
        claims.compare("x", 1.0)
    with pytest.raises(ValueError, match="does not hold the value"):
        claims.compare("x", 1.0, interval=(1.5, 0.5))


@pytest.mark.parametrize(
    ("value", "empty", "verdict"),
    [
        (0.2, 0.5, "reproduced"),  # the empty method only gets the weaker verdict
        (0.2, 0.2, "undecided"),
        (0.5, 0.2, "undecided"),
        (0.5, 0.6, "undecided"),
        (0.5, -0.5, "direction-holds"),
        (-0.5, -0.5, "contradicted"),  # nothing passes, so nothing passed emptily
    ],
)
def test_what_an_empty_method_passes_decides_nothing(row, value, empty, verdict):
    row(printed=0.2, tolerance=0.1, direction="> 0", empty="answers always the same")
    assert claims.compare("x", value, empty=empty) == verdict


def test_an_empty_method_is_judged_by_all_of_its_interval(row):
    row(direction="> 0", empty="noise")
    assert claims.compare("x", 1.0, empty=0.1, empty_interval=(-0.2, 0.4)) == "direction-holds"
    assert claims.compare("x", 1.0, empty=0.1, empty_interval=(0.05, 0.4)) == "undecided"
    ends = np.array([0.5, 1.5]), np.array([0.05, 0.4])  # as np.quantile returns them
    assert claims.compare("x", 1.0, ends[0], empty=0.1, empty_interval=ends[1]) == "undecided"


def test_an_empty_method_is_named_in_the_row_and_measured_in_the_run(row):
    row(direction="> 0", empty="noise")
    with pytest.raises(ValueError, match="'noise', the run gives empty=None"):
        claims.compare("x", 1.0)
    row(direction="> 0")
    with pytest.raises(ValueError, match="empty: None, the run gives empty=2"):
        claims.compare("x", 1.0, empty=2.0)


def test_arithmetic_adds_up_or_does_not_and_reading_measures_nothing(row):
    row(evidence="arithmetic", printed=84, tolerance=0.5)
    assert claims.compare("x", 84.0) == "adds-up"
    assert claims.compare("x", 80.0) == "does-not-add-up"
    row(evidence="reading", printed=84)
    with pytest.raises(ValueError, match="by reading"):
        claims.compare("x", 84.0)


def test_compare_needs_something_to_compare_with(row):
    row()
    with pytest.raises(ValueError, match="neither"):
        claims.compare("x", 1.0)


def test_compare_needs_as_many_numbers(row):
    row(printed=[1, 2])
    with pytest.raises(ValueError, match="states 2 numbers, 3 given"):
        claims.compare("x", [1, 2, 3])


def test_unknown_names_are_refused():
    with pytest.raises(ValueError, match="did you mean 'ddtma'"):
        claims.load("dtma")
    with pytest.raises(ValueError, match="claim: got"):
        claims.find("ddtma-eq-99")


@pytest.mark.parametrize(
    ("value", "shown"), [(0.12345, "0.1235"), ([1, 2.0], "1, 2"), ("inf", "inf"), ([0, "inf"], "0, inf")]
)
def test_a_number_that_is_not_finite_is_shown_by_its_name(value, shown):
    """Results keep it as a text, for JSON has no number for it; at toy size an interval may have no end."""
    assert claims.numbers(value) == shown
