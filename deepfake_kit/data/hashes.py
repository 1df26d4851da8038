"""SHA-256 of files, remembered by path, size and time of change, so that a build can ask for it often."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

from deepfake_kit.cache import cache_folder, write_whole


def read(path: Path) -> tuple[bytes, str]:
    """Bytes of a file and their SHA-256; always reads, and remembers the hash for `of_file`."""
    before = path.stat()
    data = path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    memory = _recall()
    if memory.get(_key(path)) != [before.st_size, before.st_mtime_ns, digest] and len(data) == before.st_size:
        _remember(path, before, digest)
    return data, digest


def of_file(path: Path) -> str:
    """SHA-256 of a file; read again only if its size or time of change differs from the remembered ones."""
    stat = path.stat()
    known = _recall().get(_key(path))
    if isinstance(known, list) and known[:2] == [stat.st_size, stat.st_mtime_ns]:
        return known[2]
    digest = plain(path)
    _remember(path, stat, digest)
    return digest


def plain(path: Path) -> str:
    """SHA-256 of a file, read now and not remembered."""
    with path.open("rb") as handle:
        return hashlib.file_digest(handle, "sha256").hexdigest()


def of_files(paths: Iterable[Path]) -> str:
    """One file: its hash. Several: the SHA-256 of their sorted "name hash" lines."""
    paths = sorted(paths, key=lambda path: path.name)
    if len(paths) == 1:
        return of_file(paths[0])
    lines = "".join(f"{path.name} {of_file(path)}\n" for path in paths)
    return hashlib.sha256(lines.encode(errors="surrogateescape")).hexdigest()


def leftover(name: str) -> bool:
    """Whether a file or folder of this name is a system's own note and no part of a data set.

    >>> [leftover(name) for name in ("._00000.jpg", ".DS_Store", "__MACOSX", "@eaDir", "Thumbs.db", "00000.jpg")]
    [True, True, True, True, True, False]
    """
    return name.startswith(".") or name.lower() in ("__macosx", "@eadir", "thumbs.db", "desktop.ini")


def of_tree(folder: Path) -> str:
    """SHA-256 of the sorted "path size" lines of a folder: hundreds of thousands of pictures are not read."""
    lines = []
    for base, homes, files in os.walk(folder):
        homes[:] = [name for name in homes if not leftover(name)]
        for name in files:
            path = os.path.join(base, name)
            if not leftover(name) and os.path.exists(path):  # a link may lead nowhere
                lines.append(f"{os.path.relpath(path, folder).replace(os.sep, '/')} {os.path.getsize(path)}\n")
    return hashlib.sha256("".join(sorted(lines)).encode(errors="surrogateescape")).hexdigest()


def _key(path: Path) -> str:
    return str(path.resolve())


def _memory_file() -> Path:
    return cache_folder() / "file-hashes.json"


def _recall() -> dict[str, list]:
    try:
        memory = json.loads(_memory_file().read_text(encoding="utf-8"))
    except (OSError, ValueError):
        # No memory yet, or one cut short: the hashes are computed again.
        return {}
    return memory if isinstance(memory, dict) else {}


def _remember(path: Path, stat: os.stat_result, digest: str) -> None:
    target = _memory_file()
    memory = {**_recall(), _key(path): [stat.st_size, stat.st_mtime_ns, digest]}
    with contextlib.suppress(OSError):  # a read-only or full home only costs the next run a second hash
        write_whole(target, json.dumps(memory))
