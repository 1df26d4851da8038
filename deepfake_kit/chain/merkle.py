r"""Updates that a contract can check number by number: fixed point, exact averages, hash trees.

A contract cannot recompute a floating-point average, nor look at a whole update. So a number becomes four bytes,
:math:`\lfloor 2^{20}x\rceil+2^{31}`, the average a division of whole numbers, and 32 bytes, the root of a hash tree
(Merkle 1987), stand for all numbers: whoever knows them proves one of them with one hash a level.
"""

from __future__ import annotations

from hashlib import sha256

import numpy as np

from deepfake_kit.valid import invalid

SCALE, OFFSET = 2**20, 2**31


def to_fixed(numbers) -> bytes:
    """Numbers [n] as four big-endian bytes each, rounded to the nearest 2**-20.

    Raises
    ------
    ValueError
        If a number is not in [-2048, 2048).

    Examples
    --------
    >>> to_fixed([0.0, -1.0]).hex()
    '800000007ff00000'
    """
    whole = np.rint(np.asarray(numbers, np.float64).reshape(-1) * SCALE) + OFFSET
    bad = ~((whole >= 0) & (whole < 2 * OFFSET))
    if bad.any():
        where = int(bad.argmax())
        raise invalid("numbers", f"{np.asarray(numbers).reshape(-1)[where]} at {where}", "numbers in [-2048, 2048)")
    return whole.astype(">u4").tobytes()


def from_fixed(data: bytes) -> np.ndarray:
    """Numbers [n], float64, of the bytes of :func:`to_fixed`.

    >>> from_fixed(to_fixed([0.5, -3.0])).tolist()
    [0.5, -3.0]
    """
    return (np.frombuffer(data, ">u4").astype(np.float64) - OFFSET) / SCALE


def exact_average(updates: list[bytes], weights: list[int]) -> bytes:
    r""":math:`\lfloor\sum_i w_iu_i/\sum_iw_i\rfloor` for each number, as the contract computes it.

    Parameters
    ----------
    updates : list of bytes
        Of :func:`to_fixed`, all of one length.
    weights : list of int
        Whole, > 0; their sum below 2**31, so that no product leaves 64 bits.

    Examples
    --------
    >>> from_fixed(exact_average([to_fixed([0.0]), to_fixed([1.0])], [1, 3])).tolist()
    [0.75]
    """
    if not weights or min(weights) < 1 or sum(weights) >= 2**31:
        raise invalid("weights", weights, "whole numbers > 0 with a sum below 2**31")
    total = sum(int(w) * np.frombuffer(data, ">u4").astype(np.int64) for data, w in zip(updates, weights, strict=True))
    return (total // int(sum(weights))).astype(">u4").tobytes()


class Tree:
    """SHA-256 tree over the four-byte numbers of an update; missing leaves are zeros.

    A leaf is the hash of the byte 0 and the number, an inner node that of the byte 1 and its two children.

    Parameters
    ----------
    data : bytes
        At least two numbers of four bytes.

    Examples
    --------
    >>> tree = Tree(to_fixed([1.0, 2.0, 3.0]))
    >>> tree.depth, len(tree.proof(2)), len(tree.root)
    (2, 2, 32)
    """

    def __init__(self, data: bytes):
        if len(data) < 8 or len(data) % 4:
            raise invalid("data", f"{len(data)} bytes", "two numbers of 4 bytes or more")
        self.data, self.depth = data, (len(data) // 4 - 1).bit_length()
        level = [sha256(b"\0" + data[i : i + 4]).digest() for i in range(0, len(data), 4)]
        self._levels, self._empty = [level], [sha256(bytes(5)).digest()]
        for _ in range(self.depth):
            level = [*level, self._empty[-1]] if len(level) % 2 else level
            level = [sha256(b"\1" + a + b).digest() for a, b in zip(level[::2], level[1::2], strict=True)]
            self._levels.append(level)
            self._empty.append(sha256(b"\1" + 2 * self._empty[-1]).digest())
        self.root = level[0]

    def number(self, place: int) -> bytes:
        """The four bytes of a leaf."""
        return self.data[4 * place : 4 * place + 4] or bytes(4)

    def node(self, level: int, place: int) -> bytes:
        """Hash of a node; level 0 holds the leaves, level `depth` the root."""
        row = self._levels[level]
        return row[place] if place < len(row) else self._empty[level]

    def proof(self, place: int) -> list[bytes]:
        """The sibling hashes from a leaf up to the root."""
        return [self.node(level, (place >> level) ^ 1) for level in range(self.depth)]


def root(data: bytes) -> str:
    """Root of the tree as 64 hex digits: an address for a content-addressed store.

    >>> len(root(to_fixed([1.0, 2.0])))
    64
    """
    return Tree(data).root.hex()
