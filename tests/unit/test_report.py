"""A work's replication article: whole, what holds first, and no number under a wrong name."""

from __future__ import annotations

import pytest
import yaml
from press import report

from deepfake_kit.__main__ import main
from deepfake_kit.notebook import claims

ROW = dict(
    kind="claim",
    section="II",
    states="It is so.",
    finding="holds",
    explanation="It is.",
    reason="No time.",
    evidence="re-derived",
)


@pytest.mark.parametrize("paper", claims.papers())
def test_every_statement_is_told_once_or_more_and_what_holds_comes_first(paper):
    text = report.article(paper)
    assert not [row.id for row in claims.load(paper)[1] if f"`{row.id}`" not in text]
    titles = [line for line in text.splitlines() if line.startswith("## ")]
    told = [x for x in titles if x not in ("## What it set out to do", "## What was easy", "## What was hard")]
    assert told[:4] == [
        "## What holds",
        "## What we could redo, and at what size",
        "## What does not hold, and where",
        "## What stays open",
    ]
    holds, fails = text.index(told[0]), text.index(told[2])
    for row in claims.load(paper)[1]:
        if row.verdict in ("contradicted", "does-not-add-up"):
            assert f"`{row.id}`" not in text[holds:fails].split("## What we could")[0], row.id
        if row.verdict in ("reproduced", "direction-holds", "adds-up"):
            assert f"`{row.id}`" in text[holds:fails], row.id


@pytest.mark.parametrize("paper", claims.papers())
def test_metadata_is_what_a_replication_journal_asks_for(paper):
    head = yaml.safe_load(report.article(paper).split("---\n")[1])
    record, _ = claims.load(paper)
    assert head["title"] == f"[Re] {record['title']}" and head["replication"]["authors"] == record["authors"]
    for name in ("authors", "code", "data", "keywords", "bibliography"):
        assert head[name], name
    assert head["type"] == "replication"
    assert not report.article(paper, book=True).startswith("---")


@pytest.fixture
def one(monkeypatch):
    """A work of one row."""

    def make(**about):
        row = claims.Claim(id="demo-a", label="Eq. (1)", **{**ROW, **about})
        record = dict(id="demo", short="Demo", title="T", authors=["N"], year=2026, venue="v", doi=None)
        monkeypatch.setattr(claims, "load", lambda _: ({**record, "aim": "To try.", "ask": ["Which seed?"]}, (row,)))

    return make


def result(stand_in=False, **record):
    about = {"type": "claim", "id": "demo-a", "verdict": "reproduced", **record}
    data = {"name": "kmnist", "stand_in": stand_in}
    return [{"chapter": "91_demo", "records": [about], "data": [data]}]


def test_numbers_stand_under_their_own_names(one):
    one(verdict="reproduced", expected=0.5, evidence="small", size="3 devices")
    text = report.article("demo", result(value=0.25, interval=[0.2, 0.3]))
    assert "0.5 if the statement held, here 0.25 [0.2 to 0.3]; replicated small (3 devices)" in text
    assert "printed" not in text and "- 3 devices: Eq. (1)" in text
    assert "To try." in text and "- Which seed?" in text and "What was hard" not in text
    one(verdict="reproduced", printed=0.5)
    assert "0.5 printed" in report.article("demo")


def test_an_undecided_row_stands_once_and_says_why(one):
    one(verdict="undecided", finding="inconsistent", direction="> 0", reason="One training only.")
    text = report.article("demo")
    assert "Found in the text" not in text and text.count("**Eq. (1)") == 1
    assert text.partition("## What stays open")[2].count("One training only.") == 1
    one(verdict="not-comparable", finding="inconsistent", reason="No number.")
    assert "Found in the text" in report.article("demo")


def test_a_number_of_a_stand_in_is_not_told(one):
    one(verdict="reproduced", printed=0.5)
    assert "here 0.25" in report.article("demo", result(value=0.25))
    assert "here 0.25" not in report.article("demo", result(value=0.25, stand_in=True))


def test_the_command_writes_the_article(tmp_path, capsys):
    assert main(["report", "survey", "--out", str(tmp_path / "survey.md")]) == 0
    assert (tmp_path / "survey.md").read_text(encoding="utf-8").startswith("---\ntitle: ")
    assert main(["report", "survy"]) == 2
    assert "did you mean 'survey'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--out", "{}"], "--out: got"),
        (["--out", "{}/new/"], "--out: got"),
        (["--results", "{}/none.json"], "--results: no file"),
    ],
)
def test_bad_places_are_named_before_any_work(tmp_path, capsys, words, says):
    assert main(["report", "survey", *(word.format(tmp_path) for word in words)]) == 2
    assert says in capsys.readouterr().err and not list(tmp_path.iterdir())


def test_a_report_makes_the_folder_it_is_asked_for(tmp_path):
    assert main(["report", "survey", "--out", str(tmp_path / "new" / "survey.md")]) == 0
    assert (tmp_path / "new" / "survey.md").read_text(encoding="utf-8").startswith("---\n")
