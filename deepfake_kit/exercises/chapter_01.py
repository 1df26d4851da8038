"""Graders of chapter 1, how deepfakes are made. Each returns None for a right answer and a hint otherwise."""

from __future__ import annotations

import math

import numpy as np

from deepfake_kit.exercises import compared, near, number, numbered, numbers


def discriminator_with_prior(answer) -> str | None:
    """1.1: the best discriminator when a share `rho` of the samples is real."""
    cases = ((0.3, 0.1, 0.5), (0.3, 0.1, 0.9), (0.2, 0.7, 0.01), (1.5, 0.4, 0.25), (0.0, 0.4, 0.5))

    def right(p, q, rho):
        return rho * p / (rho * p + (1 - rho) * q)

    slips = {
        'you have both rates. D is the belief in "real": which of them belongs on top? Try a point where q is 0.': (
            lambda p, q, rho: right(q, p, 1 - rho)
        )
    }
    hint = (
        "at p={0}, q={1}, rho={2} another D gives a higher value. How often does a sample at x turn up that is real, "
        "and how often one that is fake?"
    )
    return compared(answer, cases, right, slips, hint, 1e-4)


def value_of_strangers(answer) -> str | None:
    """1.2: the value function at its optimum when real and generated data share no point."""
    found = number(answer)
    if math.isclose(found, 0.0, abs_tol=1e-3):
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
            return "each feature map's mean must become the style's bias. Over which axes do you average? Is it added?"
        if not np.allclose(found.std((1, 2)), scale, rtol=2e-3):
            return "each feature map's deviation must become the style's scale. Over which axes? Is it multiplied?"
        plain = (x - x.mean((1, 2), keepdims=True)) * (scale / x.std((1, 2)))[:, None, None] + bias[:, None, None]
        if not np.allclose(found, plain, atol=1e-2):
            return "mean and deviation are right, but the pattern inside the map changed. AdaIN only scales and shifts."
    return None


def style_layers(answer) -> str | None:
    """1.4: how many style layers a style-based generator has at a resolution."""
    hint = "at {0} pixels you are off. Start at 4x4, double until you arrive, and give every resolution two layers."
    sides = [(2**k,) for k in (3, 5, 8, 10, 2)]
    return compared(answer, [*sides, (1024,)], lambda side: 2 * (side.bit_length() - 2), {}, hint)


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


def family(answer) -> str | None:
    """1.6: which family of manipulation changed these shares of the regions."""
    hints = {
        "synthesis": "only an entire synthesis makes the background anew: ask for it first.",
        "swap": "where the skin has changed it is another person, whatever else has changed.",
        "expression": "another mouth in the same skin is another expression, whatever the hair.",
        "attribute": "hair alone is an attribute.",
        "none": "no region counts as changed here, so nothing was forged.",
    }
    cases = ((0.97, 0.96, 0.94, 0.94), (0.29, 0.93, 0.86, 0.87), (0.02, 0.91, 0.04, 0.0), (0.0, 0.0, 0.05, 0.72))
    cases += ((0.3, 0.1, 0.9, 0.9), (0.5, 0.6, 0.7, 0.4), (0.1, 0.5, 0.5, 0.2), (0.0, 0.6, 0.0, 0.5), (0, 0, 0, 0.1))
    for background, hair, skin, mouth in cases:
        shares = (background, skin, mouth, hair, 1.0)
        name = next(name for name, share in zip(hints, shares, strict=True) if share >= 0.5)
        if not near(answer(background, hair, skin, mouth), name):
            return hints[name]
    return None


def linear_swap(answer) -> str | None:
    """1.7: the swap where both decoders are matrices."""
    random = np.random.default_rng(17)
    cases = [(random.normal(size=n), *random.normal(size=(2, n, k))) for n, k in ((4, 2), (9, 3), (5, 1))]
    inv = np.linalg.pinv
    slips = {
        "A's frame was drawn by A's matrix: read the code with that one.": lambda x, a, b: b @ inv(b) @ x,
        "that draws A from a code read as B's. Which matrix reads, which draws?": lambda x, a, b: a @ inv(b) @ x,
        "a transpose undoes a matrix only if its columns are orthonormal. Solve.": lambda x, a, b: b @ a.T @ x,
        "that draws A again, with A's own decoder.": lambda x, a, b: a @ inv(a) @ x,
    }
    hint = "two steps: find the code of A's frame, then draw B from it."
    return compared(answer, cases, lambda x, a, b: b @ inv(a) @ x, slips, hint, 1e-6)


def folded_peak(answer) -> str | None:
    """1.8: where a peak of the spectrum lies after every step-th pixel was kept."""
    cases = ((0.1, 2), (0.4, 2), (0.45, 3), (0.3, 4), (0.25, 3), (0.5, 2), (0.12, 1), (0.37, 5))
    slips = {
        "a new pixel is wider than an old one, so more of a wave passes in it.": lambda f, s: f,
        "the wave stays and the pixels grow: do its cycles a pixel become more or fewer?": lambda f, s: f / s,
        "no grid shows more than half a cycle a pixel: what is above comes back, folded.": lambda f, s: f * s,
        "whole cycles a pixel cannot be seen, and the rest is folded at one half.": lambda f, s: f * s % 1,
    }
    hint = "how many cycles pass in one new pixel? What does a grid make of a whole cycle a pixel?"
    return compared(answer, cases, lambda f, s: abs(f * s - round(f * s)), slips, hint, 1e-6)


EXERCISES = numbered(
    1,
    discriminator_with_prior,
    value_of_strangers,
    adaptive_instance_norm,
    style_layers,
    uneven_overlap,
    family,
    linear_swap,
    folded_peak,
)
