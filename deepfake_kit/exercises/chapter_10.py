"""Graders of chapter 10: a PSNR that is sure, a projection, the strongest attack, a fair score, a printed distance."""

from __future__ import annotations

from itertools import product

import numpy as np

from deepfake_kit.exercises import number, numbers


def _least_psnr(answer) -> str | None:
    for epsilon in (0.025, 0.05, 0.1, 1.0, 8 / 255):
        exact = -20 * np.log10(epsilon)
        value = number(answer(epsilon))
        if abs(value - exact) < 1e-6:
            continue
        if abs(value - exact / 2) < 1e-6 and exact:
            return "The mean square error is the square of the change; the logarithm doubles."
        if abs(value - exact - 20 * np.log10(2)) < 1e-6 or abs(value - exact - 20 * np.log10(255)) < 1e-6:
            return "The peak must be in the same units as the change: here the values reach from 0 to 1."
        return f"At epsilon = {epsilon:g}: how large can the mean square error be, and what is the peak?"
    return None


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
        return np.round(z * 4) / 4

    if not abs(number(answer(editor, process, original, original))) <= 1e-12:
        return "Nothing was protected, and your score is not 0. To what does it compare?"
    exact = np.mean((editor(process(protected)) - editor(process(original))) ** 2)
    value = number(answer(editor, process, protected, original))
    if np.isclose(value, exact):
        return None
    if np.isclose(value, np.mean((process(protected) - process(original)) ** 2)):
        return "That is what a viewer might see. The harm is done to the edits."
    return "Both faces must go the same way, processing first, then the editor; then the mean square of the difference."


def _printed_distance(answer) -> str | None:
    for side, change in ((300, 0.05), (300, 1.0), (32, 0.1), (1, 0.2)):
        exact = change * side * np.sqrt(3)
        value = number(answer(side, change))
        if np.isclose(value, exact):
            continue
        if np.isclose(value, change * side):
            return "A colour picture has three values at every pixel."
        if np.isclose(value, change):
            return "That is the root of the mean. Eq. (19) takes a sum."
        return f"For {side} pixels and change {change:g}: how many squares are added, and what is each?"
    return None


EXERCISES = {"10.1": _least_psnr, "10.2": _projection, "10.3": _strongest, "10.4": _fair, "10.5": _printed_distance}
