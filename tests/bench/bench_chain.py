"""Transactions a second of the task market, in the process's own virtual machine.

Run by hand:  python tests/bench/bench_chain.py [--transactions 1000] [--repeats 5] [--out FOLDER]

One task with 48 nodes lives through publish, join, submit, aggregate, pay and refund; only the calls are timed, in
seconds of processor time of this one thread (on an idle machine, seconds on the wall), and the smallest of several
repeats is kept, so that other work on the machine disturbs little. The anchor is the smallest contract there is, a
counter, called through the same code: what remains is the machine's own cost of a transaction. The aim is
1,000 transactions in less than a second.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import ratios

from deepfake_kit.chain.evm import ETHER
from deepfake_kit.chain.market import TaskMarket
from deepfake_kit.chain.store import sha256

COUNTER = """# pragma version ~=0.4.3
count: public(uint256)

@external
def add():
    self.count += 1
"""
NODES, WINDOW, DIGEST = 48, 600, sha256(b"update")


def life(transactions: int) -> tuple[float, int, dict]:
    """Processor seconds and number of the transactions of one task, and milliseconds of each kind of call."""
    market = TaskMarket()
    owner, nodes = market.account("owner"), [market.account(f"node {i}") for i in range(NODES)]
    rounds = max(1, (transactions - 2 * NODES - 2) // (NODES + 1))
    spent: dict[str, float] = {}

    def timed(call, *args, **kwargs):
        start = time.process_time()
        result = getattr(market, call)(*args, **kwargs)
        spent[call] = spent.get(call, 0.0) + time.process_time() - start
        return result

    task = timed(
        "publish",
        owner,
        architecture="ab" * 32,
        local_rounds=10,
        global_rounds=rounds,
        learning_rate=1e-3,
        data_size=50,
        unit=ETHER,
        budget=20 * ETHER,
        stake=ETHER // 20,
        window=WINDOW,
    )
    for node in nodes:
        timed("join", node, task, 50, 0.0105, stake=ETHER // 20)
    market.advance(WINDOW + 1)
    for round in range(rounds):
        for node in nodes:
            timed("submit", node, task, round, DIGEST)
        timed("aggregate", owner, task, round, DIGEST)
    for node in nodes:
        timed("pay", owner, task, node)
    timed("refund", owner, task)
    if market.totals()["held"]:
        raise AssertionError("money is left in the contract")
    calls = {call: sum(r.call == call for r in market.receipts) for call in spent}
    return sum(spent.values()), len(market.receipts), {c: 1e3 * spent[c] / calls[c] for c in spent}


def anchor(calls: int = 300) -> float:
    """Milliseconds of a call that only adds one to a number."""
    market = TaskMarket()
    counter, anyone = market.deploy(COUNTER, "counter"), market.account("anyone")
    start = time.process_time()
    for _ in range(calls):
        counter.call("add", sender=anyone)
    return 1e3 * (time.process_time() - start) / calls


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--transactions", type=int, default=1000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    anchor(10)
    runs, anchors = [], []
    for _ in range(options.repeats):
        runs.append(life(options.transactions))
        anchors.append(anchor())
    seconds, count, each = min(runs, key=lambda run: run[0])
    rows = [
        ratios.row(
            "a transaction of the task market",
            "a call of the smallest contract there is, a counter",
            [1e3 * taken / n / least for (taken, n, _), least in zip(runs, anchors, strict=True)],
        )
    ]
    print(f"{count / seconds:.0f} transactions a second at best (aim: 1,000)")
    listed = {call: round(ms, 3) for call, ms in each.items()}
    ratios.write(options.out, "bench_chain", rows, a_second=count / seconds, milliseconds=listed)


if __name__ == "__main__":
    main()
