"""How many faces a second are drawn, and how many images a second are shared, on this machine.

Run ``python tests/bench/bench_faces.py``; it prints one JSON line a measurement. A face is counted with
its attributes, identity and masks, as `faces.draw` returns them. Bounds on 2 idle cores: 1,000 faces/s
at 64 x 64 and 300 images/s through each platform at 128 x 128. With ``--enforce`` a rate below its
bound ends the run with exit status 1.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from deepfake_kit import faces, social  # noqa: E402

FACES_BOUND, IMAGES_BOUND = 1000.0, 300.0


def rate(work, count: int, repeats: int = 7) -> tuple[float, float]:
    """Best of some runs: items per second of wall clock, and per second of processor time."""
    work()
    wall, cpu = [], []
    for _ in range(repeats):
        t, c = time.perf_counter(), time.process_time()
        work()
        wall.append(time.perf_counter() - t)
        cpu.append(time.process_time() - c)
    return count / min(wall), count / min(cpu)


def main() -> int:
    slow = 0
    for threads in (1, 2):
        torch.set_num_threads(threads)
        for size, count in ((32, 1024), (64, 1024), (128, 256), (256, 64)):
            wall, cpu = rate(lambda count=count, size=size: faces.draw(count, 0, size), count)
            bound = FACES_BOUND if (threads, size) == (2, 64) else None
            slow += bound is not None and wall < bound
            print(
                json.dumps(
                    {
                        "what": "faces.draw",
                        "size": size,
                        "threads": threads,
                        "per_second": round(wall),
                        "per_core_second": round(cpu),
                        "bound": bound,
                    }
                )
            )
    images = faces.draw(256, 0, 128).images
    for platform in social.PLATFORMS:
        wall, cpu = rate(lambda platform=platform: social.share(images, platform, 0), len(images))
        slow += wall < IMAGES_BOUND
        print(
            json.dumps(
                {
                    "what": f"social.share {platform}",
                    "size": 128,
                    "threads": 2,
                    "per_second": round(wall),
                    "per_core_second": round(cpu),
                    "bound": IMAGES_BOUND,
                }
            )
        )
    return int(bool(slow) and "--enforce" in sys.argv)


if __name__ == "__main__":
    sys.exit(main())
