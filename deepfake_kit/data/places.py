"""Where a data set lies: the places in their order, the files expected there, and what each hashes to."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from deepfake_kit.data import folders, readers
from deepfake_kit.data import hashes as file_hashes
from deepfake_kit.data.sources import SOURCES, Source


@dataclass(frozen=True)
class Found:
    """A set in one folder: files of each split and how to read them; `tree` if a folder of pictures."""

    where: str
    folder: Path
    variant: str
    parts: dict[str, tuple[Path, ...]]
    read: Callable[..., readers.Parsed]
    tree: bool = False


def roots(root: str | os.PathLike | None) -> list[tuple[str, Path]]:
    """The places, each with the word a message calls it by, in the order of looking."""
    first = [("root=", Path(root))] if root is not None else []
    if os.environ.get("DEEPFAKE_KIT_DATA"):
        first.append(("$DEEPFAKE_KIT_DATA", Path(os.environ["DEEPFAKE_KIT_DATA"]).expanduser()))
    return [*first, ("./data", Path("data")), ("cache", file_hashes.cache_folder())]


def find(wanted: Source, root: str | os.PathLike | None, split: str) -> Found | None:
    """First place that has `split`; for plain ``emnist``, a place with all splits goes before one with a
    part.

    Train and test of Fashion-MNIST are the same wherever they lie. EMNIST has several official splits with
    other labels, so its two parts must not come from two of them.
    """
    partial = None
    for where, base in roots(root):
        here = [item for item in candidates(wanted, where, base) if split in item.parts]
        whole = [item for item in here if set(wanted.splits) <= set(item.parts)]
        if whole or (here and wanted.name != "emnist"):
            return (whole or here)[0]
        partial = partial or (here[0] if here else None)
    return partial


def candidates(wanted: Source, where: str, base: Path) -> list[Found]:
    """Every form of the set under one place, the best first."""
    found = []
    for folder in (base / name for name in wanted.folders):
        if folder.is_dir():
            found += _in_folder(wanted, where, folder)
    return found


def _in_folder(wanted: Source, where: str, folder: Path) -> list[Found]:
    if wanted.name.startswith("emnist"):
        return _emnist_in(wanted, where, folder)
    if wanted.name in ("fashion-mnist", "kmnist"):
        parts = _idx_parts(folder, {"train": "train", "test": "t10k"})
        read = _idx_reader(parts, wanted.title.split(",")[0], wanted.classes, transpose=False)
        return [Found(where, folder, "idx", parts, read)] if parts else []
    single = {
        "ffhq-stylegan": ("ffhq_vs_stylegan_128.zip", readers.read_ffhq_stylegan),
        "fairface": ("fairface_sub64.npz", readers.read_fairface_npz),
    }.get(wanted.name)
    if single and (folder / single[0]).is_file():
        path, read_file = folder / single[0], single[1]
        return [
            Found(
                where,
                folder,
                single[0],
                {split: (path,) for split in wanted.splits},
                lambda split, data: read_file(path, split, data[0]),
            )
        ]
    layout = folders.LAYOUTS.get(wanted.name)
    inner = layout.find(folder) if layout else None
    if inner is None:
        return []
    return [Found(where, inner, layout.name, {split: () for split in wanted.splits}, layout.read, tree=True)]


def _emnist_in(wanted: Source, where: str, folder: Path) -> list[Found]:
    found = []
    for official in ("balanced", "mnist"):
        if wanted.name not in ("emnist", f"emnist-{official}"):
            continue
        classes = SOURCES[f"emnist-{official}"].classes
        prefixes = {split: f"emnist-{official}-{split}" for split in wanted.splits}
        parts = _idx_parts(folder, prefixes) or _idx_parts(folder / "raw", prefixes)
        if parts:
            read = _idx_reader(parts, f'EMNIST "{official}" split', classes, transpose=True)
            found.append(Found(where, folder, official, parts, read))
    path = folder / "emnist-balanced-first2000.npz"
    if wanted.name != "emnist-mnist" and path.is_file():
        classes = SOURCES["emnist-balanced"].classes
        found.append(
            Found(
                where,
                folder,
                "balanced, first rows",
                {split: (path,) for split in wanted.splits},
                lambda split, data: readers.read_emnist_npz(path, split, classes, data[0]),
            )
        )
    return found


def _idx_parts(folder: Path, prefixes: dict[str, str]) -> dict[str, tuple[Path, ...]]:
    parts = {}
    for split, prefix in prefixes.items():
        pair = tuple(_packed_or_not(folder / f"{prefix}-{kind}-ubyte") for kind in ("images-idx3", "labels-idx1"))
        if all(pair):
            parts[split] = pair
    return parts


def _packed_or_not(path: Path) -> Path | None:
    packed = path.with_name(path.name + ".gz")
    return packed if packed.is_file() else path if path.is_file() else None


def _idx_reader(
    parts: dict[str, tuple[Path, ...]], title: str, classes: tuple[str, ...], transpose: bool
) -> Callable[[str, list[bytes]], readers.Parsed]:
    def read(split: str, data: list[bytes]) -> readers.Parsed:
        images, labels = zip(parts[split], data, strict=True)
        return readers.read_idx_pair(images, labels, classes, f"{title}, {split}", transpose)

    return read


def digest(found: Iterable[tuple[str, Found]]) -> str:
    """Hash of what would be read: pairs of a split and where it was found."""
    found = list(found)
    trees = sorted({item.folder for _, item in found if item.tree})
    if trees:
        return file_hashes.of_tree(trees[0])
    return file_hashes.of_files({path for split, item in found for path in item.parts[split]})


def checked_bytes(path: Path, wanted: Source) -> bytes:
    """Bytes of a file that has its published hash, or none published; else ValueError with both hashes."""
    data, actual = file_hashes.read(path)
    expected = wanted.sha256.get(path.name)
    if expected is not None and actual != expected:
        raise ValueError(
            f"{path}: wrong checksum (truncated, damaged or another file, {len(data):,} bytes): expected "
            f"sha256 {expected}, found {actual}. It was not used and is left in place: replace it, or "
            f"move it away to let the set be looked for elsewhere."
        )
    return data


def sha_ok(path: Path, wanted: Source) -> bool | None:
    """Whether a file has its published hash; None where none is published."""
    expected = wanted.sha256.get(path.name)
    return None if expected is None else file_hashes.matches(path, expected)
