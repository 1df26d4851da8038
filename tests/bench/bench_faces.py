"""Drawn faces against pictures read from disk, shared images against one plain JPEG round trip.

Run by hand:  python tests/bench/bench_faces.py [--out FOLDER] [--repeats 7]

A face is counted with its attributes, identity and masks, as `faces.draw` returns them; the alternative is a data set
of JPEG files of that size, decoded by Pillow. An image that is shared goes through a platform's whole pipeline; the
alternative is to code and decode it once with Pillow. On 2 idle cores 1,000 faces a second at 64 x 64 are wanted, and
300 images a second through each platform at 128 x 128; the rates are printed too.
"""

from __future__ import annotations

import argparse
import io
from pathlib import Path

import numpy as np
import ratios
import torch
from PIL import Image

from deepfake_kit import faces, social


def coded(images: torch.Tensor) -> list[bytes]:
    """Images [N, 3, S, S] in [0, 1] as JPEG files in memory."""
    files = []
    for pixels in (images * 255).round().byte().permute(0, 2, 3, 1).numpy():
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "JPEG", quality=90)
        files.append(file.getvalue())
    return files


def read(files: list[bytes]) -> torch.Tensor:
    """JPEG files as one tensor in [0, 1]."""
    pixels = np.stack([np.asarray(Image.open(io.BytesIO(file))) for file in files])
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, help="folder for bench_faces.json")
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    rows = []
    for size, count in ((32, 512), (64, 512), (128, 256), (256, 64)):
        files = coded(faces.draw(count, 0, size).images)
        pairs = ratios.by_turns(lambda c=count, s=size: faces.draw(c, 0, s), lambda f=files: read(f), options.repeats)
        rows.append(ratios.row(f"faces drawn at {size} px", "Pillow reading as many JPEGs", ratios.of(pairs)))
        rows[-1]["per_second"] = count / min(ours for ours, _ in pairs)
        print(f"  {rows[-1]['per_second']:.0f} faces a second at best")
    images = faces.draw(128, 0, 128).images
    for platform in social.PLATFORMS:
        share, plain = lambda p=platform: social.share(images, p, 0), lambda: read(coded(images))
        pairs = ratios.by_turns(share, plain, options.repeats)
        rows.append(ratios.row(f"images shared on {platform}", "one JPEG round trip by Pillow", ratios.of(pairs)))
        rows[-1]["per_second"] = len(images) / min(ours for ours, _ in pairs)
        print(f"  {rows[-1]['per_second']:.0f} images a second at best")
    ratios.write(options.out, "bench_faces", rows, threads=torch.get_num_threads())


if __name__ == "__main__":
    main()
