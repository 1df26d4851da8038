"""Where the press builds, and the home of what it starts."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
from pathlib import Path

from deepfake_kit import paths


def build(root: Path) -> Path:
    """Where everything that is built goes: ``$DEEPFAKE_BOOK_BUILD``, else ``_build`` in the repository `root`."""
    named = os.environ.get("DEEPFAKE_BOOK_BUILD")
    return paths.absolute(named) if named else root / "_build"


def built(root: Path, name: str) -> Path:
    """A file of the finished book, such as ``html/results.json``.

    Raises
    ------
    FileNotFoundError
        If there is no such book.
    """
    if not (file := build(root) / name).is_file():
        raise FileNotFoundError(f"{file.parent} holds no book: make book first")
    return file


def copied(source: Path, target: Path, **options) -> Path:
    """Copy a folder that may be read-only to one that may be written; `options` are those of ``shutil.copytree``."""
    shutil.copytree(source, target, copy_function=shutil.copyfile, dirs_exist_ok=True, **options)
    for folder, *_ in os.walk(target):
        os.chmod(folder, os.stat(folder).st_mode | stat.S_IRWXU)
    return target


def home(folder: Path) -> dict[str, str]:
    """Variables for a machine whose home cannot be written; empty where it can.

    Matplotlib, IPython, Jupyter, Snakemake, npm and vvm all write below ``$HOME``. A home inside `folder` takes its
    place; data that lie in the cache of the real one are still found.
    """
    with contextlib.suppress(OSError, RuntimeError):
        with tempfile.TemporaryFile(dir=Path("~").expanduser()):
            return {}
    made = folder / "home"
    try:
        (made / ".cache").mkdir(parents=True, exist_ok=True)
    except OSError:
        made = Path(tempfile.mkdtemp(prefix="home-"))
        (made / ".cache").mkdir()
    cached = Path(os.path.expanduser("~/.cache/deepfake-kit"))
    link = made / ".cache" / "deepfake-kit"
    if cached.is_absolute() and cached.is_dir() and not link.exists():
        link.symlink_to(cached)
    return {"HOME": str(made)}
