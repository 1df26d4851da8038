"""Graders of chapter 7: the rank that still saves, a loss, printed shares, rare fakes, an adapter recovered."""

from __future__ import annotations

import math

import numpy as np

from deepfake_kit.exercises import number, numbers


def _largest_rank(answer) -> str | None:
    for inputs, outputs in ((768, 2304), (64, 192), (2, 2), (1, 5), (768, 768), (3, 6), (2, 3), (10, 1000)):
        ours = number(answer(inputs, outputs))
        best = max((r for r in range(min(inputs, outputs) + 1) if r * (inputs + outputs) < inputs * outputs), default=0)
        if ours == best:
            continue
        if ours == best + 1 and best + 1 == inputs * outputs / (inputs + outputs):
            return f"At that rank both hold equally many numbers for {inputs} by {outputs}; fewer was asked for."
        return f"For {inputs} inputs and {outputs} outputs: how many numbers are in A, how many in B, how many in W?"
    return None


def _loss(answer) -> str | None:
    random = np.random.default_rng(7)
    for n, d, m, push in ((9, 4, 0.3, 1.0), (30, 16, 0.3, 0.2), (12, 2, 0.0, 5.0), (7, 9, 1.0, 0.0), (5, 1, 0.5, 0.1)):
        fake = np.arange(n) % 3 == 0
        features, center = random.standard_normal((n, d)), random.standard_normal(d)
        features[fake] += push
        given = features.copy()
        far = np.array([math.dist(f, center) for f in features])
        real, false = far[~fake].mean(), far[fake].mean()
        ours = number(answer(features, fake, center, m))
        if not np.array_equal(given, features):
            return "Your function changed the features it was given."
        if abs(ours - (real + max(real - false + m * math.sqrt(d), 0))) <= 1e-9:
            continue
        gap = real - false + m * math.sqrt(d)
        for other, hint in (
            (
                real + max(real * false + m * math.sqrt(d), 0),
                "Distances are subtracted: the product is what a lost minus leaves.",
            ),
            (real + max(real - false + m, 0), "The margin grows with the root of the number of features."),
            (real + gap, "Once fakes are far enough, the second term is 0, not negative."),
            (max(gap, 0), "One term is missing: what pulls the real features in?"),
        ):
            if abs(ours - other) <= 1e-9:
                return hint
        return f"Wrong for {n} features of {d} numbers. Take the mean of the norms, over real and fake rows apart."
    return None


def _sizes(answer) -> str | None:
    for printed, largest in (
        (["75.00", "88.00"], 400),
        (["33.33"], 20),
        (["84.00", "84.20"], 600),
        (["66.67", "14.29"], 60),
        (["99.99"], 50),
        (["0.00", "100.00"], 5),
    ):
        right = [
            n
            for n in range(1, largest + 1)
            if all(any(f"{100 * k / n:.2f}" == p for k in range(n + 1)) for p in printed)
        ]
        ours = list(answer(list(printed), largest))
        if not all(isinstance(n, int | np.integer) for n in ours):
            return "A set's size is a whole number; give a list of such numbers."
        if ours == right:
            continue
        if set(ours) < set(right):
            return f"For {printed} up to {largest} some sizes are missing. A printed share is rounded."
        return f"For {printed} up to {largest} you list sizes that cannot print all of them, or in another order."
    return None


def _precision(answer) -> str | None:
    for found, accused, rare in (
        (0.88, 0.2, 0.5),
        (0.88, 0.2, 0.01),
        (1.0, 0.05, 0.001),
        (0.5, 0.5, 0.3),
        (0.9, 0.0, 0.1),
    ):
        ours = number(answer(found, accused, rare))
        exact = found * rare / (found * rare + accused * (1 - rare))
        if abs(ours - exact) <= 1e-9:
            continue
        if abs(ours - found) <= 1e-9:
            return "That is the share of fakes that are called so; asked is the share of the called that are fakes."
        return (
            f"With found {found}, accused {accused} and rare {rare}: take a million pictures and count who is "
            "called fake, of both kinds."
        )
    return None


def _extract(answer) -> str | None:
    random = np.random.default_rng(75)
    for out, into, rank in ((6, 4, 2), (4, 6, 1), (5, 5, 5), (12, 8, 3)):
        weight, change = random.standard_normal((out, into)), random.standard_normal((out, into))
        up, down = (numbers(x) for x in answer(weight + change, weight, rank))
        if up.shape != (out, rank) or down.shape != (rank, into):
            return (
                f"For a weight {out} by {into} and rank {rank} you return shapes {up.shape} and {down.shape}; up "
                f"is [{out}, {rank}], down [{rank}, {into}]."
            )
        least = np.sqrt((np.linalg.svd(change, compute_uv=False)[rank:] ** 2).sum())
        if not np.linalg.norm(up @ down - change) <= least + 1e-8:
            return "The product is not the best approximation of that rank. Think of the largest singular values."
    return None


EXERCISES = {"7.1": _largest_rank, "7.2": _loss, "7.3": _sizes, "7.4": _precision, "7.5": _extract}
