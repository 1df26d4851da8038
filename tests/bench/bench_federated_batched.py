"""All clients as one computation against one client after the other: clients x images a second.

``python tests/bench/bench_federated_batched.py [--out FOLDER] [--device cuda] [--compiled] [--sizes ...]``:
20 clients, the same draws. "light" and "book" are those of ``bench_federated.py``; "paper" is chapter 6's
profile `paper` and wants a GPU. The device is a GPU if there is one, else the CPU on one thread, and the
report says which. Each row has a process of its own, so that its peak memory is its own.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path

import ratios
import torch

from deepfake_kit import federated
from deepfake_kit.diffusion import NoiseSchedule, UNet
from deepfake_kit.federated import Plan

ROOT = Path(__file__).resolve().parents[2]
CLIENTS = 20
SIZES = {  # network, and one round's plan
    "light": ({"channels": (16,), "blocks": 1, "attention": False}, Plan(5, 1, 2, 0.006)),
    "book": ({"channels": (16,), "blocks": 1, "attention": False}, Plan(4, 10, 8, 0.006)),
    "paper": ({"channels": (64,), "blocks": 1, "attention": False}, Plan(4, 10, 64, 0.001)),
}


def measure(size: str, precision: str, engine: str, device: str) -> dict:
    """Fastest of several rounds of one engine, after the first; rounds bring their own `seconds`."""
    torch.manual_seed(0)
    settings, plan = SIZES[size]
    net = UNet(stem=2, precision=precision, **settings).to(device)
    images = torch.randint(0, 256, (2000, 1, 28, 28), dtype=torch.uint8).to(device)
    parts = federated.partition_iid(len(images), CLIENTS, torch.Generator().manual_seed(0))
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats()
    began = time.perf_counter()
    history = federated.train(net, images, parts, NoiseSchedule.linear(), plan, engine=engine)
    whole = time.perf_counter() - began
    best = min(history.seconds[1:])  # a round ends by reading its losses, so the device has finished
    peak = (
        torch.cuda.max_memory_allocated()
        if device != "cpu"
        else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    )
    return {
        "size": size,
        "precision": precision,
        "engine": engine,
        "images_per_second": CLIENTS * plan.local_steps * plan.batch_size / best,
        "fastest_round_seconds": best,
        "first_round_seconds": history.seconds[0],
        "round_seconds": history.seconds[1:],
        "whole_seconds": whole,
        "peak_memory_MB": peak / 2**20,
        "last_loss": history.losses[-1],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "_build" / "bench")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--compiled", action="store_true", help="measure torch.compile too (minutes)")
    parser.add_argument("--sizes", nargs="+", choices=list(SIZES))
    parser.add_argument("--one", nargs=3, metavar=("SIZE", "PRECISION", "ENGINE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    if options.one:
        print("ROW", json.dumps(measure(*options.one, options.device)))
        return
    on_gpu = options.device != "cpu"
    report: dict = {
        "clients": CLIENTS,
        "torch": torch.__version__,
        "device": torch.cuda.get_device_name() if on_gpu else f"{platform.machine()} CPU, one thread",
        "gpu": "measured" if on_gpu else "not measured: this machine has none",
        "rows": [],
    }
    engines = ["loop", "batched"] + ["compiled"] * options.compiled
    for size in options.sizes or list(SIZES)[: 3 if on_gpu else 2]:
        for precision in ("float32", "bfloat16"):
            for engine in engines:
                command = [sys.executable, __file__, "--device", options.device]
                done = subprocess.run(
                    [*command, "--one", size, precision, engine], capture_output=True, text=True, check=False
                )
                lines = [line for line in done.stdout.splitlines() if line.startswith("ROW ")]
                if done.returncode or not lines:
                    raise RuntimeError(f"{size}, {precision}, {engine} failed:\n{done.stderr[-3000:]}")
                row = json.loads(lines[0][4:])
                report["rows"].append(row)
                loop = next(r for r in report["rows"] if (r["size"], r["precision"]) == (size, precision))
                row["times_one_at_a_time"] = row["images_per_second"] / loop["images_per_second"]
                print(json.dumps(row), flush=True)
    rows = []
    for row in report["rows"]:
        if row["engine"] != "loop":
            same = (row["size"], row["precision"])
            loop = next(r for r in report["rows"] if (r["size"], r["precision"], r["engine"]) == (*same, "loop"))
            work = f"20 clients as one computation ({row['engine']}, {', '.join(same)})"
            share = [ours / theirs for ours, theirs in zip(row["round_seconds"], loop["round_seconds"], strict=True)]
            rows.append(ratios.row(work, "one client after the other", share, 0.5))
    ratios.write(options.out, "bench_federated_batched", rows, engines=report.pop("rows"), **report)
    print(f"{report['device']}; GPU {report['gpu']}")


if __name__ == "__main__":
    main()
