"""The repaired market: each attack of chapter 5 against it, the dispute move by move, gas and bonds."""

import hashlib

import numpy as np
import pytest

pytest.importorskip("boa", reason="the chain extra is not installed")

from deepfake_kit.chain.evm import ETHER, TaskRefused, source  # noqa: E402
from deepfake_kit.chain.merkle import Tree, exact_average, from_fixed, to_fixed  # noqa: E402
from deepfake_kit.chain.repaired import RepairedMarket, sealed  # noqa: E402

WINDOW, N = 100, 37
TERMS = dict(
    recipe=b"r" * 32,
    global_rounds=2,
    least_data=10,
    most_data=50,
    numbers=N,
    reward=1000,
    fee=7,
    budget=10**6,
    stake=10**4,
    window=WINDOW,
)


class Play:
    """Ann, Bob and Eve in one task; each has an update of N numbers."""

    def __init__(self, sizes=(20, 30, 40), code=None, **terms):
        self.market = RepairedMarket(code)
        self.dsp, self.ann, self.bob, self.eve, self.stranger = map(
            self.market.account, ("dsp", "ann", "bob", "eve", "stranger")
        )
        self.terms = {**TERMS, **terms}
        self.task = self.market.publish(self.dsp, **self.terms)
        self.nodes = (self.ann, self.bob, self.eve)
        for node, size in zip(self.nodes, sizes, strict=True):
            self.market.send(node, "join", self.task, size, value=self.terms["stake"])
        rng = np.random.default_rng(0)
        self.data = {node: to_fixed(rng.normal(size=self.terms["numbers"])) for node in self.nodes}
        self.trees = {node: Tree(data) for node, data in self.data.items()}
        self.salt = {node: hashlib.sha256(node.encode()).digest() for node in self.nodes}
        self.market.advance(WINDOW + 1)

    def call(self, who, function, *args, value=0):
        return self.market.send(who, function, self.task, *args, value=value)

    def refused(self, word, who, function, *args, value=0):
        with pytest.raises(TaskRefused) as caught:
            self.call(who, function, *args, value=value)
        assert caught.value.reason == word

    def deliver(self, nodes=None, round=0):
        nodes = self.nodes if nodes is None else nodes
        for node in nodes:
            self.call(node, "commit", round, sealed(node, self.salt[node], self.trees[node].root))
        self.market.advance(WINDOW)
        for node in nodes:
            self.call(node, "reveal", round, self.salt[node], self.trees[node].root)

    def average(self, nodes=None):
        nodes = self.nodes if nodes is None else nodes
        weights = [self.market.read("nodes", self.task, node).weight for node in nodes]
        return exact_average([self.data[node] for node in nodes], weights)

    def bonds(self):
        return self.market.read("bonds", self.task)


def test_a_copied_commitment_opens_for_nobody_else():
    play = Play()
    play.call(play.ann, "commit", 0, (promise := sealed(play.ann, play.salt[play.ann], play.trees[play.ann].root)))
    play.call(play.eve, "commit", 0, promise)
    play.market.advance(WINDOW)
    play.call(play.ann, "reveal", 0, play.salt[play.ann], play.trees[play.ann].root)
    play.refused("does_not_open", play.eve, "reveal", 0, play.salt[play.ann], play.trees[play.ann].root)
    play.refused("commit_late", play.eve, "commit", 0, sealed(play.eve, bytes(32), play.trees[play.ann].root))
    assert play.market.read("nodes", play.task, play.eve).submitted == 0


def test_one_training_under_two_names_counts_once():
    play = Play()
    root = play.trees[play.bob].root
    for node in (play.bob, play.eve):
        play.call(node, "commit", 0, sealed(node, play.salt[node], root))
    play.market.advance(WINDOW)
    play.call(play.bob, "reveal", 0, play.salt[play.bob], root)
    play.refused("root_taken", play.eve, "reveal", 0, play.salt[play.eve], root)


def test_declared_data_weigh_no_more_than_the_cap():
    play = Play(sizes=(20, 30, 2**256 - 1))
    assert [play.market.read("nodes", play.task, node).weight for node in play.nodes] == [20, 30, 50]


@pytest.mark.parametrize("place", [0, 5, N - 1])
@pytest.mark.parametrize("nodes", [1, 2, 3])
def test_a_false_average_is_refuted_whatever_the_place(place, nodes):
    play = Play()
    some = play.nodes[:nodes]
    play.deliver(some)
    play.market.advance(2 * WINDOW)
    right = play.average(some)
    false = bytearray(right)
    false[4 * place + 3] ^= 1
    bond = play.bonds()[1]
    play.call(play.eve, "propose", 0, Tree(bytes(false)).root, value=bond)
    play.call(play.stranger, "dispute", value=bond)
    verdict = play.market.refute(
        play.task, play.eve, play.stranger, Tree(bytes(false)), Tree(right), {n: play.trees[n] for n in some}
    )
    assert verdict.name == "Settled" and not verdict.fields["stands"]
    assert play.market.read("credits", play.stranger) == bond + bond // 2
    assert play.market.read("credits", play.eve) == 0
    play.call(play.stranger, "propose", 0, Tree(right).root, value=play.bonds()[1])
    play.market.advance(WINDOW + 1)
    play.call(play.ann, "finalise")
    assert play.market.read("aggregates", play.task, 0) == Tree(right).root
    assert np.allclose(
        from_fixed(right), np.average([from_fixed(play.data[n]) for n in some], 0, [20, 30, 40][:nodes]), atol=1e-5
    )


def leaf_in_question(play, proposer, disputer, tree, place):
    """Both sides walk from the root to the leaf at `place`, which the proposer shows."""
    for level in range(tree.depth, 0, -1):
        at = place >> level
        play.call(proposer, "open", tree.node(level - 1, 2 * at), tree.node(level - 1, 2 * at + 1))
        play.call(disputer, "descend", bool(place >> (level - 1) & 1))
    play.call(proposer, "show", tree.number(place))


def test_a_true_average_survives_a_dispute_at_every_leaf():
    play = Play()
    play.deliver()
    play.market.advance(2 * WINDOW)
    right = Tree(play.average())
    play.call(play.bob, "propose", 0, right.root, value=play.bonds()[1])
    for place in (0, 17, N, 63):  # also in the part that is completed with zeros
        play.call(play.eve, "dispute", value=play.bonds()[1])
        leaf_in_question(play, play.bob, play.eve, right, place)
        for node in play.nodes if place < N else ():
            tree = play.trees[node]
            play.call(play.eve, "add", node, tree.number(place), tree.proof(place))
        assert play.market.events[-1].fields["stands"]
    assert play.market.read("proposals", play.task).proposer == play.bob


@pytest.mark.parametrize("numbers", [3, N])
def test_who_hides_numbers_in_the_padding_takes_no_bond_with_them(numbers):
    """Challenges end at the last number, so nobody can be asked what lies behind it; disputes must not count it."""
    play = Play(numbers=numbers)
    assert Tree(play.data[play.bob] + b"\xff" * 4).depth == play.trees[play.bob].depth
    play.trees[play.bob] = Tree(play.data[play.bob] + b"\xff" * 4)
    play.deliver()
    play.market.advance(WINDOW)
    bond = play.bonds()[0]
    play.refused("no_such_number", play.ann, "challenge", play.bob, numbers, value=bond)
    for place in range(3):
        play.call(play.ann, "challenge", play.bob, place, value=bond)
        play.call(play.bob, "answer", play.bob, play.trees[play.bob].number(place), play.trees[play.bob].proof(place))
    play.market.advance(WINDOW + 1)
    right, bond = Tree(play.average()), play.bonds()[1]
    play.call(play.ann, "propose", 0, right.root, value=bond)
    for place in (numbers, 2**right.depth - 1):
        before = play.market.read("credits", play.ann)
        play.call(play.stranger, "dispute", value=bond)
        leaf_in_question(play, play.ann, play.stranger, right, place)
        for node in play.nodes if play.market.read("disputes", play.task).turn else ():
            play.call(play.stranger, "add", node, play.trees[node].number(place), play.trees[node].proof(place))
        assert play.market.events[-1].fields["stands"], "numbers that nobody may ask for decided"
        assert play.market.read("credits", play.ann) - before == bond // 2
        proof = play.trees[play.ann].proof(place)
        play.refused("not_the_turn", play.stranger, "add", play.ann, play.trees[play.ann].number(place), proof)
    assert play.market.read("credits", play.stranger) == 0
    play.market.advance(WINDOW + 1)
    before = play.market.read("credits", play.ann)
    play.call(play.eve, "finalise")
    assert play.market.read("credits", play.ann) - before == bond + TERMS["fee"]
    assert play.market.read("aggregates", play.task, 0) == right.root


@pytest.mark.parametrize("accomplice", [False, True])
@pytest.mark.parametrize("place", [N, N + 2])
def test_a_proposer_whose_padding_is_not_zero_loses(place, accomplice):
    """Also if an update's padding would average to it."""
    play = Play()
    behind = bytes(4 * (place - N)) + b"\xff" * 4
    for node in play.nodes if accomplice else ():
        play.trees[node] = Tree(play.data[node] + behind)
    play.deliver()
    play.market.advance(2 * WINDOW)
    right, bond = Tree(play.average()), play.bonds()[1]
    false = Tree(right.data + behind)
    play.call(play.eve, "propose", 0, false.root, value=bond)
    play.call(play.bob, "dispute", value=bond)
    verdict = play.market.refute(play.task, play.eve, play.bob, false, right, play.trees)
    assert verdict.name == "Settled" and not verdict.fields["stands"]
    assert play.market.read("credits", play.bob) == bond + bond // 2
    assert play.market.read("credits", play.eve) == 0 and play.market.read("proposals", play.task).bond == 0


def test_a_lost_dispute_leaves_a_window_for_the_next():
    play = Play()
    play.deliver()
    play.market.advance(2 * WINDOW)
    play.call(play.eve, "propose", 0, b"\7" * 32, value=play.bonds()[1])
    play.call(play.stranger, "dispute", value=play.bonds()[1])  # a friend of Eve, who will not move
    play.refused("turn_not_over", play.ann, "timeout")
    play.market.advance(WINDOW + 1)
    play.call(play.ann, "timeout")  # Eve did not open her tree, so Eve has lost
    assert not play.market.events[-1].fields["stands"]
    play.call(play.eve, "propose", 0, Tree(play.average()[::-1]).root, value=play.bonds()[1])
    play.call(play.stranger, "dispute", value=play.bonds()[1])
    tree = Tree(play.average()[::-1])
    play.call(play.eve, "open", tree.node(tree.depth - 1, 0), tree.node(tree.depth - 1, 1))
    play.market.advance(WINDOW + 1)
    play.call(play.eve, "timeout")  # now it was the friend's turn
    assert play.market.events[-1].fields["stands"]
    play.refused("dispute_window_open", play.eve, "finalise")
    play.call(play.bob, "dispute", value=play.bonds()[1])
    verdict = play.market.refute(play.task, play.eve, play.bob, tree, Tree(play.average()), play.trees)
    assert not verdict.fields["stands"]


def test_moves_out_of_turn_or_with_other_bytes_are_refused():
    play = Play()
    play.deliver()
    play.market.advance(2 * WINDOW)
    tree, right = Tree(play.average()[::-1]), Tree(play.average())
    play.call(play.eve, "propose", 0, tree.root, value=play.bonds()[1])
    play.refused("already_proposed", play.bob, "propose", 0, right.root, value=play.bonds()[1])
    play.refused("not_the_turn", play.eve, "open", bytes(32), bytes(32))
    play.call(play.bob, "dispute", value=play.bonds()[1])
    play.refused("dispute_open", play.ann, "dispute", value=play.bonds()[1])
    play.refused("does_not_match", play.eve, "open", right.node(5, 0), right.node(5, 1))
    play.refused("wrong_level", play.eve, "show", tree.number(0))
    play.call(play.eve, "open", tree.node(5, 0), tree.node(5, 1))
    play.refused("not_disputer", play.ann, "descend", False)
    for level in range(5, 0, -1):
        play.call(play.bob, "descend", False)
        if level > 0:
            play.call(play.eve, "open", tree.node(level - 1, 0), tree.node(level - 1, 1))
    play.call(play.bob, "descend", False)
    play.refused("does_not_match", play.eve, "show", right.number(0))
    play.call(play.eve, "show", tree.number(0))
    proof = play.trees[play.ann].proof(0)
    play.refused("number_does_not_match", play.bob, "add", play.ann, b"\0\0\0\1", proof)
    play.refused("wrong_depth", play.bob, "add", play.ann, play.trees[play.ann].number(0), proof[:-1])
    play.refused("no_such_update", play.bob, "add", play.dsp, play.trees[play.ann].number(0), proof)
    play.call(play.bob, "add", play.ann, play.trees[play.ann].number(0), proof)
    play.refused("already_added", play.bob, "add", play.ann, play.trees[play.ann].number(0), proof)
    play.refused("dispute_open", play.eve, "finalise")


def test_who_does_not_show_the_number_loses_the_stake_and_who_does_wins_the_bond():
    play = Play()
    play.deliver()
    play.refused("reveals_still_open", play.dsp, "challenge", play.ann, 3, value=play.bonds()[0])
    play.market.advance(WINDOW)
    play.refused("bond_too_small", play.dsp, "challenge", play.ann, 3, value=play.bonds()[0] - 1)
    play.refused("no_such_number", play.dsp, "challenge", play.ann, N, value=play.bonds()[0])
    for node in (play.ann, play.eve):
        play.call(play.dsp, "challenge", node, 3, value=play.bonds()[0])
    tree = play.trees[play.ann]
    play.refused("number_does_not_match", play.ann, "answer", play.ann, tree.number(4), tree.proof(4))
    play.call(play.stranger, "answer", play.ann, tree.number(3), tree.proof(3))
    play.market.advance(WINDOW)
    play.refused("challenge_open", play.bob, "propose", 0, b"\1" * 32, value=play.bonds()[1])
    play.market.advance(1)
    play.call(play.stranger, "slash", play.eve)
    assert play.market.read("credits", play.ann) == play.bonds()[0]
    assert play.market.read("credits", play.dsp) == play.bonds()[0] + TERMS["stake"] // 2
    assert play.market.read("tasks", play.task).weight == 50
    play.refused("node_slashed", play.eve, "commit", 0, bytes(32))


@pytest.mark.parametrize("gwei", [0, 1, 100, 5000])
def test_no_call_of_a_dispute_takes_more_than_it_says_and_the_winner_is_made_whole(gwei):
    """At the deepest tree: the loser's half of a bond pays the winner's gas twice over."""
    play = Play(numbers=2**14 + 1, stake=1)
    play.market.base_fee = gwei * 10**9
    play.deliver()
    play.market.advance(WINDOW)
    paid = play.bonds()[0]
    play.market._env.set_balance(play.dsp, 10**6 * ETHER)
    play.call(play.dsp, "challenge", play.ann, 2**14, value=paid)
    tree = play.trees[play.ann]
    play.call(play.ann, "answer", play.ann, tree.number(2**14), tree.proof(2**14))
    gas = play.market.receipts[-1].gas
    assert gas * play.market.base_fee * 2 <= play.market.read("credits", play.ann)
    play.market.advance(WINDOW)
    right = play.average()
    false = Tree(right[:-1] + bytes([right[-1] ^ 1]))
    for who in (play.eve, play.bob):
        play.market._env.set_balance(who, 10**6 * ETHER)
    start = len(play.market.receipts)
    play.call(play.eve, "propose", 0, false.root, value=play.bonds()[1])
    play.call(play.bob, "dispute", value=play.bonds()[1])
    play.market.refute(play.task, play.eve, play.bob, false, Tree(right), play.trees)
    calls = play.market.receipts[start:]
    limit = int(source("repaired_market").split("STEP_GAS: constant(uint256) = ")[1].split()[0])
    assert max(r.gas for r in calls) <= limit
    spent = sum(r.gas for r in calls if r.sender == play.bob) * play.market.base_fee
    gained = play.market.read("credits", play.bob) - play.bonds()[1]
    assert gained >= 2 * spent


@pytest.mark.parametrize("n", [2, 3, 4, 5, 8, 9, 100])
def test_every_proof_leads_to_the_root_and_a_changed_number_does_not(n):
    rng = np.random.default_rng(n)
    data = to_fixed(rng.normal(size=n))
    tree = Tree(data)
    full = [hashlib.sha256(b"\0" + (data[4 * i : 4 * i + 4] or bytes(4))).digest() for i in range(2**tree.depth)]
    while len(full) > 1:
        full = [hashlib.sha256(b"\1" + a + b).digest() for a, b in zip(full[::2], full[1::2], strict=True)]
    assert full[0] == tree.root, "not the tree over all leaves"
    for place in range(n):
        for number, same in ((tree.number(place), True), (b"\0\0\0\2", False)):
            node = hashlib.sha256(b"\0" + number).digest()
            for level, sibling in enumerate(tree.proof(place)):
                pair = sibling + node if place >> level & 1 else node + sibling
                node = hashlib.sha256(b"\1" + pair).digest()
            assert (node == tree.root) == same


def test_fixed_point_keeps_numbers_to_half_a_step_and_names_what_does_not_fit():
    numbers = np.random.default_rng(0).normal(size=1000) * 100
    assert np.abs(from_fixed(to_fixed(numbers)) - numbers).max() <= 2**-21
    for bad in (2048.0, -2049.0, np.nan, np.inf):
        with pytest.raises(ValueError, match=r"valid: numbers in \[-2048, 2048\)"):
            to_fixed([0.0, bad])
    with pytest.raises(ValueError, match="weights: got .*; valid: whole numbers"):
        exact_average([to_fixed([1.0])], [0])
    with pytest.raises(ValueError, match="data: got .*; valid: two numbers"):
        Tree(b"1234")
