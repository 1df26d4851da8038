"""What a person sees while chapters run: a bar a chapter, cells done, time left; and nothing twice."""

from __future__ import annotations

import io
import json
import os
import time

import pytest
from press import build, speed

PLAN = {"profile": "book", "site": "s", "chapters": {name: {"key": "k", "minutes": 1.0} for name in ("91_a", "92_b")}}


class Graph:
    """Stands for the running graph: at each poll it takes the next step, then it has ended."""

    def __init__(self, *steps):
        self.steps = list(steps)

    def poll(self):
        if not self.steps:
            return 0
        self.steps.pop(0)()
        return None


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def folder(tmp_path, monkeypatch):
    (tmp_path / "progress").mkdir()
    monkeypatch.setattr(build.time, "sleep", lambda seconds: None)
    monkeypatch.setattr(speed, "factor", lambda: 1.0)
    return tmp_path


def report(folder, name, since=0.0, **row):
    """A step that writes a chapter's progress, `since` seconds ago."""

    def step():
        path = folder / "progress" / f"{name}.json"
        path.write_text(json.dumps(row))
        os.utime(path, (time.time() - since,) * 2)

    return step


def running(folder, name, done, seconds, since=0.0):
    return report(folder, name, since, done=done, total=8, seconds=seconds, status="running")


def test_lines_count_cells_and_the_time_left(folder, capsys):
    graph = Graph(
        running(folder, "91_a", 2, 10.0),
        running(folder, "91_a", 2, 10.0),
        running(folder, "92_b", 4, 30.0, since=20.0),
        running(folder, "91_a", 6, 95.0),
        report(folder, "91_a", done=8, total=8, seconds=99.0, status="passed"),
        report(folder, "92_b", status="failed", error="no"),
    )
    build._show_progress(graph, folder, PLAN)
    assert capsys.readouterr().out.splitlines() == [
        "91_a: cell 2 of 8, about 50 s left",
        "92_b: cell 4 of 8, about 10 s left",  # 30 s at the last cell, 20 s in the next one
        "91_a: cell 6 of 8, longer than expected, 95 s so far",
        "91_a: cell 8 of 8, done in 99 s",
        "92_b: FAILED; the other chapters go on",
    ]


def test_a_terminal_shows_one_bar_a_chapter(folder, monkeypatch):
    terminal = Terminal()
    monkeypatch.setattr(build.sys, "stderr", terminal)
    made = []
    import tqdm

    class Counted(tqdm.tqdm):
        def __init__(self, *arguments, **options):
            made.append(options["desc"])
            super().__init__(*arguments, file=terminal, **options)

    monkeypatch.setattr(tqdm, "tqdm", Counted)
    graph = Graph(
        *(running(folder, "91_a", done, 10.0 * done) for done in range(1, 5)),
        running(folder, "92_b", 1, 5.0),
        report(folder, "92_b", status="failed", error="no"),
        report(folder, "91_a", done=8, total=8, seconds=80.0, status="passed"),
    )
    build._show_progress(graph, folder, PLAN)
    shown = terminal.getvalue()
    assert made == ["91_a", "92_b"]
    for words in ("3/8", "about 30 s left", "8/8", "done in 80 s", "FAILED"):
        assert words in shown


def test_the_forecast_counts_jobs_pages_and_this_machines_speed(monkeypatch):
    monkeypatch.setattr(speed, "RENDERING_SECONDS", 60.0)
    monkeypatch.setattr(speed, "factor", lambda: 3.0)
    said = speed.forecast([600.0, 300.0, 300.0], 2)  # two at a time: 600 s, then 3 x 60 s for the pages
    assert "3 chapters to run, 2 at a time" in said and "about 13 minutes" in said and "3.0 times" in said
    assert "about 4 minutes" in speed.forecast([60.0], 8), "one long chapter is not shared by eight"


def test_a_probe_takes_a_moment_and_is_measured_once():
    speed.factor.cache_clear()
    began = time.monotonic()
    first = speed.factor()
    assert 0.05 < first < 100 and speed.factor() == first and time.monotonic() - began < 60


def test_the_time_of_the_last_run_is_believed_before_the_stated_one(folder, monkeypatch):
    assert build._expected_seconds(folder, PLAN, "91_a") == 60
    monkeypatch.setattr(speed, "factor", lambda: 4.0)
    assert build._expected_seconds(folder, PLAN, "91_a") == 240, "a slow machine takes longer"
    for key, seconds, age in (("0a", 500, 60), ("0b", 20, 0)):
        path = folder / "executed" / "book" / "91_a" / key / "results.json"
        path.parent.mkdir(parents=True)
        path.write_text(json.dumps({"seconds": seconds}))
        os.utime(path, (time.time() - age,) * 2)
    assert build._expected_seconds(folder, PLAN, "91_a") == 20
    path.write_text("{cut")
    assert build._expected_seconds(folder, PLAN, "91_a") == 500
