"""The repaired market under random and hostile traces, against a bookkeeper that never looks into the contract.

Among the callers are a copier, who opens others' commitments and commits others' roots; a Sybil, one person under two
names with one training; a liar about size, who declares more images than there are atoms and hides one more number in
the padding of its tree; and griefers, who challenge updates that lie in plain sight and dispute averages that are
right, at any leaf, the padding's too. The bookkeeper knows all bytes and works out who is right. After every call that
it took the contract must hold what came in less what went out, and a refused one must move nothing; at the end of every
trace each task must end, each account must have what the rules give it, and the last wei must leave.
"""

import hashlib
import random
import re

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

pytest.importorskip("boa", reason="the chain extra is not installed")

from deepfake_kit.chain.evm import ETHER, TaskRefused, source  # noqa: E402
from deepfake_kit.chain.merkle import Tree, exact_average  # noqa: E402
from deepfake_kit.chain.repaired import RepairedMarket, sealed  # noqa: E402
from tests.unit.traces import catches, run  # noqa: E402

CODE = source("repaired_market")
REASONS = set(re.findall(r'"([a-z_0-9]+)"', re.sub(r'""".*?"""', "", CODE, flags=re.S)))
WINDOW, NUMBERS, LEAST, MOST, LIMIT = 100, 3, 10, 50, 100
PEOPLE = ("publisher", "anna", "boris", "copier", "sybil", "sybil's cousin", "liar", "griefer")
NODES = ("anna", "boris", "copier", "sybil", "sybil's cousin", "liar")
SEEN: dict[str, int] = {}
VERDICTS: dict[str, int] = {}


def update(person: str, round: int) -> Tree:
    """What a person hands in; the Sybil's two names hand in the same, the liar's padding is not zero."""
    numbers = NUMBERS + (person == "liar")
    return Tree(hashlib.sha256(f"{person.split(chr(39))[0]} {round}".encode()).digest()[: 4 * numbers])


def salt(person: str) -> bytes:
    return hashlib.sha256(person.encode()).digest()


class Book:
    """What the bookkeeper knows of one task."""

    def __init__(self, publisher, rounds, reward, fee, budget, stake, now):
        self.publisher, self.rounds, self.reward, self.fee = publisher, rounds, reward, fee
        self.budget, self.stake = budget, stake
        self.join_deadline = self.start = now + WINDOW
        self.round, self.fees, self.forfeited, self.cancelled = 0, 0, 0, False
        self.weights: dict[str, int] = {}
        self.promises: dict[tuple[int, str], bytes] = {}
        self.standing: dict[tuple[int, str], Tree] = {}
        self.slashed, self.received = set(), {}
        self.challenges: dict[str, tuple[str, int, int, int]] = {}  # challenger, bond, place, deadline
        self.proposal = self.dispute = None
        self.refunded = False

    def current(self):
        return {who: tree for (r, who), tree in self.standing.items() if r == self.round}

    def average(self) -> Tree:
        trees = self.current()
        numbers = [tree.data[: 4 * NUMBERS] for tree in trees.values()]
        return Tree(exact_average(numbers, [self.weights[w] for w in trees]))

    def over(self, now):
        return (
            self.cancelled
            or self.round == self.rounds
            or (now > self.join_deadline and not set(self.weights) - self.slashed)
            or (now > self.start + 2 * WINDOW and not self.current())
            or now > self.start + LIMIT * WINDOW
        )

    def owed(self, who, now):
        """Wei that a node may have received by now in pay and stake."""
        over = self.over(now)
        rounds = sum(w == who and (r < self.round or over) for r, w in self.standing)
        return rounds * self.reward + (self.stake if over and who not in self.slashed else 0)


class RepairedMachine(RuleBasedStateMachine):
    """Hostile callers against one contract; `CODE` is replaced to plant faults."""

    CODE = CODE

    @initialize(seed=st.integers(0, 2**32 - 1))
    def open_market(self, seed):
        dice = random.Random(seed)
        self.market, self.moved = RepairedMarket(self.CODE), True
        self.market.base_fee = dice.choice([0, 1, 10**9])
        self.people = {name: self.market.account(name, ETHER) for name in PEOPLE}
        self.names = {address: name for name, address in self.people.items()}
        self.deposited, self.credits, self.books, self.settled = 0, dict.fromkeys(PEOPLE, 0), [], 0
        self.publish(0, dice)
        for name in dice.sample(NODES, dice.randint(1, 5)):
            self.join(0, dice, name)
        self.market.advance(WINDOW + 1)
        if dice.random() < 0.8:  # the usual case: everybody commits, and reveals
            for name in list(self.books[0].weights):
                self.commit(0, dice, name)
            self.market.advance(WINDOW)
            for name in list(self.books[0].weights):
                self.reveal(0, dice, name)
            self.market.advance(dice.choice([WINDOW, WINDOW, 2 * WINDOW]))

    def attempt(self, who, function, *args, value=0):
        """The word of refusal, or None; a refusal must be named and must move no money."""
        before = [self.market.balance(x) for x in self.people.values()]
        try:
            self.market.send(self.people[who], function, *args, value=value)
            self.deposited += value
            self.moved = True
            return None
        except TaskRefused as refusal:
            SEEN[refusal.reason] = SEEN.get(refusal.reason, 0) + 1
            assert refusal.reason in REASONS, f"unnamed refusal {refusal}"
            assert before == [self.market.balance(x) for x in self.people.values()], f"{refusal} moved money"
            return refusal.reason

    def bonds(self, task):
        return self.market.read("bonds", task)

    @rule(seed=st.integers(0, 2**32 - 1))
    def call(self, seed):
        """One call. One rule with its own dice, since hypothesis switches whole rules off in most traces."""
        dice = random.Random(seed)
        task = len(self.books) - 1 if dice.random() < 0.8 else dice.randrange(len(self.books))
        book, now = self.books[task], self.market.now
        moves = [self.join, self.commit, self.reveal, self.challenge, self.answer, self.slash, self.propose]
        moves += [self.refute, self.move, self.timeout, self.finalise, self.pay, self.withdraw, self.refund, self.wait]
        if dice.random() < 0.25:
            likely = moves
        elif book.dispute:
            likely = [self.moves] * 12 + [self.wait, self.timeout]
        elif book.proposal:
            likely = [self.refute, self.refute, self.wait, self.finalise] + [self.refund] * book.over(now)
        elif book.challenges:
            likely = [self.answer, self.answer, self.wait, self.slash, self.challenge]
        elif book.over(now):
            likely = [self.pay, self.withdraw, self.refund, self.publish]
        elif now <= book.join_deadline:
            likely = [self.join] * 3 + [self.wait]
        elif now <= book.start + 2 * WINDOW:
            likely = [self.commit] * 3 + [self.reveal] * 3 + [self.wait]
        else:
            likely = [self.challenge, self.propose, self.propose, self.wait, self.withdraw]
        dice.choice(likely)(task, dice)

    def publish(self, task, dice):
        if len(self.books) == 3:
            return
        book = Book("publisher", dice.randint(1, 3), 10**6, 10**3, 10**8, 10**5, self.market.now)
        terms = dict(recipe=b"r" * 32, global_rounds=book.rounds, least_data=LEAST, most_data=MOST, numbers=NUMBERS)
        terms |= dict(reward=book.reward, fee=book.fee, budget=book.budget, stake=book.stake, window=WINDOW)
        assert self.market.publish(self.people["publisher"], **terms) == len(self.books)
        self.deposited += book.budget
        self.books.append(book)

    def join(self, task, dice, who=None):
        book, who = self.books[task], who or dice.choice(PEOPLE)
        size = 2 ** dice.choice([64, 200, 256]) - 1 if who == "liar" else dice.choice([LEAST, 17, MOST, 400])
        if self.attempt(who, "join", task, size, value=book.stake) is None:
            assert who != "publisher" and self.market.now <= book.join_deadline
            book.weights[who] = min(size, MOST)
            book.received[who] = 0
            assert self.market.read("nodes", task, self.people[who]).weight <= MOST, "a liar about size weighs more"

    def promise(self, book, who, dice):
        """(salt, root) that somebody commits to: its own, or for the copier what others revealed."""
        known = [tree.root for (r, w), tree in book.standing.items() if w != who]
        if who == "copier" and known:
            return salt(who), dice.choice(known)
        return salt(who), update(who, book.round).root

    def commit(self, task, dice, who=None):
        book, who = self.books[task], who or dice.choice([*book_nodes(self.books[task]), "griefer"])
        own = sealed(self.people[who], *self.promise(book, who, dice))
        others = [p for (r, w), p in book.promises.items() if r == book.round and w != who]
        sent = dice.choice(others) if who == "copier" and others and dice.random() < 0.7 else own
        if self.attempt(who, "commit", task, book.round, sent) is None:
            assert who in book.weights and who not in book.slashed and not book.over(self.market.now)
            assert book.start + WINDOW >= self.market.now and (book.round, who) not in book.promises
            book.promises[book.round, who] = sent

    def reveal(self, task, dice, who=None):
        book, who = self.books[task], who or dice.choice([*book_nodes(self.books[task]), "griefer"])
        secrets = [self.promise(book, who, dice)]
        if who == "copier":  # it reads salts and roots of others from their transactions, before these are in a block
            secrets += [(salt(w), update(w, book.round).root) for w in book.weights if w != who]
        secret, root = dice.choice(secrets)
        if self.attempt(who, "reveal", task, book.round, secret, root) is None:
            assert book.promises.get((book.round, who)) == sealed(self.people[who], secret, root), "a copy opened"
            assert book.start + WINDOW < self.market.now <= book.start + 2 * WINDOW
            assert root not in [tree.root for tree in book.standing.values()], "one training counted twice"
            book.standing[book.round, who] = update(who, book.round)
            assert root == update(who, book.round).root, "an update of somebody else's was taken"

    def challenge(self, task, dice):
        book, who = self.books[task], dice.choice(["griefer", *PEOPLE])
        node, place = dice.choice([*book.current(), dice.choice(PEOPLE)]), dice.randint(0, NUMBERS)
        bond = self.bonds(task)[0] - (dice.random() < 0.1)
        if self.attempt(who, "challenge", task, self.people[node], place, value=bond) is None:
            assert node in book.current() and node not in book.challenges and place < NUMBERS
            book.challenges[node] = (who, bond, place, self.market.now + WINDOW)

    def answer(self, task, dice):
        book = self.books[task]
        node = dice.choice([*book.challenges, dice.choice(PEOPLE)])
        place = book.challenges[node][2] if node in book.challenges else 0
        tree, honest = update(node, book.round), dice.random() < 0.7
        shown = place if honest else (place + 1) % NUMBERS  # another number of the same update
        refused = self.attempt("griefer", "answer", task, self.people[node], tree.number(shown), tree.proof(shown))
        if refused is None:
            _, bond, _, deadline = book.challenges.pop(node)
            assert honest and self.market.now <= deadline
            self.credits[node] += bond
        elif node in book.challenges:
            assert not honest or self.market.now > book.challenges[node][3], "an honest answer was refused"

    def slash(self, task, dice):
        book = self.books[task]
        node = dice.choice([*book.challenges, dice.choice(PEOPLE)])
        if self.attempt("griefer", "slash", task, self.people[node]) is None:
            challenger, bond, _, deadline = book.challenges.pop(node)
            assert self.market.now > deadline, "slashed before the answer was due"
            self.credits[challenger] += bond + book.stake // 2
            book.forfeited += book.stake - book.stake // 2
            del book.standing[book.round, node]
            book.slashed.add(node)

    def propose(self, task, dice):
        book, who = self.books[task], dice.choice(PEOPLE)
        if not book.current():
            claimed = update("nobody", 0)
        else:
            right, noise = book.average(), dice.randbytes(4 * NUMBERS)
            claimed = dice.choice([right, right, Tree(noise), Tree(right.data + noise[:4])])
        bond = self.bonds(task)[1] - (dice.random() < 0.1)
        if self.attempt(who, "propose", task, book.round, claimed.root, value=bond) is None:
            assert not book.challenges and not book.proposal and not book.over(self.market.now)
            assert self.market.now > book.start + 3 * WINDOW
            book.proposal = [who, claimed, bond, self.market.now + WINDOW]

    def refute(self, task, dice):
        book, who = self.books[task], dice.choice(PEOPLE)
        bond = self.bonds(task)[1]
        if self.attempt(who, "dispute", task, value=bond) is None:
            assert book.proposal and not book.dispute and self.market.now <= book.proposal[3]
            book.dispute = dict(who=who, bond=bond, turn="proposer", due=self.market.now + WINDOW, path=[], added=set())

    def move(self, task, dice):
        """The next move of whoever's turn it is, sometimes a foolish one."""
        book = self.books[task]
        if not book.dispute:
            return self.attempt("griefer", "open", task, bytes(32), bytes(32))
        d, tree, proposer = book.dispute, book.proposal[1], book.proposal[0]
        level, place = tree.depth - len(d["path"]), sum(b << i for i, b in enumerate(reversed(d["path"])))
        sane = dice.random() < 0.9
        if d["turn"] == "proposer":
            below = (tree.node(level - 1, 2 * place), tree.node(level - 1, 2 * place + 1)) if level else ()
            args = ("open", task, *(below if sane else below[::-1])) if level else ("show", task, tree.number(place))
            refused = self.attempt(proposer if sane else "griefer", *args)
            turn = "disputer"
        elif level:
            right = book.average()
            side = tree.node(level - 1, 2 * place) == right.node(level - 1, 2 * place)
            side = dice.random() < 0.5 if tree.root == right.root else side if sane else not side
            refused = self.attempt(d["who"] if sane else "griefer", "descend", task, side)
            if refused is None:
                assert sane or d["who"] == "griefer"
                d["path"].append(int(side))
            turn = "proposer"
        else:
            fresh = sorted(set(book.current()) - d["added"])
            node = dice.choice(fresh if dice.random() < 0.7 else [*book.current(), dice.choice(PEOPLE)])
            mine = update(node, book.round)
            refused = self.attempt(d["who"], "add", task, self.people[node], mine.number(place), mine.proof(place))
            turn = "disputer"
            if refused is None:
                assert node in book.current() and node not in d["added"]
                d["added"].add(node)
        if refused is None:
            assert self.market.now <= d["due"], "a move was taken late"
            d["turn"], d["due"] = turn, self.market.now + WINDOW
            if not level and place >= NUMBERS:
                self.decide(book, tree.number(place) == bytes(4), "in the padding")
            elif d["added"] == set(book.current()):
                self.decide(book, tree.number(place) == book.average().number(place), "recomputed")
        return refused

    def moves(self, task, dice):
        """A few moves in a row, or few disputes would come to their end."""
        for _ in range(dice.randint(1, 6)):
            if self.books[task].dispute:
                self.move(task, dice)

    def timeout(self, task, dice):
        book = self.books[task]
        if self.attempt("griefer", "timeout", task) is None:
            assert self.market.now > book.dispute["due"], "lost before the turn was over"
            self.decide(book, book.dispute["turn"] == "disputer", "by default")

    def decide(self, book, stands, how):
        (proposer, tree, bond, _), d = book.proposal, book.dispute
        fact = "true" if tree.root == book.average().root else "false"
        VERDICTS[f"{fact} average {'stands' if stands else 'falls'}, {how}"] = 1
        lost = d["bond"] if stands else bond
        winner = proposer if stands else d["who"]
        self.credits[winner] += lost // 2 + (0 if stands else d["bond"])
        book.forfeited += lost - lost // 2
        if stands:
            book.proposal[3] = self.market.now + WINDOW
        else:
            book.proposal = None
        book.dispute = None
        settled = [e.fields["stands"] for e in self.market.events if e.name == "Settled"]
        assert settled[self.settled :] == [stands], "the contract recomputed another number"
        self.settled += 1

    def finalise(self, task, dice):
        book = self.books[task]
        over = book.over(self.market.now)
        if self.attempt(dice.choice(PEOPLE), "finalise", task) is None:
            proposer, tree, bond, deadline = book.proposal
            assert not book.dispute and self.market.now > deadline
            self.credits[proposer] += bond + (0 if over else book.fee)
            book.proposal = None
            if not over:
                book.fees += book.fee
                book.round, book.start = book.round + 1, self.market.now

    def pay(self, task, dice, who=None):
        book, who = self.books[task], who or dice.choice(PEOPLE)
        before = {name: self.market.balance(x) for name, x in self.people.items()}
        if self.attempt(dice.choice(PEOPLE), "pay", task, self.people[who]) is None:
            assert who in book.weights, "a stranger was paid"
            gained = {name: self.market.balance(x) - before[name] for name, x in self.people.items()}
            book.received[who] += gained.pop(who)
            assert not any(gained.values()), "someone else was paid"
            assert book.received[who] == book.owed(who, self.market.now), "not what the rules say"

    def withdraw(self, task, dice, who=None):
        who = who or dice.choice(PEOPLE)
        before = self.market.balance(self.people[who])
        if self.attempt(dice.choice(PEOPLE), "withdraw", self.people[who]) is None:
            assert self.market.balance(self.people[who]) - before == self.credits[who] > 0, "not what was won"
            self.credits[who] = 0

    def refund(self, task, dice):
        book = self.books[task]
        before = self.market.balance(self.people["publisher"])
        if self.attempt(dice.choice(PEOPLE), "refund", task) is None:
            assert not book.challenges and not book.proposal
            assert book.over(self.market.now) or not set(book.weights) - book.slashed
            book.cancelled = book.refunded = True
            earned = len(book.standing) * book.reward + book.fees
            due = book.budget - earned + book.forfeited
            assert self.market.balance(self.people["publisher"]) - before == due, "not what the rules say"

    def wait(self, task, dice):
        self.market.advance(
            dice.choice([1] * 4 + [WINDOW // 2] * 4 + [WINDOW] * 4 + [WINDOW + 1] * 2 + [110 * WINDOW] * 2)
        )

    @invariant()
    def the_books_balance(self):
        """After each call that was taken; one that was refused is undone by the chain, and time alone moves nothing."""
        if hasattr(self, "books") and self.moved:
            self.moved = False
            deposited, paid, refunded = self.market.read("ledger")
            assert deposited == self.deposited
            assert self.market.balance(self.market.address) + paid + refunded == deposited

    def teardown(self):
        if not hasattr(self, "books"):
            return
        dice = random.Random(0)
        self.market.advance(2 * LIMIT * WINDOW)
        for task, book in enumerate(self.books):
            for node in list(book.challenges):
                assert self.attempt("anna", "slash", task, self.people[node]) is None
                challenger, bond, _, _ = book.challenges.pop(node)
                self.credits[challenger] += bond + book.stake // 2
                book.forfeited += book.stake - book.stake // 2
                del book.standing[book.round, node]
                book.slashed.add(node)
            if book.dispute:
                self.timeout(task, dice)
                assert not book.dispute, "a dispute did not end"
                self.market.advance(2 * WINDOW)
            if book.proposal:
                self.finalise(task, dice)
                assert not book.proposal, "a bond is stuck"
            assert self.market.read("phase", task) == 2, "a task did not end"
            for who in book.weights:
                self.pay(task, dice, who)
                assert book.received[who] == book.owed(who, self.market.now), "a node has not what it earned"
            self.refund(task, dice)
            assert book.refunded, "the publisher's rest is stuck"
        for who in PEOPLE:
            self.withdraw(0, dice, who)
        assert not any(self.credits.values())
        assert self.market.balance(self.market.address) == 0, "money is stuck"
        assert sum(map(self.market.balance, self.people.values())) == ETHER * len(PEOPLE), "wei appeared or vanished"


def book_nodes(book):
    return sorted(book.weights) or ["anna"]


@pytest.mark.slow(60)
def test_no_trace_of_hostile_calls_loses_or_makes_money():
    SEEN.clear()
    VERDICTS.clear()
    run(RepairedMachine, 500)
    assert len(SEEN) >= 40, f"the traces are too tame: {SEEN}"
    assert {"does_not_open", "root_taken", "bond_too_small", "not_disputer"} <= set(SEEN)
    for how in ("recomputed", "in the padding"):
        assert {f"true average stands, {how}", f"false average falls, {how}"} <= set(VERDICTS)


FAULTS = {
    "a copy opens": (
        0,
        'assert opened == self.commitments[task_id][round][msg.sender], "does_not_open"',
        'assert self.commitments[task_id][round][msg.sender] != empty(bytes32), "does_not_open"',
    ),
    "one root counts twice": (0, '    assert not self.taken[task_id][root], "root_taken"\n', ""),
    "no cap": (0, "min(data_size, self.terms[task_id].most_data)", "data_size"),
    "late answers count": (61, '    assert block.timestamp <= deadline, "answer_late"\n', ""),
    "another number answers": (17, "self.nodes[task_id][node].number, proof)", "0, proof)"),
    "weights forgotten": (
        22,
        "self.nodes[task_id][node].weight * convert(number, uint256)",
        "convert(number, uint256)",
    ),
    "the disputer always wins": (0, "self.disputes[task_id].claimed == right", "False"),
    "the padding is averaged": (
        1,
        "    if self.disputes[task_id].number >= self.terms[task_id].numbers:\n"
        "        self._decide(task_id, number == 0x00000000)\n",
        "",
    ),
    "a bond comes home twice": (22, "    self.credits[account] = 0\n", ""),
    "an update is added twice": (14, "    self.counted[self.dispute_ids[task_id]][node] = True\n", ""),
    "paid twice": (8, "    self.nodes[task_id][node].paid_rounds = accepted\n", ""),
    "no window after a lost dispute": (
        12,
        "        self.proposals[task_id].deadline = block.timestamp + self.terms[task_id].window\n        self.credits",
        "        self.credits",
    ),
    "refund before the bonds are home": (
        11,
        '    assert self.proposals[task_id].proposer == empty(address), "proposal_open"\n',
        "",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_planted_fault_is_caught(fault):
    first, old, new = FAULTS[fault]
    assert CODE.count(old) == 1
    catches(RepairedMachine, CODE.replace(old, new), first)
