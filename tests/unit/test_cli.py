"""The command line: exit status 2 and one line for bad input, a traceback only when asked for."""

from __future__ import annotations

import pytest

from deepfake_kit.__main__ import main
from deepfake_kit.notebook import settings

CHAPTER = settings.chapters()[0]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "02_difusion"], "chapter: got '02_difusion'"),
        (["run", "99"], "chapter: got '99'"),
        (["run", str(int(CHAPTER[:2])), "-p", "sed=1"], f"parameter of {CHAPTER}: got 'sed'"),
        (["run", CHAPTER, "--profile", "boook"], "did you mean 'book'"),
        (["run", CHAPTER, "-p", "sed=1"], "did you mean 'seed'"),
        (["run", CHAPTER, "-p", "seed=one"], "must be int"),
        (["run", CHAPTER, "-p", "seed"], "name=value"),
        (["run", CHAPTER, "-p", "seed=-1"], "seed: got -1"),
        (["run", CHAPTER, "-p", f"seed={2**64}"], "valid: a whole number from 0 to 9007199254740992"),
        (["run", "02_diffusion_math", "-p", "dataset=fashon-mnist"], "did you mean 'fashion-mnist'"),
        (["run", "02_diffusion_math", "-p", "dataset=nope"], "valid: fashion-mnist, kmnist, emnist, "),
        (["ledger", "nobody"], "paper: got 'nobody'"),
        (["ledger", "DD-TMA"], "did you mean 'ddtma'"),
        (["reproduce", "eq-24"], "did you mean ddtma-eq-24?"),
        (["run", CHAPTER, "--keep"], "--keep: got --profile book with no parameters; valid: --profile long"),
        (["run", CHAPTER, "--keep", "--profile", "long", "-p", "seed=1"], "with {'seed': 1}"),
        (["reproduce", "ddtma-eq24"], "did you mean "),
        (["reproduce", "ddtma-eq-24", "--profile", "lng"], "did you mean 'long'"),
    ],
)
def test_bad_input_is_one_line_and_status_2(words, said, capsys):
    assert main(words) == 2
    error = capsys.readouterr().err
    assert error.startswith("deepfake-kit: ") and error.count("\n") == 1 and said in error


@pytest.mark.parametrize("limit", ["0", "-3", "soon", "nan", "inf"])
def test_a_time_limit_is_a_number_above_zero(limit, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["run", CHAPTER, "--limit", limit])
    assert stopped.value.code == 2
    assert f"--limit: got {limit!r}; valid: a number of seconds above 0" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["protect", "a.png", "--budget", "much"], "--budget: got 'much'; valid: a number"),
        (["arena", "run", "a.py", "--limit", "0"], "--limit: got '0'; valid: a number of seconds above 0"),
        (["course", "--weeks", "six"], "--weeks: got 'six'; valid: a whole number"),
        (["course", "--seed", "1.5"], "--seed: got '1.5'; valid: a whole number"),
        (["grade", ".", "--jobs", "all"], "--jobs: got 'all'; valid: a whole number"),
    ],
)
def test_a_word_that_is_no_number_is_told_what_is_valid(words, said, capsys):
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code == 2 and said in capsys.readouterr().err


def test_a_place_that_cannot_be_written_is_one_line_and_status_1(tmp_path, capsys):
    (tmp_path / "file").write_text("in the way")
    assert main(["run", CHAPTER, "--profile", "smoke", "--output", str(tmp_path / "file" / "out.ipynb")]) == 1
    error = capsys.readouterr().err
    assert "Traceback" not in error and "out.ipynb" not in error.split("deepfake-kit:")[0]
    assert error.splitlines()[-1].startswith("deepfake-kit: ") and str(tmp_path / "file") in error


def test_debug_shows_the_traceback():
    with pytest.raises(ValueError, match="paper: got"):
        main(["--debug", "ledger", "nobody"])


def test_a_row_that_no_run_speaks_to_says_why(capsys):
    from deepfake_kit.notebook import claims

    row = next(row for row in claims.load("ddtma")[1] if row.verdict == "not-comparable")
    assert main(["reproduce", row.id]) == 0
    said = capsys.readouterr().out
    assert row.label in said and "verdict: not-comparable" in said and row.reason in said


def test_ledger_counts_every_row(capsys):
    from deepfake_kit.notebook import claims

    assert main(["ledger"]) == 0
    said = capsys.readouterr().out
    for paper in claims.papers():
        record, rows = claims.load(paper)
        assert f"{record['short']} ({record['year']}): {len(rows)} rows" in said


def test_doctor_says_what_is_there(capsys):
    assert main(["doctor"]) == 0
    said = capsys.readouterr().out
    assert "torch" in said and "fashion-mnist" in said and CHAPTER in said


def test_doctor_goes_on_after_a_set_that_it_may_not_look_at(monkeypatch, capsys):
    from deepfake_kit import data

    look = data.locate

    def locate(name, root=None):
        if name == "kmnist":
            raise PermissionError(13, "Permission denied", "/theirs")
        return look(name, root)

    monkeypatch.setattr(data, "locate", locate)
    assert main(["doctor"]) == 0
    shown = capsys.readouterr().out
    assert "  kmnist: [Errno 13] Permission denied" in shown and "  trueface: " in shown and "chapters:" in shown
