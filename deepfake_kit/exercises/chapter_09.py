"""Graders of chapter 9: a layer's operations, NT-Xent of cosines, an averaged F1, test pictures, separable filters."""

from __future__ import annotations

import math

import numpy as np

from deepfake_kit.exercises import compared, number, numbered


def _macs(answer) -> str | None:
    cases = ((3, 64, 7, 112, 1), (64, 64, 3, 56, 64), (96, 576, 1, 7, 12), (8, 16, 3, 4, 4))

    def right(c_in, c_out, kernel, side, groups, both=1, taps=2, places=2):
        return both * side**places * kernel**taps * c_in * c_out // groups

    slips = {
        "You count every input channel for every output channel. Those of different groups do not meet.": lambda *g: (
            right(*g[:4], 1)
        ),
        "One product and one sum together are one multiply-accumulate.": {"both": 2},
        "The kernel is applied at every output pixel; how many are there?": {"places": 1},
        "Every output pixel has a kernel of its own sums; how many pixels are there?": {"places": 0},
        "A kernel is a square.": {"taps": 1},
    }
    hint = "Wrong for {0} to {1} channels, kernel {2}, side {3}, {4} groups. How many products make one number?"
    return compared(answer, cases, right, slips, hint, 0)


def _loss(sim: np.ndarray, tau: float) -> float:
    n = len(sim) // 2
    total = 0.0
    for i in range(2 * n):
        others = [sim[i, k] / tau for k in range(2 * n) if k != i]
        top = max(others)
        total += top + math.log(sum(math.exp(x - top) for x in others)) - sim[i, (i + n) % (2 * n)] / tau
    return total / (2 * n)


def _cosines(n: int, seed: int) -> np.ndarray:
    z = np.random.default_rng(seed).normal(size=(2 * n, 5))
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    return z @ z.T


def _nt_xent(answer) -> str | None:
    for n, tau in ((2, 0.5), (3, 1.0), (5, 0.07), (4, 0.2)):
        sim = _cosines(n, n)
        given = sim.copy()
        ours = number(answer(given, tau))
        if not np.array_equal(given, sim):
            return "Your function changed the matrix it was given; work on a copy."
        exact = _loss(sim, tau)
        if abs(ours - exact) < 1e-6 * max(1, abs(exact)):
            continue
        if abs(ours + exact) < 1e-6:
            return "The sign is turned: a loss is minus the log of the partner's share."
        if abs(ours - 2 * n * exact) < 1e-6 * abs(ours):
            return "Average over the anchors."
        if abs(ours - _loss(sim, 1.0)) < 1e-6 and tau != 1:
            return "The temperature divides the cosines before the exponential."
        rows = np.arange(2 * n)
        with_self = np.mean(np.log(np.exp(sim / tau).sum(1)) - sim[rows, (rows + n) % (2 * n)] / tau)
        if abs(ours - with_self) < 1e-6 * max(1, abs(with_self)):
            return "An anchor is not its own candidate: leave the diagonal out of the sum."
        if not math.isfinite(ours):
            return f"Not a finite number at temperature {tau}."
        return f"Wrong for {n} pictures at temperature {tau}. Row i asks for column i+N, and row i+N for column i."
    if not math.isfinite(number(answer(_cosines(3, 1), 1e-4))):
        return "At a temperature of 0.0001 your exponentials overflow. Subtract the largest exponent of each row first."
    return None


def _constant_f1(answer) -> str | None:
    for p, batch in ((7 / 15, 4), (0.5, 2), (0.3, 8), (0.9, 1)):
        chance = [math.comb(batch, k) * p**k * (1 - p) ** (batch - k) for k in range(batch + 1)]
        exact = sum(q * 2 * k / (batch + k) for k, q in enumerate(chance))
        ours = number(answer(p, batch))
        if abs(ours - exact) < 1e-3:
            continue
        if abs(ours - 2 * p / (1 + p)) < 1e-3:
            return "That is the F1 over the whole set. The number of real pictures differs from batch to batch."
        if abs(ours - exact / (1 - (1 - p) ** batch)) < 1e-3:
            return "You leave out the batches without a real picture; here they count, with 0."
        return f"Wrong for a share of {p:.3g} and {batch} pictures a batch. With k real ones: what are TP, FP and FN?"
    return None


def _pictures(answer) -> str | None:
    for a, b in ((0.999, 0.998), (0.9, 0.8), (0.6, 0.7)):
        exact = 1.96**2 * (a * (1 - a) + b * (1 - b)) / (a - b) ** 2
        ours = number(answer(a, b))
        if abs(ours - exact) <= max(1.0, 1e-3 * exact):
            continue
        if abs(ours - 2 * exact) <= 1e-2 * exact:
            return "Pictures for one network are asked for, not for both together."
        if abs(ours * 1.96 - exact) <= 1e-2 * exact or abs(ours * 1.96**2 - exact) <= 1e-2 * exact:
            return "The difference shall be 1.96 standard errors, and an error shrinks with the root of m."
        if ours < exact:
            return f"Too few for {a} and {b}. Both accuracies carry an error; their variances add."
        return f"More than needed for {a} and {b}. What is the variance of one accuracy measured on m pictures?"
    return None


def _separable(answer) -> str | None:
    random = np.random.default_rng(3)
    kernels = (np.outer([1, 2, 1], [1, 0, -1]), np.eye(3), random.normal(size=(3, 3)), random.normal(size=(5, 5)))

    def right(kernel, power=2):
        values = np.linalg.svd(kernel, compute_uv=False) ** power
        return values[0] / values.sum()

    slips = {
        "Squared entries are asked for: singular values add up in squares.": {"power": 1},
        "That is the share which is lost.": lambda kernel: 1 - right(kernel),
        "That is the share of the norm; squares are asked for.": lambda kernel: right(kernel) ** 0.5,
    }
    hint = "Which matrix of rank one is nearest to a given one? The singular values tell how near."
    return compared(answer, [(kernel.astype(float),) for kernel in kernels], right, slips, hint, 1e-6)


def _left(answer) -> str | None:
    kernels = ([0.25, 0.5, 0.25], [1 / 3] * 3, [1.0, -1.0, 0.0], [0.2] * 5, [0.0, 0.1, 0.8, 0.3, -0.2], [0.2, 0.8])
    cases = [(np.array(kernel), f) for kernel, f in zip(kernels, (0.5, 0.25, 0.5, 0.1, 0.37, 0.0), strict=True)]

    def left(kernel, frequency, turn=2 * np.pi, power=1):
        return abs((kernel * np.exp(-1j * turn * frequency * np.arange(len(kernel)))).sum()) ** power

    slips = {
        "That is what is left of the power; asked is the amplitude.": {"power": 2},
        "Over one cycle the angle grows by 2 pi.": {"turn": 1},
        "That is what is left of an even grey; the wave has another sign at every other place.": {"turn": 0},
    }
    hint = "Let the kernel run over a wave: add its weights, each turned by the angle that the wave has gone on."
    return compared(answer, cases, left, slips, hint, 1e-6)


def _above(answer) -> str | None:
    cases = [
        (own, np.array(c)) for own, c in ((0.9, [0.5, 0.6, 0.7]), (0.8, [0.1, 0.6]), (0.55, [0.9]), (0.7, [0.4, 0.45]))
    ]
    slips = {
        "A control that ranks the wrong way round can be turned: its AUC is then one minus that.": lambda a, c: (
            a - c.max()
        ),
        "The strongest control counts, not the average one.": lambda a, c: a - c.mean(),
        "Chance is one control, and the weakest.": lambda a, c: a - 0.5,
    }
    hint = "What could be had without the detector, with the best of the controls?"
    return compared(answer, cases, lambda own, c: own - np.maximum(c, 1 - c).max(), slips, hint)


EXERCISES = numbered(9, _macs, _nt_xent, _constant_f1, _pictures, _separable, _left, _above)
