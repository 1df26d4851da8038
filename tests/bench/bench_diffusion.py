"""Our U-Net against diffusers' UNet2DModel at equal parameter count: seconds a step, and what they buy.

Run by hand:  python tests/bench/bench_diffusion.py --data PATH --out FOLDER [--threads 1] [--seconds 30]

Both networks take 28x28x1 images, batches of 64 and AdamW in this one process. Timings interleave the two
networks and keep the minimum, so that other work on the machine disturbs both alike; trust the ratios, not
the seconds. The second part trains both on the same Fashion-MNIST images in turns of a few seconds until each
has had the same number of training seconds, and follows the held-out noise-prediction error. Both are trained on the
noise; ours reads its network's output as a velocity (:mod:`deepfake_kit.diffusion.velocity`), which costs nothing. The
best linear guess (:mod:`deepfake_kit.diffusion.linear`), which needs no training, stands beside both.
"""

from __future__ import annotations

import argparse
import gzip
import json
import platform
import time
from pathlib import Path

import numpy as np
import torch

from deepfake_kit.diffusion import NoiseSchedule, UNet, q_sample, train_step
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


def interleaved_minimum(functions: dict, repeats: int) -> dict[str, float]:
    """Smallest seconds of each function over interleaved repeats, after one unmeasured call of each."""
    for function in functions.values():
        function()
    best = dict.fromkeys(functions, float("inf"))
    for _ in range(repeats):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            best[name] = min(best[name], time.perf_counter() - start)
    return best


def read_images(folder: Path, part: str) -> torch.Tensor:
    """Fashion-MNIST images in [-1, 1] [N, 1, 28, 28] from the official gzip file below `folder`."""
    path = next(folder.rglob(f"FashionMNIST/raw/{part}-images-idx3-ubyte.gz"))
    pixels = np.frombuffer(gzip.decompress(path.read_bytes()), np.uint8, offset=16)
    return torch.from_numpy(pixels.copy()).reshape(-1, 1, 28, 28).float() / 127.5 - 1


def held_out_error(model, images: torch.Tensor, schedule: NoiseSchedule) -> float:
    """Mean squared noise-prediction error on fixed images, steps and noise."""
    generator = torch.Generator().manual_seed(1)
    t = torch.randint(len(schedule), (len(images),), generator=generator)
    noise = torch.randn(images.shape, generator=generator)
    with torch.no_grad():
        return float((model.eval()(q_sample(images, t, noise, schedule), t) - noise).square().mean())


def equal_seconds(models: dict, train_images, test_images, seconds: float, turn: float, rate: float) -> dict[str, list]:
    """Train the models in turns; returns rows (training seconds, steps, held-out error) for each."""
    schedule = NoiseSchedule.linear()
    state = {
        name: {
            "optimizer": torch.optim.AdamW(model.parameters(), lr=rate, fused=True),
            "spent": 0.0,
            "steps": 0,
            "generator": torch.Generator().manual_seed(0),
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data", type=Path, required=True, help="folder that holds FashionMNIST/raw/*.gz somewhere below"
    )
    parser.add_argument("--out", type=Path, required=True, help="folder for bench_diffusion.json and .png")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument(
        "--seconds", type=float, default=30.0, help="training seconds for each network; 0 skips this part"
    )
    parser.add_argument("--rate", type=float, default=2e-3, help="AdamW learning rate of both")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    arguments.out.mkdir(parents=True, exist_ok=True)

    torch.manual_seed(0)
    ours_network = NoiseFromVelocity(UNet(channels=CHANNELS), NoiseSchedule.linear())
    models = {"diffusers UNet2DModel": reference(), "deepfake_kit UNet": ours_network}
    theirs, ours = models
    counts = {name: parameters(model) for name, model in models.items()}
    assert abs(counts[ours] / counts[theirs] - 1) < 0.05, counts
    x, t, schedule = torch.randn(BATCH, 1, 28, 28), torch.randint(1000, (BATCH,)), NoiseSchedule.linear()
    optimizers = {name: torch.optim.AdamW(model.parameters(), lr=0.0, fused=True) for name, model in models.items()}
    step = interleaved_minimum(
        {name: lambda n=name: train_step(models[n], x, schedule, optimizers[n]) for name in models}, arguments.repeats
    )
    with torch.no_grad():
        forward = interleaved_minimum({name: lambda n=name: models[n](x, t) for name in models}, arguments.repeats)
    result = {
        "threads": arguments.threads,
        "torch": torch.__version__,
        "processor": platform.machine(),
        "parameters": counts,
        "step_seconds": step,
        "forward_seconds": forward,
        "step_ratio": step[ours] / step[theirs],
        "forward_ratio": forward[ours] / forward[theirs],
    }
    print(f"{'':24}{'parameters':>12}{'step s':>10}{'forward s':>11}")
    for name in models:
        print(f"{name:24}{counts[name]:>12,}{step[name]:>10.3f}{forward[name]:>11.3f}")
    print(f"{'ratio':24}{'':>12}{result['step_ratio']:>10.3f}{result['forward_ratio']:>11.3f}   (aim: 0.25)")
    if arguments.seconds:
        train_images, test_images = read_images(arguments.data, "train"), read_images(arguments.data, "t10k")[:512]
        linear = held_out_error(LinearDenoiser(train_images, schedule), test_images, schedule)
        rows = equal_seconds(
            models, train_images, test_images, arguments.seconds, max(1.0, arguments.seconds / 10), arguments.rate
        )
        result["held_out"] = rows
        result["held_out_linear"] = linear
        result["held_out_ratio"] = rows[ours][-1][2] / rows[theirs][-1][2]
        for name in models:
            print(
                f"{name:24}{rows[name][-1][1]:>12,} steps in {rows[name][-1][0]:.0f} s: error {rows[name][-1][2]:.4f}"
            )
        print(f"{'best linear guess':24}{0:>12,} steps: error {linear:.4f}")
        print(f"{'ratio':24}{'':>12}{result['held_out_ratio']:>10.3f}   (aim: at most 0.5)")
        plot(rows, linear, arguments.out / "bench_diffusion.png")
    (arguments.out / "bench_diffusion.json").write_text(json.dumps(result, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
