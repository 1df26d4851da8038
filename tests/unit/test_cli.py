"""The command line: exit status 2 and one line for bad input, a traceback only when asked for."""
from __future__ import annotations

import pytest

from deepfake_kit import settings
from deepfake_kit.__main__ import main

CHAPTER = settings.chapters()[0]


@pytest.mark.parametrize(("words", "said"), [
    (["run", "02_difusion"], "unknown chapter"), (["run", CHAPTER, "--profile", "boook"], "did you mean 'book'"),
    (["run", CHAPTER, "-p", "sed=1"], "did you mean 'seed'"), (["run", CHAPTER, "-p", "seed=one"], "must be int"),
    (["run", CHAPTER, "-p", "seed"], "name=value"), (["ledger", "nobody"], "unknown paper")])
def test_bad_input_is_one_line_and_status_2(words, said, capsys):
    assert main(words) == 2
    error = capsys.readouterr().err
    lines = [line for line in error.splitlines() if line.startswith("deepfake-kit:")]
    assert len(lines) == 1 and said in lines[0] and "Traceback" not in error


def test_debug_shows_the_traceback():
    with pytest.raises(ValueError, match="unknown paper"):
        main(["--debug", "ledger", "nobody"])


def test_ledger_counts_every_row(capsys):
    from deepfake_kit import claims

    assert main(["ledger"]) == 0
    said = capsys.readouterr().out
    for paper in claims.papers():
        record, rows = claims.load(paper)
        assert f"{record['short']} ({record['year']}): {len(rows)} rows" in said


def test_doctor_says_what_is_there(capsys):
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert "torch" in said and "fashion-mnist" in said and CHAPTER in said
