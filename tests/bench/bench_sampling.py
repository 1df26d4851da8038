"""Seconds to draw 64 images of 28x28 with DDIM in 50 steps: our U-Net against diffusers' UNet2DModel.

Run by hand:  python tests/bench/bench_sampling.py [--out FOLDER] [--threads 1]

The reference runs in diffusers' own DDIMScheduler loop, ours in `deepfake_kit.diffusion.sample`; equal parameter
count, random weights, one process, by turns. Trust the ratio, not the seconds.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import ratios
import torch
from bench_diffusion import CHANNELS, reference

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
    parser.add_argument("--out", type=Path, help="folder for bench_sampling.json")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    theirs, ours, schedule = reference().eval(), UNet(channels=CHANNELS).eval(), NoiseSchedule.linear()
    pairs = ratios.by_turns(
        lambda: sample(ours, SHAPE, schedule, "ddim", STEPS, clip=1.0), lambda: their_loop(theirs), arguments.repeats
    )
    rows = [ratios.row("64 images by DDIM in 50 steps", "diffusers' DDIM with its UNet2DModel", ratios.of(pairs), 0.25)]
    ratios.write(arguments.out, "bench_sampling", rows, threads=arguments.threads, seconds=pairs)


if __name__ == "__main__":
    main()
