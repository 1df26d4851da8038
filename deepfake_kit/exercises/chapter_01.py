"""Graders of chapter 1, how deepfakes are made. Each returns None for a right answer and a hint otherwise."""

from __future__ import annotations

import math

import numpy as np

from deepfake_kit.exercises import number, numbers


def discriminator_with_prior(answer) -> str | None:
    """1.1: the best discriminator when a share `rho` of the samples is real."""
    for p, q, rho in ((0.3, 0.1, 0.5), (0.3, 0.1, 0.9), (0.2, 0.7, 0.01), (1.5, 0.4, 0.25), (0.0, 0.4, 0.5)):
        found = number(answer(p, q, rho))
        if not 0 <= found <= 1:
            return f"at p={p}, q={q}, rho={rho} you return {found:.3g}, but D is a probability."
        grid = np.linspace(1e-6, 1 - 1e-6, 200_001)
        best = grid[np.argmax(rho * p * np.log(grid) + (1 - rho) * q * np.log1p(-grid))]
        if not abs(found - best) <= 1e-4:
            return (
                f"at p={p}, q={q}, rho={rho} another D gives a higher value. How often does a sample at x turn up "
                "that is real, and how often one that is fake?"
            )
    return None


def value_of_strangers(answer) -> str | None:
    """1.2: the value function at its optimum when real and generated data share no point."""
    found = number(answer)
    if math.isclose(found, 0.0, abs_tol=1e-9):
        return None
    if math.isclose(found, -math.log(4), rel_tol=1e-3):
        return "that is the other extreme, where both distributions agree. Here the best D is never in doubt."
    return "what does the best D say on real data, what on fakes? Put both into the two logarithms."


def adaptive_instance_norm(answer) -> str | None:
    """1.3: AdaIN for one image."""
    rng = np.random.default_rng(0)
    for shape in ((3, 8, 8), (1, 4, 6), (5, 7, 3)):
        x = rng.normal(2.0, 3.0, shape)
        scale, bias = rng.uniform(0.5, 2, shape[0]), rng.normal(0, 1, shape[0])
        found = numbers(answer(x.copy(), scale, bias))
        if found.shape != shape:
            return f"feature maps of shape {shape} came back with shape {found.shape}."
        if not np.allclose(found.mean((1, 2)), bias, atol=1e-3):
            return "the mean of each feature map must become the style's bias. Over which axes do you average?"
        if not np.allclose(found.std((1, 2)), scale, rtol=2e-3):
            return "the deviation of each feature map must become the style's scale. Over which axes do you take it?"
        plain = (x - x.mean((1, 2), keepdims=True)) * (scale / x.std((1, 2)))[:, None, None] + bias[:, None, None]
        if not np.allclose(found, plain, atol=1e-2):
            return "mean and deviation are right, but the pattern inside the map changed. AdaIN only scales and shifts."
    return None


def style_layers(answer) -> str | None:
    """1.4: how many style layers a style-based generator has at a resolution."""
    for side, layers in ((8, 4), (32, 8), (256, 14), (1024, 18), (4, 2)):
        found = number(answer(side))
        if found != layers:
            return (
                f"at {side} pixels you count {found}. Start at 4x4, double until you arrive, "
                "and give every resolution two layers."
            )
    return None


def uneven_overlap(answer) -> str | None:
    """1.5: whether a transposed convolution's taps overlap unevenly."""
    for kernel, stride in ((4, 2), (3, 2), (5, 2), (2, 2), (6, 3), (4, 3), (3, 1), (3, 3), (8, 4), (6, 4)):
        uneven = len({len(range(place, kernel, stride)) for place in range(stride)}) > 1  # taps that reach each pixel
        found = number(answer(kernel, stride))
        if found not in (True, False):
            return f"for kernel {kernel} and stride {stride} you return {found!r}; True or False was asked for."
        if found != uneven:
            return (
                f"a kernel of {kernel} with stride {stride} overlaps {'un' if uneven else ''}evenly. "
                "Count the taps that reach two neighbouring pixels."
            )
    return None


EXERCISES = {
    "1.1": discriminator_with_prior,
    "1.2": value_of_strangers,
    "1.3": adaptive_instance_norm,
    "1.4": style_layers,
    "1.5": uneven_overlap,
}
