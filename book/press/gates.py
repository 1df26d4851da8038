"""What keeps a rendered site from being published: one small function a fault.

A gate takes what it needs by name: ``site`` (the folder of HTML), ``results`` (one dictionary a chapter, as
:func:`press.runs.results.collect` makes it), ``pages`` (the names in ``_toc.yml``, see
:func:`press.pages.toc_pages`). It returns its problems in words that name page and place; an empty list means that the
gate is open. :func:`run` asks them all. What only a browser sees is judged by the tests (``tests/book/browser.py``).
"""

from __future__ import annotations

import inspect
import json
import re
import urllib.parse
from collections import Counter, defaultdict
from collections.abc import Callable
from pathlib import Path

from press import code_links
from press.pages import (
    WIDGET_VIEW,
    article,
    chapter_page,
    chapters,
    element_id,
    html_pages,
    parse,
    place,
    prose,
    redirect,
    widget_html,
    widget_models,
)

LARGEST_PAGE = 3_000_000  # bytes of HTML and of the page's own pictures
SHORTEST_ALT = 40
FOREIGN = re.compile(r"^(?:https?:|wss?:|ftp:)?//", re.IGNORECASE)


# -- the gates that read files ------------------------------------------------------------------------


def no_error_output(site: Path, results: list[dict]) -> list[str]:
    """No chapter failed and no page or notebook in the site shows a traceback."""
    problems = [
        f"chapter {result['chapter']}: its run ended as {result.get('status')!r}, not as 'passed'"
        for result in results
        if result.get("status") != "passed"
    ]
    for page in html_pages(site):
        for box in parse(site, page).select(".output.traceback, .output.error, .nb-traceback"):
            lines = box.get_text().strip().splitlines() or ["no text"]
            problems.append(f"{page}: an output is an error: {lines[-1].strip()}")
    for path in sorted(Path(site).rglob("*.ipynb")):
        for index, cell in enumerate(json.loads(path.read_text(encoding="utf-8"))["cells"]):
            for output in cell.get("outputs", []):
                if output["output_type"] == "error":
                    problems.append(
                        f"{path.relative_to(site).as_posix()}: cell {index} holds an error: "
                        f"{output['ename']}: {output['evalue']}"
                    )
    return problems


def every_page_exists(site: Path, results: list[dict], pages: list[str]) -> list[str]:
    """Each name in the table of contents has its page, each chapter its page and its result."""
    problems = [
        f"{name}.html: is in the table of contents, but was not rendered"
        for name in pages
        if not (Path(site) / f"{name}.html").is_file()
    ]
    listed = set(pages)
    for result in results:
        page = chapter_page(result)
        if page.removesuffix(".html") not in listed:
            problems.append(f"{page}: the chapter has a result, but is not in the table of contents")
    known = {chapter_page(result).removesuffix(".html") for result in results}
    problems += [
        f"{name}.html: is a chapter in the table of contents, but has no result"
        for name in pages
        if name.startswith("notebooks/") and name not in known
    ]
    return problems


def every_record_is_shown(site: Path, results: list[dict]) -> list[str]:
    """Each figure, table, explorable, check and claim of a run stands on its page, and no figure without a run."""
    problems = []
    marks = ["button", "th"]  # a sign at its sentence that opens, or a row of its section's table
    inside = {"figure": "img", "table": "table", "claim": marks, "check": marks}
    for result, page, soup in chapters(site, results):
        expected, ids = set(), defaultdict(list)
        for tag in soup.find_all(id=True):
            ids[tag["id"]].append(tag)
        for record in result["records"]:
            name = element_id(record, result["chapter"])
            if name is None:
                continue
            expected.add(name)
            found = ids[name]
            if not found:
                problems.append(f"{page}: {place(record)} is registered, but #{name} is not on the page")
            elif len(found) > 1:
                problems.append(f"{page}: {place(record)}: #{name} stands on the page {len(found)} times")
            elif (tag := inside.get(record["type"])) and found[0].name != tag and not found[0].find(tag):
                problems.append(f"{page}: {place(record)}: #{name} holds no {tag}")
        sliders = sum(record["type"] == "explorable" for record in result["records"])
        views = len(soup.find_all("script", type=WIDGET_VIEW))
        if views < sliders:
            problems.append(f"{page}: {sliders} explorables are registered, but {views} widgets are on the page")
        prefixes = tuple(f"{kind}-{result['chapter'][:2]}-" for kind in ("fig", "tab", "exp"))
        for name in sorted(ids.keys() - expected):
            if name.startswith(prefixes):
                problems.append(f"{page}: #{name} is on the page, but no run registered it")
    return problems


def kept_networks_are_measured_again(results: list[dict]) -> list[str]:
    """Each network that an evening's run left was loaded and held to its number; smoke has no sizes for it."""
    return [
        f"{chapter_page(result)}: the kept network {name!r} is not measured again; see run.recheck"
        for result in results
        if result["profile"] != "smoke"
        for name in result.get("kept_networks", ())
        if not any(row["stand_in"] for row in result["data"])
        and not any(r["type"] == "check" and r["id"] == f"kept-{name}" for r in result["records"])
    ]


def every_picture_has_words(site: Path, results: list[dict]) -> list[str]:
    """Each figure carries its run's alternative text (long enough, not its caption); each other picture has one."""
    problems = []
    for result, page, soup in chapters(site, results):
        for record in result["records"]:
            if record["type"] != "figure":
                continue
            alt = " ".join((record.get("alt") or "").split())
            if len(alt) < SHORTEST_ALT:
                problems.append(
                    f"{page}: {place(record)}: its alternative text has {len(alt)} characters; "
                    f"at least {SHORTEST_ALT} are needed"
                )
            if alt and alt == " ".join((record.get("caption") or "").split()):
                problems.append(f"{page}: {place(record)}: its alternative text repeats its caption")
            box = soup.find(id=element_id(record, result["chapter"]))
            for image in box.find_all("img") if box else []:
                if " ".join(image.get("alt", "").split()) != alt:
                    problems.append(
                        f"{page}: {place(record)}: the picture says {image.get('alt')!r}, its run said {alt!r}"
                    )
    for page in html_pages(site):
        soup = parse(site, page)
        pictures = [("", image) for image in article(soup).find_all("img")]
        pictures += [("a widget: ", image) for part in widget_html(soup) for image in part.find_all("img")]
        for where, image in pictures:
            alt = image.get("alt", "").strip()
            source = image.get("src", "")[:60]
            if not alt:
                problems.append(f"{page}: {where}a picture without alternative text ({source})")
            elif re.fullmatch(r"\S+\.(?:png|jpe?g|svg|gif|webp)", alt):
                problems.append(f"{page}: {where}a file name in place of alternative text ({alt})")
        count = sum(model.get("model_name") == "ImageModel" for model in widget_models(soup))
        if count:
            problems.append(
                f"{page}: {count} Image widgets, which cannot hold alternative text; use HTML widgets with <img alt>"
            )
    return problems


def no_photographs_of_people(site: Path, results: list[dict]) -> list[str]:
    """No figure prints photographs of real people one by one."""
    return [
        f"{page}: {place(record)} prints photographs of people one by one; show measurements or drawn faces"
        for result, page, _ in chapters(site, results)
        for record in result["records"]
        if record.get("photographs_of_people") and record["type"] in ("figure", "explorable")
    ]


def links_hold(site: Path) -> list[str]:
    """Each link and source inside the site leads to a file that exists and to an id that is there."""
    site = Path(site).resolve()
    problems = []
    names: dict[str, set[str]] = {}

    def ids(page: str) -> set[str]:
        if page not in names:
            soup = parse(site, page)
            names[page] = {tag["id"] for tag in soup.find_all(id=True)} | {
                tag["name"] for tag in soup.find_all("a", attrs={"name": True})
            }
        return names[page]

    for page in html_pages(site):
        broken = set()
        soup = parse(site, page)
        targets = [tag[name] for name in ("href", "src") for tag in soup.find_all(attrs={name: True})]
        for target in [*targets, redirect(soup) or ""]:
            parts = urllib.parse.urlsplit(target)
            if parts.scheme or FOREIGN.match(target) or target in ("", "#"):
                continue
            file = (site / page).parent / urllib.parse.unquote(parts.path) if parts.path else site / page
            file = file.resolve()
            if parts.path.startswith("/"):
                broken.add(f"{target} starts at the root of the host; it fails below a folder and from file://")
            elif site not in (file, *file.parents):
                broken.add(f"{target} leads out of the site")
            elif not file.exists():
                broken.add(f"{target} does not exist")
            elif parts.fragment and file.suffix == ".html":
                fragment = urllib.parse.unquote(parts.fragment)
                if fragment not in ids(file.relative_to(site).as_posix()):
                    broken.add(f"{target}: no element has the id {fragment!r}")
        problems += [f"{page}: the link {text}" for text in sorted(broken)]
    return problems


def words_are_explained_once(site: Path) -> list[str]:
    """A page leads to a word of the glossary from its first use alone."""
    return [
        f"{page}: {count} links explain {target.partition('#')[2]}; the first use has one"
        for page in html_pages(site)
        for target, count in Counter(link["href"] for link in parse(site, page).select("a.book-term")).items()
        if count > 1
    ]


def code_leads_to_the_kit(site: Path) -> list[str]:
    """What a chapter imports from the kit is a link to the page that describes it."""
    return code_links.missing(site)


FOOTNOTE = re.compile(r"\[\^[^\]\s]+\]")


def references_hold(site: Path) -> list[str]:
    """No label, equation, citation or footnote reference is left unresolved."""
    problems = []
    for page in html_pages(site):
        soup = article(parse(site, page))
        for tag in soup.select(".xref"):
            if "myst" in tag["class"] or tag.find_parent("a", href=True) is None:
                problems.append(f"{page}: the reference {tag.get_text(' ', strip=True)!r} leads nowhere")
        for tag in soup.select(".bibtex-citation"):
            if tag.find("a") is None or re.search(r"[\[,;]\s*[\],;]", tag.get_text()):
                problems.append(
                    f"{page}: a citation names no entry of the bibliography "
                    f"(beside {tag.parent.get_text(' ', strip=True)[:60]!r})"
                )
        for tag in soup.select(".problematic, .system-message"):
            problems.append(f"{page}: Sphinx could not read {tag.get_text(' ', strip=True)[:60]!r}")
        problems += [f"{page}: the footnote {mark} is not defined" for mark in FOOTNOTE.findall(prose(soup))]
    return problems


GLUE = re.compile(r"\{glue(?::\w+)?\}`(?:[^`]*?::)?([^`:]+)(?::[^`]*)?`")
PLACEHOLDER = re.compile(r"(?<![_^])(?:\{\{[^{}]*\}\}|\{[A-Za-z_][\w.]*(?:![rsa])?(?::[^{}\s]*)?\})")


def numbers_have_results(site: Path, results: list[dict]) -> list[str]:
    """Each number that prose asks for by name was measured, and no placeholder is left on a page."""
    values = {record["id"] for result in results for record in result["records"] if record["type"] == "value"}
    problems = []
    for page in html_pages(site):
        if page.startswith("kit/"):  # descriptions of functions that fill in placeholders
            continue
        soup = parse(site, page)
        problems += [
            f"{page}: the placeholder {mark} was never filled in"
            for mark in sorted(set(PLACEHOLDER.findall(prose(soup))))
        ]
        for tag in article(soup).find_all(attrs={"data-kit-value": True}):
            if tag["data-kit-value"] not in values:
                problems.append(f"{page}: prose shows the value {tag['data-kit-value']!r}, which no run recorded")
    for path in sorted(Path(site, "_sources").rglob("*")):
        if path.suffix not in (".md", ".ipynb", ".txt"):
            continue
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".ipynb":
            text = "\n".join(
                "".join(cell["source"]) for cell in json.loads(text)["cells"] if cell["cell_type"] == "markdown"
            )
        problems += [
            f"{path.relative_to(site).as_posix()}: prose asks for the value {name!r}, which no run recorded"
            for name in sorted(set(GLUE.findall(text)) - values)
        ]
    return problems + [problem for result in results for problem in numbers_without_result(result)]


def numbers_without_result(result: dict) -> list[str]:
    """What a chapter says that is no number: nothing, not a number, or infinite."""
    return [
        f"{chapter_page(result)}: {place(record)} is {record.get('value')!r}, not a result"
        for record in result["records"]
        if record["type"] == "value" and str(record.get("value")).lower().lstrip("-") in ("none", "nan", "inf")
    ]


RAW_MATHS = re.compile(
    r"\$[^$\n]{0,200}?(?:\\[A-Za-z]|[A-Za-z0-9][_^][A-Za-z0-9{\\])[^$\n]{0,200}?\$"  # between dollar signs
    r"|[A-Za-z0-9)\]]+[_^]\{[^{}\n]{0,40}\}"  # or a bare subscript in braces
)


def no_raw_maths(site: Path) -> list[str]:
    """No formula stands on a page as its LaTeX source, and a page with formulas has what sets them."""
    silent = [
        f"{page}: shows formulas and loads nothing that sets them"
        for page in html_pages(site)
        if (soup := parse(site, page)).select(".math") and not soup.select('script[src*="mathjax"]')
    ]
    twice = [
        f"{page}: loads what sets formulas more than once, and then its start never ends"
        for page in html_pages(site)
        if len(parse(site, page).select('script[src*="tex-mml-chtml"]')) > 1
    ]
    return (
        silent
        + twice
        + [
            f"{page}: {formula} was not set as a formula"
            for page in html_pages(site)
            for formula in sorted(set(RAW_MATHS.findall(prose(parse(site, page)))))
        ]
    )


MACHINE_PATH = re.compile(r"(?:/home/|/root/|/Users/|/tmp/ipykernel_)[\w.@-]+[\w./@-]*")


def no_warnings(site: Path) -> list[str]:
    """No page shows a library's warning: it means nothing to a reader, or it should be heeded."""
    return [
        f"{page}: shows the warning {' '.join(box.get_text().split())[:200]!r}"
        for page in html_pages(site)
        for box in parse(site, page).select(".output.stderr")
        if re.search(r"\w*Warning\b", box.get_text())
    ]  # the progress bar of a download may stay


def no_machine_paths(site: Path) -> list[str]:
    """No page and no downloadable notebook tells where on the builder's disk something lay."""
    problems = []
    for path in [*(Path(site) / page for page in html_pages(site)), *sorted(Path(site).rglob("*.ipynb"))]:
        text = path.read_text(encoding="utf-8")
        problems += [
            f"{path.relative_to(site).as_posix()}: holds the path {found}"
            for found in sorted(set(MACHINE_PATH.findall(text)))
        ]
    return problems


LOADING = {
    "script": ("src",),
    "img": ("src", "srcset"),
    "iframe": ("src",),
    "source": ("src", "srcset"),
    "video": ("src", "poster"),
    "audio": ("src",),
    "embed": ("src",),
    "object": ("data",),
    "input": ("src",),
}
LOADING_RELS = {"stylesheet", "preload", "prefetch", "modulepreload", "preconnect", "dns-prefetch", "icon", "manifest"}
FOREIGN_CSS = re.compile(r"""(?:url\(\s*["']?|@import\s+["'])((?:https?:)?//[^"')\s]+)""", re.IGNORECASE)


def nothing_loads_from_elsewhere(site: Path) -> list[str]:
    """No page and no style sheet names a script, style, picture or font on another host."""
    problems = []
    for page in html_pages(site):
        soup = parse(site, page)
        for part in (soup, *widget_html(soup)):
            for tag in part.find_all([*LOADING, "link"]):
                if tag.name == "link":
                    rels = set(tag.get("rel") or ())
                    wanted = [tag.get("href", "")] if rels & LOADING_RELS else []
                else:
                    wanted = [address for name in LOADING[tag.name] for address in tag.get(name, "").split(", ")]
                problems += [
                    f"{page}: <{tag.name}> loads {address.strip()}"
                    for address in wanted
                    if FOREIGN.match(address.strip())
                ]
            styles = [style.string or "" for style in part.find_all("style")]
            styles += [tag["style"] for tag in part.find_all(style=True)]
            problems += [
                f"{page}: a style loads {address}" for style in styles for address in FOREIGN_CSS.findall(style)
            ]
    for path in sorted(Path(site).rglob("*.css")):
        problems += [
            f"{path.relative_to(site).as_posix()}: loads {address}"
            for address in FOREIGN_CSS.findall(path.read_text(encoding="utf-8"))
        ]
    return problems


def page_weight(site: Path, page: str) -> int:
    """Return the bytes of a page and of its own pictures; what all pages share is not counted."""
    path = (Path(site) / page).resolve()
    shared, own = (Path(site) / "_static").resolve(), {path}
    for tag in parse(site, page).find_all(["img", "source", "video", "audio"], src=True):
        source = urllib.parse.urlsplit(tag["src"])
        if source.scheme or source.netloc:
            continue
        file = (path.parent / urllib.parse.unquote(source.path)).resolve()
        if file.is_file() and shared not in file.parents:
            own.add(file)
    return sum(file.stat().st_size for file in own)


def no_page_is_heavy(site: Path) -> list[str]:
    """No page with its pictures is over 3 MB."""
    return [
        f"{page}: weighs {weight / 1e6:.2f} MB with its pictures; {LARGEST_PAGE / 1e6:.0f} MB are allowed"
        for page in html_pages(site)
        if (weight := page_weight(site, page)) > LARGEST_PAGE
    ]


Gate = Callable[..., list[str]]

GATES: list[Gate] = [
    no_error_output,
    every_page_exists,
    every_record_is_shown,
    kept_networks_are_measured_again,
    every_picture_has_words,
    no_photographs_of_people,
    links_hold,
    references_hold,
    words_are_explained_once,
    code_leads_to_the_kit,
    numbers_have_results,
    no_raw_maths,
    no_warnings,
    no_machine_paths,
    nothing_loads_from_elsewhere,
    no_page_is_heavy,
]


def ask(gate: Gate, **given: object) -> list[str]:
    """Ask one gate, handing it those of the given things that it names."""
    return gate(**{name: given[name] for name in inspect.signature(gate).parameters})


def run(site: Path, results: list[dict], *, pages: list[str]) -> list[str]:
    """Ask every gate; return all problems, each with its gate's name in front.

    Parameters
    ----------
    site : Path
        The folder of the rendered book.
    results : list of dict
        One dictionary a chapter.
    pages : list of str
        The names in the table of contents, see :func:`press.pages.toc_pages`.
    """
    return [
        f"{gate.__name__}: {problem}"
        for gate in GATES
        for problem in ask(gate, site=Path(site), results=results, pages=pages)
    ]
