"""Chapter 8: right answers to its exercises, each in two ways, and wrong ones that deserve a hint."""

import numpy as np


def cvar(losses, alpha):
    worst = np.sort(losses)[::-1]
    weight = np.clip(alpha * len(worst) - np.arange(len(worst)), 0, 1)
    return weight @ worst / weight.sum()


def cvar_by_minimum(losses, alpha):
    return min(eta + np.clip(losses - eta, 0, None).mean() / alpha for eta in losses)


def cvar_whole(losses, alpha, up=False, best=False):
    m = int(np.ceil(alpha * len(losses))) if up else max(1, int(alpha * len(losses)))
    return np.sort(losses)[:m].mean() if best else np.sort(losses)[::-1][:m].mean()


def cvar_in_place(losses, alpha):
    found = cvar(losses, alpha)
    losses.sort()
    return found


def null(gap, drawn, one=1, strict=False, middle=np.mean):
    more = np.count_nonzero(drawn > gap if strict else drawn >= gap)
    return gap - middle(drawn), (one + more) / (one + len(drawn))


def null_by_loop(gap, drawn):
    everything = [gap, *drawn]
    return gap - sum(drawn) / len(drawn), sum(x >= gap for x in everything) / len(everything)


def diagnosis(test, train):
    return "sound" if test >= 0.5 else "path" if train < 0.5 else "data"


def adain(first, second):
    mean, deviation = (lambda m: m.mean((1, 2), keepdims=True)), (lambda m: m.std((1, 2), keepdims=True))
    return ((first - mean(first)) / deviation(first) * deviation(second) + mean(second)).mean((1, 2))


def area_by_trapezoids(tpr, fpr):
    """The lowest and the highest staircase through the point, as curves."""
    low = np.trapezoid([0, 0, tpr, tpr, 1], [0, fpr, fpr, 1, 1])
    return low, np.trapezoid([0, tpr, tpr, 1, 1], [0, 0, fpr, fpr, 1])


RIGHT = {
    "8.1": [lambda t, f, a: (a + f - 1) / (t + f - 1), lambda t, f, a: 1 - (t - a) / (t - (1 - f))],
    "8.2": [
        lambda t, f: np.array([t - t * f, 1 - f + f * t]),
        area_by_trapezoids,
        lambda t, f: (t * (1 - f), 1 - f * (1 - t)),
        lambda t, f: [t - t * f, 1 - f + f * t],
    ],
    "8.3": [cvar, cvar_by_minimum],
    "8.4": [null, null_by_loop],
    "8.5": [
        lambda test, train: "sound" if test >= 0.5 else ("data", "path")[train < 0.5],
        diagnosis,
        lambda test, train: ["path", "data", "sound"][2 if test >= 0.5 else int(train >= 0.5)],
    ],
    "8.6": [lambda f, d: np.einsum("chw->c", f) / f[0].size, lambda f, d: f.mean((1, 2)), lambda f, d: adain(d, f)],
}
WRONG = {
    "8.1": [
        lambda t, f, a: 1 - (a + f - 1) / (t + f - 1),
        lambda t, f, a: (a - f) / (t - f),
        lambda t, f, a: 0.5,
        lambda t, f, a: a,
    ],
    "8.2": [
        lambda t, f: (1 - f * (1 - t), t * (1 - f)),
        lambda t, f: (t * (1 - f), 1.0),
        lambda t, f: (0.0, 1.0),
        lambda t, f: (t * f, 1 - f * (1 - t)),
    ],
    "8.3": [
        cvar_whole,
        lambda x, a: cvar_whole(x, a, up=True),
        lambda x, a: cvar_whole(x, a, best=True),
        lambda x, a: x.mean(),
        lambda x, a: x.max(),
        cvar_in_place,
    ],
    "8.4": [
        lambda g, x: null(g, x, one=0),
        lambda g, x: null(g, x, strict=True),
        lambda g, x: null(g, x, middle=np.max),
        lambda g, x: (g, null(g, x)[1]),
    ],
    "8.5": [
        lambda test, train: "path" if test < 0.5 else "sound",
        lambda test, train: "data" if test < 0.5 else "sound",
        lambda test, train: "path" if train < 0.5 else "data",
        lambda test, train: "sound" if train > 2 else "nothing",
    ],
    "8.6": [
        lambda f, d: d.mean((1, 2)),
        lambda f, d: f,
        lambda f, d: f.mean((1, 2)) + d.mean((1, 2)),
        lambda f, d: f.std((1, 2)),
    ],
}
