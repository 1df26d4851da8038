"""Downloads to trust: given up quickly when impossible, resumed when cut, checked, put in place whole."""

from __future__ import annotations

import hashlib
import os
import socket
import threading
import urllib.request
import zipfile
import zlib
from itertools import chain
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from deepfake_kit.cache import alone, write_whole
from deepfake_kit.data import hashes as file_hashes
from deepfake_kit.data.sources import EMNIST_ARCHIVE, EMNIST_ARCHIVE_SHA256, Source

PROBE_SECONDS = 2.0
READ_SECONDS = 3.0
MAX_STALLS = 3


_FIRST_BYTES = {"gz": b"\x1f\x8b", "zip": b"PK"}


class Unreachable(ConnectionError):
    """The publisher cannot be reached, stopped answering, or the file cannot be written here."""


def probe(url: str, seconds: float = PROBE_SECONDS) -> None:
    """Open and close one TCP connection to the address's host (or its proxy); `Unreachable` within `seconds`.

    Name look-up has no time limit of its own, so the attempt runs beside and is left behind when it takes too
    long.
    """
    parts = urlsplit(url)
    proxies = urllib.request.getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")  # as requests does
    if proxy and not urllib.request.proxy_bypass(parts.hostname or ""):
        parts = urlsplit(proxy if "//" in proxy else f"//{proxy}")
    usual = {"https": 443, "socks4": 1080, "socks5": 1080, "socks5h": 1080}
    host, port = parts.hostname, parts.port or usual.get(parts.scheme, 80)
    outcome: list[OSError | None] = []

    def attempt() -> None:
        try:
            socket.create_connection((host, port), timeout=seconds).close()
            outcome.append(None)
        except OSError as error:
            outcome.append(error)

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(seconds)
    if not outcome:
        raise Unreachable(f"{host}:{port} did not answer within {seconds:g} s")
    if outcome[0] is not None:
        raise Unreachable(f"{host}:{port}: {outcome[0]}") from outcome[0]


class ResumingDownloader:
    """A pooch downloader that keeps what has arrived in ``.NAME.part`` and asks for the rest next time.

    Parameters
    ----------
    part : Path
        Where the unfinished file is kept between attempts.
    progress : bool
        Show a bar on stderr.
    """

    def __init__(self, part: Path, progress: bool = True) -> None:
        self.part, self.progress = part, progress

    def __call__(self, url: str, output_file: str, pooch: Any, check_only: bool = False) -> None:
        """Download `url` to `output_file`; called by pooch, which checks the hash afterwards."""
        stalls, started = 0, self._arrived()
        while True:
            before = self._arrived()
            try:
                self._continue(url)
                break
            except OSError as error:
                stalls = 0 if self._arrived() > before else stalls + 1
                answer = getattr(getattr(error, "response", None), "status_code", None)
                # A first attempt that brings nothing, and any refusal, is final: nobody waits for minutes.
                if answer is not None or stalls >= MAX_STALLS or self._arrived() <= started:
                    raise
        os.replace(self.part, output_file)

    def _arrived(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _continue(self, url: str) -> None:
        import requests
        from tqdm import tqdm
        from urllib3.exceptions import HTTPError

        have = self._arrived()
        # Without "identity" a server may pack the answer, and its length would count other bytes than ours.
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={have}-"} if have else {})
        with requests.get(url, headers=headers, stream=True, timeout=(PROBE_SECONDS, READ_SECONDS)) as answer:
            if answer.status_code == 416:
                # The kept part is not shorter than the file: if it is not the file, start again.
                total = answer.headers.get("Content-Range", "").rpartition("/")[2]
                if total == str(have):
                    return
                self.part.unlink()
                return self._continue(url)
            answer.raise_for_status()
            # On a cut transfer urllib3 would throw the last block away; the length is compared below instead.
            answer.raw.enforce_content_length = False
            resumed = answer.status_code == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {have}-")
            have = have if resumed else 0
            # Bytes as sent: some servers call a .gz file a packed page, and it would be unpacked.
            blocks = answer.raw.stream(1 << 16, decode_content=False)
            first = b"" if resumed else next(blocks, b"")
            if not first.startswith(_FIRST_BYTES.get(url.rpartition(".")[2], b"")[: len(first)]):
                told = f"something else than the file came, it begins {first[:40]!r}"
                raise OSError(f"{url}: {told}: perhaps the log-in page of a network or proxy")
            length = answer.headers.get("Content-Length")
            total = have + int(length) if length else None
            name = url.rpartition("/")[2]
            bar = tqdm(total=total, initial=have, unit="B", unit_scale=True, desc=name, disable=not self.progress)
            with self.part.open("ab" if resumed else "wb") as part, bar:
                try:
                    for block in chain([first], blocks):
                        part.write(block)
                        bar.update(len(block))
                except HTTPError as error:
                    raise OSError(f"{url}: {error}") from error
        if total is not None and self._arrived() != total:
            raise OSError(f"{url}: the transfer was cut after {self._arrived():,} of {total:,} bytes")


def fetch_file(url: str, folder: Path, name: str, expected: str, progress: bool = True) -> Path:
    """Download one file into `folder` through pooch, checked before it gets its name.

    Parameters
    ----------
    url : str
        Address.
    folder : Path
        Made if missing.
    name : str
        Name of the file there.
    expected : str
        SHA-256 in hex.
    progress : bool
        Show a bar.

    Raises
    ------
    ValueError
        The bytes received, or a file that stands there already, have another hash; the latter is left in
        place.
    Unreachable
        No connection, a stalled or refused transfer, or a folder that cannot be written.
    """
    target = folder / name
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with alone(folder / f".{name}.lock"):
            if target.exists():
                if (found := file_hashes.of_file(target)) != expected:
                    told = f"wrong checksum: expected {expected}, found sha256 {found}"
                    raise ValueError(f"{target}: {told}. It is left in place: move it away to download it again.")
                return target
            probe(url)
            import pooch  # after the probe: with no network its imports would be the longest wait

            kind, _, digest = expected.rpartition(":")
            downloader = ResumingDownloader(folder / f".{name}.part", progress)
            pooch.retrieve(url, f"{kind or 'sha256'}:{digest}", name, folder, downloader=downloader)
    except Unreachable:
        raise
    except OSError as error:
        raise Unreachable(f"{url} to {folder}: {error}") from error
    return target


def fetch(source: Source, root: Path, progress: bool = True) -> Path:
    """Download every file of a set into `root`, in the layout that `deepfake_kit.data` reads."""
    folder = root / source.folders[0]
    if EMNIST_ARCHIVE in source.urls:
        return _fetch_emnist(source, folder, progress)
    for name, url in source.urls.items():
        fetch_file(url, folder, name, source.sha256[name], progress)
    return folder


def _fetch_emnist(source: Source, folder: Path, progress: bool) -> Path:
    if all((folder / "raw" / name).exists() for name in _emnist_files(source)):
        return folder
    expected = source.sha256.get(EMNIST_ARCHIVE, EMNIST_ARCHIVE_SHA256)
    archive = fetch_file(source.urls[EMNIST_ARCHIVE], folder, EMNIST_ARCHIVE, expected, progress)
    unpack_emnist(source, archive, folder)
    archive.unlink()
    return folder


def _emnist_files(source: Source) -> list[str]:
    return [name for name in source.sha256 if name.endswith(".gz")]


def unpack_emnist(source: Source, archive: Path, folder: Path) -> int:
    """Take the balanced and mnist splits out of the publisher's archive of all six, into ``folder/raw``."""
    wanted = {f"gzip/{name}": name for name in _emnist_files(source)}
    return unpack(archive, folder / "raw", wanted, source.sha256)


def unpack(
    archive: Path, folder: Path, members: dict[str, str] | None = None, sha256: dict[str, str] | None = None
) -> int:
    """Unpack a zip file into `folder`, each file whole or not at all; return the number of files written.

    Files that stand there already with the same bytes are kept, so an interrupted run goes on where it stopped.
    `members` maps names in the archive to names in the folder (all by default); `sha256` gives hashes to
    check.
    """
    written = 0
    try:
        with zipfile.ZipFile(archive) as packed:
            listed = {info.filename: info for info in packed.infolist() if not info.is_dir()}
            for member, name in (members or {key: key for key in listed}).items():
                if member not in listed:
                    raise ValueError(f"{archive}: holds no {member}")
                target = (folder / name).resolve()
                if not target.is_relative_to(folder.resolve()):
                    raise ValueError(f"{archive}: {member} would be written outside {folder}")
                content, expected = packed.read(member), (sha256 or {}).get(name)
                if expected and (found := hashlib.sha256(content).hexdigest()) != expected:
                    raise ValueError(f"{archive}!{member}: wrong checksum: expected {expected}, found {found}")
                if not (target.is_file() and target.read_bytes() == content):
                    write_whole(target, content)
                    written += 1
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        RuntimeError,
    ) as error:  # the last: encrypted, packed in a new way
        raise ValueError(f"{archive}: truncated or damaged archive, or a locked one ({error})") from error
    return written
