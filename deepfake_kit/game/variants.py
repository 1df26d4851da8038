r"""Beyond the paper: a price game with a budget, with private costs, and with nodes that lie.

All problems here come down to the same trade, :math:`\max_q \log_2(1+q) - 2 q^2 \kappa`, with another
*effective cost* :math:`\kappa` in the place of :math:`C`:

=========================================  ==============================================
the paper's game, a price for quality      :math:`\kappa = C`
a planner who maximises the sum            :math:`\kappa = C/2`
a provider with a budget                   :math:`\kappa = (1+\lambda)\,C`
a menu of contracts, costs private         :math:`\kappa = \tfrac12\big(C + F(C)/f(C)\big)`
=========================================  ==============================================

so :func:`deepfake_kit.game.stackelberg.equilibrium` solves all four. Arrays are float64 numpy arrays.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from deepfake_kit.game.stackelberg import best_response, dsp_utility, equilibrium, leader_utility, node_utility
from deepfake_kit.valid import invalid, require, within


class BudgetOutcome(NamedTuple):
    """What a provider with a budget buys: one entry a node, then the totals."""

    price: np.ndarray
    quality: np.ndarray
    joined: np.ndarray
    multiplier: float
    spent: float
    gap: float


class Menu(NamedTuple):
    """A menu of contracts, one (quality, payment) a type; `virtual_cost` is what the provider counts."""

    quality: np.ndarray
    payment: np.ndarray
    virtual_cost: np.ndarray


def _buy(cost: np.ndarray, multiplier: float, outside: float):
    """Price, quality and participation when money is worth 1 + multiplier."""
    quality = equilibrium(cost * (1 + multiplier))[1]
    if outside:
        quality = np.minimum(np.maximum(quality, np.sqrt(outside / cost)), 1.0)
    # A node stays if q p - q^2 C >= outside. At p = 2 C q that is q >= sqrt(outside / C); beyond q = 1
    # only a higher price helps.
    price = np.where(outside > cost, cost + outside, 2 * cost * quality)
    # Prices end at 1: a node so costly that its outside option asks for more is left out.
    joined = (np.log2(1 + quality) > (1 + multiplier) * price * quality) & (price <= 1)
    return np.where(joined, price, 0.0), np.where(joined, quality, 0.0), joined


def budget_equilibrium(cost, budget: float, outside: float = 0.0) -> BudgetOutcome:
    r"""The leader's optimum over N nodes when the payments may not exceed a budget.

    .. math:: \max_{p}\ \sum_i \log_2(1 + q_i) - q_i p_i \quad\text{s.t.}\quad \sum_i q_i p_i \le B,
              \qquad q_i = \min(1, p_i / 2C_i)

    The KKT conditions make each node's problem the unconstrained one at the cost :math:`(1+\lambda) C_i`, and
    the spending falls with :math:`\lambda`: bisection finds the multiplier, the "water level" of the budget.
    With an `outside` option a node joins only if its utility reaches it at a price in [0, 1]. Joining is a yes or
    no: the result is feasible, and `gap` bounds how far it can be from the optimum. Own derivation on DD-TMA,
    Eqs. (8)-(9); the paper has neither a budget nor a decision to take part.

    Parameters
    ----------
    cost : array [n_nodes]
        Costs, each > 0.
    budget : float
        Largest sum of payments, > 0.
    outside : float
        Utility that every node can have elsewhere, >= 0.

    Returns
    -------
    BudgetOutcome
        price, quality and joined [n_nodes]; multiplier (0 if the budget does not bind); spent; gap >= 0.

    Raises
    ------
    ValueError
        If an argument lies outside its range.

    Examples
    --------
    >>> outcome = budget_equilibrium(np.array([0.1, 0.2]), budget=0.3)
    >>> round(outcome.spent, 12)
    0.3
    """
    cost = np.atleast_1d(np.asarray(cost, dtype=np.float64))
    budget, outside = within("budget", float(budget), "(0, inf)"), within("outside", float(outside), "[0, inf)")

    def spending(multiplier: float) -> float:
        price, quality, _ = _buy(cost, multiplier, outside)
        return float(price @ quality)

    low, high = 0.0, 0.0
    if spending(0.0) > budget:
        high = 1.0
        while spending(high) > budget:
            low, high = high, 2 * high
        while high - low > 2e-16 * (1 + high):
            middle = (low + high) / 2
            if middle in (low, high):
                break
            if spending(middle) > budget:
                low = middle
            else:
                high = middle
    price, quality, joined = _buy(cost, high, outside)
    spent = float(price @ quality)
    return BudgetOutcome(price, quality, joined, high, spent, high * max(budget - spent, 0.0))


def posted_price(cost, probability=None) -> float:
    r"""The best single price when the provider knows only how costs are distributed.

    .. math:: \max_p\ \mathbb{E}_C\big[\log_2(1 + q^*(p; C)) - q^*(p; C)\,p\big]

    For one node the objective rises up to its own equilibrium price and falls after it, so the optimum lies
    between the smallest and the largest of these. The mean may have several peaks (the kink at p = 2C bends
    upwards for C > 1/(4 ln 2)), so a grid is searched and refined around its best point. Own derivation.

    Parameters
    ----------
    cost : array [n]
        Possible costs or draws from their distribution, each > 0.
    probability : array [n], optional
        Weight of each cost, >= 0, with a positive sum; equal weights if not given.

    Returns
    -------
    float
        Price for a unit of quality, in [0, 1].

    Raises
    ------
    ValueError
        If a cost or weight lies outside its range, or their shapes differ.

    Examples
    --------
    >>> round(posted_price(np.array([0.1])), 6)
    0.2
    """
    cost = np.atleast_1d(np.asarray(cost, dtype=np.float64))
    weight = _weights(probability, cost.shape)
    own = equilibrium(cost)[0]
    low, high = float(own.min()), float(own.max())
    best = low
    for _ in range(7):
        prices = np.linspace(low, high, 65)
        worth = [float(leader_utility(price, cost) @ weight) for price in prices]
        top = int(np.argmax(worth))
        best, low, high = float(prices[top]), float(prices[max(top - 1, 0)]), float(prices[min(top + 1, 64)])
    return best


def _weights(probability, shape) -> np.ndarray:
    if probability is None:
        return np.full(shape, 1 / math.prod(shape))
    weight = np.atleast_1d(np.asarray(probability, dtype=np.float64))
    require(weight.shape == shape, "probability", weight, f"the shape of cost, {shape}")
    if not (np.isfinite(weight).all() and (weight >= 0).all() and weight.sum() > 0):
        raise invalid("probability", weight, "finite weights >= 0 with a positive sum")
    return weight / weight.sum()


def contract_menu(cost, probability=None) -> Menu:
    r"""The provider's best menu of contracts when each node's cost is private.

    Every node picks one (quality, payment) pair. No node gains by picking another type's pair, and none loses
    by taking part. For the sorted costs :math:`C_1 < \dots < C_K` with weights :math:`f_k` and
    :math:`F_k = \sum_{j \le k} f_j`, each type keeps the rent :math:`\sum_{j>k} q_j^2 (C_j - C_{j-1})`, and

    .. math:: \varphi_k = C_k + (C_k - C_{k-1})\,\frac{F_{k-1}}{f_k}, \qquad
              q_k = \arg\max_q\ \log_2(1 + q) - q^2 \varphi_k

    where :math:`\varphi` is made non-decreasing by pooling first if need be. Standard screening (Baron and
    Myerson, 1982) applied to DD-TMA, Eqs. (8)-(9).

    Parameters
    ----------
    cost : array [n_types]
        Strictly increasing costs, each > 0.
    probability : array [n_types], optional
        Weight of each type, > 0; equal weights if not given.

    Returns
    -------
    Menu
        quality, payment (for the whole contract, not a unit) and virtual_cost, each [n_types].

    Raises
    ------
    ValueError
        If a cost is not a finite number > 0, the costs do not increase, or a weight is not > 0.

    Examples
    --------
    >>> menu = contract_menu(np.array([0.05, 0.10]))
    >>> menu.quality.tolist(), menu.payment.round(3).tolist()
    ([1.0, 1.0], [0.1, 0.1])
    """
    cost = np.atleast_1d(np.asarray(cost, dtype=np.float64))
    weight = _weights(probability, cost.shape)
    node_utility(0.0, 0.0, cost)  # refuses a cost that is not > 0, and names the one that was given
    steps = np.diff(cost, prepend=cost[0])
    require(cost.size <= 1 or (steps[1:] > 0).all(), "cost", cost, "strictly increasing")
    require((weight > 0).all(), "probability", probability, "> 0 for every type of a menu")
    from sklearn.isotonic import isotonic_regression

    below = np.cumsum(weight) - weight
    virtual = isotonic_regression(cost + steps * below / weight, sample_weight=weight)
    quality = equilibrium(virtual / 2)[1]
    # Rent of type k: what the next type's contract would leave it, summed from the top type down.
    increments = quality**2 * steps
    rent = increments[::-1].cumsum()[::-1] - increments
    return Menu(quality, quality**2 * cost + rent, virtual)


def take_contract(menu: Menu, cost) -> tuple[np.ndarray, np.ndarray]:
    r"""The contract that each node picks from a menu: the one that pays it best, or none.

    .. math:: k^*(C) = \arg\max_k\ t_k - q_k^2 C

    Parameters
    ----------
    menu : Menu
        Contracts (quality, payment).
    cost : array
        True costs, > 0, any shape.

    Returns
    -------
    quality, payment : ndarray of the shape of `cost`
        Both zero where every contract would cost the node more than it pays. A menu makes each type indifferent to
        the next contract: of those that pay it the same, but for rounding, it takes the one of higher quality.

    Raises
    ------
    ValueError
        If a cost is not a finite number > 0.

    Examples
    --------
    >>> quality, payment = take_contract(contract_menu([0.05, 0.10]), np.array([0.08, 0.2]))
    >>> quality.tolist(), payment.tolist()
    ([1.0, 0.0], [0.1, 0.0])
    """
    cost = np.asarray(cost, dtype=np.float64)
    quality, payment = np.zeros(cost.shape), np.zeros(cost.shape)
    best = node_utility(0.0, 0.0, cost)
    # One contract at a time: a nodes-by-contracts table would not fit for millions of nodes.
    for offered, paid in sorted(zip(menu.quality, menu.payment, strict=True)):
        utility = paid - offered**2 * cost
        better = utility >= best - 1e-12 * (1 + paid)
        quality, payment = np.where(better, offered, quality), np.where(better, paid, payment)
        best = np.maximum(utility, best)
    return quality, payment


def reported_outcome(cost, reported, printed: bool = False, bound: bool = True):
    r"""Both sides' utilities when a node of cost :math:`C` reports :math:`\hat C` to the paper's price rule.

    The rule, DD-TMA Eq. (24), makes :math:`(p, q)` of :math:`\hat C`. A `bound` node must deliver that
    quality; one that is not takes the price and answers it with its own best response.

    Parameters
    ----------
    cost, reported : float or array
        True and declared cost, > 0; they broadcast.
    printed : bool
        Use Eq. (24) as the paper prints it.
    bound : bool
        Whether the node must deliver the quality that its report implies.

    Returns
    -------
    node, provider : float or array
        Utilities at the true cost.

    Raises
    ------
    ValueError
        If a true or declared cost is not a finite number > 0.

    Examples
    --------
    >>> node, provider = reported_outcome(cost=0.0105, reported=0.125)
    >>> round(node / 0.0105, 1)
    22.8
    """
    try:
        price, quality = equilibrium(reported, printed=printed)
    except ValueError as refusal:  # `equilibrium` calls it a cost
        raise ValueError(str(refusal).replace("cost", "reported", 1)) from None
    if not bound:
        quality = best_response(price, cost)
    return node_utility(quality, price, cost), dsp_utility(quality, price)
