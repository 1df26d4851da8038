"""Chapter 7: right answers to its exercises, each in two ways, and wrong ones that deserve a hint."""

import numpy as np
from scipy.stats import rankdata
from sklearn.metrics import roc_auc_score


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


def probe_by_distances(train, fake, test, own=None):
    """Half the difference of squared distances to the two means."""
    by = train if own is None else own
    z, t = (train - train.mean(0)) / train.std(0), (test - by.mean(0)) / by.std(0)
    to_fake, to_real = (((t - z[kind].mean(0)) ** 2).sum(1) for kind in (fake, ~fake))
    return (to_real - to_fake) / 2


def probe_by_weights(train, fake, test):
    """One weight a raw feature and a bias, as a linear layer has them."""
    gap, middle = train[fake].mean(0) - train[~fake].mean(0), (train[fake].mean(0) + train[~fake].mean(0)) / 2
    weights = gap / train.var(0)
    return test @ weights - middle @ weights


def rank_area(score, fake, method="average"):
    n = fake.sum()
    return (rankdata(score, method=method)[fake].sum() - n * (n + 1) / 2) / (n * (len(fake) - n))


def judged_by_loop(p, fake, risk, stop=False):
    best = wrong = 0
    pairs = sorted(zip(p, fake), key=lambda pair: -abs(pair[0] - 0.5))
    for judged, (score, answer) in enumerate(pairs, 1):
        wrong += (score > 0.5) != answer
        if wrong <= risk * judged:
            best = judged
        elif stop:
            break
    return best / len(p)


def judged_by_margins(p, fake, risk):
    margins = np.abs(p - 0.5)
    shares = [(margins >= m).mean() for m in margins if ((p > 0.5) != fake)[margins >= m].mean() <= risk]
    return max(shares, default=0)


def loss_by_loops(features, fake, center, m):
    far = {True: [], False: []}
    for row, kind in zip(features.tolist(), fake.tolist()):
        far[kind].append(sum((x - c) ** 2 for x, c in zip(row, center.tolist())) ** 0.5)
    real, false = (sum(far[kind]) / len(far[kind]) for kind in (False, True))
    return real + max(0, real - false + m * len(center) ** 0.5)


def called_by_counting(found, accused, rare):
    fakes, real = 1e6 * rare * found, 1e6 * (1 - rare) * accused
    return fakes / (fakes + real)


RIGHT = {
    "7.1": [lambda i, o: -(-i * o // (i + o)) - 1, lambda i, o: (i * o - 1) // (i + o), rank_by_search],
    "7.2": [loss_by_loops, loss, lambda f, y, c, m: loss(np.asarray(f, float), np.asarray(y, bool), c, m)],
    "7.3": [sizes, sizes_by_rounding],
    "7.4": [
        called_by_counting,
        lambda f, a, r: f * r / (f * r + a * (1 - r)),
        lambda f, a, r: 1 / (1 + a / f * (1 - r) / r),
    ],
    "7.5": [extract, lambda a, w, r: extract(a, w, r, 0.5)],
    "7.6": [probe_by_distances, probe_by_weights],
    "7.7": [
        lambda s, t, y: roc_auc_score(y, s) - roc_auc_score(y, t),
        lambda s, t, y: rank_area(s, y) - rank_area(t, y),
    ],
    "7.8": [judged_by_loop, judged_by_margins],
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
    "7.6": [
        lambda x, y, t: -probe_by_distances(x, y, t),
        lambda x, y, t: 2 * probe_by_distances(x, y, t),
        lambda x, y, t: (t - (x[y].mean(0) + x[~y].mean(0)) / 2) @ (x[y].mean(0) - x[~y].mean(0)),
        lambda x, y, t: probe_by_distances(x, y, t, own=t),
        lambda x, y, t: t[:, 0],
    ],
    "7.7": [
        lambda s, t, y: rank_area(s, y),
        lambda s, t, y: rank_area(t, y) - rank_area(s, y),
        lambda s, t, y: s[y].mean() - t[y].mean(),
        lambda s, t, y: rank_area(s, y) - 0.5,
        lambda s, t, y: rank_area(s, y, "min") - rank_area(t, y, "min"),
    ],
    "7.8": [
        lambda p, y, r: 1 - judged_by_loop(p, y, r),
        lambda p, y, r: judged_by_loop(p, y, r, stop=True),
        lambda p, y, r: np.mean(np.abs(p - 0.5) > r),
        lambda p, y, r: np.mean((p > 0.5) == y),
        lambda p, y, r: judged_by_loop(p, y, 0),
    ],
}
