# pragma version ~=0.4.3
# pragma experimental-codegen
"""
@title RepairedMarket
@notice TaskMarket, with the attacks closed that keep its every rule.
@dev A round, in windows of `window` seconds from its start:

     commit | reveal | challenge, answer or slash | propose -> (dispute) -> finalise

     commit      H(address, salt, root): a copy of it opens for nobody else.
     reveal      salt and root, when it is too late to commit. A root counts once.
     weight      declared data, capped by the publisher. One posted reward: no declared cost moves it.
     challenge   anybody asks for one number of an update; the bond follows the price of gas.
     propose     anybody records the root of the round's average, with a bond.
     dispute     anybody refutes it: both sides walk down the proposer's tree to one number, which the contract
                 recomputes, one update a call. No call takes more than STEP_GAS.
     finalise    anybody, when a window has passed without a dispute.

     An update is 4 bytes a number; its root is that of a binary SHA-256 tree over the numbers, completed with
     zeros. A leaf is H(0, number), an inner node H(1, left, right). Money leaves through `pay`, `withdraw` and
     `refund` alone: one receiver a call, state written before the transfer.
"""

MAX_ROUNDS: constant(uint256) = 10**6
MAX_DATA: constant(uint256) = 2**64
MAX_WEI: constant(uint256) = 2**128
MAX_WINDOW: constant(uint256) = 10**8  # seconds, about three years
MAX_DEPTH: constant(uint256) = 24  # up to 16.8 million numbers an update
STEP_GAS: constant(uint256) = 250_000  # no call of a challenge or dispute takes more
LIMIT: constant(uint256) = 100  # windows after which an unfinished round ends the task
STRANGER: constant(uint256) = 0
JOINED: constant(uint256) = 1
SLASHED: constant(uint256) = 2
NOBODY: constant(uint256) = 0
PROPOSER: constant(uint256) = 1
DISPUTER: constant(uint256) = 2

struct Terms:
    publisher: address
    recipe: bytes32  # hash of architecture, local steps, learning rate
    global_rounds: uint256
    least_data: uint256  # fewest samples a node must bring
    most_data: uint256  # the cap: samples that count as weight
    numbers: uint256  # of an update
    depth: uint256  # of its tree
    reward: uint256  # wei for an accepted update, the same for every node
    fee: uint256  # wei for the average of a round
    budget: uint256
    stake: uint256  # wei: deposit of a node, and the least bond
    window: uint256  # seconds

struct Task:
    join_deadline: uint256
    round_start: uint256
    round: uint256  # rounds finalised so far
    nodes: uint256  # joined and not slashed
    submissions: uint256  # updates revealed in the current round, and standing
    weight: uint256  # of these
    challenges: uint256  # open ones
    reserved: uint256  # wei promised to the nodes that joined and to those who average
    earned: uint256  # wei earned in finished rounds, paid or not
    forfeited: uint256
    ended: bool
    refunded: bool

struct Node:
    status: uint256  # STRANGER, JOINED or SLASHED
    weight: uint256  # declared data, capped
    submitted: uint256  # standing updates, all rounds
    last_round: uint256  # 1 + round of the last standing update
    paid_rounds: uint256
    stake: uint256
    challenger: address
    bond: uint256
    number: uint256  # which one must be shown
    deadline: uint256  # 0: no challenge

struct Proposal:
    proposer: address
    root: bytes32
    bond: uint256
    deadline: uint256  # for disputes

struct Dispute:
    disputer: address
    bond: uint256
    turn: uint256  # NOBODY, PROPOSER or DISPUTER
    deadline: uint256  # of the turn
    level: uint256  # levels left below the node in question
    number: uint256  # its place in that level
    node: bytes32
    left: bytes32
    right: bytes32
    claimed: uint256  # the proposer's number, once shown
    sum: uint256  # weight x number, over the updates added
    added: uint256

event Published:
    task_id: indexed(uint256)
    publisher: indexed(address)
    budget: uint256

event Joined:
    task_id: indexed(uint256)
    node: indexed(address)
    weight: uint256

event Committed:
    task_id: indexed(uint256)
    node: indexed(address)
    round: uint256

event Revealed:
    task_id: indexed(uint256)
    node: indexed(address)
    round: uint256
    root: bytes32

event Challenged:
    task_id: indexed(uint256)
    node: indexed(address)
    challenger: indexed(address)
    bond: uint256

event Answered:
    task_id: indexed(uint256)
    node: indexed(address)

event Slashed:
    task_id: indexed(uint256)
    node: indexed(address)
    amount: uint256

event Proposed:
    task_id: indexed(uint256)
    proposer: indexed(address)
    root: bytes32
    bond: uint256

event Disputed:
    task_id: indexed(uint256)
    disputer: indexed(address)
    bond: uint256

event Settled:
    task_id: indexed(uint256)
    proposer: indexed(address)
    disputer: indexed(address)
    stands: bool
    amount: uint256

event Aggregated:
    task_id: indexed(uint256)
    round: uint256
    updates: uint256
    root: bytes32

event Paid:
    task_id: indexed(uint256)
    node: indexed(address)
    amount: uint256
    stake: uint256

event Withdrawn:
    account: indexed(address)
    amount: uint256

event Refunded:
    task_id: indexed(uint256)
    publisher: indexed(address)
    amount: uint256

task_count: public(uint256)
deposited: uint256
paid: uint256
refunded: uint256
disputes_so_far: uint256
terms: public(HashMap[uint256, Terms])
tasks: public(HashMap[uint256, Task])
nodes: public(HashMap[uint256, HashMap[address, Node]])  # task, node
commitments: public(HashMap[uint256, HashMap[uint256, HashMap[address, bytes32]]])  # task, round, node
updates: public(HashMap[uint256, HashMap[uint256, HashMap[address, bytes32]]])  # task, round, node
taken: HashMap[uint256, HashMap[bytes32, bool]]  # task, root
proposals: public(HashMap[uint256, Proposal])
disputes: public(HashMap[uint256, Dispute])
counted: HashMap[uint256, HashMap[address, bool]]  # dispute, node: its number is in the sum
dispute_ids: HashMap[uint256, uint256]
aggregates: public(HashMap[uint256, HashMap[uint256, bytes32]])  # task, round
credits: public(HashMap[address, uint256])  # bonds that came home, and what was won with them


@external
@payable
def __default__():
    raise "no_such_function"


@internal
@view
def _is_over(task_id: uint256) -> bool:
    """
    @dev True when the task has ended or time has ended it: nobody joined (or all were slashed), nobody
         revealed in time, or a round found no end.
    """
    if self.tasks[task_id].ended:
        return True
    if block.timestamp <= self.tasks[task_id].join_deadline:
        return False
    if self.tasks[task_id].nodes == 0:
        return True
    since: uint256 = block.timestamp - self.tasks[task_id].round_start
    window: uint256 = self.terms[task_id].window
    if since <= 2 * window:
        return False
    return self.tasks[task_id].submissions == 0 or since > LIMIT * window


@internal
def _settle(task_id: uint256) -> bool:
    """
    @dev Write down an end by timeout. Updates that stand are paid: the nodes delivered.
    """
    if not self._is_over(task_id):
        return False
    if not self.tasks[task_id].ended:
        self.tasks[task_id].ended = True
        self.tasks[task_id].earned += self.tasks[task_id].submissions * self.terms[task_id].reward
    return True


@internal
@view
def _bond(task_id: uint256, steps: uint256) -> uint256:
    """
    @dev Half of it pays the gas of that many steps twice over, at this block's base fee.
    """
    return max(self.terms[task_id].stake, 4 * steps * STEP_GAS * block.basefee)


@internal
@view
def _steps(task_id: uint256) -> uint256:
    """
    @dev Most calls that a dispute takes of one side.
    """
    return self.terms[task_id].depth + self.tasks[task_id].submissions + 3


@internal
@pure
def _root(number: bytes4, place: uint256, proof: DynArray[bytes32, MAX_DEPTH]) -> bytes32:
    node: bytes32 = sha256(concat(0x00, number))
    i: uint256 = place
    for sibling: bytes32 in proof:
        if i % 2 == 0:
            node = sha256(concat(0x01, node, sibling))
        else:
            node = sha256(concat(0x01, sibling, node))
        i //= 2
    return node


@external
@payable
def publish(
    recipe: bytes32, global_rounds: uint256, least_data: uint256, most_data: uint256, numbers: uint256,
    reward: uint256, fee: uint256, budget: uint256, stake: uint256, window: uint256,
) -> uint256:
    assert recipe != empty(bytes32), "no_recipe"
    assert global_rounds >= 1 and global_rounds <= MAX_ROUNDS, "global_rounds_out_of_range"
    assert least_data >= 1 and least_data <= most_data and most_data <= MAX_DATA, "data_size_out_of_range"
    assert numbers >= 2 and numbers <= 2**MAX_DEPTH, "numbers_out_of_range"
    assert reward >= 1 and reward <= MAX_WEI, "reward_out_of_range"
    assert fee <= MAX_WEI, "fee_out_of_range"
    assert budget >= 1 and budget <= MAX_WEI, "budget_out_of_range"
    assert fee * global_rounds <= budget, "budget_exhausted"
    assert stake >= 1 and stake <= MAX_WEI, "stake_out_of_range"
    assert window >= 1 and window <= MAX_WINDOW, "window_out_of_range"
    assert msg.value == budget, "task_underfunded"
    depth: uint256 = 0
    for i: uint256 in range(1, MAX_DEPTH + 1):
        depth = i
        if 2**i >= numbers:
            break
    task_id: uint256 = self.task_count
    self.task_count = task_id + 1
    self.deposited += msg.value
    self.terms[task_id] = Terms(
        publisher=msg.sender, recipe=recipe, global_rounds=global_rounds, least_data=least_data,
        most_data=most_data, numbers=numbers, depth=depth, reward=reward, fee=fee, budget=budget,
        stake=stake, window=window,
    )
    self.tasks[task_id].join_deadline = block.timestamp + window
    self.tasks[task_id].round_start = block.timestamp + window
    self.tasks[task_id].reserved = fee * global_rounds
    log Published(task_id=task_id, publisher=msg.sender, budget=budget)
    return task_id


@external
@payable
def join(task_id: uint256, data_size: uint256):
    assert task_id < self.task_count, "no_such_task"
    assert block.timestamp <= self.tasks[task_id].join_deadline, "joining_closed"
    assert not self.tasks[task_id].ended, "joining_closed"
    assert msg.sender != self.terms[task_id].publisher, "publisher_cannot_join"
    assert self.nodes[task_id][msg.sender].status == STRANGER, "already_joined"
    assert data_size >= self.terms[task_id].least_data, "not_enough_data"
    assert msg.value == self.terms[task_id].stake, "wrong_stake"
    promised: uint256 = self.terms[task_id].reward * self.terms[task_id].global_rounds
    assert self.tasks[task_id].reserved + promised <= self.terms[task_id].budget, "budget_exhausted"
    self.tasks[task_id].reserved += promised
    self.tasks[task_id].nodes += 1
    self.deposited += msg.value
    weight: uint256 = min(data_size, self.terms[task_id].most_data)
    self.nodes[task_id][msg.sender].status = JOINED
    self.nodes[task_id][msg.sender].weight = weight
    self.nodes[task_id][msg.sender].stake = msg.value
    log Joined(task_id=task_id, node=msg.sender, weight=weight)


@internal
@view
def _may_send(task_id: uint256, round: uint256, sender: address):
    status: uint256 = self.nodes[task_id][sender].status
    assert status != STRANGER, "not_joined"
    assert status == JOINED, "node_slashed"
    assert block.timestamp > self.tasks[task_id].join_deadline, "joining_still_open"
    assert round == self.tasks[task_id].round, "round_not_open"
    assert not self.tasks[task_id].ended, "task_ended"


@external
def commit(task_id: uint256, round: uint256, commitment: bytes32):
    """
    @notice Promise an update without showing what it is: H(your address, a secret salt, its root).
    """
    self._may_send(task_id, round, msg.sender)
    deadline: uint256 = self.tasks[task_id].round_start + self.terms[task_id].window
    assert block.timestamp <= deadline, "commit_late"
    assert commitment != empty(bytes32), "empty_hash"
    assert self.commitments[task_id][round][msg.sender] == empty(bytes32), "already_committed"
    self.commitments[task_id][round][msg.sender] = commitment
    log Committed(task_id=task_id, node=msg.sender, round=round)


@external
def reveal(task_id: uint256, round: uint256, salt: bytes32, root: bytes32):
    """
    @notice Open the commitment. Who copied it cannot: the sender's own address is hashed with it.
    """
    self._may_send(task_id, round, msg.sender)
    deadline: uint256 = self.tasks[task_id].round_start + 2 * self.terms[task_id].window
    assert block.timestamp + self.terms[task_id].window > deadline, "commits_still_open"
    assert block.timestamp <= deadline, "reveal_late"
    assert self.updates[task_id][round][msg.sender] == empty(bytes32), "already_revealed"
    opened: bytes32 = sha256(concat(convert(msg.sender, bytes20), salt, root))
    assert opened == self.commitments[task_id][round][msg.sender], "does_not_open"
    assert not self.taken[task_id][root], "root_taken"
    self.taken[task_id][root] = True
    self.nodes[task_id][msg.sender].last_round = round + 1
    self.nodes[task_id][msg.sender].submitted += 1
    self.tasks[task_id].submissions += 1
    self.tasks[task_id].weight += self.nodes[task_id][msg.sender].weight
    self.updates[task_id][round][msg.sender] = root
    log Revealed(task_id=task_id, node=msg.sender, round=round, root=root)


@external
@payable
def challenge(task_id: uint256, node: address, number: uint256):
    """
    @notice Anybody who cannot find the bytes of an update may ask for one of its numbers.
    """
    assert task_id < self.task_count, "no_such_task"
    assert not self._is_over(task_id), "task_ended"
    assert self.nodes[task_id][node].last_round == self.tasks[task_id].round + 1, "nothing_to_challenge"
    assert self.nodes[task_id][node].deadline == 0, "already_challenged"
    assert number < self.terms[task_id].numbers, "no_such_number"
    window: uint256 = self.terms[task_id].window
    since: uint256 = block.timestamp - self.tasks[task_id].round_start
    assert since > 2 * window, "reveals_still_open"
    assert since <= 3 * window, "challenge_late"
    assert msg.value >= self._bond(task_id, 1) and msg.value <= MAX_WEI, "bond_too_small"
    self.deposited += msg.value
    self.tasks[task_id].challenges += 1
    self.nodes[task_id][node].challenger = msg.sender
    self.nodes[task_id][node].bond = msg.value
    self.nodes[task_id][node].number = number
    self.nodes[task_id][node].deadline = block.timestamp + window
    log Challenged(task_id=task_id, node=node, challenger=msg.sender, bond=msg.value)


@external
def answer(task_id: uint256, node: address, number: bytes4, proof: DynArray[bytes32, MAX_DEPTH]):
    """
    @notice Anyone may show the number. The node wins the bond, which exceeds the gas of this call.
    """
    deadline: uint256 = self.nodes[task_id][node].deadline
    assert deadline != 0, "no_challenge"
    assert block.timestamp <= deadline, "answer_late"
    root: bytes32 = self.updates[task_id][self.tasks[task_id].round][node]
    assert len(proof) == self.terms[task_id].depth, "wrong_depth"
    assert self._root(number, self.nodes[task_id][node].number, proof) == root, "number_does_not_match"
    self.tasks[task_id].challenges -= 1
    self.nodes[task_id][node].deadline = 0
    self.credits[node] += self.nodes[task_id][node].bond
    log Answered(task_id=task_id, node=node)


@external
def slash(task_id: uint256, node: address):
    """
    @notice The number was not shown in time: the bond goes home with half of the node's stake.
    """
    deadline: uint256 = self.nodes[task_id][node].deadline
    assert deadline != 0, "no_challenge"
    assert block.timestamp > deadline, "answer_window_open"
    if self._settle(task_id):
        self.tasks[task_id].earned -= self.terms[task_id].reward
    stake: uint256 = self.nodes[task_id][node].stake
    self.credits[self.nodes[task_id][node].challenger] += self.nodes[task_id][node].bond + stake // 2
    self.tasks[task_id].forfeited += stake - stake // 2
    self.tasks[task_id].submissions -= 1
    self.tasks[task_id].weight -= self.nodes[task_id][node].weight
    self.tasks[task_id].nodes -= 1
    self.tasks[task_id].challenges -= 1
    self.updates[task_id][self.tasks[task_id].round][node] = empty(bytes32)
    self.nodes[task_id][node].status = SLASHED
    self.nodes[task_id][node].stake = 0
    self.nodes[task_id][node].submitted -= 1
    self.nodes[task_id][node].last_round = 0
    self.nodes[task_id][node].deadline = 0
    log Slashed(task_id=task_id, node=node, amount=stake)


@external
@payable
def propose(task_id: uint256, round: uint256, root: bytes32):
    """
    @notice Anybody may average the standing updates, weight x number rounded down, and record the root.
    """
    assert task_id < self.task_count, "no_such_task"
    assert not self._is_over(task_id), "task_ended"
    assert round == self.tasks[task_id].round, "wrong_round"
    opens: uint256 = self.tasks[task_id].round_start + 3 * self.terms[task_id].window
    assert block.timestamp > opens, "challenges_still_open"
    assert self.tasks[task_id].challenges == 0, "challenge_open"
    assert self.proposals[task_id].proposer == empty(address), "already_proposed"
    assert root != empty(bytes32), "empty_hash"
    assert msg.value >= self._bond(task_id, self._steps(task_id)) and msg.value <= MAX_WEI, "bond_too_small"
    self.deposited += msg.value
    self.proposals[task_id] = Proposal(
        proposer=msg.sender, root=root, bond=msg.value, deadline=block.timestamp + self.terms[task_id].window,
    )
    log Proposed(task_id=task_id, proposer=msg.sender, root=root, bond=msg.value)


@external
@payable
def dispute(task_id: uint256):
    """
    @notice The average is wrong. From here on the two sides take turns, a window each.
    """
    assert self.proposals[task_id].proposer != empty(address), "nothing_proposed"
    assert self.disputes[task_id].turn == NOBODY, "dispute_open"
    assert block.timestamp <= self.proposals[task_id].deadline, "dispute_late"
    assert msg.value >= self._bond(task_id, self._steps(task_id)) and msg.value <= MAX_WEI, "bond_too_small"
    self.deposited += msg.value
    self.disputes_so_far += 1
    self.dispute_ids[task_id] = self.disputes_so_far
    self.disputes[task_id] = Dispute(
        disputer=msg.sender, bond=msg.value, turn=PROPOSER, deadline=block.timestamp + self.terms[task_id].window,
        level=self.terms[task_id].depth, number=0, node=self.proposals[task_id].root, left=empty(bytes32),
        right=empty(bytes32), claimed=0, sum=0, added=0,
    )
    log Disputed(task_id=task_id, disputer=msg.sender, bond=msg.value)


@internal
def _move(task_id: uint256, turn: uint256, bottom: bool):
    """
    @dev Refuse a move out of turn, out of time, or at the wrong level; then it is the other's turn.
    """
    assert self.disputes[task_id].turn == turn, "not_the_turn"
    assert block.timestamp <= self.disputes[task_id].deadline, "move_late"
    assert (self.disputes[task_id].level == 0) == bottom, "wrong_level"
    self.disputes[task_id].deadline = block.timestamp + self.terms[task_id].window
    self.disputes[task_id].turn = PROPOSER + DISPUTER - turn


@external
def open(task_id: uint256, left: bytes32, right: bytes32):
    """
    @notice The proposer's move: the two children of the node in question.
    """
    self._move(task_id, PROPOSER, False)
    assert sha256(concat(0x01, left, right)) == self.disputes[task_id].node, "does_not_match"
    self.disputes[task_id].left = left
    self.disputes[task_id].right = right


@external
def descend(task_id: uint256, right: bool):
    """
    @notice The disputer's move: the child that differs from its own tree.
    """
    assert msg.sender == self.disputes[task_id].disputer, "not_disputer"
    self._move(task_id, DISPUTER, False)
    self.disputes[task_id].level -= 1
    self.disputes[task_id].number *= 2
    if right:
        self.disputes[task_id].number += 1
        self.disputes[task_id].node = self.disputes[task_id].right
    else:
        self.disputes[task_id].node = self.disputes[task_id].left


@external
def show(task_id: uint256, number: bytes4):
    """
    @notice The proposer's last move: the number at the leaf. Behind the last number it must be zero, whatever
            an update holds there: nobody can be challenged to show that.
    """
    self._move(task_id, PROPOSER, True)
    assert sha256(concat(0x00, number)) == self.disputes[task_id].node, "does_not_match"
    self.disputes[task_id].claimed = convert(number, uint256)
    if self.disputes[task_id].number >= self.terms[task_id].numbers:
        self._decide(task_id, number == 0x00000000)


@external
def add(task_id: uint256, node: address, number: bytes4, proof: DynArray[bytes32, MAX_DEPTH]):
    """
    @notice The disputer's last moves: the same number of each update. With the last of them the contract decides.
    """
    self._move(task_id, DISPUTER, True)
    root: bytes32 = self.updates[task_id][self.tasks[task_id].round][node]
    assert root != empty(bytes32), "no_such_update"
    assert not self.counted[self.dispute_ids[task_id]][node], "already_added"
    assert len(proof) == self.terms[task_id].depth, "wrong_depth"
    assert self._root(number, self.disputes[task_id].number, proof) == root, "number_does_not_match"
    self.counted[self.dispute_ids[task_id]][node] = True
    self.disputes[task_id].added += 1
    self.disputes[task_id].sum += self.nodes[task_id][node].weight * convert(number, uint256)
    if self.disputes[task_id].added < self.tasks[task_id].submissions:
        self.disputes[task_id].turn = DISPUTER
    else:
        right: uint256 = self.disputes[task_id].sum // self.tasks[task_id].weight
        self._decide(task_id, self.disputes[task_id].claimed == right)


@external
def timeout(task_id: uint256):
    """
    @notice Whoever does not move in time has lost.
    """
    turn: uint256 = self.disputes[task_id].turn
    assert turn != NOBODY, "no_dispute"
    assert block.timestamp > self.disputes[task_id].deadline, "turn_not_over"
    self._decide(task_id, turn == DISPUTER)


@internal
def _decide(task_id: uint256, stands: bool):
    """
    @dev The winner has half of the loser's bond; the rest is forfeited, or a dispute with oneself would be free.
         A dispute that was lost proves only that it was lost: others have a window again.
    """
    proposer: address = self.proposals[task_id].proposer
    disputer: address = self.disputes[task_id].disputer
    self.disputes[task_id].turn = NOBODY
    lost: uint256 = self.disputes[task_id].bond
    if stands:
        self.proposals[task_id].deadline = block.timestamp + self.terms[task_id].window
        self.credits[proposer] += lost // 2
    else:
        lost = self.proposals[task_id].bond
        self.credits[disputer] += self.disputes[task_id].bond + lost // 2
        self.proposals[task_id] = empty(Proposal)
    self.tasks[task_id].forfeited += lost - lost // 2
    log Settled(task_id=task_id, proposer=proposer, disputer=disputer, stands=stands, amount=lost)


@external
def finalise(task_id: uint256):
    """
    @notice Close a round that nobody disputes, or send the bond home if the task is over.
    """
    proposer: address = self.proposals[task_id].proposer
    assert proposer != empty(address), "nothing_proposed"
    assert self.disputes[task_id].turn == NOBODY, "dispute_open"
    assert block.timestamp > self.proposals[task_id].deadline, "dispute_window_open"
    root: bytes32 = self.proposals[task_id].root
    self.credits[proposer] += self.proposals[task_id].bond
    self.proposals[task_id] = empty(Proposal)
    if self._settle(task_id):
        return
    round: uint256 = self.tasks[task_id].round
    updates: uint256 = self.tasks[task_id].submissions
    fee: uint256 = self.terms[task_id].fee
    self.credits[proposer] += fee
    self.tasks[task_id].earned += updates * self.terms[task_id].reward + fee
    self.tasks[task_id].submissions = 0
    self.tasks[task_id].weight = 0
    self.tasks[task_id].round = round + 1
    self.tasks[task_id].round_start = block.timestamp
    if round + 1 == self.terms[task_id].global_rounds:
        self.tasks[task_id].ended = True
    self.aggregates[task_id][round] = root
    log Aggregated(task_id=task_id, round=round, updates=updates, root=root)


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
    return accepted, self.terms[task_id].reward * unpaid, stake


@external
def pay(task_id: uint256, node: address):
    """
    @notice Send a node what it has earned so far, and its stake once the task is over. Anyone may call.
    """
    assert self.nodes[task_id][node].status != STRANGER, "not_joined"
    assert self.nodes[task_id][node].deadline == 0, "challenge_open"
    accepted: uint256 = 0
    amount: uint256 = 0
    stake: uint256 = 0
    accepted, amount, stake = self._due(task_id, node, self._settle(task_id))
    assert amount + stake > 0, "nothing_due"
    self.nodes[task_id][node].paid_rounds = accepted
    self.nodes[task_id][node].stake -= stake
    self.paid += amount
    self.refunded += stake
    log Paid(task_id=task_id, node=node, amount=amount, stake=stake)
    sent: bool = raw_call(node, b"", value=amount + stake, revert_on_failure=False)
    assert sent, "payee_rejected"


@external
def withdraw(account: address):
    """
    @notice Send home the bonds that were returned or won. Anyone may call.
    """
    amount: uint256 = self.credits[account]
    assert amount > 0, "nothing_due"
    self.credits[account] = 0
    self.paid += amount
    log Withdrawn(account=account, amount=amount)
    sent: bool = raw_call(account, b"", value=amount, revert_on_failure=False)
    assert sent, "payee_rejected"


@external
def refund(task_id: uint256):
    """
    @notice Send the publisher what nobody has earned. Anyone may call; a publisher may cancel an empty task.
    """
    assert task_id < self.task_count, "no_such_task"
    assert not self.tasks[task_id].refunded, "already_refunded"
    publisher: address = self.terms[task_id].publisher
    over: bool = self._settle(task_id)
    assert over or (msg.sender == publisher and self.tasks[task_id].nodes == 0), "task_running"
    assert self.tasks[task_id].challenges == 0, "challenge_open"
    assert self.proposals[task_id].proposer == empty(address), "proposal_open"
    amount: uint256 = self.terms[task_id].budget - self.tasks[task_id].earned + self.tasks[task_id].forfeited
    self.tasks[task_id].ended = True
    self.tasks[task_id].refunded = True
    self.refunded += amount
    log Refunded(task_id=task_id, publisher=publisher, amount=amount)
    sent: bool = raw_call(publisher, b"", value=amount, revert_on_failure=False)
    assert sent, "payee_rejected"


@external
@view
def ledger() -> (uint256, uint256, uint256):
    """
    @notice Wei deposited, paid out, and sent back, since the beginning.
    """
    return self.deposited, self.paid, self.refunded


@external
@view
def bonds(task_id: uint256) -> (uint256, uint256):
    """
    @notice The least bond of a challenge, and of a proposal or dispute, at this block's base fee.
    """
    return self._bond(task_id, 1), self._bond(task_id, self._steps(task_id))


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
