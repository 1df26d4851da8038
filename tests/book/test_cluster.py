"""The same graph on a cluster: chapters go to workers over a queue, and one of them is killed half-way."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest
import queue_of_workers
import small_book

pytestmark = pytest.mark.slow
SLOW = """import os, time
from pathlib import Path
places = Path("{places}")
(places / f"{{os.getpid()}}.began").write_text(os.environ["TMPDIR"])
if len(list(places.glob("*.began"))) <= 2:  # the first attempt of each chapter waits to be killed or let go
    while not (places / "go").exists():
        time.sleep(0.1)"""


def test_a_lost_worker_costs_its_job_only(tmp_path, monkeypatch):
    book = small_book.make_book(tmp_path / "book")
    queue, places = tmp_path / "queue", tmp_path / "places"
    queue.mkdir()
    places.mkdir()
    for chapter in ("91_demo", "92_other"):
        cells = [small_book.FIGURE, SLOW.format(places=places)]
        if chapter == "91_demo":
            cells.append('from deepfake_kit.game import stackelberg\nrun.claim("demo-eq-1", 3)')
        small_book.write(book, chapter, *cells)
    profile = tmp_path / "profile"
    profile.mkdir()
    command = shlex.join([sys.executable, queue_of_workers.__file__, str(queue)])
    (profile / "config.yaml").write_text(
        json.dumps(
            {
                "cluster-generic-submit-cmd": f"{command} submit",
                "cluster-generic-status-cmd": f"{command} status",
                "max-status-checks-per-second": 5,
            }
        )
    )
    monkeypatch.setenv("SNAKEMAKE_PROFILE", str(profile))
    workers = [queue_of_workers.worker(queue, tmp_path / f"tmp-{n}", small_book.environment(book)) for n in (1, 2)]
    try:
        words = [sys.executable, "-m", "press", "build", "--executor", "cluster-generic"]
        building = subprocess.Popen(words, cwd=book, env=small_book.environment(book))
        deadline = time.monotonic() + 120
        while len(began := list(places.glob("*.began"))) < 2:
            assert time.monotonic() < deadline and building.poll() is None, "the two chapters never began"
            time.sleep(0.1)
        assert {path.read_text() for path in began} == {str(tmp_path / "tmp-1"), str(tmp_path / "tmp-2")}
        queue_of_workers.kill(workers[0])
        (places / "go").touch()
        assert building.wait(timeout=240) == 0, (book / "_build" / "snakemake.log").read_text()
    finally:
        for one in workers:
            if one.poll() is None:
                queue_of_workers.kill(one)
    assert len(list(places.glob("*.began"))) == 3, "the lost chapter ran again, and it alone"
    assert len(list(queue.glob("*.success"))) == 3, "two chapters and the pages"
    assert "It rises by" in (book / "_build" / "html" / "notebooks" / "91_demo.html").read_text()


def test_a_plugin_that_is_not_installed_is_named(tmp_path):
    book = small_book.make_book(tmp_path / "book")
    done = small_book.press(book, "build", "--executor", "moon")
    assert done.returncode == 2 and "snakemake-executor-plugin-moon, which is not installed" in done.stderr
    assert not Path(book / "_build" / "plan.json").exists()
