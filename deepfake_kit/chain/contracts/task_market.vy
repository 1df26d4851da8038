# pragma version ~=0.4.3
# pragma experimental-codegen
"""
@title TaskMarket
@notice Federated training tasks with an escrowed budget, priced by the Stackelberg equilibrium.
@dev The life of a task, in windows of `window` seconds:

     publish -> joining window -> [ submit window -> challenges, answers -> aggregate ] x global_rounds
             -> pay each node, refund the publisher

     The chain keeps SHA-256 hashes only; the bytes live in a content-addressed store.
     Money leaves through `pay` and `refund` alone: one receiver a call, state written before the
     transfer, so a receiver that re-enters finds nothing due and one that refuses blocks nobody else.
     Numbers called "wad" are fixed point with 18 decimals: 1.0 is 10**18.
     Every quantity is bounded on entry, so no later product can leave 256 bits.
"""

WAD: constant(uint256) = 10**18
INVERSE_LN_2: constant(uint256) = 1442695040888963407  # 1 / ln 2, wad
MIN_COST: constant(uint256) = 10**12  # C = 1e-6
MAX_COST: constant(uint256) = 10**24  # C = 1e6
MAX_ROUNDS: constant(uint256) = 10**6
MAX_DATA: constant(uint256) = 2**64
MAX_WEI: constant(uint256) = 2**128
MAX_WINDOW: constant(uint256) = 10**8  # seconds, about three years
MAX_BYTES: constant(uint256) = 2**18  # longest update that can be shown on chain
STRANGER: constant(uint256) = 0
JOINED: constant(uint256) = 1
SLASHED: constant(uint256) = 2

struct Terms:
    publisher: address
    architecture: bytes32
    local_rounds: uint256
    global_rounds: uint256
    learning_rate: uint256  # wad
    data_size: uint256  # fewest samples a node must bring
    unit: uint256  # wei the publisher pays for one unit of utility
    budget: uint256  # wei
    stake: uint256  # wei: deposit of a node, and bond of a challenge
    window: uint256  # seconds

struct Task:
    join_deadline: uint256
    round_deadline: uint256
    round: uint256  # rounds aggregated so far
    nodes: uint256  # joined and not slashed
    submissions: uint256  # standing updates of the current round
    disputes: uint256
    reserved: uint256  # wei promised to the nodes that joined
    round_value: uint256  # wei the standing updates of this round will earn
    earned: uint256  # wei earned in accepted rounds, paid or not
    forfeited: uint256  # slashed stakes and the bonds that go home with them
    ended: bool
    refunded: bool

struct Node:
    status: uint256  # STRANGER, JOINED or SLASHED
    data_size: uint256
    cost: uint256  # C = cyc * data * fre^2, wad
    reward: uint256  # wei an accepted round
    submitted: uint256  # standing updates, all rounds
    last_round: uint256  # 1 + round of the last standing update
    answered: uint256  # 1 + round of the last challenge answered
    paid_rounds: uint256
    stake: uint256
    bonus: uint256  # bonds won by answering
    dispute_deadline: uint256  # 0: no dispute

event Published:
    task_id: indexed(uint256)
    publisher: indexed(address)
    budget: uint256

event Joined:
    task_id: indexed(uint256)
    node: indexed(address)
    price: uint256
    quality: uint256
    reward: uint256

event Submitted:
    task_id: indexed(uint256)
    node: indexed(address)
    round: uint256
    digest: bytes32

event Challenged:
    task_id: indexed(uint256)
    node: indexed(address)
    round: uint256

event Answered:
    task_id: indexed(uint256)
    node: indexed(address)
    round: uint256

event Slashed:
    task_id: indexed(uint256)
    node: indexed(address)
    round: uint256
    amount: uint256

event Aggregated:
    task_id: indexed(uint256)
    round: uint256
    updates: uint256
    digest: bytes32

event Paid:
    task_id: indexed(uint256)
    node: indexed(address)
    amount: uint256
    stake: uint256

event Refunded:
    task_id: indexed(uint256)
    publisher: indexed(address)
    amount: uint256

task_count: public(uint256)
deposited: uint256
paid: uint256
refunded: uint256
terms: public(HashMap[uint256, Terms])
tasks: public(HashMap[uint256, Task])
nodes: public(HashMap[uint256, HashMap[address, Node]])  # task, node
updates: public(HashMap[uint256, HashMap[uint256, HashMap[address, bytes32]]])  # task, round, node
aggregates: public(HashMap[uint256, HashMap[uint256, bytes32]])  # task, round


@external
@payable
def __default__():
    raise "no_such_function"


@internal
@pure
def _equilibrium(cost: uint256) -> (uint256, uint256):
    """
    @dev p* = min(2C, -C + sqrt(C^2 + C / ln 2)), q* = min(1, p* / 2C). The root is taken in its
         rationalised form (C / ln 2) / (C + sqrt(C^2 + C / ln 2)): no digits cancel at large C.
    """
    assert cost >= MIN_COST and cost <= MAX_COST, "cost_out_of_range"
    if 8 * cost <= INVERSE_LN_2:
        return 2 * cost, WAD
    scaled: uint256 = cost * INVERSE_LN_2
    price: uint256 = scaled // (cost + isqrt(cost * cost + scaled))
    return price, min(WAD, price * WAD // (2 * cost))


@internal
@view
def _is_over(task_id: uint256) -> bool:
    """
    @dev True when the task has ended or a deadline has ended it: nobody joined (or all were
         slashed), nobody submitted in time, or the publisher did not aggregate in time.
    """
    if self.tasks[task_id].ended:
        return True
    if block.timestamp <= self.tasks[task_id].join_deadline:
        return False
    if self.tasks[task_id].nodes == 0:
        return True
    deadline: uint256 = self.tasks[task_id].round_deadline
    if block.timestamp <= deadline:
        return False
    return self.tasks[task_id].submissions == 0 or block.timestamp > deadline + 3 * self.terms[task_id].window


@internal
def _settle(task_id: uint256) -> bool:
    """
    @dev Write down an end by timeout. Updates that stand unaggregated are paid: the nodes delivered.
    """
    if not self._is_over(task_id):
        return False
    if not self.tasks[task_id].ended:
        self.tasks[task_id].ended = True
        self.tasks[task_id].earned += self.tasks[task_id].round_value
        self.tasks[task_id].round_value = 0
    return True


@external
@payable
def publish(
    architecture: bytes32, local_rounds: uint256, global_rounds: uint256, learning_rate: uint256,
    data_size: uint256, unit: uint256, budget: uint256, stake: uint256, window: uint256,
) -> uint256:
    assert architecture != empty(bytes32), "no_architecture"
    assert local_rounds >= 1 and local_rounds <= MAX_ROUNDS, "local_rounds_out_of_range"
    assert global_rounds >= 1 and global_rounds <= MAX_ROUNDS, "global_rounds_out_of_range"
    assert learning_rate >= 1 and learning_rate <= WAD, "learning_rate_out_of_range"
    assert data_size >= 1 and data_size <= MAX_DATA, "data_size_out_of_range"
    assert unit >= 1 and unit <= MAX_WEI, "unit_out_of_range"
    assert budget >= 1 and budget <= MAX_WEI, "budget_out_of_range"
    assert stake >= 1 and stake <= MAX_WEI, "stake_out_of_range"
    assert window >= 1 and window <= MAX_WINDOW, "window_out_of_range"
    assert msg.value == budget, "task_underfunded"
    task_id: uint256 = self.task_count
    self.task_count = task_id + 1
    self.deposited += msg.value
    self.terms[task_id] = Terms(
        publisher=msg.sender, architecture=architecture, local_rounds=local_rounds,
        global_rounds=global_rounds, learning_rate=learning_rate, data_size=data_size, unit=unit,
        budget=budget, stake=stake, window=window,
    )
    self.tasks[task_id].join_deadline = block.timestamp + window
    self.tasks[task_id].round_deadline = block.timestamp + 2 * window
    log Published(task_id=task_id, publisher=msg.sender, budget=budget)
    return task_id


@external
@payable
def join(task_id: uint256, data_size: uint256, cost: uint256):
    assert task_id < self.task_count, "no_such_task"
    assert block.timestamp <= self.tasks[task_id].join_deadline, "joining_closed"
    assert not self.tasks[task_id].ended, "joining_closed"
    assert msg.sender != self.terms[task_id].publisher, "publisher_cannot_join"
    assert self.nodes[task_id][msg.sender].status == STRANGER, "already_joined"
    assert data_size >= self.terms[task_id].data_size, "not_enough_data"
    assert data_size <= MAX_DATA, "data_size_out_of_range"
    assert msg.value == self.terms[task_id].stake, "wrong_stake"
    price: uint256 = 0
    quality: uint256 = 0
    price, quality = self._equilibrium(cost)
    rounds: uint256 = self.terms[task_id].global_rounds
    reward: uint256 = price * quality * self.terms[task_id].unit // (WAD * WAD * rounds)
    assert reward >= 1, "reward_rounds_to_zero"
    reserved: uint256 = self.tasks[task_id].reserved + reward * rounds
    assert reserved <= self.terms[task_id].budget, "budget_exhausted"
    self.tasks[task_id].reserved = reserved
    self.tasks[task_id].nodes += 1
    self.deposited += msg.value
    self.nodes[task_id][msg.sender].status = JOINED
    self.nodes[task_id][msg.sender].data_size = data_size
    self.nodes[task_id][msg.sender].cost = cost
    self.nodes[task_id][msg.sender].reward = reward
    self.nodes[task_id][msg.sender].stake = msg.value
    log Joined(task_id=task_id, node=msg.sender, price=price, quality=quality, reward=reward)


@external
def submit(task_id: uint256, round: uint256, digest: bytes32):
    status: uint256 = self.nodes[task_id][msg.sender].status
    assert status != STRANGER, "not_joined"
    assert status == JOINED, "node_slashed"
    assert block.timestamp > self.tasks[task_id].join_deadline, "joining_still_open"
    current: uint256 = self.tasks[task_id].round
    assert round <= current, "round_not_open"
    assert round == current and block.timestamp <= self.tasks[task_id].round_deadline, "update_late"
    assert not self.tasks[task_id].ended, "task_ended"
    assert self.nodes[task_id][msg.sender].last_round != round + 1, "already_submitted"
    assert digest != empty(bytes32), "empty_hash"
    self.nodes[task_id][msg.sender].last_round = round + 1
    self.nodes[task_id][msg.sender].submitted += 1
    self.tasks[task_id].submissions += 1
    self.tasks[task_id].round_value += self.nodes[task_id][msg.sender].reward
    self.updates[task_id][round][msg.sender] = digest
    log Submitted(task_id=task_id, node=msg.sender, round=round, digest=digest)


@external
@payable
def challenge(task_id: uint256, node: address):
    """
    @notice The publisher fetched bytes that do not match the hash, or none at all: the node must show them.
    """
    assert task_id < self.task_count, "no_such_task"
    assert msg.sender == self.terms[task_id].publisher, "not_publisher"
    assert not self._is_over(task_id), "task_ended"
    round: uint256 = self.tasks[task_id].round
    assert self.nodes[task_id][node].last_round == round + 1, "nothing_to_challenge"
    assert self.nodes[task_id][node].dispute_deadline == 0, "already_challenged"
    assert self.nodes[task_id][node].answered != round + 1, "already_answered"
    window: uint256 = self.terms[task_id].window
    assert block.timestamp <= self.tasks[task_id].round_deadline + window, "challenge_late"
    assert msg.value == self.terms[task_id].stake, "wrong_bond"
    self.deposited += msg.value
    self.tasks[task_id].disputes += 1
    self.nodes[task_id][node].dispute_deadline = block.timestamp + window
    log Challenged(task_id=task_id, node=node, round=round)


@external
def answer(task_id: uint256, node: address, data: Bytes[MAX_BYTES]):
    """
    @notice Anyone may show the bytes. The contract hashes them itself and trusts neither side.
    """
    deadline: uint256 = self.nodes[task_id][node].dispute_deadline
    assert deadline != 0, "no_dispute"
    assert block.timestamp <= deadline, "answer_late"
    last_round: uint256 = self.nodes[task_id][node].last_round
    assert sha256(data) == self.updates[task_id][last_round - 1][node], "bytes_do_not_match"
    self.tasks[task_id].disputes -= 1
    self.nodes[task_id][node].dispute_deadline = 0
    self.nodes[task_id][node].answered = last_round
    self.nodes[task_id][node].bonus += self.terms[task_id].stake
    log Answered(task_id=task_id, node=node, round=last_round - 1)


@external
def slash(task_id: uint256, node: address):
    """
    @notice The bytes were not shown in time. The stake and the bond go to the publisher with the refund.
    """
    deadline: uint256 = self.nodes[task_id][node].dispute_deadline
    assert deadline != 0, "no_dispute"
    assert block.timestamp > deadline, "answer_window_open"
    reward: uint256 = self.nodes[task_id][node].reward
    if self._settle(task_id):
        self.tasks[task_id].earned -= reward
    else:
        self.tasks[task_id].round_value -= reward
    stake: uint256 = self.terms[task_id].stake
    round: uint256 = self.nodes[task_id][node].last_round - 1
    self.tasks[task_id].submissions -= 1
    self.tasks[task_id].nodes -= 1
    self.tasks[task_id].disputes -= 1
    self.tasks[task_id].forfeited += 2 * stake
    self.updates[task_id][round][node] = empty(bytes32)
    self.nodes[task_id][node].status = SLASHED
    self.nodes[task_id][node].stake = 0
    self.nodes[task_id][node].submitted -= 1
    self.nodes[task_id][node].last_round = 0
    self.nodes[task_id][node].dispute_deadline = 0
    log Slashed(task_id=task_id, node=node, round=round, amount=stake)


@external
def aggregate(task_id: uint256, round: uint256, digest: bytes32):
    """
    @notice Close a round: record the hash of the aggregate and accept every update that stands.
    """
    assert task_id < self.task_count, "no_such_task"
    assert msg.sender == self.terms[task_id].publisher, "not_publisher"
    assert not self._is_over(task_id), "task_ended"
    assert block.timestamp > self.tasks[task_id].join_deadline, "joining_still_open"
    assert round == self.tasks[task_id].round, "wrong_round"
    assert digest != empty(bytes32), "empty_hash"
    assert self.tasks[task_id].disputes == 0, "dispute_open"
    submissions: uint256 = self.tasks[task_id].submissions
    all_in: bool = submissions == self.tasks[task_id].nodes
    assert all_in or block.timestamp > self.tasks[task_id].round_deadline, "round_still_open"
    self.tasks[task_id].earned += self.tasks[task_id].round_value
    self.tasks[task_id].round_value = 0
    self.tasks[task_id].submissions = 0
    self.tasks[task_id].round = round + 1
    self.tasks[task_id].round_deadline = block.timestamp + self.terms[task_id].window
    if round + 1 == self.terms[task_id].global_rounds:
        self.tasks[task_id].ended = True
    self.aggregates[task_id][round] = digest
    log Aggregated(task_id=task_id, round=round, updates=submissions, digest=digest)


@internal
@view
def _due(task_id: uint256, node: address, over: bool) -> (uint256, uint256, uint256):
    """
    @dev (accepted rounds, wei earned and not yet paid, stake to give back)
    """
    accepted: uint256 = self.nodes[task_id][node].submitted
    stake: uint256 = 0
    if over:
        stake = self.nodes[task_id][node].stake
    elif self.nodes[task_id][node].last_round == self.tasks[task_id].round + 1:
        accepted -= 1
    unpaid: uint256 = accepted - self.nodes[task_id][node].paid_rounds
    return accepted, self.nodes[task_id][node].reward * unpaid + self.nodes[task_id][node].bonus, stake


@external
def pay(task_id: uint256, node: address):
    """
    @notice Send a node what it has earned so far, and its stake once the task is over. Anyone may call.
    """
    assert self.nodes[task_id][node].status != STRANGER, "not_joined"
    assert self.nodes[task_id][node].dispute_deadline == 0, "dispute_open"
    accepted: uint256 = 0
    amount: uint256 = 0
    stake: uint256 = 0
    accepted, amount, stake = self._due(task_id, node, self._settle(task_id))
    assert amount + stake > 0, "nothing_due"
    self.nodes[task_id][node].paid_rounds = accepted
    self.nodes[task_id][node].bonus = 0
    self.nodes[task_id][node].stake -= stake
    self.paid += amount
    self.refunded += stake
    log Paid(task_id=task_id, node=node, amount=amount, stake=stake)
    sent: bool = raw_call(node, b"", value=amount + stake, revert_on_failure=False)
    assert sent, "payee_rejected"


@external
def refund(task_id: uint256):
    """
    @notice Send the publisher what no node has earned. Anyone may call; a publisher may cancel an empty task.
    """
    assert task_id < self.task_count, "no_such_task"
    assert not self.tasks[task_id].refunded, "already_refunded"
    publisher: address = self.terms[task_id].publisher
    over: bool = self._settle(task_id)
    assert over or (msg.sender == publisher and self.tasks[task_id].nodes == 0), "task_running"
    assert self.tasks[task_id].disputes == 0, "dispute_open"
    amount: uint256 = self.terms[task_id].budget - self.tasks[task_id].earned + self.tasks[task_id].forfeited
    self.tasks[task_id].ended = True
    self.tasks[task_id].refunded = True
    self.refunded += amount
    log Refunded(task_id=task_id, publisher=publisher, amount=amount)
    sent: bool = raw_call(publisher, b"", value=amount, revert_on_failure=False)
    assert sent, "payee_rejected"


@external
@pure
def quote(cost: uint256) -> (uint256, uint256):
    return self._equilibrium(cost)


@external
@view
def ledger() -> (uint256, uint256, uint256):
    """
    @notice Wei deposited, paid to nodes, and sent back, since the beginning.
    """
    return self.deposited, self.paid, self.refunded


@external
@view
def phase(task_id: uint256) -> uint256:
    """
    @notice 0: joining is open, 1: training, 2: over.
    """
    assert task_id < self.task_count, "no_such_task"
    if self._is_over(task_id):
        return 2
    if block.timestamp <= self.tasks[task_id].join_deadline:
        return 0
    return 1


@external
@view
def due(task_id: uint256, node: address) -> uint256:
    accepted: uint256 = 0
    amount: uint256 = 0
    stake: uint256 = 0
    accepted, amount, stake = self._due(task_id, node, self._is_over(task_id))
    return amount + stake
