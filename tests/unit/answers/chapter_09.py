"""Chapter 9: right answers to its exercises, each in two ways, and wrong ones that deserve a hint."""

import math

import numpy as np


def loss(sim, tau, diagonal=False, shift=None, mean=True, cold=True):
    logits = np.array(sim) / tau
    n = len(logits)
    if not diagonal:
        np.fill_diagonal(logits, -np.inf)
    rows = np.arange(n)
    positive = logits[rows, np.roll(rows, n // 2 if shift is None else shift)]
    top = logits.max(1) if cold else np.zeros(n)
    values = top + np.log(np.exp(logits - top[:, None]).sum(1)) - positive
    return values.mean() if mean else values.sum()


def loops(sim, tau):
    n, total = len(sim) // 2, 0.0
    for i in range(2 * n):
        rivals = [sim[i, k] / tau for k in range(2 * n) if k != i]
        total -= sim[i, (i + n) % (2 * n)] / tau - np.logaddexp.reduce(rivals)
    return total / (2 * n)


def in_place(sim, tau):
    value = loss(sim, tau)
    sim[:] = 0
    return value


def f1(p, batch):
    return sum(math.comb(batch, k) * p**k * (1 - p) ** (batch - k) * 2 * k / (batch + k) for k in range(1, batch + 1))


def f1_by_binomial(p, batch):
    from scipy.stats import binom

    return float(binom(batch, p).expect(lambda k: 2 * k / (batch + k)))


def pictures(a, b):
    return 1.96**2 * (a * (1 - a) + b * (1 - b)) / (a - b) ** 2


def share(kernel):
    values = np.linalg.svd(kernel, compute_uv=False)
    return values[0] ** 2 / (values**2).sum()


def amplitude_of_a_wave(kernel, frequency):
    """Filter a long complex wave and look at it."""
    wave = np.exp(2j * np.pi * frequency * np.arange(200))
    return float(np.abs(np.convolve(wave, kernel, mode="valid")).mean())


RIGHT = {
    "9.1": [
        lambda i, o, k, s, g: sum(s * s * k * k * (i // g) for _ in range(o)),
        lambda i, o, k, s, g: s**2 * k**2 * (i // g) * o,
        lambda i, o, k, s, g: g * (i // g) * (o // g) * (k * s) ** 2,
    ],
    "9.2": [loss, loops],
    "9.3": [f1, f1_by_binomial],
    "9.4": [
        lambda a, b: (1.96 / abs(a - b)) ** 2 * (a - a * a + b - b * b),
        pictures,
        lambda a, b: math.ceil(pictures(a, b)),
    ],
    "9.5": [
        lambda x: np.linalg.norm(x, 2) ** 2 / np.linalg.norm(x) ** 2,
        share,
        lambda x: np.linalg.eigvalsh(x.T @ x)[-1] / (x**2).sum(),
    ],
    "9.6": [
        lambda k, f: np.hypot(*(k @ w(2 * np.pi * f * np.arange(len(k))) for w in (np.cos, np.sin))),
        amplitude_of_a_wave,
    ],
    "9.7": [lambda a, c: a - 0.5 - np.abs(c - 0.5).max(), lambda a, c: min(a - max(x, 1 - x) for x in c)],
}
WRONG = {
    "9.1": [
        lambda i, o, k, s, g: s**2 * k**2 * i * o,
        lambda i, o, k, s, g: 2 * s**2 * k**2 * i * o // g,
        lambda i, o, k, s, g: k**2 * i * o // g,
        lambda i, o, k, s, g: s * k**2 * i * o // g,
        lambda i, o, k, s, g: s**2 * k * i * o // g,
        lambda i, o, k, s, g: s**2 * k**2 * i * o // g**2,
    ],
    "9.2": [
        lambda x, t: loss(x, t, diagonal=True),
        lambda x, t: loss(x, 1.0),
        lambda x, t: loss(x, t, shift=1),
        lambda x, t: loss(x, t, mean=False),
        in_place,
        lambda x, t: loss(x, t, cold=False),
        lambda x, t: -loss(x, t),
    ],
    "9.3": [
        lambda p, b: 2 * p / (1 + p),
        lambda p, b: f1(p, b) / (1 - (1 - p) ** b),
        lambda p, b: p,
        lambda p, b: 1 - (1 - p) ** b,
        lambda p, b: f1(1 - p, b),
    ],
    "9.4": [
        lambda a, b: 2 * pictures(a, b),
        lambda a, b: pictures(a, b) / 1.96,
        lambda a, b: pictures(a, b) / 1.96**2,
        lambda a, b: 1.96**2 * a * (1 - a) / (a - b) ** 2,
        lambda a, b: 4 * pictures(a, b),
        lambda a, b: 10_000,
    ],
    "9.5": [
        lambda x: math.sqrt(share(x)),
        lambda x: 1 - share(x),
        lambda x: 1.0,
        lambda x: np.linalg.svd(x, compute_uv=False)[0] / np.linalg.svd(x, compute_uv=False).sum(),
        lambda x: 2 / len(x),
    ],
    "9.6": [
        lambda k, f: abs(k.sum()),
        lambda k, f: np.abs(k * np.exp(2j * np.pi * f * np.arange(len(k)))).sum(),
        lambda k, f: abs((k * np.exp(1j * f * np.arange(len(k)))).sum()),
        lambda k, f: abs((k * np.exp(2j * np.pi * f * np.arange(len(k)))).sum()) ** 2,
        lambda k, f: 1 - f,
    ],
    "9.7": [
        lambda a, c: a - c.max(),
        lambda a, c: a - c.mean(),
        lambda a, c: a - 0.5,
        lambda a, c: a - c.min(),
        lambda a, c: np.maximum(c, 1 - c).max() - a,
    ],
}
