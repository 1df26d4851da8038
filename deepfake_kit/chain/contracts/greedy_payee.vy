# pragma version ~=0.4.3
"""
@title GreedyPayee
@notice A training node that is a contract and, the moment it is paid, asks to be paid again.
"""

interface TaskMarket:
    def join(task_id: uint256, data_size: uint256, cost: uint256): payable
    def submit(task_id: uint256, round: uint256, digest: bytes32): nonpayable

market: address
task_id: uint256
attempts: public(uint256)
successes: public(uint256)
refusal: public(Bytes[256])


@external
@payable
def join(market: address, task_id: uint256, data_size: uint256, cost: uint256):
    self.market = market
    self.task_id = task_id
    extcall TaskMarket(market).join(task_id, data_size, cost, value=msg.value)


@external
def submit(market: address, task_id: uint256, round: uint256, digest: bytes32):
    extcall TaskMarket(market).submit(task_id, round, digest)


@external
@payable
def __default__():
    if self.attempts == 3:
        return
    self.attempts += 1
    again: Bytes[68] = abi_encode(self.task_id, self, method_id=method_id("pay(uint256,address)"))
    success: bool = False
    response: Bytes[256] = b""
    success, response = raw_call(self.market, again, max_outsize=256, revert_on_failure=False)
    if success:
        self.successes += 1
    else:
        self.refusal = response
