"""What a link to another page of the book leads to, so that it can be shown where the link stands, without network.

A page cannot read another one from the disk, but it can load a script; so the previews of all links lie in one
script, ``_static/previews.js``, that ``finding.js`` loads when a link is first pointed at.
"""

from __future__ import annotations

import json
import posixpath
import re
import urllib.parse
from pathlib import Path

from bs4 import BeautifulSoup, Tag

from press import pages

FILE = "_static/previews.js"
NAME = "kitPreviews"
LEADS = re.compile(r"^[^#:]+\.html#(?!ledger-|check-)")  # a row or a mark is read where it stands


def write(site: Path) -> dict[str, str]:
    """Write the previews of all links between pages of `site`; returns them by ``page#id``."""
    wanted: dict[str, set[str]] = {}
    for page in pages.html_pages(site):
        for link in pages.article(pages.parse(site, page)).find_all("a", href=LEADS):
            target, _, name = link["href"].partition("#")
            where = posixpath.normpath(posixpath.join(posixpath.dirname(page), target))
            if not urllib.parse.urlsplit(target).scheme and (Path(site) / where).is_file():
                wanted.setdefault(where, set()).add(urllib.parse.unquote(name))
    found: dict[str, str] = {}
    for page, names in wanted.items():
        for tag in pages.parse(site, page).find_all(id=lambda name, names=names: name in names):
            if text := preview(tag, page):
                found[f"{page}#{tag['id']}"] = text
    text = json.dumps(dict(sorted(found.items())), ensure_ascii=False, indent=0).replace("</", "<\\/")
    (Path(site) / FILE).write_text(f"window.{NAME} = {text};\n", encoding="utf-8")
    return found


def preview(tag: Tag, page: str) -> str | None:
    """The HTML that shows what a place holds: a word's meaning, an equation, a figure, a table's caption, a work.

    The script has the same rules for places on the reader's own page; addresses inside are seen from the site's root.
    """
    if tag.name == "dt" and tag["id"].startswith("term-"):
        meaning = _copy(tag.find_next_sibling("dd"))
        for link in meaning.select("a"):
            link.decompose()
        return f"<p><b>{tag.get_text()}</b> {meaning.decode_contents().strip()}</p>"
    if tag.name == "figure":
        image, caption = tag.find("img"), tag.find("figcaption")
        if image is None:
            return None
        source = posixpath.normpath(posixpath.join(posixpath.dirname(page), image["src"]))
        picture = f'<img src="{source}" alt="">'
        return picture + (f"<p>{_words(caption)}</p>" if caption else "")
    if "math" in (tag.get("class") or ()):
        return f'<div class="math notranslate nohighlight">{_formula(tag)}</div>'
    if "citation" in (tag.get("class") or ()):
        return f"<p>{_words(tag.find('p') or tag)}</p>"
    caption = tag.find("caption") or tag.select_one(".kit-caption")
    if caption is None and (cell := tag.find_parent(class_="cell_output")):  # of a table or a slider: below it
        caption = tag.find_next(class_="kit-caption")
        caption = caption if caption and cell in caption.parents else None
    return f"<p>{_words(caption)}</p>" if caption else None


def _copy(tag: Tag) -> Tag:
    return BeautifulSoup(str(tag), "html.parser").find()


def _formula(tag: Tag) -> str:
    copy = _copy(tag)
    for number in copy.select(".eqno"):
        number.decompose()
    return copy.decode_contents().strip()


def _words(tag: Tag) -> str:
    """A caption or an entry with its formulas, without links and marks."""
    copy = _copy(tag)
    for mark in copy.select(".headerlink"):
        mark.decompose()
    for link in copy.select("a"):
        link.unwrap()
    inner = (
        " ".join(part.decode_contents() for part in copy.select("p")) if copy.name != "p" and copy.select("p") else ""
    )
    return re.sub(r"\s+", " ", inner or copy.decode_contents()).strip()
