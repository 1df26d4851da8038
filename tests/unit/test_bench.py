"""The benchmarks take what `make bench` gives them, and tell a ratio with its spread."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

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
