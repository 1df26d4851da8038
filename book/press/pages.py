"""Read a rendered site: its pages, what the book wrote on them, the widgets they hold."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator
from pathlib import Path

from bs4 import BeautifulSoup, Tag

STILL = re.compile(r"<noscript>.*?</noscript>", re.DOTALL)  # the same again, for a page without scripts
WIDGET_STATE = "application/vnd.jupyter.widget-state+json"
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"


def toc_pages(toc: Path) -> list[str]:
    """Return the names of all pages in ``_toc.yml``, in order and without suffix."""
    import yaml

    def walk(node: object) -> Iterator[str]:
        if isinstance(node, dict):
            for key in ("root", "file"):
                if key in node:
                    yield re.sub(r"\.(?:md|ipynb|rst)$", "", node[key])
            for value in node.values():
                yield from walk(value)
        elif isinstance(node, list):
            for value in node:
                yield from walk(value)

    return list(walk(yaml.safe_load(Path(toc).read_text(encoding="utf-8"))))


def html_pages(site: Path) -> list[str]:
    """Return the paths of all pages inside ``site``, those of the theme's own files left out."""
    return sorted(
        path.relative_to(site).as_posix()
        for path in Path(site).rglob("*.html")
        if path.relative_to(site).parts[0] not in ("_static", "_sources")
    )


def redirect(soup: BeautifulSoup) -> str | None:
    """Return where a page sends its visitor at once, or None."""
    tag = soup.find("meta", attrs={"http-equiv": re.compile("^refresh$", re.IGNORECASE)})
    found = re.search(r"url\s*=\s*['\"]?([^'\"]+)", tag.get("content", ""), re.IGNORECASE) if tag else None
    return found[1].strip() if found else None


@functools.lru_cache(maxsize=256)
def _parsed(path: str, changed: int, size: int) -> BeautifulSoup:
    return BeautifulSoup(STILL.sub("", Path(path).read_text(encoding="utf-8")), "html.parser")


def parse(site: Path, page: str) -> BeautifulSoup:
    """Return one page, parsed; do not change it, it is shared by the gates."""
    path = Path(site) / page
    about = path.stat()
    return _parsed(str(path), about.st_mtime_ns, about.st_size)


def article(soup: BeautifulSoup) -> Tag:
    """Return the part of a page that the book wrote, without the theme's frame."""
    return soup.find("article") or soup.find("main") or soup.body or soup


def chapter_page(result: dict) -> str:
    """Return where a chapter's page lies inside the site."""
    return f"notebooks/{result['chapter']}.html"


def element_id(record: dict, chapter: str) -> str | None:
    """Return the id of the element that a record leaves on its page, or None if it leaves none."""
    kinds = {
        "figure": "fig",
        "table": "tab",
        "explorable": "exp",
        "check": "check",
        "kept": "kept",
        "compare": "compare",
    }
    if record["type"] == "claim":
        return f"check-{record['id']}"
    if kind := kinds.get(record["type"]):
        return f"{kind}-{chapter[:2]}-{record['id'].replace('_', '-')}"
    return None


def place(record: dict) -> str:
    """Return where a record was made, in words."""
    cell = f" (cell {record['cell']})" if "cell" in record else ""
    return f"{record['type']} {record['id']!r}{cell}"


def chapters(site: Path, results: list[dict]) -> Iterator[tuple[dict, str, BeautifulSoup]]:
    """Yield the chapters whose page exists; that all exist is a gate of its own."""
    for result in results:
        page = chapter_page(result)
        if (Path(site) / page).is_file():
            yield result, page, parse(site, page)


def prose(soup: BeautifulSoup) -> str:
    """Return the words of a page, without code, formulas and scripts."""
    hidden = {"script", "style", "pre", "code", "textarea", "svg"}
    words = []
    for text in article(soup).find_all(string=True):
        if not any(parent.name in hidden or "math" in (parent.get("class") or ()) for parent in text.parents):
            words.append(str(text))
    return "".join(words)


def widget_models(soup: BeautifulSoup) -> Iterator[dict]:
    """Yield the state of each widget model on a page."""
    for script in soup.find_all("script", type=WIDGET_STATE):
        yield from json.loads(script.string or "{}").get("state", {}).values()


def widget_html(soup: BeautifulSoup) -> Iterator[BeautifulSoup]:
    """Yield what the HTML widgets of a page hold, shown or not."""
    for model in widget_models(soup):
        value = model.get("state", {}).get("value")
        if model.get("model_name") in ("HTMLModel", "HTMLMathModel") and isinstance(value, str) and "<" in value:
            yield BeautifulSoup(value, "html.parser")
