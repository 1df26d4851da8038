"""Answers to the exercises of chapter 11."""

import math
import struct

import numpy as np
from scipy.optimize import linprog
from scipy.stats import norm


def mixed(A):
    (a, b), (c, d) = A
    x = (d - c) / (a - b - c + d)
    return x * a + (1 - x) * c, x


def by_program(A):
    found = linprog([0, 0, 1], np.c_[A.T, [-1, -1]], [0, 0], [[1, 1, 0]], [1], [(0, None), (0, None), (None, None)])
    return found.fun, found.x[0]


def gap(table):
    own = np.diag(table)
    return (own - (table.sum(1) - own) / (len(table) - 1)).mean()


def gap_by_loops(table):
    k = len(table)
    return sum(table[i, i] - np.mean([table[i, j] for j in range(k) if j != i]) for i in range(k)) / k


def luck(k, sd, bar):
    return 1 - norm.cdf(bar, 0.5, sd) ** k


def trusted(raw, n):
    scores = np.frombuffer(raw, "<f4") if len(raw) == 4 * n else np.array([np.nan])
    return scores if np.isfinite(scores).all() else np.array([])


def apart_by_intervals(auc, error):
    """Cell by cell: does the interval hold one half?"""
    far = norm.ppf(1 - 0.025 / np.count_nonzero(~np.isnan(auc)))
    told = np.zeros(auc.shape, bool)
    for place in zip(*np.nonzero(~np.isnan(auc))):
        low, high = auc[place] - far * error[place], auc[place] + far * error[place]
        told[place] = low > 0.5 or high < 0.5
    return told


def trusted_by_struct(raw, n):
    try:
        scores = struct.unpack(f"<{n}f", raw)
    except struct.error:
        return []
    return list(scores) if all(map(math.isfinite, scores)) else []


RIGHT = {
    "11.1": [mixed, by_program],
    "11.2": [
        lambda A, y: np.sort(A.dot(y))[0],
        lambda A, y: (A @ y).min(),
        lambda A, y: min(sum(a * p for a, p in zip(row, y)) for row in A),
    ],
    "11.3": [gap, gap_by_loops],
    "11.4": [luck, lambda k, sd, bar: 1 - (1 - norm.sf((bar - 0.5) / sd)) ** k],
    "11.5": [trusted_by_struct, trusted, lambda raw, n: trusted(raw, n).tolist()],
    "11.6": [
        lambda auc, error: 2 * norm.sf(np.abs(auc - 0.5) / error) * np.isfinite(auc).sum() < 0.05,
        apart_by_intervals,
    ],
}
WRONG = {
    "11.1": [
        lambda A: mixed(A)[::-1],
        lambda A: (mixed(A)[0], 1 - mixed(A)[1]),
        lambda A: (mixed(A)[0], mixed(A.T)[1]),
        lambda A: (A.mean(), 0.5),
        lambda A: (A.max(1).min(), 1.0),
    ],
    "11.2": [
        lambda A, y: (A @ y).max(),
        lambda A, y: (A @ y).mean(),
        lambda A, y: A.min(),
        lambda A, y: A.min(0) @ y,
        lambda A, y: (A @ y).argmin(),
    ],
    "11.3": [
        lambda t: np.mean(np.diag(t) - t.mean(1)),
        lambda t: -gap(t),
        lambda t: np.diag(t).mean(),
        lambda t: np.mean(np.diag(t) - t.min(1)),
        lambda t: np.diag(t).sum() - (t.sum() - np.trace(t)) / (len(t) - 1),
    ],
    "11.4": [
        lambda k, sd, bar: norm.cdf((bar - 0.5) / sd) ** k,
        lambda k, sd, bar: norm.sf((bar - 0.5) / sd) ** k,
        lambda k, sd, bar: k * norm.sf((bar - 0.5) / sd),
        lambda k, sd, bar: norm.sf((bar - 0.5) / sd),
    ],
    "11.5": [
        lambda raw, n: np.frombuffer(raw[: 4 * n], "<f4") if len(raw) >= 4 * n else np.array([]),
        lambda raw, n: np.nan_to_num(np.frombuffer(raw[: len(raw) // 4 * 4], "<f4")),
        lambda raw, n: np.frombuffer(raw, "<f4") if len(raw) == 4 * n else np.array([]),
        lambda raw, n: np.frombuffer(raw, ">f4"),
        lambda raw, n: np.array([]),
    ],
    "11.6": [
        lambda auc, error: np.abs(auc - 0.5) > 1.96 * error,
        lambda auc, error: np.abs(auc - 0.5) > norm.isf(0.025 / auc.size) * error,
        lambda auc, error: np.abs(auc - 0.5) > norm.isf(0.05 / np.isfinite(auc).sum()) * error,
        lambda auc, error: auc - 0.5 > norm.isf(0.025 / np.isfinite(auc).sum()) * error,
        lambda auc, error: np.isfinite(auc),
    ],
}
