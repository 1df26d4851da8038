"""Numbers in the words of a rendered page as one writes them.

A notebook's own text keeps what Python prints, ``3e-07`` or ``-0.05``; the page says 3·10⁻⁷ and −0.05. Code, formulas
and attributes are left alone. Doing it again changes nothing.
"""

from __future__ import annotations

import re

from press.templates import powers

ARTICLE = re.compile(r"<article\b.*</article>", re.DOTALL)
# What is not words: programs and their output, formulas, pictures, fields; and every other tag.
APART = re.compile(
    r"(<(script|style|pre|code|textarea|noscript|svg|button|select|math)\b.*?</\2\s*>"
    r"|\\\(.*?\\\)|\\\[.*?\\\]|<!--.*?-->|<[^>]+>)",
    re.DOTALL,
)
MINUS = re.compile(r"(?<![\w.\])}&;/#\u2060·−–-])-\u2060?(?=\d)")
TENS = re.compile(r"(?<![\w.])([\d.]+) · 10<sup>(\d)</sup>")  # of a table's cell
EVENING = re.compile(
    r"<strong>After an evening</strong> \((?P<long>from a larger run; (?P<when>[^();]*); (?P<since>[^()]*))\)"
)


def words(text: str) -> str:
    """Words between two tags.

    Examples
    --------
    >>> words("by 3e-07 (-0.1 to 5 %), on 2026-11-30")
    'by 3·10⁻⁷ (−0.1 to 5%), on 2026-11-30'
    """
    text = powers(text.replace("e-\u2060", "e-"))
    text = re.sub(r"(?<=\d)\s+%(?!\w)", "%", MINUS.sub("−", text))
    text = re.sub(r"(?<=\d) x (?=\d)", "\u00a0×\u00a0", text)
    return re.sub(r"(?<=\d) ± (?=\d)", "\u00a0±\u00a0", re.sub(r"(?<=\d) · 10$", "·10", text))


def plain(power: re.Match) -> str:
    """A short number in full: 1.2 · 10² is 120."""
    x = float(power[1]) * 10 ** int(power[2])
    return power[0] if int(power[2]) > 5 else f"{x:,.0f}" if x >= 10_000 else f"{x:.0f}"


def evenings(html: str) -> str:
    """A page that tells once what has changed since its kept run; below the first it is told where it is another."""
    told: list[str] = []

    def shorter(found):
        since = found["since"].replace("’", "'").replace("&#x27;", "'")
        if since not in told:
            told.append(since)
            return found[0]
        return f'<strong title="{found["long"]}">After an evening</strong> ({found["when"]})'

    return EVENING.sub(shorter, html)


def page(html: str) -> str:
    """A rendered page with its article's words set."""
    found = ARTICLE.search(html)
    if not found:
        return html
    parts = APART.split(evenings(TENS.sub(plain, found[0])))
    # Each cut leaves words, what stands apart, and the name of its tag.
    article = "".join(words(text) + (apart or "") for text, apart in zip(parts[::3], [*parts[1::3], ""], strict=True))
    return html[: found.start()] + re.sub(r"(<td[^>]*>)-(</td>)", r"\1–\2", article) + html[found.end() :]
