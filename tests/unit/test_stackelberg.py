"""The price game against brute force, sympy, scipy, torch's autograd and exhaustive search."""

import itertools
import math

import numpy as np
import pytest
import sympy as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize, minimize_scalar

from deepfake_kit.game import variants
from deepfake_kit.game.stackelberg import (
    THRESHOLD,
    best_response,
    draw_costs,
    dsp_utility,
    equilibrium,
    leader_utility,
    node_utility,
)

COSTS = st.floats(1e-6, 1e6)
PRICES = st.floats(0.0, 10.0)
QUALITIES = st.floats(0.0, 1.0)
untimed = settings(deadline=None)  # a busy machine is no failure


def plain_leader(price, cost):
    """The leader's utility written from Eqs. (8) and (10) alone, with the node's maximum found on paper."""
    quality = np.minimum(1.0, price / (2 * cost))
    return np.log2(1 + quality) - quality * price


def golden(function, low, high, rounds=100):
    """Maximum of a unimodal function, elementwise."""
    ratio = (math.sqrt(5) - 1) / 2
    for _ in range(rounds):
        left, right = high - ratio * (high - low), low + ratio * (high - low)
        better = function(left) > function(right)
        low, high = np.where(better, low, left), np.where(better, right, high)
    return (low + high) / 2


# -- the paper's game -----------------------------------------------------------------------


def test_node_answer_against_brute_force_over_quality():
    grid = np.linspace(0, 1, 20_001)
    generator = np.random.default_rng(0)
    for cost, price in zip(10 ** generator.uniform(-2.5, 1, 200), generator.uniform(0, 1, 200), strict=True):
        utility = grid * price - grid**2 * cost
        best = best_response(price, cost)
        assert abs(best - grid[utility.argmax()]) <= 5.1e-5
        assert node_utility(best, price, cost) >= utility.max() - 1e-12


@pytest.mark.parametrize("printed", [False, True])
def test_equilibrium_against_brute_force_on_1000_costs(printed):
    cost = 10 ** np.random.default_rng(1).uniform(-2.5, 1.5, 1000)

    def objective(price):
        quality = np.minimum(1.0, price / (2 * cost))
        log = np.log if printed else np.log2
        return log(1 + quality) - quality * price

    # A grid over [0, 2C] finds the neighbourhood, golden-section search narrows it.
    grid = np.linspace(0, 1, 2001)[:, None] * 2 * cost
    top = objective(grid).argmax(axis=0)
    columns = np.arange(cost.size)
    found = golden(objective, grid[np.maximum(top - 1, 0), columns], grid[np.minimum(top + 1, 2000), columns])
    price, quality = equilibrium(cost, printed=printed)
    assert np.abs(price - found).max() < 1e-6
    assert np.abs(quality - np.minimum(1, found / (2 * cost))).max() < 1e-6


def test_equilibrium_is_the_closed_form_that_sympy_derives():
    p, C = sp.symbols("p C", positive=True)
    objective = sp.log(1 + p / (2 * C), 2) - p**2 / (2 * C)
    (root,) = sp.solve(sp.diff(objective, p), p)
    interior = sp.lambdify(C, root, "numpy")
    (threshold,) = sp.solve(sp.Eq(root, 2 * C), C)
    assert float(threshold) == pytest.approx(THRESHOLD, rel=1e-15)
    cost = np.geomspace(1e-4, 1e3, 501)
    price, quality = equilibrium(cost)
    assert np.allclose(price, np.where(cost > THRESHOLD, interior(cost), 2 * cost), rtol=1e-12)
    assert np.allclose(quality, np.minimum(1, price / (2 * cost)), rtol=1e-15)


def test_printed_formula_is_the_papers():
    cost = np.geomspace(1e-4, 1e3, 501)
    price, quality = equilibrium(cost, printed=True)
    assert np.allclose(price, np.where(cost > 1 / 8, np.sqrt(cost * (1 + cost)) - cost, 2 * cost), rtol=1e-11)
    assert np.allclose(quality, np.minimum(1, price / (2 * cost)), rtol=1e-14)


def test_no_digits_are_lost_at_large_cost():
    cost = sp.Integer(10) ** 9
    exact = float((sp.sqrt(cost**2 + cost / sp.log(2)) - cost).evalf(40))
    assert equilibrium(1e9)[0] == pytest.approx(exact, rel=1e-14)


def test_numpy_torch_and_float_agree():
    cost = 10 ** np.random.default_rng(2).uniform(-3, 2, (37, 5))
    tensor = torch.from_numpy(cost)
    for printed in (False, True):
        ours, theirs = equilibrium(cost, printed), equilibrium(tensor, printed)
        for a, b in zip(ours, theirs, strict=True):
            assert b.dtype == torch.float64 and a.shape == cost.shape
            assert np.allclose(a, b.numpy(), rtol=1e-14)
        one = equilibrium(float(cost[3, 2]), printed)
        assert [type(x) for x in one] == [float, float]
        assert one == pytest.approx([ours[0][3, 2], ours[1][3, 2]], rel=1e-15)
    price, quality = equilibrium(cost)
    for function, arguments in (
        (node_utility, (quality, price, cost)),
        (dsp_utility, (quality, price)),
        (best_response, (price, cost)),
        (leader_utility, (price, cost)),
    ):
        numpy_value = function(*arguments)
        torch_value = function(*(torch.from_numpy(x) for x in arguments))
        assert np.allclose(numpy_value, torch_value.numpy(), rtol=1e-13, atol=1e-14)
        assert isinstance(function(*(float(x[0, 0]) for x in arguments)), float)


def test_kinds_and_shapes_survive():
    single = equilibrium(np.float32([0.1, 0.5]))
    assert all(x.dtype == np.float32 for x in single)
    half = torch.tensor([0.1, 0.5], dtype=torch.float32)
    assert all(x.dtype == torch.float32 for x in equilibrium(half))
    assert best_response(0.2, half).dtype == torch.float32
    assert equilibrium(np.empty((0, 3)))[0].shape == (0, 3)
    assert equilibrium([0.1, 0.15])[0].tolist() == [0.2, 0.3]
    assert equilibrium(2)[1] == equilibrium(2.0)[1]
    strided = np.random.default_rng(3).uniform(0.01, 1, (50_000, 3))[:, 1]
    assert np.array_equal(equilibrium(strided)[0], equilibrium(strided.copy())[0])


def test_chunks_join_without_a_seam():
    cost = np.random.default_rng(4).uniform(0.001, 2, 40_001)
    whole = equilibrium(cost)
    pieces = [equilibrium(float(c)) for c in cost[16_380:16_390]]
    assert np.array_equal(np.array(pieces).T, np.array([x[16_380:16_390] for x in whole]))


def test_gradients_by_finite_differences():
    generator = np.random.default_rng(5)
    quality, price, cost = (generator.uniform(0.1, 0.9, 50) for _ in range(3))
    leaves = [torch.tensor(x, requires_grad=True) for x in (quality, price, cost)]
    node_utility(*leaves).sum().backward()
    step = 1e-6
    for k, leaf in enumerate(leaves):
        up, down = [quality, price, cost], [quality, price, cost]
        up[k], down[k] = up[k] + step, down[k] - step
        difference = (node_utility(*up) - node_utility(*down)) / (2 * step)
        assert np.allclose(leaf.grad.numpy(), difference, atol=1e-8)
    # Eq. (11): the derivative is with respect to the quality, p - 2 C q.
    assert np.allclose(leaves[0].grad.numpy(), price - 2 * cost * quality)
    for name in (0, 1):
        pair = [torch.tensor(x, requires_grad=True) for x in (quality, price)]
        dsp_utility(*pair).sum().backward()
        up, down = [quality, price], [quality, price]
        up[name], down[name] = up[name] + step, down[name] - step
        difference = (dsp_utility(*up) - dsp_utility(*down)) / (2 * step)
        assert np.allclose(pair[name].grad.numpy(), difference, atol=1e-8)


@pytest.mark.parametrize("function", [best_response, leader_utility])
def test_gradients_of_the_answer_and_of_the_leader_by_finite_differences_on_both_sides_of_the_kink(function):
    generator = np.random.default_rng(10)
    cost = generator.uniform(0.05, 0.45, 60)
    share = np.where(np.arange(60) % 2, generator.uniform(0.1, 0.95, 60), generator.uniform(1.05, 1.1, 60))
    price, step = 2 * cost * share, 1e-6
    leaves = [torch.tensor(x, requires_grad=True) for x in (price, cost)]
    function(*leaves).sum().backward()
    for k, leaf in enumerate(leaves):
        up, down = [price, cost], [price, cost]
        up[k], down[k] = up[k] + step, down[k] - step
        difference = (function(*up) - function(*down)) / (2 * step)
        assert np.allclose(leaf.grad.numpy(), difference, atol=2e-7)
        assert np.abs(difference[1::2]).min() > 1e-3  # the branch below full quality does depend on both


def test_equilibrium_is_differentiable_in_torch():
    cost = torch.tensor([0.05, 0.3, 1.0], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda c: equilibrium(c), (cost,))


def test_threshold_sits_at_the_kink():
    assert equilibrium(THRESHOLD)[1] == pytest.approx(1.0, abs=1e-15)
    assert equilibrium(THRESHOLD * 1.001)[1] < 1.0
    assert equilibrium(0.125, printed=True)[1] == pytest.approx(1.0, abs=1e-15)
    assert equilibrium(0.1251, printed=True)[1] < 1.0 == equilibrium(0.1251)[1]


@untimed
@given(COSTS, PRICES, QUALITIES)
def test_nobody_gains_by_leaving_the_equilibrium(cost, other_price, other_quality):
    price, quality = equilibrium(cost)
    assert dsp_utility(quality, price) >= plain_leader(other_price, cost) - 1e-12
    assert node_utility(quality, price, cost) >= node_utility(other_quality, price, cost) - 1e-12 * (1 + cost)


@untimed
@given(COSTS, COSTS)
def test_dearer_nodes_deliver_less_at_a_higher_price(one, two):
    cheap, dear = sorted((one, two))
    (p1, q1), (p2, q2) = equilibrium(cheap), equilibrium(dear)
    assert p2 >= p1 * (1 - 1e-12) and q2 <= q1 * (1 + 1e-12)
    assert 0 < q2 <= 1 and p2 <= 0.5 / math.log(2)


@untimed
@given(COSTS)
def test_node_gets_c_times_quality_squared_and_never_more_than_the_threshold(cost):
    price, quality = equilibrium(cost)
    utility = node_utility(quality, price, cost)
    assert utility == pytest.approx(cost * quality**2, rel=1e-9)
    assert 0 < utility <= THRESHOLD * (1 + 1e-12)
    assert dsp_utility(quality, price) > 0


@untimed
@given(COSTS)
def test_printed_price_never_serves_the_leader_better(cost):
    honest, printed = equilibrium(cost), equilibrium(cost, printed=True)
    assert dsp_utility(honest[1], honest[0]) >= dsp_utility(printed[1], printed[0]) - 1e-12
    assert node_utility(honest[1], honest[0], cost) >= node_utility(printed[1], printed[0], cost) - 1e-12


BAD = {
    "cost": [0.0, -1.0, math.nan, math.inf, -math.inf],
    "price": [-0.1, -1e-12, 1 + 1e-6, 2.0, math.nan, math.inf, -math.inf],
    "quality": [-0.01, 1.01, math.nan, math.inf],
}
VALID = {"cost": 0.3, "price": 0.4, "quality": 0.5}
WORDS = {"cost": "> 0", "price": r"in \[0, 1\]", "quality": r"in \[0, 1\]"}
CALLS = [
    (node_utility, ("quality", "price", "cost")),
    (dsp_utility, ("quality", "price")),
    (best_response, ("price", "cost")),
    (leader_utility, ("price", "cost")),
    (equilibrium, ("cost",)),
]


@pytest.mark.parametrize(
    "kind", [float, lambda x: np.array([0.5, x]), lambda x: torch.tensor([0.5, x])], ids=["float", "numpy", "torch"]
)
@pytest.mark.parametrize("function, names", CALLS, ids=[f.__name__ for f, _ in CALLS])
def test_bad_input_is_refused_by_name_and_range(function, names, kind):
    for name in names:
        for value in BAD[name]:
            arguments = {**{n: VALID[n] for n in names}, name: kind(value)}
            with pytest.raises(ValueError, match=rf"^{name}: got .*; valid: .*{WORDS[name]}"):
                function(**arguments)


def test_refusal_names_the_value_and_its_place():
    cost = np.full(50_000, 0.1)
    cost[40_000] = -3.0
    with pytest.raises(ValueError, match=r"got -3\.0 at position 40000"):
        equilibrium(cost)
    with pytest.raises(ValueError, match="got nan;"):
        equilibrium(math.nan)


def test_the_ends_of_price_and_quality_are_fine():
    assert best_response(0.0, 1.0) == 0.0 and best_response(1.0, 1.0) == 0.5 and best_response(1.0, 0.5) == 1.0
    assert node_utility(0.0, 0.0, 1.0) == dsp_utility(0.0, 0.0) == dsp_utility(1.0, 1.0) == 0.0
    assert node_utility(1.0, 1.0, 0.25) == 0.75 and leader_utility(1.0, 0.5) == 0.0
    ends = torch.tensor([0.0, 1.0])
    assert best_response(ends, 0.5).tolist() == best_response(ends.numpy(), 0.5).tolist() == [0.0, 1.0]


def test_no_cost_calls_for_a_price_outside_the_range():
    """Every price that the kit proposes can be given back to it: never above 1 / (2 ln 2) < 0.73."""
    cost = np.geomspace(1e-9, 1e12, 5001)
    for printed in (False, True):
        price, quality = equilibrium(cost, printed)
        assert 0 < price.min() and price.max() <= (0.5 if printed else 0.5 / math.log(2)) * (1 + 1e-12) < 0.73
        assert np.isfinite(node_utility(quality, price, cost)).all()
    assert 0 < variants.posted_price(cost) < 0.73
    # Where full quality would take a price above 1, no legal price buys it.
    assert best_response(1.0, 0.5 + 1e-9) < 1 == best_response(1.0, 0.5)


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.0, 0.3), st.floats(0.02, 5.0))
def test_a_market_with_an_outside_option_sets_no_price_above_one(seed, outside, budget):
    cost = 10 ** np.random.default_rng(seed).uniform(-2, 2, 12)
    ours = variants.budget_equilibrium(cost, budget, outside)
    assert 0 <= ours.price.min() and ours.price.max() <= 1
    assert (node_utility(ours.quality, ours.price, cost)[ours.joined] >= outside - 1e-9).all()


def test_a_node_whose_outside_option_asks_for_more_than_one_is_left_out():
    cost, outside = 10.0, 0.04  # it stays from p = 2 sqrt(0.4) = 1.26, which the provider would gladly pay
    quality = math.sqrt(outside / cost)
    assert math.log2(1 + quality) > 2 * cost * quality**2 and 2 * cost * quality > 1
    assert not variants.budget_equilibrium([cost], 5.0, outside).joined.any()
    assert variants.budget_equilibrium([cost], 5.0, outside / 2).joined.all()


def test_draws_follow_eq_25():
    cost = draw_costs(200_000, np.random.default_rng(6))
    assert 0.0032 <= cost.min() and cost.max() <= 0.024
    # E[C] = E[cyc] E[data] E[fre^2] = 0.45 * 1 * (0.2^3 - 0.1^3) / 0.3
    assert cost.mean() == pytest.approx(0.45 * 0.007 / 0.3, rel=5e-3)
    assert np.array_equal(cost[:5], draw_costs(200_000, np.random.default_rng(6))[:5])
    with pytest.raises(ValueError, match="n_nodes: got .*; valid: a whole number of at least 1"):
        draw_costs(0, np.random.default_rng(0))
    with pytest.raises(ValueError, match="frequency: got .*; valid: a pair with 0 < low <= high"):
        draw_costs(3, np.random.default_rng(0), frequency=(0.2, 0.1))


# -- a budget ---------------------------------------------------------------------------------


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.integers(2, 6), st.floats(0.05, 0.95))
def test_budget_against_slsqp(seed, n_nodes, share):
    cost = 10 ** np.random.default_rng(seed).uniform(-1.5, 0.5, n_nodes)
    price, quality = equilibrium(cost)
    budget = share * float(price @ quality)

    def loss(q):
        return -np.sum(np.log2(1 + q) - 2 * cost * q**2)

    found = minimize(
        loss,
        np.full(n_nodes, 0.3),
        method="SLSQP",
        bounds=[(0, 1)] * n_nodes,
        jac=lambda q: -(1 / (math.log(2) * (1 + q)) - 4 * cost * q),
        constraints={"type": "ineq", "fun": lambda q: budget - np.sum(2 * cost * q**2), "jac": lambda q: -4 * cost * q},
        options={"ftol": 1e-14, "maxiter": 500},
    )
    ours = variants.budget_equilibrium(cost, budget)
    assert ours.spent == pytest.approx(budget, rel=1e-9)
    assert np.abs(ours.quality - found.x).max() < 1e-4
    assert -loss(ours.quality) >= -found.fun - 1e-8  # SLSQP stops within a few 1e-9


def test_multiplier_is_the_worth_of_one_more_unit_of_budget():
    cost, budget, step = np.array([0.04, 0.2, 0.5, 1.5]), 0.5, 1e-5

    def worth(total):
        outcome = variants.budget_equilibrium(cost, total)
        return float(dsp_utility(outcome.quality, outcome.price).sum())

    shadow = (worth(budget + step) - worth(budget - step)) / (2 * step)
    assert variants.budget_equilibrium(cost, budget).multiplier == pytest.approx(shadow, rel=1e-5)
    assert shadow > 0


def test_budget_that_does_not_bind_changes_nothing():
    cost = np.array([0.05, 0.4, 2.0])
    ours = variants.budget_equilibrium(cost, budget=10.0)
    assert ours.multiplier == 0 and ours.gap == 0 and ours.joined.all()
    assert np.array_equal(ours.price, equilibrium(cost)[0])


@pytest.mark.parametrize("outside", [0.0, 0.02, 0.06])
@pytest.mark.parametrize("budget", [0.1, 0.4, 0.9])
def test_participation_against_every_subset(budget, outside):
    cost = np.array([0.04, 0.09, 0.2, 0.5, 0.9])
    ours = variants.budget_equilibrium(cost, budget, outside)
    achieved = float(dsp_utility(ours.quality, ours.price).sum())
    assert ours.spent <= budget * (1 + 1e-12)
    utilities = node_utility(ours.quality, ours.price, cost)
    assert (utilities[ours.joined] >= outside - 1e-12).all()
    assert (utilities[~ours.joined] == 0).all()
    best = 0.0
    for chosen in itertools.product([False, True], repeat=cost.size):
        index = np.flatnonzero(chosen)
        c = cost[index]
        floor = np.minimum(np.sqrt(outside / c), 1)

        def payment(q, c=c):
            return np.sum(np.where(outside > c, c + outside, 2 * c * q**2))

        if index.size == 0 or payment(floor) > budget:
            continue
        start = np.maximum(floor, 1e-3)
        found = minimize(
            lambda q, payment=payment: payment(q) - np.sum(np.log2(1 + q)),
            start,
            method="SLSQP",
            bounds=[(f, 1) for f in floor],
            constraints={"type": "ineq", "fun": lambda q, payment=payment: budget - payment(q)},
        )
        if found.success:
            best = max(best, -found.fun)
    assert best > 0
    # Weak duality: the exhaustive optimum lies between what we achieve and what we achieve plus the gap.
    assert achieved - 1e-6 <= max(best, achieved) <= achieved + ours.gap + 1e-6
    assert best <= achieved + ours.gap + 1e-6


def test_a_larger_budget_never_hurts_and_lets_more_nodes_join():
    cost = draw_costs(300, np.random.default_rng(7), frequency=(0.5, 1.0))
    outcomes = [variants.budget_equilibrium(cost, b, outside=0.03) for b in np.linspace(1, 60, 30)]
    joined = [o.joined.sum() for o in outcomes]
    worth = [dsp_utility(o.quality, o.price).sum() for o in outcomes]
    assert joined == sorted(joined) and joined[0] < joined[-1]
    assert np.all(np.diff(worth) >= -1e-9)


def test_an_outside_option_above_cost_is_paid_by_price():
    ours = variants.budget_equilibrium(np.array([0.05]), budget=5.0, outside=0.2)
    assert ours.joined.all() and ours.quality[0] == 1.0
    assert node_utility(1.0, ours.price[0], 0.05) == pytest.approx(0.2)
    nobody = variants.budget_equilibrium(np.array([0.05]), budget=5.0, outside=2.0)
    assert not nobody.joined.any() and nobody.spent == 0


@pytest.mark.parametrize(
    "arguments, words",
    [
        ({"budget": 0.0}, "budget: got .*; valid: a number in"),
        ({"budget": math.nan}, "budget: got .*; valid: a number in"),
        ({"budget": 1.0, "outside": -1.0}, "outside: got .*; valid: a number in"),
        ({"budget": 1.0, "cost": np.array([0.1, -2.0])}, "cost: got .*; valid: a finite number > 0"),
    ],
)
def test_budget_refuses_bad_input(arguments, words):
    with pytest.raises(ValueError, match=words):
        variants.budget_equilibrium(**{"cost": np.array([0.1]), **arguments})


# -- private costs ----------------------------------------------------------------------------


@pytest.mark.parametrize("frequency", [(0.1, 0.2), (0.5, 1.0), (1.0, 2.0)])
def test_posted_price_against_scipy(frequency):
    cost = draw_costs(500, np.random.default_rng(8), frequency=frequency)
    ours = variants.posted_price(cost)
    grid = np.linspace(0, 0.75, 3001)
    top = grid[np.argmax([plain_leader(p, cost).mean() for p in grid])]
    found = minimize_scalar(
        lambda p: -plain_leader(p, cost).mean(),
        bounds=(top - 5e-4, top + 5e-4),
        method="bounded",
        options={"xatol": 1e-10},
    )
    assert ours == pytest.approx(found.x, abs=1e-6)
    assert plain_leader(ours, cost).mean() >= -found.fun - 1e-12


@untimed
@given(COSTS)
def test_posted_price_for_a_known_cost_is_the_equilibrium(cost):
    assert variants.posted_price([cost, cost]) == pytest.approx(equilibrium(cost)[0], rel=1e-12)


def test_posted_price_weighs_its_types():
    cost = np.array([0.05, 0.5])
    counted = variants.posted_price(np.repeat(cost, [3, 1]))
    assert variants.posted_price(cost, [0.75, 0.25]) == pytest.approx(counted, abs=1e-9)
    with pytest.raises(ValueError, match="probability: got .*; valid: the shape of cost"):
        variants.posted_price(cost, [1.0])
    with pytest.raises(ValueError, match="probability: got .*; valid: finite weights >= 0"):
        variants.posted_price(cost, [1.0, -1.0])


def _menu_by_slsqp(cost, weight):
    """The screening problem with every incentive and participation constraint written out."""
    n = cost.size
    pairs = [(i, j) for i in range(n) for j in range(n) if i != j]

    def split(x):
        return x[:n], x[n:]

    def slack(x):
        q, t = split(x)
        truth = t - q**2 * cost
        return np.array([*truth, *(truth[i] - (t[j] - q[j] ** 2 * cost[i]) for i, j in pairs)])

    def loss(x):
        q, t = split(x)
        return -float(weight @ (np.log2(1 + q) - t))

    runs = [
        minimize(
            loss,
            np.r_[np.full(n, q0), np.full(n, q0**2 * cost[-1])],
            method="SLSQP",
            bounds=[(0, 1)] * n + [(0, None)] * n,
            constraints={"type": "ineq", "fun": slack},
            options={"ftol": 1e-13, "maxiter": 1000},
        )
        for q0 in (0.9, 0.5, 0.2)
    ]
    return min((r for r in runs if slack(r.x).min() > -1e-7), key=lambda r: r.fun)


@pytest.mark.parametrize(
    "cost, weight",
    [
        ([0.1, 0.3, 0.6, 1.0], [0.25, 0.25, 0.25, 0.25]),
        ([0.05, 0.4, 0.5, 2.0], [0.4, 0.05, 0.5, 0.05]),  # a rare second type must be pooled
        ([0.2, 0.25], [0.9, 0.1]),
    ],
)
def test_menu_against_the_full_programme(cost, weight):
    cost, weight = np.array(cost), np.array(weight)
    ours = variants.contract_menu(cost, weight)
    found = _menu_by_slsqp(cost, weight)
    value = float(weight @ (np.log2(1 + ours.quality) - ours.payment))
    assert value == pytest.approx(-found.fun, abs=2e-6)
    assert np.abs(ours.quality - found.x[: cost.size]).max() < 5e-3


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.floats(0.01, 3), st.floats(0.01, 1)),
        min_size=1,
        max_size=8,
        unique_by=lambda pair: round(pair[0], 3),
    )
)
def test_menu_is_truthful_and_nobody_loses(pairs):
    cost, weight = np.array(sorted(pairs)).T
    menu = variants.contract_menu(cost, weight)
    utility = menu.payment[None, :] - menu.quality[None, :] ** 2 * cost[:, None]  # [true type, report]
    truth = np.diag(utility)
    assert (truth[:, None] >= utility - 1e-9).all()
    assert (truth >= -1e-12).all()
    assert truth[-1] == pytest.approx(0, abs=1e-12)  # the dearest type keeps no rent


def test_menu_refuses_bad_types():
    with pytest.raises(ValueError, match="cost: got .*; valid: strictly increasing"):
        variants.contract_menu([0.2, 0.1])
    with pytest.raises(ValueError, match="probability: got .*; valid: > 0"):
        variants.contract_menu([0.1, 0.2], [1.0, 0.0])


MARKET_CALLS = {
    "budget": lambda c: variants.budget_equilibrium(c, 1.0),
    "posted": variants.posted_price,
    "menu": variants.contract_menu,
    "take": lambda c: variants.take_contract(variants.contract_menu([0.1]), c),
    "reported": lambda c: variants.reported_outcome(0.1, c),
    "true": lambda c: variants.reported_outcome(c, 0.1),
}


@pytest.mark.parametrize("bad", [-1.0, 0.0, math.nan, math.inf])
@pytest.mark.parametrize("call", MARKET_CALLS)
def test_every_market_refuses_a_bad_cost_by_its_value(call, bad):
    place = [0.1, bad] if bad == math.inf else [bad, 0.2]
    name = "reported" if call == "reported" else "cost"
    with pytest.raises(ValueError, match=rf"^{name}: got {bad!r} at position .*; valid: a finite number > 0"):
        MARKET_CALLS[call](np.array(place))


@untimed
@given(
    st.lists(
        st.tuples(st.floats(0.01, 3), st.floats(0.01, 1)),
        min_size=1,
        max_size=8,
        unique_by=lambda pair: round(pair[0], 3),
    ),
    COSTS,
)
def test_a_node_picks_the_contract_that_pays_it_best(pairs, cost):
    menu = variants.contract_menu(*np.array(sorted(pairs)).T)
    quality, payment = variants.take_contract(menu, np.array([cost]))
    best = max(0.0, float((menu.payment - menu.quality**2 * cost).max()))
    assert float(payment[0] - quality[0] ** 2 * cost) == pytest.approx(best, abs=1e-9 * max(1, cost))
    own = variants.take_contract(menu, np.array([pair[0] for pair in sorted(pairs)]))
    assert np.allclose(
        own[1] - own[0] ** 2 * [c for c, _ in sorted(pairs)],
        menu.payment - menu.quality**2 * [c for c, _ in sorted(pairs)],
        atol=1e-9,
    )


def test_each_type_takes_the_contract_that_was_made_for_it():
    """Its own and the next one pay it the same: rounding must not decide, nor the order in which they are offered."""
    rng, missed = np.random.default_rng(5), []
    for _ in range(300):
        cost = np.sort(rng.uniform(0.01, 1, rng.integers(1, 6)))
        menu = variants.contract_menu(cost, rng.uniform(0.1, 1, len(cost)))
        for order in (slice(None), slice(None, None, -1)):
            taken = variants.take_contract(variants.Menu(*(part[order] for part in menu)), cost)[0]
            missed += (taken[menu.quality > 0] != menu.quality[menu.quality > 0]).tolist()
    assert len(missed) > 1000 and not any(missed)


def test_the_menu_beats_the_posted_price_when_costs_are_private():
    cost = np.linspace(0.08, 0.6, 40)
    menu = variants.contract_menu(cost)
    menu_worth = (np.log2(1 + menu.quality) - menu.payment).mean()
    assert menu_worth > leader_utility(variants.posted_price(cost), cost).mean()


# -- lies -------------------------------------------------------------------------------------


def test_the_best_lie_against_a_grid():
    cost = 0.0105
    reports = np.geomspace(1e-3, 1e4, 200_001)
    bound = variants.reported_outcome(cost, reports, printed=True)[0]
    assert reports[bound.argmax()] == pytest.approx(0.125, rel=1e-3)
    assert bound.max() / cost == pytest.approx(0.2395 / 0.0105, rel=1e-3)
    free = variants.reported_outcome(cost, reports, printed=True, bound=False)[0]
    assert (np.diff(free) > -1e-9).all() and free[-1] / cost == pytest.approx((0.5 - cost) / cost, rel=1e-3)
    honest = variants.reported_outcome(cost, cost)
    price, quality = equilibrium(cost)
    assert honest == (node_utility(quality, price, cost), dsp_utility(quality, price))
