"""Chapter 1: right answers to its exercises, each in two ways, and wrong ones that deserve a hint."""

import math

import numpy as np
import torch

from deepfake_kit.generators.style_gan import StyleGenerator, adain


def by_sigmoid(p, q, rho):
    return 0.0 if p == 0 else 1 / (1 + (1 - rho) * q / (rho * p))


def adain_numpy(x, scale, bias):
    mean, deviation = x.mean(axis=(1, 2), keepdims=True), x.std(axis=(1, 2), keepdims=True)
    return scale[:, None, None] * (x - mean) / deviation + bias[:, None, None]


def adain_torch(x, scale, bias):
    return adain(*(torch.tensor(v)[None] for v in (x, scale, bias)))[0].numpy()


def wrong_axes(x, scale, bias):
    return scale[:, None, None] * (x - x.mean()) / x.std() + bias[:, None, None]


def family_by_table(*shares):
    changed = dict(zip(("synthesis", "attribute", "swap", "expression"), shares))
    found = [name for name in ("synthesis", "swap", "expression", "attribute") if changed[name] >= 0.5]
    return (found + ["none"])[0]


def uneven_by_counting(kernel, stride):
    taps = np.convolve(np.bincount(np.arange(0, 40 * stride, stride)), np.ones(kernel))[kernel : 30 * stride]
    return bool(np.ptp(taps) > 0.5)


RIGHT = {
    "1.1": [
        lambda p, q, rho: 1 - (1 - rho) * q / (rho * p + (1 - rho) * q),
        lambda p, q, rho: rho * p / (rho * p + (1 - rho) * q),
        by_sigmoid,
    ],
    "1.2": [0.0, -math.log(4) + 2 * math.log(2)],
    "1.3": [adain_numpy, adain_torch],
    "1.4": [
        lambda side: 2 * (int(math.log2(side)) - 1),
        lambda side: 2 * (side.bit_length() - 2),
        lambda side: StyleGenerator(side, (4,), 4, 1).n_styles if side > 4 else 2,
    ],
    "1.5": [uneven_by_counting, lambda kernel, stride: kernel % stride != 0, lambda k, s: math.gcd(k, s) != s],
    "1.6": [
        family_by_table,
        lambda b, h, s, m: ["none", "attribute", "expression", "swap", "synthesis"][
            max(4 * (b >= 0.5), 3 * (s >= 0.5), 2 * (m >= 0.5), h >= 0.5)
        ],
    ],
    "1.7": [lambda x, a, b: b @ np.linalg.pinv(a) @ x, lambda x, a, b: b @ np.linalg.solve(a.T @ a, a.T @ x)],
    "1.8": [
        lambda f, s: np.arccos(np.cos(2 * np.pi * f * s)) / (2 * np.pi),
        lambda f, s: min(f * s % 1, 1 - f * s % 1),
    ],
}
WRONG = {
    "1.1": [
        lambda p, q, rho: p / (p + q),
        lambda p, q, rho: rho,
        lambda p, q, rho: 0.5,
        lambda p, q, rho: (1 - rho) * q / (rho * p + (1 - rho) * q),
        lambda p, q, rho: rho * p,
    ],
    "1.2": [-math.log(4), math.log(2), -math.log(2), 1.0],
    "1.3": [
        wrong_axes,
        lambda x, s, b: adain_numpy(x, s, 0 * b),
        lambda x, s, b: adain_numpy(x, 1 + s, b),
        lambda x, s, b: x,
        lambda x, s, b: adain_numpy(x[:, ::-1], s, b),
        lambda x, s, b: x.mean((1, 2)),
    ],
    "1.4": [
        lambda side: int(math.log2(side)),
        lambda side: 2 * int(math.log2(side)),
        lambda side: int(math.log2(side)) - 1,
        lambda side: 18,
    ],
    "1.5": [
        lambda k, s: k % 2 != 0,
        lambda k, s: k > s,
        lambda k, s: True,
        lambda k, s: False,
        lambda k, s: k % s == 0,
    ],
    "1.6": [
        lambda b, h, s, m: "swap" if s >= 0.5 else "synthesis" if b >= 0.5 else "none",
        lambda b, h, s, m: "synthesis" if b > 0.9 else "swap" if m >= 0.5 else "attribute",
        lambda b, h, s, m: "attribute" if h >= 0.5 else "none",
        lambda b, h, s, m: max([(b, "synthesis"), (s, "swap"), (m, "expression"), (h, "attribute")])[1],
    ],
    "1.7": [
        lambda x, a, b: b @ np.linalg.pinv(b) @ x,
        lambda x, a, b: a @ np.linalg.pinv(b) @ x,
        lambda x, a, b: b @ a.T @ x,
        lambda x, a, b: x,
        lambda x, a, b: np.linalg.pinv(a) @ x,
        lambda x, a, b: x - a.mean(1) + b.mean(1),
    ],
    "1.8": [
        lambda f, s: f,
        lambda f, s: f * s,
        lambda f, s: f * s % 1,
        lambda f, s: f / s,
        lambda f, s: min(0.5, f * s),
    ],
}
