"""Federated rounds: ours against the bare local steps, a loop of deep copies, and Flower's own simulation
engine.

``python tests/bench/bench_federated.py [--out FOLDER] [--flower PYTHON]``: 20 clients, the same model,
images, batch and steps. `PYTHON` is the interpreter of an environment that holds ``flwr[simulation]`` and
torch; without it that row is left out, by name. Times are the smallest of several interleaved runs: trust
their ratios.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from deepfake_kit import federated
from deepfake_kit.diffusion import NoiseSchedule, UNet, to_model_range, train_step
from deepfake_kit.federated import Plan, flatten

ROOT = Path(__file__).resolve().parents[2]
CLIENTS, IMAGES, REPEATS = 20, 2000, 4
SCHEDULE = NoiseSchedule.linear()
# "light": one step on two images, so that coordination weighs; "book": the work of a client in chapter 6.
PLANS = {
    "light": Plan(rounds=6, local_steps=1, batch_size=2, lr=0.006, seed=0),
    "book": Plan(rounds=3, local_steps=10, batch_size=8, lr=0.006, seed=0),
}

SIMULATION = """
import sys, time
import numpy as np, torch
sys.path.insert(0, {bench!r})
import bench_federated as bench
from deepfake_kit import federated
from deepfake_kit.federated import Plan, flatten
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.simulation import run_simulation

PLAN = bench.PLANS[{name!r}]
client_app, server_app, marks = ClientApp(), ServerApp(), []

@client_app.train()
def train(message: Message, context: Context):
    torch.set_num_threads(1)
    images, parts = bench.data()
    k = int(context.node_config["partition-id"])
    start = torch.from_numpy(np.array(message.content["arrays"]["weights"].numpy()))
    weights, loss = federated.local_update(bench.model(), start, images, parts[k], bench.SCHEDULE, PLAN,
                                           int(message.content["config"]["server-round"]) - 1, k)
    return Message(content=RecordDict({{"arrays": ArrayRecord({{"weights": Array(weights.numpy())}}),
                   "metrics": MetricRecord({{"num-examples": len(parts[k]), "loss": loss}})}}),
                   reply_to=message)

@server_app.main()
def main(grid: Grid, context: Context):
    weights = ArrayRecord({{"weights": Array(flatten(bench.model().state_dict()).numpy())}})
    result = FedAvg(fraction_evaluate=0.0, min_train_nodes=bench.CLIENTS,
    min_available_nodes=bench.CLIENTS).start(
        grid=grid, initial_arrays=weights, num_rounds=PLAN.rounds,
        evaluate_fn=lambda r, arrays: marks.append(time.perf_counter()) or MetricRecord({{"round": r}}))
    np.save({output!r}, result.arrays["weights"].numpy())

began = time.perf_counter()
run_simulation(server_app=server_app, client_app=client_app, num_supernodes=bench.CLIENTS,
               backend_config={{"init_args": {{"num_cpus": 1}},
                               "client_resources": {{"num_cpus": 1, "num_gpus": 0.0}}}})
print("TIMES", time.perf_counter() - began, min(np.diff(marks)))
"""


def model() -> UNet:
    torch.manual_seed(0)
    return UNet(channels=(16,), blocks=1, stem=2, attention=False, precision="float32")


def data():
    images = torch.randint(0, 256, (IMAGES, 1, 28, 28), generator=torch.Generator().manual_seed(0)).to(
        torch.uint8
    )
    return images, federated.partition_iid(IMAGES, CLIENTS, 0)


def ours(images, parts, plan: Plan) -> torch.Tensor:
    net = model()
    federated.train(net, images, parts, SCHEDULE, plan)
    return flatten(net.state_dict())


def bare_steps(images, parts, plan: Plan) -> None:
    """Nothing but the optimiser steps of all clients, on one model: the least that any engine must do."""
    net = model()
    generator = torch.Generator().manual_seed(0)
    optimizer = torch.optim.AdamW(net.parameters(), lr=plan.lr, fused=True)
    for part in parts:
        for _ in range(plan.local_steps):
            chosen = part[torch.randint(len(part), (plan.batch_size,), generator=generator)]
            train_step(net, to_model_range(images[chosen]), SCHEDULE, optimizer, generator)


def deep_copies(images, parts, plan: Plan) -> torch.Tensor:
    """The loop that everybody writes first: a deep copy a client, state dicts averaged tensor by tensor."""
    net, states = model(), []
    for k, part in enumerate(parts):
        local = copy.deepcopy(net)
        optimizer = torch.optim.AdamW(local.parameters(), lr=plan.lr)
        generator = torch.Generator().manual_seed(federated.client_seed(plan.seed, 0, k))
        for _ in range(plan.local_steps):
            chosen = part[torch.randint(len(part), (plan.batch_size,), generator=generator)]
            train_step(local, to_model_range(images[chosen]), SCHEDULE, optimizer, generator)
        states.append(copy.deepcopy(local.state_dict()))
    sizes = [len(part) for part in parts]
    mean = {name: sum(n * state[name] for n, state in zip(sizes, states)) / sum(sizes) for name in states[0]}
    net.load_state_dict(mean)
    return flatten(net.state_dict())


def smallest(**engines) -> dict[str, float]:
    """Smallest time of each, interleaved so that the machine's moods hit all alike; seconds."""
    times: dict[str, list[float]] = {name: [] for name in engines}
    for _ in range(REPEATS):
        for name, engine in engines.items():
            began = time.perf_counter()
            engine()
            times[name].append(time.perf_counter() - began)
    return {name: min(found) for name, found in times.items()}


def simulation(python: str, name: str, folder: Path) -> tuple[float, float]:
    """Flower's simulation: seconds of the whole run, and of its fastest round."""
    code = SIMULATION.format(
        bench=str(Path(__file__).parent), name=name, output=str(folder / "simulation.npy")
    )
    script = folder / "flower_simulation.py"
    script.write_text(code, encoding="utf-8")
    done = subprocess.run(
        [python, script],
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
        env={
            **os.environ,
            "FLWR_TELEMETRY_ENABLED": "0",
            "RAY_USAGE_STATS_ENABLED": "0",
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
        },
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("TIMES")]
    if done.returncode or not lines:
        raise RuntimeError(
            f"the simulation failed ({done.returncode}):\n{done.stdout[-1500:]}{done.stderr[-3000:]}"
        )
    whole, fastest = map(float, lines[0].split()[1:])
    return whole, fastest


def compare(name: str, python: str, folder: Path) -> dict:
    """Every engine at one amount of local work."""
    images, parts = data()
    plan, one = PLANS[name], replace(PLANS[name], rounds=1)
    gap = float((ours(images, parts, one) - deep_copies(images, parts, one)).abs().max())
    if not gap < 2e-3:  # unfused AdamW rounds differently; clients in sequence would be 100 times further off
        raise AssertionError(f"the two engines disagree by {gap:g}")
    found = smallest(
        bare=lambda: bare_steps(images, parts, one),
        ours=lambda: ours(images, parts, one),
        copies=lambda: deep_copies(images, parts, one),
    )
    report = {
        "local_steps": plan.local_steps,
        "batch": plan.batch_size,
        "round_seconds": found,
        "overhead_over_bare_steps": found["ours"] / found["bare"] - 1,
        "deep_copies_over_ours": found["copies"] / found["ours"],
        "flower_simulation": "not run: --flower names no interpreter with flwr[simulation]",
    }
    if python:
        whole, fastest = simulation(python, name, folder)
        began = time.perf_counter()
        weights = ours(images, parts, plan)
        mine = time.perf_counter() - began
        report["flower_simulation"] = {
            "rounds": plan.rounds,
            "whole_run_seconds": whole,
            "fastest_round_seconds": fastest,
            "steady_round_over_ours": fastest / found["ours"],
            "whole_run_over_ours": whole / mine,
            "largest_weight_difference": float(
                np.abs(np.load(folder / "simulation.npy") - weights.numpy()).max()
            ),
        }
    return report


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "_build" / "bench")
    parser.add_argument("--flower", default=os.environ.get("FLOWER_SIMULATION_PYTHON", ""))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    if hasattr(os, "sched_setaffinity"):  # every engine gets the same single core
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    report = {"clients": CLIENTS, "torch": torch.__version__, "machine": platform.machine(), "threads": 1}
    with tempfile.TemporaryDirectory() as folder:
        report |= {name: compare(name, options.flower, Path(folder)) for name in PLANS}
    (options.out / "federated.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
    json.dump(report, sys.stdout, indent=1)
    print()


if __name__ == "__main__":
    main()
