"""What the papers state, number by number, and what our runs say to it.

One YAML file a paper lies in ``deepfake_kit/papers``. A row may say which number
settles it (``measure``), what the paper prints for it (``printed``), how near is near
enough (``tolerance``), and a weaker statement (``direction``) that may still hold.
"""

from __future__ import annotations

import operator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import yaml

from deepfake_kit.valid import one_of

FOLDER = Path(__file__).parent / "papers"
VERDICTS = ("reproduced", "direction-holds", "contradicted", "not-comparable", "not-attempted")
FINDINGS = ("holds", "typo", "wrong", "inconsistent", "underspecified", "not-checkable")
RELATIONS = {"<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


@dataclass(frozen=True)
class Claim:
    """One row of a paper's claims file; the fields are those of the file."""

    id: str
    kind: str
    label: str
    section: str
    states: str
    finding: str
    explanation: str
    verdict: str
    reason: str | None = None
    measure: str | None = None
    printed: float | list[float] | None = None
    tolerance: float | None = None
    direction: str | None = None
    chapter: str | None = None
    values: dict = field(default_factory=dict)


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


def find(claim_id: str) -> Claim:
    """The claim with this id, from whichever paper holds it."""
    rows = {claim.id: claim for paper in papers() for claim in load(paper)[1]}
    return rows[one_of("claim", claim_id, rows)]


def compare(claim_id: str, value) -> str:
    """Judge a measured value against what the paper prints.

    Parameters
    ----------
    claim_id : str
        The row of the claims file.
    value : float or sequence of float
        What was measured; a sequence where the paper prints a list.

    Returns
    -------
    str
        ``reproduced`` if every ``|value - printed| <= tolerance``, else ``direction-holds`` if
        each value satisfies ``direction``, else ``contradicted``. NaN never reproduces anything.

    Raises
    ------
    ValueError
        If the row names nothing to compare with, or the number of values differs.
    """
    import numpy as np

    claim = find(claim_id)
    if claim.printed is None and claim.direction is None:
        raise ValueError(f"claim {claim_id!r} has neither 'printed' nor 'direction' to compare {value!r} with")
    measured = np.atleast_1d(np.asarray(value, dtype=float))
    if claim.printed is not None:
        printed = np.atleast_1d(np.asarray(claim.printed, dtype=float))
        if printed.size not in (1, measured.size):
            raise ValueError(f"claim {claim_id!r} prints {printed.size} numbers, {measured.size} given")
        if np.all(np.abs(measured - printed) <= (claim.tolerance or 0.0)):
            return "reproduced"
    if claim.direction is not None:
        relation, bound = claim.direction.split()
        if np.all(RELATIONS[relation](measured, float(bound))):
            return "direction-holds"
    return "contradicted"
