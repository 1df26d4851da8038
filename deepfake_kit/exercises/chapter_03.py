"""Graders of chapter 3: a Gram matrix, guidance, the best of k draws, an error rate, how many pictures it takes."""

from __future__ import annotations

import math

import numpy as np

from deepfake_kit.exercises import number, numbers


def _gram(answer) -> str | None:
    random = np.random.default_rng(31)
    for channels, positions in ((3, 5), (4, 4), (1, 7), (6, 2)):
        f = random.standard_normal((channels, positions)) + 0.5
        given, ours = f.copy(), numbers(answer(f))
        if not np.array_equal(given, f):
            return "Your function changed the features it was given."
        right = np.array([[sum(a * b) for b in f] for a in f])
        if ours.shape == right.shape and np.allclose(ours, right, atol=1e-9):
            continue
        if ours.shape != right.shape:
            return f"Yours has shape {ours.shape} for {channels} channels: one entry a pair of channels."
        centred = f - f.mean(1, keepdims=True)
        for other, hint in (
            (right / positions, "That is the mean over the positions; the report's formula is the sum."),
            (right / f.size, "You divided by the size of the map; the report's formula is the plain sum."),
            (centred @ centred.T, "That is centred, a covariance. A Gram matrix keeps the means."),
        ):
            if np.allclose(ours, other, atol=1e-9):
                return hint
        return "Entry (i, j) is the sum over positions k of F[i, k] times F[j, k]."
    return None


def _guided(answer) -> str | None:
    random = np.random.default_rng(32)
    for w in (0.0, 1.0, 3.0, 7.5, -1.0):
        empty, told = random.standard_normal((2, 4, 3))
        ours = numbers(answer(empty.copy(), told.copy(), w))
        if ours.shape == empty.shape and np.allclose(ours, empty + w * (told - empty), atol=1e-9):
            continue
        if np.allclose(ours, told + w * (told - empty), atol=1e-9):
            return "Yours starts at the captioned prediction: w = 1 should give that one, w = 0 the empty caption's."
        if np.allclose(ours, told + w * (empty - told), atol=1e-9):
            return "The two predictions have changed places."
        return f"For w = {w:g}: start at the empty caption's prediction and go w times the way to the captioned one."
    return None


def _best_of(answer) -> str | None:
    random = np.random.default_rng(33)
    for n, k in ((5, 1), (5, 3), (2, 2), (30, 4), (7, 9)):
        d = random.exponential(size=n).round(2)
        rise = np.sort(d)
        left = np.arange(n, -1, -1) / n
        right = float((rise * (left[:-1] ** k - left[1:] ** k)).sum())
        ours = number(answer(d.tolist(), k))
        if abs(ours - right) <= 1e-9:
            continue
        if abs(ours - rise[0]) <= 1e-9:
            return "That is the least of all; k draws will often miss it."
        if abs(ours - d.mean() / k) <= 1e-9:
            return "The mean does not shrink like 1/k. Ask how likely it is that all k draws are at least some value."
        if k <= n and n > 1:
            without = sum(x * math.comb(n - 1 - i, k - 1) for i, x in enumerate(rise)) / math.comb(n, k)
            if abs(ours - without) <= 1e-9:
                return "That is right for draws without putting back; each draw here is from all of them."
        return f"For {n} distances and {k} draws: P(all draws are at least the i-th smallest) is ((n - i + 1)/n)^k."
    return None


def _errors(answer) -> str | None:
    from deepfake_kit.measure.scores import wilson_interval

    random = np.random.default_rng(34)
    for n, share in ((40, 0.2), (11, 0.0), (200, 0.5), (25, 0.9)):
        woman = np.arange(n) % 2 == 0
        wrong = random.random(n) < share
        said = np.where(wrong, ~woman, woman)
        count, of = int((wrong & woman).sum()), int(woman.sum())
        right = (count / of, *wilson_interval(count, of))
        ours = [number(x) for x in answer(woman.copy(), said.copy())]
        if len(ours) == 3 and np.allclose(ours, right, atol=1e-6):
            continue
        if len(ours) != 3:
            return "Return three numbers: the share, the low end and the high end of its interval."
        if abs(ours[0] - right[0]) > 1e-6:
            if abs(ours[0] - wrong.mean()) <= 1e-9 or abs(ours[0] - (wrong & woman).mean()) <= 1e-9:
                return "The share is of the women alone, not of everybody."
            return "Asked is the share of the women whom the network calls men."
        half = 1.96 * math.sqrt(right[0] * (1 - right[0]) / of)
        if abs(ours[2] - right[0] - half) <= 1e-3:
            return "That is the interval p ± 1.96 s.e., which is empty when nobody was wrong. Use Wilson's."
        return "The share is right. For the interval take kit's wilson_interval with two counts of women."
    return None


def _enough(answer, width: float = 0.1) -> str | None:
    from deepfake_kit.measure.scores import wilson_interval

    def wide(n: int) -> float:
        low, high = wilson_interval(n // 2, n)
        return high - low

    ours = number(answer)
    if not math.isfinite(ours) or ours != round(ours) or ours < 2 or ours % 2:
        return "Asked is an even whole number of pictures, half of which are wrong."
    if wide(int(ours)) > width:
        return f"With {ours:g} pictures the interval is still wider than {100 * width:g} points."
    if ours > 2 and wide(int(ours) - 2) <= width:
        return "That is enough, but fewer would do."
    return None


EXERCISES = {"3.1": _gram, "3.2": _guided, "3.3": _best_of, "3.4": _errors, "3.5": _enough}
