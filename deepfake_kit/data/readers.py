"""Readers for the data sets' own file formats and folder layouts: bytes on disk in, NumPy arrays out.

Every reader names the file it refuses. Nothing here looks for data, downloads, or writes.
Labels of real-against-fake sets are 0 = real, 1 = fake, whatever the set's own tables use.
"""

from __future__ import annotations

import csv
import gzip
import io
import struct
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

_IDX_TYPES = dict(zip((8, 9, 11, 12, 13, 14), map(np.dtype, ("u1", "i1", ">i2", ">i4", ">f4", ">f8"))))


@dataclass(frozen=True)
class Parsed:
    """What a reader found: images uint8 [N,C,H,W], labels int64 [N]; `extra` of each image, `facts` of the set."""

    images: np.ndarray
    labels: np.ndarray
    classes: tuple[str, ...]
    description: str
    extra: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)


def read_idx(path: str | Path, data: bytes | None = None) -> np.ndarray:
    """Read an IDX file (the MNIST family's format), gzip-compressed or not.

    Parameters
    ----------
    path : str or Path
        The file; only its name is used (in messages) when `data` is given.
    data : bytes, optional
        The file's bytes, where the caller has read them already (to hash them, for instance).

    Returns
    -------
    ndarray
        Array of the shape and type in the header, in native byte order.

    Raises
    ------
    ValueError
        Truncated, corrupt, too long, or no IDX file; the message names the file.

    Examples
    --------
    >>> read_idx("three.idx", b"\\x00\\x00\\x08\\x01\\x00\\x00\\x00\\x03abc").tolist()
    [97, 98, 99]
    """
    if data is None:
        data = Path(path).read_bytes()
    if data[:2] == b"\x1f\x8b":
        try:
            data = gzip.decompress(data)
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"{path}: truncated or corrupt gzip file ({error})") from error
    if len(data) < 4 or data[:2] != b"\0\0" or data[2] not in _IDX_TYPES:
        first = data[:4].hex() or "missing"
        raise ValueError(f"{path}: not an IDX file: it begins {first}, expected 0000, a type code and a rank")
    dtype, rank = _IDX_TYPES[data[2]], data[3]
    start = 4 + 4 * rank
    if len(data) < start:
        raise ValueError(f"{path}: truncated IDX header: {len(data)} bytes, expected {start}")
    shape = struct.unpack(f">{rank}I", data[4:start])
    expected = start + dtype.itemsize * int(np.prod(shape, dtype=np.int64))
    if len(data) != expected:
        state = "truncated" if len(data) < expected else "too long"
        raise ValueError(f"{path}: {state} IDX file: {len(data)} bytes unpacked, expected {expected} for shape {shape}")
    array = np.frombuffer(data, dtype=dtype, offset=start).reshape(shape)
    return array.astype(dtype.newbyteorder("="), copy=False)


def read_idx_pair(
    images: tuple[str | Path, bytes | None],
    labels: tuple[str | Path, bytes | None],
    classes: Sequence[str],
    title: str,
    transpose: bool = False,
) -> Parsed:
    """Read an image and a label file (each a path and its bytes if read already); `transpose` for EMNIST."""
    pictures, codes = read_idx(*images), read_idx(*labels)
    if pictures.ndim != 3 or pictures.dtype != np.uint8:
        raise ValueError(f"{images[0]}: expected a uint8 array [N,H,W], found {pictures.dtype} {pictures.shape}")
    if codes.ndim != 1 or len(codes) != len(pictures):
        raise ValueError(f"{labels[0]}: expected {len(pictures)} labels, found an array of shape {codes.shape}")
    _check_codes(labels[0], codes, len(classes))
    if transpose:
        pictures = np.ascontiguousarray(pictures.transpose(0, 2, 1))
    return Parsed(pictures[:, None], codes.astype(np.int64), tuple(classes), f"{title}, {len(codes):,} images")


def read_npz(path: str | Path, keys: Iterable[str], data: bytes | None = None) -> dict[str, np.ndarray]:
    """Read named arrays of an .npz file without pickle; ValueError naming the file if it is damaged."""
    try:
        with np.load(io.BytesIO(data) if data is not None else Path(path), allow_pickle=False) as archive:
            missing = sorted(set(keys) - set(archive.files))
            if missing:
                raise ValueError(f"no array {', '.join(missing)}; it holds {', '.join(archive.files)}")
            return {key: archive[key] for key in keys}
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, zlib.error, KeyError, RuntimeError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise ValueError(f"{path}: truncated or not the expected .npz file ({error})") from error


def read_emnist_npz(path: str | Path, split: str, classes: Sequence[str], data: bytes | None = None) -> Parsed:
    """Read the first rows of EMNIST's balanced split with writer ids; images are turned upright."""
    names = (f"x_{split}", f"y_{split}", f"writer_{split}")
    images, labels, writers = (array for array in read_npz(path, names, data).values())
    if images.ndim != 3 or not len(images) == len(labels) == len(writers):
        shapes = f"{images.shape}, {labels.shape}, {writers.shape}"
        raise ValueError(f"{path}: arrays {', '.join(names)} do not match: {shapes}")
    _check_codes(path, labels, len(classes))
    upright = np.ascontiguousarray(images.transpose(0, 2, 1))[:, None]
    rows, people = f"first {len(labels):,} {split} images", f"{len(np.unique(writers)):,} writers"
    title = f'EMNIST "balanced" split, {rows}, 47 classes, {people}'
    return Parsed(upright, labels.astype(np.int64), tuple(classes), title, {"writer_ids": writers.astype(np.int64)})


def _check_codes(path: str | Path, codes: np.ndarray, n_classes: int) -> None:
    if n_classes and (wrong := codes[(codes < 0) | (codes >= n_classes)]).size:
        raise ValueError(f"{path}: label {int(wrong[0])} found, expected 0 to {n_classes - 1}")


def spread(count: int, limit: int | None) -> np.ndarray:
    """Indices of at most `limit` of `count` items, evenly spaced and the same every time.

    >>> spread(10, 5).tolist()
    [0, 2, 4, 6, 8]
    """
    if limit is None or limit >= count:
        return np.arange(count)
    return np.arange(limit) * count // limit


def chosen(extra: dict[str, Any], keep: np.ndarray) -> dict[str, Any]:
    """What is known of the images at the indices `keep`, from one array or list of facts an image.

    >>> chosen({"age": [20, 30, 40]}, np.array([0, 2]))
    {'age': [20, 40]}
    """
    return {key: [x[i] for i in keep] if isinstance(x, list) else x[keep] for key, x in extra.items()}


def resize(images: np.ndarray, size: int) -> np.ndarray:
    """Centre square of uint8 images [N,C,H,W], scaled to `size` pixels (bicubic up, Lanczos down)."""
    from PIL import Image

    return np.stack([_to_square(Image.fromarray(x[0] if len(x) == 1 else x.transpose(1, 2, 0)), size) for x in images])


def _to_square(picture: Any, size: int | None) -> np.ndarray:
    from PIL import Image

    if size is not None and picture.size != (size, size):
        width, height = picture.size
        side = min(width, height)
        left, top = (width - side) // 2, (height - side) // 2
        method = Image.Resampling.LANCZOS if side > size else Image.Resampling.BICUBIC
        picture = picture.resize((size, size), method, box=(left, top, left + side, top + side))
    array = np.asarray(picture)
    return array[None] if array.ndim == 2 else np.ascontiguousarray(array.transpose(2, 0, 1))


def read_image(path: str | Path, size: int | None = None, data: bytes | None = None) -> np.ndarray:
    """Decode one picture to RGB uint8 [3,H,W] as `images.open_picture` does; ValueError naming a file it refuses."""
    from deepfake_kit.images import open_picture  # brings torch, which a fingerprint of the data does not need

    return _to_square(open_picture(Path(path) if data is None else data, str(path)), size)


def read_ffhq_stylegan(path: str | Path, split: str, data: bytes | None = None) -> Parsed:
    """Read the archive of real (FFHQ) and generated (StyleGAN2, StyleGAN3) faces; 0 = real, 1 = fake."""
    try:
        with zipfile.ZipFile(io.BytesIO(data) if data is not None else path) as archive:
            table = archive.read("index.csv").decode("utf-8-sig")
            columns = ("file", "label", "source", "psi", "seed", "split")
            rows = [row for row in table_rows(f"{path}!index.csv", table, columns) if row["split"] == split]
            images = [read_image(f"{path}!{row['file']}", None, archive.read(row["file"])) for row in rows]
    except (zipfile.BadZipFile, zlib.error, EOFError, KeyError, OSError, UnicodeDecodeError, RuntimeError) as error:
        if isinstance(error, FileNotFoundError):
            raise
        raise ValueError(f"{path}: truncated or not the expected archive ({error})") from error
    labels = np.array([_real_or_fake(f"{path}!index.csv", row["label"]) for row in rows], np.int64)
    extra = {
        "source": [row["source"] for row in rows],
        "filename": [row["file"] for row in rows],
        "psi": np.array([float(row["psi"] or "nan") for row in rows], np.float32),
        "seed": np.array([int(row["seed"] or -1) for row in rows], np.int64),
    }
    counts = f"{int((labels == 0).sum())} real and {int(labels.sum())} fake images"
    title = f"FFHQ against StyleGAN2 and StyleGAN3, {split}, {counts}, 128x128"
    return Parsed(stack(path, images), labels, ("real", "fake"), title, extra)


def read_fairface_npz(path: str | Path, split: str, data: bytes | None = None) -> Parsed:
    """Read the 64x64 FairFace subset; labels are the race codes, all three attributes are in `extra`."""
    keys = "images gender age race split filename gender_names age_names race_names split_names".split()
    table = read_npz(path, keys, data)
    if table["images"].ndim != 4 or len({len(table[key]) for key in keys[:6]}) != 1:
        raise ValueError(f"{path}: the arrays differ in length: { {key: table[key].shape for key in keys[:6]} }")
    splits = table["split_names"].tolist()
    if split not in splits:
        raise ValueError(f"{path}: no split {split!r}; it holds {', '.join(splits)}")
    keep = table["split"] == splits.index(split)
    codes = {key: table[key][keep].astype(np.int64) for key in ("gender", "age", "race")}
    named = {f"{key}_names": table[f"{key}_names"].tolist() for key in codes}
    for key, values in codes.items():
        _check_codes(path, values, len(named[f"{key}_names"]))
    images = np.ascontiguousarray(table["images"][keep].transpose(0, 3, 1, 2))
    title = f"FairFace subset, {split}, {int(keep.sum()):,} images, 64x64"
    extra = {**codes, "filename": table["filename"][keep].tolist()}
    return Parsed(images, codes["race"], tuple(named["race_names"]), title, extra, named)


def table_rows(name: str, text: str, columns: Sequence[str]) -> list[dict[str, str]]:
    """Rows of a CSV text that must have `columns`; ValueError if one is missing or a line is short."""
    reader = csv.DictReader(io.StringIO(text, newline=""))
    missing = [column for column in columns if column not in (reader.fieldnames or ())]
    if missing:
        raise ValueError(f"{name}: no column {', '.join(missing)}; found {', '.join(reader.fieldnames or ['none'])}")
    rows = []
    for row in reader:
        # A table cut in the middle of a line leaves that line short.
        if None in row.values():
            raise ValueError(f"{name}: truncated at line {reader.line_num}: fewer fields than the header has")
        rows.append(row)
    return rows


def _real_or_fake(name: str, label: str) -> int:
    if label not in ("real", "fake"):
        raise ValueError(f"{name}: label {label!r} found, expected 'real' or 'fake'")
    return int(label == "fake")


def stack(path: str | Path, images: Sequence[np.ndarray]) -> np.ndarray:
    """Pictures of one shape as one array; ValueError naming their home when there are none or they differ."""
    if not images:
        raise ValueError(f"{path}: no picture of the split asked for")
    shapes = {image.shape for image in images}
    if len(shapes) > 1:
        raise ValueError(f"{path}: the pictures differ in shape ({', '.join(map(str, sorted(shapes)))}); give size=")
    return np.stack(images)
