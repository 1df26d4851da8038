r"""Shares of errors by group, the gap between groups, and the gap that chance alone makes.

A *flag* is True for an error (or for any other answer that a share is taken of). Groups come from the labels of a data
set or from what was drawn, never from a guess about a person.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from deepfake_kit.draws import numpy_generator
from deepfake_kit.valid import invalid, one_of, require, whole


def _counts(flags, groups, n_groups: int | None) -> tuple[np.ndarray, np.ndarray]:
    """How many pictures each group has and how many of them are flagged, [J] both."""
    f, g = (np.asarray(x.detach().cpu() if hasattr(x, "detach") else x) for x in (flags, groups))
    require(f.ndim == 1 and g.shape == f.shape and len(f), "flags, groups", (f, g), "[N] both, N >= 1")
    if not np.isin(f, (0, 1)).all():
        raise invalid("flags", np.unique(f)[:5].tolist(), "True and False")
    if not np.issubdtype(g.dtype, np.integer) or g.min() < 0 or (n_groups is not None and g.max() >= n_groups):
        raise invalid("groups", np.unique(g)[:5].tolist(), "whole numbers from 0 to the number of groups - 1")
    sizes = np.bincount(g, minlength=n_groups or 0)
    if (empty := np.flatnonzero(sizes == 0)).size:
        raise invalid("groups", f"no picture of group {empty.tolist()}", "at least one picture a group")
    return sizes, np.bincount(g, weights=f.astype(float), minlength=len(sizes)).round().astype(int)


# Of shares [..., J] and the sizes [J] of the groups. "sum" is the score of Lin et al.'s public code: how far each
# group lies from all pictures together, added up, so that it grows with the number of groups.
STATISTICS = {
    "gap": lambda share, sizes: share.max(-1) - share.min(-1),
    "sum": lambda share, sizes: np.abs(share - (share @ sizes / sizes.sum())[..., None]).sum(-1),
}


@dataclass(frozen=True)
class Gap:
    """A difference between groups beside what chance alone makes of it.

    Attributes
    ----------
    value : float
        As measured.
    null : array float [repeats]
        The same with the pictures dealt to the groups by lot.
    debiased, low, high : float
        `value` minus the mean of `null`, and minus its 97.5 % and 2.5 % points. An interval that holds 0 is what equal
        groups look like. Where groups do differ, the subtraction takes too much: it errs towards equality.
    p : float
        How often chance does as much, (1 + count) / (1 + repeats).
    """

    value: float
    null: np.ndarray
    debiased: float
    low: float
    high: float
    p: float


def gap(
    flags,
    groups,
    statistic: str = "gap",
    repeats: int = 2000,
    generator: torch.Generator | None = None,
    n_groups: int | None = None,
) -> Gap:
    """Measure how unequal the groups' shares are, beside a permutation null.

    Dealing N flags to groups of fixed sizes draws the numbers of flagged pictures from the multivariate hypergeometric
    distribution, so no picture is moved (Fisher's permutation argument).

    Parameters
    ----------
    flags : array or Tensor [N]
        True and False, or 1 and 0; at least one.
    groups : array or Tensor of int [N]
        The group of each flag, counted from 0; at least two groups, none of them empty.
    statistic : {"gap", "sum"}
        Largest share minus smallest; or the sum of the distances from the share of all pictures (Lin et al. 2024).
    repeats : int
    generator : torch.Generator, optional
        Of the null.
    n_groups : int, optional
        How many groups there are; by default as many as occur.

    Raises
    ------
    ValueError
        For flags or groups of another shape or kind, a group without a flag, a single group, or an unknown statistic.

    Examples
    --------
    >>> found = gap([True] * 6 + [False] * 6, [0] * 6 + [1] * 6)
    >>> found.value, found.p < 0.01
    (1.0, True)
    """
    score = STATISTICS[one_of("statistic", statistic, STATISTICS)]
    sizes, flagged = _counts(flags, groups, n_groups)
    require(len(sizes) >= 2, "groups", "1 group", "at least 2, a gap needs another one")
    drawn = numpy_generator(generator).multivariate_hypergeometric(
        sizes, int(flagged.sum()), size=whole("repeats", repeats, 1, 10**7)
    )
    value, null = float(score(flagged / sizes, sizes)), score(drawn / sizes, sizes)
    upper, lower = np.quantile(null, (0.975, 0.025))
    p = (1 + np.count_nonzero(null >= value - 1e-12)) / (1 + repeats)
    return Gap(value, null, value - float(null.mean()), value - float(upper), value - float(lower), float(p))
