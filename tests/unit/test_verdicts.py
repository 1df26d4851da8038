"""A verdict that differs from the approved one is a problem, unless it was measured on a stand-in."""

from __future__ import annotations

import pytest
from press import ledger, verdicts

from deepfake_kit.notebook import claims

ROW = dict(
    kind="claim",
    label="l",
    section="s",
    states="s",
    finding="holds",
    explanation="e",
    printed=1.0,
    tolerance=0.1,
    evidence="re-derived",
)


@pytest.fixture(autouse=True)
def papers(monkeypatch):
    rows = (
        claims.Claim(id="demo-a", verdict="reproduced", **ROW),
        claims.Claim(id="demo-b", verdict="not-attempted", **ROW),
    )
    monkeypatch.setattr(claims, "papers", lambda: ["demo"])
    monkeypatch.setattr(claims, "load", lambda _: ({"short": "Demo", "year": 2026}, rows))


def results(*records, stand_in=False):
    made = [dict(type="claim", chapter="91_demo", value=1.0, **record) for record in records]
    return [{"chapter": "91_demo", "records": made, "data": [{"name": "emnist", "stand_in": stand_in}]}]


def test_agreement_is_no_problem():
    assert verdicts.problems(results({"id": "demo-a", "verdict": "reproduced"})) == []


def test_a_changed_verdict_is_one():
    (problem,) = verdicts.problems(results({"id": "demo-a", "verdict": "contradicted"}))
    assert "demo-a" in problem and "approves 'reproduced'" in problem


def test_an_unapproved_verdict_is_one():
    problems = verdicts.problems(
        results({"id": "demo-a", "verdict": "reproduced"}, {"id": "demo-b", "verdict": "reproduced"})
    )
    assert len(problems) == 1 and "demo-b" in problems[0]


def test_an_approved_one_that_nobody_measures_is_one():
    assert "no chapter measures it" in verdicts.problems(results())[0]


def test_a_stand_in_judges_nothing_and_the_ledger_says_so():
    found = results({"id": "demo-a", "verdict": "contradicted"}, stand_in=True)
    assert verdicts.problems(found) == []
    assert "on stand-in data" in ledger.table(found)
    assert "on stand-in data" not in ledger.table(results({"id": "demo-a", "verdict": "reproduced"}))
