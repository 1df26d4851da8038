"""Chapter 5: right answers to its exercises, each in two ways, and wrong ones that deserve a hint."""

import hashlib
import math

from deepfake_kit.exercises.chapter_05 import INVERSE_LN2, WAD


def price_by_root(cost):
    if 8 * cost <= INVERSE_LN2:
        return 2 * cost
    return cost * INVERSE_LN2 // (cost + math.isqrt(cost * cost + cost * INVERSE_LN2))


def price_by_bisection(cost):
    """p (p + 2C) = C / ln 2, without a square root."""
    low, high = 0, 2 * cost
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if middle * (middle + 2 * cost) <= cost * INVERSE_LN2 else (low, middle)
    return 2 * cost if 8 * cost <= INVERSE_LN2 else low


def root(chunks, leaf=b"\0", inner=b"\1", swap=False, odd="repeat"):
    level = [hashlib.sha256(leaf + x).digest() for x in chunks]
    while len(level) > 1:
        pairs = [
            (level[i], level[i + 1] if i + 1 < len(level) else level[i] if odd == "repeat" else b"")
            for i in range(0, len(level), 2)
        ]
        level = [hashlib.sha256(inner + (b + a if swap else a + b)).digest() for a, b in pairs]
    return level[0]


def recursive_root(chunks):
    def over(hashes):
        if len(hashes) == 1:
            return hashes[0]
        hashes = hashes + hashes[-1:] * (len(hashes) % 2)
        return over([hashlib.sha256(b"\1" + hashes[i] + hashes[i + 1]).digest() for i in range(0, len(hashes), 2)])

    return over([hashlib.sha256(b"\0" + x).digest() for x in chunks])


def in_place(chunks):
    result = root(chunks)
    chunks.clear()
    return result


def promise(address, salt, root):
    return hashlib.sha256(bytes.fromhex(address[2:]) + salt + root).digest()


def promise_by_steps(address, salt, root):
    digest = hashlib.sha256(int(address, 16).to_bytes(20, "big"))
    digest.update(salt)
    digest.update(root)
    return digest.digest()


def stake_by_bisection(reward, cost, detection):
    """The least stake with which skipping the work does not pay, by halving."""
    low, high = 0.0, 1e3
    if (1 - detection) * reward <= reward - cost:
        return 0.0
    for _ in range(100):
        middle = (low + high) / 2
        low, high = (middle, high) if (1 - detection) * reward - detection * middle > reward - cost else (low, middle)
    return high


RIGHT = {
    "5.1": [
        lambda n, w: 22_100 * ((n * w + 31) // 32),
        lambda n, w: 22_100 * math.ceil(n * w / 32),
        lambda n, w: -(-n * w // 32) * 22_100,
    ],
    "5.2": [1 / (4 * math.log(2)), 0.3607],
    "5.3": [price_by_root, price_by_bisection],
    "5.4": [stake_by_bisection, lambda r, c, d: max(0.0, c / d - r), lambda r, c, d: max(0, (c - d * r) / d)],
    "5.5": [root, recursive_root],
    "5.6": [
        lambda address, salt, root: hashlib.sha256(
            b"".join((bytes.fromhex(address.removeprefix("0x")), salt, root))
        ).digest(),
        promise,
        promise_by_steps,
    ],
}
WRONG = {
    "5.1": [
        lambda n, w: n * 22_100,
        lambda n, w: n * w / 32 * 22_100,
        lambda n, w: n * w // 32 * 22_100,
        lambda n, w: n * w * 16,
        lambda n, w: math.ceil(n * w / 32) * 20_000,
        lambda n, w: math.ceil(n / 32) * 22_100,
    ],
    "5.2": [0.25, 1 / (2 * math.log(2)), 1.0, 0.5, 0.3, 1 / (8 * math.log(2))],
    "5.3": [
        lambda c: 2 * c,
        lambda c: 2 * c if 8 * c <= WAD else math.isqrt(c * (WAD + c)) - c,
        lambda c: price_by_root(c) / 1,
        lambda c: 2 * c if 8 * c <= WAD else price_by_root(10**18),
        lambda c: math.isqrt(c * c + c * INVERSE_LN2) - c,
        lambda c: price_by_root(c) // 10**6 * 10**6 + 10**12,
        lambda c: math.isqrt(c + c * INVERSE_LN2),
    ],
    "5.4": [
        lambda r, c, d: c / d - r,
        lambda r, c, d: c / d,
        lambda r, c, d: c - d * r,
        lambda r, c, d: r,
        lambda r, c, d: 0.0,
        lambda r, c, d: max(0.0, c / d - 2 * r),
    ],
    "5.5": [
        lambda x: root(x, swap=True),
        lambda x: root(x, leaf=b""),
        lambda x: root(x, inner=b""),
        lambda x: root(x, odd="drop"),
        lambda x: root(x).hex(),
        lambda x: hashlib.sha256(b"".join(x)).digest(),
        in_place,
    ],
    "5.6": [
        lambda a, s, r: hashlib.sha256(s + r).digest(),
        lambda a, s, r: hashlib.sha256(bytes.fromhex(a[2:]) + r).digest(),
        lambda a, s, r: hashlib.sha256(bytes.fromhex(a[2:]) + s).digest(),
        lambda a, s, r: hashlib.sha256(a.encode() + s + r).digest(),
        lambda a, s, r: promise(a, s, r).hex(),
        lambda a, s, r: promise(a, r, s),
        lambda a, s, r: hashlib.sha256(promise(a, s, r)).digest(),
    ],
}
