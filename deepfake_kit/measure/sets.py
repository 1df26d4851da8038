r"""Reading faces in closed form, and comparing sets of generated faces with real ones.

:class:`LinearReader` is ridge regression from pixels to the exact numbers that a face was drawn from: it tells whose
face a swap shows and how far the mouth is open, and it never saw either person.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor


class LinearReader(NamedTuple):
    """Ridge regression from pixels to several targets, each in standard deviations of its training values.

    Attributes
    ----------
    names : tuple of str
        One name a target.
    mean : Tensor [D]
        Mean image, flattened.
    weights : Tensor [D, K]
    target_mean, target_deviation : Tensor [K]
        Of the training values, in their own units.
    """

    names: tuple[str, ...]
    mean: Tensor
    weights: Tensor
    target_mean: Tensor
    target_deviation: Tensor

    def __call__(self, images: Tensor) -> Tensor:
        """Estimates [N, K], in standard deviations of the training values."""
        return (images.flatten(1).double() - self.mean) @ self.weights

    def read(self, images: Tensor, name: str) -> Tensor:
        """Estimates [N] of one target in its own units."""
        if name not in self.names:
            raise ValueError(f"name: got {name!r}; valid: {', '.join(self.names)}")
        k = self.names.index(name)
        return self(images)[:, k] * self.target_deviation[k] + self.target_mean[k]


def fit_reader(images: Tensor, values: Tensor, names: tuple[str, ...], ridge: float = 30.0) -> LinearReader:
    r"""Fit :math:`W = X^\top(XX^\top + \lambda I)^{-1}Y`, ridge regression in its dual form (Saunders et al. 1998).

    Parameters
    ----------
    images : Tensor [N, C, H, W]
    values : Tensor [N, K]
        Targets; a column that does not vary is refused.
    names : tuple of str
        K names.
    ridge : float
        The penalty, positive.

    Returns
    -------
    LinearReader

    Raises
    ------
    ValueError
        If sizes disagree, a target is constant, or the penalty is not positive.

    Examples
    --------
    >>> x = torch.randn(50, 1, 2, 2)
    >>> reader = fit_reader(x, x.flatten(1)[:, :1] * 3 + 1, ("first",), ridge=1e-6)
    >>> bool((reader.read(x, "first") - (x.flatten(1)[:, 0] * 3 + 1)).abs().max() < 1e-4)
    True
    """
    if values.ndim != 2 or len(values) != len(images) or values.shape[1] != len(names):
        raise ValueError(f"values: got shape {tuple(values.shape)}; valid: [{len(images)}, {len(names)}]")
    if ridge <= 0:
        raise ValueError(f"ridge: got {ridge}; valid: above 0")
    x, y = images.flatten(1).double(), values.double()
    deviation = y.std(0)
    if (deviation == 0).any():
        raise ValueError(f"values: {names[int((deviation == 0).nonzero()[0])]!r} does not vary")
    mean, target_mean = x.mean(0), y.mean(0)
    x = x - mean
    dual = torch.linalg.solve(x @ x.T + ridge * torch.eye(len(x), dtype=x.dtype), (y - target_mean) / deviation)
    return LinearReader(tuple(names), mean, x.T @ dual, target_mean, deviation)


def coverage(real: Tensor, fake: Tensor, neighbours: int = 5) -> float:
    r"""Share of real samples that have a generated one nearer than their own k-th real neighbour.

    Naeem et al., "Reliable Fidelity and Diversity Metrics for Generative Models", ICML 2020, Eq. (4). 1 means that no
    part of the real faces is left out.

    Parameters
    ----------
    real : Tensor [N, D]
    fake : Tensor [M, D]
    neighbours : int
        k, below N.

    Raises
    ------
    ValueError
        If the widths differ or k is out of range.

    Examples
    --------
    >>> x = torch.randn(40, 3)
    >>> coverage(x, x), coverage(x, x + 100)
    (1.0, 0.0)
    """
    if real.ndim != 2 or fake.ndim != 2 or real.shape[1] != fake.shape[1]:
        raise ValueError(f"real, fake: got shapes {tuple(real.shape)}, {tuple(fake.shape)}; valid: [N, D] and [M, D]")
    if not 1 <= neighbours < len(real):
        raise ValueError(f"neighbours: got {neighbours}; valid: 1 to {len(real) - 1}")
    # The nearest "neighbour" of each real sample among the real ones is itself, hence k + 1.
    radius = torch.cdist(real, real).kthvalue(neighbours + 1, dim=1).values
    return float((torch.cdist(real, fake).min(dim=1).values <= radius).double().mean())


class Correlation(NamedTuple):
    """Pearson correlation and its 95 % interval."""

    r: float
    low: float
    high: float


def correlation(x, y, level: float = 0.95) -> Correlation:
    r"""Pearson's r with an interval from Fisher's transform, :math:`\tanh(\operatorname{artanh} r \pm z/\sqrt{n-3})`.

    R. A. Fisher, "On the 'probable error' of a coefficient of correlation", Metron 1, 1921.

    Parameters
    ----------
    x, y : array_like [N]
        At least four values each.
    level : float
        Confidence, in (0, 1).

    Raises
    ------
    ValueError
        If the lengths differ, are below four, or a side is constant.

    Examples
    --------
    >>> round(correlation([1, 2, 3, 4, 5], [1, 3, 2, 5, 4]).r, 2)
    0.8
    """
    from scipy.stats import norm

    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if x.shape != y.shape or x.ndim != 1 or len(x) < 4:
        raise ValueError(f"x, y: got shapes {x.shape}, {y.shape}; valid: two vectors of the same length, at least 4")
    if x.std() == 0 or y.std() == 0:
        raise ValueError("x, y: one of them is constant; a correlation needs two that vary")
    r = float(np.clip(np.corrcoef(x, y)[0, 1], -1 + 1e-12, 1 - 1e-12))
    half = norm.ppf(0.5 + level / 2) / np.sqrt(len(x) - 3)
    return Correlation(r, float(np.tanh(np.arctanh(r) - half)), float(np.tanh(np.arctanh(r) + half)))
