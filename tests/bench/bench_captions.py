"""Chapter 3: seconds a picture of the small Stable Diffusion, and a Gram distance against its plain double loop.

Run by hand:  python tests/bench/bench_captions.py [--out FOLDER] [--repeats 5]

Ten steps are timed against fifty, and against the same number of plain passes of the U-Net: what the pipeline adds.
The Gram matrices are those of 512 channels by 512 positions, one of VGG-19's deep layers.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import ratios
import torch

from deepfake_kit.generators import stable
from deepfake_kit.measure.textures import gram, gram_distance


@torch.no_grad()
def passes(pipe, count: int, steps: int) -> None:
    """As many passes of the U-Net as guided sampling takes, and one decoding."""
    z, told = torch.randn(2 * count, stable.CODES, 8, 8), torch.randn(2 * count, stable.LENGTH, 64)
    for t in range(steps):
        pipe.unet(z, t, told)
    stable.decode(pipe.vae, z[:count])


def loops(f: torch.Tensor) -> torch.Tensor:
    """The report's formula, entry by entry."""
    return torch.stack([torch.stack([a @ b for b in f]) for a in f]) / f.shape[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="folder for bench_captions.json")
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    pipe, rows, count = stable.pipeline((8, 16, 32), (48, 96)), [], 16
    captions = [stable.GENERIC] * count
    for steps in (10, 50):
        made = lambda k=steps: stable.make(pipe, captions, range(count), 3.0, k)  # noqa: E731
        pairs = ratios.by_turns(made, lambda k=steps: passes(pipe, count, k), options.repeats)
        rows.append(ratios.row(f"pictures in {steps} guided steps", "as many plain passes", ratios.of(pairs)))
        rows[-1]["seconds"] = min(ours for ours, _ in pairs) / count
        print(f"  {rows[-1]['seconds']:.4f} s a picture at best")
    f, g = torch.randn(2, 1, 512, 512)
    pairs = ratios.by_turns(
        lambda: gram_distance([f], [g]), lambda: (loops(f[0]) - loops(g[0])).abs().mean(), min(options.repeats, 3)
    )
    rows.append(ratios.row("Gram distance at 512 x 512", "a double loop", ratios.of(pairs)))
    assert (gram(f)[0] - loops(f[0])).abs().max() < 1e-3
    ratios.write(options.out, "bench_captions", rows, threads=torch.get_num_threads())


if __name__ == "__main__":
    main()
