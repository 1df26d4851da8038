"""One chapter's job in the build graph: execute, collect, put both in place at once."""

from __future__ import annotations

import json
import os
import shutil
import threading
import time
from pathlib import Path

from deepfake_kit.cache import write_whole
from deepfake_kit.notebook import execute, results


def work(root: Path, chapter: str, profile: str, folder: Path, progress: Path) -> None:
    """Execute one chapter into `folder` (``notebook.ipynb`` and ``results.json``).

    Parameters
    ----------
    root : Path
        The repository.
    chapter, profile : str
        What to execute.
    folder : Path
        Where the two files go; its name is the chapter's key.
    progress : Path
        A small JSON file that is rewritten after every cell.

    Raises
    ------
    deepfake_kit.notebook.execute.ChapterFailed
        If the chapter fails; `folder` then holds nothing new.
    """
    _stop_with_parent()

    cells = 0

    def report(done: int, total: int, seconds: float) -> None:
        nonlocal cells
        cells = total
        _write(progress, {"done": done, "total": total, "seconds": seconds, "status": "running"})

    partial = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        path = execute.run(
            chapter, profile, output=partial / "notebook.ipynb", notebooks=root / "notebooks", progress=report
        )
        found = results.collect(path)
        found["key"] = folder.name
        (partial / "results.json").write_text(json.dumps(found, indent=1), encoding="utf-8")
        folder.mkdir(parents=True, exist_ok=True)
        # The graph asks for results.json; it comes last, so that it never stands without its notebook.
        os.replace(partial / "notebook.ipynb", folder / "notebook.ipynb")
        os.replace(partial / "results.json", folder / "results.json")
        _write(progress, {"done": cells, "total": cells, "seconds": found["seconds"], "status": "passed"})
    except Exception as error:
        _write(progress, {"status": "failed", "error": str(error)})
        raise
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write(path: Path, content: dict) -> None:
    write_whole(path, json.dumps(content))


def _stop_with_parent() -> None:
    """End this process when its parent is killed, so that a killed build leaves nothing running behind it."""
    parent = os.getppid()

    def watch():
        while os.getppid() == parent:
            time.sleep(1)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
