r"""Comparing sets: of generated faces with real ones, of features with features. Features are [N, D]."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from deepfake_kit.valid import finite, invalid, require, whole


def coverage(real: Tensor, fake: Tensor, neighbours: int = 5) -> float:
    r"""Share of real samples that have a generated one nearer than their own k-th real neighbour.

    Naeem et al., "Reliable Fidelity and Diversity Metrics for Generative Models", ICML 2020, Eq. (4). 1 means that no
    part of the real faces is left out. Distances are taken in float64: they come from a matrix product, which far from
    the origin cancels.

    Parameters
    ----------
    real : Tensor [N, D]
    fake : Tensor [M, D]
    neighbours : int
        k, below N.

    Raises
    ------
    ValueError
        If the widths differ, k is out of range, or numbers are not finite.

    Examples
    --------
    >>> x = torch.randn(40, 3)
    >>> coverage(x, x), coverage(x, x + 100)
    (1.0, 0.0)
    """
    if real.ndim != 2 or fake.ndim != 2 or real.shape[1] != fake.shape[1]:
        raise invalid("real, fake", (real, fake), "[N, D] and [M, D]")
    whole("neighbours", neighbours, 1, len(real) - 1)
    real, fake = finite("real", real).double(), finite("fake", fake).double()
    # The nearest "neighbour" of each real sample among the real ones is itself, hence k + 1.
    radius = torch.cdist(real, real).kthvalue(neighbours + 1, dim=1).values
    return float((torch.cdist(real, fake).min(dim=1).values <= radius).double().mean())


def _features(name: str, x: Tensor) -> Tensor:
    require(x.ndim == 2 and len(x) >= 2, name, x, "features [N, D] with N of at least 2")
    return finite(name, x).double()


def _square_root(matrix: Tensor) -> Tensor:
    """Symmetric square root of a positive semi-definite matrix; rounding below zero is set to zero."""
    values, vectors = torch.linalg.eigh(matrix)
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.T


def frechet_distance(features_a: Tensor, features_b: Tensor) -> Tensor:
    r"""Squared Fréchet distance between Gaussians fitted to two sets of features.

    .. math:: \lVert\mu_a-\mu_b\rVert^2
        + \operatorname{tr}\big(\Sigma_a + \Sigma_b - 2(\Sigma_a^{1/2}\Sigma_b\Sigma_a^{1/2})^{1/2}\big)

    Dowson and Landau 1982, Eq. (4); Heusel et al. 2017 use it on Inception features ("FID"). The value
    depends on the feature space and, because covariances are estimated, falls as N grows: compare only equal
    N in one space.

    Parameters
    ----------
    features_a, features_b : Tensor [N, D], [M, D]
        Any floating type, N and M at least 2; computed in float64.

    Returns
    -------
    Tensor, scalar float64
        At least 0, in squared units of the features.

    Raises
    ------
    ValueError
        If the features are not two-dimensional, too few, of different width, or not finite.

    Examples
    --------
    >>> x = torch.randn(100, 3)
    >>> round(frechet_distance(x, x + 2).item(), 6)
    12.0
    """
    a, b = _features("features_a", features_a), _features("features_b", features_b)
    require(a.shape[1] == b.shape[1], "features_a, features_b", (a, b), "equally many columns")
    sigma_a, sigma_b = torch.cov(a.T).reshape(a.shape[1], -1), torch.cov(b.T).reshape(b.shape[1], -1)
    root = _square_root(sigma_a)
    cross = torch.linalg.eigvalsh(root @ sigma_b @ root).clamp(min=0).sqrt().sum()
    mean = (a.mean(0) - b.mean(0)).square().sum()
    return (mean + sigma_a.trace() + sigma_b.trace() - 2 * cross).clamp(min=0)


class Estimate(NamedTuple):
    """A value with its standard error."""

    value: float
    standard_error: float


def bootstrap(
    statistic: Callable[[Tensor], Tensor | float],
    samples: Tensor,
    repeats: int = 200,
    generator: torch.Generator | None = None,
) -> Estimate:
    """Value of a statistic of `samples` [N, ...] and its bootstrap standard error.

    Efron 1979. The standard error is used rather than percentiles because resampling shifts a Fréchet
    distance upwards, as any smaller sample does.

    Parameters
    ----------
    statistic : callable (samples [N, ...]) -> scalar
    samples : Tensor [N, ...]
        Resampled along the first axis, with replacement.
    repeats : int
        At least 2.
    generator : torch.Generator, optional
        On the CPU.

    Raises
    ------
    ValueError
        If repeats is below 2, or samples are not finite.

    Examples
    --------
    >>> bootstrap(torch.mean, torch.ones(10), repeats=5)
    Estimate(value=1.0, standard_error=0.0)
    """
    whole("repeats", repeats, 2)
    finite("samples", samples)
    draws = [
        float(statistic(samples[torch.randint(len(samples), (len(samples),), generator=generator)]))
        for _ in range(repeats)
    ]
    mean = sum(draws) / repeats
    spread = math.sqrt(sum((d - mean) ** 2 for d in draws) / (repeats - 1))
    return Estimate(float(statistic(samples)), spread)
