"""The task market: prices against 50 digits, every refusal by name, money by hand, gas by signed transactions."""

import hashlib
import re
import subprocess
import sys
from decimal import Decimal
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("boa", reason="the chain extra is not installed")

from deepfake_kit.chain import evm  # noqa: E402
from deepfake_kit.chain.evm import ETHER, TaskRefused, source, storage_gas  # noqa: E402
from deepfake_kit.chain.market import WAD, TaskMarket, to_wad  # noqa: E402
from deepfake_kit.game import stackelberg  # noqa: E402

REASONS = set(re.findall(r'"([a-z_0-9]+)"', re.sub(r'""".*?"""', "", source(), flags=re.S)))
WINDOW, STAKE = 100, ETHER // 100
TERMS = dict(
    architecture="ab" * 32,
    local_rounds=10,
    global_rounds=2,
    learning_rate=1e-3,
    data_size=50,
    unit=ETHER,
    budget=ETHER,
    stake=STAKE,
    window=WINDOW,
)
UPDATE = b"the parameters of a round"
DIGEST = hashlib.sha256(UPDATE).hexdigest()


class World:
    """A market with one task, two nodes and a stranger."""

    def __init__(self, code=None, joined=2, started=True, **terms):
        self.m = TaskMarket(code)
        self.dsp, self.ann, self.bob, self.eve = map(self.m.account, ("dsp", "ann", "bob", "eve"))
        self.t = self.m.publish(self.dsp, **{**TERMS, **terms})
        for node in (self.ann, self.bob)[:joined]:
            self.m.join(node, self.t, data_size=50, cost=0.0105)
        if started:
            self.m.advance(WINDOW + 1)

    def submit(self, *nodes, round=0):
        for node in nodes or (self.ann, self.bob):
            self.m.submit(node, self.t, round, DIGEST)
        return self

    def rounds(self, n=2):
        for round in range(n):
            self.submit(round=round)
            self.m.aggregate(self.dsp, self.t, round, DIGEST)
        return self

    def challenge(self):
        self.submit().m.challenge(self.dsp, self.t, self.ann)
        return self


# -- price ---------------------------------------------------------------------------------


def exact(cost: float):
    with mpmath.workdps(50):
        c = mpmath.mpf(cost)
        price = min(2 * c, mpmath.sqrt(c * c + c / mpmath.log(2)) - c)
        return price, min(mpmath.mpf(1), price / (2 * c))


COSTS = np.concatenate([10.0 ** np.linspace(-6, 6, 241), np.linspace(0.17, 0.19, 41), [1 / (8 * np.log(2)), 0.125]])


def test_price_and_quality_agree_with_fifty_digits_to_one_part_in_a_billion():
    market = TaskMarket()
    for cost in np.clip(COSTS, 1e-6, 1e6):
        for ours, truth in zip(market.quote(float(cost)), exact(float(cost))):
            assert abs(mpmath.mpf(ours.numerator) / ours.denominator - truth) < 1e-9 * truth, cost


def test_price_and_quality_agree_with_the_kit():
    market = TaskMarket()
    for cost in 10.0 ** np.random.default_rng(0).uniform(-5, 3, 100):
        price, quality = stackelberg.equilibrium(float(cost))
        ours = market.quote(float(cost))
        assert float(ours[0]) == pytest.approx(price, rel=1e-9) and float(ours[1]) == pytest.approx(quality, rel=1e-9)


@settings(max_examples=60, deadline=None)
@given(cost=st.floats(1e-6, 1e6), step=st.floats(1e-4, 1))
def test_a_dearer_node_is_never_asked_for_more_quality(cost, step):
    market = test_a_dearer_node_is_never_asked_for_more_quality.market
    dearer = min(cost * (1 + step), 1e6)
    assert market.quote(dearer)[1] <= market.quote(cost)[1] <= 1
    assert market.quote(dearer)[0] >= market.quote(cost)[0]


test_a_dearer_node_is_never_asked_for_more_quality.market = TaskMarket()


def test_the_misprinted_formula_is_not_what_the_contract_computes():
    printed = stackelberg.equilibrium(0.15, printed=True)[0]
    assert float(TaskMarket().quote(0.15)[0]) == pytest.approx(0.3) and abs(printed - 0.3) > 0.03


def test_reward_is_price_times_quality_over_the_rounds():
    world = World(joined=0, started=False, global_rounds=3)
    for node, cost in ((world.ann, 0.0105), (world.bob, 0.4)):
        offer = world.m.join(node, world.t, 50, cost)
        price, quality = exact(cost)
        assert abs(offer.reward - price * quality * ETHER / 3) < 10
        assert offer.price == world.m.quote(cost)[0]


# -- refusals ------------------------------------------------------------------------------


def quantity(name, value):
    return lambda: World(**{"value": ETHER, name: value})


def with_node(call, **world):
    return lambda: call(World(**world))


def late_answer(w):
    w.challenge().m.advance(WINDOW + 1)
    w.m.answer(w.ann, w.t, w.ann, UPDATE)


def slashed_submits(w):
    w.challenge().m.advance(WINDOW + 1)
    w.m.slash(w.dsp, w.t, w.ann)
    w.m.aggregate(w.dsp, w.t, 0, DIGEST)
    w.submit(w.ann, round=1)


def late_challenge(w):
    w.submit().m.advance(3 * WINDOW)
    w.m.challenge(w.dsp, w.t, w.ann)


def answered_twice(w):
    w.challenge().m.answer(w.eve, w.t, w.ann, UPDATE)
    w.m.challenge(w.dsp, w.t, w.ann)


def payee_that_refuses(w):
    wall = w.m.deploy(WALL, "wall")
    wall.call("join", w.m.address, w.t, 50, to_wad("cost", 0.0105), sender=w.ann, value=STAKE)
    w.m.advance(10 * WINDOW)
    w.m.pay(w.eve, w.t, wall.address)


WALL = """# pragma version ~=0.4.3
interface TaskMarket:
    def join(task_id: uint256, data_size: uint256, cost: uint256): payable

@external
@payable
def join(market: address, task_id: uint256, data_size: uint256, cost: uint256):
    extcall TaskMarket(market).join(task_id, data_size, cost, value=msg.value)
"""

REFUSED = {
    "no_architecture": quantity("architecture", "00" * 32),
    "local_rounds_out_of_range": quantity("local_rounds", 0),
    "global_rounds_out_of_range": quantity("global_rounds", 10**6 + 1),
    "learning_rate_out_of_range": quantity("learning_rate", 1.5),
    "data_size_out_of_range": quantity("data_size", 2**64 + 1),
    "unit_out_of_range": quantity("unit", 2**200),
    "budget_out_of_range": quantity("budget", 2**255),
    "stake_out_of_range": quantity("stake", 0),
    "window_out_of_range": quantity("window", 2**256 - 1),
    "task_underfunded": quantity("value", ETHER - 1),
    "no_such_task": with_node(lambda w: w.m.refund(w.dsp, 7)),
    "no_such_function": with_node(lambda w: w.m._env.raw_call(w.m.address, data=b"\1\2\3\4")),
    "joining_closed": with_node(lambda w: w.m.join(w.eve, w.t, 50, 0.1)),
    "publisher_cannot_join": with_node(lambda w: w.m.join(w.dsp, w.t, 50, 0.1), started=False),
    "already_joined": with_node(lambda w: w.m.join(w.ann, w.t, 50, 0.1), started=False),
    "not_enough_data": with_node(lambda w: w.m.join(w.eve, w.t, 49, 0.1), started=False),
    "wrong_stake": with_node(lambda w: w.m.join(w.eve, w.t, 50, 0.1, stake=STAKE - 1), started=False),
    "cost_out_of_range": with_node(lambda w: w.m.join(w.eve, w.t, 50, 1e7), started=False),
    "reward_rounds_to_zero": with_node(lambda w: w.m.join(w.eve, w.t, 50, 0.1), joined=0, unit=1, started=False),
    "budget_exhausted": with_node(
        lambda w: w.m.join(w.eve, w.t, 50, 0.1), joined=0, budget=ETHER // 100, started=False
    ),
    "not_joined": with_node(lambda w: w.submit(w.eve)),
    "joining_still_open": with_node(lambda w: w.submit(), started=False),
    "round_not_open": with_node(lambda w: w.submit(round=1)),
    "update_late": with_node(lambda w: (w.m.advance(WINDOW), w.submit())),
    "task_ended": with_node(lambda w: w.rounds().submit(round=2)),
    "already_submitted": with_node(lambda w: w.submit(w.ann, w.ann)),
    "empty_hash": with_node(lambda w: w.m.submit(w.ann, w.t, 0, "00" * 32)),
    "node_slashed": with_node(slashed_submits),
    "not_publisher": with_node(lambda w: w.submit().m.aggregate(w.ann, w.t, 0, DIGEST)),
    "wrong_round": with_node(lambda w: w.submit().m.aggregate(w.dsp, w.t, 1, DIGEST)),
    "round_still_open": with_node(lambda w: w.submit(w.ann).m.aggregate(w.dsp, w.t, 0, DIGEST)),
    "dispute_open": with_node(lambda w: w.challenge().m.aggregate(w.dsp, w.t, 0, DIGEST)),
    "nothing_to_challenge": with_node(lambda w: w.m.challenge(w.dsp, w.t, w.ann)),
    "already_challenged": with_node(lambda w: w.challenge().m.challenge(w.dsp, w.t, w.ann)),
    "already_answered": with_node(answered_twice),
    "challenge_late": with_node(late_challenge),
    "wrong_bond": with_node(lambda w: w.submit().m.challenge(w.dsp, w.t, w.ann, STAKE - 1)),
    "no_dispute": with_node(lambda w: w.submit().m.slash(w.dsp, w.t, w.ann)),
    "answer_late": with_node(late_answer),
    "answer_window_open": with_node(lambda w: w.challenge().m.slash(w.dsp, w.t, w.ann)),
    "bytes_do_not_match": with_node(lambda w: w.challenge().m.answer(w.ann, w.t, w.ann, UPDATE + b".")),
    "nothing_due": with_node(lambda w: w.submit().m.pay(w.ann, w.t, w.ann)),
    "task_running": with_node(lambda w: w.m.refund(w.dsp, w.t)),
    "already_refunded": with_node(lambda w: (w.rounds(), w.m.refund(w.dsp, w.t), w.m.refund(w.dsp, w.t))),
    "payee_rejected": with_node(payee_that_refuses, started=False),
}


@pytest.mark.parametrize("reason", sorted(REASONS | set(REFUSED)))
def test_each_refusal_has_its_name(reason):
    if reason == "no_such_function":
        with pytest.raises(Exception, match="no_such_function"):
            REFUSED[reason]()
        return
    with pytest.raises(TaskRefused) as caught:
        REFUSED[reason]()
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    "name, bad",
    [
        ("cost", -0.1),
        ("cost", 0),
        ("cost", 0.0),
        ("cost", float("nan")),
        ("cost", float("inf")),
        ("cost", "x"),
        ("data_size", -1),
        ("data_size", 1.5),
        ("data_size", 2**256),
    ],
)
def test_what_cannot_be_encoded_is_a_value_error_that_names_the_argument(name, bad):
    world = World(joined=0, started=False)
    with pytest.raises(ValueError, match=f"{name}: got .*; valid: a"):
        world.m.join(world.ann, world.t, **{**dict(data_size=50, cost=0.1), name: bad})
    if name == "cost":
        with pytest.raises(ValueError, match="cost: got .*; valid: a finite number >"):
            world.m.quote(bad)
    with pytest.raises(ValueError, match="digest: got .*; valid: 32 bytes"):
        world.m.submit(world.ann, world.t, 0, "abc")


@pytest.mark.parametrize("cost", [1e-18, 1e-7, 1e6 * (1 + 1e-9), 1e50])
def test_a_cost_beyond_the_fixed_point_is_refused_by_the_contract_itself(cost):
    world = World(joined=0, started=False)
    for call in (lambda: world.m.quote(cost), lambda: world.m.join(world.ann, world.t, 50, cost)):
        with pytest.raises(TaskRefused, match="cost_out_of_range"):
            call()


@pytest.mark.parametrize("big", [2**64, 2**128, 2**192, 2**255, 2**256 - 1])
@pytest.mark.parametrize("name", ["local_rounds", "global_rounds", "data_size", "unit", "budget", "stake", "window"])
def test_a_quantity_too_large_is_refused_by_name_and_never_overflows(name, big):
    world = World(joined=0, started=False)
    rich = world.m.account("rich", 2**256 - 2**130)
    try:
        task = world.m.publish(rich, **{**TERMS, name: big})
        world.m.join(world.ann, task, 2**64, 1e6, stake=TERMS["stake"])
    except TaskRefused as refusal:
        assert refusal.reason in REASONS | {"insufficient_funds"}, refusal.reason


def test_the_largest_allowed_quantities_do_not_overflow():
    world = World(joined=0, started=False)
    rich, node = world.m.account("rich", 2**200), world.m.account("node", 2**200)
    task = world.m.publish(
        rich,
        **{
            **TERMS,
            "local_rounds": 10**6,
            "global_rounds": 10**6,
            "learning_rate": 1,
            "data_size": 2**64,
            "unit": 2**128,
            "budget": 2**128,
            "stake": 2**128,
            "window": 10**8,
        },
    )
    price, quality = exact(0.18033688)
    offer = world.m.join(node, task, 2**64, 0.18033688)
    assert abs(offer.reward * 10**6 / (price * quality * 2**128) - 1) < 1e-9


# -- money ---------------------------------------------------------------------------------


def test_a_whole_task_pays_what_it_promised_and_gives_the_rest_back():
    world = World()
    before = {x: world.m.balance(x) for x in (world.dsp, world.ann, world.bob)}
    world.rounds()
    reward = world.m.node(world.t, world.ann).reward
    for node in (world.ann, world.bob):
        assert world.m.pay(world.eve, world.t, node) == 2 * reward + STAKE
    assert world.m.refund(world.eve, world.t) == ETHER - 4 * reward
    assert world.m.balance(world.ann) == before[world.ann] + 2 * reward + STAKE
    assert world.m.balance(world.dsp) == before[world.dsp] + ETHER - 4 * reward
    assert world.m.totals() == {
        "deposited": ETHER + 2 * STAKE,
        "paid": 4 * reward,
        "refunded": ETHER - 4 * reward + 2 * STAKE,
        "held": 0,
    }
    assert world.m.digest(world.t, 1) == DIGEST == world.m.digest(world.t, 0, world.ann)


def test_pay_round_by_round_adds_up_to_pay_at_the_end():
    world = World()
    for round in range(2):
        world.submit(round=round).m.aggregate(world.dsp, world.t, round, DIGEST)
        world.m.pay(world.ann, world.t, world.ann)
    assert world.m.pay(world.bob, world.t, world.bob) == 2 * world.m.node(world.t, world.bob).reward + STAKE
    assert world.m.balance(world.ann) == world.m.balance(world.bob)


def test_a_node_that_never_answers_holds_nobody_up_and_keeps_its_stake():
    world = World()
    for round in range(2):
        world.submit(world.ann, round=round).m.advance(WINDOW + 1)
        world.m.aggregate(world.dsp, world.t, round, DIGEST)
    reward = world.m.node(world.t, world.ann).reward
    assert world.m.pay(world.ann, world.t, world.ann) == 2 * reward + STAKE
    assert world.m.pay(world.bob, world.t, world.bob) == STAKE
    assert world.m.refund(world.dsp, world.t) == ETHER - 2 * reward


def test_a_publisher_that_never_aggregates_pays_for_what_was_delivered():
    world = World()
    world.submit(world.ann).m.advance(5 * WINDOW)
    assert world.m.phase(world.t) == "over"
    assert world.m.pay(world.ann, world.t, world.ann) == world.m.node(world.t, world.ann).reward + STAKE
    assert world.m.pay(world.bob, world.t, world.bob) == STAKE
    world.m.refund(world.dsp, world.t)
    assert world.m.totals()["held"] == 0


@pytest.mark.parametrize("honest", [True, False])
def test_a_challenge_costs_the_side_that_is_wrong(honest):
    world = World().challenge()
    reward = world.m.node(world.t, world.ann).reward
    dsp, ann = world.m.balance(world.dsp), world.m.balance(world.ann)
    if honest:
        world.m.answer(world.ann, world.t, world.ann, UPDATE)
    else:
        world.m.advance(WINDOW + 1)
        world.m.slash(world.dsp, world.t, world.ann)
    world.m.advance(1)
    world.m.aggregate(world.dsp, world.t, 0, DIGEST)
    world.m.advance(9 * WINDOW)
    if honest:
        world.m.pay(world.ann, world.t, world.ann)
    else:
        with pytest.raises(TaskRefused, match="nothing_due"):
            world.m.pay(world.ann, world.t, world.ann)
    world.m.pay(world.bob, world.t, world.bob)
    world.m.refund(world.dsp, world.t)
    gained = {"dsp": world.m.balance(world.dsp) - dsp, "ann": world.m.balance(world.ann) - ann}
    # The bond left the publisher before `dsp` was read; the stake left the node when it joined.
    if honest:
        assert gained == {"dsp": ETHER - 2 * reward, "ann": reward + 2 * STAKE}
    else:
        assert gained == {"dsp": ETHER - reward + 2 * STAKE, "ann": 0}
    assert world.m.totals()["held"] == 0


def test_an_empty_task_can_be_cancelled_and_a_stranger_cannot_cancel_it():
    world = World(joined=0, started=False)
    with pytest.raises(TaskRefused, match="task_running"):
        world.m.refund(world.eve, world.t)
    assert world.m.refund(world.dsp, world.t) == ETHER
    with pytest.raises(TaskRefused, match="joining_closed"):
        world.m.join(world.ann, world.t, 50, 0.1)


def greedy_trace(code):
    world = World(code, joined=1, started=False)
    greedy = world.m.deploy(source("greedy_payee"), "greedy")
    greedy.call("join", world.m.address, world.t, 50, to_wad("cost", 0.0105), sender=world.eve, value=STAKE)
    world.m.advance(WINDOW + 1)
    world.submit(world.ann)
    greedy.call("submit", world.m.address, world.t, 0, bytes.fromhex(DIGEST), sender=world.eve)
    world.m.aggregate(world.dsp, world.t, 0, DIGEST)
    world.m.pay(world.eve, world.t, greedy.address)
    return world, greedy


def test_a_re_entrant_payee_gains_nothing():
    world, greedy = greedy_trace(source())
    assert greedy.read("attempts") == 1 and greedy.read("successes") == 0
    assert b"nothing_due" in greedy.read("refusal")
    assert world.m.balance(greedy.address) == world.m.node(world.t, greedy.address).reward


def test_the_re_entrant_payee_does_drain_a_contract_that_pays_first():
    transfer = (
        '    sent: bool = raw_call(node, b"", value=amount + stake, revert_on_failure=False)\n'
        '    assert sent, "payee_rejected"\n'
    )
    first = "    self.nodes[task_id][node].paid_rounds = accepted\n"
    careless = source().replace(transfer, "").replace(first, transfer + first)
    world, greedy = greedy_trace(careless)
    assert world.m.balance(greedy.address) == 4 * world.m.node(world.t, greedy.address).reward


def test_nobody_can_send_the_market_money_that_it_does_not_count():
    world = World()
    with pytest.raises(Exception, match="no_such_function"):
        world.m._env.raw_call(world.m.address, sender=world.eve, value=1)


# -- gas -----------------------------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(data=st.binary(max_size=600).map(lambda x: x.replace(b"\7", b"\0")))
def test_intrinsic_gas_is_that_of_py_evm(data):
    from eth.vm.forks.prague.transactions import PragueUnsignedLegacyTransaction

    plain = PragueUnsignedLegacyTransaction(nonce=0, gas_price=1, gas=10**7, to=b"\1" * 20, value=0, data=data)
    executed = 10**6  # large enough for the floor not to bind
    assert evm.transaction_gas(data, executed) - executed == plain.intrinsic_gas
    tokens = sum(1 if byte == 0 else 4 for byte in data)
    assert evm.transaction_gas(data, 0) == 21000 + 10 * tokens


def test_gas_of_a_transaction_is_that_of_the_same_transaction_signed_and_mined():
    """The market's receipt against py-evm's own transaction executor, on a copy of the state."""
    from eth_keys import keys

    world = World(joined=0, started=False)
    key = keys.PrivateKey(b"\7" * 32)
    sender = key.public_key.to_checksum_address()
    world.m._env.set_balance(evm.Address(sender), ETHER)
    state = world.m._env.evm.vm.state
    contract = world.m._contract
    data = contract.call_data("join", world.t, 50, to_wad("cost", 0.0105))
    unsigned = world.m._env.evm.vm.create_unsigned_transaction(
        nonce=state.get_nonce(key.public_key.to_canonical_address()),
        gas_price=10**9 * 2,
        gas=3 * 10**6,
        to=evm.Address(world.m.address).canonical_address,
        value=STAKE,
        data=data,
    )
    world.m._env._reset_access_counters()
    state.lock_changes()
    signed = unsigned.as_signed_transaction(key)
    computation = state.apply_transaction(signed)
    mined = signed.gas_used_by(computation) - computation.get_gas_refund()
    assert not computation.is_error
    assert world.m.node(world.t, sender).status == 1
    fresh = World(joined=0, started=False)
    fresh.m._env.set_balance(evm.Address(sender), ETHER)
    fresh.m.join(sender, fresh.t, 50, 0.0105)
    assert fresh.m.receipts[-1].gas == mined


def test_storage_gas_is_what_the_machine_charges():
    """Marginal gas of one more 32-byte word written by a contract, against the constant that the chapter quotes."""
    code = (
        "# pragma version ~=0.4.3\nwords: HashMap[uint256, bytes32]\n\n@external\ndef write(n: uint256):\n"
        "    for i: uint256 in range(n, bound=64):\n        self.words[i] = max_value(uint256)\n"
    )
    code = code.replace("bytes32]", "uint256]")
    market = TaskMarket()
    writer, anyone = market.deploy(code, "writer"), market.account("anyone")
    writer.call("write", 1, sender=anyone)
    market = TaskMarket()
    writer, anyone = market.deploy(code, "writer"), market.account("anyone")
    writer.call("write", 33, sender=anyone)
    many = market.receipts[-1].gas
    market = TaskMarket()
    writer, anyone = market.deploy(code, "writer"), market.account("anyone")
    writer.call("write", 1, sender=anyone)
    per_word = (many - market.receipts[-1].gas) / 32
    assert storage_gas(32) <= per_word <= 1.02 * storage_gas(32)
    assert storage_gas(0) == 0 and storage_gas(32) * 2 == storage_gas(64) == storage_gas(33)


# -- the two code generators, the missing extra --------------------------------------------


def test_both_code_generators_of_vyper_behave_alike():
    """The same calls on the bytecode of the newer and of the older pipeline: same events, refusals and balances."""
    older = source().replace("# pragma experimental-codegen\n", "")
    assert older != source()
    traces = []
    for code in (source(), older):
        world = World(code).challenge()
        world.m.answer(world.ann, world.t, world.ann, UPDATE)
        for call, *args in (
            ("submit", world.ann, world.t, 0, DIGEST),
            ("aggregate", world.dsp, world.t, 0, DIGEST),
            ("pay", world.eve, world.t, world.ann),
            ("refund", world.dsp, world.t),
            ("submit", world.eve, world.t, 1, DIGEST),
            ("join", world.eve, world.t, 50, 3.0),
        ):
            try:
                getattr(world.m, call)(*args)
            except TaskRefused:
                pass
        quotes = [world.m.quote(float(c)) for c in np.clip(COSTS[::9], 1e-6, 1e6)]
        world.m.advance(9 * WINDOW)
        world.m.pay(world.eve, world.t, world.bob)
        world.m.refund(world.eve, world.t)
        traces.append((world.m.events, [r._replace(gas=0) for r in world.m.receipts], quotes, world.m.totals()))
    assert traces[0] == traces[1]


ADDER = """# pragma version ~=0.4.3
struct Pair:
    one: uint256
    who: address

@external
@pure
def add(a: uint256, b: uint256) -> uint256:
    return a + b

@external
@view
def both() -> (uint256, Pair):
    return 7, Pair(one=8, who=msg.sender)
"""


@pytest.mark.parametrize("damage", [b"", b"{", b'{"abi": []}', b'{"abi": [], "bytecode": "xyz"}', b"[]", b"\xff"])
def test_a_damaged_memory_of_a_compiled_contract_is_compiled_again(damage, tmp_path, monkeypatch):
    monkeypatch.setattr(evm, "cache_folder", lambda: tmp_path)
    first = evm.compiled.__wrapped__(ADDER)
    (kept,) = (tmp_path / "contracts").iterdir()
    whole = kept.read_bytes()
    kept.write_bytes(damage)
    assert evm.compiled.__wrapped__(ADDER) == first and kept.read_bytes() == whole
    monkeypatch.setattr(evm.vyper, "compile_code", None)  # what is remembered needs no compiler
    assert evm.compiled.__wrapped__(ADDER) == first


def test_a_cache_that_cannot_be_written_to_is_no_failure(tmp_path, monkeypatch):
    (tmp_path / "contracts").write_text("a file where the folder should be")
    monkeypatch.setattr(evm, "cache_folder", lambda: tmp_path)
    assert evm.compiled.__wrapped__(ADDER)[0]


def test_another_pragma_is_refused_at_once_and_no_compiler_is_looked_for(monkeypatch):
    monkeypatch.setattr("socket.socket.connect", lambda *args: pytest.fail("someone looked online"))
    with pytest.raises(Exception, match="0.3.10"):
        evm.Chain().deploy(ADDER.replace("~=0.4.3", "==0.3.10"), "adder")


def test_the_bytecode_is_what_titanoboa_would_deploy():
    import boa

    assert evm.compiled(source())[0] == boa.loads_partial(source()).compiler_data.bytecode


def test_results_come_as_numbers_tuples_and_named_fields():
    chain = evm.Chain()
    adder = chain.deploy(ADDER, "adder")
    assert adder.read("add", 2, 3) == 5 and adder.call("add", 2, 3, sender=chain.account("anyone")) == 5
    number, pair = adder.read("both")
    assert number == 7 and pair.one == 8 and chain.names[pair.who] == "founder"
    with pytest.raises(TaskRefused):
        adder.read("add", 2**256 - 1, 1)
    with pytest.raises(KeyError):
        adder.read("subtract", 1, 1)


def test_without_titanoboa_the_import_names_the_extra():
    program = (
        "import sys; sys.modules['boa'] = None\n"
        "import deepfake_kit\n"
        "try:\n    import deepfake_kit.chain.market\nexcept ImportError as error:\n    print(error)\n"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    assert "deepfake_kit[chain]" in said


def test_a_late_chain_is_as_fast_as_the_first():
    """titanoboa stacks tracers in a table that all environments share; ours must not stack, nor touch what is there."""
    from eth.vm.forks.prague.computation import PragueComputation

    def tracers(opcode):
        found = 0
        while isinstance(opcode, evm.SstoreTracer):
            opcode, found = opcode.sstore, found + 1
        return found

    before = tracers(PragueComputation.opcodes[0x55])
    markets = [TaskMarket() for _ in range(3)]
    assert tracers(PragueComputation.opcodes[0x55]) == before
    assert [tracers(m._env.evm.vm.state.computation_class.opcodes[0x55]) for m in markets] == [0, 0, 0]


def test_addresses_and_names():
    market = TaskMarket()
    first = market.account("same")
    with pytest.raises(ValueError, match="name: got .*; valid: new"):
        market.account("same")
    assert TaskMarket().account("same") == first
    assert to_wad("cost", Fraction(1, 4)) == WAD // 4


@pytest.mark.parametrize("kind", [float, np.float16, np.float32, np.float64, Decimal, Fraction, np.array])
def test_a_quarter_of_any_kind_is_a_quarter(kind):
    assert to_wad("cost", kind(0.25)) == WAD // 4


@pytest.mark.parametrize(
    "bad", [True, np.bool_(True), np.float32(-1), np.float32("nan"), np.float16("inf"), np.ones(2), "x", None]
)
def test_what_is_no_price_is_refused_by_name(bad):
    with pytest.raises(ValueError, match="cost: got .*; valid: a finite number >= 0"):
        to_wad("cost", bad)
