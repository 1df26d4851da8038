"""Repairs to the rendered pages: what the theme and the extensions write and no option turns off.

Run once after Sphinx and before the gates; running it again changes nothing.
"""

from __future__ import annotations

import re
from pathlib import Path

from press import margin, typeset

REPAIRS: tuple[tuple[str, re.Pattern, str], ...] = (
    (
        "live code is off, yet its address and a constant declared twice (a console error) stand on each page",
        re.compile(
            r"<script>\s*const THEBE_JS_URL(?:(?!</script>).)*</script>\s*"
            r'|<script\b[^>]*\bsrc="[^"]*sphinx-thebe\.js[^"]*"[^>]*>\s*</script>\s*'
            r'|<script\b[^>]*\btype="text/x-thebe-config"[^>]*>(?:(?!</script>).)*</script>\s*'
            r"|<script>\s*kernelName = (?:(?!</script>).)*</script>\s*",
            re.DOTALL,
        ),
        "",
    ),
    (
        "the search button reads 'Search Ctrl+K', its name must hold that text: the text itself is the name",
        re.compile(r'(<button\b[^>]*\bsearch-button-field\b[^>]*?) aria-label="Search"'),
        r"\1",
    ),
    (
        "the icons inside the button 'Color mode' name states that are not part of its name",
        re.compile(r'(<i\b[^>]*\btheme-switch\b[^>]*?)\s+title="[^"]*"'),
        r"\1",
    ),
    (
        "a folded code cell reads 'Show code cell source' but is named 'Toggle hidden content'",
        re.compile(r'<summary aria-label="Toggle hidden content">'),
        "<summary>",
    ),
    (
        "the entries of a bibliography stand in a list, but their deprecated role is not that of a list's item",
        re.compile(r'(<div class="citation"[^>]*) role="doc-biblioentry"'),
        r'\1 role="listitem"',
    ),
    (
        "Sphinx numbers equations through the book, and its link to them is an arrow after the number",
        re.compile(r'(id="equation-eq-(\d+)-(\d+)">\s*<span class="eqno">)\(\d+\)(?:<a class="headerlink".*?</a>)?'),
        r"\1(\2.\3)",
    ),
    (
        "Jupyter Book numbers figures through the book, whatever numfig says; a caption holds its own number",
        re.compile(r'<span class="caption-number">[^<]*</span>(?=<span class="caption-text">)'),
        "",
    ),
    (
        "Markdown has no name for an erratum's box: it is the quotation that begins with 'What the paper prints.'",
        re.compile(r"<blockquote>(?=\s*(?:<div>\s*)?<p><strong>What [^<.]{3,30} (?:prints?|says?)\.?</strong>)"),
        '<blockquote class="kit-erratum">',
    ),
    (
        "Markdown has no name for a side note: it is the quotation that begins with words in italics and a full stop",
        re.compile(r"<blockquote>(?=\s*(?:<div>\s*)?<p><em>(?:(?!</em>).)*\.</em>)"),
        '<blockquote class="kit-side" role="note">',
    ),
    (
        "a run that has nothing to be compared with names its chapter by its file",
        re.compile(
            r"(<p>How far )the numbers of \d\d_\w+ move with the seed (was not measured at profile )(\w+)\.</p>"
        ),
        r"\1the numbers of this chapter move with another seed \2<code>\3</code>.</p>",
    ),
    (
        "an interval in a table's cell takes two lines where it would fit on one",
        re.compile(r"(<td>[^<]*\d) to (?=[+\u2212-]?\d)"),
        "\\1\N{NO-BREAK SPACE}to\N{NO-BREAK SPACE}",
    ),
    (
        "a short name or option breaks at its hyphen",
        re.compile(r'<span class="pre">(?=[\w-]{1,24}</span>)(?=\w*-)'),
        '<span class="pre kit-name">',
    ),
    (
        "a short name or option breaks at its hyphen, where it was written as HTML",
        re.compile(r"<code>(?=[\w-]{1,24}</code>)(?=\w*-)"),
        '<code class="kit-name">',
    ),
    (
        "a line may end between a formula and its comma",
        re.compile(
            r'(?<!kit-whole">)(?<!kit-whole">\()(\(?<span class="math notranslate nohighlight">[^<]*</span>[,.;:!?)’]+)'
        ),
        r'<span class="kit-whole">\1</span>',
    ),
)


# pandas gives the names of an index of several storeys a row of their own, below the heads of the columns.
HEADS = re.compile(
    r'<tr style="text-align: right;">(?P<heads>(?:\s*<th></th>)+(?:\s*<th>[^<]+</th>)+\s*)</tr>'
    r"\s*<tr>(?P<names>(?:\s*<th>[^<]*</th>)+?(?:\s*<th></th>)+\s*)</tr>(?=\s*</thead>)"
)


def one_head(found: re.Match) -> str:
    """Return a table's two head rows as one where every cell is named by one of them."""
    heads, names = (re.findall(r"<th>([^<]*)</th>", found[row]) for row in ("heads", "names"))
    if len(heads) != len(names) or any(head and name for head, name in zip(heads, names, strict=True)):
        return found[0]
    cells = "".join(f"<th>{head or name}</th>" for head, name in zip(heads, names, strict=True))
    return f"<tr>{cells}</tr>"


# A kept table lies as its cells alone: what its rows are named by stands in the day's table of the same id.
KEPT_HEAD = re.compile(
    r'(id="kept-(?P<chapter>\d\d)-table-(?P<id>[^"]+)-table"(?:(?!</table>).)*?<thead>\s*)(?P<head><tr\b.*?</tr>)(?=\s*</thead>)',
    re.DOTALL,
)


def kept_heads(html: str) -> str:
    """A page whose kept tables name the columns that the day's tables name."""

    def named(found):
        day = re.search(
            rf'id="tab-{found["chapter"]}-{re.escape(found["id"])}"(?:(?!</table>).)*?<thead>\s*(<tr\b.*?</tr>)\s*</thead>',
            html,
            re.DOTALL,
        )
        heads, names = (
            re.findall(r"<th[^>]*>(.*?)</th>", row, re.DOTALL) for row in (found["head"], day[1] if day else "")
        )
        alike = len(heads) == len(names) and all(head in ("", name) for head, name in zip(heads, names, strict=True))
        return found[1] + day[1] if alike else found[0]

    return KEPT_HEAD.sub(named, html)


NIGHT = "_images/night"  # pictures for a dark page, by their figure's id
KEPT = "_images/kept"  # those of a kept run, for a light page; the notebook holds them within itself
FIGURE = re.compile(
    r'(<(?:figure\b[^>]*|div class="kit-kept") id="(?P<id>(?:fig|hero|kept)-[^"]+)"(?:(?!</figure>|</div>).)*?)'
    r"(?P<img><img\b[^>]*>)",
    re.DOTALL,
)


HEAD = re.compile(r"<head>.*?</head>", re.DOTALL)
STATE = re.compile(r'<script type="application/vnd\.jupyter\.widget-state\+json">.*?</script>\s*', re.DOTALL)
# The settings that lines of the head add to; every other script can wait until the page is read.
WAITS = re.compile(r"<script(?=[^>]* src=)(?![^>]*\bdefer\b)(?![^>]*/documentation_options\.js)", re.IGNORECASE)


def quickened(html: str) -> str:
    """Return one page that is seen before its scripts run: they wait for its text, the sliders' pictures end it."""
    head = HEAD.search(html)
    if not head or "</body>" not in html:
        return html
    states = STATE.findall(head[0])
    light = WAITS.sub("<script defer", STATE.sub("", head[0]))
    before, _, after = (light + html[head.end() :]).rpartition("</body>")
    return html[: head.start()] + before + "".join(states) + "</body>" + after


def mend_page(html: str, nights: frozenset[str] = frozenset()) -> str:
    """One page with every repair of :data:`REPAIRS`, marks and numbers set, figures in both lights, scripts last."""
    for _, pattern, replacement in REPAIRS:
        html = pattern.sub(replacement, html)

    html = kept_heads(HEADS.sub(one_head, html))

    def both(found):
        if found["id"] not in nights or "only-light" in found["img"]:
            return found[0]
        day = re.sub(r'src="data:[^"]*"', f'src="../{KEPT}/{found["id"]}.webp"', found["img"])
        day = re.sub(r' class="[^"]*"', "", day).replace("<img", '<img class="only-light"', 1)
        night = re.sub(r'src="[^"]*"', f'src="../{NIGHT}/{found["id"]}.webp"', day).replace(
            "only-light", "only-dark", 1
        )
        return found[1] + day + night.replace("<img", '<img loading="lazy"', 1)

    return quickened(typeset.page(margin.opened(FIGURE.sub(both, html))))


def lighten(site: Path) -> None:
    """Give a palette to every picture that 256 colours can show: a plot weighs a third then. Faces keep each pixel."""
    import numpy as np
    from PIL import Image

    for path in sorted((Path(site) / "_images").glob("*.png")):
        with Image.open(path) as image:
            if image.mode == "P" or (image.mode == "RGBA" and image.getextrema()[3][0] < 255):
                continue
            whole = image.convert("RGB")
        few = whole.quantize(256, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
        off = np.abs(np.asarray(whole, int) - np.asarray(few.convert("RGB"), int)).max(2)
        if off.mean() < 0.1 and np.quantile(off, 0.999) < 16:  # grey levels
            few.save(path, "png", compress_level=9)
        else:  # without the opaque fourth channel and at its smallest a picture of faces weighs a tenth less
            whole.save(path, "png", optimize=True)


def mend(site: Path) -> list[Path]:
    """Repair every page of ``site`` in place, and lighten its pictures; return the pages that changed."""
    lighten(site)
    changed, nights = [], frozenset(path.stem for path in (Path(site) / NIGHT).glob("*.webp"))
    for path in sorted(Path(site).rglob("*.html")):
        before = path.read_text(encoding="utf-8")
        after = mend_page(before, nights)
        if after != before:
            path.write_text(after, encoding="utf-8")
            changed.append(path)
    return changed
