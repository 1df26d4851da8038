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
    r"<strong>After an evening</strong> "
    r"\((?P<long>from a larger run; (?:(?P<when>[^();]*to this point[^();]*); )?(?P<since>[^()]*))\)"
)
SECONDS = re.compile(
    r"(?<=from a larger run; )(\d+ (?:seconds|minutes)) to this point, here (\d+ (?:seconds|minutes)); "
)


def words(text: str) -> str:
    """Words between two tags.

    Examples
    --------
    >>> words("by 3e-07 (-0.1 to 5 %), on 2026-11-30"), words("1 - AUC of N &gt;= 2 runs")
    ('by 3·10⁻⁷ (−0.1 to 5%), on 2026-11-30', '1 − AUC of N ≥ 2 runs')
    """
    text = powers(text.replace("e-\u2060", "e-"))
    text = re.sub(r"(?<=\d)\s+%(?!\w)", "%", MINUS.sub("−", text))
    text = re.sub(r"(?<=\d) x (?=\d)|(?<=\b[1-9])x(?=\d\b)", "\u00a0×\u00a0", text)
    text = re.sub(r" &([gl])t;= (?=[\d−])", lambda sign: " ≥ " if sign[1] == "g" else " ≤ ", text)
    text = re.sub(r"(?<!\S)1 - (?=\w)", "1 − ", text)
    return re.sub(r"(?<=\d) ± (?=\d)", "\u00a0±\u00a0", re.sub(r"(?<=\d) · 10$", "·10", text))


def plain(power: re.Match) -> str:
    """A short number in full: 1.2 · 10² is 120."""
    x = float(power[1]) * 10 ** int(power[2])
    return power[0] if int(power[2]) > 6 else f"{x:,.0f}" if x >= 10_000 else f"{x:.0f}"


BODY = re.compile(r'(<div class="kit-scroll" id="(?:tab|kept)-(?!\d\d-settings").*?)(<tbody>.*?</tbody>)', re.DOTALL)
ROW = re.compile(r"<tr\b.*?</tr>", re.DOTALL)
CELL = re.compile(r"<td\b[^>]*>(.*?)</td>", re.DOTALL)
NUMBER = re.compile(r"[-−]?(\d+)(?:\.(\d+))?")
PRINTED = re.compile(r"\b(?:paper|thesis|printed|published)\b")


def column(cells: list[str]) -> list[str]:
    """A table's column whose numbers keep the last zeros of their digits; what is nothing, or no number, stays.

    Examples
    --------
    >>> column(["0.8838", "0.9107", "0.897", "1", "0"])
    ['0.8838', '0.9107', '0.8970', '1.000', '0']
    >>> column(["0.98", "0.521", "0.98", "0.72", "−0.8"])
    ['0.980', '0.521', '0.980', '0.720', '−0.800']
    >>> column(["16", "7.7", "3"]), column(["39.62", "0.79", "0.06", "2"])
    (['16', '7.7', '3.0'], ['39.62', '0.79', '0.06', '2'])
    """
    numbers = [NUMBER.fullmatch(cell) for cell in cells]
    digits = [len((n[1] + n[2]).lstrip("0")) for n in numbers if n and n[2]]
    shares = len(digits) > 2 and all(float(n[0].replace("−", "-")) ** 2 <= 1 for n in numbers if n)
    if not digits or not (shares or 2 * digits.count(max(digits)) > len(digits)):
        return cells  # not one measured quantity
    most = max(len(n[2]) for n in numbers if n and n[2])

    def whole(cell: str, n: re.Match | None) -> str:
        if n is None or not (n[1] + (n[2] or "")).strip("0"):
            return cell
        have = len(n[2] or "")
        lacks = min(max(digits) - len((n[1] + (n[2] or "")).lstrip("0")), most - have)
        return cell if lacks <= 0 else cell + ("" if have else ".") + "0" * lacks

    return [whole(cell, n) for cell, n in zip(cells, numbers, strict=True)]


def zeros(found: re.Match) -> str:
    """A measured table with the zeros that its numbers were printed without; a work's own numbers stay as they are."""
    heads = re.findall(r"<th\b[^>]*>(.*?)</th>", found[1].rpartition("<tr")[2], re.DOTALL)
    rows = ROW.findall(found[2])
    table = [[cell[1] for cell in CELL.finditer(row)] for row in rows]
    width = len(table[0]) if table else 0
    whole = all(len(cells) == row.count("<td") == width for cells, row in zip(table, rows, strict=True))
    if not whole or PRINTED.search("".join(re.findall(r"<th\b.*?</th>", found[2]))):
        return found[0]
    names = heads[len(heads) - width :] if len(heads) >= width else [""] * width
    columns = [
        list(cells) if PRINTED.search(name) else column(list(cells))
        for name, cells in zip(names, zip(*table, strict=True), strict=True)
    ]
    ready = iter(cell for row in zip(*columns, strict=True) for cell in row)

    def replaced(cell: re.Match) -> str:
        start, stop = cell.start(1) - cell.start(), cell.end(1) - cell.start()
        return cell[0][:start] + next(ready) + cell[0][stop:]

    return found[1] + CELL.sub(replaced, found[2])


def seconds(text: str) -> int:
    """Of a time like 3 minutes."""
    number, unit = text.split()
    return int(number) * (60 if unit == "minutes" else 1)


def evenings(html: str) -> str:
    """A page that tells once what has changed since its kept run; below the first it is told where it is another.

    A larger run that was no longer under way than this one took its networks from where they were stored: then the two
    times say nothing.
    """
    told: list[str] = []
    html = SECONDS.sub(lambda found: found[0] if seconds(found[1]) > seconds(found[2]) else "", html)

    def shorter(found):
        since = found["since"].replace("’", "'").replace("&#x27;", "'")
        if since not in told:
            told.append(since)
            return found[0]
        return f'<strong title="{found["long"]}">After an evening</strong> ({found["when"] or "from a larger run"})'

    return EVENING.sub(shorter, html)


def page(html: str) -> str:
    """A rendered page with its article's words set."""
    found = ARTICLE.search(html)
    if not found:
        return html
    parts = APART.split(evenings(BODY.sub(zeros, TENS.sub(plain, found[0]))))
    # Each cut leaves words, what stands apart, and the name of its tag.
    article = "".join(words(text) + (apart or "") for text, apart in zip(parts[::3], [*parts[1::3], ""], strict=True))
    return html[: found.start()] + re.sub(r"(<td[^>]*>)-(</td>)", r"\1–\2", article) + html[found.end() :]
