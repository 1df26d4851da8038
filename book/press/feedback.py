"""Where a repository is known, a page leads to its source and to a report that names cell, run and versions."""

from __future__ import annotations

import json
import re
import urllib.parse
from pathlib import Path

from bs4 import BeautifulSoup

from press import pages

CELL = re.compile(
    r'<div class="cell (?P<classes>[^"]*)"(?P<rest>[^>]*)>(?P<inside>.{0,400}?<pre>(?P<code>.*?)</pre>)', re.DOTALL
)
WHOLE = "the whole page"
VERSIONS = ("python", "torch", "numpy", "scipy", "matplotlib")


def source(page: str) -> str | None:
    """The file of the repository that a page is made from, or None for a page that is only collected."""
    name = page.removesuffix(".html")
    if name.startswith("notebooks/"):
        return f"{name}.ipynb"
    if work := re.fullmatch(r"book/work-(\w+)", name):
        return f"deepfake_kit/papers/{work[1]}.yml"
    return f"{name}.md" if name.startswith("book/") else None


def report(address: str, page: str, result: dict | None) -> str:
    """The address of a new report about a page; what it asks is filled in as far as the build knows."""
    lines = [f"Page: {page}", f"Cell: {WHOLE}"]
    if result:
        about = result.get("environment") or {}
        versions = about.get("versions") or {}
        lines += [
            f"Profile: {result.get('profile')}, seed {result.get('seed')}, run of {(result.get('began') or '?')[:10]}",
            "Versions: " + ", ".join(f"{name} {versions[name]}" for name in VERSIONS if name in versions),
            f"Revision: {about.get('git') or 'not known'}",
        ]
    lines += ["", "What I see:", "", "What I expected:", ""]
    words = urllib.parse.urlencode({"title": f"{page}: ", "body": "\n".join(lines)}, quote_via=urllib.parse.quote)
    return f"{address}/issues/new?{words}"


def with_cells(text: str, notebook: dict) -> str:
    """A chapter's page whose code cells know their ids; a cell is found by its source."""
    ids: dict[str, list[str]] = {}
    for cell in notebook["cells"]:
        if cell["cell_type"] == "code" and "id" in cell:
            ids.setdefault("".join(cell["source"]).strip(), []).append(cell["id"])

    def named(match: re.Match) -> str:
        code = BeautifulSoup(f"<pre>{match['code']}</pre>", "html.parser").get_text().strip()
        if not (left := ids.get(code)):
            return match[0]
        return f'<div class="cell {match["classes"]}" data-kit-cell="{left.pop(0)}"{match["rest"]}>{match["inside"]}'

    return CELL.sub(named, text)


def write(site: Path, results: list[dict], address: str, branch: str = "main") -> list[str]:
    """Add to each page of the book what leads to its source and to a report; returns those pages."""
    if not address:
        return []
    by_page = {pages.chapter_page(result): result for result in results}
    changed = []
    for page in pages.html_pages(site):
        place = source(page)
        path = Path(site) / page
        text = path.read_text(encoding="utf-8")
        if place is None or "</article>" not in text:
            continue
        notebook = Path(site) / "_sources" / place
        if page in by_page and notebook.is_file():
            text = with_cells(text, json.loads(notebook.read_text(encoding="utf-8")))
        edit = f"{address}/edit/{branch}/{place}"
        new = report(address, page, by_page.get(page))
        links = (
            f'<p class="kit-feedback"><a href="{edit}">Edit this page</a> · '
            f'<a class="kit-report" href="{new.replace("&", "&amp;")}">Report a problem</a></p>'
        )
        before, _, after = text.rpartition("</article>")
        path.write_text(f"{before}{links}</article>{after}", encoding="utf-8")
        changed.append(page)
    return changed
