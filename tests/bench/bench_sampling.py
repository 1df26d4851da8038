"""Seconds to draw 64 images of 28x28 with DDIM in 50 steps: our U-Net against diffusers' UNet2DModel.

Run by hand:  python tests/bench/bench_sampling.py --out FOLDER [--threads 1]

The reference runs in diffusers' own DDIMScheduler loop, ours in `deepfake_kit.diffusion.sample`; equal parameter
count, random weights, one process, interleaved, the minimum kept. Trust the ratio, not the seconds.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch
from bench_diffusion import CHANNELS, interleaved_minimum, parameters, reference

from deepfake_kit.diffusion import NoiseSchedule, UNet, sample

SHAPE, STEPS = (64, 1, 28, 28), 50


@torch.no_grad()
def their_loop(model: torch.nn.Module) -> torch.Tensor:
    """DDIM as the reference library's own examples write it."""
    from diffusers import DDIMScheduler

    scheduler = DDIMScheduler(1000, 1e-4, 0.02, timestep_spacing="trailing")
    scheduler.set_timesteps(STEPS)
    x = torch.randn(SHAPE)
    for t in scheduler.timesteps:
        x = scheduler.step(model(x, t), t, x).prev_sample
    return x


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder for bench_sampling.json")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    arguments.out.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    theirs, ours, schedule = reference().eval(), UNet(channels=CHANNELS).eval(), NoiseSchedule.linear()
    seconds = interleaved_minimum(
        {
            "diffusers UNet2DModel": lambda: their_loop(theirs),
            "deepfake_kit UNet": lambda: sample(ours, SHAPE, schedule, "ddim", STEPS, clip=1.0),
        },
        arguments.repeats,
    )
    ratio = seconds["deepfake_kit UNet"] / seconds["diffusers UNet2DModel"]
    for name, value in seconds.items():
        print(f"{name:24}{value:>10.2f} s  {SHAPE[0] / value:>8.1f} images/s")
    print(f"{'ratio':24}{ratio:>10.3f}   (aim: at most 0.25)")
    result = {"threads": arguments.threads, "seconds": seconds, "ratio": ratio,
              "parameters": {"theirs": parameters(theirs), "ours": parameters(ours)}}  # fmt: skip
    (arguments.out / "bench_sampling.json").write_text(json.dumps(result, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
