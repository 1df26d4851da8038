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
        (["report", "ddtma", "--results", __file__], "valid: the results.json of a built book"),
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


@pytest.mark.parametrize("command", ["run", "reproduce", "report", "course", "grade"])
def test_a_command_is_explained_outside_a_copy_too(command, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stopped:
        main([command, "--help"])
    assert stopped.value.code == 0 and f"usage: deepfake-kit {command}" in capsys.readouterr().out


@pytest.mark.parametrize("content", ["# no JSON", "{}", "[1]", '[{"chapter": "a"}]', '{"a": 1}'])
def test_a_report_is_made_from_a_book_s_results_and_from_no_other_file(content, tmp_path, capsys):
    (tmp_path / "r.json").write_text(content)
    assert main(["report", "ddtma", "--results", str(tmp_path / "r.json")]) == 2
    error = capsys.readouterr().err
    assert f"--results: got {tmp_path}/r.json" in error and error.count("\n") == 1


def test_a_report_takes_the_numbers_of_the_book_where_it_is_built(tmp_path, monkeypatch, capsys):
    (tmp_path / "html").mkdir()
    (tmp_path / "html" / "results.json").write_text("[1]")  # which it would refuse
    monkeypatch.setenv("DEEPFAKE_BOOK_BUILD", str(tmp_path))
    assert main(["report", "ddtma"]) == 2 and str(tmp_path / "html") in capsys.readouterr().err


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
