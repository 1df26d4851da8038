"""The built site in a real browser: headless Chromium, as Debian packages it, driven by Playwright.

:func:`inspect` opens each page once over HTTP and looks at it wide and narrow, light and dark, then
once more from ``file://``, with every host but the site's own unreachable. What it saw comes back as
one :class:`Visit` a look; the gates at the end judge it. A book is published without: a machine may have no browser.
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import os
import shutil
import sys
import threading
import urllib.parse
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from press.pages import html_pages, parse, redirect

HOW_TO_GET_ONE = (
    "no browser found: apt-get install chromium, or set BOOK_BROWSER to the path of a Chromium or Chrome "
    "(and pip install playwright, which drives it)"
)
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
PREFIX = "/book/"  # served below a folder, as on Pages, so that a link from the root of the host shows
WIDE, PHONE = 1280, 390
HEIGHT = {WIDE: 900, PHONE: 844}
SAMPLE = 3  # of many pages made by one function
OWN_SCHEMES = ("data", "blob", "about")
IMPACTS = ("serious", "critical")

# Rules of axe-core that are off, with the reason. Keep it short: mend the page instead.
AXE_OFF: dict[str, str] = {}


class NoBrowser(RuntimeError):
    """There is no browser, or nothing to drive it with."""


@dataclass
class Visit:
    """One look at one page."""

    page: str
    scheme: str
    width: int
    theme: str
    errors: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    broken_maths: list[str] = field(default_factory=list)
    violations: list[dict] = field(default_factory=list)
    too_wide: int = 0
    answers: dict[str, object] = field(default_factory=dict)

    @property
    def where(self) -> str:
        """The look in words, for a problem's place."""
        return f"{self.page} ({self.scheme}, {self.width} px, {self.theme})"


def find_browser() -> Path | None:
    """Return the path of a Chromium or Chrome, or None."""
    if chosen := os.environ.get("BOOK_BROWSER"):
        return Path(chosen) if Path(chosen).is_file() else None
    for name in NAMES:
        if found := shutil.which(name):
            return Path(found)
    return None


def can_browse() -> bool:
    """Say whether there is a browser and something to drive it with."""
    try:
        import playwright.sync_api  # noqa: F401
    except ImportError:
        return False
    return find_browser() is not None


@contextlib.contextmanager
def open_browser() -> Iterator:
    """Start Chromium and yield Playwright's browser.

    Raises
    ------
    NoBrowser
        Where there is no browser or no Playwright.
    """
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        raise NoBrowser(HOW_TO_GET_ONE) from None
    path = find_browser()
    if path is None:
        raise NoBrowser(HOW_TO_GET_ONE)
    with sync_playwright() as driver:
        # The pages are our own, and Chromium's sandbox does not start for root or in most containers.
        browser = driver.chromium.launch(executable_path=str(path), args=list(FLAGS), chromium_sandbox=False)
        try:
            yield browser
        finally:
            browser.close()


class _Handler(http.server.SimpleHTTPRequestHandler):
    def translate_path(self, path: str) -> str:
        place = urllib.parse.urlsplit(path).path
        if not place.startswith(PREFIX):
            return os.path.join(self.directory, "no", "such", "file")
        return super().translate_path("/" + place.removeprefix(PREFIX))

    def log_message(self, format: str, *args: object) -> None:
        """Stay quiet: the visits record what was missing."""


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        # A browser that closes a page drops its connections; anything else is worth its traceback.
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


@contextlib.contextmanager
def serve(folder: Path) -> Iterator[str]:
    """Serve ``folder`` on 127.0.0.1, below a folder of the host, and yield the address (ends in /)."""
    handler = functools.partial(_Handler, directory=str(Path(folder).resolve()))
    server = _Server(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}{PREFIX}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def is_foreign(url: str, base: str) -> bool:
    """Say whether ``url`` lies outside the site at ``base`` (embedded data is inside)."""
    parts, home = urllib.parse.urlsplit(url), urllib.parse.urlsplit(base)
    return parts.scheme not in OWN_SCHEMES and (parts.scheme, parts.netloc) != (home.scheme, home.netloc)


def new_page(browser: object, *, width: int = WIDE, dark: bool = False) -> object:
    """Return a Playwright page of its own context (no shared storage) with the given look."""
    context = browser.new_context(
        viewport={"width": width, "height": HEIGHT.get(width, 900)},
        color_scheme="dark" if dark else "light",
        reduced_motion="reduce",
    )
    return context.new_page()


def watch(page: object, visit: Visit, base: str) -> None:
    """Note in ``visit`` what goes wrong on ``page`` from now on."""
    page.on("pageerror", lambda error: visit.errors.append(str(error).splitlines()[0]))
    page.on("console", lambda message: _note_console(message, visit))
    page.on("request", lambda request: is_foreign(request.url, base) and visit.foreign.append(request.url))
    page.on(
        "response",
        lambda answer: (
            answer.status >= 400 and visit.missing.append(f"{answer.url.removeprefix(base)} answers {answer.status}")
        ),
    )
    page.on(
        "requestfailed",
        lambda request: (
            is_foreign(request.url, base)
            or visit.missing.append(f"{request.url.removeprefix(base)}: {request.failure}")
        ),
    )


def _note_console(message: object, visit: Visit) -> None:
    # A resource that does not load is noted once, from its own event, not from the console's echo.
    if message.type == "error" and not message.text.startswith("Failed to load resource"):
        visit.errors.append(message.text.splitlines()[0])


READY = """async () => {
  if (window.MathJax && MathJax.startup && MathJax.startup.promise) { await MathJax.startup.promise; }
  const views = document.querySelectorAll('script[type="application/vnd.jupyter.widget-view+json"]');
  const until = Date.now() + 15000;
  const drawn = () => Array.from(views).every(view => view.parentElement.querySelector('.jupyter-widgets'));
  while (!drawn() && Date.now() < until) { await new Promise(done => setTimeout(done, 50)); }
  await document.fonts.ready;
  await new Promise(done => setTimeout(done, 100));
  return drawn();
}"""

# MathJax sets an unknown command in red, and an unresolved reference as three question marks.
MATHS = """() => Array.from(document.querySelectorAll(
    'mjx-merror, [data-mjx-error], mjx-container [style*="color: red"]'),
    node => node.getAttribute('data-mjx-error') || node.getAttribute('title') || 'unknown command').concat(
  Array.from(document.querySelectorAll('mjx-assistive-mml'), node => node.textContent)
    .filter(text => text.includes('???')).map(text => 'unresolved reference in ' + text))"""

# A page on which MathJax is loaded and started, and sets nothing.
UNSET = """Object.defineProperty(window, 'MathJax', {configurable: true, set(asked) {
  const value = {...asked, startup: {...asked.startup, typeset: false}};
  Object.defineProperty(window, 'MathJax', {value, writable: true, configurable: true});
}});"""

TOO_WIDE = """() => Math.max(document.documentElement.scrollWidth, document.body.scrollWidth)
  - document.documentElement.clientWidth"""

# A page that has a theme of its own follows the system's: not at once.
THEME = """async theme => {
  const page = document.documentElement.dataset, until = Date.now() + 5000;
  const follows = () => !('theme' in page) || page.theme === theme;
  while (!follows() && Date.now() < until) { await new Promise(done => setTimeout(done, 20)); }
  await new Promise(done => setTimeout(done, 100));
  return follows();
}"""

# The ways in which colours meet on the page, with the first five texts of each: their own colour and size, the colour
# of the text around, the grounds under them, and whether they lie over others. All that are alike are as legible.
SHADES = """() => {
  const grounds = new Map();
  window.shades = new Map();
  const ground = node => {
    if (!node) return '';
    if (!grounds.has(node)) {
      const {backgroundImage, backgroundColor, opacity, position} = getComputedStyle(node);
      const own = [backgroundImage, backgroundColor, opacity, position.replace('relative', 'static')].join(' ');
      grounds.set(node, own === 'none rgba(0, 0, 0, 0) 1 static' ? ground(node.parentElement)
        : own + (/^none rgb\\(.* 1 static$/.test(own) ? '' : ground(node.parentElement)));
    }
    return grounds.get(node);
  };
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const node = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim() || !node.checkVisibility()) continue;
    const {color, fontSize, fontWeight, textDecorationLine} = getComputedStyle(node), kind = node.tagName === 'A';
    const around = getComputedStyle(node.parentElement).color;
    const shade = [kind, color, around, fontSize, fontWeight, textDecorationLine, ground(node)].join(' ');
    window.shades.set(shade, [...window.shades.get(shade) ?? [], node].slice(0, 5));
  }
  return [...window.shades.keys()];
}"""

# Some shades need nothing that is hidden, as folded code is; axe-core takes its time over all that there is.
AXE = """async ([options, shades]) => {
  const seen = node => node.checkVisibility() || getComputedStyle(node).display === 'contents';
  const hidden = node => seen(node) ? [...node.children].flatMap(hidden) : [node];
  const kept = shades ? hidden(document.body).filter(node => !node.matches('script, style, :has(style, iframe)')) : [];
  const parts = kept.map(node => [...node.childNodes]);
  kept.forEach(node => node.replaceChildren());
  const where = shades ? {include: shades.flatMap(shade => window.shades.get(shade))} : document;
  const found = await axe.run(where, {resultTypes: ['violations'], ...options});
  kept.forEach((node, i) => node.replaceChildren(...parts[i]));
  return found.violations.map(one => ({id: one.id, impact: one.impact, help: one.help,
    nodes: one.nodes.map(node => ({target: node.target.join(' '), html: node.html.slice(0, 160),
      why: (node.failureSummary || '').split('\\n').slice(1).join('; ').trim()}))}));
}"""


def go(page: object, url: str) -> None:
    """Open ``url`` and wait until its maths and widgets are drawn."""
    page.goto(url, wait_until="load", timeout=60_000)
    if not page.evaluate(READY):
        raise TimeoutError(f"the widgets of {url} are not drawn after 15 s")


def violations(page: object, axe: str, rules: Iterable[str] = (), shades: list[str] | None = None) -> list[dict]:
    """Run axe-core on the page as it is, without `rules`, or by these alone on the texts of some :data:`SHADES`.

    Returns the serious and critical violations.
    """
    if not page.evaluate("() => typeof window.axe === 'object'"):
        page.evaluate(axe)
    off = {"rules": {name: {"enabled": False} for name in (*AXE_OFF, *rules)}}
    found = page.evaluate(AXE, [{"runOnly": list(rules)} if shades else off, shades])
    return [one for one in found if one["impact"] in IMPACTS]


LOOKS = ((WIDE, "light"), (WIDE, "dark"), (PHONE, "dark"), (PHONE, "light"))
WHOLE = (LOOKS[0], LOOKS[2])  # both widths and both themes
OF_COLOURS = ("color-contrast", "link-in-text-block")


def look_http(
    browser: object, base: str, name: str, axe: str | None, questions: Mapping[str, str] = {}, judged: set | None = None
) -> list[Visit]:
    """Open one page over HTTP and look at it in each of :data:`LOOKS`; a question is a script that the page answers.

    In two looks, which show both widths and both themes, axe-core judges all but colours. Of these it judges in each
    look what is new: texts whose :data:`SHADES` are in `judged`, on this page or another, are as legible there as here.
    """
    page, visits, judged = new_page(browser), [], set() if judged is None else judged
    log = Visit(name, "http", *LOOKS[0])
    watch(page, log, base)
    try:
        for width, theme in LOOKS:
            visit = log if not visits else Visit(name, "http", width, theme)
            page.set_viewport_size({"width": width, "height": HEIGHT[width]})
            page.emulate_media(color_scheme=theme, reduced_motion="reduce")
            if not visits:
                _try_to_open(page, base + name, visit)
                visit.broken_maths = page.evaluate(MATHS)
            else:
                # Some parts answer a change of width after 300 ms.
                page.wait_for_timeout(0 if width == visits[-1].width else 300)
            if not page.evaluate(THEME, theme):
                visit.errors.append(f"the page does not turn {theme} within 5 s")
            visit.too_wide = max(0, page.evaluate(TOO_WIDE))
            if axe:
                shades = page.evaluate(SHADES)
                whole = (width, theme) in WHOLE
                new = [shade for shade in shades if shade not in judged]
                visit.violations = violations(page, axe, OF_COLOURS, new) if new else []
                judged.update([] if visit.violations else new)
                visit.violations += violations(page, axe, OF_COLOURS) if whole else []
            visit.answers = {key: page.evaluate(script) for key, script in questions.items()}
            visits.append(visit)
    finally:
        page.context.close()
    return visits


def look_file(
    browser: object, site: Path, name: str, questions: Mapping[str, str] = {}, *, formulas: bool = True
) -> Visit:
    """Open one page from the disk, as a reader does who unpacked the book; its formulas take most of the time."""
    root = Path(site).resolve()
    base, page = root.as_uri() + "/", new_page(browser)
    visit = Visit(name, "file", WIDE, "light")
    watch(page, visit, base)
    if not formulas:
        page.add_init_script(UNSET)
    try:
        _try_to_open(page, base + name, visit)
        visit.broken_maths = page.evaluate(MATHS)
        visit.answers = {key: page.evaluate(script) for key, script in questions.items()}
    finally:
        page.context.close()
    return visit


def _try_to_open(page: object, url: str, visit: Visit) -> None:
    try:
        go(page, url)
    except TimeoutError as error:
        visit.errors.append(str(error))


def looked_at(site: Path) -> list[str]:
    """The pages that are looked at: all that do not merely send their visitor on, and the largest few of the kit's.

    The kit's pages are many and made by one function.
    """
    found = [page for page in html_pages(site) if redirect(parse(site, page)) is None]
    alike = sorted((page for page in found if page.startswith("kit/")), key=lambda page: (site / page).stat().st_size)
    return [page for page in found if page not in alike[:-SAMPLE]]


def inspect(
    site: Path,
    pages: Iterable[str] | None = None,
    *,
    axe: Path | None = None,
    browser: object | None = None,
    questions: Mapping[str, str] = {},
) -> list[Visit]:
    """Look at ``pages`` over HTTP and from the disk, there without setting their formulas a second time.

    Parameters
    ----------
    site : Path
        The folder of the rendered book.
    pages : iterable of str, optional
        Paths inside ``site``; default: those of :func:`looked_at`.
    axe : Path, optional
        axe-core's script (:func:`press.assets.axe_script`); without it accessibility is not judged.
    browser : playwright.sync_api.Browser, optional
        A running browser; by default one is started for this call.
    questions : mapping of str to str, optional
        Scripts that each page is asked in each look, by their names in :attr:`Visit.answers`.

    Raises
    ------
    NoBrowser
        Where there is no browser or no Playwright.
    """
    site = Path(site)
    if pages is None:
        pages = looked_at(site)
    script = Path(axe).read_text(encoding="utf-8") if axe else None
    visits: list[Visit] = []
    judged: set[str] = set()
    start = open_browser() if browser is None else contextlib.nullcontext(browser)
    with start as running, serve(site) as base:
        for name in pages:
            visits += look_http(running, base, name, script, questions, judged)
            visits.append(look_file(running, site, name, questions, formulas=False))
    return visits


# -- the gates that judge what a browser saw ------------------------------------------------------------


def no_request_leaves(visits: list[Visit]) -> list[str]:
    """No page asks a host other than the site's own for anything."""
    return [f"{visit.where}: asks for {url}" for visit in visits for url in sorted(set(visit.foreign))]


def the_console_is_silent(visits: list[Visit]) -> list[str]:
    """No script fails and nothing that a page loads is missing."""
    return [
        f"{visit.where}: {kind}: {text}"
        for visit in visits
        for kind, texts in (("error in the console", visit.errors), ("does not load", visit.missing))
        for text in sorted(set(texts))
    ]


def every_formula_is_set(visits: list[Visit]) -> list[str]:
    """No formula holds an error, an unknown command or an unresolved reference."""
    return [
        f"{visit.where}: a formula is broken: {text}" for visit in visits for text in sorted(set(visit.broken_maths))
    ]


def everyone_can_use_it(visits: list[Visit]) -> list[str]:
    """axe-core finds no violation of impact serious or critical, in any look."""
    seen: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for visit in visits:
        for one in visit.violations:
            node = one["nodes"][0] if one["nodes"] else {"target": "?", "why": ""}
            words = f"{one['id']} ({one['impact']}): {one['help']}; {len(one['nodes'])} places, first {node['target']}"
            seen[(visit.page, words, node["why"])].append(f"{visit.width} px {visit.theme}")
    return [
        f"{page} ({', '.join(looks)}): {words}{': ' + why if why else ''}" for (page, words, why), looks in seen.items()
    ]


def it_fits_a_phone(visits: list[Visit]) -> list[str]:
    """No page scrolls sideways."""
    return [f"{visit.where}: is {visit.too_wide} px wider than the screen" for visit in visits if visit.too_wide > 1]


GATES = (no_request_leaves, the_console_is_silent, every_formula_is_set, everyone_can_use_it, it_fits_a_phone)
