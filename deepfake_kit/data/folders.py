"""Folders of labelled pictures as their publishers unpack them: one reader, and a table of how each set lies.

A picture's path tells its label and its split, as far as its publisher's tables do not; only the pictures asked for
are decoded. Labels: 0 = real, 1 = fake; the person's number in CelebA and CASIA-FaceV5.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from deepfake_kit.data import readers
from deepfake_kit.data.hashes import leftover


@dataclass(frozen=True)
class Index:
    """Pictures of one split before decoding: paths, labels int64 [N], and what else is known of each."""

    paths: list[Path]
    labels: np.ndarray
    extra: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Layout:
    """How one set lies on disk.

    `pictures` matches the path of each picture below the set's folder. `about` turns the match, and one dict for each
    of the `tables` (lines of a picture's file name and a value), into the picture's split, label and further facts.
    `note` says where the split is from.
    """

    name: str
    pictures: str
    about: Callable[..., tuple[str, int, dict[str, Any]]]
    note: str
    classes: tuple[str, ...] = ()
    tables: tuple[str, ...] = ()

    def holds(self, path: str) -> bool:
        """Whether a file at this relative path, with ``/``, is part of the set."""
        own = self._match(path) or path.rpartition("/")[2] in self.tables
        return bool(own) and not any(map(leftover, path.split("/")))

    def find(self, folder: Path) -> Path | None:
        """The folder, if a picture of the set lies in it."""
        return folder if any(map(self._match, _pictures(folder))) else None

    def index(self, folder: Path, split: str) -> Index:
        """Which pictures a split has; ValueError where a picture lies at a strange place or a table is cut."""
        files = sorted(_pictures(folder))
        tables = [_table(folder, name, {path.rpartition("/")[2] for path in files}) for name in self.tables]
        rows = []
        for path in files:
            match = self._match(path)
            if match is None:
                raise ValueError(f"{folder / path}: not at a place of the layout of {self.name}: {self.pictures}")
            of, label, facts = self.about(match, *tables)
            rows += [(folder / path, label, {**facts, "filename": path})] if of == split else []
        extra = {key: [facts[key] for _, _, facts in rows] for key in (rows[0][2] if rows else ())}
        return Index([path for path, _, _ in rows], np.array([label for _, label, _ in rows], np.int64), extra)

    def read(self, folder: Path, split: str, size: int | None = 64, limit: int | None = None) -> readers.Parsed:
        """Decode at most `limit` evenly spaced pictures of a split, as centre squares of `size` (None: as is).

        Raises ValueError naming the file when one is truncated, or when pictures and tables disagree.
        """
        found = self.index(Path(folder), split)
        if not found.paths:
            raise ValueError(f"{folder}: no {split} pictures in the layout of {self.name}")
        keep = readers.spread(len(found.paths), limit)
        images = readers.stack(folder, [readers.read_image(found.paths[i], size) for i in keep])
        part = f" ({len(keep):,} of them)" if len(keep) < len(found.paths) else ""
        description = f"{self.name}, {split} ({self.note}), {len(found.paths):,} images{part}"
        return readers.Parsed(images, found.labels[keep], self.classes, description, readers.chosen(found.extra, keep))

    def _match(self, path: str) -> re.Match | None:
        return re.fullmatch(self.pictures, path, re.IGNORECASE)


def _pictures(folder: Path) -> Iterator[str]:
    """Relative paths, with ``/``, of the pictures at or below a folder."""
    for base, homes, files in os.walk(folder):
        homes[:] = sorted(name for name in homes if not leftover(name))
        for name in sorted(files):
            if name.lower().endswith((".jpg", ".jpeg", ".png", ".bmp")) and not leftover(name):
                yield Path(base, name).relative_to(folder).as_posix()


def _table(folder: Path, name: str, pictures: set[str]) -> dict[str, str]:
    """A table of two columns, file name and value, which must list the pictures that are there and no others."""
    path = next((home / name for home in (folder, *sorted(folder.iterdir())) if (home / name).is_file()), folder / name)
    try:
        # Spreadsheets put a mark before the first letter.
        rows = [line.split() for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: no such table, or no text ({error})") from error
    if short := [number for number, row in enumerate(rows, 1) if len(row) != 2]:
        raise ValueError(f"{path}: truncated at line {short[0]}: {len(rows[short[0] - 1])} fields, expected 2")
    table = dict(rows)
    if different := sorted(pictures ^ table.keys()):
        raise ValueError(
            f"{path}: {len(different)} pictures are not both there and listed, the first is {different[0]}"
        )
    return table


def _celeba(found: re.Match, partition: dict[str, str], identity: dict[str, str]) -> tuple[str, int, dict]:
    name = found["file"]
    return {"0": "train", "1": "val", "2": "test"}.get(partition[name], "unknown"), int(identity[name]), {}


def _casia(found: re.Match) -> tuple[str, int, dict]:
    person = int(found["person"])
    return "train" if person < 400 else "test", person, {}


def _trueface(found: re.Match) -> tuple[str, int, dict]:
    configuration = found["configuration"].replace("0p", "0.")  # copies of the set write psi as 0.5 or as 0p5
    # A picture keeps its name when it is shared: by name, no picture is on both sides.
    digest = hashlib.sha256(f"{configuration}/{found['stem']}".encode()).digest()
    psi = re.search(r"psi-([\d.]+)", configuration)
    split = ("test" if digest[0] % 5 == 0 else "train") + ("-shared" if found["platform"] else "")
    facts = {
        "platform": (found["platform"] or "pre").lower(),
        "source": configuration.partition("/")[0],
        "psi": float(psi[1]) if psi else float("nan"),
    }
    return split, int(found["label"].lower() == "fake"), facts


def _real_vs_fake(found: re.Match) -> tuple[str, int, dict]:
    # The set's own tables code 1 = real, the opposite of most detection code and of this kit.
    return found["split"].lower(), int(found["label"].lower() == "fake"), {}


_PICTURE = r"(?P<stem>[^/]+)\.(jpe?g|png|bmp)"
_PERSON = r"(CASIA-FaceV5[^/]*/)?(?P<person>\d{3})/(?P=person)_\d\.bmp"
_SHARED = r"PostSocial/(?P<platform>Facebook|Telegram|Twitter|Whatsapp)"
_KINDS = ("real", "fake")
LAYOUTS = {
    "celeba": Layout(
        "CelebA",
        r"(Img/)?img_align_celeba/(?P<file>\d+\.jpg)",
        _celeba,
        "official partition, in which persons recur",
        tables=("list_eval_partition.txt", "identity_CelebA.txt"),
    ),
    "casia-facev5": Layout("CASIA-FaceV5", _PERSON, _casia, "ours: persons 000-399 train, 400-499 test"),
    "trueface": Layout(
        "TrueFace",
        rf"(TrueFace/)?TrueFace_(PreSocial|{_SHARED})/(?P<label>Real|Fake)/(?P<configuration>.+)/{_PICTURE}",
        _trueface,
        "ours: a fifth of the file names test, by hash",
        _KINDS,
    ),
    "140k-faces": Layout(
        "140k real and fake faces",
        rf"(real_vs_fake/)?(real-vs-fake/)?(?P<split>train|valid|test)/(?P<label>real|fake)/{_PICTURE}",
        _real_vs_fake,
        "official",
        _KINDS,
    ),
}
