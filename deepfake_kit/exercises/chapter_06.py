"""Graders of chapter 6, federated diffusion. Each returns None for a right answer and a hint otherwise."""

from __future__ import annotations

import math

import numpy as np

from deepfake_kit.exercises import number, numbers


def weighted_average(answer) -> str | None:
    """6.1: federated averaging of clients' vectors by their number of images."""
    rng = np.random.default_rng(0)
    for k in (1, 2, 5):
        vectors, sizes = [rng.normal(size=4) for _ in range(k)], rng.integers(1, 50, k).tolist()
        kept = [vector.copy() for vector in vectors]
        found = numbers(answer(vectors, sizes))
        if found.shape != (4,):
            return f"for {k} vectors of length 4 you return something of shape {found.shape}."
        if not all(np.array_equal(a, b) for a, b in zip(vectors, kept, strict=True)):
            return "your function changes the clients' own vectors: work on a copy."
        if not np.allclose(found, sum(n * v for n, v in zip(sizes, kept, strict=True)) / sum(sizes)):
            return (
                f"with {k} clients of {sizes} images the result is off. Who counts for how much, "
                "and do the shares sum to 1?"
            )
    return None


def shrinkage(answer, devices: int = 20, rounds: int = 3) -> str | None:
    """6.2: what some rounds of the printed Eq. (6) leave of a weight that no client changes."""
    value = number(answer)
    if math.isclose(value, float(devices) ** -rounds, rel_tol=1e-3):
        return None
    if math.isclose(value, 1 / devices, rel_tol=1e-2):
        return "that is what one round leaves. The next round starts from the result."
    if math.isclose(value, 1 / (devices * rounds), rel_tol=1e-2):
        return "the rounds act one after the other, so do their factors add?"
    return f"write down the printed formula for one client of {devices} equal ones, and apply it again and again."


def skew(answer) -> str | None:
    """6.3: total variation distance between each client's classes and those of all clients together."""
    rng = np.random.default_rng(1)
    for counts in (np.array([[5, 0], [0, 5]]), rng.integers(1, 30, (4, 6)), np.array([[3, 3, 6], [1, 1, 2]])):
        found = numbers(answer(counts.copy()))
        if found.shape != (len(counts),):
            return f"for {len(counts)} clients you return the shape {found.shape}; give one number each."
        own = counts / counts.sum(1, keepdims=True)
        whole = counts.sum(0) / counts.sum()
        if not np.allclose(found, 0.5 * np.abs(own - whole).sum(1)):
            if (found < 0).any() or (found > 1 + 1e-12).any():
                return (
                    "a total variation distance lies between 0 and 1. Compare shares, not counts, and mind the factor."
                )
            return f"off for the counts {counts.tolist()}. Which distribution describes all clients *together*?"
    return None


def proximal_gradient(answer) -> str | None:
    """6.4: gradient of FedProx's penalty."""
    rng = np.random.default_rng(2)
    for mu in (0.0, 0.3, 2.0):
        w, anchor = rng.normal(size=3), rng.normal(size=3)
        found = numbers(answer(w, anchor, mu))
        if found.shape != (3,):
            return f"the gradient has the shape of the weights, (3,); yours has {found.shape}."
        h = 1e-5
        slope = [
            (mu / 2 * (((w + h * e - anchor) ** 2).sum() - ((w - h * e - anchor) ** 2).sum())) / (2 * h)
            for e in np.eye(3)
        ]
        if not np.allclose(found, slope, atol=1e-6):
            return (
                f"with mu = {mu} a finite difference of the penalty disagrees. Is the norm squared, the half "
                "there, and which way does the gradient point?"
            )
    return None


def traffic(answer) -> str | None:
    """6.5: bytes moved by a federation over the bytes of the raw images, sent once."""
    for clients, rounds, parameters, images, pixels in (
        (20, 100, 31_588, 60_000, 784),
        (3, 7, 10, 50, 16),
        (1, 1, 1, 1, 8),
    ):
        found = number(answer(clients, rounds, parameters, images, pixels))
        right = clients * rounds * 2 * 4 * parameters / (images * pixels)
        if math.isclose(found, right, rel_tol=1e-6):
            continue
        if math.isclose(found, right / 2, rel_tol=1e-6):
            return "weights travel down to each device, and up again."
        if math.isclose(found, right / 4, rel_tol=1e-6):
            return "how many bytes does a float32 take, and how many a grey pixel?"
        return f"off for clients={clients}, rounds={rounds}, parameters={parameters}. What travels in one round?"
    return None


def pooled_covariance(answer) -> str | None:
    """6.6: covariance of all rows from each device's number, sum and sum of products."""
    rng = np.random.default_rng(3)
    for sizes in ((4,), (1, 6), (2, 3, 30)):
        rows = [rng.normal(size=(n, 3)) + 5 * i for i, n in enumerate(sizes)]
        found = numbers(answer([(len(x), x.sum(0), x.T @ x) for x in rows]))
        if found.shape != (3, 3):
            return f"for rows of 3 numbers you return the shape {found.shape}; a covariance is 3 by 3."
        if not np.allclose(found, np.cov(np.concatenate(rows), rowvar=False, bias=True)):
            return (
                f"off for devices with {', '.join(map(str, sizes))} rows that have different means. Whose mean must be "
                "taken away, and by which number is divided?"
            )
    return None


EXERCISES = {
    "6.1": weighted_average,
    "6.2": shrinkage,
    "6.3": skew,
    "6.4": proximal_gradient,
    "6.5": traffic,
    "6.6": pooled_covariance,
}
