"""A federated run through the task market: published, joined, priced, submitted by hash, aggregated, paid.

The chain keeps hashes and money; the weights lie in a content-addressed store. Weights travel as float32,
bit for bit, so a run through the market ends with the same weights as one without (DD-TMA, Secs. II.B-II.E).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from deepfake_kit.chain import store as stores
from deepfake_kit.chain.evm import ETHER
from deepfake_kit.chain.market import Offer, TaskMarket
from deepfake_kit.federated.plan import Plan
from deepfake_kit.valid import require


class Account(NamedTuple):
    """One node's bill: what it was offered, and wei it got as pay (without its stake)."""

    name: str
    offer: Offer
    paid: int


class MarketExchange:
    """Carries the weights of :func:`deepfake_kit.federated.train` through a
    :class:`~deepfake_kit.chain.market.TaskMarket`.

    A round in which nobody's update arrives leaves no trace on the chain: the contract's round stays open, and the
    run's next one fills it. A task that such rounds left unfinished is ended by its deadline, in `settle`.

    Parameters
    ----------
    market : TaskMarket
    store : FolderStore
        Where the bytes lie.
    plan : Plan
        The run's settings, which become the task's.
    sizes : sequence of int
        Images of each client.
    costs : sequence of float
        Cost C of each client, e.g. from :func:`deepfake_kit.game.stackelberg.draw_costs`.
    start : Tensor [P]
        Global weights of round 0; their hash names the task.
    unit : int
        Wei that one unit of utility is worth.

    Raises
    ------
    ValueError
        If there is not one cost for each client.
    deepfake_kit.chain.evm.TaskRefused
        If the market refuses the terms.

    Examples
    --------
    >>> import tempfile
    >>> plan = Plan(rounds=1, local_steps=1, batch_size=1, lr=0.1)
    >>> store = stores.FolderStore(tempfile.mkdtemp())
    >>> way = MarketExchange(TaskMarket(), store, plan, [5], [0.1], torch.zeros(2))
    >>> way.deliver(0, 0, torch.ones(2)).tolist()
    [1.0, 1.0]
    """

    window = 600  # seconds of the chain's clock; real time plays no part

    def __init__(
        self,
        market: TaskMarket,
        store: stores.FolderStore,
        plan: Plan,
        sizes: Sequence[int],
        costs: Sequence[float],
        start: Tensor,
        unit: int = ETHER // 100,
    ):
        require(len(sizes) == len(costs), "costs", len(costs), f"one for each of {len(sizes)} clients")
        self.market, self.store, self.like = market, store, {"weights": start}
        self.publisher = market.account("DSP")
        digest = store.put(stores.pack(self.like))
        self.task = market.publish(
            self.publisher,
            architecture=digest,
            local_rounds=plan.local_steps,
            global_rounds=plan.rounds,
            learning_rate=plan.lr,
            data_size=min(sizes),
            unit=unit,
            budget=unit * len(sizes),
            stake=unit,
            window=self.window,
        )
        self.nodes = [market.account(f"node {i}") for i in range(len(sizes))]
        self.offers = [
            market.join(node, self.task, size, cost) for node, size, cost in zip(self.nodes, sizes, costs, strict=True)
        ]
        market.advance(self.window + 1)

    def deliver(self, round: int, client: int, update: Tensor) -> Tensor:
        """Store the bytes and submit their hash; the server verifies what it fetches."""
        kind = "float64" if update.dtype == torch.float64 else "float32"
        digest = self.store.put(stores.pack({"weights": update}, kind))
        round = self.market.state(self.task).round  # the chain's own count
        self.market.submit(self.nodes[client], self.task, round, digest)
        on_chain = self.market.digest(self.task, round, self.nodes[client])
        return stores.unpack(self.store.get(on_chain), {"weights": torch.empty_like(update)}, kind)["weights"]

    def close(self, round: int, weights: Tensor) -> None:
        """Put the new weights' hash on the chain, if anybody sent; wait out the deadline if somebody is missing."""
        state = self.market.state(self.task)
        if 0 < state.submissions < len(self.nodes):
            self.market.advance(self.window + 1)
        if state.submissions:
            digest = self.store.put(stores.pack({"weights": weights}))
            self.market.aggregate(self.publisher, self.task, state.round, digest)

    def settle(self) -> list[Account]:
        """Pay every node that has something due, refund the publisher, and return the bills.

        A task whose last round nobody filled is over once its deadline has passed, so the clock goes on by a window.
        """
        self.market.advance(self.window + 1)
        bills = []
        for client, (node, offer) in enumerate(zip(self.nodes, self.offers, strict=True)):
            due = self.market.due(self.task, node)
            stake = self.market.terms(self.task).stake
            if due:
                self.market.pay(self.publisher, self.task, node)
            bills.append(Account(f"node {client}", offer, max(0, due - stake)))
        self.market.refund(self.publisher, self.task)
        return bills
