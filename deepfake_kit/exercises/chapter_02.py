"""Graders of chapter 2, diffusion mathematics. Each returns None for a right answer and a hint otherwise."""

from __future__ import annotations

import math

import numpy as np

from deepfake_kit.exercises import number, numbers


def _differs(found, expected, tolerance: float = 1e-6) -> bool:
    found, expected = np.asarray(found, dtype=float), np.asarray(expected, dtype=float)
    return found.shape != expected.shape or not np.allclose(found, expected, rtol=tolerance, atol=tolerance)


def alpha_bars(answer) -> str | None:
    """2.1: from betas to alpha-bars."""
    for betas in (np.array([0.1, 0.2, 0.5]), np.linspace(1e-4, 0.02, 1000), np.array([0.3])):
        found, right = numbers(answer(betas.copy())), np.cumprod(1 - betas)
        if found.shape != right.shape:
            return f"for {len(betas)} steps you return shape {found.shape}; one value a step, from the first on."
        if not _differs(found, right):
            continue
        if not _differs(found, np.concatenate([[1.0], right[:-1]])):
            return "your list is shifted: after step 0 the image has already met its first noise."
        if not _differs(found, np.cumprod(betas)):
            return "the product runs over what is kept in each step, not over what is added."
        return f"for betas {betas[:3]} you begin {found[:3]}. What share of the variance survives two steps?"
    return None


def crossing(answer, steps: int = 1000) -> str | None:
    """2.2: the first step at which the noise is stronger than the image."""
    bars = np.cumprod(1 - np.linspace(1e-4, 0.02, steps))
    right = int(np.argmax(bars < 0.5))
    value = number(answer)
    if value == right:
        return None
    if value in (right + 1, right - 1):
        return "one off. Steps count from 0, and the ratio must be below 1 there, not at its neighbour."
    if value == int(np.argmax(np.sqrt(bars) < 0.5)):
        return "you compared amplitudes with one half; signal-to-noise is a ratio of powers."
    return "find where alpha-bar and one minus alpha-bar cross."


def posterior_variance(answer) -> str | None:
    """2.3: variance of the step before, from two alpha-bars."""
    for bar, bar_prev in ((0.5, 0.6), (0.0001, 0.00012), (0.9, 1.0), (0.2, 0.8)):
        found = number(answer(bar, bar_prev))
        beta = 1 - bar / bar_prev
        if math.isclose(found, (1 - bar_prev) / (1 - bar) * beta, rel_tol=1e-6, abs_tol=1e-12):
            continue
        if bar_prev == 1.0:
            return "when the step before is the clean image, knowing that image leaves no uncertainty at all."
        if math.isclose(found, beta, rel_tol=1e-6):
            return "that is the noise added going forward. Knowing the clean image makes the way back surer."
        return f"at alpha-bars {bar} and {bar_prev} you return {found:.4g}. Add the reciprocals of variances."
    return None


def ddim(answer) -> str | None:
    """2.4: one DDIM step."""
    rng = np.random.default_rng(0)
    for bar, bar_prev in ((0.3, 0.5), (0.01, 0.9), (0.7, 1.0)):
        x0, eps = rng.standard_normal((2, 4, 4))
        x = math.sqrt(bar) * x0 + math.sqrt(1 - bar) * eps
        found = numbers(answer(x, eps, bar, bar_prev))
        if _differs(found, math.sqrt(bar_prev) * x0 + math.sqrt(1 - bar_prev) * eps, 1e-5):
            if found.shape == x0.shape and not _differs(found, x0, 1e-5):
                return "that is the clean estimate itself. Which noise belongs to the earlier step?"
            return (
                f"going from alpha-bar {bar} to {bar_prev} with the true noise must land on the forward path "
                "of the same image. First recover the image, then noise it again."
            )
    return None


def eps_from_v(answer) -> str | None:
    """2.5: noise from a velocity prediction."""
    rng = np.random.default_rng(1)
    for bar in (0.01, 0.36, 0.5, 0.99):
        x0, eps = rng.standard_normal((2, 5))
        x, v = math.sqrt(bar) * x0 + math.sqrt(1 - bar) * eps, math.sqrt(bar) * eps - math.sqrt(1 - bar) * x0
        found = numbers(answer(x.copy(), v.copy(), bar))
        if not _differs(found, eps, 1e-5):
            continue
        if not _differs(found, x0, 1e-5):
            return "that is the clean image. The noise is the other combination."
        return "(x_t, v) is (x_0, eps) turned by an angle. Undo the rotation; its squared weights add up to 1."
    return None


def look_ahead(answer) -> str | None:
    """2.6: the clean estimate half-way through a stride."""
    rng = np.random.default_rng(2)
    for before, now, after in ((-4.0, -3.0, -1.0), (0.5, 0.7, 2.0), (1.0, 2.0, 3.0)):
        start, slope = rng.standard_normal((2, 3))
        found = numbers(answer(start + slope * now, start + slope * before, after, now, before))
        if not _differs(found, start + slope * (now + after) / 2):
            continue
        if not _differs(found, start + slope * after):
            return "that is the estimate at the end of the stride. On average over the stride it is that of the middle."
        if not _differs(found, start + slope * (now + before) / 2):
            return "that looks back. The estimate is wanted between this step and the next."
        return (
            f"for an estimate that changes evenly from lambda {before:g} to {now:g}, next {after:g}, you are off. "
            "How fast does it change, and how far is half of the next stride?"
        )
    return None


EXERCISES = {
    "2.1": alpha_bars,
    "2.2": crossing,
    "2.3": posterior_variance,
    "2.4": ddim,
    "2.5": eps_from_v,
    "2.6": look_ahead,
}
