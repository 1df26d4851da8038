"""The market under random and hostile traces, against a bookkeeper that never looks into the contract.

The bookkeeper writes down what the chain accepted (deposits, updates, closed rounds, answers, slashes) and works out
from the task's rules what each account may have received. After every call that it took the contract must hold exactly
what came in less what went out, and a refused one must move nothing; at the end of every trace each task must end and
the last wei must leave.
"""

import hashlib
import random
import re
from functools import cache

import mpmath
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

pytest.importorskip("boa", reason="the chain extra is not installed")

from deepfake_kit.chain.evm import ETHER, TaskRefused, source  # noqa: E402
from deepfake_kit.chain.market import TaskMarket, to_wad  # noqa: E402
from tests.unit.traces import catches, run  # noqa: E402

REASONS = set(re.findall(r'"([a-z_0-9]+)"', re.sub(r'""".*?"""', "", source(), flags=re.S)))
WINDOW = 100
COSTS = (0.0105, 0.15, 0.18033, 0.18034, 0.5, 40.0)
PEOPLE = ("publisher", "second publisher", "anna", "boris", "chen", "stranger")
SEEN: dict[str, int] = {}


@cache
def reward(cost: float, unit: int, rounds: int) -> int:
    """Equilibrium pay a round in whole wei, from 60 digits; the contract may round down by a wei or two more."""
    with mpmath.workdps(60):
        c = mpmath.mpf(cost)
        price = min(2 * c, mpmath.sqrt(c * c + c / mpmath.log(2)) - c)
        return int(mpmath.floor(price * min(1, price / (2 * c)) * unit / rounds))


class Book:
    """What the bookkeeper knows of one task."""

    def __init__(self, publisher, budget, stake, rounds, unit, now):
        self.publisher, self.budget, self.stake, self.rounds, self.unit = publisher, budget, stake, rounds, unit
        self.join_deadline, self.deadline, self.round = now + WINDOW, now + 2 * WINDOW, 0
        self.costs, self.slashed, self.bonds_won = {}, set(), {}
        self.standing: set[tuple[int, str]] = set()
        self.disputes: dict[str, int] = {}
        self.received: dict[str, int] = {}
        self.cancelled = False

    def over(self, now):
        current = {node for r, node in self.standing if r == self.round}
        nobody = not set(self.costs) - self.slashed
        return (
            self.cancelled
            or self.round == self.rounds
            or (now > self.join_deadline and nobody)
            or (now > self.deadline and not current)
            or now > self.deadline + 3 * WINDOW
        )

    def pay_a_round(self, node):
        return reward(self.costs[node], self.unit, self.rounds)

    def owed(self, node, now):
        """Wei that a node may have received by now, all in all."""
        closed = self.rounds if self.over(now) else self.round
        rounds = sum(1 for r, who in self.standing if who == node and (r < closed or self.over(now)))
        stake = self.stake if self.over(now) and node not in self.slashed else 0
        return rounds * self.pay_a_round(node) + self.bonds_won.get(node, 0) + stake


class MarketMachine(RuleBasedStateMachine):
    """Hostile callers against one contract; `CODE` is replaced to plant faults."""

    CODE = source()

    @initialize(seed=st.integers(0, 2**32 - 1))
    def open_market(self, seed):
        dice = random.Random(seed)
        rounds, nodes, skip = dice.randint(1, 3), dice.choice([0, 1, 2, 2, 3, 4]), dice.random() < 0.85
        self.market, self.moved = TaskMarket(self.CODE), True
        self.people = {name: self.market.account(name, ETHER) for name in PEOPLE}
        self.greedy = self.market.deploy(source("greedy_payee"), "greedy")
        self.accounts = [*self.people.values(), self.greedy.address]
        self.stranger = self.people["stranger"]
        self.books: list[Book] = []
        self.deposited = 0
        self.open_task(0, rounds, 10**16)
        for node in self.accounts[6:1:-1][:nodes]:
            self.enter(0, node, COSTS[len(self.books[0].costs)], 0)
        self.market.advance(skip * (WINDOW + 1))

    def pick(self, dice, likely=()):
        """An account: one of the likely ones four times out of five, if there are any."""
        return dice.choice(sorted(likely) if likely and dice.random() < 0.8 else self.accounts)

    def book(self, task):
        return self.books[task] if task < len(self.books) else Book("", 0, 0, 1, 0, 0)

    def attempt(self, call, *args, **kwargs):
        """(result, None) or (None, reason); a refusal must be named and must move no money."""
        before = [self.market.balance(x) for x in self.accounts]
        try:
            result, self.moved = call(*args, **kwargs), True
            return result, None
        except TaskRefused as refusal:
            SEEN[refusal.reason] = SEEN.get(refusal.reason, 0) + 1
            assert refusal.reason in REASONS, f"unnamed refusal {refusal}"
            assert before == [self.market.balance(x) for x in self.accounts], f"{refusal} moved money"
            return None, refusal.reason

    def open_task(self, who, rounds, budget, short=0):
        publisher = self.accounts[who]
        terms = dict(
            architecture="ab" * 32,
            local_rounds=1,
            global_rounds=rounds,
            learning_rate=1e-3,
            data_size=10,
            unit=10**16,
            budget=budget,
            stake=10**13,
            window=WINDOW,
        )
        task, refused = self.attempt(self.market.publish, publisher, **terms, value=budget - short)
        assert (refused == "task_underfunded") == bool(short)
        if refused is None:
            self.deposited += budget
            self.books.append(Book(publisher, budget, terms["stake"], rounds, terms["unit"], self.market.now))
            assert task == len(self.books) - 1

    def enter(self, task, node, cost, wrong):
        stake = 10**13 + wrong
        if node == self.greedy.address:
            _, refused = self.attempt(
                self.greedy.call,
                "join",
                self.market.address,
                task,
                10,
                to_wad("cost", cost),
                sender=self.stranger,
                value=stake,
            )
        else:
            _, refused = self.attempt(self.market.join, node, task, 10, cost, stake=stake)
        if refused is None:
            self.deposited += stake
            assert not wrong and node != self.books[task].publisher
            self.books[task].costs[node] = cost
            self.books[task].received[node] = 0

    @rule(seed=st.integers(0, 2**32 - 1))
    def call(self, seed):
        """One call. One rule with its own dice, since hypothesis switches whole rules off in most traces."""
        dice = random.Random(seed)
        task = dice.choice([0] * 7 + [1, 1, 2])  # number 2 seldom exists
        disputed = 8 if self.book(task).disputes else 1
        weights = {
            self.publish: 2,
            self.join: 5,
            self.submit: 26,
            self.aggregate: 14,
            self.challenge: 8,
            self.answer: disputed,
            self.slash: disputed,
            self.pay: 11,
            self.refund: 3,
            self.wait: 9,
        }
        (chosen,) = dice.choices(list(weights), list(weights.values()))
        chosen(task, dice)

    def publish(self, task, dice):
        if len(self.books) < 3:
            self.open_task(dice.randint(0, 1), dice.randint(1, 3), dice.choice([10**16, 10**12]), dice.random() < 0.2)

    def join(self, task, dice):
        self.enter(task, self.pick(dice, self.accounts[2:]), dice.choice(COSTS), dice.random() < 0.2)

    def submit(self, task, dice):
        book, shift, blank = self.book(task), dice.choice([0] * 8 + [-1, 1]), dice.random() < 0.1
        waiting = [node for node in book.costs if (book.round, node) not in book.standing]
        node, round = self.pick(dice, waiting or book.costs), max(0, book.round + shift)
        digest = bytes(32) if blank else hashlib.sha256(node.encode()).digest()
        if node == self.greedy.address:
            _, refused = self.attempt(
                self.greedy.call, "submit", self.market.address, task, round, digest, sender=self.stranger
            )
        else:
            _, refused = self.attempt(self.market.submit, node, task, round, digest)
        if refused is None:
            assert node in book.costs and node not in book.slashed, "a stranger's update was taken"
            assert book.join_deadline < self.market.now <= book.deadline, "a late update was taken"
            assert (round, node) not in book.standing, "an update was taken twice"
            book.standing.add((round, node))

    def aggregate(self, task, dice):
        book, shift = self.book(task), dice.random() < 0.1
        who, round = self.pick(dice, [book.publisher] if book.publisher else ()), book.round + shift
        _, refused = self.attempt(self.market.aggregate, who, task, round, "ee" * 32)
        if refused is None:
            assert who == book.publisher and not book.disputes and not shift
            book.round, book.deadline = round + 1, self.market.now + WINDOW

    def challenge(self, task, dice):
        book, wrong = self.book(task), dice.random() < 0.1
        node = self.pick(dice, [who for r, who in book.standing if r == book.round])
        _, refused = self.attempt(self.market.challenge, book.publisher or self.stranger, task, node, 10**13 - wrong)
        if refused is None:
            assert (book.round, node) in book.standing and not wrong
            self.deposited += book.stake
            book.disputes[node] = self.market.now + WINDOW

    def answer(self, task, dice):
        book, honest = self.book(task), dice.random() < 0.6
        node = self.pick(dice, book.disputes)
        _, refused = self.attempt(
            self.market.answer, self.stranger, task, node, node.encode() if honest else b"other bytes"
        )
        if refused is None:
            assert honest and self.market.now <= book.disputes.pop(node)
            book.bonds_won[node] = book.bonds_won.get(node, 0) + book.stake

    def slash(self, task, dice):
        book = self.book(task)
        node = self.pick(dice, book.disputes)
        _, refused = self.attempt(self.market.slash, self.stranger, task, node)
        if refused is None:
            assert self.market.now > book.disputes.pop(node), "slashed before the answer was due"
            book.standing.remove((book.round, node))
            book.slashed.add(node)

    def pay(self, task, dice):
        self.settle(task, self.pick(dice, self.book(task).costs), self.pick(dice))

    def settle(self, task, node, caller):
        before, logged = [self.market.balance(x) for x in self.accounts], len(self.market.events)
        _, refused = self.attempt(self.market.pay, caller, task, node)
        if refused is None:
            assert node in self.books[task].costs, "someone who never joined was paid"
            gained = {x: self.market.balance(x) - old for x, old in zip(self.accounts, before)}
            paid = [e.fields for e in self.market.events[logged:]]  # a payee that re-enters may collect two tasks
            assert gained.pop(node) == sum(f["amount"] + f["stake"] for f in paid), "not what the events say"
            assert not any(gained.values()), "someone else was paid"
            for f in paid:
                book = self.books[f["task_id"]]
                book.received[node] += f["amount"] + f["stake"]
                assert f["node"] == node
                assert abs(book.received[node] - book.owed(node, self.market.now)) <= 6, "not what the rules say"

    def refund(self, task, dice):
        book = self.book(task)
        before = self.market.balance(book.publisher) if book.publisher else 0
        _, refused = self.attempt(self.market.refund, self.pick(dice, [book.publisher] * bool(book.publisher)), task)
        if refused is None:
            assert book.over(self.market.now) or not set(book.costs) - book.slashed
            book.cancelled = True
            earned = sum(book.pay_a_round(node) for _, node in book.standing)
            due = book.budget - earned + 2 * book.stake * len(book.slashed)
            assert abs(self.market.balance(book.publisher) - before - due) <= 60, "not what the rules say"

    def wait(self, task, dice):
        self.market.advance(dice.choice([1] * 5 + [10] * 5 + [WINDOW // 2] * 5 + [WINDOW + 1] * 3 + [4 * WINDOW]))

    @invariant()
    def the_books_balance(self):
        """After each call that was taken; one that was refused is undone by the chain, and time alone moves nothing."""
        if not hasattr(self, "market") or not self.moved:
            return
        self.moved = False
        totals = self.market.totals()
        assert totals["deposited"] == self.deposited
        assert totals["held"] + totals["paid"] + totals["refunded"] == totals["deposited"]

    def teardown(self):
        if not hasattr(self, "market"):
            return
        self.market.advance(10 * WINDOW)
        for task, book in enumerate(self.books):
            for node in list(book.disputes):
                self.market.slash(self.stranger, task, node)
                book.standing.remove((book.round, node))
                book.slashed.add(node)
            assert self.market.phase(task) == "over", "a task did not end"
            for node in book.costs:
                due = self.market.due(task, node)
                assert abs(due + book.received[node] - book.owed(node, self.market.now)) <= 6
                if due:
                    self.settle(task, node, self.stranger)
            _, refused = self.attempt(self.market.refund, self.stranger, task)
            assert refused in (None, "already_refunded")
        assert self.market.balance(self.market.address) == 0, "money is stuck, or someone else's was paid out"
        assert sum(map(self.market.balance, self.accounts)) == ETHER * len(PEOPLE), "wei appeared or vanished"


@pytest.mark.slow(60)
def test_no_trace_of_calls_loses_or_makes_money():
    SEEN.clear()
    run(MarketMachine, 200)  # each planted fault is seen by the first fifteen; the repaired contract has 500
    assert len(SEEN) >= 25, f"the traces are too tame: {SEEN}"


FAULTS = {
    "paid twice": (0, "    self.nodes[task_id][node].paid_rounds = accepted\n", ""),
    "stake returned twice": (0, "    self.nodes[task_id][node].stake -= stake\n", ""),
    "pay not counted": (0, "    self.paid += amount\n", ""),
    "slashed and still paid": (2, "    self.nodes[task_id][node].submitted -= 1\n", ""),
    "pays the caller": (0, 'raw_call(node, b""', 'raw_call(msg.sender, b""'),
    "never times out": (14, " or block.timestamp > deadline + 3 * self.terms[task_id].window", ""),
    "late updates count": (
        2,
        ' and block.timestamp <= self.tasks[task_id].round_deadline, "update_late"',
        ', "update_late"',
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_caught(fault):
    first, old, new = FAULTS[fault]
    assert source().count(old) == 1
    catches(MarketMachine, source().replace(old, new), first)
