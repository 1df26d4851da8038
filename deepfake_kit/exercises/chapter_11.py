"""Graders of chapter 11: a small game, an answer to it, a gap between forgers, luck on a board, bytes not trusted."""

from __future__ import annotations

import math

import numpy as np

from deepfake_kit.exercises import number, numbers


def _game(answer) -> str | None:
    for A in ([[0.9, 0.4], [0.3, 0.8]], [[0.2, 1.0], [0.7, 0.6]], [[3.0, -1.0], [-2.0, 5.0]]):
        (a, b), (c, d) = A
        x, value = (d - c) / (a - b - c + d), (a * d - b * c) / (a - b - c + d)
        ours = numbers(answer(np.array(A)))
        if ours.shape != (2,):
            return f"Two numbers were asked for, not the shape {ours.shape}."
        if math.isclose(ours[0], value, abs_tol=1e-6):
            if math.isclose(ours[1], x, abs_tol=1e-6):
                continue
            return "The value is right. The probability asked for is that of the first row, not column."
        return f"Wrong for {A}. With which x do both columns cost the forger as much?"
    return None


def _response(answer) -> str | None:
    random = np.random.default_rng(112)
    for rows, columns in ((3, 2), (2, 5), (4, 4)):
        A, y = random.random((rows, columns)), random.dirichlet(np.ones(columns))
        ours, expected = number(answer(A.copy(), y.copy())), A @ y
        if math.isclose(ours, expected.min(), abs_tol=1e-9):
            continue
        if math.isclose(ours, expected.max(), abs_tol=1e-9):
            return "That row pays most; the forger wants the detector's AUC small."
        return "What does each row cost on average, when the columns come with the probabilities y?"
    return None


def _gap(answer) -> str | None:
    random = np.random.default_rng(113)
    for k in (2, 5, 7):
        table = random.random((k, k))
        own = np.diag(table)
        ours, right = number(answer(table.copy())), float(np.mean(own - (table.sum(1) - own) / (k - 1)))
        if math.isclose(ours, right, abs_tol=1e-9):
            continue
        if math.isclose(ours, float(np.mean(own - table.mean(1))), abs_tol=1e-9):
            return "A detector's own forger is not one of the others."
        if math.isclose(ours, -right, abs_tol=1e-9):
            return "The size is right; a loss counts as positive."
        return f"Wrong for {k} forgers. Where in the table do training and test meet the same forger?"
    return None


def _luck(answer) -> str | None:
    for k, sd, bar in ((1, 0.04, 0.5), (10, 0.04, 0.58), (200, 0.03, 0.6), (3, 0.1, 0.45)):
        below = 0.5 * math.erfc(-(bar - 0.5) / sd / math.sqrt(2))
        ours = number(answer(k, sd, bar))
        if math.isclose(ours, 1 - below**k, abs_tol=1e-6):
            continue
        if math.isclose(ours, below**k, abs_tol=1e-6):
            return "That is the probability that none of them reaches the bar."
        if math.isclose(ours, (1 - below) ** k, abs_tol=1e-6):
            return "That is the probability that all of them reach the bar; one is enough."
        return f"Wrong for {k} tries. With which probability does a single one stay under the bar, and all of them?"
    return None


def _trust(answer) -> str | None:
    good = np.array([0.5, -1e30, 3.25], "<f4")
    if not np.array_equal(numbers(answer(good.tobytes(), 3)), good):
        return "Three finite numbers of four bytes each should be counted, as they are."
    bad = {
        "too few bytes": good.tobytes()[:-1],
        "too many bytes": good.tobytes() + b"\0",
        "none at all": b"",
        "a number that is none": np.array([1, np.nan, 2], "<f4").tobytes(),
        "an infinite number": np.array([1, np.inf, 2], "<f4").tobytes(),
    }
    for what, raw in bad.items():
        if np.size(answer(raw, 3)):
            return f"You count {what}. What would it do to a mean, or to a ranking?"
    return None


EXERCISES = {"11.1": _game, "11.2": _response, "11.3": _gap, "11.4": _luck, "11.5": _trust}
