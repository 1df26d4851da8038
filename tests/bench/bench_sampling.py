"""Seconds to draw 64 images of 28x28: ours against diffusers' DDIM in 50 steps with its UNet2DModel.

Run by hand:  python tests/bench/bench_sampling.py [--out FOLDER] [--threads 1] [--images 256]

The reference runs in diffusers' own DDIMScheduler loop, ours in `deepfake_kit.diffusion.sample`; equal parameter
count, one process, by turns. Trust the ratio, not the seconds. Two rows: ours with the same sampler and as many steps,
and ours with the second-order solver in as few steps as keep the Fréchet distance within 1.1 times that of DDIM in 50.
The distance is measured with the network that the long run of chapter 2 kept, from common starts, on 32 principal
components of Fashion-MNIST's test images; where no such network or data lie, the second row is left out. Its ratio is
the solver's time over our DDIM's, by turns, times the first row's.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import ratios
import torch
from bench_diffusion import CHANNELS, reference

from deepfake_kit import data
from deepfake_kit.diffusion import NoiseSchedule, UNet, sample, to_model_range
from deepfake_kit.diffusion.velocity import NoiseFromVelocity
from deepfake_kit.federated import Components, Moments
from deepfake_kit.measure.sets import frechet_distance
from deepfake_kit.notebook import kept

SHAPE, STEPS, FEW, WITHIN = (64, 1, 28, 28), 50, (4, 5, 6, 8, 10, 15, 20), 1.1
LINEAR = NoiseSchedule.linear()


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


def fewest_steps(images: int) -> tuple[int, dict[int, float]] | None:
    """Steps of the solver at which the distance is near enough, and each one's distance over that of DDIM in 50."""
    run = kept.load("02_diffusion_math")
    test = data.load("fashion-mnist", "test")
    if run is None or test.stand_in:
        return None
    model = NoiseFromVelocity(UNet(channels=CHANNELS), LINEAR).eval()
    model.load_state_dict(run.get("unet"))
    flat = to_model_range(test.images).flatten(1)
    basis = Components.of(Moments.of(flat), 32)
    real = basis.encode(flat) * basis.scale

    def distance(sampler: str, steps: int) -> float:
        start = torch.Generator().manual_seed(0)
        x = sample(model, (images, *SHAPE[1:]), LINEAR, sampler, steps, 1.0, start)
        return float(frechet_distance(basis.encode(x.flatten(1)) * basis.scale, real))

    base, found = distance("ddim", STEPS), {}
    for steps in FEW:
        found[steps] = distance("dpm", steps) / base
        if found[steps] <= WITHIN:
            return steps, found
    return None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="folder for bench_sampling.json")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--images", type=int, default=256, help="images for a Fréchet distance")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    theirs, ours, against = reference().eval(), UNet(channels=CHANNELS).eval(), "diffusers' DDIM with its UNet2DModel"

    def drawn(sampler: str, steps: int):
        return lambda: sample(ours, SHAPE, LINEAR, sampler, steps, clip=1.0)

    pairs = ratios.by_turns(drawn("ddim", STEPS), lambda: their_loop(theirs), arguments.repeats)
    rows = [ratios.row("64 images by DDIM in 50 steps", against, ratios.of(pairs), 0.25)]
    if few := fewest_steps(arguments.images):
        steps, distances = few
        print(
            "Fréchet distance over that of DDIM in 50 steps:",
            {n: round(x, 3) for n, x in distances.items()},
            flush=True,
        )
        own = ratios.by_turns(drawn("dpm", steps), drawn("ddim", STEPS), arguments.repeats)
        both = [a * b for a, b in zip(ratios.of(own), ratios.of(pairs), strict=True)]
        work = f"64 images of equal Fréchet distance by DPM-Solver++ in {steps} steps"
        rows.append(ratios.row(work, against, both, 0.02))
    ratios.write(arguments.out, "bench_sampling", rows, threads=arguments.threads, seconds=pairs)


if __name__ == "__main__":
    main()
