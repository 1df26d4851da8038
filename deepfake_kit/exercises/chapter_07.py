"""Graders of chapter 7: the rank that still saves, a loss, printed shares, rare fakes, an adapter recovered."""

from __future__ import annotations

import math

import numpy as np

from deepfake_kit.exercises import compared, number, numbered, numbers


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
    random, cases = np.random.default_rng(7), []
    for n, d, m, push in ((9, 4, 0.3, 1.0), (30, 16, 0.3, 0.2), (12, 2, 0.0, 5.0), (7, 9, 1.0, 0.0), (5, 1, 0.5, 0.1)):
        fake = np.arange(n) % 3 == 0
        cases.append((random.standard_normal((n, d)) + push * fake[:, None], fake, random.standard_normal(d), m))

    def right(features, fake, center, m, between=np.subtract, root=0.5, least=0.0, pull=1):
        far = np.linalg.norm(features - center, axis=1)
        real, false = far[~fake].mean(), far[fake].mean()
        return pull * real + max(between(real, false) + m * len(center) ** root, least)

    slips = {
        "Distances are subtracted: the product is what a lost minus leaves.": {"between": np.multiply},
        "The margin grows with the root of the number of features.": {"root": 0},
        "Once fakes are far enough, the second term is 0, not negative.": {"least": -math.inf},
        "One term is missing: what pulls the real features in?": {"pull": 0},
    }
    hint = "Take the mean of the norms, over real and fake rows apart."
    return compared(answer, cases, right, slips, hint)


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
            return (
                f"For {printed} up to {largest} some sizes are missing. Shares are rounded, and the last size counts."
            )
        return f"For {printed} up to {largest} you list sizes that cannot print all of them, or in another order."
    return None


def _precision(answer) -> str | None:
    cases = ((0.88, 0.2, 0.5), (0.88, 0.2, 0.01), (1.0, 0.05, 0.001), (0.5, 0.5, 0.3), (0.9, 0.0, 0.1))
    slips = {
        "That is the share of fakes called so; asked is the share of the called that are fakes.": lambda f, a, r: f,
        "Those are all that are called fake. Which share of them is fake?": lambda f, a, r: f * r + a * (1 - r),
    }
    hint = (
        "With found {0}, accused {1} and rare {2}: take a million pictures and count who is called fake, of both kinds."
    )
    return compared(answer, cases, lambda f, a, r: f * r / (f * r + a * (1 - r)), slips, hint)


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

        def nearest(matrix, made=up @ down, rank=rank):
            return np.linalg.norm(made - matrix) <= np.linalg.norm(np.linalg.svd(matrix)[1][rank:]) + 1e-8

        if not nearest(change):
            if nearest(-change):
                return "The size of the product is right, its sign is not: which matrix is subtracted from which?"
            if nearest(weight + change):
                return "You approximate the whole adapted weight. What did the adapter add?"
            return "The product is not the best approximation of that rank. Think of the largest singular values."
    return None


def _probe(answer) -> str | None:
    random, cases = np.random.default_rng(76), []
    for n, d, m in ((12, 3, 4), (30, 6, 5), (8, 1, 3)):
        fake, scale = np.arange(n) % 3 == 0, random.uniform(0.2, 5, d)
        train, test = random.normal(size=(n, d)) + fake[:, None], random.normal(size=(m, d))
        cases.append((train * scale + 1, fake, test * scale))

    def right(train, fake, test, own=False, power=1):
        z, t = (train - train.mean(0)) / train.std(0) ** power, test if own else train
        a, b = z[fake].mean(0), z[~fake].mean(0)
        return ((test - t.mean(0)) / t.std(0) ** power - (a + b) / 2) @ (a - b)

    slips = {
        "A score must not depend on what else is tested: standardise with the training's numbers.": {"own": True},
        "Features of large scale outweigh all others: divide by the training's deviations first.": {"power": 0},
        "The ranking is right, the scale is not. Write the scalar product itself, without squares.": lambda *given: (
            2 * right(*given)
        ),
        "Positive must mean fake.": lambda *given: -right(*given),
    }
    hint = "Along the line between the two means, 0 half-way: a scalar product."
    return compared(answer, cases, right, slips, hint, 1e-6)


def _area(score, fake, tie=0.5) -> float:
    gaps = score[fake][:, None] - score[~fake]
    return float((gaps > 0).mean() + tie * (gaps == 0).mean())


def _gain(answer) -> str | None:
    random, cases = np.random.default_rng(77), []
    for n in (6, 15, 40):
        fake = np.arange(n) % 3 == 0
        cases.append((*np.round(random.normal(size=(2, n)) + fake * [[1.0], [0.5]], 0 if n < 20 else 1), fake))

    def right(score, small, fake, tie=0.5):
        return _area(score, fake, tie) - _area(small, fake, tie)

    slips = {
        "That is the detector's AUC. How much would a thumbnail have reached?": lambda s, t, fake: _area(s, fake),
        "Not over chance but over the thumbnail.": lambda s, t, fake: _area(s, fake) - 0.5,
        "The detector's AUC minus the thumbnail's, not the other way round.": lambda *given: -right(*given),
        "A pair with equal scores counts one half.": {"tie": 0},
        "A pair with equal scores counts one half, not as won.": {"tie": 1},
    }
    hint = (
        "An AUC is the share of pairs, a fake and a real picture, in which the fake scores higher; equal scores: half."
    )
    return compared(answer, cases, right, slips, hint)


def _coverage(answer) -> str | None:
    random, cases = np.random.default_rng(78), []
    for n, risk in ((25, 0.1), (10, 0.2), (40, 0.25), (4, 0.0)):
        p = random.permutation(np.linspace(0.03, 0.98, n))
        cases.append((p, random.random(n) < (p if n > 4 else 1 - np.round(p)), risk))

    def judged(p, fake, risk, last=True, among=True):
        order = np.argsort(-np.abs(p - 0.5))
        wrong = np.cumsum(((p > 0.5) != fake)[order]) / (np.arange(1, len(p) + 1) if among else len(p))
        good = np.flatnonzero(wrong <= risk) if last else np.flatnonzero(np.cumsum(wrong > risk) == 0)
        return (good[-1] + 1) / len(p) if len(good) else 0.0

    slips = {
        "You stop at the first share that is too large; judging more may bring it down again.": {"last": False},
        "Wrong calls are counted among the pictures judged, not among all.": {"among": False},
        "You allow no wrong call at all. How many does `risk` permit?": lambda p, fake, risk: judged(p, fake, 0),
        "That is the share on which it stays silent.": lambda *given: 1 - judged(*given),
    }
    hint = "Take in one picture after the other, the furthest from one half first, and watch the share of wrong calls."
    return compared(answer, cases, judged, slips, hint)


EXERCISES = numbered(7, _largest_rank, _loss, _sizes, _precision, _extract, _probe, _gain, _coverage)
