"""Chapter 6: right answers to its exercises, each in two ways, and wrong ones that deserve a hint."""

from __future__ import annotations

import numpy as np
from scipy.stats import sem


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


def paired_by_hand(a, b):
    gaps = [x - y for x, y in zip(a, b)]
    n, mean = len(gaps), sum(gaps) / len(gaps)
    return mean, (sum((gap - mean) ** 2 for gap in gaps) / (n - 1) / n) ** 0.5


def trimmed_by_loops(updates, k):
    return [np.mean(sorted(column)[k : len(column) - k]) for column in updates.T]


def trimmed_by_partition(updates, k):
    total, n = updates.sum(0), len(updates)
    if k:
        parts = np.partition(updates, (k - 1, n - k), axis=0)
        total = total - parts[:k].sum(0) - parts[n - k :].sum(0)
    return total / (n - 2 * k)


def pooled_by_rows(sent):
    """Each device's own covariance, and the covariance of the devices' means."""
    n = rows_of(sent)
    mean = sum(t for _, t, _ in sent) / n
    inside = sum(q - np.outer(t, t) / k for k, t, q in sent)
    return (inside + sum(k * np.outer(t / k - mean, t / k - mean) for k, t, _ in sent)) / n


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
    "6.4": [
        lambda w, a, mu: mu * w - mu * a,
        lambda w, a, mu: mu * (w - a),
        lambda w, a, mu: [mu * (x - y) for x, y in zip(w, a)],
    ],
    "6.5": [lambda c, r, p, n, x: 8 * c * r * p / (n * x), lambda c, r, p, n, x: c * r * (4 * p + 4 * p) / n / x],
    "6.6": [pooled_by_rows, lambda sent: pooled(sent), lambda sent: [[float(x) for x in row] for row in pooled(sent)]],
    "6.7": [lambda a, b: [np.mean(a - b), sem(a - b)], paired_by_hand],
    "6.8": [
        lambda a, b, p: {f"{100 * (b - a) / a:.2f}": "own", f"{100 * (b - a) / b:.2f}": "other"}.get(
            f"{p:.2f}", "neither"
        ),
        lambda a, b, p: (["own", "other", "neither"] if p else ["neither"])[
            int(np.argmin([abs(100 * (b - a) / a - p), abs(100 * (b - a) / b - p), 0.006]))
        ],
    ],
    "6.9": [trimmed_by_loops, trimmed_by_partition],
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
    "6.7": [
        lambda a, b: [np.mean(a - b), np.hypot(sem(a), sem(b))],
        lambda a, b: [np.mean(a - b), np.std(a - b, ddof=1)],
        lambda a, b: [np.mean(a - b), sem(a - b, ddof=0)],
        lambda a, b: [np.mean(b - a), sem(a - b)],
        lambda a, b: [np.median(a - b), sem(a - b)],
    ],
    "6.8": [
        lambda a, b, p: "other",
        lambda a, b, p: "own",
        lambda a, b, p: "neither",
        lambda a, b, p: "own" if abs(100 * (b - a) / b - p) < 0.006 else "other",
        lambda a, b, p: "own" if p > 20 else "other",
    ],
    "6.9": [
        lambda x, k: x.mean(0),
        lambda x, k: np.median(x, 0),
        lambda x, k: np.sort(x, 0)[: len(x) - k].mean(0),
        lambda x, k: x[np.argsort(np.abs(x).sum(1))][: len(x) - 2 * k].mean(0),
        lambda x, k: np.sort(x, 0)[k : len(x) - k].sum(0) / len(x),
    ],
}
