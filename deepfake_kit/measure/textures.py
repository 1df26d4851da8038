r"""Gram matrices of feature maps: which channels fire together, wherever they do.

Gatys et al. 2016; Li et al., "Demystifying Neural Style Transfer", IJCAI 2017.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from deepfake_kit.valid import at_least_single, finite, one_of, require


def gram(features: Tensor) -> Tensor:
    r""":math:`G_{ij}=\frac1M\sum_k F_{ik}F_{jk}`, the mean over the M positions k of a map.

    The mean and not the sum, so that pictures of two sizes can be compared.

    Parameters
    ----------
    features : Tensor [N, C, ...]

    Returns
    -------
    Tensor [N, C, C]
        In at least float32: the sum over the positions overflows in float16 and wraps in uint8.

    Raises
    ------
    ValueError
        If there are no positions, or numbers are not finite.

    Examples
    --------
    >>> gram(torch.tensor([[[1.0, 3.0], [0.0, 2.0]]])).tolist()
    [[[5.0, 3.0], [3.0, 2.0]]]
    """
    require(features.ndim >= 3 and features.numel(), "features", features, "[N, C, ...] with at least one position")
    f = at_least_single(finite("features", features)).flatten(2)
    return f @ f.transpose(1, 2) / f.shape[2]


def gram_distance(a: Sequence[Tensor], b: Sequence[Tensor], norm: str = "l1") -> Tensor:
    r"""Distance [N] of two lists of maps [N, C, ...], one a layer: each layer's over its size, then the mean of layers.

    ``"l1"`` is :math:`\sum|G-G'|/C^2`, ``"l2"`` is :math:`\|G-G'\|_F/C`. A layer counts relative to the mean size of
    its entries in `b`, or the deepest one would decide alone.

    >>> x = [torch.randn(2, 3, 4, 4)]
    >>> gram_distance(x, x).tolist()
    [0.0, 0.0]
    """
    one_of("norm", norm, ("l1", "l2"))
    require(len(a) == len(b) and len(a), "a, b", f"{len(a)} and {len(b)} layers", "equally many, at least one")
    layers = []
    for one, other in zip(a, b):
        left, right = gram(one), gram(other)
        off = (left - right).abs().flatten(1)
        size = off.mean(1) if norm == "l1" else off.square().mean(1).sqrt()
        layers.append(size / right.abs().mean().clamp_min(1e-12))
    return torch.stack(layers).mean(0)
