"""Graders of chapter 5: storage gas, a safe escrow, an integer price, a stake that deters, a Merkle root, a promise."""

from __future__ import annotations

import hashlib
import math
from fractions import Fraction

from deepfake_kit.exercises import compared, number, numbered

WAD = 10**18
INVERSE_LN2 = 1_442_695_040_888_963_407  # 1 / ln 2 with 18 decimals


def _storage_gas(answer) -> str | None:
    cases = ((1, 4), (8, 4), (9, 4), (35_073, 4), (701_345, 4), (701_345, 2), (100, 1))
    slips = {
        "A slot holds 32 bytes, not one number: several numbers share it.": lambda n, width: 22_100 * n,
        "A slot that is only partly filled still costs a whole slot.": lambda n, width: 22_100 * n * width / 32,
    }
    hint = "For {0} numbers of {1} bytes: how many 32-byte slots, and what does each cost when new?"
    return compared(answer, cases, lambda n, width: 22_100 * math.ceil(n * width / 32), slips, hint)


def _safe_escrow(answer, base: int = 2) -> str | None:
    exact = 1 / (4 * math.log(base))
    value = number(answer)
    if abs(value - exact) < 1e-3:
        return None
    if abs(value - 0.25) < 1e-3:
        return f"That is the maximum under the printed rule with threshold 1/8. Use the game in base-{base} logarithms."
    if abs(value - 1 / (2 * math.log(base))) < 1e-3:
        return (
            "That is the price of the most expensive nodes. They deliver almost no quality, and pay is quality "
            "times price."
        )
    if value < exact:
        return "There is a cost C at which a node is paid more than this. Plot q*p over C, finely around the kink."
    return "Enough, but not the least: no node is ever paid that much. Plot q*p over C and look at the top."


def _integer_price(answer) -> str | None:
    for cost in (0.01, 0.125, 0.15, 0.18, 0.1804, 0.3, 1.0, 50.0, 1e3, 1e6):
        wad = round(Fraction(cost) * WAD)
        ours = answer(wad)
        if not isinstance(ours, int) or isinstance(ours, bool):
            return f"An EVM word is an integer; for C={cost} you return {type(ours).__name__}."
        if 8 * wad <= INVERSE_LN2:
            exact = Fraction(2 * wad)
        else:
            scaled = wad * INVERSE_LN2
            # Two hundred further binary digits, so that the reference is exact for the purpose.
            root = Fraction(math.isqrt((wad * wad + scaled) << 400), 1 << 200)
            exact = root - wad
        error = abs(Fraction(ours) - exact) / exact
        if not error <= Fraction(1, 10**9):
            if error < Fraction(1, 10**4):
                return f"You lose digits at C={cost}: one part in a billion is asked. Where do you round?"
            kind = "full quality" if 8 * wad <= INVERSE_LN2 else "partial quality"
            return (
                f"For C={cost} ({kind}) your price is {ours / WAD:.6g}, off by a share of {float(error):.1g}. "
                "Mind on which side of the threshold C lies, and that a product of two such numbers carries "
                "36 decimals."
            )
    return None


def _deterring_stake(answer) -> str | None:
    cases = ((2.0, 0.1, 0.5), (1.0, 0.5, 0.5), (1.0, 0.5, 0.25), (0.02, 0.0105, 0.1), (1.0, 0.9, 1.0))
    for reward, cost, detection in cases:
        # An honest node earns reward - cost; a cheat (1 - d) reward - d stake.
        exact = max(0.0, cost / detection - reward)
        value = number(answer(reward, cost, detection))
        if abs(value - exact) <= 1e-9:
            continue
        if value == reward:
            return "Your stake ignores cost and detection. Write both expected gains down: when are they equal?"
        if exact == 0 and value < 0:
            return "A stake cannot be negative: 0 where the lost reward deters. Else: when are both gains equal?"
        if value < exact:
            return (
                f"With reward {reward}, cost {cost} and detection {detection}, a node that skips the work still "
                "earns more than an honest one. Write down both expected gains."
            )
        return (
            f"With reward {reward}, cost {cost} and detection {detection} a smaller stake would do. A cheat who "
            "is caught also loses the reward."
        )
    return None


def _merkle_root(chunks: list[bytes]) -> bytes:
    level = [hashlib.sha256(b"\0" + chunk).digest() for chunk in chunks]
    while len(level) > 1:
        if len(level) % 2:
            level.append(level[-1])
        level = [hashlib.sha256(b"\1" + a + b).digest() for a, b in zip(level[::2], level[1::2], strict=True)]
    return level[0]


def _merkle(answer) -> str | None:
    for n in (1, 2, 3, 4, 5, 7, 8):
        chunks = [bytes([i]) * (i + 3) for i in range(n)]
        given = list(chunks)
        value = answer(given)
        if given != chunks:
            return "Your function changed the list it was given."
        if value == _merkle_root(chunks):
            continue
        if value == _merkle_root(chunks).hex():
            return "The hash is right, its form is not: return the 32 bytes, not text."
        if n == 1:
            return "One chunk: the root is the SHA-256 of the byte 0 followed by the chunk, as bytes."
        if n == 2:
            return "Two chunks: the root is the SHA-256 of the byte 1, the left leaf's hash and the right leaf's hash."
        return f"Wrong for {n} chunks. When a level has an odd number of hashes, its last one is used twice."
    return None


def _promise(answer) -> str | None:
    ask = ("0x" + "0a" * 20, b"s" * 32, b"r" * 32)
    value = answer(*ask)
    missing = (
        (("0x" + "0b" * 20, *ask[1:]), "Two addresses give the same promise: whoever copies it can open it as well."),
        ((ask[0], b"t" * 32, ask[2]), "The salt changes nothing: whoever guesses the update can test the guess."),
        ((*ask[:2], b"q" * 32), "The root changes nothing: it could be opened to any update later."),
    )
    found = [answer(*other) for other, _ in missing]
    if not all(isinstance(one, bytes) and len(one) == 32 for one in (value, *found)):
        return "A commitment is 32 bytes, not text and not a list: a digest."
    for one, (_, hint) in zip(found, missing, strict=True):
        if one == value:
            return hint
    if value == hashlib.sha256(ask[0].encode() + ask[1] + ask[2]).digest():
        return "Those are the 42 letters of the address. The contract hashes its 20 bytes."
    right = hashlib.sha256(bytes.fromhex(ask[0][2:]) + ask[1] + ask[2]).digest()
    return None if value == right else "It depends on all three. Mind their order, and that SHA-256 is taken once."


EXERCISES = numbered(5, _storage_gas, _safe_escrow, _integer_price, _deterring_stake, _merkle, _promise)
