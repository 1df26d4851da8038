"""Graders of chapter 11: a small game, an answer to it, a gap between forgers, luck on a board, bytes not trusted."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np

from deepfake_kit.exercises import compared, numbered, numbers


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
            if math.isclose(ours[1], 1 - x, abs_tol=1e-6):
                return "The value is right. Your probability is that of the other row."
            return "The value is right. The probability asked for is that of the first row, not column."
        if np.allclose(ours, (x, value)):
            return "Both numbers are right; the value comes first."
        return f"Wrong for {A}. With which x do both columns cost the forger as much?"
    return None


def _response(answer) -> str | None:
    random = np.random.default_rng(112)
    cases = [(random.random(shape), random.dirichlet(np.ones(shape[1]))) for shape in ((3, 2), (2, 5), (4, 4))]
    slips = {
        "That row pays most; the forger wants the detector's AUC small.": lambda A, y: (A @ y).max(),
        "The rows' costs are right. The forger need not mix them evenly: which does he take?": lambda A, y: (
            A @ y
        ).mean(),
        "That is the number of the row he takes. Asked is what he pays there.": lambda A, y: (A @ y).argmin(),
    }
    hint = "What does each row cost on average, when the columns come with the probabilities y?"
    return compared(answer, cases, lambda A, y: (A @ y).min(), slips, hint)


def _gap(answer) -> str | None:
    random = np.random.default_rng(113)

    def right(table):
        own = np.diag(table)
        return np.mean(own - (table.sum(1) - own) / (len(table) - 1))

    slips = {
        "A detector's own forger is not one of the others.": lambda table: np.mean(np.diag(table) - table.mean(1)),
        "That is the AUC on their own forgers. How much of it is lost on the others?": lambda t: np.diag(t).mean(),
        "You subtract the worst of the others; asked is their mean.": lambda t: np.mean(np.diag(t) - t.min(1)),
        "That is the sum over detectors; asked is their mean.": lambda table: len(table) * right(table),
        "The size is right; a loss counts as positive.": lambda table: -right(table),
    }
    hint = "Where in the table do training and test meet the same forger?"
    return compared(answer, [(random.random((k, k)),) for k in (2, 5, 7)], right, slips, hint)


def _luck(answer) -> str | None:
    def below(sd, bar):
        return NormalDist(0.5, sd).cdf(bar)

    slips = {
        "That is the probability that none of them reaches the bar.": lambda k, sd, bar: below(sd, bar) ** k,
        "That is the probability that all of them reach the bar; one is enough.": lambda k, sd, bar: (
            (1 - below(sd, bar)) ** k
        ),
    }
    hint = "Wrong for {0} tries. With which probability does a single one stay under the bar, and all of them?"
    cases = ((1, 0.04, 0.5), (10, 0.04, 0.58), (200, 0.03, 0.6), (3, 0.1, 0.45))
    return compared(answer, cases, lambda k, sd, bar: 1 - below(sd, bar) ** k, slips, hint, 1e-6)


def _trust(answer) -> str | None:
    good = np.array([0.5, -1e30, 3.25], "<f4")
    ours = numbers(answer(good.tobytes(), 3))
    if np.array_equal(ours, good.view(">f4"), equal_nan=True):
        return "The numbers come out changed: in which order do the four bytes of each stand?"
    if not np.array_equal(ours, good):
        return "Three finite numbers of four bytes each should be counted, as they are."
    bad = {
        "too few bytes": good.tobytes()[:-1],
        "too many bytes": good.tobytes() + b"\0",
        "none at all": b"",
        "NaN, which is no number": np.array([1, np.nan, 2], "<f4").tobytes(),
        "an infinite number": np.array([1, np.inf, 2], "<f4").tobytes(),
    }
    for what, raw in bad.items():
        if np.size(answer(raw, 3)):
            return f"You count {what}. What would it do to a mean, or to a ranking?"
    return None


def _told_apart(answer) -> str | None:
    random, cases = np.random.default_rng(116), []
    for shape in ((4, 6), (3, 3), (6, 8)):
        error, sides = random.uniform(0.01, 0.04, shape), random.choice([-1, 1], shape)
        far = random.permutation(np.linspace(1.5, 4, error.size)).reshape(shape)
        cases.append((np.where(random.random(shape) < 0.4, np.nan, 0.5 + sides * far * error), error))

    def right(auc, error, level=0.025, cells=0):
        return np.abs(auc - 0.5) > error * NormalDist().inv_cdf(1 - level / (cells or np.isfinite(auc).sum()))

    slips = {
        "Of a hundred such cells five would pass by chance: the 5 % are for the whole grid.": {"cells": 1},
        "A cell without meaning is no test: do not count it.": lambda auc, error: right(auc, error, cells=auc.size),
        "A cell can lie above one half or below it: half of the level for each side.": {"level": 0.05},
        "That is above one half only; a cell below it differs as well.": lambda auc, error: (
            right(auc, error) & (auc > 0.5)
        ),
    }
    hint = "How many standard errors from one half, and how many must it be with so many cells?"
    return compared(answer, cases, right, slips, hint)


EXERCISES = numbered(11, _game, _response, _gap, _luck, _trust, _told_apart)
