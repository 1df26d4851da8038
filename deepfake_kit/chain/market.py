r"""Training tasks on a chain: a market contract in a real Ethereum virtual machine, inside this process.

The contract is ``contracts/task_market.vy`` (Vyper), run by :mod:`deepfake_kit.chain.evm`: every gas figure, event
and refusal comes from the machine that public chains run.

A task passes through publish, join, submit, (challenge, answer or slash,) aggregate, pay and refund. Whatever
the contract refuses comes back as :class:`~deepfake_kit.chain.evm.TaskRefused` with the contract's own word for it
in ``.reason``.
After Yang et al. (2024), IEEE Access ("DD-TMA"), Secs. II.B-II.E, which name these steps and specify none.
"""

from __future__ import annotations

from fractions import Fraction
from typing import NamedTuple

from deepfake_kit.chain.evm import Market, whole
from deepfake_kit.valid import require

WAD = 10**18  # one, in the contract's fixed point
PHASES = ("joining", "training", "over")


class Offer(NamedTuple):
    """What a node is offered: price and quality (exact fractions), wei for each accepted round."""

    price: Fraction
    quality: Fraction
    reward: int


def to_wad(name: str, x) -> int:
    """A number as the contract's fixed point with 18 decimals, rounded to the nearest.

    Parameters
    ----------
    name : str
        What the number is, for the message.
    x : int, float, numpy's numbers, Fraction or Decimal
        A finite number >= 0.

    Raises
    ------
    ValueError
        If `x` is negative, NaN, infinite or not a number.

    Examples
    --------
    >>> to_wad("cost", 0.25)
    250000000000000000
    """
    try:
        exact = Fraction(x := x.item() if hasattr(x, "item") else x)
    except (TypeError, ValueError, OverflowError):
        exact = Fraction(-1)
    require(exact >= 0 and not isinstance(x, bool), name, x, "a finite number >= 0")
    return whole(name, round(exact * WAD))


def _cost(x) -> int:
    wad = to_wad("cost", x)
    require(x != 0, "cost", x, "a finite number > 0")
    return wad


class TaskMarket(Market):
    """The task market on a :class:`~deepfake_kit.chain.evm.Chain` of its own.

    Parameters
    ----------
    code : str, optional
        Vyper source to deploy in place of the kit's; for tests of changed contracts.

    Attributes
    ----------
    address : str
        The contract's account.
    names, receipts, events
        As for :class:`~deepfake_kit.chain.evm.Chain`: who, every transaction, everything logged.

    Examples
    --------
    >>> from deepfake_kit.chain.evm import ETHER
    >>> market = TaskMarket(); publisher, node = market.account("DSP"), market.account("node")
    >>> task = market.publish(publisher, architecture="ab" * 32, local_rounds=1, global_rounds=2,
    ...                       learning_rate=1e-3, data_size=100, unit=ETHER, budget=ETHER,
    ...                       stake=ETHER // 10, window=60)
    >>> offer = market.join(node, task, data_size=100, cost=0.125)
    >>> float(offer.price), float(offer.quality), offer.reward
    (0.25, 1.0, 125000000000000000)
    """

    contract = "task_market"

    # -- the life of a task ------------------------------------------------------------

    def publish(
        self,
        publisher: str,
        *,
        architecture: str,
        local_rounds: int,
        global_rounds: int,
        learning_rate: float,
        data_size: int,
        unit: int,
        budget: int,
        stake: int,
        window: int,
        value: int | None = None,
    ) -> int:
        """Publish a task and escrow its budget; returns the task's number.

        Parameters
        ----------
        publisher : str
            Account that pays (the paper's DSP).
        architecture : str or bytes
            SHA-256 that names the network, 64 hex digits.
        local_rounds, global_rounds : int
            Optimiser rounds at a node between two submissions, and submissions in all; 1 to 10**6.
        learning_rate : float
            In (0, 1].
        data_size : int
            Fewest samples a node must bring.
        unit, budget, stake : int
            Wei: the worth of one unit of utility, the escrow, and a node's deposit (also a challenge's bond).
        window : int
            Seconds for joining, for each submission, and for an answer to a challenge.
        value : int, optional
            Wei sent along; the budget unless given.

        Raises
        ------
        TaskRefused
            ``task_underfunded`` if `value` is not the budget; ``<quantity>_out_of_range`` for a quantity
            that the fixed point cannot carry.
        ValueError
            If an argument cannot be encoded at all.
        """
        rate, value = to_wad("learning_rate", learning_rate), budget if value is None else value
        plan = (architecture, local_rounds, global_rounds, rate)
        paid = (data_size, unit, budget, stake, window)
        return self._contract.call("publish", *plan, *paid, sender=publisher, value=value)

    def join(self, node: str, task_id: int, data_size: int, cost: float, stake: int | None = None) -> Offer:
        """Join a task with a declared data size and cost C; the contract answers with its price.

        Raises
        ------
        TaskRefused
            ``joining_closed``, ``publisher_cannot_join``, ``already_joined``, ``not_enough_data``,
            ``wrong_stake``, ``cost_out_of_range`` (C outside [1e-6, 1e6]), ``reward_rounds_to_zero``,
            ``budget_exhausted``.
        ValueError
            If `cost` is not a finite number > 0.
        """
        stake = self.terms(task_id).stake if stake is None else stake
        self._contract.call("join", task_id, data_size, _cost(cost), sender=node, value=stake)
        made = self.events[-1].fields
        return Offer(Fraction(made["price"], WAD), Fraction(made["quality"], WAD), made["reward"])

    def submit(self, node: str, task_id: int, round: int, digest: str) -> None:
        """Commit to the SHA-256 of this round's update.

        Raises
        ------
        TaskRefused
            ``not_joined``, ``node_slashed``, ``joining_still_open``, ``round_not_open``, ``update_late``,
            ``task_ended``, ``already_submitted``, ``empty_hash``.
        """
        self._contract.call("submit", task_id, round, digest, sender=node)

    def challenge(self, publisher: str, task_id: int, node: str, bond: int | None = None) -> None:
        """Demand that a node shows the bytes behind its hash, on chain; the bond is lost if it does."""
        bond = self.terms(task_id).stake if bond is None else bond
        self._contract.call("challenge", task_id, node, sender=publisher, value=bond)

    def answer(self, sender: str, task_id: int, node: str, data: bytes) -> None:
        """Show the challenged bytes (at most 256 KiB); the contract hashes them itself."""
        require(len(data) <= 2**18, "data", len(data), f"at most {2**18} bytes long")
        self._contract.call("answer", task_id, node, data, sender=sender)

    def slash(self, sender: str, task_id: int, node: str) -> None:
        """Take the stake of a node that did not answer in time."""
        self._contract.call("slash", task_id, node, sender=sender)

    def aggregate(self, publisher: str, task_id: int, round: int, digest: str) -> None:
        """Record the SHA-256 of the round's aggregate and accept the updates that stand.

        Raises
        ------
        TaskRefused
            ``not_publisher``, ``task_ended``, ``joining_still_open``, ``wrong_round``, ``empty_hash``,
            ``dispute_open``, ``round_still_open`` (updates are missing and there is time left).
        """
        self._contract.call("aggregate", task_id, round, digest, sender=publisher)

    def pay(self, sender: str, task_id: int, node: str) -> int:
        """Send a node what it has earned, and its stake once the task is over; returns the wei.

        Anyone may call; the money goes to the node.

        Raises
        ------
        TaskRefused
            ``not_joined``, ``dispute_open``, ``nothing_due``, ``payee_rejected``.
        """
        self._contract.call("pay", task_id, node, sender=sender)
        return self.events[-1].fields["amount"] + self.events[-1].fields["stake"]

    def refund(self, sender: str, task_id: int) -> int:
        """Send the publisher what no node has earned; returns the wei. Anyone may call once the task is over.

        Raises
        ------
        TaskRefused
            ``no_such_task``, ``already_refunded``, ``task_running``, ``dispute_open``, ``payee_rejected``.
        """
        self._contract.call("refund", task_id, sender=sender)
        return self.events[-1].fields["amount"]

    # -- looking -----------------------------------------------------------------------

    def quote(self, cost: float) -> tuple[Fraction, Fraction]:
        """Equilibrium price and quality for a cost C > 0, as the contract computes them."""
        price, quality = self._contract.read("quote", _cost(cost))
        return Fraction(price, WAD), Fraction(quality, WAD)

    def terms(self, task_id: int):
        """What the publisher laid down: the contract's struct `Terms`."""
        return self._contract.read("terms", whole("task_id", task_id))

    def state(self, task_id: int):
        """Where the task stands: the contract's struct `Task`."""
        return self._contract.read("tasks", whole("task_id", task_id))

    def node(self, task_id: int, address: str):
        """A node's record in a task: the contract's struct `Node`."""
        return self._contract.read("nodes", whole("task_id", task_id), address)

    def digest(self, task_id: int, round: int, node: str | None = None) -> str:
        """Recorded SHA-256 (64 hex digits) of a node's update, or of the round's aggregate; zeros if none."""
        if node is None:
            return self._contract.read("aggregates", task_id, round).hex()
        return self._contract.read("updates", task_id, round, node).hex()

    def phase(self, task_id: int) -> str:
        """``"joining"``, ``"training"`` or ``"over"``, at this second."""
        return PHASES[self._contract.read("phase", task_id)]

    def due(self, task_id: int, address: str) -> int:
        """Wei that `pay` would send to a node now."""
        return self._contract.read("due", task_id, address)

    def totals(self) -> dict[str, int]:
        """Wei that came in, and that went to nodes as pay, went back, or are held: the two agree."""
        deposited, paid, refunded = self._contract.read("ledger")
        return {"deposited": deposited, "paid": paid, "refunded": refunded, "held": self.balance(self.address)}
