"""Graders of chapter 10: a PSNR that is sure, a projection, the strongest attack, a fair score, a printed distance."""

from __future__ import annotations

from itertools import product

import numpy as np

from deepfake_kit.exercises import compared, number, numbered, numbers


def _least_psnr(answer) -> str | None:
    slips = {
        "The mean square error is the square of the change; the logarithm doubles.": lambda e: -10 * np.log10(e),
        "The peak must be in the units of the change: values reach from 0 to 1.": lambda e: -20 * np.log10(e / 2),
        "The peak is that of grey levels; here the values reach from 0 to 1.": lambda e: -20 * np.log10(e / 255),
    }
    slips["Turned round: the smaller the change, the larger a PSNR."] = lambda e: 20 * np.log10(e)
    hint = "At epsilon = {0:g}: how large can the mean square error be, and what is the peak?"
    return compared(answer, [(e,) for e in (0.025, 0.05, 0.1, 1.0, 8 / 255)], lambda e: -20 * np.log10(e), slips, hint)


def _projection(answer) -> str | None:
    random = np.random.default_rng(0)
    for epsilon in (0.05, 0.3):
        x, z = random.random((3, 4, 4)), 2 * random.normal(size=(3, 4, 4))
        given = z.copy()
        found = numbers(answer(z, x, epsilon))
        if not np.array_equal(z, given):
            return "Your function changed the picture it was given."
        if found.shape != x.shape:
            return "The result must have the picture's shape."
        if not np.abs(found - x).max() <= epsilon + 1e-9:
            return "Some value is further from x than allowed."
        if not (found.min() >= 0 and found.max() <= 1):
            return "Some value lies outside [0, 1]: such a picture cannot be saved."
        if not np.allclose(found, np.clip(z, np.maximum(x - epsilon, 0), np.minimum(x + epsilon, 1))):
            return "Allowed, but not the nearest: where z is allowed already, nothing should change."
    return None


def _strongest(answer) -> str | None:
    random = np.random.default_rng(1)
    for columns, epsilon in ((2, 0.1), (4, 0.5), (7, 0.025)):
        a = random.normal(size=(2, columns))
        corners = np.array(list(product([-epsilon, epsilon], repeat=columns)))
        exact = ((corners @ a.T) ** 2).sum(axis=1).max()
        value = number(answer(a, epsilon))
        if np.isclose(value, exact, rtol=1e-6):
            continue
        if np.isclose(value, (epsilon * np.abs(a).sum(axis=1)) @ (epsilon * np.abs(a).sum(axis=1))):
            return "That takes the best perturbation for each row; one perturbation must serve both rows."
        if np.isclose(value, np.sqrt(exact)):
            return "The square of the norm is asked for."
        if value > exact:
            return "No perturbation within the bound reaches so much."
        return "A better perturbation exists. A convex function on a cube is largest at one of its corners."
    return None


def _fair(answer) -> str | None:
    random = np.random.default_rng(2)
    original = random.random((3, 8, 8))
    protected = np.clip(original + 0.1 * random.normal(size=original.shape), 0, 1)

    def editor(z):
        return z**2

    def process(z):
        return np.round(z * 16) / 16

    if not abs(number(answer(editor, process, original, original))) <= 1e-12:
        return "Nothing was protected, and your score is not 0. To what does it compare?"
    exact = np.mean((editor(process(protected)) - editor(process(original))) ** 2)
    value = number(answer(editor, process, protected, original))
    if np.isclose(value, exact):
        return None
    if np.isclose(value, np.mean((process(editor(protected)) - process(editor(original))) ** 2)):
        return "Both go the same way: good. But in which order? The platform comes before the editor."
    if np.isclose(value, np.mean((process(protected) - process(original)) ** 2)):
        return "That is what a viewer might see. The harm is done to the edits."
    return "Both faces must go the same way, processing first, then the editor; then the mean square of the difference."


def _printed_distance(answer) -> str | None:
    slips = {
        "A colour picture has three values at every pixel.": lambda side, change: change * side,
        "That is the root of the mean. Eq. (19) takes a sum.": lambda side, change: change,
        "That is the sum of squares; a distance is its root.": lambda side, change: 3 * (side * change) ** 2,
    }
    hint = "For {0} pixels and change {1:g}: how many squares are added, and what is each?"
    cases = ((300, 0.05), (300, 1.0), (32, 0.1), (1, 0.2))
    return compared(answer, cases, lambda side, change: change * side * np.sqrt(3), slips, hint)


def _transfer(answer) -> str | None:
    random = np.random.default_rng(106)
    cases = [(random.random((k, k)) + 2 * np.diag(random.random(k)),) for k in (2, 3, 5)]

    def off(table):
        return table[~np.eye(len(table), dtype=bool)].mean()

    slips = {
        "An attack on the editor it was made for is no transfer: leave the diagonal out.": lambda h: (
            h / np.diag(h)
        ).mean(),
        "Compare with what the attacked editor suffers from its own attack: same column.": lambda h: off(
            (h.T / np.diag(h)).T
        ),
        "Your shares are right. Leave out attacks on their own editor, and take what is typical.": lambda h: (
            h / np.diag(h)
        ).max(),
        "Some editors break more easily: take shares first, the mean after.": lambda h: off(h) / np.diag(h).mean(),
    }
    hint = "For each pair of different editors: harm to the second, as a share of what its own attack does to it."
    return compared(answer, cases, lambda harm: off(harm / np.diag(harm)), slips, hint)


def _still(answer) -> str | None:
    random, cases = np.random.default_rng(107), ((20, 3, 0.3), (7, 1, 0.5), (30, 5, 0.1), (9, 4, 0.2))
    slips = {
        "A forger takes the way that helps most: an average over ways protects nobody.": lambda h, bar: (
            h.mean(1) >= bar
        ).mean(),
        "That counts cells, not faces. A face has to pass every way.": lambda h, bar: (h >= bar).mean(),
        "One way with harm is not enough: the forger picks another.": lambda h, bar: (h.max(1) >= bar).mean(),
    }
    hint = "For each face: the least harm over all ways. Count the faces whose least harm reaches the bar."
    cases = [(np.round(random.random((n, ways)), 1), bar) for n, ways, bar in cases]
    return compared(answer, cases, lambda h, bar: (h.min(1) >= bar).mean(), slips, hint)


EXERCISES = numbered(10, _least_psnr, _projection, _strongest, _fair, _printed_distance, _transfer, _still)
