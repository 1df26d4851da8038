r"""Federated training of a noise model: clients train on their own images, a server averages their weights.

The loop is FedAvg (McMahan et al. 2017, Algorithm 1) around the diffusion step of
:mod:`deepfake_kit.diffusion`; DD-TMA, Sec. II.D, is its use. :class:`Plan` holds every choice. A client is a
pure function of (global weights, round, client, seed), :func:`local_update`, so a run does not depend on
where or in which order the clients train: one process, one client after the other
(:mod:`deepfake_kit.federated.client`) or, but for rounding, all at once
(:mod:`deepfake_kit.federated.batched`), several machines (a Flower app, ``tests/flower/app``), through a market
(:mod:`deepfake_kit.federated.exchange`), or resumed after a crash.
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

from deepfake_kit.diffusion import NoiseSchedule
from deepfake_kit.federated import aggregation
from deepfake_kit.federated.batched import BatchedWorker
from deepfake_kit.federated.client import FlatWeights, Worker, client_seed, load_vector
from deepfake_kit.federated.plan import History, Plan
from deepfake_kit.training import save
from deepfake_kit.valid import invalid, one_of, require, whole

Updates = dict[int, Tensor]
ENGINES = ("loop", "batched", "compiled")
SERVER_NOISE = 2**32 - 1  # in the place of a client's number, for the server's own draws


class Exchange(Protocol):
    """The way that weights travel between clients and server; without one they are handed over directly."""

    def deliver(self, round: int, client: int, update: Tensor) -> Tensor:
        """Carry a client's weights to the server."""

    def close(self, round: int, weights: Tensor) -> None:
        """Announce the round's result."""


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
        fits = plan.validate or update.shape == reference.shape
        valid = f"{tuple(reference.shape)}; with validate=True it would be rejected"
        require(fits, f"the update of client {client}", update, valid)
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
    new = aggregation.coordinate_median(rows) if plan.rule == "median" else aggregation.weighted_mean(rows, weights)
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
    conditions: Tensor | None = None,
    engine: str = "loop",
) -> History:
    """Train a noise model over several clients; the model ends with the global weights.

    Parameters
    ----------
    model : nn.Module
        Its weights are the global weights of round 0.
    images : Tensor [M, C, H, W]
        uint8, or floats used as they are; all clients' images (in one process they share memory, not data),
        on the model's device.
    parts : sequence of long Tensor
        Indices of each client's images; see :mod:`deepfake_kit.federated.partition`.
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
    conditions : Tensor [M, D], optional
        What the model is told about each image, as its third argument: a label as ones and zeros, say.
    engine : {"loop", "batched", "compiled"}
        One client after the other, all as one computation, or that compiled. The same but for rounding.

    Returns
    -------
    History

    Raises
    ------
    ValueError
        If there are no clients, a client has no images or indices outside `images`, more clients are to be
        sampled than there are, the images lie on another device than the model, `conditions` has not one row
        for each image, `engine` is unknown, or the checkpoint belongs to another run.

    Examples
    --------
    >>> from deepfake_kit.diffusion import UNet
    >>> from deepfake_kit.federated import partition_iid
    >>> history = train(UNet(channels=(8,), blocks=1), torch.zeros(4, 1, 8, 8), partition_iid(4, 2),
    ...                 NoiseSchedule.linear(), Plan(rounds=2, local_steps=1, batch_size=2, lr=1e-3))
    >>> len(history.losses)
    2
    """
    parts = [torch.as_tensor(part, dtype=torch.long, device=images.device) for part in parts]
    one_of("engine", engine, ENGINES)
    device = next(model.parameters()).device
    _check(images, parts, plan, device, conditions)
    sizes = [len(part) for part in parts]
    live = FlatWeights(model)
    weights, server, history, done = live.read(), None, History(), 0
    start = weights.double().sum().item()
    identity = {**asdict(plan), "sizes": sizes, "start": start}
    if checkpoint is not None and Path(checkpoint).exists():
        weights, server, history, done = _resume(Path(checkpoint), identity, device)
        live.write(weights)
    if callback and not history.records:
        history.records.append(callback(0, model))
    work = _engine(engine, model, plan)
    for round in range(done, plan.rounds):
        began = time.perf_counter()
        who = _participants(plan, round, len(parts))
        updates, losses = work(weights, images, parts, schedule, round, who, conditions)
        if faults:
            updates = faults(round, updates, weights)
        if exchange:
            updates = {client: exchange.deliver(round, client, update) for client, update in updates.items()}
        weights, rejected, server = combine(updates, weights, sizes, plan, round, server)
        load_vector(model, weights)
        if exchange:
            exchange.close(round, weights)
        # Who took part is whose update arrived; the loss is theirs.
        came = {client: loss for client, loss in zip(who, losses, strict=True) if client in updates}
        share = [sizes[client] if plan.weighting == "data" else 1 for client in came]
        history.losses.append(float(np.average([*came.values()], weights=share)) if came else float("nan"))
        history.participants.append(list(updates))
        history.rejected += [(round, client, reason) for client, reason in rejected.items()]
        history.seconds.append(time.perf_counter() - began)
        if callback:
            history.records.append(callback(round + 1, model))
        if checkpoint is not None:
            _save(Path(checkpoint), identity, weights, server, history, round + 1)
    return history


def _engine(name: str, model: nn.Module, plan: Plan) -> Callable[..., tuple[Updates, list[float]]]:
    """A function that lets the clients of one round train: updates by client, and their losses in order."""
    together = None if name == "loop" else BatchedWorker(model, plan, compiled=name == "compiled")

    def loop(weights, images, parts, schedule, round, who, conditions):
        worker = Worker(model, plan)  # anew each round, as a callback may have given the model other tensors
        done = [worker(weights, images, parts[k], schedule, round, k, conditions) for k in who]
        return {k: update for k, (update, _) in zip(who, done, strict=True)}, [loss for _, loss in done]

    def batched(weights, images, parts, schedule, round, who, conditions):
        rows, losses = together(weights, images, parts, schedule, round, who, conditions)
        return dict(zip(who, rows, strict=True)), losses.tolist()

    return loop if together is None else batched


def _check(images: Tensor, parts: list[Tensor], plan: Plan, device: torch.device, conditions: Tensor | None) -> None:
    require(parts, "parts", "none", "at least one client")
    require(len(images) >= len(parts), "parts", f"{len(parts)} clients", f"at most one an image, {len(images)}")
    for client, part in enumerate(parts):
        valid = f"at least one index from 0 to {len(images) - 1} (a larger alpha or minimum leaves no client empty)"
        inside = part.ndim == 1 and len(part) and 0 <= int(part.min()) and int(part.max()) < len(images)
        require(inside, f"parts[{client}]", part.flatten().tolist()[:5], valid)
    whole("sampled", 1 if plan.sampled is None else plan.sampled, 1, len(parts))
    require(images.device == device, "images", f"those on {images.device}", f"on {device}, as the model")
    if conditions is not None:
        fits = conditions.device == device and len(conditions) == len(images)
        require(fits, "conditions", conditions, f"one row for each of {len(images)} images, on {device}")


def _participants(plan: Plan, round: int, clients: int) -> list[int]:
    if plan.sampled is None:
        return list(range(clients))
    rng = np.random.default_rng(client_seed(plan.seed, round, SERVER_NOISE))
    return sorted(rng.choice(clients, plan.sampled, replace=False).tolist())


def _save(path: Path, identity: dict, weights: Tensor, server, history: History, done: int) -> None:
    kept = {"identity": identity, "weights": weights, "history": asdict(history), "done": done}
    kept["server"] = None if server is None else list(server)
    save(path, kept)  # a run killed while it writes leaves the round before, whole


def _resume(path: Path, identity: dict, device: torch.device):
    kept = torch.load(path, map_location=device, weights_only=True)
    different = [name for name, value in identity.items() if kept["identity"].get(name) != value]
    if different:
        then, now = kept["identity"].get(different[0]), identity[different[0]]
        raise invalid(f"checkpoint {path.name}", f"one with {different[0]}={then!r}", f"one of this run, with {now!r}")
    server = None if kept["server"] is None else aggregation.AdamState(*kept["server"])
    history = History(**kept["history"])
    history.rejected = [tuple(row) for row in history.rejected]
    return kept["weights"], server, history, kept["done"]
