r"""Low-rank adapters: the equation, its size, and the directions that one uses (Hu et al., "LoRA", 2021)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from deepfake_kit.valid import finite, invalid, require, within


def adapted_weight(weight: Tensor, down: Tensor, up: Tensor, alpha: float) -> Tensor:
    r"""The weight that an adapted layer acts with (Hu et al. 2021, Eq. 3 and Sec. 4.1).

    .. math:: W' = W + \frac{\alpha}{r}\, B A

    Parameters
    ----------
    weight : Tensor [out, in]
        :math:`W`, frozen.
    down : Tensor [r, in]
        :math:`A`, random at the start.
    up : Tensor [out, r]
        :math:`B`, zero at the start, so that training begins at :math:`W`.
    alpha : float
        :math:`\alpha`; peft calls it ``lora_alpha``.

    Returns
    -------
    Tensor [out, in]
        In the weight's dtype; computed in float32 for half precision.

    Raises
    ------
    ValueError
        If the shapes do not fit, or alpha is not finite.

    Examples
    --------
    >>> adapted_weight(torch.zeros(2, 2), torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0], [0.0]]), alpha=2).tolist()
    [[2.0, 4.0], [0.0, 0.0]]
    """
    rank = down.shape[0] if down.ndim == 2 else 0
    if rank < 1 or weight.shape != (up.shape[0], down.shape[1]) or up.shape[1:] != (rank,):
        raise invalid("weight, down, up", (weight, down, up), "[out, in], [r, in], [out, r] with r >= 1")
    within("alpha", alpha, "(-inf, inf)")
    w, a, b = (x.to(torch.promote_types(x.dtype, torch.float32)) for x in (weight, down, up))
    return (w + alpha / rank * (b @ a)).to(weight.dtype)


def adapter_parameters(inputs: int, outputs: int, rank: int) -> int:
    r"""Numbers in one adapter: :math:`r\,(n_{in}+n_{out})` in place of :math:`n_{in}\,n_{out}`.

    >>> adapter_parameters(768, 3 * 768, 16)
    49152
    """
    require(min(inputs, outputs, rank) >= 1, "inputs, outputs, rank", (inputs, outputs, rank), "whole numbers >= 1")
    return rank * (inputs + outputs)


def count(model: nn.Module) -> tuple[int, int]:
    """Trainable and all parameters of a model; it may lie on the meta device, where numbers have shapes only.

    >>> count(nn.Linear(3, 2))
    (8, 8)
    """
    every = list(model.parameters())
    return sum(p.numel() for p in every if p.requires_grad), sum(p.numel() for p in every)


def effective_rank(matrix: Tensor) -> float:
    r"""How many directions a matrix uses: :math:`(\sum_i\sigma_i^2)^2/\sum_i\sigma_i^4`, from 1 to its rank.

    >>> effective_rank(torch.eye(5))
    5.0
    """
    power = torch.linalg.svdvals(finite("matrix", matrix).double()).square()
    return float(power.sum().square() / power.square().sum().clamp(min=1e-300))
