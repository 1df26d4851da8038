r"""Principal components of data that nobody holds in one place, from sums that devices send once.

A covariance needs three things of the data: how many rows there are, their sum, and the sum of their products. Sums
over devices are sums over all rows, so the result does not depend on the split: it is exact after one round, and with
it the best linear guess of the noise (:class:`deepfake_kit.diffusion.linear.LinearDenoiser`).
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from deepfake_kit.valid import require, whole


class Moments(NamedTuple):
    """What a device sends: number of rows, their sum [D] and the sum of their outer products [D, D], in float64.

    Adding two gives the moments of both devices' rows together.
    """

    count: int
    total: Tensor
    products: Tensor

    @classmethod
    def of(cls, rows: Tensor) -> Moments:
        """Moments of `rows` [N, D].

        >>> Moments.of(torch.tensor([[1.0], [3.0]])).products.item()
        10.0
        """
        rows = rows.double()
        return cls(len(rows), rows.sum(0), rows.T @ rows)

    def __add__(self, other: Moments) -> Moments:
        return Moments(self.count + other.count, self.total + other.total, self.products + other.products)

    @property
    def covariance(self) -> Tensor:
        r""":math:`\frac1n\sum xx^T-\mu\mu^T` [D, D]."""
        mean = self.total / self.count
        return self.products / self.count - torch.outer(mean, mean)


class Components(NamedTuple):
    """Mean [D], the `k` directions of largest variance [D, k], and the data's standard deviation along each [k]."""

    mean: Tensor
    directions: Tensor
    scale: Tensor

    @classmethod
    def of(cls, moments: Moments, k: int) -> Components:
        """The first `k` principal components; each direction's largest entry is positive.

        Raises
        ------
        ValueError
            If `k` is not a whole number from 1 to D, or the data do not vary along k directions.

        Examples
        --------
        >>> Components.of(Moments.of(torch.tensor([[0.0, 1.0], [4.0, 1.0]])), 1).scale.item()
        2.0
        """
        size = len(moments.total)
        whole("k", k, 1, size)
        variances, directions = torch.linalg.eigh(moments.covariance)
        variances, directions = variances.flip(0)[:k], directions.flip(1)[:, :k]
        full = float(variances[-1]) > 1e-12 * float(variances[0])
        require(full, "k", k, "at most as many as directions along which the data vary: a smaller one, or more data")
        largest = directions.gather(0, directions.abs().argmax(0, keepdim=True))
        return cls(moments.total / moments.count, directions * largest.sign(), variances.sqrt())

    def encode(self, images: Tensor) -> Tensor:
        """Images [N, ...] as `k` numbers each, float32 [N, k], of variance 1 over the data that made the components."""
        return ((images.flatten(1).double() - self.mean) @ self.directions / self.scale).float()

    def decode(self, codes: Tensor) -> Tensor:
        """Rows [N, D], float32, of which codes [N, k] are the components."""
        return ((codes.double() * self.scale) @ self.directions.T + self.mean).float()
