"""The health page: what the last build measured, chapter by chapter."""

from __future__ import annotations

import html

from deepfake_kit.notebook import settings


def table(results: list[dict]) -> str:
    """One row a chapter, as raw HTML, and the machine it ran on."""
    rows = "\n".join(_row(result) for result in results)
    minutes = sum(result["seconds"] for result in results) / 60
    machine = results[0]["environment"] if results else {}
    versions = ", ".join(f"{name} {version}" for name, version in machine.get("versions", {}).items())
    slowest = max(results, key=lambda result: result["seconds"], default=None)
    summary = (
        f"{len(results)} chapters, {minutes:.1f} minutes of work in all, one thread each; the longest is "
        f"{slowest['chapter']} with {slowest['seconds'] / 60:.1f} minutes."
        if slowest
        else ""
    )
    return f"""{summary}

<div class="kit-scroll kit-health" tabindex="0" role="region" aria-label="Health of each chapter">
<table class="kit-table"><thead><tr><th scope="col">chapter</th><th scope="col">result</th><th scope="col">time</th>
<th scope="col">stated</th><th scope="col">peak memory</th><th scope="col">profile, seed</th><th scope="col">data</th>
<th scope="col">checks passed</th><th scope="col">claims judged</th><th scope="col">date</th></tr></thead><tbody>
{rows}
</tbody></table></div>

Machine: {machine.get("accelerator") or machine.get("processor")}, {machine.get("system")}. Libraries: {versions}.
"""


def _row(result: dict) -> str:
    about = settings.load(result["chapter"])
    data = "<br>".join(f"{html.escape(name)}: {', '.join(splits)}" for name, splits in _sets(result).items()) or "none"
    counts = {kind: sum(record["type"] == kind for record in result["records"]) for kind in ("check", "claim")}
    title = f"{int(result['chapter'][:2])} · {html.escape(about.title)}"
    cells = [
        f'<th scope="row"><a href="../notebooks/{result["chapter"]}.html">{title}</a></th>',
        f"<td>{result['status']}</td>",
        f"<td>{result['seconds']:.0f} s</td>",
        f"<td>{60 * about.minutes[result['profile']]:.0f} s</td>",
        f"<td>{result['peak_memory_mb']:.0f} MiB</td>",
        f"<td>{result['profile']}, {result['seed']}</td>",
        f'<td class="kit-words">{data}</td>',
        f"<td>{counts['check']}</td>",
        f"<td>{counts['claim']}</td>",
        f"<td>{(result['began'] or '')[:10]}</td>",
    ]
    return "<tr>" + "".join(cells) + "</tr>"


def _sets(result: dict) -> dict[str, list[str]]:
    """What was read, by data set: the splits with their counts, and whether a stand-in took the place."""
    sets: dict[str, list[str]] = {}
    for row in result["data"]:
        words = f"{row['split']} {row['count']:,}{' (stand-in)' if row['stand_in'] else ''}"
        if words not in sets.setdefault(row["name"], []):
            sets[row["name"]].append(words)
    return sets
