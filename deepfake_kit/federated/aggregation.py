r"""From the clients' weights to the next global weights: averages, robust rules, server optimisers.

A model's weights are one flat float32 vector here (:func:`flatten`, :func:`unflatten`), the clients' weights
a matrix [K, P] with one row a client. So each rule is a few lines, and nothing aliases a live model.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from deepfake_kit.valid import invalid, require, within

State = dict[str, Tensor]


def flatten(state: State) -> Tensor:
    """All tensors of a state dict in one float32 vector [P], in the dict's order. Always a copy.

    ``model.state_dict()`` hands out the live weights: two clients trained from it one after the other train
    the same tensors. A flat copy cannot be trained by accident.

    >>> flatten({"w": torch.ones(1, 2), "b": torch.zeros(1)}).tolist()
    [1.0, 1.0, 0.0]
    """
    return torch.cat([tensor.detach().reshape(-1).float() for tensor in state.values()])


def unflatten(vector: Tensor, like: State, copy: bool = True) -> State:
    """The state dict with the names, shapes and types of `like` from a vector [P]; whole-number tensors are
    rounded.

    With ``copy=False`` the tensors may share memory with `vector`.

    Raises
    ------
    ValueError
        If the vector has not as many numbers as `like`.

    Examples
    --------
    >>> unflatten(torch.arange(3.0), {"w": torch.zeros(1, 2), "b": torch.zeros(1)})["w"].tolist()
    [[0.0, 1.0]]
    """
    sizes = [tensor.numel() for tensor in like.values()]
    require(vector.ndim == 1 and len(vector) == sum(sizes), "vector", vector, f"shape ({sum(sizes)},)")
    state = {}
    for (name, tensor), piece in zip(like.items(), vector.split(sizes), strict=True):
        piece = piece if tensor.is_floating_point() else piece.round()
        state[name] = piece.reshape(tensor.shape).to(tensor.dtype, copy=copy)
    return state


def _weights(weights, count: int, device=None) -> Tensor:
    """Weights as float64 that sum to 1."""
    weights = torch.as_tensor(weights, dtype=torch.float64, device=device)
    require(weights.shape == (count,), "weights", weights, f"one number for each of {count} clients")
    if not bool((weights.isfinite() & (weights >= 0)).all()) or float(weights.sum()) <= 0:
        raise invalid("weights", weights.tolist(), "finite, >= 0 and not all 0")
    return weights / weights.sum()


def weighted_mean(updates: Tensor, weights) -> Tensor:
    r"""Federated averaging of flat weights: :math:`\sum_i \frac{n_i}{n}\,\theta_i`.

    McMahan et al. (2017), Algorithm 1; what DD-TMA, Eq. (6), means.

    Parameters
    ----------
    updates : float Tensor [K, P]
    weights : vector [K]
        Data sizes n_i, >= 0 and not all 0; they are normalised.

    Returns
    -------
    Tensor [P]

    Raises
    ------
    ValueError
        If the weights do not fit.

    Examples
    --------
    >>> weighted_mean(torch.tensor([[0.0], [3.0]]), [1, 2]).tolist()
    [2.0]
    """
    weights = _weights(weights, len(updates), updates.device)
    total = torch.zeros(updates.shape[1], dtype=torch.float64, device=updates.device)
    for weight, row in zip(weights.tolist(), updates, strict=True):  # one row in float64 at a time, not the matrix
        total.add_(row, alpha=weight)
    return total.to(updates.dtype)


def coordinate_median(updates: Tensor) -> Tensor:
    """Median of every weight over the clients, [K, P] -> [P]; the mean of the middle two where K is even.

    Yin et al. (2018), ICML, Definition 1. Fewer than half of the clients cannot move it outside the range of
    the others. Data sizes play no part.

    Examples
    --------
    >>> coordinate_median(torch.tensor([[1.0], [2.0], [-900.0]])).tolist()
    [1.0]
    """
    ordered = updates.sort(dim=0).values
    middle = len(updates) // 2
    return ordered[middle].clone() if len(updates) % 2 else (ordered[middle - 1] + ordered[middle]) / 2


def clip_updates(updates: Tensor, reference: Tensor, norm: float) -> Tensor:
    r"""Shorten each client's step to at most `norm`:
    :math:`\theta_i\leftarrow\theta+\Delta_i\min(1,\,S/\lVert\Delta_i\rVert)`.

    McMahan et al. (2018), ICLR, Sec. 2.2 (flat clipping), with :math:`\Delta_i=\theta_i-\theta`.

    Parameters
    ----------
    updates : Tensor [K, P]
        Clients' weights.
    reference : Tensor [P]
        Global weights that they started from.
    norm : float
        Longest Euclidean step S, > 0.

    Raises
    ------
    ValueError
        If `norm` is not > 0.

    Examples
    --------
    >>> clip_updates(torch.tensor([[3.0, 4.0]]), torch.zeros(2), norm=1.0).norm().item()
    1.0
    """
    within("norm", norm, "(0, inf]")
    steps = updates - reference
    length = torch.linalg.vector_norm(steps, dim=1, keepdim=True)
    return reference + steps * (norm / length).clamp(max=1)


def reason_to_reject(update: Tensor, reference: Tensor, earlier: dict[int, Tensor]) -> str | None:
    """Why a server should not average an update, in words; None if it looks sound.

    Parameters
    ----------
    update : Tensor
        A client's weights.
    reference : Tensor [P]
        The global weights.
    earlier : dict of int to Tensor
        Updates accepted so far in this round, by client.

    Returns
    -------
    str or None

    Examples
    --------
    >>> reason_to_reject(torch.tensor([float("nan")]), torch.zeros(1), {})
    'holds 1 number that is not finite'
    """
    if update.shape != reference.shape:
        return f"has {update.numel()} numbers, the model has {reference.numel()}"
    bad = int((~update.isfinite()).sum())
    if bad:
        return f"holds {bad} number{'s that are' if bad > 1 else ' that is'} not finite"
    # Honest clients train on other data with other noise: equal to the last bit means copied.
    for client, other in earlier.items():
        if torch.equal(update, other):
            return f"is a copy of client {client}'s"
    return None


class AdamState(NamedTuple):
    """First and second moment [P] of a server's optimiser."""

    first: Tensor
    second: Tensor


def fedadam_step(
    reference: Tensor, aggregate: Tensor, state: AdamState | None, lr: float, betas=(0.9, 0.99), tau: float = 1e-3
) -> tuple[Tensor, AdamState]:
    r"""Adam at the server, fed with the clients' mean step :math:`\Delta`.

    .. math:: m\leftarrow\beta_1m+(1-\beta_1)\Delta,\quad v\leftarrow\beta_2v+(1-\beta_2)\Delta^2,\quad
              \theta\leftarrow\theta+\eta\,\frac{m}{\sqrt v+\tau}

    Reddi et al. (2021), ICLR, Algorithm 2 (FedAdam): no bias correction, and :math:`v` starts at
    :math:`\tau^2`.

    Parameters
    ----------
    reference, aggregate : Tensor [P]
        Global weights, and the clients' average.
    state : AdamState or None
        None in the first round.
    lr, betas, tau
        Server's learning rate, decay of the moments, and floor of the denominator.

    Returns
    -------
    (Tensor [P], AdamState)

    Examples
    --------
    >>> weights, _ = fedadam_step(torch.zeros(1), torch.ones(1), None, lr=0.1)
    >>> round(weights.item(), 3)
    0.099
    """
    step = aggregate - reference
    first, second = state or AdamState(torch.zeros_like(step), torch.full_like(step, tau**2))
    first = betas[0] * first + (1 - betas[0]) * step
    second = betas[1] * second + (1 - betas[1]) * step**2
    return reference + lr * first / (second.sqrt() + tau), AdamState(first, second)
