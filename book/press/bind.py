"""The book in one file: packed as it is, or made by the browser that reads it into a PDF to print, an EPUB to carry.

Formulas are set by the book's own MathJax; the EPUB takes their MathML, and the browser writes each page as XML.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import html
import mimetypes
import posixpath
import re
import uuid
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path

import yaml
from bs4 import BeautifulSoup

from press import browser, pages

PARTS = "_static/*/parts.js"  # stands in each folder of press.live.write
EPOCH = (1980, 1, 1, 0, 0, 0)  # the same book gives the same file
INTERACTIVE = re.compile(r"/_static/(?:exercise|predict|explore)\.js")
# What makes sense on a screen alone, and folded code but for solutions; other folded parts are printed open, a row of
# the ledger as its one line.
FOLDED = "div.cell:not(.tag_solution) details.hide"
DROPPED = (
    f"{FOLDED}:not(:has(.cell_output)), {FOLDED} > :is(summary, .cell_input), "
    f"{FOLDED}:has([id^=tab-][id$=-settings]) .output:not(:has(.kit-stand-in)), "
    "script, noscript, style, link, .headerlink, .kit-preview, .kit-feedback, .kit-report-cell, .led-filter, "
    ".led-keys, .led-files, .gloss-letters, button, form, .widget-subarea, .kit-explorable, .jupyter-widgets, "
    "details.kit-provenance, [hidden], .only-dark, .kit-stored, .kit-buttons, iframe, input, svg, "
    "summary > :is(.collapsed, .expanded)"
)

# Runs in the page, after its formulas are set: the article without what needs a screen, each formula as MathML.
ARTICLE = """(dropped) => {
  const article = document.querySelector("article.bd-article") || document.querySelector("article, main");
  article.querySelectorAll("span.math").forEach((math) => { // too wide for a line of a small reader
    if (math.getBoundingClientRect().width > 270) math.classList.add("kit-wide");
  });
  const copy = article.cloneNode(true);
  copy.querySelectorAll("mjx-container").forEach((box) => {
    const math = box.querySelector("mjx-assistive-mml math");
    if (math) box.replaceWith(math.cloneNode(true));
  });
  copy.querySelectorAll(".kit-mark > button").forEach((button) => button.replaceWith(button.textContent));
  copy.querySelectorAll(dropped).forEach((node) => node.remove());
  copy.querySelectorAll(".led-list details").forEach((row) => {
    const line = document.createElement("p");
    line.id = row.id;
    line.className = "led-line";
    for (const part of row.querySelector("summary").children) line.append(...part.childNodes, " ");
    row.replaceWith(line);
  });
  copy.querySelectorAll("details").forEach((fold) => {
    const box = document.createElement("div");
    if (fold.id) box.id = fold.id;
    box.className = fold.className;
    const summary = fold.querySelector(":scope > summary");
    if (summary) {
      const head = document.createElement("p");
      head.append(...summary.childNodes);
      if (summary.id) head.id = summary.id;
      summary.replaceWith(head);
    }
    box.append(...fold.childNodes);
    fold.replaceWith(box);
  });
  copy.querySelectorAll("*").forEach((node) => {
    for (const name of [...node.getAttributeNames()]) {
      if (/^(on|data-|aria-|tabindex|role|loading|download|target|rel|xmlns)/.test(name)) node.removeAttribute(name);
    }
    node.removeAttribute("style");
  });
  copy.querySelectorAll("img").forEach((image) => image.hasAttribute("alt") || image.setAttribute("alt", ""));
  return new XMLSerializer().serializeToString(copy);
}"""


def names(root: Path, site: Path) -> list[str]:
    """The pages of the book, in its order."""
    return [f"{name}.html" for name in pages.toc_pages(root / "_toc.yml") if (site / f"{name}.html").is_file()]


def _browser(running: object | None):
    return browser.open_browser() if running is None else contextlib.nullcontext(running)


def articles(site: Path, listed: list[str], running: object | None = None) -> dict[str, str]:
    """The article of each page as XHTML, its formulas as MathML."""
    found = {}
    with _browser(running) as opened, browser.serve(site) as base:
        page = browser.new_page(opened, width=browser.WIDE)
        page.route(
            INTERACTIVE, lambda route: route.abort()
        )  # paper has no forms: cells and replies as they are written
        for name in listed:
            browser.go(page, base + name)
            found[name] = page.evaluate(ARTICLE, DROPPED)
    return found


# -- EPUB -----------------------------------------------------------------------------------------------

XHTML = "http://www.w3.org/1999/xhtml"
MATHML = "http://www.w3.org/1998/Math/MathML"
STYLE = """body { font-family: serif; line-height: 1.45; margin: 0 1em; }
h1, h2, h3, figcaption, caption, table { font-family: sans-serif; }
pre, code { font-family: monospace; font-size: 0.85em; white-space: pre-wrap; overflow-wrap: anywhere; }
img { max-width: 100%; height: auto; }
figure { margin: 1em 0; }
table { display: block; max-width: 100%; overflow-x: auto; border-collapse: collapse; font-size: 0.85em; }
div.math { overflow-x: auto; overflow-y: hidden; }
span.kit-wide { display: inline-block; max-width: 100%; overflow-x: auto; overflow-y: hidden; vertical-align: middle; }
h1, h2, h3, p, li, dt, dd, figcaption { overflow-wrap: break-word; }
th, td { padding: 0.15em 0.4em; border-bottom: 1px solid #999; text-align: left; vertical-align: top; }
.kit-mark > .kit-note { display: block; margin: 0.2em 0 0.4em 1.2em; font-size: 0.8em; }
blockquote.kit-side { font-family: sans-serif; font-size: 0.85em; }
.led-said { display: none; }
.led-line { margin: 0.15em 0; font-size: 0.85em; }
i { font-style: normal; }
blockquote, .kit-check, .admonition { margin: 1em 0; padding-left: 0.8em; border-left: 0.2em solid #999; }
dl.gloss dt { font-weight: bold; }
"""
PAGE = """<?xml version="1.0" encoding="utf-8"?>
<!DOCTYPE html>
<html xmlns="{xhtml}" xmlns:epub="http://www.idpf.org/2007/ops" xml:lang="en" lang="en">
<head><title>{title}</title><link rel="stylesheet" type="text/css" href="{up}style.css"/></head>
<body>{body}</body></html>
"""
CONTAINER = """<?xml version="1.0" encoding="utf-8"?>
<container version="1.0" xmlns="urn:oasis:names:tc:opendocument:xmlns:container"><rootfiles>
<rootfile full-path="EPUB/book.opf" media-type="application/oebps-package+xml"/></rootfiles></container>
"""
OPF = """<?xml version="1.0" encoding="utf-8"?>
<package xmlns="http://www.idpf.org/2007/opf" version="3.0" unique-identifier="id" xml:lang="en"><metadata
xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:identifier id="id">urn:uuid:{id}</dc:identifier>
<dc:title>{title}</dc:title><dc:language>en</dc:language><dc:creator>{author}</dc:creator>
<dc:rights>Text: CC BY 4.0. Code: BSD-3-Clause.</dc:rights><meta property="dcterms:modified">{date}</meta>
<meta property="schema:accessMode">textual</meta><meta property="schema:accessMode">visual</meta>
<meta property="schema:accessibilityFeature">alternativeText</meta>
<meta property="schema:accessibilityFeature">MathML</meta>
<meta property="schema:accessibilityHazard">none</meta></metadata>
<manifest><item id="nav" href="nav.xhtml" media-type="application/xhtml+xml" properties="nav"/>
<item id="style" href="style.css" media-type="text/css"/>
{items}</manifest><spine>{spine}</spine></package>
"""


def epub(root: Path, site: Path, file: Path, date: str = "2026-01-01T00:00:00Z", running: object | None = None) -> Path:
    """Write the book as an EPUB 3.

    Parameters
    ----------
    root : Path
        The repository: its ``_toc.yml`` gives the order, its ``_config.yml`` title and authors.
    site : Path
        The finished site.
    file : Path
        Where to write.
    date : str
        When the book was made, UTC.
    running : playwright.sync_api.Browser, optional
        A running browser; by default one is started for this call.

    Raises
    ------
    ValueError
        If the book is not whole: a link without a place, a picture without a file, an id that stands twice.
    """
    about = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    listed = names(root, site)
    found = articles(site, listed, running)
    trees, files = {}, {}
    for name in listed:
        tree = ET.fromstring(found[name])
        _tidy(tree)
        trees[name] = tree
    ids = {name: {one.get("id") for one in tree.iter() if one.get("id")} for name, tree in trees.items()}
    for name, tree in trees.items():
        _relink(tree, name, ids, site, files)
    parts: dict[str, bytes] = {"style.css": STYLE.encode()}
    items, spine, titles = [], [], []
    ET.register_namespace("", XHTML)
    ET.register_namespace("m", MATHML)
    for number, (name, tree) in enumerate(trees.items()):
        target = _xhtml(name)
        title = " ".join("".join(_heading(tree).itertext()).split())
        titles.append((target, title))
        up = "../" * target.count("/")
        body = ET.tostring(tree, encoding="unicode").replace(f' xmlns:m="{MATHML}"', "")
        body = body.replace("<m:math", f'<math xmlns="{MATHML}"').replace("<m:", "<").replace("</m:", "</")
        parts[target] = PAGE.format(xhtml=XHTML, title=html.escape(title), up=up, body=body).encode()
        maths = ' properties="mathml"' if f"{{{MATHML}}}math" in {one.tag for one in tree.iter()} else ""
        items.append(f'<item id="p{number}" href="{target}" media-type="application/xhtml+xml"{maths}/>')
        spine.append(f'<itemref idref="p{number}"/>')
    for number, (target, content) in enumerate(sorted(files.items())):
        parts[target] = content
        kind = mimetypes.guess_type(target)[0] or "application/octet-stream"
        items.append(f'<item id="f{number}" href="{target}" media-type="{kind}"/>')
    rows = "".join(f'<li><a href="{target}">{html.escape(title)}</a></li>' for target, title in titles)
    nav = f'<nav epub:type="toc" id="toc"><h1>Contents</h1><ol>{rows}</ol></nav>'
    parts["nav.xhtml"] = PAGE.format(xhtml=XHTML, title="Contents", up="", body=nav).encode()
    parts["book.opf"] = OPF.format(
        id=uuid.uuid5(uuid.NAMESPACE_URL, about["title"]),
        title=html.escape(about["title"]),
        author=html.escape(about["author"]),
        date=date,
        items="\n".join(items),
        spine="".join(spine),
    ).encode()
    file.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(zipfile.ZipInfo("mimetype", EPOCH), "application/epub+zip", zipfile.ZIP_STORED)
        archive.writestr(zipfile.ZipInfo("META-INF/container.xml", EPOCH), CONTAINER, zipfile.ZIP_DEFLATED)
        for name, content in parts.items():
            archive.writestr(zipfile.ZipInfo(f"EPUB/{name}", EPOCH), content, zipfile.ZIP_DEFLATED)
    if problems := check_epub(file):
        raise ValueError("the EPUB is not whole: " + "; ".join(problems[:5]))
    return file


def archive(site: Path, file: Path, light: bool = False) -> Path:
    """The site as one file that works offline; the same site gives the same file.

    Parameters
    ----------
    site, file : Path
        The finished site, and where to write.
    light : bool
        Leave out what a click loads in parts and some readers never ask for: Python, networks.
    """
    left = {parts.parent for parts in site.glob(PARTS)} if light else set()
    with zipfile.ZipFile(file, "w") as packed:
        for path in sorted(site.rglob("*")):
            if path.is_file() and not left & set(path.parents):
                about = zipfile.ZipInfo(f"html/{path.relative_to(site).as_posix()}", EPOCH)
                packed.writestr(about, path.read_bytes(), zipfile.ZIP_DEFLATED, 9)
    return file


def _xhtml(name: str) -> str:
    return name.removesuffix(".html") + ".xhtml"


def _heading(tree: ET.Element) -> ET.Element:
    return next((one for one in tree.iter() if one.tag in (f"{{{XHTML}}}h1", f"{{{XHTML}}}h2")), tree)


# Attributes that HTML knows and EPUB's XHTML does not.
OLD = (
    "align",
    "valign",
    "border",
    "frame",
    "rules",
    "width",
    "height",
    "bgcolor",
    "nowrap",
    "cellspacing",
    "cellpadding",
)


SIZES = (("img", "width"), ("img", "height"))


def _tidy(tree: ET.Element) -> None:
    """What browsers forgive and EPUB does not: old attributes, ids that no name may be, ids that stand twice."""
    seen: set[str] = set()
    for one in tree.iter():
        if not isinstance(one.tag, str):
            continue
        kind = one.tag.rpartition("}")[2]
        if not one.tag.startswith(f"{{{MATHML}}}"):
            for name in [name for name in one.attrib if name in OLD and (kind, name) not in SIZES]:
                del one.attrib[name]
        if kind in ("span", "p"):  # browsers let a paragraph stand in a line
            for inner in one.iter(f"{{{XHTML}}}p"):
                if inner is not one:
                    inner.tag = f"{{{XHTML}}}span"
        if kind == "img":
            for name in ("width", "height"):
                if not re.fullmatch(r"\d+", one.get(name, "0")):
                    del one.attrib[name]
        if "id" in one.attrib:
            if one.get("id") in seen or re.search(r"\s", one.get("id")):
                del one.attrib["id"]
            else:
                seen.add(one.get("id"))


def _relink(tree: ET.Element, page: str, ids: dict[str, set[str]], site: Path, files: dict[str, bytes]) -> None:
    """Links between pages stay links, pictures come along; a link to what is not in the EPUB is plain text."""
    here = posixpath.dirname(page)
    for one in tree.iter():
        if source := one.get("src"):
            if inside := re.match(r"data:image/(png|jpeg|webp|gif);base64,", source):  # of a kept run: as a file
                content = base64.b64decode(source[inside.end() :])
                where = f"_images/{hashlib.sha256(content).hexdigest()[:32]}.{inside[1]}"
                one.set("src", posixpath.relpath(where, here or "."))
            else:
                where = posixpath.normpath(posixpath.join(here, source))
                if source.startswith("data:") or not (site / where).is_file():
                    raise ValueError(f"{page}: the picture {source[:60]} is no file of the site")
                content = (site / where).read_bytes()
            files[where] = content
        if one.tag == f"{{{XHTML}}}a" and one.get("href") is not None:
            address = one.get("href")
            if re.match(r"(https?|mailto):", address):
                continue
            target, _, place = address.partition("#")
            where = posixpath.normpath(posixpath.join(here, target)) if target else page
            if where in ids and (not place or place in ids[where]):
                start = posixpath.relpath(_xhtml(where), here or ".") if target else ""
                one.set("href", start + (f"#{place}" if place else ""))
            elif where in ids:
                one.set("href", posixpath.relpath(_xhtml(where), here or "."))
            else:
                del one.attrib["href"]


def check_epub(file: Path) -> list[str]:
    """What an EPUB needs before anybody opens it: parts that are listed, XML that parses, links with a place.

    The tests hold the book against EPUBCheck as well, where it is installed.
    """
    problems = []
    with zipfile.ZipFile(file) as archive:
        listed = archive.namelist()
        if listed[0] != "mimetype" or archive.read("mimetype") != b"application/epub+zip":
            problems.append("the first part is not the mimetype")
        opf = ET.fromstring(archive.read("EPUB/book.opf"))
        space = {"o": "http://www.idpf.org/2007/opf"}
        manifest = {item.get("href") for item in opf.findall(".//o:item", space)}
        inside = {name.removeprefix("EPUB/") for name in listed if name.startswith("EPUB/")} - {"book.opf"}
        problems += [f"{name} is listed and not inside" for name in sorted(manifest - inside)]
        problems += [f"{name} is inside and not listed" for name in sorted(inside - manifest)]
        trees = {}
        for name in sorted(name for name in inside if name.endswith(".xhtml")):
            try:
                trees[name] = ET.fromstring(archive.read(f"EPUB/{name}"))
            except ET.ParseError as error:
                problems.append(f"{name} is no XML: {error}")
        ids = {}
        for name, tree in trees.items():
            every = [one.get("id") for one in tree.iter() if one.get("id")]
            ids[name] = set(every)
            problems += [
                f"{name}: the id {one} stands twice" for one in sorted({x for x in every if every.count(x) > 1})
            ]
        for name, tree in trees.items():
            for one in tree.iter():
                for address in filter(None, (one.get("href"), one.get("src"))):
                    if re.match(r"(https?|mailto):", address):
                        continue
                    target, _, place = address.partition("#")
                    where = posixpath.normpath(posixpath.join(posixpath.dirname(name), target)) if target else name
                    if where not in inside:
                        problems.append(f"{name}: {address} leads out of the book")
                    elif place and place not in ids.get(where, {place}):
                        problems.append(f"{name}: {address} has no place")
    return problems


# -- PDF ------------------------------------------------------------------------------------------------


PRINT = """
@page { size: A4; }
html { font-size: 14px; }
main.bound { max-width: none; }
main.bound article { break-before: page; }
main.bound article:first-child { break-before: auto; }
main.bound pre, main.bound code { white-space: pre-wrap; overflow-wrap: anywhere; }
main.bound img { max-height: 11cm; width: auto; }
main.bound figure, main.bound tr, main.bound .atlas-tile { break-inside: avoid; }
main.bound h1, main.bound h2, main.bound h3 { break-after: avoid; }
main.bound .kit-scroll, main.bound div.output, main.bound pre { max-height: none; overflow: visible; }
"""
FOOTER = '<div style="width:100%;text-align:center;font-size:8px"><span class="pageNumber"></span></div>'


def _bound(page: str, place: str = "") -> str:
    """The id that a page, or a place on it, has in the bound book."""
    name = re.sub(r"[^A-Za-z0-9]+", "-", page.removesuffix(".html"))
    return f"{name}--{place}" if place else name


def _moved(site: Path, page: str, ids: dict[str, set[str]]) -> str:
    """A page's article for the bound book: folds open, places renamed, links to other pages now links inside."""
    article = BeautifulSoup(str(pages.article(pages.parse(site, page))), "html.parser").find()
    for button in article.select(".kit-mark > button"):
        button.replace_with(button.get_text())
    for tag in article.select(DROPPED):
        tag.decompose()
    for fold in article.select("details"):
        if fold.find("summary", recursive=False) is None:  # a browser would print "Details"
            fold.name = "div"
            fold["class"] = []
        elif not fold.find_parent(class_="led-list"):
            fold["open"] = ""
    here = posixpath.dirname(page)
    for tag in article.find_all(["img", "source"], src=True):
        if not tag["src"].startswith("data:"):
            tag["src"] = "../" + posixpath.normpath(posixpath.join(here, tag["src"]))
            tag.attrs.pop("loading", None)
    for link in article.find_all("a", href=True):
        if re.match(r"(https?|mailto):", link["href"]):
            continue
        target, _, place = link["href"].partition("#")
        where = posixpath.normpath(posixpath.join(here, target)) if target else page
        if where in ids:
            link["href"] = "#" + _bound(where, place if place in ids[where] else "")
        else:
            del link["href"]
    for tag in article.find_all(id=True):
        tag["id"] = _bound(page, tag["id"])
    article["id"] = _bound(page)
    return str(article)


def pdf(root: Path, site: Path, file: Path, running: object | None = None) -> Path:
    """Print the book: every page of it, in its order, as one document whose links stay inside.

    Parameters
    ----------
    root, site, file : Path
        The repository, the finished site, and where to write.
    running : playwright.sync_api.Browser, optional
        A running browser; by default one is started for this call.
    """
    listed = names(root, site)
    about = yaml.safe_load((root / "_config.yml").read_text(encoding="utf-8"))
    soups = {name: pages.parse(site, name) for name in listed}
    ids = {name: {tag["id"] for tag in soup.find_all(id=True)} for name, soup in soups.items()}
    bodies = "".join(_moved(site, name, ids) for name in listed)
    contents = "".join(
        f'<li><a href="#{_bound(name)}">{html.escape(soup.find("h1").get_text().rstrip("#"))}</a></li>'
        for name, soup in soups.items()
    )
    head = soups[listed[0]].head
    kept = [*head.select('link[rel~="stylesheet"]'), *head.select("style")]
    kept += [tag for tag in soups[listed[0]].find_all("script") if "MathJax" in (tag.string or "")]
    title = html.escape(about["title"])
    text = (
        '<!DOCTYPE html><html lang="en" data-theme="light" data-mode="light"><head><meta charset="utf-8">'
        f"<title>{title}</title>{''.join(map(str, kept))}<style>{PRINT}</style>"
        '<script defer src="../_static/mathjax/tex-mml-chtml.js"></script></head><body>'
        f'<main class="bound"><article class="bd-article"><h1>{title}</h1><p>{html.escape(about["author"])}</p>'
        f"<ol>{contents}</ol></article>{bodies}</main></body></html>"
    )
    depth = posixpath.dirname(listed[0])
    bound = site / depth / "_bound.html"
    bound.write_text(text, encoding="utf-8")
    file.parent.mkdir(parents=True, exist_ok=True)
    try:
        with _browser(running) as opened, browser.serve(site) as base:
            page = browser.new_page(opened)
            page.set_default_timeout(300_000)
            page.goto(f"{base}{depth}/_bound.html", wait_until="load")
            page.evaluate(browser.READY)
            page.emulate_media(media="print", color_scheme="light")
            page.pdf(
                path=str(file),
                format="A4",
                print_background=True,
                margin={"top": "18mm", "bottom": "18mm", "left": "16mm", "right": "16mm"},
                display_header_footer=True,
                header_template="<span></span>",
                footer_template=FOOTER,
                outline=True,
                tagged=True,
            )
    finally:
        bound.unlink()
    return file
