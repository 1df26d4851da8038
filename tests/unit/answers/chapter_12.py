"""Chapter 12: right answers to its exercises, each in two ways, and wrong ones that deserve a hint."""

import hashlib
from math import comb

import numpy as np
from scipy import stats


def sha(data):
    return hashlib.sha256(data).hexdigest()


def in_pieces(file, start, length):
    found = hashlib.sha256(file[:start])
    found.update(file[start + length :])
    return found.hexdigest()


def threshold(n, rate, beyond=False):
    return next(k for k in range(n + 2) if stats.binom.sf(k if beyond else k - 1, n, 0.5) <= rate)


def by_counting(n, rate):
    tail = 0
    for k in range(n, -1, -1):
        tail += comb(n, k)
        if tail > rate * 2**n:
            return k + 1
    return 0


def by_normal(n, rate):
    return int(np.ceil(n / 2 + stats.norm.isf(rate) * n**0.5 / 2))


def bits(picture, patterns, centre=True, high=1, low=0):
    z = (patterns * (picture - centre * picture.mean())).sum((1, 2))
    return np.where(z > 0, high, low)


def bits_by_patterns(picture, patterns):
    return np.array([np.vdot(p - p.mean(), picture) > 0 for p in patterns]).astype(int)


def state(found, hashes, fits, listed):
    return "trusted" if found and hashes and fits and listed else _untrusted(found, hashes, fits)


def _untrusted(found, hashes, fits):
    return ("valid" if hashes and fits else "invalid") if found else "no manifest"


def copied_in_place(marked, other, smooth):
    made = other.copy()
    made += marked
    made -= smooth(marked)
    made[made < 0] = 0
    made[made > 1] = 1
    return made


RIGHT = {
    "12.1": [
        lambda f, a, n: sha(bytes(b for i, b in enumerate(f) if not a <= i < a + n)),
        lambda f, a, n: sha(f[:a] + f[a + n :]),
        in_pieces,
    ],
    "12.2": [threshold, by_counting],
    "12.3": [
        lambda x, p: (np.einsum("khw,hw->k", p, x) > p.sum((1, 2)) * x.mean()).astype(int),
        bits,
        bits_by_patterns,
    ],
    "12.4": [
        lambda r, u, p: p * sum(r * (1 - r) ** k for k in range(u)),
        lambda r, u, p: p * (1 - (1 - r) ** u),
        lambda r, u, p: p - p * np.exp(u * np.log1p(-r)),
    ],
    "12.5": [state, lambda f, h, s, i: ("no manifest", "invalid", "valid", "trusted")[f * (1 + h * s * (1 + i))]],
    "12.6": [lambda m, o, s: np.minimum(np.maximum(o - s(m) + m, 0), 1), copied_in_place],
}
WRONG = {
    "12.1": [
        lambda f, a, n: sha(f),
        lambda f, a, n: sha(f[a : a + n]),
        lambda f, a, n: sha(f[:a] + bytes(n) + f[a + n :]),
        lambda f, a, n: sha(f[:a] + f[a + n + 1 :]),
        lambda f, a, n: hashlib.sha256(f[:a] + f[a + n :]).digest(),
    ],
    "12.2": [
        lambda n, rate: threshold(n, rate, beyond=True),
        lambda n, rate: threshold(n, rate) + 1,
        by_normal,
        lambda n, rate: n,
        lambda n, rate: 26,
    ],
    "12.3": [
        lambda x, p: bits(x, p, centre=False),
        lambda x, p: bits(x, p, high=0, low=1),
        lambda x, p: bits(x, p, low=-1),
        lambda x, p: bits(x, p)[::-1],
        lambda x, p: bits(x, p)[:, None],
    ],
    "12.4": [
        lambda r, u, p: p * u * r,
        lambda r, u, p: p * r,
        lambda r, u, p: p * (1 - r) ** u,
        lambda r, u, p: 1 - (1 - r) ** u,
    ],
    "12.5": [
        lambda f, h, s, i: "trusted" if i else state(f, h, s, i),
        lambda f, h, s, i: "valid" if f and h and s else state(f, h, s, i),
        lambda f, h, s, i: "invalid" if not f else state(f, h, s, i),
        lambda f, h, s, i: state(f, h, True, i),
    ],
    "12.6": [
        lambda m, o, s: np.clip(2 * o - s(o), 0, 1),
        lambda m, o, s: np.clip(o + s(m), 0, 1),
        lambda m, o, s: o + m - s(m),
        lambda m, o, s: s(m),
        lambda m, o, s: np.clip(o + m - s(o), 0, 1),
    ],
}
