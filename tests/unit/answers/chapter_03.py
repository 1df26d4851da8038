"""Chapter 3: right answers to its exercises, each in two ways, and wrong ones that deserve a hint."""

import itertools
import math

import numpy as np
from scipy.stats import binomtest


def gram_by_loops(f):
    g = np.zeros((len(f), len(f)))
    for i in range(len(f)):
        for j in range(len(f)):
            for k in range(f.shape[1]):
                g[i, j] += f[i, k] * f[j, k]
    return g


def best_by_formula(distances, k):
    n, total = len(distances), 0.0
    for i, d in enumerate(sorted(distances)):
        total += d * (((n - i) / n) ** k - ((n - i - 1) / n) ** k)
    return total


def best_by_survival(distances, k):
    d = np.sort(distances)
    steps = np.diff(d, prepend=0.0)
    return float(sum(step * np.mean(np.asarray(distances) >= x) ** k for step, x in zip(steps, d)))


def best_without_putting_back(distances, k):
    k = min(k, len(distances))
    return (
        float(np.mean([min(c) for c in itertools.combinations(distances, k)]))
        if math.comb(len(distances), k) < 1e5
        else 0
    )


def errors(woman, said_woman, of=None, wald=False):
    of = woman if of is None else of
    wrong = woman & ~said_woman
    count, n = int(wrong.sum()), int(of.sum())
    if wald:
        p, half = count / n, 1.96 * math.sqrt(count / n * (1 - count / n) / n)
        return p, p - half, p + half
    return count / n, *binomtest(count, n).proportion_ci(0.95, method="wilson")


def errors_by_formula(woman, said_woman):
    x, n, z = int((woman & ~said_woman).sum()), int(woman.sum()), 1.959963984540054
    p = x / n
    middle, half = p + z * z / 2 / n, z * math.sqrt(p * (1 - p) / n + z * z / 4 / n / n)
    return p, (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)


RIGHT = {
    "3.1": [lambda f: np.einsum("ik,jk->ij", f, f), lambda f: f @ f.T, gram_by_loops],
    "3.2": [
        lambda e, c, w: c + (w - 1) * (c - e),
        lambda e, c, w: e + w * (c - e),
        lambda e, c, w: (1 - w) * e + w * c,
    ],
    "3.3": [best_by_formula, best_by_survival],
    "3.4": [errors, errors_by_formula],
    "3.5": [382, 382.0],
    "3.6": [
        lambda read, top, chance: 1 - (top - read) / (top - chance),
        lambda read, top, chance: np.polyval(np.polyfit([chance, top], [0, 1], 1), read),
    ],
    "3.7": [
        lambda x: x.var(1).sum(-1).mean() / x.reshape(-1, x.shape[2]).var(0).sum(),
        lambda x: 1 - x.mean(1).var(0).sum() / x.var((0, 1)).sum(),
    ],
}
WRONG = {
    "3.1": [
        lambda f: f.T @ f,
        lambda f: f @ f.T / f.shape[1],
        lambda f: f @ f.T / f.size,
        lambda f: np.cov(f) * (f.shape[1] - 1),
        lambda f: np.abs(f @ f.T) + 1,
    ],
    "3.2": [
        lambda e, c, w: c + w * (c - e),
        lambda e, c, w: c + w * (e - c),
        lambda e, c, w: w * (c - e),
        lambda e, c, w: w * c,
    ],
    "3.3": [
        lambda d, k: min(d),
        lambda d, k: float(np.mean(d)) / k,
        lambda d, k: float(np.mean(d)),
        best_without_putting_back,
        lambda d, k: best_by_formula(d, k + 1),
    ],
    "3.4": [
        lambda w, s: errors(w, s, np.ones_like(w)),
        lambda w, s: errors(~w, ~s),
        lambda w, s: errors(w, s, wald=True),
        lambda w, s: errors(w, s)[:2],
        lambda w, s: ((w & ~s).sum() / w.sum(), 0.0, 1.0),
    ],
    "3.5": [4, 380, 381, 384, 1000],
    "3.6": [
        lambda read, top, chance: read / top,
        lambda read, top, chance: read - chance,
        lambda read, top, chance: (read - chance) / (1 - chance),
        lambda read, top, chance: (read - chance) / top,
        lambda read, top, chance: read,
    ],
    "3.7": [
        lambda x: x.mean(1).var(0).sum() / x.var((0, 1)).sum(),
        lambda x: x.var(1).sum(-1).mean(),
        lambda x: x.var(1).sum(-1).mean() / x.mean(1).var(0).sum(),
        lambda x: x.var(1).mean() / x.var(),
        lambda x: 1 / len(x),
    ],
}
