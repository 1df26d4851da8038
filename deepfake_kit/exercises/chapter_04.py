"""Graders of chapter 4, the Stackelberg game. Each returns None for a right answer and a hint otherwise."""

from __future__ import annotations

import math

import numpy as np

from deepfake_kit.exercises import compared, number, numbered
from deepfake_kit.game.stackelberg import equilibrium, leader_utility, node_utility
from deepfake_kit.game.variants import reported_outcome


def best_quality(answer) -> str | None:
    """4.1: the quality that maximises a node's utility at a posted price."""
    qualities = np.linspace(0, 1, 2001)
    for price, cost in ((0.2, 0.4), (0.7, 0.4), (0.8, 0.4), (1.0, 0.4), (1.0, 0.7), (0.0, 0.1), (0.03, 0.0105)):
        found = number(answer(price, cost))
        if not 0 <= found <= 1:
            return f"at price {price} and cost {cost} you return {found:.3g}, but quality lives in [0, 1]."
        best = (qualities * price - qualities**2 * cost).max()
        if not found * price - found**2 * cost >= best - 1e-9:
            return (
                f"at price {price} and cost {cost} another quality earns the node more. "
                "Where does the derivative of its utility vanish?"
            )
    return None


def threshold_base_ten(answer, base: int = 10) -> str | None:
    """4.2: the cost at which full quality stops when satisfaction is a logarithm of another base."""
    value = number(answer)
    if math.isclose(value, 1 / (8 * math.log(base)), rel_tol=1e-3):
        return None
    if math.isclose(value, 1 / (8 * math.log(2)), rel_tol=1e-2):
        return "that is the threshold for base 2. Which factor does the base put in front of the derivative?"
    if math.isclose(value, 1 / 8, rel_tol=1e-2):
        return "that is the threshold for the natural logarithm: differentiate the one of this base."
    if math.isclose(value, math.log(base) / 8, rel_tol=1e-2):
        return f"a factor is upside down. Does the base-{base} logarithm rise faster than the natural one, or slower?"
    return "find the cost at which the slope of the leader's utility, just below the kink, is zero."


def price_under_floor(answer) -> str | None:
    """4.3: the leader's best price when a law sets a lowest price."""
    for cost in (0.05, 0.15, 0.3, 1.0):
        for floor in (0.0, 0.2, 0.35, 0.6, 0.9):
            found = number(answer(cost, floor))
            if not found >= floor - 1e-12:
                return f"at cost {cost} and floor {floor} your price {found:.3g} breaks the law."
            if not found <= 1:
                return f"at cost {cost} and floor {floor} your price is {found:.3g}, but prices live in [0, 1]."
            prices = np.union1d(np.linspace(floor, 1, 20001), max(floor, equilibrium(cost)[0]))
            best = float(leader_utility(prices, cost).max())
            if not float(leader_utility(found, cost)) >= best - 1e-7:
                if math.isclose(found, max(floor, equilibrium(cost, printed=True)[0])):
                    return (
                        "without a floor yours is the printed rule's price. To which one does the chapter correct it?"
                    )
                if math.isclose(found, max(floor, 2 * cost)):
                    return "without a floor, is 2C always the best? Compare with `equilibrium` beyond the threshold."
                return (
                    f"at cost {cost} and floor {floor} the leader can do better than {found:.3g}. "
                    "On which side of its optimum does its utility rise?"
                )
    return None


def price_that_keeps(answer) -> str | None:
    """4.4: the lowest price at which a node earns at least what it would elsewhere."""
    for cost, outside in ((0.2, 0.05), (0.2, 0.2), (0.2, 0.5), (1.0, 0.2), (0.0105, 0.02), (0.4, 0.0)):
        found = number(answer(cost, outside))
        if not 0 <= found < math.inf:
            return f"at cost {cost} and outside option {outside} your price is {found:.3g}, not finite or negative."

        def earned(price, cost=cost):
            quality = min(1.0, price / (2 * cost))
            return quality * price - quality**2 * cost

        if not earned(found) >= outside - 1e-9:
            return f"at cost {cost} the node earns less than {outside} and leaves. What is its best quality in [0, 1]?"
        if outside and not earned(found * (1 - 1e-3)) < outside:
            return (
                f"at cost {cost} and outside option {outside} a lower price would keep the node too. "
                "Look at both sides of the kink."
            )
        if not outside and not found <= 1e-9:
            return "a node with nothing better to do needs no payment to stay."
    return None


def best_report(answer) -> str | None:
    """4.5: the report that pays a node best under the price rule, if it must deliver what it implies."""
    reports = np.geomspace(1e-3, 50, 40001)
    for cost in (0.0105, 0.1, 0.3, 1.0):
        found = number(answer(cost))
        if not (math.isfinite(found) and found > 0):
            return f"for the true cost {cost} you report {found}, and a report must be a finite number > 0."
        best = float(reported_outcome(cost, reports)[0].max())
        earned = float(reported_outcome(cost, found)[0])
        if not earned >= best - 1e-6 * max(1.0, best):
            return (
                f"a node of cost {cost} earns {earned:.4f} with your report; another earns {best:.4f}. "
                "Try many reports."
            )
    return None


def highest_mean(answer) -> str | None:
    """4.6: the largest mean utility that nodes with costs of a range can have in the corrected game."""

    def utility(cost):
        return float(node_utility(*equilibrium(cost)[::-1], cost))

    top = 1 / (8 * math.log(2))
    slips = {
        "that is the ceiling for any cost. Does this range reach the threshold?": lambda low, high: top,
        "a node earns its cost only up to the threshold. What does it earn beyond?": lambda low, high: high,
        "the dearest node earns less than one nearer the threshold.": lambda low, high: utility(high),
    }
    hint = "utility rises with the cost up to the threshold and falls beyond. Which cost of the range is nearest to it?"
    cases = ((0.0032, 0.024), (0.1, 0.3), (0.3, 1.0), (0.01, 0.15), (0.2, 0.21))
    return compared(answer, cases, lambda low, high: utility(min(max(top, low), high)), slips, hint, 1e-4)


def price_for_worth(answer) -> str | None:
    """4.7: the provider's best price with a measured worth of quality."""
    quality = np.linspace(0, 1, 5)
    curves = (np.array([0, 0.6, 0.82, 0.95, 1]), np.log2(1 + quality), quality**2)
    cases = [(quality, worth, cost) for worth in curves for cost in (0.4, 0.17, 0.05)]

    def best(quality, worth, cost, pay=2, price=True):
        return (2 * cost if price else 1) * quality[np.argmax(worth - pay * cost * quality**2)]

    slips = {
        "the most worth is not the best bargain: subtract what is paid.": {"pay": 0},
        "q squared times C is the node's cost; the provider pays q times the price.": {"pay": 1},
        "that is the quality to buy; asked is the price that buys it.": {"price": False},
        "that is what is left after paying; asked is the price at which that much is left.": lambda q, worth, cost: (
            np.max(worth - 2 * cost * q**2)
        ),
    }
    hint = "which price makes a node deliver each quality, and what is left of its worth after paying?"
    return compared(answer, cases, best, slips, hint)


EXERCISES = numbered(
    4, best_quality, threshold_base_ten, price_under_floor, price_that_keeps, best_report, highest_mean, price_for_worth
)
