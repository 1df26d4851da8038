"""Content-addressed storage: the address of some bytes is their SHA-256, so every read can be verified.

A chain keeps 32 bytes for each update; the update itself lies here, in a folder, as IPFS keeps it on many machines.
What is read is hashed again: whoever keeps the bytes need not be trusted, only reached.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable
from pathlib import Path

from deepfake_kit.cache import write_whole
from deepfake_kit.valid import invalid, one_of, require


class BytesMissing(LookupError):
    """The store holds nothing under this address; ``.digest`` is the address."""

    def __init__(self, digest: str, where: str):
        super().__init__(f"no bytes for sha256 {digest[:12]}... in {where}")
        self.digest = digest


class BytesMismatch(ValueError):
    """The store gave bytes that are not those asked for; ``.digest`` was asked, ``.found`` is their hash."""

    def __init__(self, digest: str, found: str):
        super().__init__(f"bytes fetched for sha256 {digest[:12]}... hash to {found[:12]}...: changed")
        self.digest, self.found = digest, found


def sha256(data: bytes) -> str:
    """SHA-256 of some bytes as 64 hex digits: FIPS 180-4.

    >>> sha256(b"abc")[:16]
    'ba7816bf8f01cfea'
    """
    return hashlib.sha256(data).hexdigest()


def _address(digest: str) -> str:
    # Addresses become file names, so nothing else may pass.
    if not isinstance(digest, str) or not re.fullmatch("[0-9a-f]{64}", digest):
        raise invalid("digest", digest, "64 lower-case hex digits")
    return digest


class FolderStore:
    """Bytes in a folder, one file an address.

    Parameters
    ----------
    root : path
        The folder; made if it is not there.
    address : callable, optional
        From bytes to their address, 64 hex digits: :func:`sha256`, or :func:`deepfake_kit.chain.merkle.root`.

    Examples
    --------
    >>> import tempfile
    >>> store = FolderStore(tempfile.mkdtemp())
    >>> store.get(store.put(b"an update"))
    b'an update'
    """

    def __init__(self, root: str | os.PathLike, address: Callable[[bytes], str] = sha256):
        self.root, self.address = Path(root), address
        self.root.mkdir(parents=True, exist_ok=True)

    def path(self, digest: str) -> Path:
        """Where the bytes of an address lie."""
        return self.root / _address(digest)[:2] / digest[2:]

    def put(self, data: bytes) -> str:
        """Keep the bytes and return their address. What is there already is written anew."""
        digest = self.address(data)
        write_whole(self.path(digest), data)
        return digest

    def get(self, digest: str, verify: bool = True) -> bytes:
        """Bytes of an address.

        Parameters
        ----------
        digest : str
            64 hex digits.
        verify : bool
            Hash what was read. Without it the caller takes whatever lies there.

        Raises
        ------
        BytesMissing
            If there is no such file.
        BytesMismatch
            If the file's bytes do not hash to the address.
        """
        try:
            data = self.path(digest).read_bytes()
        except FileNotFoundError:
            raise BytesMissing(digest, "the folder") from None
        if verify and (found := self.address(data)) != digest:
            raise BytesMismatch(digest, found)
        return data

    def __contains__(self, digest: str) -> bool:
        return self.path(digest).is_file()


def pack(state: dict, dtype: str = "float32") -> bytes:
    """A model's parameters as bytes: little-endian numbers in the order of the names.

    Parameters
    ----------
    state : dict of str to Tensor
        For instance ``model.state_dict()``.
    dtype : {"float32", "float16", "float64"}
        Number format; float16 halves the bytes and rounds.

    Raises
    ------
    ValueError
        If a finite number is too large for the format, naming its tensor; or for another format.

    Examples
    --------
    >>> import torch
    >>> pack({"w": torch.ones(2)}).hex()
    '0000803f0000803f'
    """
    import numpy as np
    import torch

    packed = []
    for name in sorted(state):
        tensor = state[name].detach().cpu()
        with np.errstate(over="ignore"):
            array = tensor.double().numpy().astype(_format(dtype))
        if (np.isinf(array) & torch.isfinite(tensor).numpy()).any():
            largest = np.finfo(array.dtype).max
            raise invalid(f"state[{name!r}]", f"{float(tensor.abs().max()):g}", f"in {dtype}, up to {largest:g}")
        packed.append(array.tobytes())
    return b"".join(packed)


def unpack(data: bytes, like: dict, dtype: str = "float32") -> dict:
    """Parameters from the bytes of :func:`pack`.

    Parameters
    ----------
    data : bytes
    like : dict of str to Tensor
        Names, shapes, types and devices to restore, and their order.
    dtype : {"float32", "float16", "float64"}

    Returns
    -------
    dict of str to Tensor

    Raises
    ------
    ValueError
        If the number of bytes does not fit `like`.
    """
    import numpy as np
    import torch

    width = np.dtype(_format(dtype)).itemsize
    expected = width * sum(tensor.numel() for tensor in like.values())
    require(len(data) == expected, "data", len(data), f"{expected} bytes long for these parameters")
    flat, start, state = np.frombuffer(data, _format(dtype)), 0, {}
    for name in sorted(like):
        part = flat[start : start + like[name].numel()].astype(np.float64)
        state[name] = torch.from_numpy(part).reshape(like[name].shape).to(like[name])
        start += like[name].numel()
    return {name: state[name] for name in like}  # a flat vector of them must fit the model's order


def _format(dtype: str) -> str:
    formats = {"float64": "<f8", "float32": "<f4", "float16": "<f2"}
    return formats[one_of("dtype", dtype, formats)]
