"""One chapter's job in the build graph: execute, collect, put both in place at once."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
from pathlib import Path

from deepfake_kit.cache import write_whole
from deepfake_kit.notebook import settings
from press import keys, places
from press.runs import execute, results


def work(root: Path, chapter: str, profile: str, key: str) -> None:
    """Execute one chapter into its folder of the build: ``notebook.ipynb`` and ``results.json``.

    Parameters
    ----------
    root : Path
        The repository.
    chapter, profile : str
        What to execute.
    key : str
        The chapter's key, see :func:`press.keys.chapter_key`; the name of its folder.

    Raises
    ------
    press.runs.execute.ChapterFailed
        If the chapter fails; the folder then holds nothing new.
    ValueError
        If what ran is not what the key stands for.
    """
    built = places.build(root)
    folder, progress = built / "executed" / profile / chapter / key, built / "progress" / f"{chapter}.json"

    cells = 0

    def report(done: int, total: int, seconds: float) -> None:
        nonlocal cells
        cells = total
        _write(progress, {"done": done, "total": total, "seconds": seconds, "status": "running"})

    partial = folder.with_name(f".{folder.name}.{os.getpid()}")
    partial.mkdir(parents=True)
    lock = os.open(partial, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)  # tells `sweep` that it is in use
    try:
        path = execute.run(
            chapter,
            profile,
            output=partial / "notebook.ipynb",
            notebooks=root / "notebooks",
            progress=report,
            check=lambda found: differences(root, found, key),
        )
        found = results.collect(path)
        found["key"] = key
        found["notebook_sha256"] = file_sha256(path)
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
        os.close(lock)


def differences(root: Path, found: dict, key: str) -> list[str]:
    """Where a run is not what its key stands for: a source that changed while it ran, data that are not in the key."""
    from deepfake_kit import pretrained

    chapter = found["chapter"]
    wrong = []
    if keys.chapter_key(root, chapter, found["profile"]) != key:
        wrong.append("its notebook, the kit or its data changed while it ran; build again")
    wrong += unlisted(found)
    for row in [row for row in found["data"] if row["name"] in pretrained.names()]:
        if (lies := pretrained.fingerprint(row["name"])) != row["sha256"]:
            wrong.append(f"{row['name']}: it used {row['sha256'][:12]}, but {lies[:12]} is found now")
    return wrong + results.other_data(found["data"])


def unlisted(found: dict) -> list[str]:
    """Data and networks that a run opened and its chapter's settings do not list, so that no key knows them."""
    from deepfake_kit import pretrained
    from deepfake_kit.data import dataset

    chapter, profile = settings.load(found["chapter"]), found["profile"]
    known = {*chapter.data_sets(found["parameters"]), *chapter.weights.get(profile, ())}
    strange = {row["name"] for row in found["data"]} - known
    data, networks = sorted(strange & {*dataset.names()}), sorted(strange & {*pretrained.names()})
    here = f"chapters/{found['chapter']}.yml"
    wrong = [f"it read {name}, which stands not under data: in {here}" for name in data]
    return wrong + [f"it used {name}, not listed in {here}, weights: {profile}" for name in networks]


def fresh(folder: Path) -> bool:
    """Whether `folder` holds a chapter's results, whole and as they were written."""
    try:
        found = json.loads((folder / "results.json").read_text(encoding="utf-8"))
        return found["key"] == folder.name and found["notebook_sha256"] == file_sha256(folder / "notebook.ipynb")
    except (OSError, ValueError, KeyError, TypeError):
        return False


def file_sha256(path: Path) -> str:
    """SHA-256 of a file in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def sweep(built: Path) -> None:
    """Remove what killed jobs left under `built`; a folder that a living job writes to is locked and stays."""
    for left in built.glob("executed/*/*/.*"):
        with contextlib.suppress(OSError):
            lock = os.open(left, os.O_RDONLY)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left)
            finally:
                os.close(lock)


def _write(path: Path, content: dict) -> None:
    write_whole(path, json.dumps(content))
