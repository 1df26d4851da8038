"""Federated rounds: ours against the bare local steps, a loop of deep copies, and Flower's own simulation
engine.

``python tests/bench/bench_federated.py [--out FOLDER] [--flower PYTHON] [--sizes light ...]``: 20 clients,
the same model, images, batch and steps. `PYTHON` is the interpreter of an environment that holds
``flwr[simulation]`` and what the kit needs to train; without it that row is left out, by name.

The sizes were fixed before any ratio was seen. "light": one step on two images, so that coordination weighs.
"short": chapter 6's profile `smoke`, but all 20 clients in both rounds. "book": ten steps on eight images, a
client's work in its profile `book` when the sizes were fixed. The simulation has every core of the machine,
ours one thread.
"""

from __future__ import annotations

import argparse
import copy
import os
import subprocess
import tempfile
import time
from pathlib import Path

import numpy as np
import ratios
import torch

from deepfake_kit import federated
from deepfake_kit.diffusion import NoiseSchedule, UNet, to_model_range, train_step
from deepfake_kit.federated import Plan, flatten
from deepfake_kit.federated import client as federated_client

ROOT = Path(__file__).resolve().parents[2]
CLIENTS, IMAGES = 20, 2000
SCHEDULE = NoiseSchedule.linear()
PLANS = {
    "light": Plan(rounds=6, local_steps=1, batch_size=2, lr=0.006, seed=0),
    "short": Plan(rounds=2, local_steps=2, batch_size=4, lr=0.006, seed=0),
    "book": Plan(rounds=3, local_steps=10, batch_size=8, lr=0.006, seed=0),
}
WIDTHS = {"light": 16, "short": 8, "book": 16}
REPEATS = {"light": 30, "short": 20, "book": 8}  # of one round
BACKENDS = {
    "as it comes": None,  # two cores a client
    "a core a client": {"client_resources": {"num_cpus": 1, "num_gpus": 0.0}},
}
WHOLE_RUNS = 2  # of each engine, in processes of their own, by turns

OURS = """
import sys, time
sys.path.insert(0, {bench!r})
import torch
torch.set_num_threads(1)
import bench_federated as bench
from deepfake_kit import federated
plan, (images, parts), whole = bench.PLANS[{name!r}], bench.data(), []
for run in range(3):
    began = time.perf_counter()
    net = bench.model({name!r})
    history = federated.train(net, images, parts, bench.SCHEDULE, plan, engine={engine!r})
    whole.append(time.perf_counter() - began)
bench.np.save({output!r}, federated.flatten(net.state_dict()).numpy())
print("TIMES", whole[0], min(history.seconds), min(whole[1:]))
"""

SIMULATION = """
import sys, time
sys.path.insert(0, {bench!r})
import numpy as np, torch
import bench_federated as bench
from deepfake_kit import federated
from deepfake_kit.federated import flatten
from flwr.app import Array, ArrayRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.simulation import run_simulation

NAME, PLAN = {name!r}, bench.PLANS[{name!r}]
client_app, server_app, marks, kept = ClientApp(), ServerApp(), [], {{}}

@client_app.train()
def train(message: Message, context: Context):
    torch.set_num_threads(1)
    if not kept:  # each worker process loads the data once
        kept["data"] = bench.data()
    images, parts = kept["data"]
    k = int(context.node_config["partition-id"])
    start = torch.from_numpy(np.array(message.content["arrays"]["weights"].numpy()))
    weights, loss = federated.local_update(bench.model(NAME), start, images, parts[k], bench.SCHEDULE, PLAN,
                                           int(message.content["config"]["server-round"]) - 1, k)
    return Message(content=RecordDict({{"arrays": ArrayRecord({{"weights": Array(weights.numpy())}}),
                   "metrics": MetricRecord({{"num-examples": len(parts[k]), "loss": loss}})}}),
                   reply_to=message)

@server_app.main()
def main(grid: Grid, context: Context):
    weights = ArrayRecord({{"weights": Array(flatten(bench.model(NAME).state_dict()).numpy())}})
    strategy = FedAvg(fraction_evaluate=0.0, min_train_nodes=bench.CLIENTS,
                      min_available_nodes=bench.CLIENTS)
    result = strategy.start(
        grid=grid, initial_arrays=weights, num_rounds=PLAN.rounds,
        evaluate_fn=lambda r, arrays: marks.append(time.perf_counter()) or MetricRecord({{"round": r}}))
    np.save({output!r}, result.arrays["weights"].numpy())

began = time.perf_counter()
run_simulation(server_app=server_app, client_app=client_app, num_supernodes=bench.CLIENTS,
               backend_config={backend!r})
print("TIMES", time.perf_counter() - began, min(np.diff(marks)), 0)
"""


def model(name: str) -> UNet:
    torch.manual_seed(0)
    return UNet(channels=(WIDTHS[name],), blocks=1, stem=2, attention=False, precision="float32")


def data():
    images = torch.randint(0, 256, (IMAGES, 1, 28, 28), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    return images, federated.partition_iid(IMAGES, CLIENTS, torch.Generator().manual_seed(0))


def bare_steps(net, images, parts, plan: Plan) -> None:
    """Nothing but the local steps of one round, on one model: the least that any engine must do.

    The same draws and the same optimiser steps as `federated.train`; but no client starts from the global
    weights, hands anything back, or begins with a fresh optimiser, and nobody averages.
    """
    optimizer = torch.optim.AdamW(net.parameters(), lr=plan.lr, fused=True)
    for client, part in enumerate(parts):
        generator = torch.Generator().manual_seed(client)
        for _ in range(plan.local_steps):
            chosen = part[torch.randint(len(part), (plan.batch_size,), generator=generator)]
            train_step(net, to_model_range(images[chosen]), SCHEDULE, optimizer, generator)


def deep_copies(net, images, parts, plan: Plan) -> None:
    """The loop that everybody writes first: a deep copy a client, state dicts averaged tensor by tensor."""
    states = []
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


class StepClock:
    """Sums the time that `federated.train` spends inside its clients' steps."""

    def __init__(self, monkeypatched=federated_client.Worker):
        self.worker, self.step, self.seconds = monkeypatched, monkeypatched._step, 0.0

    def __enter__(self):
        def timed(*args):
            began = time.perf_counter()
            result = self.step(*args)
            self.seconds += time.perf_counter() - began
            return result

        self.worker._step = timed
        return self

    def __exit__(self, *error):
        self.worker._step = self.step


def spread(values) -> dict[str, float]:
    """Median, and the range of the middle half."""
    low, middle, high = np.percentile(values, [25, 50, 75])
    return {"median": float(middle), "quarter": float(low), "three_quarters": float(high)}


def in_process(name: str) -> dict:
    """One round by each way in this process: by turns, so that the machine's moods hit all alike."""
    images, parts = data()
    plan = Plan(**{**vars(PLANS[name]), "rounds": 1})
    ways = {
        "bare": bare_steps,
        "ours": lambda net, *a: federated.train(net, a[0], a[1], SCHEDULE, a[2]),
        "ours_batched": lambda net, *a: federated.train(net, a[0], a[1], SCHEDULE, a[2], engine="batched"),
        "deep_copies": deep_copies,
    }
    ends, times, share = {}, {way: [] for way in ways}, []
    for repeat in range(REPEATS[name] + 1):
        for way, run in ways.items():
            net = model(name)
            with StepClock() as clock:
                began, used = time.perf_counter(), time.process_time()
                run(net, images, parts, plan)
                wall, used = time.perf_counter() - began, time.process_time() - used
            ends[way] = flatten(net.state_dict())
            if repeat:  # the first round warms up
                times[way].append((wall, used))
                if way == "ours":
                    share.append(wall / clock.seconds - 1)
    for way in ("ours_batched", "deep_copies"):
        # Adam's first steps turn rounding into whole steps where a gradient is nothing else; so compare the
        # typical weight. Clients that train in sequence would be 100 times further off.
        gap = float((ends["ours"] - ends[way]).abs().median())
        if not gap < 2e-5:
            raise AssertionError(f"ours and {way} disagree by {gap:g}")
    cpu = {way: np.array([used for _, used in found]) for way, found in times.items()}
    fastest = {way: min(wall for wall, _ in found) for way, found in times.items()}
    wall = {way: [seconds for seconds, _ in found] for way, found in times.items()}
    pairs = (
        ("ours", "bare", "a round, client after client", "the bare local steps"),
        ("ours", "deep_copies", "a round, client after client", "a loop of deep copies"),
        ("ours_batched", "ours", "all 20 devices' local steps as one batch", "the same steps one after the other"),
    )
    rows = [
        ratios.row(f"{work} ({name})", against, np.divide(wall[a], wall[b]), 0.5 if a == "ours_batched" else None)
        for a, b, work, against in pairs
    ]
    return {
        "rows": rows,
        "fastest_round_seconds": fastest,
        "overhead": {
            "outside_the_steps_of_the_same_run": spread(share),
            "over_bare_steps_cpu_time_by_turns": spread(cpu["ours"] / cpu["bare"] - 1),
            "over_bare_steps_fastest": fastest["ours"] / fastest["bare"] - 1,
            "repeats": REPEATS[name],
        },
        "deep_copies_over_ours": fastest["deep_copies"] / fastest["ours"],
        "ours_over_ours_batched": fastest["ours"] / fastest["ours_batched"],
    }


def alone(python: str, code: str, folder: Path, **fields) -> dict[str, float]:
    """Run a script in a process of its own; seconds.

    Of its first whole run, warm-up included; of a later
    run in the same process (a simulation starts its workers anew each time, so there it is the first); of the
    fastest round; and of the process with all its imports.
    """
    script = folder / "run.py"
    script.write_text(code.format(bench=str(Path(__file__).parent), **fields), encoding="utf-8")
    began = time.perf_counter()
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
    process = time.perf_counter() - began
    lines = [line for line in done.stdout.splitlines() if line.startswith("TIMES")]
    if done.returncode or not lines:
        raise RuntimeError(f"the run failed ({done.returncode}):\n{done.stdout[-1500:]}{done.stderr[-3000:]}")
    whole, fastest, later = map(float, lines[0].split()[1:])
    return {"first_run": whole, "later_run": later or whole, "fastest_round": fastest, "process": process}


def against_flower(name: str, python: str, folder: Path) -> dict:
    """Whole runs in fresh processes: Flower's simulation, and ours in the same environment."""
    engines = {f"flower, {how}": (SIMULATION, {"backend": backend}) for how, backend in BACKENDS.items()} | {
        f"ours, {engine}": (OURS, {"engine": engine}) for engine in ("loop", "batched")
    }
    found: dict[str, list[dict[str, float]]] = {way: [] for way in engines}
    for _ in range(WHOLE_RUNS):
        for way, (code, fields) in engines.items():
            output = str(folder / f"{way}.npy")
            found[way].append(alone(python, code, folder, name=name, output=output, **fields))
    seconds = {way: {kind: min(run[kind] for run in runs) for kind in runs[0]} for way, runs in found.items()}
    ends = {way: np.load(folder / f"{way}.npy") for way in engines}
    return {
        "rounds": PLANS[name].rounds,
        "seconds": seconds,
        "all_first_runs": {way: [run["first_run"] for run in runs] for way, runs in found.items()},
        "ratios": {
            f"{theirs} / {mine}": {kind: seconds[theirs][kind] / seconds[mine][kind] for kind in seconds[mine]}
            for theirs in list(engines)[:2]
            for mine in list(engines)[2:]
        },
        "largest_weight_difference_to_ours_loop": {
            way: float(np.abs(end - ends["ours, loop"]).max()) for way, end in ends.items()
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "_build" / "bench")
    parser.add_argument("--flower", default=os.environ.get("FLOWER_SIMULATION_PYTHON", ""))
    parser.add_argument("--sizes", nargs="+", default=list(PLANS), choices=list(PLANS))
    options = parser.parse_args()
    torch.set_num_threads(1)
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    report: dict = {"clients": CLIENTS, "torch": torch.__version__, "cores": cores, "our_threads": 1}
    with tempfile.TemporaryDirectory() as folder:
        for name in options.sizes:
            plan = PLANS[name]
            report[name] = {
                "local_steps": plan.local_steps,
                "batch": plan.batch_size,
                "width": WIDTHS[name],
                **in_process(name),
                "against_flower_simulation": against_flower(name, options.flower, Path(folder))
                if options.flower
                else "not run: --flower names no interpreter with flwr[simulation]",
            }
    rows = [row for name in options.sizes for row in report[name].pop("rows")]
    ratios.write(options.out, "bench_federated", rows, **report)


if __name__ == "__main__":
    main()
