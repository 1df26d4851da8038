"""What the papers state, number by number, and what our runs say to it.

One YAML file a paper lies in ``deepfake_kit/papers``; the fields of a row are those of :class:`Claim`. A verdict is
computed from the row and from what a run measured, and never says more than the kind of evidence allows.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import yaml

from deepfake_kit.valid import one_of, require

FOLDER = Path(__file__).parents[1] / "papers"
_VERDICTS = "reproduced direction-holds contradicted undecided adds-up does-not-add-up not-comparable not-attempted"
SIGNS = dict(zip(_VERDICTS.split(), "✓≈✗?=≠∅…", strict=True))
VERDICTS = tuple(SIGNS)
OPEN = VERDICTS[-2:]  # no run speaks: a reason does
# How we know, and how a page says it.
EVIDENCE = {
    "re-derived": "re-derived",
    "arithmetic": "arithmetic of the print",
    "small": "replicated small",
    "stated-size": "replicated at the stated size",
    "reading": "reading",
}
FINDINGS = ("holds", "typo", "wrong", "inconsistent", "underspecified", "not-checkable")
RELATIONS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


@dataclass(frozen=True)
class Claim:
    """One row of a paper's claims file.

    Attributes
    ----------
    evidence : str
        How the verdict was reached, a key of ``EVIDENCE``; `size` says at what size, wherever something was run.
    printed : float or list of float
        Only numbers that stand in the work's text, at the places quoted in `where`.
    expected : float or list of float
        What would be measured if the statement held, where we derive it; a row has `printed` or `expected`.
    tolerance, direction : float, str
        How near to `printed` or `expected` is near enough; a weaker statement, such as ``"> 0"``, that may still hold.
    values, derived : dict
        Further printed numbers, and numbers computed from them or ours, by name.
    elsewhere : dict
        Numbers of other sources that the explanation needs, by name.
    random : bool
        Whether the measured number is random; then it is judged by its interval.
    empty : str
        The empty method (identity, noise, a constant answer) that must not get the same verdict.
    long : dict
        Where the chapter's kept evening's run (profile ``long``) decides the row: its ``size``, and ``verdict`` and
        ``evidence`` where they are others than those of the book's run; see :func:`ledger`.
    seen : str
        ``page`` once somebody has seen the page's picture; until then a formula is read from an extracted text.
    """

    id: str
    kind: str
    label: str
    section: str
    states: str
    finding: str
    explanation: str
    verdict: str
    evidence: str
    size: str | None = None
    reason: str | None = None
    measure: str | None = None
    printed: float | list[float] | None = None
    expected: float | list[float] | None = None
    tolerance: float | None = None
    direction: str | None = None
    chapter: str | None = None
    where: str | list[str] | None = None
    values: dict = field(default_factory=dict)
    derived: dict = field(default_factory=dict)
    elsewhere: dict = field(default_factory=dict)
    random: bool = False
    empty: str | None = None
    seen: str | None = None
    long: dict = field(default_factory=dict)


def papers() -> list[str]:
    """The short names of the papers with a claims file."""
    return sorted(path.stem for path in FOLDER.glob("*.yml"))


@cache
def load(paper: str) -> tuple[dict, tuple[Claim, ...]]:
    """Read one paper's bibliographic record and its claims.

    Raises
    ------
    ValueError
        If there is no such paper.

    Examples
    --------
    >>> record, claims = load("ddtma")
    >>> claims[0].id
    'ddtma-eq-1'
    """
    one_of("paper", paper, papers())
    text = yaml.safe_load((FOLDER / f"{paper}.yml").read_text(encoding="utf-8"))
    return text["paper"], tuple(Claim(**row) for row in text["claims"])


def ledger(paper: str) -> tuple[dict, tuple[Claim, ...]]:
    """A paper's record and rows as the ledger tells them: on the strongest evidence there is, which it names."""
    record, rows = load(paper)
    sized = ({**row.long, "size": f"{row.long['size']}; profile long, kept"} if row.long else {} for row in rows)
    return record, tuple(replace(row, **found) for row, found in zip(rows, sized, strict=True))


def find(claim_id: str) -> Claim:
    """The claim with this id, from whichever paper holds it."""
    rows = {claim.id: claim for paper in papers() for claim in load(paper)[1]}
    return rows[one_of("claim", claim_id, rows)]


def compare(claim_id: str, value, interval=None, empty=None, empty_interval=None) -> str:
    """Judge a measured value against what the paper prints, or against what its statement implies.

    Parameters
    ----------
    claim_id : str
        The row of the claims file.
    value : float or sequence of float
        What was measured; a sequence where the row holds a list.
    interval : pair, optional
        Low and high end of the interval around `value`, each shaped like it; required where the row is random.
    empty : float or sequence of float, optional
        The same measurement with the row's empty method in place of the work's; required where the row names one.
    empty_interval : pair, optional
        Low and high end around `empty`, which is then judged by all of it, as `value` is; without, as exact.

    Returns
    -------
    str
        ``reproduced`` if the whole interval lies within `tolerance` of `printed` (or `expected`), else
        ``direction-holds`` if all of it satisfies `direction`, else ``contradicted`` if it excludes both, else
        ``undecided``. Without an interval the value is taken as exact. ``undecided`` too if the value is NaN, or if the
        empty method would do as well. Of printed numbers alone: ``adds-up`` or ``does-not-add-up``.

    Raises
    ------
    ValueError
        If the row has nothing to compare with, nothing was run for it (evidence ``reading``), the shapes differ, the
        value lies outside its interval, or an interval or an empty method is missing.
    """
    import numpy as np

    claim = find(claim_id)
    if claim.evidence == "reading":
        raise ValueError(f"claim {claim_id!r} is judged by reading: nothing may be measured for it; {value!r} given")
    known = interval is not None or not claim.random
    require(known, f"interval of claim {claim_id!r}", None, "(low, high), as it is about a random quantity")
    if (empty is None) != (claim.empty is None):
        raise ValueError(f"claim {claim_id!r}: its row says empty: {claim.empty!r}, the run gives empty={empty!r}")
    measured = np.atleast_1d(np.asarray(value, dtype=float))
    ends = (value, value) if interval is None else interval
    low, high = (np.broadcast_to(np.asarray(end, dtype=float), measured.shape) for end in ends)
    if np.isnan([*measured, *low, *high]).any():
        return "undecided"
    slack = 1e-9 * abs(measured)  # a mean of equal numbers may differ from them in its last digit
    if np.any(low > measured + slack) or np.any(measured - slack > high):
        raise ValueError(f"claim {claim_id!r}: interval {interval!r} does not hold the value {value!r}")
    verdict = _judge(claim, low, high)
    if empty is not None and verdict in POSITIVE:
        ends = (empty, empty) if empty_interval is None else empty_interval
        others = (np.broadcast_to(np.asarray(x, dtype=float), measured.shape) for x in ends)
        if _judge(claim, *others) in POSITIVE[: POSITIVE.index(verdict) + 1]:
            return "undecided"
    if claim.evidence == "arithmetic" and verdict != "undecided":
        return "adds-up" if verdict in POSITIVE else "does-not-add-up"
    return verdict


def numbers(x) -> str:
    """One number or several as text, four digits each; JSON keeps NaN and infinity as words.

    >>> numbers([1.23456, "inf", "nan"])
    '1.235, inf, nan'
    """
    return ", ".join(f"{float(v):.4g}" for v in (x if isinstance(x, list | tuple) else [x]))


def stated(claim: Claim) -> tuple[str, str]:
    """Whose number a run is held against (``paper`` for printed ones alone), and the number or the direction."""
    if claim.printed is not None:
        return "paper", numbers(claim.printed)
    return "if the statement held", numbers(claim.expected) if claim.expected is not None else claim.direction or ""


def weaker(claim: Claim) -> str:
    """The direction that still holds where the number did not."""
    more = claim.verdict == POSITIVE[1] and stated(claim)[1] != claim.direction
    return f"direction: {claim.direction}" if more else ""


def basis(claim: Claim) -> str:
    """How we know, at what size, and how a formula was read."""
    words = [EVIDENCE[claim.evidence] + (f" ({claim.size})" if claim.size else "")]
    if claim.kind in ("equation", "algorithm") and claim.seen != "page":
        words.append("read from an extracted text")
    return "; ".join(words)


POSITIVE = ("reproduced", "direction-holds")  # the stronger first


def _judge(claim: Claim, low, high) -> str:
    """The verdict over everything between `low` and `high`; a list holds only if each of its numbers does."""
    import numpy as np

    target = claim.printed if claim.printed is not None else claim.expected
    if target is None and claim.direction is None:
        raise ValueError(f"claim {claim.id!r} has neither 'printed', 'expected' nor 'direction' to compare with")
    excluded = True
    if target is not None:
        target = np.atleast_1d(np.asarray(target, dtype=float))
        if target.size not in (1, low.size):
            raise ValueError(f"claim {claim.id!r} states {target.size} numbers, {low.size} given")
        reach = claim.tolerance or 0.0
        if np.all(abs(low - target) <= reach) and np.all(abs(high - target) <= reach):
            return "reproduced"
        excluded = bool(np.any((low - target > reach) | (target - high > reach)))
    if claim.direction is not None:
        relation, bound = claim.direction.split()
        holds = [RELATIONS[relation](end, float(bound)) for end in (low, high)]
        if np.all(holds):
            return "direction-holds"
        excluded &= bool(np.any(~holds[0] & ~holds[1]))
    return "contradicted" if excluded else "undecided"


def sentence(claim: Claim, verdict: str, ours, ends: list, empty, note: str, empty_ends: list = ()) -> str:
    """What a mark says when it is opened: the statement, our number with its interval, and how we know."""
    record, _ = load(claim.id.partition("-")[0])
    whose, statement = stated(claim)
    between, around = (f" [{numbers(two[0])} to {numbers(two[1])}]" if two else "" for two in (ends, empty_ends))
    void = "" if empty is None else f"; the empty method ({claim.empty}) {numbers(empty)}{around}"
    measure = f"{claim.measure.rstrip('.')}: " if claim.measure else ""
    how, less = basis(claim), weaker(claim)
    return (
        f"{record['short']}, {claim.label}: {verdict.replace('-', ' ')}. "
        f"{measure}{whose} {statement}, here {numbers(ours)}{between}{void}{f'; {less}' if less else ''}."
        f" {how[0].upper()}{how[1:]}.{f' {note}' if note else ''}"
    )
