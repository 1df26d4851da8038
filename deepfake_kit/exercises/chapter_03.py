"""Graders of chapter 3: a Gram matrix, guidance, the best of k draws, an error rate, how many pictures it takes."""

from __future__ import annotations

import math

import numpy as np

from deepfake_kit.exercises import compared, number, numbered


def _gram(answer) -> str | None:
    random = np.random.default_rng(31)
    cases = [(random.standard_normal(shape) + 0.5,) for shape in ((3, 5), (4, 4), (1, 7), (6, 2))]
    slips = {
        "That is the mean over the positions; the report's formula is the sum.": lambda f: f @ f.T / f.shape[1],
        "You divided by the size of the map; the report's formula is the plain sum.": lambda f: f @ f.T / f.size,
        "That is centred, a covariance. A Gram matrix keeps the means.": lambda f: f @ (f - f.mean(1, keepdims=True)).T,
    }
    hint = "Entry (i, j) is the sum over positions k of F[i, k] times F[j, k]."
    return compared(answer, cases, lambda f: np.einsum("ik,jk->ij", f, f), slips, hint)


def _guided(answer) -> str | None:
    random = np.random.default_rng(32)
    cases = [(*random.standard_normal((2, 4, 3)), w) for w in (0.0, 1.0, 3.0, 7.5, -1.0)]
    slips = {
        "Yours starts at the captioned prediction: w = 0 should give the empty caption's.": lambda e, t, w: (
            t + w * (t - e)
        ),
        "The two predictions have changed places.": lambda e, t, w: t + w * (e - t),
    }
    hint = "For w = {2:g}: start at the empty caption's prediction and go w times the way to the captioned one."
    return compared(answer, cases, lambda empty, told, w: empty + w * (told - empty), slips, hint)


def _best_of(answer) -> str | None:
    random = np.random.default_rng(33)
    cases = [(random.exponential(size=n).round(2).tolist(), k) for n, k in ((5, 1), (5, 3), (2, 2), (30, 4), (7, 9))]

    def right(d, k):
        left = np.arange(len(d), -1, -1) / len(d)
        return np.sort(d) @ (left[:-1] ** k - left[1:] ** k)

    def without(d, k):
        return sum(x * math.comb(len(d) - 1 - i, k - 1) for i, x in enumerate(sorted(d))) / max(1, math.comb(len(d), k))

    slips = {
        "That is the least of all; k draws will often miss it.": lambda d, k: min(d),
        "It does not shrink like 1/k. How likely are all k draws at least some value?": lambda d, k: np.mean(d) / k,
        "That is right for draws without putting back; each draw here is from all of them.": without,
    }
    hint = "With {1} draws: P(all are at least the i-th smallest of n) is ((n - i + 1)/n)^{1}."
    return compared(answer, cases, right, slips, hint)


def _errors(answer) -> str | None:
    from deepfake_kit.measure.scores import wilson_interval

    random = np.random.default_rng(34)
    for n, share in ((40, 0.2), (11, 0.0), (200, 0.5), (25, 0.9)):
        woman = np.arange(n) % 2 == 0
        wrong = random.random(n) < share
        said = np.where(wrong, ~woman, woman)
        count, of = int((wrong & woman).sum()), int(woman.sum())
        right = (count / of, *wilson_interval(count, of))
        ours = [number(x) for x in answer(woman.copy(), said.copy())]
        if len(ours) == 3 and np.allclose(ours, right, atol=1e-6):
            continue
        if len(ours) != 3:
            return "Return three numbers: the share, the low end and the high end of its interval."
        if abs(ours[0] - right[0]) > 1e-6:
            if abs(ours[0] - wrong.mean()) <= 1e-9 or abs(ours[0] - (wrong & woman).mean()) <= 1e-9:
                return "The share is of the women alone, not of everybody."
            return "Asked is the share of the women whom the network calls men."
        half = 1.96 * math.sqrt(right[0] * (1 - right[0]) / of)
        if abs(ours[2] - right[0] - half) <= 1e-3:
            return "That is the interval p ± 1.96 s.e., which is empty when nobody was wrong. Use Wilson's."
        return "The share is right. For the interval take kit's wilson_interval with two counts of women."
    return None


def _enough(answer, width: float = 0.1) -> str | None:
    from deepfake_kit.measure.scores import wilson_interval

    def wide(n: int) -> float:
        low, high = wilson_interval(n // 2, n)
        return high - low

    ours = number(answer)
    if not math.isfinite(ours) or ours != round(ours) or ours < 2 or ours % 2:
        return "Asked is an even whole number of pictures, half of which are wrong."
    if wide(int(ours)) > width:
        return f"With {ours:g} it is wider than {100 * width:g} points. Write the width at one half as a formula of n."
    if ours > 2 and wide(int(ours) - 2) <= width:
        if abs(ours - (1.96 / width) ** 2) <= 2:
            return (
                f"Enough, but a few fewer would do: {ours:g} comes from p ± 1.96 s.e.; Wilson's width has another term."
            )
        return "Enough, but fewer would do. How does the width shrink with n? Halve your number and look."
    return None


def _followed(answer) -> str | None:
    slips = {
        "Chance earns something too: what would a shuffled prompt reach?": lambda r, top, low: r / top,
        "Divide by how far one can get, from chance to the ceiling.": lambda r, top, low: r - low,
        "The instrument errs as well: not 1 but the ceiling is the most.": lambda r, top, low: (r - low) / (1 - low),
    }
    cases = ((0.8, 0.95, 0.4), (0.4, 0.9, 0.4), (0.97, 0.97, 0.25), (0.2, 0.9, 0.3))
    hint = "A line through two points: chance becomes 0, the ceiling 1."
    return compared(answer, cases, lambda read, top, chance: (read - chance) / (top - chance), slips, hint)


def _within(answer) -> str | None:
    random, sizes = np.random.default_rng(37), ((5, 3, 2), (2, 6, 4), (4, 2, 1))
    cases = [(random.normal(size=size) + 2 * random.normal(size=(size[0], 1, size[2])),) for size in sizes]

    def share(x):
        return ((x - x.mean(1, keepdims=True)) ** 2).sum() / ((x - x.mean((0, 1))) ** 2).sum()

    slips = {
        "That is the share between prompts; asked is what is left when the prompt stays.": lambda x: 1 - share(x),
        "Within over between is no share: the whole is both together.": lambda x: share(x) / (1 - share(x)),
        "x.var() takes one mean over all features too. Each has a mean of its own: over which axes?": lambda x: (
            x.var(1).mean() / x.var()
        ),
        "Asked is a share of all variance, not a variance.": lambda x: x.var(1).sum(-1).mean(),
    }
    hint = "Squared distances to the mean of the own prompt, over squared distances to the mean of all pictures."
    return compared(answer, cases, share, slips, hint)


EXERCISES = numbered(3, _gram, _guided, _best_of, _errors, _enough, _followed, _within)
