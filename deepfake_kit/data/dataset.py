"""Real data sets by name: found on disk, else fetched with a checksum, else a stand-in that says it is one.

Places, in this order: ``root=``, ``$DEEPFAKE_KIT_DATA``, ``./data``, the user's cache. A set that is nowhere
is downloaded into the cache; with no network the MNIST-like sets fall back to scikit-learn's bundled digits.
A damaged file is named with both hashes, never used and never deleted.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from deepfake_kit import cache
from deepfake_kit.data import places, readers
from deepfake_kit.data.sources import SOURCES, Source
from deepfake_kit.valid import one_of, whole

if TYPE_CHECKING:
    import numpy as np
    import torch


STAND_IN = "stand-in"
MISSING = "missing"


class StandInWarning(UserWarning):
    """The data set asked for was not at hand and another one, marked `stand_in`, took its place."""


@dataclass(frozen=True)
class Dataset:
    """Images and labels of one split.

    Attributes
    ----------
    images : torch.Tensor
        uint8 [N,C,H,W], 0 to 255, upright; C is 1 (grey) or 3 (RGB).
    labels : torch.Tensor
        long [N]; in real-against-fake sets 0 = real, 1 = fake.
    name, split : str
        As asked for.
    stand_in : bool
        True when these are not the images asked for; figures made from them must say so.
    sha256 : str
        Hash of the files read (see `fingerprint`), or ``"stand-in"``.
    photographs_of_people : bool
        True where single images must not be printed: aggregates only.
    description : str
        The split and count actually loaded, in words.
    classes : tuple of str
        Name of each label; empty where a label is an identity number.
    extra : dict
        Facts of each image where the set gives them (``writer_ids``, ``gender``, ``age``, ``race``, ``source``, ...),
        and of the set as a whole (``race_names``, ``attribute_names``, ...).
    """

    images: torch.Tensor
    labels: torch.Tensor
    name: str
    split: str
    stand_in: bool
    sha256: str
    photographs_of_people: bool = False
    description: str = ""
    classes: tuple[str, ...] = ()
    extra: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class Place:
    """One folder where a set was looked for, for `locate`.

    `files` holds (path, bytes, checksum): checksum is True (as published), False (not), None (none published), or
    says why the file cannot be read. `note` says why nothing was found.
    """

    where: str
    folder: Path
    found: bool
    used: bool = False
    variant: str = ""
    splits: tuple[str, ...] = ()
    files: tuple[tuple[Path, int, bool | str | None], ...] = ()
    note: str = "nothing"


@dataclass(frozen=True)
class Located:
    """Every place where a set was looked for, in order; iterates over `places`, prints as a report."""

    name: str
    places: tuple[Place, ...]

    def __iter__(self) -> Iterator[Place]:
        return iter(self.places)

    def __str__(self) -> str:
        wanted = SOURCES[self.name]
        used = [place for place in self.places if place.used]
        state = "found" if used else "not found"
        if not used:
            state += "; scikit-learn's digits would stand in" if wanted.has_stand_in else "; no stand-in"
            state += "; can be downloaded" if wanted.urls else "; must be asked for by hand"
        lines = [f"{self.name}: {state}"]
        for place in self.places:
            if not place.found:
                lines.append(f"    {place.where:20} {place.folder}: {place.note}")
                continue
            role = "used" if place.used else "not used"
            lines.append(f"    {place.where:20} {place.folder}: {place.variant} ({', '.join(place.splits)}), {role}")
            for path, size, good in place.files:
                word = {True: "checksum good", False: "WRONG CHECKSUM", None: "no published checksum"}.get(good, good)
                lines.append(f"        {path.name}, {size:,} bytes, {word}")
        return "\n".join(lines)


def names() -> list[str]:
    """Names that `load` knows.

    >>> "fashion-mnist" in names()
    True
    """
    return list(SOURCES)


def source(name: str) -> Source:
    """Licence, terms, citation, addresses and checksums of a set; ValueError with the nearest name if
    unknown.

    >>> source("kmnist").licence
    'CC BY-SA 4.0'
    """
    return SOURCES[one_of("data set", name, SOURCES)]


def load(
    name: str,
    split: str = "train",
    root: str | os.PathLike | None = None,
    download: bool | None = None,
    *,
    size: int | None = None,
    limit: int | None = None,
) -> Dataset:
    """Load one split of a data set.

    Parameters
    ----------
    name : str
        One of `names`. ``emnist`` takes whichever official split is found; ``emnist-balanced`` and
        ``emnist-mnist`` insist on one.
    split : str
        A split as the set itself defines it: ``train``/``test`` or ``train``/``val``(/``test``).
    root : path, optional
        Looked at first.
    download : bool, optional
        None: download if the set is nowhere, else fall back to a stand-in. False: never touch the network.
        True: a failed download is an error.
    size : int, optional
        Side in pixels to scale to (centre square first). Sets kept as folders of pictures default to 64.
    limit : int, optional
        At most this many images, evenly spaced over the split.

    Returns
    -------
    Dataset

    Raises
    ------
    ValueError
        Unknown name or split (with the nearest valid ones), or a damaged file (named, with both hashes).
    FileNotFoundError
        The set is nowhere and has no stand-in, or another split of it is there, which a stand-in must not mix with;
        the message says where to put it.
    PermissionError
        A file of the set may not be read (named).
    ConnectionError
        ``download=True`` and the publisher could not be reached.

    Examples
    --------
    >>> data = load("fashion-mnist", "test", limit=10, download=False)
    >>> data.images.shape
    torch.Size([10, 1, 28, 28])
    """
    wanted = source(name)
    one_of(f"split of data set {name!r}", split, wanted.splits)
    for argument, given in (("size", size), ("limit", limit)):
        whole(argument, 1 if given is None else given, 1)
    found = places.find(wanted, root, split)
    reason = "not found on this machine"
    if found is None:
        reason = _try_download(wanted, download) or reason
        found = places.find(wanted, root, split)
    if found is None:
        if download is True and wanted.urls:
            raise ConnectionError(f"data set {name!r} ({split}) could not be downloaded: {reason}")
        if not wanted.has_stand_in:
            raise FileNotFoundError(_where_to_put(wanted, root))
        if others := _found(wanted, root, wanted.splits):
            there, item = others[0]
            raise FileNotFoundError(
                f"data set {name!r}: its {split} part was {reason}; its {there} part lies in {item.folder}. A stand-in "
                f"for one part would mix two sets: add the {split} part, or move the other away for a stand-in"
            )
        warnings.warn(
            f"data set {name!r}: {reason}; scikit-learn's bundled digits stand in for it (stand_in=True). "
            f"Looked in: {places.looked(wanted, root)}",
            StandInWarning,
            stacklevel=2,
        )
        return _as_dataset(_digits(split, name), wanted, split, STAND_IN, size, limit)
    if found.tree:
        digest = places.digest([(split, found)])
        parsed = found.read(found.folder, split, size=size or 64, limit=limit)
        return _as_dataset(parsed, wanted, split, digest, None, None)
    data = [places.checked_bytes(path, wanted) for path in found.parts[split]]
    digest = places.digest([(split, found)])
    return _as_dataset(found.read(split, data), wanted, split, digest, size, limit)


def ensure(name: str, root: str | os.PathLike | None = None) -> str:
    """Download the set if it is nowhere; return its `fingerprint`. Lets a build fetch before it keys."""
    wanted = source(name)
    if not _found(wanted, root, wanted.splits):
        _try_download(wanted, None)
    return fingerprint(name, root)


def fingerprint(name: str, root: str | os.PathLike | None = None, split: str | None = None) -> str:
    """Hash of the files that `load` would read, without reading them again when they have not changed.

    One file: its SHA-256. Several: the SHA-256 of their sorted "name hash" lines. A folder of pictures: that
    of the sorted "path size" lines. ``"stand-in"`` or ``"missing"`` when the set is nowhere. Never opens a
    connection.

    Parameters
    ----------
    name : str
        One of `names`.
    root : path, optional
        As for `load`.
    split : str, optional
        One split, which gives `Dataset.sha256`; by default all of them.
    """
    wanted = source(name)
    if split is not None:
        one_of(f"split of data set {name!r}", split, wanted.splits)
    found = _found(wanted, root, wanted.splits if split is None else (split,))
    if not found:
        return STAND_IN if wanted.has_stand_in else MISSING
    return places.digest(found)


def locate(name: str, root: str | os.PathLike | None = None) -> Located:
    """Every place where `name` is looked for, in order, with what lies there and whether checksums hold."""
    wanted = source(name)
    chosen = {(item.folder, item.variant) for _, item in _found(wanted, root, wanted.splits)}
    listed = []
    for where, base in places.roots(root):
        here = places.candidates(wanted, where, base)
        if not here:
            listed.append(Place(where, base, found=False, note=places.why_not(wanted, base)))
        for item in here:
            paths = sorted({path for part in item.parts.values() for path in part})
            files = tuple((path, path.stat().st_size, _checked(path, wanted)) for path in paths)
            used = (item.folder, item.variant) in chosen
            listed.append(Place(where, item.folder, True, used, item.variant, tuple(item.parts), files))
    return Located(name, tuple(listed))


def _checked(path: Path, wanted: Source) -> bool | str | None:
    try:
        return places.sha_ok(path, wanted)
    except OSError as error:
        return f"CANNOT BE READ ({error.strerror})"


def _found(wanted: Source, root: str | os.PathLike | None, splits: Iterable[str]) -> list[tuple[str, places.Found]]:
    pairs = ((split, places.find(wanted, root, split)) for split in splits)
    return [(split, item) for split, item in pairs if item is not None]


def _try_download(wanted: Source, download: bool | None) -> str:
    """Fetch into the cache; return why it could not be done, or '' on success."""
    if download is False:
        return "not found on this machine, and download=False"
    if not wanted.urls:
        return "not found on this machine, and it cannot be downloaded without asking for it"
    if os.environ.get("DEEPFAKE_KIT_OFFLINE", "0") not in ("", "0"):
        return "not found on this machine, and $DEEPFAKE_KIT_OFFLINE is set"
    from deepfake_kit.data import downloads

    try:
        downloads.fetch(wanted, cache.cache_folder())
    except downloads.Unreachable as error:
        return f"not found on this machine, and the download failed ({error})"
    return ""


def _where_to_put(wanted: Source, root: str | os.PathLike | None) -> str:
    base = os.environ.get("DEEPFAKE_KIT_DATA") or root or cache.cache_folder()
    steps = "".join(f"\n  {i}. {step.format(root=base)}" for i, step in enumerate(wanted.by_hand, 1))
    return (
        f"data set {wanted.name!r} ({wanted.title}) was not found. Looked in: {places.looked(wanted, root)}. Expected "
        f"one of the folders {', '.join(wanted.folders)} there. It must be asked for by hand:{steps}\n"
        f"  Licence: {wanted.licence}"
    )


def _digits(split: str, name: str) -> readers.Parsed:
    """scikit-learn's 1,797 real digits, 8x8, scaled to 28x28; the last fifth is the test part."""
    import numpy as np
    from sklearn.datasets import load_digits

    bunch = load_digits()
    first_test = round(0.8 * len(bunch.target))
    chosen = slice(first_test, None) if split == "test" else slice(0, first_test)
    small = np.rint(bunch.images[chosen] * (255 / 16)).astype(np.uint8)
    images = readers.resize(small[:, None], 28)
    labels = bunch.target[chosen].astype(np.int64)
    title = f"stand-in for {name}: scikit-learn digits scaled to 28x28, {split}, {len(labels):,} images"
    return readers.Parsed(images, labels, tuple("0123456789"), title)


def _as_dataset(
    parsed: readers.Parsed, wanted: Source, split: str, digest: str, size: int | None, limit: int | None
) -> Dataset:
    import numpy as np
    import torch

    keep = readers.spread(len(parsed.labels), limit)
    images = parsed.images[keep] if limit else parsed.images
    if size is not None and images.shape[-2:] != (size, size):
        images = readers.resize(images, size)
    count = len(parsed.labels)
    extra = {
        key: torch.from_numpy(np.array(value)) if isinstance(value, np.ndarray) else value
        for key, value in readers.chosen(parsed.extra, keep).items()
    }
    description = parsed.description + (f" ({len(keep):,} of them)" if limit and limit < count else "")
    return Dataset(
        images=torch.from_numpy(_writable(images)),
        labels=torch.from_numpy(np.array(parsed.labels[keep])),
        name=wanted.name,
        split=split,
        stand_in=digest == STAND_IN,
        sha256=digest,
        photographs_of_people=wanted.photographs_of_people,
        description=description,
        classes=parsed.classes,
        extra=extra | parsed.facts,
    )


def _writable(images: np.ndarray) -> np.ndarray:
    return images if images.flags.writeable and images.flags.c_contiguous else images.copy()
