"""The choices of a federated run, and the record of what happened in it."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from deepfake_kit.valid import one_of, require, whole, within


@dataclass(frozen=True)
class Plan:
    r"""Every choice of a federated run.

    Attributes
    ----------
    rounds : int
        Global rounds.
    local_steps : int
        Optimiser steps of a client in a round (the paper's "local rounds", which it does not define).
    batch_size : int
        Images a step, drawn with replacement from the client's own.
    lr : float
        Learning rate of the clients.
    decay : bool
        Whether it falls to 0 over the rounds, along half a cosine (:meth:`rate`).
    target : {"noise", "velocity"}
        Whose squared error the clients make small. They differ by a weight only: with
        :math:`\sqrt{\bar\alpha_t}\,(v-\hat v)=\epsilon-\hat\epsilon` the error of the velocity is that of the noise
        over :math:`\bar\alpha_t` (Salimans and Ho 2022), so the late steps, at which a sample takes shape, count more.
    drop : float
        Share in [0, 1) of the conditions that are withheld in training, drawn anew each time, so that one network
        learns to guess with and without them (Ho and Salimans 2022, Algorithm 1; for guidance).
    seed : int
        Decides every draw of every client, >= 0.
    optimizer : {"adamw", "sgd"}
        The clients' optimiser; its state starts anew each round, so clients keep nothing between rounds.
    sampled : int or None
        Clients that take part in a round; None: all.
    weighting : {"data", "uniform"}
        Whether the mean weighs clients by their number of images (DD-TMA's text) or equally (its Eq. 5).
    rule : {"mean", "median"}
        How updates are combined.
    prox : float
        FedProx's mu >= 0 (Li et al. 2020).
    clip : float or None
        Longest step a client may take, in Euclidean norm.
    noise : float
        Noise multiplier z >= 0; the noise on the mean has standard deviation z * clip * (largest weight).
    server : {"average", "adam"}
        "average" takes the combined weights over; "adam" feeds their step to Adam (FedAdam, Reddi et al.
        2021).
    server_lr : float
        Learning rate of "adam".
    validate : bool
        Whether the server rejects updates that are not finite, of the wrong size, or copies.

    Raises
    ------
    ValueError
        If a field lies outside its range; the message names it.

    Examples
    --------
    >>> Plan(rounds=2, local_steps=3, batch_size=4, lr=0.1).weighting
    'data'
    """

    rounds: int
    local_steps: int
    batch_size: int
    lr: float
    seed: int = 0
    optimizer: str = "adamw"
    sampled: int | None = None
    weighting: str = "data"
    rule: str = "mean"
    prox: float = 0.0
    clip: float | None = None
    noise: float = 0.0
    decay: bool = False
    target: str = "noise"
    drop: float = 0.0
    server: str = "average"
    server_lr: float = 0.01
    validate: bool = True

    def __post_init__(self):
        for name in ("rounds", "local_steps", "batch_size"):
            whole(name, getattr(self, name), 1)
        whole("seed", self.seed, 0)
        whole("sampled", 1 if self.sampled is None else self.sampled, 1)
        one_of("optimizer", self.optimizer, ("adamw", "sgd"))
        one_of("target", self.target, ("noise", "velocity"))
        one_of("weighting", self.weighting, ("data", "uniform"))
        one_of("rule", self.rule, ("mean", "median"))
        one_of("server", self.server, ("average", "adam"))
        for name in ("prox", "noise"):
            within(name, getattr(self, name), "[0, inf)")
        for name in ("lr", "server_lr"):
            within(name, getattr(self, name), "(0, inf)")
        within("drop", self.drop, "[0, 1)")
        within("clip", 1 if self.clip is None else self.clip, "(0, inf]")
        fits = not self.noise or (self.clip is not None and self.rule == "mean")
        valid = "0, or a clip, which bounds one client's influence, and rule='mean'"
        require(fits, "noise", f"{self.noise} with clip={self.clip!r}, rule={self.rule!r}", valid)

    def rate(self, round: int) -> float:
        r"""The clients' learning rate in a round, counted from 0: :math:`\frac{lr}2(1+\cos\frac{\pi\,round}{rounds})`.

        >>> [Plan(2, 1, 1, lr=0.1, decay=decay).rate(1) for decay in (False, True)]
        [0.1, 0.05]
        """
        return self.lr * (0.5 + 0.5 * math.cos(math.pi * round / self.rounds)) if self.decay else self.lr


@dataclass
class History:
    """What happened in a run.

    Attributes
    ----------
    losses : list of float
        Mean local training loss of each round, over the participants by their weight.
    records : list
        What `callback` returned: before the first round, then after each.
    rejected : list of (round, client, reason)
        Updates that the server did not use.
    participants : list of list of int
        Clients that sent something, by round.
    seconds : list of float
        Duration of each round, without `callback`.
    """

    losses: list[float] = field(default_factory=list)
    records: list[Any] = field(default_factory=list)
    rejected: list[tuple[int, int, str]] = field(default_factory=list)
    participants: list[list[int]] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
