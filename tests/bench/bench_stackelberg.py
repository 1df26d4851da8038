"""The equilibrium of ten million nodes: against numpy's memory speed, and against SLSQP node by node.

Run by hand:  python tests/bench/bench_stackelberg.py [--nodes 10000000] [--solved 200] [--out FOLDER]

The yardstick is one `numpy.sqrt` and one `numpy.where` over the same array. Exits 1 if the prices differ from SLSQP's.
"""

from __future__ import annotations

import argparse
import math
import sys
from pathlib import Path

import numpy as np
import ratios
from scipy.optimize import minimize

from deepfake_kit.game.stackelberg import THRESHOLD, equilibrium


def numpy_passes(cost: np.ndarray) -> np.ndarray:
    """The yardstick: one square root and one choice between two arrays."""
    root = np.sqrt(cost)
    return np.where(cost > THRESHOLD, root, cost)


def solve_one(cost: float) -> float:
    """The leader's price for one node, by SLSQP with the exact gradient and the constraint 0 <= p <= 2C."""
    found = minimize(
        lambda p: p[0] ** 2 / (2 * cost) - math.log2(1 + p[0] / (2 * cost)),
        x0=[cost],
        jac=lambda p: [p[0] / cost - 1 / (math.log(2) * (2 * cost + p[0]))],
        bounds=[(0.0, 2 * cost)],
        method="SLSQP",
        options={"ftol": 1e-12},
    )
    return float(found.x[0])


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--nodes", type=int, default=10_000_000)
    parser.add_argument("--solved", type=int, default=200)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--out", type=Path, help="folder for bench_stackelberg.json")
    options = parser.parse_args()
    cost = np.random.default_rng(0).uniform(0.003, 1.0, options.nodes)
    few = cost[: options.solved]
    pairs = ratios.by_turns(lambda: equilibrium(cost), lambda: numpy_passes(cost), options.repeats)
    one_by_one = ratios.by_turns(lambda: equilibrium(cost), lambda: [solve_one(float(c)) for c in few], 3)
    a_node = [(ours / len(cost)) / (theirs / len(few)) for ours, theirs in one_by_one]
    rows = [
        ratios.row(
            f"equilibrium of {len(cost):,} nodes", "one sqrt and where over the same numbers", ratios.of(pairs), 1.2
        ),
        ratios.row("a node's equilibrium", "SLSQP, one node at a time", a_node, 1e-4),
    ]
    apart = float(np.abs(np.array([solve_one(float(c)) for c in few]) - equilibrium(few)[0]).max())
    print(f"largest difference of a price: {apart:.1e}")
    ratios.write(options.out, "bench_stackelberg", rows, largest_price_difference=apart, numpy=np.__version__)
    return 0 if apart < 1e-4 else 1


if __name__ == "__main__":
    sys.exit(main())
