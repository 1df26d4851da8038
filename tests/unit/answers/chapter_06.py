"""Chapter 6: right answers to its exercises, each in two ways, and wrong ones that deserve a hint."""

from __future__ import annotations

import numpy as np


def in_place(vectors, sizes):
    vectors[0] *= sizes[0] / sum(sizes)
    for vector, size in zip(vectors[1:], sizes[1:]):
        vectors[0] += vector * size / sum(sizes)
    return vectors[0]


def tv(counts, whole=None, factor=0.5):
    own = counts / counts.sum(1, keepdims=True)
    whole = counts.sum(0) / counts.sum() if whole is None else whole(own)
    return factor * np.abs(own - whole).sum(1)


def rows_of(sent):
    return sum(n for n, _, _ in sent)


def pooled(sent):
    mean = sum(t for _, t, _ in sent) / rows_of(sent)
    return sum(q for _, _, q in sent) / rows_of(sent) - np.outer(mean, mean)


RIGHT = {
    "6.1": [
        lambda v, n: sum(k * x for k, x in zip(n, v)) / sum(n),
        lambda v, n: np.average(v, axis=0, weights=n).tolist(),
    ],
    "6.2": [1 / 8000, 0.000125, np.float32(20.0) ** -3],
    "6.3": [
        tv,
        lambda c: [max(0, (r / r.sum() - c.sum(0) / c.sum())[(r / r.sum()) > c.sum(0) / c.sum()].sum()) for r in c],
    ],
    "6.4": [lambda w, a, mu: mu * (w - a), lambda w, a, mu: [mu * (x - y) for x, y in zip(w, a)]],
    "6.5": [lambda c, r, p, n, x: 8 * c * r * p / (n * x), lambda c, r, p, n, x: c * r * (4 * p + 4 * p) / n / x],
    "6.6": [lambda sent: pooled(sent), lambda sent: [[float(x) for x in row] for row in pooled(sent)]],
}
WRONG = {
    "6.1": [
        lambda v, n: np.mean(v, axis=0),
        lambda v, n: n[0] * v[0] / sum(n),
        in_place,
        lambda v, n: sum(n) * sum(v),
        lambda v, n: np.median(v, axis=0),
        lambda v, n: 1.0,
    ],
    "6.2": [0.05, 1 / 60, 1, 8000, 1 / 400, float("nan")],
    "6.3": [
        lambda c: tv(c, factor=1.0),
        lambda c: tv(c, whole=lambda own: own.mean(0)),
        lambda c: tv(c).mean(),
        lambda c: np.abs(c - c.mean(0)).sum(1),
        lambda c: tv(c, whole=lambda own: 1 / own.shape[1]),
    ],
    "6.4": [
        lambda w, a, mu: mu * (a - w),
        lambda w, a, mu: 2 * mu * (w - a),
        lambda w, a, mu: mu / 2 * (w - a),
        lambda w, a, mu: mu / 2 * (w - a) / np.linalg.norm(w - a),
        lambda w, a, mu: mu * ((w - a) ** 2).sum(),
    ],
    "6.5": [
        lambda c, r, p, n, x: 4 * c * r * p / (n * x),
        lambda c, r, p, n, x: 2 * c * r * p / (n * x),
        lambda c, r, p, n, x: 8 * r * p / (n * x),
        lambda c, r, p, n, x: (n * x) / (8 * c * r * p),
        lambda c, r, p, n, x: 8 * c * r * p / (4 * n * x),
    ],
    "6.6": [
        lambda sent: pooled(sent) * rows_of(sent) / (rows_of(sent) - 1),
        lambda sent: sum(q for _, _, q in sent) / rows_of(sent),
        lambda sent: np.mean([q / n - np.outer(t, t) / n**2 for n, t, q in sent], axis=0),
        lambda sent: sum(n * (q / n - np.outer(t, t) / n**2) for n, t, q in sent) / rows_of(sent),
        lambda sent: np.diag(pooled(sent)),
    ],
}
