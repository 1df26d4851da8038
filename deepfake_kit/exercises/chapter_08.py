"""Graders of chapter 8: a base rate, what one point says of an area, the worst share, a null, a diagnosis, a fusion."""

from __future__ import annotations

import numpy as np

from deepfake_kit.exercises import number, numbers

POINTS = ((0.38, 0.93, 0.516), (0.9, 0.2, 0.5), (0.7, 0.05, 0.01), (1.0, 0.3, 0.25), (0.5, 0.9, 0.8))


def _near(ours, right, slack: float = 1e-9) -> bool:
    return np.shape(ours) == np.shape(right) and bool(np.all(np.abs(np.asarray(ours, float) - right) <= slack))


def _base_rate(answer) -> str | None:
    for found, accused, share in POINTS:
        accuracy = share * found + (1 - share) * (1 - accused)
        ours = number(answer(found, accused, accuracy))
        if _near(ours, share):
            continue
        if _near(ours, 1 - share):
            return "That is the share of real images; asked is that of the fakes."
        return (
            f"With TPR {found}, FPR {accused}: which accuracy has a set of fakes alone, which one of real images alone?"
        )
    return None


def _auc_range(answer) -> str | None:
    for found, accused, _ in POINTS:
        right = found * (1 - accused), 1 - accused * (1 - found)
        ours = tuple(number(x) for x in answer(found, accused))
        if _near(ours, right):
            continue
        if _near(ours, right[::-1]):
            return "Both numbers are right; the smaller one comes first."
        if _near(ours[:1], right[:1]):
            return "The lower end is right. For the upper one, count the pairs that are lost whatever the order."
        return (
            f"With TPR {found} and FPR {accused}: a fake called fake and a real image that is not are a pair won "
            "for sure. How many such pairs are there?"
        )
    return None


def _cvar(answer) -> str | None:
    random = np.random.default_rng(83)
    for n, alpha in ((4, 0.375), (10, 1.0), (10, 0.05), (1, 0.5), (8, 0.5), (14, 0.9)):
        losses = np.round(random.exponential(1, n), 1)
        given = losses.copy()
        right = min(eta + np.clip(losses - eta, 0, None).mean() / alpha for eta in losses)
        ours = number(answer(losses, alpha))
        if not np.array_equal(given, losses):
            return "Your function changed the losses it was given."
        if _near(ours, right):
            continue
        ordered, whole = np.sort(losses)[::-1], max(1, int(alpha * n))
        if _near(ours, ordered[:whole].mean()) or _near(ours, ordered[: int(np.ceil(alpha * n))].mean()):
            return f"For {n} losses and a share of {alpha} the last of the worst counts in part."
        if _near(ours, np.sort(losses)[:whole].mean()):
            return "That is the mean of the best share; the worst losses are the largest."
        return f"Wrong for {n} losses and a share of {alpha}. What does the printed minimum give at each loss as eta?"
    return None


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
    for test, train, right in ((0.15, 0.1, "path"), (0.2, 0.95, "data"), (0.9, 0.99, "sound"), (0.49, 0.3, "path")):
        ours = answer(test, train)
        if ours == right:
            continue
        if right == "sound":
            return "Here the test images score above one half; nothing has turned round."
        return (
            f"Test {test}, training images on the test path {train}: the network has learned the training images. Does "
            "the path give back what it learned?"
        )
    return None


def _head(answer) -> str | None:
    random = np.random.default_rng(86)
    for channels, side in ((3, 4), (1, 2), (5, 8)):
        forgery, people = random.standard_normal((2, channels, side, side))
        people = 3 * people + 1
        ours, right = numbers(answer(forgery, people)), forgery.mean((1, 2))
        if ours.shape == right.shape and _near(ours, right, 1e-3):
            continue
        if ours.shape != right.shape:
            return f"The head gets one number a channel, {channels} here; you return the shape {ours.shape}."
        if _near(ours, people.mean((1, 2)), 1e-3):
            return "That is AdaIN the other way round. Whose mean and deviation does the first map get?"
        return "Write AdaIN down, take its mean over positions, and see which terms are left."
    return None


EXERCISES = {"8.1": _base_rate, "8.2": _auc_range, "8.3": _cvar, "8.4": _null, "8.5": _diagnosis, "8.6": _head}
