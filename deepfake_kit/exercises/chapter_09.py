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


def _cosines(n: int, seed: int) -> np.ndarray:
    z = np.random.default_rng(seed).normal(size=(2 * n, 5))
    z /= np.linalg.norm(z, axis=1, keepdims=True)
    return z @ z.T


def _nt_xent(answer) -> str | None:
    def right(sim, tau, sign=1, own=0.0):
        rows, n = np.arange(len(sim)), len(sim) // 2
        logits = sim / tau
        top = logits.max(1, keepdims=True)
        chances = np.exp(logits - top) * (1 - (1 - own) * np.eye(2 * n))
        return sign * np.mean(np.log(chances.sum(1)) + top[:, 0] - logits[rows, (rows + n) % (2 * n)])

    slips = {
        "The sign is turned: a loss is minus the log of the partner's share.": {"sign": -1},
        "Average over the anchors.": lambda sim, tau: len(sim) * right(sim, tau),
        "The temperature divides the cosines before the exponential.": lambda sim, tau: right(sim, 1.0),
        "An anchor is not its own candidate: leave the diagonal out of the sum.": {"own": 1.0},
    }
    hint = "Wrong at temperature {1}. Row i asks for column i+N, and row i+N for column i."
    cases = [(_cosines(n, n), tau) for n, tau in ((2, 0.5), (3, 1.0), (5, 0.07), (4, 0.2))]
    said = compared(answer, cases, right, slips, hint, 1e-6)
    if not said and not math.isfinite(number(answer(_cosines(3, 1), 1e-4))):
        return "At a temperature of 0.0001 your exponentials overflow. Subtract the largest exponent of each row first."
    return said


def _constant_f1(answer) -> str | None:
    def right(p, batch, some=False):
        chance = [math.comb(batch, k) * p**k * (1 - p) ** (batch - k) for k in range(batch + 1)]
        return sum(q * 2 * k / (batch + k) for k, q in enumerate(chance)) / (1 - (1 - p) ** batch if some else 1)

    slips = {
        "That is the F1 over the whole set. The number of real pictures differs from batch to batch.": lambda p, _: (
            2 * p / (1 + p)
        ),
        "You leave out the batches without a real picture; here they count, with 0.": {"some": True},
        "Which class is positive? p is the share of the real ones.": lambda p, n: right(1 - p, n),
    }
    hint = "Wrong for a share of {0:.3g} and {1} pictures a batch. With k real ones: what are TP, FP and FN?"
    return compared(answer, ((7 / 15, 4), (0.5, 2), (0.3, 8), (0.9, 1)), right, slips, hint, 1e-3)


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
            return f"Too few for {a} and {b}. How does an error shrink with m? Both carry one, and variances add."
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
    kernels = ([0.0, 0.1, 0.8, 0.3, -0.2], [0.25, 0.5, 0.25], [1 / 3] * 3, [1.0, -1.0, 0.0], [0.2] * 5, [0.2, 0.8])
    cases = [(np.array(kernel), f) for kernel, f in zip(kernels, (0.37, 0.5, 0.25, 0.5, 0.1, 0.0), strict=True)]

    def left(kernel, frequency, turn=2 * np.pi, power=1):
        return abs((kernel * np.exp(-1j * turn * frequency * np.arange(len(kernel)))).sum()) ** power

    slips = {
        "That is what is left of the power; asked is the amplitude.": {"power": 2},
        "You take lengths before you add, so no wave can cancel. Add the turned weights first.": lambda kernel, _: abs(
            kernel
        ).sum(),
        "Over one cycle the angle grows by 2 pi.": {"turn": 1},
        "That is what is left of an even grey; the wave has another sign at every other place.": {"turn": 0},
    }
    hint = "Let the kernel run over a wave: add its weights, each turned by the angle that the wave has gone on."
    return compared(answer, cases, left, slips, hint, 1e-6)


def _above(answer) -> str | None:
    cases = [
        (own, np.array(c)) for own, c in ((0.8, [0.1, 0.6]), (0.9, [0.5, 0.6, 0.7]), (0.55, [0.9]), (0.7, [0.4, 0.45]))
    ]
    slips = {
        "A control that ranks the wrong way round can be turned: its AUC is then one minus that.": lambda a, c: (
            a - c.max()
        ),
        "The strongest control counts, not the average one.": lambda a, c: a - c.mean(),
        "Chance is one control, and the weakest.": lambda a, c: a - 0.5,
        "You take the lowest AUC. Which is the strongest once those that rank the wrong way are turned?": lambda a, c: (
            a - c.min()
        ),
        "The strongest control is right. What the detector adds to it: which is taken from which?": lambda a, c: (
            np.maximum(c, 1 - c).max() - a
        ),
    }
    hint = "What could be had without the detector, with the best of the controls?"
    return compared(answer, cases, lambda own, c: own - np.maximum(c, 1 - c).max(), slips, hint)


EXERCISES = numbered(9, _macs, _nt_xent, _constant_f1, _pictures, _separable, _left, _above)
