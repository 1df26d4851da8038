"""Where weights lie, and what is checked before they are used.

Places, in this order: ``$DEEPFAKE_KIT_WEIGHTS``, the user's cache, then the sources of ``registry.yml`` in their order:
the original publisher, a package of the reader's own index. What comes is converted once to a safetensors file in the
cache. A file counts only if its arrays have the names, shapes and types of the network and the registry's SHA-256.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from dataclasses import dataclass
from functools import cache as once
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from deepfake_kit import cache, paths
from deepfake_kit.valid import one_of

if TYPE_CHECKING:
    from torch import Tensor, nn

MISSING = "missing"
REGISTRY = Path(__file__).with_name("registry.yml")
_in_vain: set[str] = set()


class Missing(FileNotFoundError):
    """The weights are nowhere and could not be fetched; the message is one line and says what was tried."""


@dataclass(frozen=True)
class Weights:
    """Weights that were found and checked.

    Attributes
    ----------
    name : str
        As in the registry.
    path : Path
        The safetensors file.
    sha256 : str
        Of the arrays' names, types, shapes and bytes; what keys and provenance hold.
    source : str
        Where they came from.
    about : dict
        What the registry says: ``title``, ``licence``, ``card``, ``use`` and so on.
    tensors : dict of str to Tensor
        The arrays, under the names of the network.
    """

    name: str
    path: Path
    sha256: str
    source: str
    about: dict
    tensors: dict[str, Tensor]

    def network(self, **options) -> nn.Module:
        """The trained network, in evaluation mode; `options` as in :mod:`deepfake_kit.pretrained.networks`."""
        from deepfake_kit.pretrained import networks

        return networks.fill(networks.build(self.name, **options), self.tensors)

    def prepare(self, images: Tensor) -> Tensor:
        """What the network takes, from RGB images [N,3,H,W] in [0,1]: less its mean, over its spread."""
        mean, std = (images.new_tensor(self.about[key]).view(3, 1, 1) for key in ("mean", "std"))
        return (images - mean) / std


@once
def registry() -> dict[str, dict]:
    """Everything that ``registry.yml`` says, by name."""
    return yaml.safe_load(REGISTRY.read_text(encoding="utf-8"))


def names() -> list[str]:
    """Names that :func:`load` knows.

    >>> "clip-vit-b16" in names()
    True
    """
    return list(registry())


def _about(name: str) -> dict:
    return registry()[one_of("weights", name, registry())]


def places() -> list[tuple[str, Path]]:
    """The folders looked in, each with the word that a message calls it by."""
    named = os.environ.get("DEEPFAKE_KIT_WEIGHTS")
    first = [("$DEEPFAKE_KIT_WEIGHTS", paths.absolute(named))] if named else []
    return [*first, ("cache", cache.cache_folder() / "weights")]


def _lies(name: str) -> Path | None:
    found = (folder / f"{name}.safetensors" for _, folder in places())
    return next((path for path in found if path.is_file()), None)


def load(name: str, download: bool | None = None) -> Weights:
    """Weights by name, fetched and converted the first time; offered as ``deepfake_kit.weights``.

    Of faces of real persons: embedders are for drawn and generated faces only, attribute networks only for an audit
    of themselves, in aggregates; each entry's ``use`` says it again.

    Parameters
    ----------
    name : str
        One of :func:`names`.
    download : bool, optional
        False: never touch the network. By default the sources are tried, unless ``$DEEPFAKE_KIT_OFFLINE`` is set.

    Raises
    ------
    Missing
        Nowhere to be had.
    ValueError
        Unknown name, or a file that is damaged or another network's (named, with what is wrong).

    Examples
    --------
    >>> load("clip-vit-b61", download=False)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    ValueError: weights: got 'clip-vit-b61'; did you mean 'clip-vit-b16'? valid: clip-vit-b16, ...
    """
    _about(name)
    path = _lies(name) or _fetched(name, download)
    return read(name, path)


def find(name: str) -> Weights | None:
    """The weights if they are on this machine, else None; never opens a connection. Raises as :func:`load` does."""
    _about(name)
    path = _lies(name)
    return path and read(name, path)


def fingerprint(name: str) -> str:
    """The `sha256` of the weights that :func:`load` would use, from the file's head alone; ``"missing"`` if nowhere."""
    _about(name)
    path = _lies(name)
    return _head(name, path)["sha256"] if path else MISSING


def ensure(name: str) -> str:
    """Fetch the weights if they are nowhere; return their :func:`fingerprint`. Lets a build fetch before it keys.

    What could not be had once is not tried again by the same process, since a build asks often.
    """
    if not _lies(name) and name not in _in_vain:
        try:
            _fetched(name, None)
        except Missing:
            _in_vain.add(name)
    return fingerprint(name)


def locate(name: str) -> str:
    """Lines for a person: what it is, where it lies or could come from, under which licence."""
    about = _about(name)
    lines = [f"{name}: {about['title']}; {about['licence']}"]
    for where, folder in places():
        path = folder / f"{name}.safetensors"
        if not path.is_file():
            lines.append(f"    {where:21} {path}: nothing")
            continue
        try:
            found = read(name, path)
            state = f"{path.stat().st_size:,} bytes, checksum good, from {found.source}"
        except (OSError, ValueError) as error:
            state = f"NOT USABLE: {error}"
        lines.append(f"    {where:21} {path}: {state}")
    for source in about["sources"]:
        lines.append(f"    {'can come from':21} {_origin(source)}")
    return "\n".join(lines)


def _origin(source: dict) -> str:
    return source.get("package") or f"{source['publisher']} ({', '.join(source['files'])})"


# Reading and writing


def read(name: str, path: Path) -> Weights:
    """The weights in a file, all of them checked; ValueError names the file and what is wrong with it."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    head = _head(name, path)
    try:
        tensors = load_file(path)
    except (SafetensorError, ValueError, OSError) as error:
        raise ValueError(_damaged(path, f"it cannot be read ({error})")) from error
    wrong = difference(name, tensors)
    if not wrong and (found := digest(tensors)) != head["sha256"]:
        wrong = f"damaged: sha256 {head['sha256']} expected, {found} found"
    if wrong:
        raise ValueError(_damaged(path, wrong))
    return Weights(name, path, head["sha256"], head["source"], _about(name), tensors)


def _damaged(path: Path, why: str) -> str:
    return f"{path}: {why}. It was not used and is left in place: move it away to fetch it again"


def _head(name: str, path: Path) -> dict:
    """What the file says of itself: name, source and SHA-256, held against the registry."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, "pt") as file:
            head = json.loads((file.metadata() or {}).get("deepfake_kit", "{}"))
    except (SafetensorError, OSError, ValueError) as error:
        raise ValueError(_damaged(path, f"truncated, damaged or no safetensors file ({error})")) from error
    if not isinstance(head, dict) or {"name", "source", "sha256"} - set(head):
        raise ValueError(_damaged(path, "not written by deepfake-kit: its head names no weights"))
    if head["name"] != name:
        raise ValueError(_damaged(path, f"it holds {head['name']}, not {name}"))
    pinned = {_origin(source): source.get("arrays") for source in _about(name)["sources"]}
    if head["source"] not in pinned:
        raise ValueError(_damaged(path, f"from {head['source']}, which is no source of {name}"))
    if pinned[head["source"]] not in (None, head["sha256"]):
        raise ValueError(_damaged(path, f"sha256 {pinned[head['source']]} expected, its head says {head['sha256']}"))
    return head


def digest(tensors: dict[str, Tensor]) -> str:
    """SHA-256 of arrays: their names, types, shapes and bytes, whatever the order in a file."""
    sha = hashlib.sha256()
    for name in sorted(tensors):
        array = tensors[name].contiguous()
        sha.update(f"{name} {array.dtype} {list(array.shape)}\n".encode())
        sha.update(array.numpy().data)
    return sha.hexdigest()


def difference(name: str, tensors: dict[str, Tensor]) -> str:
    """What sets arrays apart from those of the network, in words; empty if nothing."""
    import torch

    from deepfake_kit.pretrained import networks

    with torch.device("meta"):
        ours = networks.build(name, **networks.WHOLE.get(name, {})).state_dict()
    ours = {key: value for key, value in ours.items() if not key.endswith("num_batches_tracked")}
    if odd := sorted(set(ours) ^ set(tensors)):
        return f"{len(odd)} arrays missing or too many, the first is {odd[0]}"
    for key, value in ours.items():
        found, wanted = ((list(x.shape), x.dtype) for x in (tensors[key], value))
        for what, given, valid in zip(("shape", "type"), found, wanted):
            if given != valid:
                return f"array {key} has {what} {given}, the network's has {valid}"
    return ""


def _fetched(name: str, download: bool | None) -> Path:
    """Try the sources in turn, convert, write into the cache."""
    from deepfake_kit.data.downloads import Unreachable
    from deepfake_kit.pretrained import convert, fetch

    where = ", ".join(f"{word} {folder}" for word, folder in places())
    tried = f"weights {name!r}: not in {where}"
    if download is False or os.environ.get("DEEPFAKE_KIT_OFFLINE", "0") not in ("", "0"):
        raise Missing(f"{tried}; nothing may be downloaded (deepfake-kit fetch-weights {name} gets them)")
    about, folder = _about(name), cache.cache_folder() / "weights"
    path, reasons = folder / f"{name}.safetensors", []
    print(f"{name}: {about['title']}. Licence: {about['licence']}. {about['use']}", file=sys.stderr)
    for source in about["sources"]:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            with cache.alone(folder / f".{name}.lock"):
                if path.is_file():  # another process has brought it meanwhile
                    return path
                try:
                    files = fetch.bring(source, folder)
                except ValueError as error:  # something else came: as good as nothing
                    raise Unreachable(error) from error
                write(name, path, getattr(convert, source["convert"])(files), source)
            return path
        except OSError as error:
            reasons.append(str(error))
    raise Missing("; ".join([tried, *reasons]))


def write(name: str, path: Path, tensors: dict[str, Tensor], source: dict) -> None:
    """Write converted arrays as the safetensors file that :func:`read` takes; ValueError if they are not the pinned."""
    from safetensors.torch import save

    tensors = {key: value.contiguous() for key, value in tensors.items()}
    found, pinned = digest(tensors), source.get("arrays")
    wrong = difference(name, tensors)
    if wrong or pinned not in (None, found):
        raise ValueError(f"{_origin(source)}: {wrong or f'sha256 of the arrays is {found}, {pinned} expected'}")
    head = json.dumps({"name": name, "source": _origin(source), "sha256": found})
    cache.write_whole(path, save(tensors, {"deepfake_kit": head}))
