"""Chapter 2: right answers to its exercises, each in two ways, and wrong ones that deserve a hint."""

import math

import numpy as np
import torch

from deepfake_kit import diffusion

LINEAR = diffusion.NoiseSchedule.linear()


def ddim_by_kit(x, eps, bar, bar_prev):
    """The kit's own step, on a schedule of two steps with these alpha-bars."""
    betas = torch.tensor([1 - bar_prev, 1 - bar / bar_prev], dtype=torch.float64)
    if bar_prev == 1:
        schedule, t = diffusion.NoiseSchedule(torch.tensor([1 - bar], dtype=torch.float64)), 0
    else:
        schedule, t = diffusion.NoiseSchedule(betas), 1
    return diffusion.ddim_step(torch.tensor(x), torch.tensor(eps), t, schedule).numpy()


def by_loop(betas):
    kept, out = 1.0, []
    for beta in betas:
        kept *= 1 - beta
        out.append(kept)
    return out


def weighed_with_the_ratio_of_strides(n, o, after, now, before):
    r = (now - before) / (after - now)
    return (1 + 0.5 / r) * n - 0.5 / r * o


def variance_after(v, alpha, bar, noise):
    before = bar * v + 1 - bar
    return before * (1 - (1 - alpha) / before) ** 2 / alpha + noise


def by_posterior(v, alpha, bar, noise):
    """The posterior's mean with the best guess of the clean number, whose factors add up."""
    clean, before = math.sqrt(bar) * v / (bar * v + 1 - bar), bar / alpha
    kept = math.sqrt(before) * (1 - alpha) / (1 - bar) * clean + math.sqrt(alpha) * (1 - before) / (1 - bar)
    return kept**2 * (bar * v + 1 - bar) + noise


RIGHT = {
    "2.1": [lambda b: np.cumprod(1 - b), by_loop, lambda b: np.exp(np.cumsum(np.log1p(-b)))],
    "2.2": [int((LINEAR.snr >= 1).sum()), next(t for t in range(1000) if LINEAR.snr[t] < 1)],
    "2.3": [
        lambda b, p: (1 - p) / (1 - b) * (1 - b / p),
        lambda b, p: 0.0 if p == 1 else 1 / ((b / p) / (1 - b / p) + 1 / (1 - p)),
    ],
    "2.4": [
        lambda x, e, b, p: math.sqrt(p) * (x - math.sqrt(1 - b) * e) / math.sqrt(b) + math.sqrt(1 - p) * e,
        ddim_by_kit,
    ],
    "2.5": [
        lambda x, v, b: np.linalg.solve([[b**0.5, (1 - b) ** 0.5], [-((1 - b) ** 0.5), b**0.5]], [x, v])[1],
        lambda x, v, b: math.sqrt(b) * v + math.sqrt(1 - b) * x,
        lambda x, v, b: (x - math.sqrt(b) * (math.sqrt(b) * x - math.sqrt(1 - b) * v)) / math.sqrt(1 - b),
    ],
    "2.6": [
        lambda n, o, after, now, before: o + ((now + after) / 2 - before) / (now - before) * (n - o),
        lambda n, o, after, now, before: n + (after - now) / (2 * (now - before)) * (n - o),
        weighed_with_the_ratio_of_strides,
    ],
    "2.7": [lambda v, a, b, n: (b * v - b + a) ** 2 / (a * (b * v + 1 - b)) + n, by_posterior],
}

WRONG = {
    "2.1": [
        lambda b: np.cumprod(b),
        lambda b: 1 - b,
        lambda b: np.concatenate([[1.0], np.cumprod(1 - b)[:-1]]),
        lambda b: np.cumsum(1 - b),
        lambda b: np.cumprod(np.sqrt(1 - b)),
        lambda b: float(np.prod(1 - b)),
    ],
    "2.2": [RIGHT["2.2"][0] + 1, RIGHT["2.2"][0] - 1, 500, int((LINEAR.alpha_bars.sqrt() >= 0.5).sum()), 0],
    "2.3": [
        lambda b, p: 1 - b / p,
        lambda b, p: (1 - b) / (1 - p + 1e-9) * (1 - b / p),
        lambda b, p: 1 - p,
        lambda b, p: math.sqrt((1 - p) / (1 - b) * (1 - b / p)),
        lambda b, p: (1 - p) / (1 - b) * (1 - b),
    ],
    "2.4": [
        lambda x, e, b, p: (x - math.sqrt(1 - b) * e) / math.sqrt(b),
        lambda x, e, b, p: x,
        lambda x, e, b, p: math.sqrt(p) * x + math.sqrt(1 - p) * e,
        lambda x, e, b, p: p * (x - math.sqrt(1 - b) * e) / math.sqrt(b) + (1 - p) * e,
    ],
    "2.5": [
        lambda x, v, b: math.sqrt(b) * x - math.sqrt(1 - b) * v,
        lambda x, v, b: v,
        lambda x, v, b: b * v + (1 - b) * x,
        lambda x, v, b: math.sqrt(1 - b) * v + math.sqrt(b) * x,
        lambda x, v, b: math.sqrt(b) * v - math.sqrt(1 - b) * x,
    ],
    "2.6": [
        lambda n, o, after, now, before: n + (after - now) / (now - before) * (n - o),
        lambda n, o, after, now, before: n - (after - now) / (2 * (now - before)) * (n - o),
        lambda n, o, after, now, before: (n + o) / 2,
        lambda n, o, after, now, before: n,
        lambda n, o, after, now, before: n + (now - before) / (2 * (after - now)) * (n - o),
    ],
    "2.7": [
        lambda v, a, b, n: variance_after(v, b, b, n),
        lambda v, a, b, n: variance_after(v, a, b, 0),
        lambda v, a, b, n: b / a * v + 1 - b / a + 1,
        lambda v, a, b, n: a * (b * v + 1 - b) + n,
        lambda v, a, b, n: variance_after(v, a, b, math.sqrt(n)),
    ],
}
