"""How fast is this machine? A short measured piece of work against the machine whose minutes the chapters state."""

from __future__ import annotations

import functools
import statistics
import time

import numpy as np

REFERENCE_SECONDS = 0.02  # `probe` on the machine of the stated minutes (two cores), quiet
RENDERING_SECONDS = 90.0  # the pages, on the same machine


def probe() -> float:
    """Seconds that a little arithmetic takes on one thread, in numpy and in Python itself: the best of three."""
    return min(_work() for _ in range(3))


def _work() -> float:
    numbers = np.random.default_rng(0).standard_normal(32_768, dtype=np.float32)
    sines = np.empty_like(numbers)  # written again and again: to ask for new memory takes any time
    began = time.perf_counter()
    for _ in range(200):
        np.sin(numbers, out=sines)
        np.exp(sines, out=sines)
    sum(i * i for i in range(400_000))
    return time.perf_counter() - began


def steady(looks: int = 41) -> float:
    """How many times as long as stated a long run takes here: the middle look, where `factor` takes the best."""
    return statistics.median(_work() for _ in range(looks)) / REFERENCE_SECONDS


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
