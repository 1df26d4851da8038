"""What these tests share: each chapter is executed once, for all of them and for all of pytest's processes."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
import shown
from press import keys
from press.runs import execute

from deepfake_kit import paths

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def executed(tmp_path_factory) -> Callable[[str], Path]:
    """Ask for a chapter's notebook, executed at profile smoke with the data of this machine."""
    base = tmp_path_factory.getbasetemp()
    # The processes of pytest-xdist have a folder each, side by side in the session's.
    shared = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "executed"

    @cache
    def ask(name: str) -> Path:
        path = shared / f"{name}-{keys.chapter_key(ROOT, name, 'smoke')}" / f"{name}.ipynb"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.with_suffix(".lock").open("w") as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            if not path.exists():
                seen = path.with_suffix(".drawn")
                seen.unlink(missing_ok=True)
                with paths.variables({"DRAWN": str(seen), "JUPYTER_PATH": shown.kernel(shared / "jupyter")}):
                    execute.run(name, "smoke", output=path, notebooks=ROOT / "notebooks", kernel=shown.KERNEL)
        return path

    return ask
