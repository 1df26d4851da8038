"""The benchmarks take what `make bench` gives them, and tell a ratio with its spread."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from press import health

BENCH = Path(__file__).resolve().parents[1] / "bench"


@pytest.mark.parametrize("script", sorted(path.name for path in BENCH.glob("bench_*.py")))
def test_a_benchmark_needs_nothing_but_a_folder(script):
    source = (BENCH / script).read_text(encoding="utf-8")
    assert "required=True" not in source and '"--out"' in source and "ratios.row(" in source
    assert 'add_argument("data' not in source


def test_a_benchmark_prints_its_ratio_and_leaves_a_report(tmp_path):
    words = [sys.executable, BENCH / "bench_stackelberg.py", "--nodes", "1000", "--solved", "3", "--repeats", "4"]
    done = subprocess.run([*words, "--out", tmp_path / "new"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "of one sqrt and where over the same numbers (middle half" in done.stdout
    rows = json.loads((tmp_path / "new" / "bench_stackelberg.json").read_text())["rows"]
    assert rows[0]["repeats"] == 4 and rows[0]["quarter"] <= rows[0]["ratio"] <= rows[0]["three_quarters"]
    done = subprocess.run([sys.executable, BENCH / "ratios.py", tmp_path / "new"], capture_output=True, text=True)
    assert done.returncode == 0 and "| SLSQP, one node at a time |" in (tmp_path / "new" / "bench.md").read_text()


def test_the_page_of_health_shows_each_kept_ratio_and_counts_the_aims_reached(tmp_path, monkeypatch):
    about = {"date": "2026-11-30", "machine": "a processor", "cores": 2}
    work = {"against": "another", "quarter": 0.1, "three_quarters": 9.0, "repeats": 3}
    rows = [work | {"work": "a < b", "ratio": 0.25, "aim": 0.3}, work | {"work": "c", "ratio": 0.4, "aim": 0.3}]
    rows.append(work | {"work": "d", "ratio": 0.01, "aim": None})
    (tmp_path / "bench.json").write_text(json.dumps(about | {"rows": rows}))
    monkeypatch.setattr(health, "BENCH", tmp_path / "bench.json")
    page = BeautifulSoup(health.speed([]), "html.parser")
    told = [[cell.get_text() for cell in row.select("th, td")] for row in page.select("tbody tr")]
    assert told[0] == ["a < b", "another", "0.25", "0.1 to 9", "0.3"]
    assert told[2][-1] == "none" and len(told) == 3
    assert "Of 2 ratios with an aim 1 reach it" in " ".join(page.get_text().split())
    monkeypatch.setattr(health, "BENCH", tmp_path / "none.json")
    assert "No benchmark was kept" in health.speed([])
