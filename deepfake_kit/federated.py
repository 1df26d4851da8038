r"""Federated training of a noise model: clients train on their own images, a server averages their weights.

The loop is FedAvg (McMahan et al. 2017, Algorithm 1) around the diffusion step of
:mod:`deepfake_kit.diffusion`; DD-TMA, Sec. II.D, is its use. :class:`Plan` holds every choice. A client is a
pure function of (global weights, round, client, seed), so a run does not depend on where or in which order
the clients train: one process, several machines (:mod:`deepfake_kit.flower_app`), through a market
(:mod:`deepfake_kit.federated_market`), or resumed after a crash.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from deepfake_kit import aggregation
from deepfake_kit.aggregation import fedavg, flatten, unflatten
from deepfake_kit.diffusion import NoiseSchedule, to_model_range, train_step
from deepfake_kit.federated_plan import History, Plan
from deepfake_kit.partition import (
    class_counts,
    partition_dirichlet,
    partition_iid,
    partition_shards,
    partition_writers,
)

__all__ = [
    "History",
    "Plan",
    "class_counts",
    "client_seed",
    "combine",
    "fedavg",
    "local_update",
    "partition_dirichlet",
    "partition_iid",
    "partition_shards",
    "partition_writers",
    "train",
]

Updates = dict[int, Tensor]
SERVER_NOISE = 2**32 - 1  # in the place of a client's number, for the server's own draws


class Exchange(Protocol):
    """The way that weights travel between clients and server; without one they are handed over directly."""

    def deliver(self, round: int, client: int, update: Tensor) -> Tensor:
        """Carry a client's weights to the server."""

    def close(self, round: int, weights: Tensor) -> None:
        """Announce the round's result."""


def client_seed(seed: int, round: int, client: int) -> int:
    """A seed for one client in one round, independent between all three numbers.

    >>> client_seed(0, 1, 2) == client_seed(0, 1, 2) != client_seed(0, 2, 1)
    True
    """
    return int(np.random.SeedSequence([seed, round, client]).generate_state(1, np.uint64)[0] >> 1)


def load_vector(model: nn.Module, vector: Tensor) -> None:
    """Copy a flat vector [P] into a model's weights.

    >>> net = nn.Linear(1, 1); load_vector(net, torch.tensor([2.0, 3.0])); net(torch.ones(1)).item()
    5.0
    """
    state = model.state_dict()
    with torch.no_grad():
        torch._foreach_copy_(list(state.values()), list(unflatten(vector, state, copy=False).values()))


def proximal_hook(anchors: list[Tensor], mu: float):
    r"""An optimiser hook that adds the gradient of :math:`\frac\mu2\lVert\theta-\theta_t\rVert^2`, FedProx's
    penalty.

    Li et al. (2020), MLSys, Eq. (2). The norm is *squared*: its gradient is :math:`\mu(\theta-\theta_t)`.

    Parameters
    ----------
    anchors : list of Tensor
        The global weights :math:`\theta_t`, in the order of the optimiser's parameters.
    mu : float
        Strength of the pull, >= 0.

    Examples
    --------
    >>> w = nn.Parameter(torch.tensor([3.0])); w.grad = torch.zeros(1)
    >>> optimizer = torch.optim.SGD([w], lr=1.0)
    >>> _ = optimizer.register_step_pre_hook(proximal_hook([torch.tensor([1.0])], mu=0.5))
    >>> optimizer.step(); w.item()
    2.0
    """

    def add(optimizer, args, kwargs):
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        with torch.no_grad():
            for parameter, anchor in zip(parameters, anchors, strict=True):
                if parameter.grad is not None:
                    parameter.grad.add_(parameter - anchor, alpha=mu)

    return add


def local_update(
    model: nn.Module,
    start: Tensor,
    images: Tensor,
    part: Tensor,
    schedule: NoiseSchedule,
    plan: Plan,
    round: int,
    client: int,
) -> tuple[Tensor, float]:
    """One client's work in one round: start from the global weights, train on the own images, hand back the
    result.

    Parameters
    ----------
    model : nn.Module
        A noise model to work in; its own weights are overwritten.
    start : Tensor [P]
        Global weights.
    images : Tensor [M, C, H, W]
        uint8, or floats used as they are.
    part : long Tensor [n]
        Which of them are this client's.
    schedule : NoiseSchedule
    plan : Plan
    round, client : int
        With ``plan.seed`` they decide every draw.

    Returns
    -------
    (Tensor [P], float)
        New weights, a copy; and the mean training loss over the local steps.

    Examples
    --------
    >>> from deepfake_kit.diffusion import UNet
    >>> net = UNet(channels=(8,), blocks=1, stem=2); plan = Plan(1, 1, 2, 0.1)
    >>> update, loss = local_update(net, flatten(net.state_dict()), torch.zeros(4, 1, 8, 8), torch.arange(2),
    ...                             NoiseSchedule.linear(), plan, round=0, client=0)
    >>> update.shape == flatten(net.state_dict()).shape
    True
    """
    load_vector(model, start)
    model.train()
    parameters = [p for p in model.parameters() if p.requires_grad]
    if plan.optimizer == "sgd":
        optimizer: torch.optim.Optimizer = torch.optim.SGD(parameters, lr=plan.lr)
    else:
        optimizer = torch.optim.AdamW(parameters, lr=plan.lr, fused=True)
    if plan.prox:
        anchors = [p.detach().clone() for p in parameters]
        optimizer.register_step_pre_hook(proximal_hook(anchors, plan.prox))
    generator = torch.Generator(images.device).manual_seed(client_seed(plan.seed, round, client))
    device, total = start.device, 0.0
    for _ in range(plan.local_steps):
        chosen = part[torch.randint(len(part), (plan.batch_size,), generator=generator, device=images.device)]
        x0 = to_model_range(images[chosen]).to(device)
        total = total + train_step(model, x0, schedule, optimizer, generator)
    return flatten(model.state_dict()), float(total) / plan.local_steps


def combine(
    updates: Updates,
    reference: Tensor,
    sizes: Sequence[int],
    plan: Plan,
    round: int,
    server: aggregation.AdamState | None = None,
):
    """The server's work in one round: validate, clip, combine, add noise, step.

    Parameters
    ----------
    updates : dict of int to Tensor [P]
        Clients' weights.
    reference : Tensor [P]
        The global weights they started from.
    sizes : sequence of int
        Images of each client of the federation.
    plan : Plan
    round : int
    server : AdamState, optional
        Moments of a server that uses Adam.

    Returns
    -------
    (Tensor [P], dict of int to str, AdamState or None)
        New global weights (the old ones if nothing was usable), reasons for rejection by client, new moments.

    Examples
    --------
    >>> updates = {0: torch.ones(2), 1: torch.full((2,), torch.nan)}
    >>> combine(updates, torch.zeros(2), [1, 1], Plan(1, 1, 1, 0.1), round=0)[:2]
    (tensor([1., 1.]), {1: 'holds 2 numbers that are not finite'})
    """
    used, rejected = {}, {}
    for client, update in updates.items():
        if not plan.validate and update.shape != reference.shape:
            raise ValueError(
                f"the update of client {client} has shape {tuple(update.shape)}; the model needs "
                f"{tuple(reference.shape)}. With validate=True it would be rejected"
            )
        reason = aggregation.reason_to_reject(update, reference, used) if plan.validate else None
        if reason is None:
            used[client] = update
        else:
            rejected[client] = reason
    if not used:
        return reference, rejected, server
    rows = torch.stack(list(used.values()))
    weights = [float(sizes[client]) if plan.weighting == "data" else 1.0 for client in used]
    if plan.clip is not None:
        rows = aggregation.clip_updates(rows, reference, plan.clip)
    new = (
        aggregation.coordinate_median(rows)
        if plan.rule == "median"
        else aggregation.weighted_mean(rows, weights)
    )
    if plan.noise and plan.clip is not None:
        generator = torch.Generator(new.device).manual_seed(client_seed(plan.seed, round, SERVER_NOISE))
        scale = plan.noise * plan.clip * max(weights) / sum(weights)
        new = new + scale * torch.randn(new.shape, generator=generator, device=new.device)
    if plan.server == "adam":
        new, server = aggregation.fedadam_step(reference, new, server, plan.server_lr)
    return new, rejected, server


def train(
    model: nn.Module,
    images: Tensor,
    parts: Sequence[Tensor],
    schedule: NoiseSchedule,
    plan: Plan,
    *,
    exchange: Exchange | None = None,
    faults: Callable[[int, Updates, Tensor], Updates] | None = None,
    checkpoint: str | os.PathLike | None = None,
    callback: Callable[[int, nn.Module], Any] | None = None,
) -> History:
    """Train a noise model over several clients; the model ends with the global weights.

    Parameters
    ----------
    model : nn.Module
        Its weights are the global weights of round 0.
    images : Tensor [M, C, H, W]
        uint8, or floats used as they are; all clients' images (in one process they share memory, not data).
    parts : sequence of long Tensor
        Indices of each client's images; see :mod:`deepfake_kit.partition`.
    schedule : NoiseSchedule
    plan : Plan
    exchange : Exchange, optional
        Carries weights, for instance through a market; the result must not depend on it.
    faults : callable (round, updates, global weights) -> updates, optional
        What goes wrong before updates are sent.
    checkpoint : path, optional
        File written after each round. If it exists, the run goes on from it.
    callback : callable (rounds done, model) -> object, optional
        Called with 0 before the first round, then after each; its results are kept in `History.records`. It
        must leave the weights alone, and return numbers, strings, tensors or lists of them if there is a
        `checkpoint`.

    Returns
    -------
    History

    Raises
    ------
    ValueError
        If there are no clients, a client has no images or indices outside `images`, more clients are to be
        sampled than there are, or the checkpoint belongs to another run.

    Examples
    --------
    >>> from deepfake_kit.diffusion import UNet
    >>> history = train(UNet(channels=(8,), blocks=1), torch.zeros(4, 1, 8, 8), partition_iid(4, 2, seed=0),
    ...                 NoiseSchedule.linear(), Plan(rounds=2, local_steps=1, batch_size=2, lr=1e-3))
    >>> len(history.losses)
    2
    """
    parts = [torch.as_tensor(part, dtype=torch.long, device=images.device) for part in parts]
    _check(images, parts, plan)
    sizes = [len(part) for part in parts]
    device = next(model.parameters()).device
    weights, server, history, done = flatten(model.state_dict()), None, History(), 0
    identity = {**asdict(plan), "sizes": sizes, "start": weights.double().sum().item()}
    if checkpoint is not None and Path(checkpoint).exists():
        weights, server, history, done = _resume(Path(checkpoint), identity, device)
        load_vector(model, weights)
    if callback and not history.records:
        history.records.append(callback(0, model))
    for round in range(done, plan.rounds):
        began = time.perf_counter()
        updates, losses = {}, {}
        for client in _participants(plan, round, len(parts)):
            updates[client], losses[client] = local_update(
                model, weights, images, parts[client], schedule, plan, round, client
            )
        if faults:
            updates = faults(round, updates, weights)
        if exchange:
            updates = {client: exchange.deliver(round, client, update) for client, update in updates.items()}
        weights, rejected, server = combine(updates, weights, sizes, plan, round, server)
        load_vector(model, weights)
        if exchange:
            exchange.close(round, weights)
        share = np.array([sizes[client] if plan.weighting == "data" else 1 for client in losses], dtype=float)
        history.losses.append(float(np.average(list(losses.values()), weights=share)))
        history.participants.append(list(updates))
        history.rejected += [(round, client, reason) for client, reason in rejected.items()]
        history.seconds.append(time.perf_counter() - began)
        if callback:
            history.records.append(callback(round + 1, model))
        if checkpoint is not None:
            _save(Path(checkpoint), identity, weights, server, history, round + 1)
    return history


def _check(images: Tensor, parts: list[Tensor], plan: Plan) -> None:
    if not parts:
        raise ValueError("parts is empty; at least one client is needed")
    if len(images) < len(parts):
        raise ValueError(f"parts names {len(parts)} clients, but there are only {len(images)} images")
    for client, part in enumerate(parts):
        if part.ndim != 1 or len(part) == 0:
            raise ValueError(
                f"parts[{client}] is empty; every client needs at least one image (leave it out, or "
                "split with a larger alpha or minimum)"
            )
        if int(part.min()) < 0 or int(part.max()) >= len(images):
            raise ValueError(
                f"parts[{client}] runs from {int(part.min())} to {int(part.max())}; "
                f"valid indices are 0 to {len(images) - 1}"
            )
    if plan.sampled is not None and plan.sampled > len(parts):
        raise ValueError(f"sampled={plan.sampled} clients a round, but there are only {len(parts)}")


def _participants(plan: Plan, round: int, clients: int) -> list[int]:
    if plan.sampled is None:
        return list(range(clients))
    rng = np.random.default_rng(client_seed(plan.seed, round, SERVER_NOISE))
    return sorted(rng.choice(clients, plan.sampled, replace=False).tolist())


def _save(path: Path, identity: dict, weights: Tensor, server, history: History, done: int) -> None:
    kept = {
        "identity": identity,
        "weights": weights,
        "server": None if server is None else list(server),
        "history": asdict(history),
        "done": done,
    }
    beside = path.with_name(path.name + ".part")
    torch.save(kept, beside)
    os.replace(beside, path)  # a run killed while it writes leaves the round before, whole


def _resume(path: Path, identity: dict, device: torch.device):
    kept = torch.load(path, map_location=device, weights_only=True)
    different = [name for name, value in identity.items() if kept["identity"].get(name) != value]
    if different:
        raise ValueError(
            f"checkpoint {path.name} belongs to another run: {different[0]} was "
            f"{kept['identity'].get(different[0])!r}, is {identity[different[0]]!r}"
        )
    server = None if kept["server"] is None else aggregation.AdamState(*kept["server"])
    history = History(**kept["history"])
    history.rejected = [tuple(row) for row in history.rejected]
    return kept["weights"], server, history, kept["done"]
