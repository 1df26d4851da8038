"""Content-addressed storage: the address of some bytes is their SHA-256, so every read can be verified.

A chain keeps 32 bytes for each update; the update itself lies here. :class:`FolderStore` keeps it in a
folder, :class:`IPFSStore` hands it to an IPFS daemon on this or another machine. Both have the same three
methods and both hash what they read: whoever keeps the bytes need not be trusted, only reached.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import urllib.error
import urllib.parse
import urllib.request
import uuid
from pathlib import Path
from typing import Protocol

from deepfake_kit.cache import write_whole
from deepfake_kit.valid import one_of

MAX_BLOCK = 2**20  # bytes; IPFS nodes exchange no larger block


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


class Store(Protocol):
    """What every store can do."""

    def put(self, data: bytes) -> str:
        """Keep the bytes; return their address."""

    def get(self, digest: str, verify: bool = True) -> bytes:
        """Bytes of an address."""

    def __contains__(self, digest: str) -> bool:
        """Whether there are bytes under an address, changed or not."""


def sha256(data: bytes) -> str:
    """SHA-256 of some bytes as 64 hex digits: FIPS 180-4.

    >>> sha256(b"abc")[:16]
    'ba7816bf8f01cfea'
    """
    return hashlib.sha256(data).hexdigest()


def _address(digest: str) -> str:
    # Addresses become file names, so nothing else may pass.
    if not isinstance(digest, str) or not re.fullmatch("[0-9a-f]{64}", digest):
        raise ValueError(f"digest must be 64 lower-case hex digits; got {digest!r}")
    return digest


def _verified(data: bytes, digest: str, verify: bool) -> bytes:
    if verify and sha256(data) != digest:
        raise BytesMismatch(digest, sha256(data))
    return data


class FolderStore:
    """Bytes in a folder, one file an address.

    Parameters
    ----------
    root : path
        The folder; made if it is not there.

    Examples
    --------
    >>> import tempfile
    >>> store = FolderStore(tempfile.mkdtemp())
    >>> store.get(store.put(b"an update"))
    b'an update'
    """

    def __init__(self, root: str | os.PathLike):
        self.root = Path(root)
        self.root.mkdir(parents=True, exist_ok=True)

    def path(self, digest: str) -> Path:
        """Where the bytes of an address lie."""
        return self.root / _address(digest)[:2] / digest[2:]

    def put(self, data: bytes) -> str:
        """Keep the bytes and return their SHA-256, 64 hex digits. What is there already is written anew."""
        digest = sha256(data)
        path = self.path(digest)
        write_whole(path, data)
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
        return _verified(data, digest, verify)

    def __contains__(self, digest: str) -> bool:
        return self.path(digest).is_file()


def cid(digest: str) -> str:
    """IPFS content identifier of one raw block with this SHA-256: CIDv1, codec raw, base32.

    The identifier *is* the hash in other clothes, so the 32 bytes on a chain suffice to find the block.

    >>> cid(sha256(b"hello world"))
    'bafkreifzjut3te2nhyekklss27nh3k72ysco7y32koao5eei66wof36n5e'
    """
    raw = bytes([0x01, 0x55, 0x12, 0x20]) + bytes.fromhex(_address(digest))
    return "b" + base64.b32encode(raw).decode().lower().rstrip("=")


# How daemons say that they looked for a block and have none: Kubo's two ways, then js-ipfs's two.
_NO_BLOCK = re.compile("not found|deadline exceeded|ENOENT|timed out")


class _DaemonRefused(OSError):
    """The daemon answered with an error; ``.text`` is what it said."""

    def __init__(self, code: int, text: str):
        super().__init__(f"the IPFS daemon answered {code}: {text[:200]}")
        self.text = text


class IPFSStore:
    """Bytes in IPFS, through the HTTP interface of a daemon (``/api/v0``, the same in Kubo and in js-ipfs).

    Parameters
    ----------
    api : str
        Root address of the daemon's interface; Kubo listens on port 5001 of its own machine.
    timeout : float
        Seconds the daemon may look for a block; the connection waits five more.

    Raises
    ------
    ValueError
        If `api` is no http(s) address.
    """

    def __init__(self, api: str, timeout: float = 10.0):
        if urllib.parse.urlsplit(api).scheme not in ("http", "https"):
            raise ValueError(f"api must be an http or https address; got {api!r}")
        self.api, self.timeout = api.rstrip("/"), timeout

    def _ask(self, command: str, body: bytes = b"", **query: str) -> bytes:
        boundary = uuid.uuid4().hex
        headers = {}
        if body:
            # js-ipfs refuses a part without a type; Kubo does not mind either way.
            head = (
                f'--{boundary}\r\nContent-Disposition: form-data; name="data"; filename="data"\r\n'
                "Content-Type: application/octet-stream\r\n\r\n"
            )
            body = head.encode() + body + f"\r\n--{boundary}--\r\n".encode()
            headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
        address = f"{self.api}/api/v0/{command}?{urllib.parse.urlencode(query)}"
        request = urllib.request.Request(address, data=body, headers=headers, method="POST")
        try:
            with urllib.request.urlopen(request, timeout=self.timeout + 5) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            raise _DaemonRefused(error.code, error.read().decode(errors="replace")) from error

    def put(self, data: bytes) -> str:
        """Hand the bytes to the daemon as one pinned block and return their SHA-256.

        Raises
        ------
        ValueError
            If there are none, or more than 1 MiB: larger blocks do not travel between IPFS nodes.
        OSError
            If the daemon cannot be reached, refuses, or files the block under another address.
        """
        if not 1 <= len(data) <= MAX_BLOCK:
            raise ValueError(f"data must be 1 to {MAX_BLOCK} bytes long for one IPFS block; got {len(data)}")
        # Today's Kubo calls the codec "cid-codec"; js-ipfs and older Kubo call it "format". Kubo takes both at once.
        answer = self._ask(
            "block/put", data, **{"cid-codec": "raw", "format": "raw", "mhtype": "sha2-256", "pin": "true"}
        )
        digest = sha256(data)
        filed = json.loads(answer)["Key"]
        if filed != cid(digest):
            raise OSError(f"the IPFS daemon filed the block under {filed}, not {cid(digest)}")
        return digest

    def get(self, digest: str, verify: bool = True) -> bytes:
        """Bytes of an address; see :meth:`FolderStore.get`.

        Raises
        ------
        BytesMissing, BytesMismatch
            As for a folder.
        OSError
            If the daemon cannot be reached.
        """
        name = cid(digest)
        try:
            data = self._ask("block/get", arg=name, timeout=f"{self.timeout:g}s")
        except _DaemonRefused as refusal:
            # A block that no reachable node holds is one the daemon waits for until its time is up.
            if _NO_BLOCK.search(refusal.text):
                raise BytesMissing(digest, "IPFS") from None
            raise
        return _verified(data, digest, verify)

    def __contains__(self, digest: str) -> bool:
        try:
            self.get(digest, verify=False)
        except BytesMissing:
            return False
        return True


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
            raise ValueError(f"state[{name!r}]: got {float(tensor.abs().max()):g}; valid in {dtype}: up to {largest:g}")
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
    if len(data) != expected:
        raise ValueError(f"data must be {expected} bytes long for these parameters; got {len(data)}")
    flat, start, state = np.frombuffer(data, _format(dtype)), 0, {}
    for name in sorted(like):
        part = flat[start : start + like[name].numel()].astype(np.float64)
        state[name] = torch.from_numpy(part).reshape(like[name].shape).to(like[name])
        start += like[name].numel()
    return {name: state[name] for name in like}  # a flat vector of them must fit the model's order


def _format(dtype: str) -> str:
    formats = {"float64": "<f8", "float32": "<f4", "float16": "<f2"}
    return formats[one_of("dtype", dtype, formats)]
