"""How fast is this machine? A short measured piece of work against the machine whose minutes the chapters state."""

from __future__ import annotations

import functools
import time

REFERENCE_SECONDS = 0.22  # `probe` on the machine of the stated minutes (two cores), quiet
RENDERING_SECONDS = 90.0  # the pages, on the same machine


def probe() -> float:
    """Seconds that a small training step, repeated, takes on one thread: the best of three."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return min(_work() for _ in range(3))
    finally:
        torch.set_num_threads(threads)


def _work() -> float:
    import torch

    generator = torch.Generator().manual_seed(0)
    images = torch.randn(32, 8, 28, 28, generator=generator)
    kernel = torch.randn(16, 8, 3, 3, generator=generator, requires_grad=True)
    began = time.perf_counter()
    for _ in range(40):
        torch.nn.functional.conv2d(images, kernel, padding=1).relu().square().mean().backward()
    sum(i * i for i in range(400_000))
    return time.perf_counter() - began


@functools.cache
def factor() -> float:
    """How many times as long as stated a chapter takes here."""
    return probe() / REFERENCE_SECONDS


def forecast(seconds: list[float], jobs: int) -> str:
    """What the chapters that wait, and the pages after them, will take here, in words.

    Parameters
    ----------
    seconds : list of float
        Expected seconds of each chapter, here.
    jobs : int
        Chapters at a time.
    """
    total = max(max(seconds), sum(seconds) / jobs) + RENDERING_SECONDS * factor()
    minutes = f"{total / 60:.0f} minutes" if total > 90 else f"{total:.0f} seconds"
    return (
        f"{len(seconds)} chapter{'s' if len(seconds) > 1 else ''} to run, {jobs} at a time, then the pages: about "
        f"{minutes} on this machine ({factor():.1f} times the time on the one whose minutes are stated)"
    )
