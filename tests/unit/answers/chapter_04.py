"""Chapter 4: right answers to its exercises, each in two ways, and wrong ones that deserve a hint."""

import math

import numpy as np
import sympy as sp
from scipy.optimize import brentq, minimize_scalar

from deepfake_kit.game.stackelberg import best_response, equilibrium, leader_utility, node_utility
from deepfake_kit.game.variants import reported_outcome

LN2 = math.log(2)


def keep_by_root_finding(cost, outside):
    def short(price):
        return float(node_utility(best_response(price, cost), price, cost)) - outside

    return 0.0 if outside == 0 else brentq(short, 0, 1, xtol=1e-14)


def report_by_scipy(cost):
    starts = np.geomspace(1e-2, 10, 300)
    near = starts[np.argmax(reported_outcome(cost, starts)[0])]
    found = minimize_scalar(
        lambda r: -reported_outcome(cost, r)[0],
        bounds=(near / 1.1, near * 1.1),
        method="bounded",
        options={"xatol": 1e-10},
    )
    return found.x


def report_by_grid(cost):
    grid = np.geomspace(0.01, 20, 200_001)
    return grid[np.argmax(reported_outcome(cost, grid)[0])]


def floor_by_search(cost, floor):
    prices = np.linspace(floor, 1, 400_001)
    return prices[np.argmax(leader_utility(prices, cost))]


def earned(cost):
    price, quality = equilibrium(cost)
    return float(node_utility(quality, price, cost))


def highest_by_grid(low, high):
    return max(earned(cost) for cost in np.linspace(low, high, 20_001))


def highest_by_cases(low, high):
    """Utility is C up to the threshold, then C q^2 with q = a / 2 / (C + sqrt(C (C + a))), a = 1 / ln 2."""
    if high <= 1 / (8 * LN2):
        return high
    return 1 / (8 * LN2) if low <= 1 / (8 * LN2) else low * (0.5 / LN2 / (low + math.sqrt(low * (low + 1 / LN2)))) ** 2


RIGHT = {
    "4.1": [lambda p, c: min(1, p / (2 * c)), lambda p, c: 1.0 if p >= 2 * c else p / (2 * c), best_response],
    "4.2": [1 / (8 * math.log(10)), 0.0543, sp.Rational(1, 8) / sp.log(10)],
    "4.3": [
        lambda c, f: float(np.clip(equilibrium(c)[0], f, 1)),
        lambda c, f: max(f, equilibrium(c)[0]),
        floor_by_search,
    ],
    "4.4": [lambda c, r: 2 * math.sqrt(r * c) if r <= c else c + r, keep_by_root_finding],
    "4.5": [report_by_grid, report_by_scipy],
    "4.6": [highest_by_grid, highest_by_cases],
    "4.7": [
        lambda q, w, c: 2 * c * q[np.argmax(w - 2 * c * q**2)],
        lambda q, w, c: max((v - 2 * c * x * x, 2 * c * x) for x, v in zip(q, w))[1],
    ],
}

WRONG = {
    "4.1": [
        lambda p, c: p / (2 * c),
        lambda p, c: min(1, p / c),
        lambda p, c: 1.0,
        lambda p, c: 0.0,
        lambda p, c: min(1, p / (4 * c)),
        lambda p, c: 1 - min(1, p / (2 * c)),
    ],
    "4.2": [1 / 8, 1 / (8 * LN2), 1 / math.log(10), math.log(10) / 8, 1 / (4 * math.log(10)), 0.0],
    "4.3": [
        lambda c, f: f,
        lambda c, f: equilibrium(c)[0],
        lambda c, f: min(f, equilibrium(c)[0]),
        lambda c, f: max(f, equilibrium(c, printed=True)[0]),
        lambda c, f: max(f, 2 * c),
        lambda c, f: 1.5,
    ],
    "4.4": [
        lambda c, r: 2 * math.sqrt(r * c),
        lambda c, r: c + r,
        lambda c, r: math.sqrt(r * c),
        lambda c, r: 2 * c,
        lambda c, r: 0.0,
        lambda c, r: 2 * math.sqrt(r * c) if r <= c else 2 * c,
    ],
    "4.5": [lambda c: c, lambda c: 1 / 8, lambda c: math.inf, lambda c: 10.0, lambda c: 2 * c, lambda c: -1.0],
    "4.6": [
        lambda low, high: high,
        lambda low, high: 1 / (8 * LN2),
        lambda low, high: low,
        lambda low, high: earned(high),
        lambda low, high: (earned(low) + earned(high)) / 2,
    ],
    "4.7": [
        lambda q, w, c: 2 * c * q[w.argmax()],
        lambda q, w, c: 2 * c * q[np.argmax(w - c * q**2)],
        lambda q, w, c: q[np.argmax(w - 2 * c * q**2)],
        lambda q, w, c: 2 * c,
        lambda q, w, c: np.max(w - 2 * c * q**2),
    ],
}
