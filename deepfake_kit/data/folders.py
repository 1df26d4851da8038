"""Folders of labelled pictures as their publishers unpack them: one reader, and a table of how each set lies.

A picture's path tells its label and its split; only the pictures asked for are decoded. Labels: 0 = real, 1 = fake.
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

    `pictures` matches the path of each picture below the set's folder. `about` turns the match into the picture's
    split, label and further facts. `note` says where the split is from.
    """

    name: str
    pictures: str
    about: Callable[..., tuple[str, int, dict[str, Any]]]
    note: str
    classes: tuple[str, ...] = ("real", "fake")

    def holds(self, path: str) -> bool:
        """Whether a file at this relative path, with ``/``, is part of the set."""
        return bool(self._match(path)) and not any(map(leftover, path.split("/")))

    def find(self, folder: Path) -> Path | None:
        """The folder, if a picture of the set lies in it."""
        return folder if any(map(self._match, _pictures(folder))) else None

    def index(self, folder: Path, split: str) -> Index:
        """Which pictures a split has; ValueError where a picture lies at a strange place."""
        rows = []
        for path in sorted(_pictures(folder)):
            match = self._match(path)
            if match is None:
                raise ValueError(f"{folder / path}: not at a place of the layout of {self.name}: {self.pictures}")
            of, label, facts = self.about(match)
            rows += [(folder / path, label, {**facts, "filename": path})] if of == split else []
        extra = {key: [facts[key] for _, _, facts in rows] for key in (rows[0][2] if rows else ())}
        return Index([path for path, _, _ in rows], np.array([label for _, label, _ in rows], np.int64), extra)

    def read(self, folder: Path, split: str, size: int | None = 64, limit: int | None = None) -> readers.Parsed:
        """Decode at most `limit` evenly spaced pictures of a split, as centre squares of `size` (None: as is).

        Raises ValueError naming the file when one is truncated.
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
            there = not leftover(name) and os.path.exists(os.path.join(base, name))  # a link may lead nowhere
            if there and name.lower().endswith((".jpg", ".jpeg", ".png", ".bmp")):
                yield Path(base, name).relative_to(folder).as_posix()


def _trueface(found: re.Match) -> tuple[str, int, dict]:
    configuration = found["configuration"].replace("0p", "0.")  # copies of the set write psi as 0.5 or as 0p5
    # A picture keeps its name when it is shared: by name, no picture is on both sides.
    digest = hashlib.sha256(f"{configuration}/{found['stem']}".encode(errors="surrogateescape")).digest()
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
    fake = found["label"].lower() == "fake"
    return found["split"].lower(), int(fake), {"source": "StyleGAN" if fake else "FFHQ"}


_PICTURE = r"(?P<stem>[^/]+)\.(jpe?g|png|bmp)"
_SHARED = r"PostSocial/(?P<platform>Facebook|Telegram|Twitter|Whatsapp)"
LAYOUTS = {
    "trueface": Layout(
        "TrueFace",
        rf"(TrueFace/)?TrueFace_(PreSocial|{_SHARED})/(?P<label>Real|Fake)/(?P<configuration>.+)/{_PICTURE}",
        _trueface,
        "ours: a fifth of the file names test, by hash",
    ),
    "140k-faces": Layout(
        "140k real and fake faces",
        rf"(real_vs_fake/)?(real-vs-fake/)?(?P<split>train|valid|test)/(?P<label>real|fake)/{_PICTURE}",
        _real_vs_fake,
        "official",
    ),
}
