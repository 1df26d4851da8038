"""Every notebook that opens data, from its first cell to its last at profile smoke.

The others run in ``test_anywhere``, where a run without data is the same run, and are held to the same rules there.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import shown

from deepfake_kit.notebook import settings

ROOT = Path(__file__).resolve().parents[2]
NAMES = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))


@pytest.mark.slow
@pytest.mark.parametrize("rule", shown.RULES, ids=lambda rule: rule.__name__)
@pytest.mark.parametrize("name", [name for name in NAMES if settings.load(name).data])
def test_an_executed_chapter(executed, name, rule):
    rule(executed(name))
