"""Verdicts and checks as marks of one sign each, at the sentence or equation where the notebook asks for them.

In a notebook ``[◦](#check-02-two-steps)`` says where the mark of a ``run.verify`` or ``run.claim`` belongs.
:func:`placed` turns it into a link that Sphinx leaves alone, :func:`opened` into the mark, once the page is rendered.
"""

from __future__ import annotations

import html
import re
from dataclasses import dataclass

PLACE = re.compile(r"\[◦\]\(#(check-[\w.-]+)\)")
SHOWN = re.compile(
    r'<details class="kit-check kit-(?P<verdict>[\w-]+)" id="(?P<anchor>[^"]+)"><summary><span aria-hidden="true">'
    r'(?P<sign>.)</span> (?P<label>.*?)<span class="kit-word">: (?P<word>[^<]*)</span></summary>'
    r"<p>(?P<text>.*)</p></details>",
    re.DOTALL,
)
LINK = re.compile(r'<a class="kit-mark" href="#(check-[^"]+)">◦</a>')
END = re.compile(r"[,.;:!?)]*")
STORE = re.compile(r'<div class="kit-store" hidden>.*?</div>', re.DOTALL)
ALONE = re.compile(rf"<p>((?:\s*{LINK.pattern.replace('(check', '(?:check')})+)\s*</p>")  # under an equation
STORED = re.compile(r'<span class="kit-stored" data-mark="([^"]+)" hidden>(.*?)</span><!-- stored -->\n?', re.DOTALL)
ROW = 2  # so many marks may follow each other without a word between them


@dataclass(frozen=True)
class Mark:
    """What a run said about one claim or check."""

    anchor: str
    verdict: str
    sign: str
    label: str
    word: str
    text: str

    def button(self) -> str:
        """One sign that opens what was compared: by mouse, touch, Enter or focus, without a script."""
        head = f"<b>{self.label}.</b> " if self.word == "checked" else ""  # a claim's text begins with its label
        name = html.escape(f"{plain(self.label)}: {self.word}", quote=True)
        return (
            f'<span class="kit-mark kit-{self.verdict}" id="{self.anchor}"><button type="button" aria-label="{name}" '
            f'aria-describedby="note-{self.anchor}">{self.sign}</button><span class="kit-note" role="note" '
            f'id="note-{self.anchor}">{head}{self.text.removeprefix("checked: ")}</span></span>'
        )


def plain(text: str) -> str:
    """Words without tags and without the signs of a formula."""
    return re.sub(r"<[^>]+>|\\[()]|\\", "", text)


def read(output) -> Mark | None:
    """The mark that an output shows."""
    found = SHOWN.fullmatch(output.get("data", {}).get("text/html", "").strip())
    return Mark(**found.groupdict()) if found else None


def placed(text: str, known: set[str]) -> str:
    """Markdown whose places for marks are links that Sphinx passes on; a place without a mark is refused.

    Raises
    ------
    ValueError
        If no run made the mark.
    """

    def link(found):
        if found[1] not in known:
            raise ValueError(f"{found[0]} leads nowhere: no run.verify or run.claim of this chapter makes #{found[1]}")
        return f'<a class="kit-mark" href="#{found[1]}">◦</a>'

    return PLACE.sub(link, re.sub(r" (?=\[◦\])", "\N{NO-BREAK SPACE}", text))  # a sign stays with its word


def store(marks: list[Mark]) -> str:
    """What :func:`opened` needs, as HTML for the end of the page; a block, for Markdown reads what stands in a line."""
    rows = (
        f'<span class="kit-stored" data-mark="{mark.anchor}" hidden>{mark.button()}</span><!-- stored -->'
        for mark in marks
    )
    return "\n".join(['<div class="kit-store" hidden>', *rows, "</div>"]) if marks else ""


def opened(page: str) -> str:
    """A rendered page with each mark at its first place; a further link to it is a link."""
    stored = {found[1]: found[2] for found in STORED.finditer(page)}
    if not stored:
        return page
    page, seen = ALONE.sub(r'<p class="kit-marks">\1</p>', STORE.sub("", page)), set()

    parts, at = [], 0
    for found in LINK.finditer(page):
        name = found[1]
        if name not in stored:
            continue
        before, shown = page[at : found.start()], stored[name]
        if name in seen:
            sign = re.search(r">(.)</button>", shown)[1]
            shown = f'<a class="kit-again" href="#{name}" aria-label="the mark above">{sign}</a>'
        seen.add(name)
        # With the word before it and the full stop after it: a browser may break the line on both sides of a button.
        word = re.search(r"[^\s<>]{0,40}\xa0$|$", before[-41:])[0]
        end = END.match(page, found.end())
        close = " kit-tight" if end[0] else ""
        whole = f'<span class="kit-whole{close}">{word}{shown}{end[0]}</span>' if word or end[0] else shown
        parts += [before.removesuffix(word), whole]
        at = end.end()
    return "".join(parts) + page[at:]


def rows(text: str) -> list[int]:
    """How many marks stand in each row of a Markdown text: one mark after the other, no word between.

    Examples
    --------
    >>> rows("It holds [◦](#check-a). So does this [◦](#check-b), [◦](#check-c)")
    [1, 2]
    """
    marked = re.sub(r"[^◦\w]+", "", PLACE.sub("◦", text))
    return [len(row) for row in re.findall("◦+", marked)]
