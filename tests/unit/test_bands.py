"""Bands: a run of the same code with another seed is rarely outside, one of other code or data is told and told why."""

from __future__ import annotations

import json

import numpy as np
import pytest
from bs4 import BeautifulSoup
from press import health
from press.runs import reproduce
from scipy import stats

from deepfake_kit import paths, provenance
from deepfake_kit.notebook import bands, claims, settings
from tests.notebooks import planted

NAMES = [f"n{k}" for k in range(12)]


@pytest.mark.parametrize("bug", planted.BUGS, ids=lambda bug: bug[0])
def test_a_bug_can_be_planted_in_what_stands_there_today(bug):
    name, _, file, old, new = bug
    assert old in (planted.ROOT / file).read_text(encoding="utf-8")
    assert (old == new) == (name == "no bug")


def band_of(draws) -> dict:
    """Bands of one number a column, and of a number that no seed moves."""
    columns = {name: column.tolist() for name, column in zip(NAMES, draws.T, strict=True)}
    code = {"diffusion.steps": provenance.module_code("diffusion.steps")}
    about = {
        "seeds": list(range(len(draws))),
        "versions": {"torch": "2.2"},
        "parameters": {"dataset": "a"},
        "code": code,
    }
    return {**about, "numbers": {**columns, "exact": [3.0] * len(draws)}}


def test_the_interval_is_the_prediction_interval_of_normal_draws():
    x = np.random.default_rng(0).normal(5, 2, 20)
    low, high = bands.interval(x.tolist(), 1)
    half = stats.t.ppf(0.975, 19) * x.std(ddof=1) * (1 + 1 / 20) ** 0.5
    assert low == pytest.approx(x.mean() - half, abs=1e-3) and high == pytest.approx(x.mean() + half, abs=1e-3)
    assert bands.interval(x.tolist(), 12)[1] > high


def test_another_seed_cries_wolf_in_one_run_of_twenty():
    rng, alarms, runs = np.random.default_rng(1), 0, 400
    for _ in range(runs):
        band = band_of(rng.normal(size=(20, 12)))
        found = dict(zip(NAMES, rng.normal(size=12).tolist(), strict=True)) | {"exact": 3.0}
        alarms += any(line.away > 1 for line in bands.compare(found, band))
    assert 0.02 < alarms / runs < 0.08  # 5 % +- 2.7 standard errors


@pytest.mark.parametrize(
    "draw",
    [
        lambda rng: rng.standard_t(3, size=(20, 12)),
        lambda rng: np.exp(3 * rng.normal(size=(20, 12))),
        lambda rng: 0.25 - 0.001 * rng.exponential(size=(20, 12)) ** 2,
        lambda rng: rng.choice([0.0, 0.005], size=(20, 12), p=[0.4, 0.6]),
    ],
    ids=["heavy tails", "many sizes", "a bound", "two values"],
)
def test_numbers_that_are_not_normal_seldom_cry_wolf_and_still_have_a_band(draw):
    rng, alarms, runs = np.random.default_rng(4), 0, 80
    for _ in range(runs):
        band = band_of(draw(rng))
        found = dict(zip(NAMES, draw(rng)[0].tolist(), strict=True)) | {"exact": 3.0}
        alarms += any(line.away > 1 for line in bands.compare(found, band))
    low, high = bands.interval(draw(rng)[:, 0].tolist(), 12)
    assert alarms / runs < 0.3  # 12 numbers, none of them normal; without the rule .25, .43, .45, 0
    assert np.isfinite([low, high]).all()


def test_what_a_bug_moves_is_outside_and_first():
    band = band_of(np.random.default_rng(2).normal(size=(20, 12)))
    found = dict.fromkeys(NAMES, 0.0) | {"n4": 8.0, "exact": 4.0, "unknown": 1.0}
    lines = bands.compare(found, band)
    assert [line.id for line in lines if line.away > 1] == ["exact", "n4"]
    assert "OUTSIDE" in str(lines[1]) and "inside" in str(lines[2]) and len(lines) == 13
    found |= {"n4": -8.0, "exact": 3.0}
    assert [line.id for line in bands.compare(found, band) if line.away > 1] == ["n4"]  # the wrong sign, alone


def test_the_likely_causes_are_named():
    band = band_of(np.zeros((2, 12)))
    about = {"data": [], "parameters": {"dataset": "a", "own": 1}, "environment": {"versions": {"torch": "2.2"}}}
    assert bands.causes(about, band) == []
    about = {"data": [{"name": "emnist", "stand_in": True}], "parameters": {"dataset": "b"}}
    about["environment"] = {"versions": {"torch": "2.9"}}
    band["code"]["diffusion.steps"] = "another"
    why = bands.causes(about, band)
    assert len(why) == 4 and "stand-in" in why[0] and "'b', there 'a'" in why[1]
    assert why[2:] == ["torch 2.9, there 2.2", "code that changed since: diffusion.steps"]


def test_numbers_of_a_run_are_those_of_its_prose_and_its_claims():
    records = [
        {"type": "value", "id": "a", "value": 2},
        {"type": "value", "id": "word", "value": "below"},
        {"type": "claim", "id": "c", "value": [1.0, "inf"]},
        {"type": "check", "id": "k", "value": 9.0},
    ]
    assert bands.numbers(records) == {"a": 2.0, "c[0]": 1.0, "c[1]": float("inf")}


@pytest.mark.parametrize("lost", ["nan", "inf", None])
def test_a_number_that_became_none_is_outside(lost):
    band = band_of(np.random.default_rng(3).normal(size=(20, 12)))
    records = [{"type": "value", "id": name, "value": 0.0} for name in NAMES]
    records += [{"type": "value", "id": "exact", "value": lost}] if lost else []
    lines = bands.compare(bands.numbers(records), band)
    assert [line.id for line in lines if line.away > 1] == ["exact"] and "OUTSIDE" in str(lines[0])
    assert len(lines) == 13


def test_a_report_says_what_is_inside_and_why_not_all_is(monkeypatch, tmp_path):
    monkeypatch.setattr(settings, "FOLDER", tmp_path)
    about = {"data": [], "parameters": {}, "environment": {"versions": {}}}
    assert "move with the seed was not measured" in bands.report(about, "c", "smoke", [])[0]
    bands.file("c").write_text(json.dumps({"smoke": band_of(np.random.default_rng(3).normal(size=(20, 12)))}))
    records = [{"type": "value", "id": name, "value": 0.0} for name in NAMES]
    records.append({"type": "value", "id": "exact", "value": 3.0})
    assert bands.report(about, "c", "smoke", records)[0].startswith("13 of 13 numbers")
    records[-1]["value"] = 2.0
    first, *lines = bands.report(about, "c", "smoke", records)
    assert first.startswith("12 of 13 numbers") and "exact" in lines[0] and "OUTSIDE" in lines[0]
    assert lines[-1].startswith("Likely causes: data, parameters, libraries and code are the same")


@pytest.mark.parametrize("chapter", [path.name.split(".")[0] for path in settings.FOLDER.glob("*.bands.json")])
def test_kept_bands_are_of_enough_seeds_and_of_numbers(chapter):
    for profile, least in (("smoke", 20), ("book", 5)):
        if band := bands.load(chapter, profile):
            assert len(band["seeds"]) >= least
            assert band["numbers"] and all(len(values) == len(band["seeds"]) for values in band["numbers"].values())
            assert any(bands.varies(values) for values in band["numbers"].values())


def test_any_number_is_found_by_its_id_or_by_its_anchor():
    folder = paths.notebooks()
    assert reproduce.find("ddtma-eq-24", folder) == ("04_stackelberg_game", "claim", "ddtma-eq-24")
    assert reproduce.find("fig-02-linear-control", folder) == ("02_diffusion_math", "figure", "linear-control")
    assert reproduce.find("tab-02-samplers", folder) == ("02_diffusion_math", "table", "samplers")
    assert reproduce.find("error_ema", folder) == ("02_diffusion_math", "value", "error_ema")
    silent = next(row for row in claims.load("ddtma")[1] if row.verdict in claims.OPEN)
    assert reproduce.find(silent.id, folder) == (None, "claim", silent.id)
    with pytest.raises(ValueError, match="did you mean .*ddtma-eq-24"):
        reproduce.find("ddtma-eq24", folder)
    with pytest.raises(ValueError, match="fig-02-linear-control"):
        reproduce.find("fig-02-linear-contrl", folder)


def test_paper_book_and_yours_stand_under_each_other(tmp_path):
    ours = {"type": "claim", "id": "ddtma-eq-1", "value": 0.0, "interval": None, "verdict": "reproduced"}
    found = {"chapter": "02_diffusion_math", "profile": "book", "records": [ours]}
    words = reproduce.lines("claim", "ddtma-eq-1", found, [{**ours, "value": 1e-17}], tmp_path)
    assert [line.split(":")[0] for line in words] == ["if the statement held", "book", "yours", "verdict"]
    assert "1e-17" in words[1] and words[3] == "verdict: reproduced, as the ledger says"
    ours["verdict"] = "contradicted"
    words = reproduce.lines("claim", "ddtma-eq-1", found, [], tmp_path)
    assert "not built here" in words[1] and "contradicted, the ledger says reproduced" in words[3]
    words = reproduce.lines("claim", "ddtma-eq-1", {**found, "profile": "smoke"}, [], tmp_path)
    assert words[3] == "verdict: contradicted, the ledger says reproduced, judged at profile book, not at smoke"
    table = {"type": "table", "id": "t", "cells": {"columns": ["a"], "index": [0], "data": [[7]]}}
    found["records"] = [table]
    assert reproduce.lines("table", "t", found, [table], tmp_path)[-1] == "verdict: identical"
    assert "did not record" in reproduce.lines("figure", "f", found, [], tmp_path)[0]


def test_the_page_of_health_tells_false_alarms_and_the_bugs_that_were_caught(monkeypatch, tmp_path):
    chapter = "05_tasks_on_a_chain"
    found = [{"chapter": chapter, "profile": "smoke", "seeds": [20, 21, 22, 23], "outside": [[], ["a: 1"], [], []]}]
    bugs = [{"bug": name, "stopped": stop, "caught": bool(stop or name == "b")} for name, stop in
            (("no bug", []), ("a", ["check"]), ("b", []), ("c", []))]  # fmt: skip
    for name, rows in (("ALARMS", found), ("PLANTED", bugs)):
        (tmp_path / name).write_text(json.dumps(rows))
        monkeypatch.setattr(health, name, tmp_path / name)
    page = BeautifulSoup(health.beside([{"chapter": chapter}, {"chapter": "11_arms_race"}]), "html.parser")
    rows = [[cell.get_text() for cell in row.select("th, td")] for row in page.select("tbody tr")]
    assert rows[0][0] == "5 · Tasks on a chain" and rows[0][1:3] == ["smoke", "20"] and rows[0][-1] == "1 of 4"
    assert int(rows[0][3]) > int(rows[0][4]) > 0
    words = " ".join(page.get_text().split())
    assert "Of 4 runs with seeds that no band has seen, 1 had a number outside (25%;" in words
    assert "3 bugs were planted" in words and "2 were caught, 1 by a check that stopped the chapter and 1 by" in words
    assert "missed: c." in words
    monkeypatch.setattr(settings, "FOLDER", tmp_path)
    assert "For no chapter was it measured" in health.beside([{"chapter": chapter}])
