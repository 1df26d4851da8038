"""Hold every verdict that a run computed against the one approved in the claims files."""

from __future__ import annotations

from deepfake_kit.notebook import claims
from press.report import measured


def all_claims() -> dict[str, claims.Claim]:
    """Every row of every paper, by id."""
    return {row.id: row for paper in claims.papers() for row in claims.load(paper)[1]}


def problems(results: list[dict]) -> list[str]:
    """What keeps the ledger from being published.

    A computed verdict that differs from the approved one, a measured claim whose
    row still says otherwise, an approved measurement that no chapter makes; the same
    of kept runs. A number measured on a stand-in for real data or weights judges nothing;
    the ledger marks it.
    """
    rows, found, out = all_claims(), measured(results), []
    for claim_id, record in found.items():
        approved = rows[claim_id].verdict
        if record["verdict"] != approved and not record["stand_in"]:
            out.append(
                f"claim {claim_id}: chapter {record['chapter']} computes {record['verdict']!r} "
                f"({record['value']}), the claims file approves {approved!r}"
            )
    kept = {record["id"]: record for result in results for record in result.get("kept", ())}
    for claim_id, record in kept.items():
        row = rows[claim_id]
        if not row.long:  # the run of the day decides
            if row.evidence in ("small", "stated-size"):
                out.append(f"claim {claim_id}: a kept run measures it; its row needs long: {{size: ...}}")
            continue
        approved, rerun = row.long.get("verdict", row.verdict), f"deepfake-kit run {row.chapter} --profile long --keep"
        try:
            verdict = claims.compare(
                claim_id, record["value"], record["interval"], record["empty"], record.get("empty_interval")
            )
        except ValueError as error:
            out.append(f"{error}; the kept run is older than its row: {rerun}")
            continue
        if verdict != approved:
            out.append(
                f"claim {claim_id}: the kept run of {row.chapter} computes {verdict!r} ({record['value']}), "
                f"the claims file approves {approved!r}"
            )
    for claim_id, row in rows.items():
        if row.long and claim_id not in kept:
            out.append(f"claim {claim_id}: its row says long, but no kept run measures it")
        if row.verdict not in claims.OPEN and claim_id not in found:
            out.append(f"claim {claim_id}: approved as {row.verdict!r}, but no chapter measures it")
    return out
