"""A verdict that differs from the approved one is a problem, unless it was measured on a stand-in."""

from __future__ import annotations

import dataclasses

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


def test_a_kept_run_is_the_stronger_evidence_and_is_named(monkeypatch):
    row = claims.Claim(
        id="demo-a", verdict="undecided", **{**ROW, "evidence": "small", "size": "tiny", "chapter": "91"}
    )
    found = results({"id": "demo-a", "verdict": "undecided"})
    found[0]["kept"] = [dict(type="claim", id="demo-a", value=1.04, interval=None, empty=None)]
    monkeypatch.setattr(claims, "load", lambda _: ({"short": "Demo", "year": 2026}, (row,)))
    (problem,) = verdicts.problems(found)
    assert "needs long" in problem
    decided = dataclasses.replace(row, long={"size": "large", "verdict": "reproduced"})
    monkeypatch.setattr(claims, "load", lambda _: ({"short": "Demo", "year": 2026}, (decided,)))
    assert verdicts.problems(found) == []
    page = ledger.table(found)
    assert (
        "large; an evening's run, kept" in page and "1.04" in page and "kit-reproduced" in page and "tiny" not in page
    )
    found[0]["kept"][0]["value"] = 2.0
    (problem,) = verdicts.problems(found)
    assert "computes 'contradicted' (2.0), the claims file approves 'reproduced'" in problem
    found[0]["kept"][0].update(value=1.04, empty=0.5)  # the row was changed since: it asks for no empty method
    [problem] = verdicts.problems(found)
    assert "older than its row: deepfake-kit run" in problem
    del found[0]["kept"]
    (problem,) = verdicts.problems(found)
    assert "no kept run measures it" in problem
