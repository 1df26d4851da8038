"""Where a data set lies: the places in their order, the files expected there, and what each hashes to."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from deepfake_kit import cache, paths
from deepfake_kit.data import folders, readers
from deepfake_kit.data import hashes as file_hashes
from deepfake_kit.data.sources import SOURCES, Source

ARCHIVES = {
    "ffhq-stylegan": ("ffhq_vs_stylegan_128.zip", readers.read_ffhq_stylegan),
    "fairface": ("fairface_sub64.npz", readers.read_fairface_npz),
}


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
    """The places, each with the word a message calls it by, in the order of looking; ``~`` is the user's home."""
    first = [("root=", paths.absolute(root))] if root is not None else []
    if os.environ.get("DEEPFAKE_KIT_DATA"):
        first.append(("$DEEPFAKE_KIT_DATA", paths.absolute(os.environ["DEEPFAKE_KIT_DATA"])))
    return [*first, ("./data", paths.absolute("data")), ("cache", cache.cache_folder())]


def find(wanted: Source, root: str | os.PathLike | None, split: str) -> Found | None:
    """First place that has `split`; for plain ``emnist``, a place with all splits goes before one with a
    part.

    Train and test of Fashion-MNIST are the same wherever they lie. EMNIST has several official splits with
    other labels, so its two parts must not come from two of them.
    """
    partial = []
    for where, base in roots(root):
        here = candidates(wanted, where, base)
        whole = [item for item in here if set(wanted.splits) <= set(item.parts)]
        if whole:
            return whole[0]
        partial += here
        if wanted.name != "emnist" and any(split in item.parts for item in here):
            break
    same = [item for item in partial if wanted.name != "emnist" or item.variant == partial[0].variant]
    return next((item for item in same if split in item.parts), None)


def candidates(wanted: Source, where: str, base: Path) -> list[Found]:
    """Every form of the set under one place, the best first; a folder that may not be read holds nothing."""
    found = []
    for folder in homes(wanted, base):
        with suppress(PermissionError):
            found += _in_folder(wanted, where, folder)
    return found


def homes(wanted: Source, base: Path) -> list[Path]:
    """Folders of the set under a place, or the place itself where it is the set's own folder.

    Names are compared by their letters and digits: ``Fashion-MNIST`` is ``FashionMNIST``.
    """
    above = [_letters(part) for part in Path(os.path.abspath(base)).parts]
    found = []
    for name in wanted.folders:
        parts = Path(name).parts
        for known in range(len(parts) + 1):  # the last folders of `base` may be the first of the set
            if known and above[-known:] != [_letters(part) for part in parts[:known]]:
                continue
            here = [base]
            for part in parts[known:]:
                here = [child for folder in here for child in _children(folder, part)]
            found += [folder for folder in here if folder not in found]
    return found


def _letters(name: str) -> str:
    return re.sub(r"[\W_]", "", name.lower())


def _children(folder: Path, name: str) -> list[Path]:
    """Folders called `name` in a folder, the one spelt exactly so first."""
    try:
        alike = [entry for entry in os.scandir(folder) if _letters(entry.name) == _letters(name) and entry.is_dir()]
    except OSError:
        return []
    return [folder / entry.name for entry in sorted(alike, key=lambda entry: (entry.name != name, entry.name))]


def looked(wanted: Source, root: str | os.PathLike | None) -> str:
    """Every place in the order of looking, and why the set was not found there, for messages."""
    return "; ".join(f"{where} {base} ({why_not(wanted, base)})" for where, base in roots(root))


def why_not(wanted: Source, base: Path) -> str:
    if not os.path.lexists(base):
        return "no such folder"
    for folder in (base, *homes(wanted, base)):
        try:
            os.scandir(folder).close()
        except OSError as error:
            return (error.strerror or str(error)).lower() + ("" if folder == base else f": {folder}")
    return "holds other files" if homes(wanted, base) else f"no folder {' or '.join(wanted.folders)}"


def _in_folder(wanted: Source, where: str, folder: Path) -> list[Found]:
    if wanted.name.startswith("emnist"):
        return _emnist_in(wanted, where, folder)
    if wanted.name in ("fashion-mnist", "kmnist"):
        parts = _idx_parts(wanted, folder, {"train": "train", "test": "t10k"})
        read = _idx_reader(parts, wanted.title.split(",")[0], wanted.classes, transpose=False)
        return [Found(where, folder, "idx", parts, read)] if parts else []
    if wanted.name in ARCHIVES:
        name, read_file = ARCHIVES[wanted.name]
        return _archive(wanted, where, folder / name, name, read_file)
    layout = folders.LAYOUTS[wanted.name]
    parts = {split: () for split in wanted.splits}
    return [Found(where, folder, layout.name, parts, layout.read, tree=True)] if layout.find(folder) else []


def _emnist_in(wanted: Source, where: str, folder: Path) -> list[Found]:
    found = []
    for official in ("balanced", "mnist"):
        if wanted.name not in ("emnist", f"emnist-{official}"):
            continue
        classes = SOURCES[f"emnist-{official}"].classes
        prefixes = {split: f"emnist-{official}-{split}" for split in wanted.splits}
        parts = _idx_parts(wanted, folder, prefixes) or _idx_parts(wanted, folder / "raw", prefixes)
        if parts:
            read = _idx_reader(parts, f'EMNIST "{official}" split', classes, transpose=True)
            found.append(Found(where, folder, official, parts, read))
    if wanted.name != "emnist-mnist":
        read_file = partial(readers.read_emnist_npz, classes=SOURCES["emnist-balanced"].classes)
        path = folder / "emnist-balanced-first2000.npz"
        found += _archive(wanted, where, path, "balanced, first rows", read_file)
    return found


def _archive(wanted: Source, where: str, path: Path, variant: str, read_file: Callable) -> list[Found]:
    """The set in one file that holds all splits, if it is there."""
    parts = {split: (path,) for split in wanted.splits}
    found = Found(where, path.parent, variant, parts, lambda split, data: read_file(path, split, data=data[0]))
    return [found] if path.is_file() else []


def _idx_parts(wanted: Source, folder: Path, prefixes: dict[str, str]) -> dict[str, tuple[Path, ...]]:
    parts = {}
    for split, prefix in prefixes.items():
        names = (f"{prefix}-{kind}-ubyte" for kind in ("images-idx3", "labels-idx1"))
        pair = tuple(_packed_or_not(wanted, folder, name) for name in names)
        if all(pair):
            parts[split] = pair
    return parts


def _packed_or_not(wanted: Source, folder: Path, name: str) -> Path | None:
    """The file, gzip-compressed or not, also as ``train-images.idx3-ubyte``; of several one that is as published."""
    spellings = (name, name.replace("-idx", ".idx"))
    there = [path for word in spellings for path in (folder / f"{word}.gz", folder / word) if path.is_file()]
    if len(there) > 1:
        there = [path for path in there if _good(path, wanted)] or there
    return there[0] if there else None


def _good(path: Path, wanted: Source) -> bool:
    with suppress(OSError):
        return sha_ok(path, wanted) is not False
    return False


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
    try:
        data, actual = file_hashes.read(path)
    except PermissionError as error:
        raise PermissionError(
            f"{path}: permission denied. Let yourself read it, or move it away to let the set be looked for elsewhere."
        ) from error
    expected = published(path.name, wanted)
    if expected and actual not in expected:
        raise ValueError(
            f"{path}: wrong checksum (truncated, damaged or another file, {len(data):,} bytes): expected "
            f"sha256 {expected[0]}, found {actual}. It was not used and is left in place: replace it, or "
            f"move it away to let the set be looked for elsewhere."
        )
    return data


def sha_ok(path: Path, wanted: Source) -> bool | None:
    """Whether a file has its published hash; None where none is published."""
    expected = published(path.name, wanted)
    return file_hashes.of_file(path) in expected if expected else None


def published(name: str, wanted: Source) -> list[str]:
    """Published hashes that a file of this name may have: its own, and the content's where a browser unpacked it.

    The copies that spell ``.idx3`` are the same files.
    """
    name = re.sub(r"\.(?=idx\d-ubyte)", "-", name)
    names = dict.fromkeys((name, name.removesuffix(".gz")))
    return [wanted.sha256[key] for key in names if key in wanted.sha256]
