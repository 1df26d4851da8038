"""Graders of chapter 12: what a manifest hashes, a threshold, bits by correlation, alarms, a reader's word."""

from __future__ import annotations

import hashlib
from itertools import product
from math import comb

import numpy as np

from deepfake_kit.exercises import compared, number, numbered, numbers
from deepfake_kit.exercises.chapter_08 import _near


def _fingerprint(answer) -> str | None:
    for start, length in ((2, 3), (0, 4), (5, 6), (3, 0)):
        file = bytes(range(65, 76))
        sha = {name: hashlib.sha256(part).hexdigest() for name, part in _parts(file, start, length).items()}
        ours = answer(file, start, length)
        if ours == sha["rest"]:
            continue
        if isinstance(ours, bytes):
            return "Those are bytes; asked is hexadecimal text."
        hints = {
            "whole": "That hashes the manifest too, which does not exist yet when its hash is made.",
            "inside": "That is the hash of the manifest's own range; asked is everything but that.",
            "zeros": "The range is left out, not overwritten: the rest is shorter than the file.",
        }
        found = next((hints[name] for name in hints if ours == sha[name]), None)
        return found or f"Wrong for {len(file)} bytes, of which {length} from {start} on are left out. Count both ends."
    return None


def _parts(file: bytes, start: int, length: int) -> dict[str, bytes]:
    before, inside, after = file[:start], file[start : start + length], file[start + length :]
    return {"rest": before + after, "whole": file, "inside": inside, "zeros": before + bytes(length) + after}


def _tail(n: int, k: int) -> float:
    return sum(comb(n, j) for j in range(k, n + 1)) / 2**n


def _threshold(answer) -> str | None:
    for n, rate in ((32, 1e-3), (32, 0.5), (10, 0.06), (48, 1e-6), (4, 1 / 16), (3, 0.2), (4, 0.28), (3, 0.1)):
        right = next(k for k in range(n + 2) if _tail(n, k) <= rate)
        ours = number(answer(n, rate))
        if ours == right:
            continue
        if ours == right - 1:
            return (
                "One too few. Add exact probabilities from the top, your own number's too; a bell curve is not exact."
            )
        if ours == right + 1:
            return f"With {n} bits and a rate of {rate}: one agreement fewer would be enough."
        return f"With {n} bits: how probable are {n} agreements, and {n - 1} or {n}, of fair coins?"
    return None


def _read_bits(answer) -> str | None:
    random = np.random.default_rng(123)
    for bits, side in ((4, 12), (8, 16), (1, 8)):
        sent = random.integers(0, 2, bits)
        patterns = np.linalg.qr(random.standard_normal((side * side, bits)))[0].T.reshape(bits, side, side) + 0.2
        picture = 40 + np.tensordot(2 * sent - 1, patterns, axes=1)
        ours = numbers(answer(picture.copy(), patterns.copy()))
        if ours.shape != sent.shape:
            return f"One number for each of the {bits} patterns is asked; you return the shape {ours.shape}."
        if _near(ours, 2 * sent - 1):
            return "Those are signs; a bit is 0 or 1."
        if _near(ours, 1 - sent):
            return "Every bit is turned round: which sign does a 1 give its pattern?"
        if not _near(ours, sent):
            if _near(ours, sent[::-1]):
                return "The bits are right, but in another order than the patterns."
            return "What does the brightness of the picture add to each correlation? Take it away first."
    return None


def _alarms(answer) -> str | None:
    slips = {
        "That counts a picture again for each user; there may come out more than there are.": lambda r, u, p: p * u * r,
        "That is for the number of a single user; each user is another chance.": lambda r, u, p: p * r,
        "Those are the pictures that give no alarm.": lambda r, u, p: p * (1 - r) ** u,
        "That is the probability for one picture; how many are there?": lambda r, u, p: 1 - (1 - r) ** u,
    }
    hint = "With a rate of {0} and {1} users: how probable is it that a picture gives no alarm at all?"
    cases = ((0.01, 5, 200), (2.8e-4, 1000, 10_000), (0.5, 2, 4), (0.0, 10, 10))
    return compared(
        answer, cases, lambda rate, users, pictures: pictures * (1 - (1 - rate) ** users), slips, hint, 1e-6
    )


def _state(answer) -> str | None:
    def right(found, hashes, fits, listed):
        return "no manifest" if not found else "invalid" if not (hashes and fits) else "trusted" if listed else "valid"

    hint = "Found: {0}, hashes match: {1}, signature fits: {2}, issuer listed: {3}. Which is the first False, if any?"
    return compared(answer, product((True, False), repeat=4), right, {}, hint)


def _copied(answer) -> str | None:
    random = np.random.default_rng(126)

    def smooth(x):
        return (x + np.roll(x, 1, 0) + np.roll(x, 1, 1) + np.roll(x, (1, 1), (0, 1))) / 4

    slips = {
        "The mark is what smoothing takes away from the marked picture.": lambda m, o, s: np.clip(2 * o - s(o), 0, 1),
        "That adds what smoothing leaves. The mark is in what it takes away.": lambda m, o, s: np.clip(o + s(m), 0, 1),
        "Some value lies outside [0, 1]: such a picture cannot be saved.": lambda m, o, s: o + m - s(m),
        "That takes the mark off the marked picture; it shall come onto the other.": lambda m, o, s: s(m),
    }
    hint = "First the mark: the marked picture less its smooth copy. Then add it, and stay between 0 and 1."
    cases = [(*random.random((2, side, side + 1)), smooth) for side in (4, 7)]
    return compared(answer, cases, lambda m, o, s: np.clip(o + m - s(m), 0, 1), slips, hint)


EXERCISES = numbered(12, _fingerprint, _threshold, _read_bits, _alarms, _state, _copied)
