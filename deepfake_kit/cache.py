"""The user's cache folder of this kit, and files written whole or not at all."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator
from pathlib import Path


def cache_folder() -> Path:
    """The user's cache folder for this kit (the one `pooch.os_cache` names); it need not exist."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("deepfake-kit"))


def write_whole(path: Path, content: bytes | str) -> None:
    """Write a file whole or not at all, also when two processes write it or one is killed; makes its folder.

    The file gets the mode that the user's umask gives any new file.

    Raises
    ------
    OSError
        If it cannot be written; nothing is left beside it then.
    """
    path = Path(os.path.realpath(path))  # through a link, which stays
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(f".{path.name[:50]}.{os.getpid()}.{threading.get_ident()}")  # a name has 255 bytes
    try:
        beside.write_bytes(content.encode() if isinstance(content, str) else content)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


@contextlib.contextmanager
def alone(lock: Path) -> Iterator[None]:
    """One process at a time; the others wait. A kill frees the lock, a file of its own, made with its folder."""
    lock.parent.mkdir(parents=True, exist_ok=True)
    try:
        import fcntl
    except ImportError:  # Windows: no such lock; files are still put in place whole
        yield
        return
    with lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
