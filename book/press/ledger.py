"""The reproduction ledger: every claim of every paper, what we find in the text, what our runs give."""

from __future__ import annotations

import html
import re

from deepfake_kit.notebook import claims
from press import verdicts


def totals(results: list[dict]) -> str:
    """Counts a paper, as a Markdown table."""
    lines = [
        "| paper | rows | text holds | text faulty or unclear | "
        + " | ".join(_heading(verdict) for verdict in claims.VERDICTS)
        + " |",
        "|---|" + "---:|" * (3 + len(claims.VERDICTS)),
    ]
    sums = [0] * (3 + len(claims.VERDICTS))
    for paper in claims.papers():
        record, rows = claims.load(paper)
        faulty = sum(row.finding in ("typo", "wrong", "inconsistent", "underspecified") for row in rows)
        counts = [
            len(rows),
            sum(row.finding == "holds" for row in rows),
            faulty,
            *(sum(row.verdict == verdict for row in rows) for verdict in claims.VERDICTS),
        ]
        sums = [a + b for a, b in zip(sums, counts, strict=True)]
        lines.append(f"| {record['short']} ({record['year']}) | " + " | ".join(map(str, counts)) + " |")
    lines.append("| **all** | " + " | ".join(f"**{n}**" for n in sums) + " |")
    return "\n".join(lines)


def _heading(verdict: str) -> str:
    """A verdict as a column's heading; soft hyphens let eight columns fit beside the contents list."""
    words = verdict.replace("-", " ")
    for whole, parted in {
        "reproduced": "repro-duced",
        "contradicted": "contra-dicted",
        "comparable": "compa-rable",
        "attempted": "attemp-ted",
    }.items():
        words = words.replace(whole, parted.replace("-", "\u00ad"))
    return words


def table(results: list[dict]) -> str:
    """Totals, filters and the table of all claims, as Markdown with raw HTML."""
    found = verdicts.measured(results)
    rows = "\n".join(
        _row(claims.load(paper)[0], row, found.get(row.id))
        for paper in claims.papers()
        for row in claims.load(paper)[1]
    )
    papers = {paper: claims.load(paper)[0]["short"] for paper in claims.papers()}
    selects = "".join(
        [
            _select("paper", papers),
            _select(
                "kind",
                {kind: kind for kind in ("equation", "figure", "table", "parameter", "dataset", "algorithm", "claim")},
            ),
            _select("finding", {name: name.replace("-", " ") for name in claims.FINDINGS}),
            _select("verdict", {name: name.replace("-", " ") for name in claims.VERDICTS}),
        ]
    )
    return f"""{totals(results)}

<form class="kit-filter full-width" id="ledger-filter" role="search" aria-label="Filter the ledger">{selects}
<label>words <input type="search" id="filter-words"></label>
<output id="ledger-count" aria-live="polite"></output></form>

<div class="kit-scroll kit-ledger full-width" tabindex="0" role="region" aria-label="Ledger of all claims">
<table class="kit-table"><thead><tr><th scope="col">claim</th><th scope="col">the paper states</th>
<th scope="col">we find</th><th scope="col">verdict of our run</th><th scope="col">paper</th>
<th scope="col">here</th></tr></thead>
<tbody id="ledger-rows">
{rows}
</tbody></table></div>

<script>
{SCRIPT}
</script>
"""


def _row(paper: dict, row: claims.Claim, record: dict | None) -> str:
    link = ours = ""
    if record:
        page = f"../notebooks/{record['chapter']}.html#check-{row.id}"
        ours = _numbers(record["value"])
        if record["stand_in"]:
            ours += "<p><strong>on stand-in data</strong>; the verdict is that of the real data</p>"
        link = f'<p><a href="{page}">the cell that shows it</a></p>'
    measure = f"<p>{_text(row.measure)}</p>" if row.measure and (record or row.printed is not None) else ""
    printed = "" if row.printed is None else _numbers(row.printed)
    if row.expected is not None:
        printed = f"<p>{_numbers(row.expected)}<br><small>if the statement held</small></p>"
    values = ""
    if row.values:
        listed = "".join(f"<dt>{_text(k)}</dt><dd>{_text(v)}</dd>" for k, v in row.values.items())
        summary = f"{len(row.values)} printed value{'s' if len(row.values) > 1 else ''}"
        values = f"<details><summary>{summary}</summary><dl>{listed}</dl></details>"
    reason = f"<p>{_text(row.reason)}</p>" if row.reason and not record else ""
    return (
        f'<tr id="ledger-{row.id}" data-paper="{row.id.partition("-")[0]}" data-kind="{row.kind}" '
        f'data-finding="{row.finding}" data-verdict="{row.verdict}">'
        f'<th scope="row">{_text(row.label)}<br><small>{html.escape(paper["short"])}, '
        f"{html.escape(str(row.section))}"
        f"<br><code>{row.id}</code></small></th>"
        f"<td>{_text(row.states)}{values}</td>"
        f'<td><span class="kit-badge kit-{row.finding}">{row.finding.replace("-", " ")}</span>'
        f"<p>{_text(row.explanation)}</p></td>"
        f'<td><span class="kit-badge kit-{row.verdict}"><span aria-hidden="true">{claims.SIGNS[row.verdict]}</span> '
        f"{row.verdict.replace('-', ' ')}</span>{measure}{reason}{link}</td>"
        f'<td data-label="paper">{printed}</td><td data-label="here">{ours}</td></tr>'
    )


def _select(name: str, options: dict[str, str]) -> str:
    listed = "".join(f'<option value="{value}">{html.escape(text)}</option>' for value, text in options.items())
    return f'<label>{name} <select id="filter-{name}"><option value="">all</option>{listed}</select></label>'


def _numbers(x) -> str:
    return ", ".join(f"{v:.4g}" for v in x) if isinstance(x, list) else f"{x:.4g}"


def _text(text) -> str:
    """Plain text with ``$...$`` and backticks as HTML that MathJax finds."""
    out = html.escape(" ".join(str(text).split()), quote=False)
    out = re.sub(r"\$([^$]+)\$", r'<span class="math notranslate nohighlight">\\(\1\\)</span>', out)
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", out)


SCRIPT = """(() => {
  const rows = [...document.querySelectorAll("#ledger-rows tr")];
  const names = ["paper", "kind", "finding", "verdict"];
  const pick = name => document.getElementById("filter-" + name);
  const show = () => {
    const words = pick("words").value.toLowerCase().split(" ").filter(Boolean);
    let shown = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      const fits = names.every(name => !pick(name).value || row.dataset[name] === pick(name).value)
        && words.every(word => text.includes(word));
      row.hidden = !fits;
      shown += fits;
    }
    document.getElementById("ledger-count").textContent = shown + " of " + rows.length + " rows";
  };
  document.getElementById("ledger-filter").addEventListener("input", show);
  document.getElementById("ledger-filter").addEventListener("submit", event => event.preventDefault());
  show();
})();"""
