r"""What noise on a federation's averages buys: the epsilon that has been spent, by Opacus' accountant.

Differential privacy at the level of clients (McMahan et al. 2018, ICLR): two runs are neighbours if they differ
in one client, which trains in the one and hands the global weights back unchanged in the other. Every client's
step is clipped to length S, and the average of the steps gets Gaussian noise whose standard deviation is z times
the largest share that one clipped step has in it.

Opacus (Yousefpour et al. 2021, arXiv:2109.12298) keeps the books: accounting is easy to get wrong by a little,
and a little is enough to promise what does not hold.
"""

from __future__ import annotations

import math

import numpy as np

from deepfake_kit.valid import whole, within


def _orders() -> list[float]:
    """Orders of the Rényi divergence that are tried: the library's own, more near 1 (for a large epsilon) and
    larger ones (for a small epsilon)."""
    from opacus.accountants import RDPAccountant

    near_one = 1 + np.geomspace(1e-3, 0.09, 20)
    return [*near_one.tolist(), *RDPAccountant.DEFAULT_ALPHAS, *(2**k for k in range(6, 11))]


def privacy_spent(noise_multiplier: float, rounds: int, delta: float, share: float = 1.0) -> float:
    r"""An upper bound on the client-level :math:`\varepsilon` after `rounds` clipped and noised averages.

    .. math:: \varepsilon=\min_{a>1}\ T\,\rho_a(z, q)+\log\frac{a-1}{a}-\frac{\log\delta+\log a}{a-1}

    :math:`\rho_a` is the Rényi divergence of order a of one Gaussian average (Mironov 2017, CSF; with sampling:
    Mironov et al. 2019, arXiv:1908.10530); for q = 1 it is :math:`a/(2z^2)`. T rounds add up. The conversion is
    Balle et al. (2020), AISTATS, Theorem 21. Both are Opacus' own.

    Parameters
    ----------
    noise_multiplier : float
        z, finite and >= 0: standard deviation of the noise over the largest influence of one client. 0 gives
        infinity.
    rounds : int
        T >= 1.
    delta : float
        In (0, 1).
    share : float
        q in (0, 1]: the chance with which each client takes part in a round, drawn for each client alone. A
        fixed number of clients drawn together, as `Plan.sampled` does, is another scheme: use 1 for it.

    Returns
    -------
    float

    Raises
    ------
    ValueError
        If an argument lies outside its range.

    Examples
    --------
    >>> round(privacy_spent(noise_multiplier=1.0, rounds=1, delta=1e-5), 2)
    4.73
    """
    within("noise_multiplier", noise_multiplier, "[0, inf)")
    whole("rounds", rounds, 1)
    within("delta", delta, "(0, 1)")
    within("share", share, "(0, 1]")
    if noise_multiplier == 0:
        return math.inf
    from opacus.accountants import RDPAccountant

    accountant = RDPAccountant()
    for _ in range(rounds):
        accountant.step(noise_multiplier=float(noise_multiplier), sample_rate=float(share))
    return max(0.0, accountant.get_epsilon(delta, alphas=_orders()))
