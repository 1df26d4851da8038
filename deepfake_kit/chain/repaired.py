"""The repaired market: commitments with reveal, capped weights, bonds tied to gas, averages that anybody may refute.

The contract is ``contracts/repaired_market.vy``; its head says what a round is. :mod:`deepfake_kit.chain.market` keeps
the first version, which chapter 5 robs.
"""

from __future__ import annotations

from hashlib import sha256

from deepfake_kit.chain.evm import Event, Market
from deepfake_kit.chain.merkle import Tree

#: Order of the terms in `publish`.
TERMS = tuple("recipe global_rounds least_data most_data numbers reward fee budget stake window".split())


def sealed(node: str, salt: bytes, root: bytes) -> bytes:
    """What a node commits to, H(address, salt, root): 32 bytes that open for this address alone.

    Parameters
    ----------
    node : str
        Address, ``0x`` and 40 hex digits.
    salt, root : bytes
        32 bytes each.

    Examples
    --------
    >>> len(sealed("0x" + "ab" * 20, bytes(32), bytes(32)))
    32
    """
    return sha256(bytes.fromhex(node[2:]) + salt + root).digest()


class RepairedMarket(Market):
    """The repaired contract on a :class:`~deepfake_kit.chain.evm.Chain` of its own.

    Parameters
    ----------
    code : str, optional
        Vyper source to deploy in place of the kit's; for tests of changed contracts.

    Examples
    --------
    >>> market = RepairedMarket(); publisher, node = market.account("DSP"), market.account("node")
    >>> task = market.publish(publisher, recipe=b"r" * 32, global_rounds=1, least_data=1, most_data=500, numbers=8,
    ...                       reward=10, fee=1, budget=100, stake=5, window=60)
    >>> market.send(node, "join", task, 2**63, value=5)
    >>> market.read("nodes", task, node).weight
    500
    """

    contract = "repaired_market"

    def send(self, sender: str, function: str, *args, value: int = 0):
        """Send a transaction and return the function's result.

        Raises
        ------
        TaskRefused
            With the contract's word in ``.reason``.
        """
        return self._contract.call(function, *args, sender=sender, value=value)

    def read(self, function: str, *args):
        """Result of a view function."""
        return self._contract.read(function, *args)

    def publish(self, publisher: str, **terms) -> int:
        """Lay down the terms (the names in `TERMS`) and the budget; returns the task's number."""
        return self.send(publisher, "publish", *(terms[name] for name in TERMS), value=terms["budget"])

    def refute(
        self, task: int, proposer: str, disputer: str, claimed: Tree, right: Tree, updates: dict[str, Tree]
    ) -> Event:
        """Play an open dispute to its end, both sides moving in time; returns the contract's verdict, ``Settled``.

        Parameters
        ----------
        task : int
        proposer, disputer : str
            Their addresses.
        claimed, right : Tree
            The proposer's average, and the disputer's own.
        updates : dict of str to Tree
            The standing update of each node.

        Raises
        ------
        TaskRefused
            If a move is refused.
        """
        while level := self.read("disputes", task).level:
            place = 2 * self.read("disputes", task).number
            left = claimed.node(level - 1, place)
            self.send(proposer, "open", task, left, claimed.node(level - 1, place + 1))
            self.send(disputer, "descend", task, left == right.node(level - 1, place))
        place = self.read("disputes", task).number
        self.send(proposer, "show", task, claimed.number(place))
        for node, tree in updates.items() if self.read("disputes", task).turn else ():  # none: decided by `show`
            self.send(disputer, "add", task, node, tree.number(place), tree.proof(place))
        return self.events[-1]
