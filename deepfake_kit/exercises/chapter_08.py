"""Graders of chapter 8: a base rate, what one point says of an area, the worst share, a null, a diagnosis, a fusion."""

from __future__ import annotations

import numpy as np

from deepfake_kit.exercises import compared, number, numbered

POINTS = ((0.38, 0.93, 0.516), (0.9, 0.2, 0.5), (0.7, 0.05, 0.01), (1.0, 0.3, 0.25), (0.5, 0.9, 0.8))


def _near(ours, right, slack: float = 1e-9) -> bool:
    return np.shape(ours) == np.shape(right) and bool(np.all(np.abs(np.asarray(ours, float) - right) <= slack))


def _base_rate(answer) -> str | None:
    cases = [(found, accused, share * found + (1 - share) * (1 - accused)) for found, accused, share in POINTS]

    def right(tpr, fpr, acc):
        return (acc - 1 + fpr) / (tpr - 1 + fpr)

    slips = {"That is the share of real images; asked is that of the fakes.": lambda *given: 1 - right(*given)}
    hint = "With TPR {0}, FPR {1}: which accuracy has a set of fakes alone, which one of real images alone?"
    return compared(answer, cases, right, slips, hint)


def _auc_range(answer) -> str | None:
    slips = {
        "Both numbers are right; the smaller one comes first.": lambda t, f: (1 - f * (1 - t), t * (1 - f)),
        "A step to the corner: count the pairs that are lost whatever the order.": lambda t, f: (t * (1 - f), 1.0),
    }
    hint = (
        "With TPR {0} and FPR {1}: a fake called fake and a real image that is not are a pair won for sure. How many "
        "such pairs are there, and how many are lost for sure?"
    )
    cases = [point[:2] for point in POINTS]
    return compared(answer, cases, lambda t, f: (t * (1 - f), 1 - f * (1 - t)), slips, hint)


def _cvar(answer) -> str | None:
    random = np.random.default_rng(83)
    shapes = ((8, 0.5), (4, 0.375), (10, 1.0), (10, 0.05), (1, 0.5), (14, 0.9))
    cases = [(np.round(random.exponential(1, n), 1), alpha) for n, alpha in shapes]

    def right(losses, alpha):
        return min(eta + np.clip(losses - eta, 0, None).mean() / alpha for eta in losses)

    def some(losses, alpha, whole=np.floor, worst=-1):
        return -worst * np.sort(-worst * losses)[::-1][: max(1, int(whole(alpha * len(losses))))].mean()

    slips = {
        "The last of the worst counts in part; you leave it out.": some,
        "The last of the worst counts in part, not in whole.": lambda x, alpha: some(x, alpha, np.ceil),
        "That is the mean of the best share; the worst losses are the largest.": lambda x, alpha: some(
            x, alpha, worst=1
        ),
        "That is the mean of all. Sort from the worst: how many make up the share alpha?": lambda x, alpha: x.mean(),
    }
    hint = "How many losses are the share {1}? Average that many, from the worst; the last may count in part."
    return compared(answer, cases, right, slips, hint)


def _null(answer) -> str | None:
    random = np.random.default_rng(84)
    for repeats, place in ((99, 0.5), (400, 0.99), (50, 2.0), (9, 0.0)):
        null = np.round(random.random(repeats) * 0.4, 2)
        gap = float(np.quantile(null, min(place, 1.0)).round(2)) + (0.1 if place > 1 else 0.0)
        more = np.count_nonzero(null >= gap)
        right = gap - null.mean(), (1 + more) / (1 + repeats)
        ours = tuple(number(x) for x in answer(gap, null))
        if _near(ours, right):
            continue
        if _near(ours[:1], right[:1]):
            if _near(ours[1], more / repeats):
                return "So p could be 0, which no number of draws can show. Count the measured gap as one of the draws."
            return "The de-biased gap is right. In p, draws that equal the gap count as well."
        return "First subtract what chance makes on average; then count the draws that do as much as the gap."
    return None


def _diagnosis(answer) -> str | None:
    cases = ((0.15, 0.1), (0.2, 0.95), (0.9, 0.99), (0.49, 0.3), (0.5, 0.4))
    hint = (
        "Test {0}, training images on the test path {1}: does the test lie under one half at all? Does the path give "
        "back what the network learned?"
    )
    return compared(answer, cases, lambda t, path: "sound" if t >= 0.5 else "path" if path < 0.5 else "data", {}, hint)


def _head(answer) -> str | None:
    random = np.random.default_rng(86)
    shapes = ((3, 4, 4), (1, 2, 2), (5, 8, 8))
    cases = [(random.standard_normal(shape), 3 * random.standard_normal(shape) + 1) for shape in shapes]
    other = "That is AdaIN the other way round. Whose mean and deviation does the first map get?"
    hint = "Write AdaIN down, take its mean over positions, and see which terms are left."
    return compared(answer, cases, lambda f, d: f.mean((1, 2)), {other: lambda f, d: d.mean((1, 2))}, hint, 1e-3)


EXERCISES = numbered(8, _base_rate, _auc_range, _cvar, _null, _diagnosis, _head)
