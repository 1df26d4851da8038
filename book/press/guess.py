"""A number to guess before a figure: its cell says the bounds, the run says the number.

The cell is tagged ``predict``; its metadata name a number, ``"guess": {"value": "kept_chain", "times": 100}``,
one that ``run.say`` or ``run.value`` records (`times` only where the question asks in another unit). Its text is the
question, a line ``*A number from 0 to 100, in %; within 5 is close.*`` and, folded, a reply to each kind of guess.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from html import escape

BOUNDS = re.compile(r"^\*A number from (\S+) to ([^\s;,]+)(?:, in ([^;]+))?; within (\S+) is close\.\*$", re.MULTILINE)
REPLY = re.compile(r"^- \*\*(Close|Too low|Too high)\.\*\* (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Guess:
    """What a cell asks: the name and factor of the run's number, bounds, unit, how near is close, replies."""

    value: str
    times: float
    question: str
    low: float
    high: float
    unit: str
    near: float
    replies: dict[str, str]

    def of(self, value) -> float | None:
        """The run's number in the unit of the question; None where it is none."""
        plain = isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
        return float(value) * self.times if plain else None


def read(cell) -> Guess | None:
    """The number that a cell asks for; None for a question with choices.

    Raises
    ------
    ValueError
        If the cell names a number and its text lacks the bounds or one of the three replies.
    """
    about = cell.metadata.get("guess")
    if not about:
        return None
    asked, replies = BOUNDS.search(cell.source), dict(REPLY.findall(cell.source))
    if not asked or sorted(replies) != ["Close", "Too high", "Too low"]:
        raise ValueError(
            f"cell {cell.id}: got a number to guess without its bounds or a reply; valid: a line '*A number from 0 to "
            "100, in %; within 5 is close.*' and, in the fold, '- **Close.** ...', '- **Too low.** ...' and "
            "'- **Too high.** ...'"
        )
    question = cell.source[: asked.start()].strip().removeprefix("**Before you look.**").strip()
    low, high, unit, near = asked.groups()
    return Guess(
        about["value"], about.get("times", 1), question, float(low), float(high), unit or "", float(near), replies
    )


def told(cell, values: dict) -> str:
    """The cell's text for the page: with the run's number, which predict.js compares and the fold says.

    Parameters
    ----------
    cell : NotebookNode
    values : dict
        What the run recorded, by name.

    Raises
    ------
    ValueError
        If the run recorded no such number.
    """
    guess = read(cell)
    if guess is None:
        return cell.source
    if guess.value not in values:
        raise ValueError(
            f"cell {cell.id}: guess: got {guess.value!r}; valid: a number that a run.say of the run records"
        )
    number = guess.of(values[guess.value])
    if number is None:
        return cell.source
    facts = {"true": number, "low": guess.low, "high": guess.high, "near": guess.near, "unit": guess.unit}
    data = " ".join(f'data-{name}="{escape(str(fact))}"' for name, fact in facts.items())
    text, fold = cell.source.split("</details>")
    said = f"{number:.3g}{' ' + guess.unit if guess.unit else ''}"
    return f'{text}This run: {said}.\n\n</details>{fold}\n\n<div class="kit-number" {data} hidden></div>'
