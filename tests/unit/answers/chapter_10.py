"""Chapter 10: right answers to its exercises, each in two ways, and wrong ones that deserve a hint."""

from itertools import product

import numpy as np


def corners(a, epsilon):
    return max(float(np.sum((a @ np.array(d)) ** 2)) for d in product([-epsilon, epsilon], repeat=a.shape[1]))


def by_quadratic_form(a, epsilon):
    signs = np.array(list(product([-1, 1], repeat=a.shape[1])))
    return epsilon**2 * np.einsum("ki,ij,kj->k", signs, a.T @ a, signs).max()


def in_place(z, x, epsilon):
    np.clip(z, np.maximum(x - epsilon, 0), np.minimum(x + epsilon, 1), out=z)
    return z


def fair(editor, process, protected, original):
    return ((editor(process(protected)) - editor(process(original))) ** 2).mean()


RIGHT = {
    "10.1": [lambda e: 20 * np.log10(1 / e), lambda e: -20 * np.log10(e), lambda e: 10 * np.log10(1 / e**2)],
    "10.2": [
        lambda z, x, e: np.minimum(np.minimum(np.maximum(np.maximum(z, x - e), 0), x + e), 1),
        lambda z, x, e: np.clip(np.clip(z, x - e, x + e), 0, 1),
        lambda z, x, e: np.clip(x + np.clip(z - x, -e, e), 0, 1),
    ],
    "10.3": [corners, by_quadratic_form],
    "10.4": [
        lambda g, t, p, o: np.var(g(t(p)) - g(t(o))) + np.mean(g(t(p)) - g(t(o))) ** 2,
        fair,
        lambda g, t, p, o: np.square(g(t(o)) - g(t(p))).sum() / o.size,
    ],
    "10.5": [
        lambda n, c: np.linalg.norm(np.full((3, n, n), c)),
        lambda n, c: c * n * np.sqrt(3),
        lambda n, c: np.sqrt(3 * n * n * c * c),
    ],
    "10.6": [
        lambda h: ((h / h.diagonal()).sum() - len(h)) / (len(h) ** 2 - len(h)),
        lambda h: np.mean([h[i, j] / h[j, j] for i in range(len(h)) for j in range(len(h)) if i != j]),
    ],
    "10.7": [lambda h, bar: np.all(h >= bar, axis=1).mean(), lambda h, bar: sum(min(row) >= bar for row in h) / len(h)],
}
WRONG = {
    "10.1": [
        lambda e: -10 * np.log10(e),
        lambda e: -20 * np.log10(e / 2),
        lambda e: -20 * np.log10(e / 255),
        lambda e: 20 * np.log10(e),
        lambda e: 32.0,
    ],
    "10.2": [
        lambda z, x, e: np.clip(z, x - e, x + e),
        lambda z, x, e: np.clip(z, 0, 1),
        lambda z, x, e: x,
        lambda z, x, e: np.clip(x + e * np.sign(z - x), 0, 1),
        lambda z, x, e: z,
        in_place,
    ],
    "10.3": [
        lambda a, e: np.sum((e * np.abs(a).sum(1)) ** 2),
        lambda a, e: corners(a, e) ** 0.5,
        lambda a, e: np.sum((a @ np.full(a.shape[1], e)) ** 2) * 0.999,
        lambda a, e: e**2 * np.sum(a**2),
        lambda a, e: 0.0,
    ],
    "10.4": [
        lambda g, t, p, o: np.mean((g(t(p)) - g(o)) ** 2),
        lambda g, t, p, o: np.mean((g(t(p)) - o) ** 2),
        lambda g, t, p, o: np.mean((g(p) - g(o)) ** 2),
        lambda g, t, p, o: np.mean((t(g(p)) - t(g(o))) ** 2),
        lambda g, t, p, o: np.mean((t(p) - t(o)) ** 2),
        lambda g, t, p, o: 0.0,
    ],
    "10.5": [
        lambda n, c: c * n,
        lambda n, c: c,
        lambda n, c: 3 * n * n * c * c,
        lambda n, c: 3 * n * c,
        lambda n, c: 0.0,
    ],
    "10.6": [
        lambda h: (h / np.diag(h)).mean(),
        lambda h: np.mean([h[i, j] / h[i, i] for i in range(len(h)) for j in range(len(h)) if i != j]),
        lambda h: h[~np.eye(len(h), dtype=bool)].mean() / np.diag(h).mean(),
        lambda h: h[~np.eye(len(h), dtype=bool)].mean(),
        lambda h: np.max(h / np.diag(h)),
    ],
    "10.7": [
        lambda h, bar: (h.mean(1) >= bar).mean(),
        lambda h, bar: (h >= bar).mean(),
        lambda h, bar: (h.max(1) >= bar).mean(),
        lambda h, bar: (h.min(1) < bar).mean(),
        lambda h, bar: (h >= bar).mean(0).min() * 0.99,
    ],
}
