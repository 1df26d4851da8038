"""Chapter 7: right answers to its exercises, each in two ways, and wrong ones that deserve a hint."""

import numpy as np


def rank_by_search(inputs, outputs):
    r = 0
    while (r + 1) * (inputs + outputs) < inputs * outputs:
        r += 1
    return r


def loss(features, fake, center, m, minus=True, root=True, clamp=True, first=True, square=False, middle=np.mean):
    far = np.sqrt(((features - center) ** 2).sum(1))
    far = far**2 if square else far
    real, false = middle(far[~fake]), middle(far[fake])
    gap = (real - false if minus else real * false) + m * (features.shape[1] ** 0.5 if root else 1)
    return (real if first else 0) + (max(gap, 0) if clamp else gap)


def loss_in_place(features, fake, center, m):
    result = loss(features, fake, center, m)
    features -= center
    return result


def sizes(printed, largest):
    return [n for n in range(1, largest + 1) if all(p in {f"{100 * k / n:.2f}" for k in range(n + 1)} for p in printed)]


def sizes_by_rounding(printed, largest):
    def fits(p, n):
        near = int(float(p) * n / 100)
        return any(f"{100 * k / n:.2f}" == p for k in range(near - 1, near + 3))

    return [n for n in range(1, largest + 1) if all(fits(p, n) for p in printed)]


def exact_sizes(printed, largest):
    return [n for n in range(1, largest + 1) if all((float(p) * n / 100).is_integer() for p in printed)]


def extract(adapted, weight, r, share=1.0):
    u, s, v = np.linalg.svd(adapted - weight, full_matrices=False)
    return u[:, :r] * s[:r] ** share, s[:r, None] ** (1 - share) * v[:r]


def smallest(adapted, weight, r):
    u, s, v = np.linalg.svd(adapted - weight, full_matrices=False)
    return u[:, -r:] * s[-r:], v[-r:]


RIGHT = {
    "7.1": [lambda i, o: (i * o - 1) // (i + o), rank_by_search],
    "7.2": [loss, lambda f, y, c, m: loss(np.asarray(f, float), np.asarray(y, bool), c, m)],
    "7.3": [sizes, sizes_by_rounding],
    "7.4": [lambda f, a, r: f * r / (f * r + a * (1 - r)), lambda f, a, r: 1 / (1 + a / f * (1 - r) / r)],
    "7.5": [extract, lambda a, w, r: extract(a, w, r, 0.5)],
}
WRONG = {
    "7.1": [
        lambda i, o: i * o // (i + o),
        lambda i, o: min(i, o),
        lambda i, o: i * o / (i + o),
        lambda i, o: 16,
        lambda i, o: min(i, o) // 2,
    ],
    "7.2": [
        lambda *a: loss(*a, minus=False),
        lambda *a: loss(*a, root=False),
        lambda *a: loss(*a, clamp=False),
        lambda *a: loss(*a, first=False),
        lambda *a: loss(*a, square=True),
        lambda *a: loss(*a, middle=np.median),
        loss_in_place,
    ],
    "7.3": [
        exact_sizes,
        lambda p, n: sizes(p[:1], n),
        lambda p, n: sizes(p, n - 1),
        lambda p, n: [100, 200, 300, 400],
        lambda p, n: sizes(p, n)[::-1],
    ],
    "7.4": [
        lambda f, a, r: f,
        lambda f, a, r: f / (f + a),
        lambda f, a, r: f * r,
        lambda f, a, r: f * r + a * (1 - r),
        lambda f, a, r: f * (1 - r) / (f * (1 - r) + a * r),
    ],
    "7.5": [
        smallest,
        lambda a, w, r: (a - w, np.eye(w.shape[1])),
        lambda a, w, r: extract(w, a, r),
        lambda a, w, r: extract(a, 0 * w, r),
        lambda a, w, r: extract(a, w, r)[::-1],
    ],
}
