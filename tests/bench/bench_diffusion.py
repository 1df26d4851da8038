"""Our U-Net against diffusers' UNet2DModel at equal parameter count: seconds a step, and what they buy.

Run by hand:  python tests/bench/bench_diffusion.py [--out FOLDER] [--threads 1] [--seconds 30] [--runs 3]

Both networks take 28x28x1 images, batches of 64 and AdamW in this one process. The two are timed by turns, so that
other work on the machine disturbs both alike; trust the ratios, not the seconds. The second part trains both on the
same Fashion-MNIST images in turns of a few seconds until each has had the same number of training seconds, and follows
the held-out noise-prediction error. Both are trained on the noise; ours reads its network's output as a velocity
(:mod:`deepfake_kit.diffusion.velocity`), which costs nothing. The best linear guess
(:mod:`deepfake_kit.diffusion.linear`), which needs no training, stands beside both.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import ratios
import torch

from deepfake_kit import data
from deepfake_kit.diffusion import NoiseSchedule, UNet, q_sample, to_model_range, train_step
from deepfake_kit.diffusion.linear import LinearDenoiser
from deepfake_kit.diffusion.velocity import NoiseFromVelocity

CHANNELS = (64, 80)  # 1.70 M parameters with a 2x2 stem and two blocks a resolution
BATCH = 64


def reference() -> torch.nn.Module:
    """UNet2DModel (32, 64, 64; 2 layers; attention at 14 and 7), 1.707 M parameters, as a noise model."""
    from deepfake_kit import _compat

    _compat.torchvision()
    from diffusers import UNet2DModel

    class Reference(UNet2DModel):
        def forward(self, x, t):
            return super().forward(x, t, return_dict=False)[0]

    return Reference(
        sample_size=28,
        in_channels=1,
        out_channels=1,
        layers_per_block=2,
        block_out_channels=(32, 64, 64),
        down_block_types=("DownBlock2D", "AttnDownBlock2D", "AttnDownBlock2D"),
        up_block_types=("AttnUpBlock2D", "AttnUpBlock2D", "UpBlock2D"),
    )


def parameters(model: torch.nn.Module) -> int:
    return sum(p.numel() for p in model.parameters())


def held_out_error(model, images: torch.Tensor, schedule: NoiseSchedule) -> float:
    """Mean squared noise-prediction error on fixed images, steps and noise."""
    generator = torch.Generator().manual_seed(1)
    t = torch.randint(len(schedule), (len(images),), generator=generator)
    noise = torch.randn(images.shape, generator=generator)
    with torch.no_grad():
        return float((model.eval()(q_sample(images, t, noise, schedule), t) - noise).square().mean())


def equal_seconds(
    models: dict, train_images, test_images, seconds: float, turn: float, rate: float, seed: int
) -> dict[str, list]:
    """Train the models in turns; returns rows (training seconds, steps, held-out error) for each."""
    schedule = NoiseSchedule.linear()
    state = {
        name: {
            "optimizer": torch.optim.AdamW(model.parameters(), lr=rate, fused=True),
            "spent": 0.0,
            "steps": 0,
            "generator": torch.Generator().manual_seed(seed),
            "rows": [],
        }
        for name, model in models.items()
    }
    while any(s["spent"] < seconds for s in state.values()):
        for name, model in models.items():
            s = state[name]
            target = min(seconds, s["spent"] + turn)
            model.train()
            while s["spent"] < target:
                start = time.perf_counter()
                index = torch.randint(len(train_images), (BATCH,), generator=s["generator"])
                train_step(model, train_images[index], schedule, s["optimizer"], s["generator"])
                s["spent"] += time.perf_counter() - start
                s["steps"] += 1
            s["rows"].append((round(s["spent"], 3), s["steps"], held_out_error(model, test_images, schedule)))
    return {name: s["rows"] for name, s in state.items()}


def plot(rows: dict[str, list], linear: float, path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axis = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
    for name, points in rows.items():
        seconds, steps, error = zip(*points, strict=True)
        axis.plot(seconds, error, marker="o", label=f"{name} ({steps[-1]} steps)")
    axis.axhline(linear, color="gray", linestyle=":", label="best linear guess, no training")
    axis.set(xlabel="training seconds", ylabel="held-out noise-prediction error", yscale="log")
    axis.legend()
    figure.savefig(path, dpi=150)


def both() -> tuple[dict, str, str]:
    """The two networks by name, theirs and ours, freshly drawn."""
    ours = NoiseFromVelocity(UNet(channels=CHANNELS), NoiseSchedule.linear())
    models = {"diffusers' UNet2DModel": reference(), "our U-Net": ours}
    counts = [parameters(model) for model in models.values()]
    assert abs(counts[1] / counts[0] - 1) < 0.05, counts
    return models, *models


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="folder for bench_diffusion.json and .png")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument(
        "--seconds", type=float, default=30.0, help="training seconds for each network; 0 skips this part"
    )
    parser.add_argument("--runs", type=int, default=3, help="trainings of each, with other seeds")
    parser.add_argument("--rate", type=float, default=2e-3, help="AdamW learning rate of both")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    models, theirs, ours = both()
    x, t, schedule = torch.randn(BATCH, 1, 28, 28), torch.randint(1000, (BATCH,)), NoiseSchedule.linear()
    optimizers = {name: torch.optim.AdamW(model.parameters(), lr=0.0, fused=True) for name, model in models.items()}
    step = {name: lambda n=name: train_step(models[n], x, schedule, optimizers[n]) for name in models}
    pairs = ratios.by_turns(step[ours], step[theirs], arguments.repeats)
    rows = [ratios.row("a training step, 28x28, b64", f"{theirs} at equal parameters", ratios.of(pairs), 0.12)]
    with torch.no_grad():
        pairs = ratios.by_turns(lambda: models[ours](x, t), lambda: models[theirs](x, t), arguments.repeats)
    rows.append(ratios.row("a forward pass", theirs, ratios.of(pairs)))
    more = {}
    train_set, test_set = (data.load("fashion-mnist", split) for split in ("train", "test"))
    if arguments.seconds and train_set.stand_in:
        print("held-out error: not measured, for Fashion-MNIST is not on this machine; see deepfake-kit doctor")
    elif arguments.seconds:
        train_images, test_images = to_model_range(train_set.images), to_model_range(test_set.images[:512])
        linear = held_out_error(LinearDenoiser(train_images, schedule), test_images, schedule)
        turn = max(1.0, arguments.seconds / 10)
        for seed in range(arguments.runs):
            torch.manual_seed(seed)
            fresh = both()[0]
            more[seed] = equal_seconds(fresh, train_images, test_images, arguments.seconds, turn, arguments.rate, seed)
        errors = [found[ours][-1][2] / found[theirs][-1][2] for found in more.values()]
        work = f"held-out error after {arguments.seconds:.0f} s of training"
        rows.append(ratios.row(work, theirs, errors, 0.5))
        over = [found[ours][-1][2] / linear for found in more.values()]
        rows.append(ratios.row(work, "the best linear guess, which needs no training", over))
        if arguments.out:
            arguments.out.mkdir(parents=True, exist_ok=True)
            plot(more[0], linear, arguments.out / "bench_diffusion.png")
    ratios.write(
        arguments.out, "bench_diffusion", rows, threads=arguments.threads, torch=torch.__version__, held_out=more
    )


if __name__ == "__main__":
    main()
