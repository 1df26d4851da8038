"""Privacy accounting against what is known exactly, and against simulated sampling."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad
from scipy.optimize import brentq

from deepfake_kit import federated
from deepfake_kit.federated.privacy import privacy_spent


def spent_delta(eps: float, mu: float) -> float:
    """Hockey-stick divergence of N(mu, 1) from N(0, 1), Balle and Wang (2018), Theorem 8: T Gaussian averages of
    multiplier z are exactly one with mu = sqrt(T) / z (Dong et al. 2022, Corollary 3.3)."""
    return stats.norm.cdf(mu / 2 - eps / mu) - math.exp(eps + stats.norm.logcdf(-mu / 2 - eps / mu))


def exact(z: float, rounds: int, delta: float) -> float:
    mu, high = math.sqrt(rounds) / z, 1.0
    if spent_delta(0.0, mu) <= delta:
        return 0.0
    while spent_delta(high, mu) > delta:
        high *= 2
    return brentq(lambda eps: spent_delta(eps, mu) - delta, 0.0, high, xtol=1e-10)


CASES = [(0.01, 6, 1e-5), (0.1, 100, 1e-5), (0.7, 10, 1e-5), (1.0, 1, 1e-5), (5.0, 100, 1e-3), (30.0, 1, 1e-5)]


@pytest.mark.parametrize(("z", "rounds", "delta"), CASES)
def test_it_bounds_the_exact_price_from_above_and_closely(z, rounds, delta):
    found, right = privacy_spent(z, rounds, delta), exact(z, rounds, delta)
    assert right <= found <= 1.15 * right


def test_the_oracle_is_the_integral_it_claims_to_be():
    """delta(eps) is the integral of (p - e^eps q)+ for N(mu, 1) against N(0, 1)."""
    for eps, mu in ((0.5, 0.3), (4.4, 1.0), (20.0, 5.0)):
        where = eps / mu + mu / 2

        def density(x, eps=eps, mu=mu):
            return max(0.0, stats.norm.pdf(x, mu) - math.exp(eps) * stats.norm.pdf(x))

        total = quad(density, where, where + 12 + mu, epsabs=1e-14, limit=400)[0]
        assert total == pytest.approx(spent_delta(eps, mu), rel=1e-4)


def test_a_sampled_share_is_bounded_by_its_own_integral():
    """One round with chance q: the pair N(0, z) and (1-q) N(0, z) + q N(1, z), both ways round."""
    for z, q, delta in ((1.0, 0.1, 1e-5), (0.8, 0.02, 1e-4)):
        eps = privacy_spent(z, 1, delta, share=q)
        x = np.linspace(-40 * z, 40 * z, 800_001)
        base = stats.norm.pdf(x, 0, z)
        mixed = (1 - q) * base + q * stats.norm.pdf(x, 1, z)
        spent = max(
            np.trapezoid(np.maximum(0, mixed - math.exp(eps) * base), x),
            np.trapezoid(np.maximum(0, base - math.exp(eps) * mixed), x),
        )
        assert spent <= delta
        assert eps < privacy_spent(z, 1, delta)  # being left out by chance is worth something


def test_more_noise_costs_less_and_more_rounds_cost_more():
    by_noise = [privacy_spent(z, 10, 1e-5) for z in (0.5, 1.0, 2.0, 8.0)]
    by_rounds = [privacy_spent(1.0, rounds, 1e-5) for rounds in (1, 2, 10, 100)]
    by_share = [privacy_spent(1.0, 10, 1e-5, share=q) for q in (0.01, 0.1, 0.5, 1.0)]
    assert by_noise == sorted(by_noise, reverse=True) and len(set(by_noise)) == 4
    assert by_rounds == sorted(by_rounds) and len(set(by_rounds)) == 4
    assert by_share == sorted(by_share) and len(set(by_share)) == 4
    assert math.isinf(privacy_spent(0, 1, 1e-5))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"noise_multiplier": -1.0}, "noise_multiplier: got -1.0; valid: a number in"),
        ({"noise_multiplier": math.nan}, "noise_multiplier: got nan; valid: a number in"),
        ({"rounds": 0}, "rounds: got 0; valid: a whole number of at least 1"),
        ({"rounds": 1.5}, "rounds: got 1.5; valid: a whole number of at least 1"),
        ({"rounds": True}, "rounds: got True; valid: a whole number of at least 1"),
        ({"delta": 0.0}, r"delta: got 0.0; valid: a number in \(0, 1\)"),
        ({"delta": 1.0}, r"delta: got 1.0; valid: a number in \(0, 1\)"),
        ({"share": 0.0}, r"share: got 0.0; valid: a number in \(0, 1\]"),
        ({"share": 1.1}, r"share: got 1.1; valid: a number in \(0, 1\]"),
    ],
)
def test_it_refuses(change, message):
    with pytest.raises(ValueError, match=message):
        privacy_spent(**{"noise_multiplier": 1.0, "rounds": 1, "delta": 1e-5, **change})


def test_the_servers_noise_is_the_noise_that_is_accounted_for():
    """z times the influence of one clipped step on the equal mean: what `combine` adds is what epsilon assumes."""
    import torch

    plan = federated.Plan(1, 1, 1, 0.1, clip=0.5, noise=2.0, weighting="uniform", validate=False)
    start, clients = torch.zeros(50_000), 4
    still = {k: start.clone() for k in range(clients)}
    moved = {**still, 0: torch.full_like(start, 1.0)}  # a step far beyond the bound
    quiet, _, _ = federated.combine(still, start, [1] * clients, plan, round=0)
    shifted, _, _ = federated.combine(moved, start, [1] * clients, plan, round=0)
    influence = float((shifted - quiet).norm())  # the same noise is drawn for the same round
    assert influence == pytest.approx(plan.clip / clients, rel=1e-3)
    assert float(quiet.std()) == pytest.approx(plan.noise * influence, rel=0.03)
