"""Folder layouts of the papers' own face sets, as their publishers unpack: which pictures, labels and split.

A layout first makes an index from names and tables alone, and refuses it when pictures and tables disagree;
only the pictures asked for are then decoded. Labels: 0 = real, 1 = fake; the race code for FairFace; the
person's number for CelebA and CASIA-FaceV5.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from deepfake_kit.data import readers
from deepfake_kit.data.hashes import leftover

_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp")
FAIRFACE_RACES = ("Black", "East Asian", "Indian", "Latino_Hispanic", "Middle Eastern", "Southeast Asian", "White")
FAIRFACE_AGES = ("0-2", "3-9", "10-19", "20-29", "30-39", "40-49", "50-59", "60-69", "more than 70")
FAIRFACE_GENDERS = ("Male", "Female")
TRUEFACE_PLATFORMS = ("Facebook", "Telegram", "Twitter", "Whatsapp")


@dataclass(frozen=True)
class Index:
    """Pictures of one split before decoding: paths, labels int64 [N]; `extra` of each picture, `facts` of the set."""

    paths: list[Path]
    labels: np.ndarray
    classes: tuple[str, ...]
    description: str
    extra: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Layout:
    """How one set lies on disk.

    `find` its root at or below a folder (None if absent), `index` one split; `files` matches the paths of its files
    below that folder, as the publisher's archives hold them too.
    """

    name: str
    find: Callable[[Path], Path | None]
    index: Callable[[Path, str], Index]
    files: str

    def holds(self, path: str) -> bool:
        """Whether a file at this relative path, with ``/``, is part of the set."""
        return bool(re.fullmatch(self.files, path, re.IGNORECASE)) and not any(map(leftover, path.split("/")))

    def read(self, folder: Path, split: str, size: int | None = 64, limit: int | None = None) -> readers.Parsed:
        """Decode at most `limit` evenly spaced pictures of a split, as centre squares of `size` (None: as
        is).

        Raises ValueError naming the file when one is truncated, or when pictures and tables disagree.
        """
        index = self.index(Path(folder), split)
        if not index.paths:
            raise ValueError(f"{folder}: no {split} pictures in the layout of {self.name}")
        keep = readers.spread(len(index.paths), limit)
        images = readers.stack(folder, [readers.read_image(index.paths[i], size) for i in keep])
        part = f" ({len(keep):,} of them)" if len(keep) < len(index.paths) else ""
        return readers.Parsed(
            images,
            index.labels[keep],
            index.classes,
            index.description + part,
            readers.chosen(index.extra, keep),
            index.facts,
        )


def _pictures(folder: Path) -> list[str]:
    """Names of the pictures directly in a folder, sorted."""
    if not folder.is_dir():
        raise ValueError(f"{folder}: this folder of the layout is missing")
    return sorted(entry.name for entry in os.scandir(folder) if _is_picture(entry.name))


def _is_picture(name: str) -> bool:
    return name.lower().endswith(_SUFFIXES) and not leftover(name)


def _folders(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.is_dir() and not leftover(path.name))


def _same(table: Path, listed: Sequence[str], present: Sequence[str], folder: Path, both_ways: bool = True) -> None:
    lost = sorted(set(listed) - set(present))
    if lost:
        raise ValueError(
            f"{folder}: {len(lost)} of {len(set(listed))} pictures listed in {table.name} are missing, "
            f"the first is {lost[0]}"
        )
    unlisted = sorted(set(present) - set(listed))
    if both_ways and unlisted:
        raise ValueError(
            f"{table}: truncated or of another set: {len(unlisted)} of {len(set(present))} pictures in "
            f"{folder} are not listed, the first is {unlisted[0]}"
        )


def _code(table: Path, column: str, value: str, valid: Sequence[str]) -> int:
    if value not in valid:
        raise ValueError(f"{table}: {column} {value!r} found, expected one of {', '.join(valid)}")
    return valid.index(value)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")  # spreadsheets put a mark before the first letter
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: not a text file ({error})") from error


# FairFace: train/1.jpg ... val/1.jpg ... fairface_label_{train,val}.csv


def _find_fairface(folder: Path) -> Path | None:
    return folder if (folder / "fairface_label_train.csv").is_file() and (folder / "train").is_dir() else None


def _index_fairface(folder: Path, split: str) -> Index:
    table = folder / f"fairface_label_{split}.csv"
    if not table.is_file():
        raise ValueError(f"{table}: this table of the FairFace layout is missing")
    rows = readers.table_rows(str(table), _text(table), ("file", "age", "gender", "race"))
    present = [f"{split}/{name}" for name in _pictures(folder / split)]
    _same(table, [row["file"] for row in rows], present, folder)
    names = {"gender": FAIRFACE_GENDERS, "age": FAIRFACE_AGES, "race": FAIRFACE_RACES}
    codes = {
        key: np.array([_code(table, key, row[key], valid) for row in rows], np.int64) for key, valid in names.items()
    }
    return Index(
        [folder / row["file"] for row in rows],
        codes["race"],
        FAIRFACE_RACES,
        f"FairFace, {split}, {len(rows):,} images",
        {**codes, "filename": [row["file"] for row in rows]},
        {f"{key}_names": list(valid) for key, valid in names.items()},
    )


# CelebA: img_align_celeba/000001.jpg ..., tables beside it, or Img/, Anno/ and Eval/ as published


def _find_celeba(folder: Path) -> Path | None:
    attributes = (folder / "list_attr_celeba.txt", folder / "Anno" / "list_attr_celeba.txt")
    return folder if any(path.is_file() for path in attributes) else None


def _celeba_file(folder: Path, home: str, name: str) -> Path:
    for path in (folder / name, folder / home / name):
        if path.exists():
            return path
    raise ValueError(f"{folder / name}: this part of the CelebA layout is missing")


def _columns(path: Path, width: int, start: int = 0) -> list[list[str]]:
    rows = [line.split() for line in _text(path).splitlines()[start:] if line.strip()]
    for number, row in enumerate(rows, start + 1):
        if len(row) != width:
            raise ValueError(f"{path}: truncated at line {number}: {len(row)} fields, expected {width}")
    return rows


def _index_celeba(folder: Path, split: str) -> Index:
    table = _celeba_file(folder, "Anno", "list_attr_celeba.txt")
    head = _text(table).splitlines()[:2]
    if len(head) < 2 or not head[0].strip().isdigit():
        raise ValueError(f"{table}: expected a count and a line of attribute names first")
    names = head[1].split()
    rows = _columns(table, 1 + len(names), start=2)
    if len(rows) != int(head[0]):
        raise ValueError(f"{table}: truncated: {len(rows)} rows, its first line says {head[0].strip()}")
    images = _celeba_file(folder, "Img", "img_align_celeba")
    _same(table, [row[0] for row in rows], _pictures(images), images, both_ways=False)
    files = [row[0] for row in rows]
    by_file = {}
    for home, name in (("Eval", "list_eval_partition.txt"), ("Anno", "identity_CelebA.txt")):
        path = _celeba_file(folder, home, name)
        by_file[name] = dict(_columns(path, 2))
        lost = sorted(set(files) - set(by_file[name]))
        if lost:
            raise ValueError(f"{path}: truncated: no line for {lost[0]} and {len(lost) - 1} others")
    partition, identity = by_file["list_eval_partition.txt"], by_file["identity_CelebA.txt"]
    code = str(("train", "val", "test").index(split))
    keep = [i for i, name in enumerate(files) if partition[name] == code]
    where: dict[str, set[str]] = {}
    for name in files:
        where.setdefault(identity[name], set()).add(partition[name])
    persons = {identity[files[i]] for i in keep}
    shared = sum(len(where[person]) > 1 for person in persons)
    attributes = np.array([[value == "1" for value in rows[i][1:]] for i in keep], np.uint8).reshape(-1, len(names))
    labels = np.array([int(identity[files[i]]) for i in keep], np.int64)
    return Index(
        [images / files[i] for i in keep],
        labels,
        (),
        f"CelebA, official {split} partition, {len(keep):,} images of {len(persons):,} persons, {shared:,} of whom "
        "occur in another partition",
        {"attributes": attributes, "filename": [files[i] for i in keep]},
        {"attribute_names": names, "shared_identities": shared},
    )


# CASIA-FaceV5: "CASIA-FaceV5 (000-099)"/000/000_0.bmp ... five pictures a subject; no official split


def _casia_subjects(folder: Path) -> dict[int, Path]:
    shelves = [folder, *(path for path in _folders(folder) if "CASIA" in path.name)]
    return {int(path.name): path for shelf in shelves for path in _folders(shelf) if re.fullmatch(r"\d{3}", path.name)}


def _find_casia(folder: Path) -> Path | None:
    return folder if folder.is_dir() and _casia_subjects(folder) else None


def _index_casia(folder: Path, split: str) -> Index:
    first_test = 400
    paths, labels = [], []
    for number, home in sorted(_casia_subjects(folder).items()):
        if (number >= first_test) != (split == "test"):
            continue
        expected = [f"{number:03d}_{i}.bmp" for i in range(5)]
        found = _pictures(home)
        if found != expected:
            raise ValueError(f"{home}: expected {', '.join(expected)}, found {', '.join(found) or 'nothing'}")
        paths += [home / name for name in expected]
        labels += [number] * 5
    return Index(
        paths,
        np.array(labels, np.int64),
        (),
        f"CASIA-FaceV5, {split}, {len(paths):,} images of {len(paths) // 5} subjects; the set has no official split, "
        "so subjects 000-399 train and 400-499 test (no person on both sides)",
    )


# TrueFace: TrueFace_PreSocial/{Real,Fake}/...,
# TrueFace_PostSocial/PLATFORM/{Real,Fake}/GENERATOR[/CONFIGURATION]


def _find_trueface(folder: Path) -> Path | None:
    for place in (folder, folder / "TrueFace"):
        if any((place / f"TrueFace_{stage}").is_dir() for stage in ("PreSocial", "PostSocial")):
            return place
    return None


def _index_trueface(folder: Path, split: str) -> Index:
    paths, labels, platforms, generators, psis = [], [], [], [], []
    for base, homes, files in os.walk(folder):
        homes[:] = sorted(name for name in homes if not leftover(name))
        for name in sorted(files):
            if not _is_picture(name):
                continue
            path = Path(base, name)
            parts = list(path.relative_to(folder).parts[:-1])
            stage = parts.pop(0) if parts else ""
            platform = "pre" if stage == "TrueFace_PreSocial" else parts.pop(0) if parts else ""
            if (
                stage not in ("TrueFace_PreSocial", "TrueFace_PostSocial")
                or len(parts) < 2
                or platform not in ("pre", *TRUEFACE_PLATFORMS)
                or parts[0] not in ("Real", "Fake")
            ):
                raise ValueError(
                    f"{path}: not at a place of the TrueFace layout: TrueFace_PreSocial/Real|Fake/GENERATOR/"
                    f"... or TrueFace_PostSocial/{'|'.join(TRUEFACE_PLATFORMS)}/Real|Fake/GENERATOR/..."
                )
            # Copies of the set write psi as 0.5 or as 0p5.
            configuration = "/".join(parts[1:]).replace("0p", "0.")
            # One picture before and after sharing keeps its name: by name, no picture is on both sides.
            digest = hashlib.sha256(f"{configuration}/{path.stem}".encode()).digest()
            if (digest[0] % 5 == 0) != (split == "test"):
                continue
            psi = re.search(r"psi-([\d.]+)", configuration)
            paths.append(path)
            labels.append(int(parts[0] == "Fake"))
            platforms.append(platform.lower())
            generators.append(parts[1])
            psis.append(float(psi.group(1)) if psi else float("nan"))
    return Index(
        paths,
        np.array(labels, np.int64),
        ("real", "fake"),
        f"TrueFace, {split}, {len(paths):,} images; the set has no official split, so a fifth of the file names (by "
        "hash, the same before and after sharing) test",
        {
            "platform": platforms,
            "generator": generators,
            "psi": np.array(psis, np.float32),
            "filename": [path.relative_to(folder).as_posix() for path in paths],
        },
    )


# 140k: real_vs_fake/real-vs-fake/{train,valid,test}/{real,fake}/, tables train.csv, valid.csv, test.csv
# beside it


def _find_140k(folder: Path) -> Path | None:
    for place in (folder, folder / "real-vs-fake", folder / "real_vs_fake" / "real-vs-fake"):
        if (place / "train" / "real").is_dir() and (place / "train" / "fake").is_dir():
            return place
    return None


def _index_140k(folder: Path, split: str) -> Index:
    files = [f"{split}/{kind}/{name}" for kind in ("real", "fake") for name in _pictures(folder / split / kind)]
    for home in (folder, folder.parent, folder.parent.parent):
        table = home / f"{split}.csv"
        if table.is_file():
            rows = readers.table_rows(str(table), _text(table), ("label", "label_str", "path"))
            for row in rows:
                # The set's own tables code 1 = real, the opposite of most detection code and of this kit.
                if (row["label"], row["label_str"]) not in (("1", "real"), ("0", "fake")):
                    raise ValueError(
                        f"{table}: label {row['label']!r} with {row['label_str']!r} found, expected "
                        "1 with real or 0 with fake"
                    )
            _same(table, [row["path"] for row in rows], files, folder)
            break
    labels = np.array([int(name.split("/")[1] == "fake") for name in files], np.int64)
    return Index(
        [folder / name for name in files],
        labels,
        ("real", "fake"),
        f"140k real and fake faces, official {split} split, {int((labels == 0).sum()):,} real and "
        f"{int(labels.sum()):,} fake images (the set's tables code 1 = real, here 1 = fake)",
        {"filename": files},
    )


# FFHQ thumbnails: thumbnails128x128/00000/00000.png in folders of a thousand, or all in one folder


def _find_ffhq(folder: Path) -> Path | None:
    for place in (folder, folder / "thumbnails128x128"):
        if place.name == "thumbnails128x128" and place.is_dir():
            return place
    return None


def _index_ffhq(folder: Path, split: str) -> Index:
    shelves = [folder, *_folders(folder)]
    numbered = []
    for shelf in shelves:
        for name in _pictures(shelf):
            number = int(name[:5]) if re.fullmatch(r"\d{5}\.png", name) else -1
            if number < 0 or (shelf != folder and shelf.name != f"{number // 1000 * 1000:05d}"):
                raise ValueError(f"{shelf / name}: not at a place of the FFHQ layout: NNNNN.png in 00000, 01000, ...")
            numbered.append((number, shelf / name))
    first_val = 60_000
    chosen = sorted(item for item in numbered if (item[0] >= first_val) == (split == "val"))
    part = "numbers from 60000 (the authors' validation part)" if split == "val" else "numbers below 60000"
    return Index(
        [path for _, path in chosen],
        np.zeros(len(chosen), np.int64),
        ("real",),
        f"FFHQ thumbnails, {split}: {part}, {len(chosen):,} images",
        {"number": np.array([number for number, _ in chosen], np.int64)},
    )


_PICTURE = r"[^/]+\.(jpe?g|png|bmp)"
LAYOUTS = {
    "fairface": Layout(
        "FairFace, as published",
        _find_fairface,
        _index_fairface,
        r"(train|val)/\d+\.jpg|fairface_label_(train|val)\.csv",
    ),
    "celeba": Layout(
        "CelebA, as published",
        _find_celeba,
        _index_celeba,
        r"(Img/)?img_align_celeba/\d+\.jpg|((Anno|Eval)/)?(list_\w+|identity_CelebA)\.txt",
    ),
    "casia-facev5": Layout(
        "CASIA-FaceV5, as published", _find_casia, _index_casia, r"(CASIA-FaceV5[^/]*/)?\d{3}/\d{3}_\d\.bmp"
    ),
    "trueface": Layout(
        "TrueFace, as published",
        _find_trueface,
        _index_trueface,
        rf"(TrueFace/)?TrueFace_(Pre|Post)Social/([^/]+/)+{_PICTURE}",
    ),
    "140k-faces": Layout(
        "140k real and fake faces, as published",
        _find_140k,
        _index_140k,
        rf"(real_vs_fake/)?(real-vs-fake/)?(train|valid|test)/(real|fake)/{_PICTURE}|(train|valid|test)\.csv",
    ),
    "ffhq-thumbnails": Layout(
        "FFHQ thumbnails, as published",
        _find_ffhq,
        _index_ffhq,
        r"(thumbnails128x128/)?(\d{5}/)?\d{5}\.png|ffhq-dataset-v2\.json",
    ),
}
