"""No data and no network: the chapters still run, and every page says that digits stood in."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from deepfake_kit.notebook import execute, results, settings

ROOT = Path(__file__).resolve().parents[2]
NAMES = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb") if settings.load(path.stem).data)

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("name", NAMES)
def test_a_chapter_runs_on_the_stand_in_and_says_so(name, tmp_path, monkeypatch):
    monkeypatch.setenv("DEEPFAKE_KIT_DATA", "")
    monkeypatch.setenv("DEEPFAKE_KIT_OFFLINE", "1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = execute.run(name, "smoke", output=tmp_path / "out.ipynb", notebooks=ROOT / "notebooks", limit_seconds=180)
    found = results.collect(path)
    assert found["data"] and all(row["stand_in"] for row in found["data"])
    silent, said, loaded = [], 0, False
    for cell in json.loads(path.read_text())["cells"]:
        for output in cell.get("outputs", []):
            about = output.get("metadata", {})
            # What was shown before the data came was made without them.
            loaded = loaded or about.get("deepfake_kit", {}).get("type") == "data"
            if loaded and (shown := about.get("deepfake_kit_under")):
                told = "Stand-in data" in "".join(output["data"]["text/html"])
                said += told
                silent += [] if told else [f"{shown['what']} {shown['id']}"]
    assert said >= 2 and silent == []
