"""Graders of chapter 6, federated diffusion. Each returns None for a right answer and a hint otherwise."""

from __future__ import annotations

import math

import numpy as np

from deepfake_kit.exercises import compared, number, numbered, numbers


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
    if math.isclose(value, float(devices) ** rounds, rel_tol=1e-3):
        return "a round keeps one device's share of the weight: does the weight grow or shrink? Look at your factor."
    if 0 < value < 0.9 and math.isclose(steps := -math.log(value, devices), round(steps), abs_tol=1e-3):
        return "the factor of a round is right. How many rounds are there?"
    return f"write down the printed formula for one client of {devices} equal ones, and apply it again and again."


def skew(answer) -> str | None:
    """6.3: total variation distance between each client's classes and those of all clients together."""
    random = np.random.default_rng(1)
    cases = [np.array([[5, 0], [0, 5]]), random.integers(1, 30, (4, 6)), np.array([[3, 3, 6], [1, 1, 2]])]

    def right(counts, half=0.5, pool=True):
        own = counts / counts.sum(1, keepdims=True)
        return half * np.abs(own - (counts.sum(0) / counts.sum() if pool else own.mean(0))).sum(1)

    slips = {
        "a total variation distance lies between 0 and 1: mind the factor.": {"half": 1},
        "a client with more images counts for more in the whole: add counts first.": {"pool": False},
    }
    hint = "compare shares, not counts: each client's with those of all clients *together*."
    return compared(answer, [(counts,) for counts in cases], right, slips, hint)


def proximal_gradient(answer) -> str | None:
    """6.4: gradient of FedProx's penalty."""
    random = np.random.default_rng(2)
    cases = [(*random.normal(size=(2, 3)), mu) for mu in (0.0, 0.3, 2.0)]
    half = {
        "a square's derivative: which factor comes down, and what does it do to the half?": lambda w, a, mu: (
            (w - a) * mu / 2
        )
    }
    hint = (
        "with mu = {2} a finite difference of the penalty disagrees. Is the norm squared, the half there, and which "
        "way does the gradient point?"
    )
    return compared(answer, cases, lambda w, anchor, mu: mu * (w - anchor), half, hint, 1e-6)


def traffic(answer) -> str | None:
    """6.5: bytes moved by a federation over the bytes of the raw images, sent once."""

    def right(clients, rounds, parameters, images, pixels, wide=8):
        return clients * rounds * wide * parameters / (images * pixels)

    slips = {
        "weights travel down to each device, and up again.": {"wide": 4},
        "how many bytes does a float32 take, and how many a grey pixel?": {"wide": 2},
        "the other way round: what the federation moves, over the images.": lambda *given: 1 / right(*given),
    }
    hint = "off for clients={0}, rounds={1}, parameters={2}. What travels in one round?"
    cases = ((20, 100, 31_588, 60_000, 784), (3, 7, 10, 50, 16), (1, 1, 1, 1, 8))
    return compared(answer, cases, right, slips, hint, 1e-6)


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


def paired(answer) -> str | None:
    """6.7: mean and standard error of a difference between two methods on the same seeds."""
    random = np.random.default_rng(67)
    cases = [(x + 0.1 * random.normal(size=n) + 0.2, x) for n in (3, 5, 12) for x in random.normal(size=(1, n))]

    def right(a, b, loose=1, seeds=0):
        return np.array([(a - b).mean(), (a - b).std(ddof=loose) / math.sqrt(seeds or len(a))])

    def apart(a, b):
        return np.array([(a - b).mean(), math.sqrt((a.var(ddof=1) + b.var(ddof=1)) / len(a))])

    slips = {
        "one seed makes both methods' tasks alike: take differences seed by seed first.": apart,
        "that is how far single seeds scatter; the mean of several scatters less.": {"seeds": 1},
        "a deviation from few numbers divides by one less than their number.": {"loose": 0},
        "the first method minus the second.": lambda a, b: right(b, a),
    }
    return compared(answer, cases, right, slips, "differences first; then their mean, and its standard error.")


def divided_by(answer) -> str | None:
    """6.8: by which of two numbers a printed percentage was divided."""
    cases = ((0.371, 0.455, 22.64), (0.371, 0.455, 18.46), (0.371, 0.455, 8.4), (0.581, 0.775, 25.03))
    cases += ((0.581, 0.775, 33.39), (0.5, 0.4, -20.0), (0.5, 0.4, -25.0), (0.581, 0.775, 33.41))

    def right(own, other, printed, names=("own", "other")):
        fits = [
            name for name, x in zip(names, (own, other), strict=True) if abs(100 * (other - own) / x - printed) < 0.0051
        ]
        return fits[0] if fits else "neither"

    slips = {
        "not that one: divided by it, the difference gives another percentage. Compute both and compare.": {
            "names": ("other", "own")
        },
        "one of the two does give it, rounded to two decimals. Compute both.": lambda *given: "neither",
    }
    return compared(
        answer, cases, right, slips, "compute both percentages and compare with what is printed, to two decimals."
    )


def trimmed(answer) -> str | None:
    """6.9: the mean without the k largest and k smallest of each coordinate."""
    random = np.random.default_rng(69)
    cases = [(random.standard_cauchy((n, d)), k) for n, d, k in ((5, 3, 1), (9, 2, 3), (4, 4, 0), (7, 1, 2))]
    slips = {
        "that is the plain mean: one large liar moves it as far as it likes.": lambda x, k: x.mean(0),
        "that is the median; asked is the mean of what is left.": lambda x, k: np.median(x, 0),
        "you drop the right values. How many are left to average over?": lambda x, k: (
            np.sort(x, 0)[k : len(x) - k].sum(0) / len(x)
        ),
        "a liar may lie upwards or downwards: drop from both ends.": lambda x, k: np.sort(x, 0)[: len(x) - k].mean(0),
    }
    hint = "each coordinate by itself: sort it over the devices, drop k at each end, average the rest."
    return compared(answer, cases, lambda x, k: np.sort(x, 0)[k : len(x) - k].mean(0), slips, hint)


EXERCISES = numbered(
    6, weighted_average, shrinkage, skew, proximal_gradient, traffic, pooled_covariance, paired, divided_by, trimmed
)
