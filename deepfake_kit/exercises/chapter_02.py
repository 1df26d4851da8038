"""Graders of chapter 2, diffusion mathematics. Each returns None for a right answer and a hint otherwise."""

from __future__ import annotations

import math

import numpy as np

from deepfake_kit.exercises import compared, number, numbered, numbers


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

    def right(bar, prev):
        return (1 - prev) / (1 - bar) * (1 - bar / prev)

    slips = {
        "that is the noise added going forward. Knowing the clean image makes the way back surer.": lambda bar, prev: (
            1 - bar / prev
        ),
        "knowing the clean image must leave less variance than going forward. Is your fraction below one?": (
            lambda bar, prev: (1 - bar) / max(1 - prev, 1e-9) * (1 - bar / prev)
        ),
        "a variance or a deviation? Square what you return and compare it with your formula.": lambda *bars: (
            right(*bars) ** 0.5
        ),
        "that comes out as the noise of all steps before. Where is the noise of this one step?": lambda bar, prev: (
            1 - prev
        ),
    }
    hint = "off at alpha-bars {0} and {1}. Reciprocals add up, to 1/variance; a clean step before leaves none."
    return compared(answer, ((0.5, 0.6), (0.0001, 0.00012), (0.9, 1.0), (0.2, 0.8)), right, slips, hint, 1e-6)


def ddim(answer) -> str | None:
    """2.4: one DDIM step."""
    random = np.random.default_rng(0)
    cases = [(*random.standard_normal((2, 4, 4)), *bars) for bars in ((0.3, 0.5), (0.01, 0.9), (0.7, 1.0))]

    def right(x, eps, bar, prev, power=0.5, noise=1):
        return prev**power * (x - (1 - bar) ** 0.5 * eps) / bar**0.5 + noise * (1 - prev) ** power * eps

    slips = {
        "that is the clean estimate itself. Which noise belongs to the earlier step?": {"power": 0, "noise": 0},
        "the two steps are right. Alpha-bar is a share of variance: with which amplitudes do both enter?": {"power": 1},
    }
    hint = (
        "going from alpha-bar {2} to {3} with the true noise must land on the forward path of the same image. First "
        "recover the image, then noise it again."
    )
    return compared(answer, cases, right, slips, hint, 1e-5)


def eps_from_v(answer) -> str | None:
    """2.5: noise from a velocity prediction."""
    random = np.random.default_rng(1)
    cases = [(*random.standard_normal((2, 5)), bar) for bar in (0.01, 0.36, 0.5, 0.99)]
    slips = {
        "that is the clean image. The noise is the other combination.": lambda x, v, b: b**0.5 * x - (1 - b) ** 0.5 * v,
        "your weights have changed places. Put alpha-bar = 1: which of the two is then the noise?": lambda x, v, b: (
            (1 - b) ** 0.5 * v + b**0.5 * x
        ),
        "the weights are right, a sign is not. Insert x_t and v: does x_0 cancel?": lambda x, v, b: (
            b**0.5 * v - (1 - b) ** 0.5 * x
        ),
    }
    hint = "(x_t, v) is (x_0, eps) turned by an angle. Undo the rotation; its squared weights add up to 1."
    return compared(answer, cases, lambda x, v, b: b**0.5 * v + (1 - b) ** 0.5 * x, slips, hint, 1e-5)


def look_ahead(answer) -> str | None:
    """2.6: the clean estimate half-way through a stride."""
    random = np.random.default_rng(2)
    cases = [
        (*random.standard_normal((2, 3)), *lams) for lams in ((-1.0, -3.0, -4.0), (2.0, 0.7, 0.5), (3.0, 2.0, 1.0))
    ]

    def right(now, old, after, at, before, share=0.5):
        return now + share * (after - at) / (at - before) * (now - old)

    slips = {
        "that is the estimate at the end of the stride. On average over it, it is that of the middle.": {"share": 1},
        "the length is right. Does your step lead towards the next lambda, or back to the one before?": {"share": -0.5},
        "that looks back. The estimate is wanted between this step and the next.": lambda n, o, *lams: (n + o) / 2,
    }
    hint = "lambdas {2:g}, {3:g}, {4:g}: by how much does the estimate change a unit, and how many are half a stride?"
    return compared(answer, cases, right, slips, hint, 1e-6)


def variance_after(answer) -> str | None:
    """2.7: what one reverse step makes of the variance where the data are one Gaussian."""

    def right(v, alpha, bar, noise, power=2, kept=1.0):
        before = bar * v + 1 - bar
        return ((1 - (1 - alpha) / before) / math.sqrt(alpha)) ** power * before + kept * noise

    cases = ((1.0, 0.9, 0.5, 0.1), (0.25, 0.98, 0.7, 0.01), (4.0, 0.5, 0.1, 0.3), (0.01, 0.9, 0.3, 0.0))
    slips = {
        "the step also adds fresh noise, and variances of independent parts add.": {"kept": 0},
        "a factor before a variable counts squared in its variance.": {"power": 1},
        "a step back undoes one step: where does alpha belong, where alpha-bar? You use one for both.": (
            lambda v, a, b, n: right(v, b, b, n)
        ),
        "noise is a variance already: how does it enter a sum of variances?": lambda v, a, b, n: right(v, a, b, n**0.5),
    }
    hint = (
        "put the estimate of the noise into the step: x_t times a number, plus noise. Which number, and its variance?"
    )
    return compared(answer, cases, right, slips, hint)


EXERCISES = numbered(2, alpha_bars, crossing, posterior_variance, ddim, eps_from_v, look_ahead, variance_after)
