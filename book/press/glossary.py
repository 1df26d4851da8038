"""The glossary: its words, the one table of letters, and which word a page's text is linked by."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from deepfake_kit.notebook import settings
from press import templates

FILE = Path(__file__).resolve().parents[1] / "glossary.yml"
PAGE = "book/glossary"


@dataclass(frozen=True)
class Term:
    """A word with its meaning; `also` are its other spellings, `exact` whether capitals matter.

    `only` are the chapters that use it in this meaning, where others use it in another; no other page links it then.
    """

    term: str
    text: str
    also: tuple[str, ...] = ()
    exact: bool = False
    chapter: str | None = None
    only: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The word's place on the glossary's page."""
        return "term-" + re.sub(r"[^a-z0-9]+", "-", self.term.lower().replace("é", "e")).strip("-")


@dataclass(frozen=True)
class Symbol:
    """A letter and what it means, by chapter."""

    tex: str
    name: str
    means: dict[str, str] = field(default_factory=dict)


@functools.cache
def load(file: Path = FILE) -> tuple[tuple[Term, ...], tuple[Symbol, ...]]:
    """The words and the letters of the book.

    Raises
    ------
    ValueError
        If a word or a spelling stands twice, or a letter does.
    """
    about = yaml.safe_load(file.read_text(encoding="utf-8"))
    terms = tuple(
        Term(
            row["term"],
            row["text"],
            tuple(row.get("also", ())),
            row.get("as") == "exact",
            row.get("in"),
            tuple(row.get("only", ())),
        )
        for row in about["terms"]
    )
    symbols = tuple(Symbol(**row) for row in about["symbols"])
    for what, names in (
        ("spelling", [name.lower() for term in terms for name in (term.term, *term.also)]),
        ("place", [term.id for term in terms]),
        ("letter", [symbol.tex for symbol in symbols]),
    ):
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"{file.name}: the {what} {twice[0]!r} stands twice; valid: once each")
    return terms, symbols


def number(chapter: str) -> str:
    """A chapter's number as a reader says it."""
    return str(int(chapter))


def words(results: list[dict]) -> str:
    """The list of words with their meanings, by letter; raw HTML."""
    terms = sorted(load()[0], key=lambda term: term.term.lower().replace("é", "e"))
    letters: dict[str, list[Term]] = {}
    for term in terms:
        letters.setdefault(term.term[0].upper(), []).append(term)
    return templates.render("glossary.html", letters=letters, pages=_pages(), number=number)


def notation(results: list[dict]) -> str:
    """The one table of letters; raw HTML."""
    rows = []
    for symbol in load()[1]:
        meanings: dict[str, list[str]] = {}
        for chapter, meaning in sorted(symbol.means.items()):
            meanings.setdefault(meaning, []).append(chapter)
        rows.append((symbol, meanings))
    return templates.render("notation.html", rows=rows, pages=_pages(), number=number)


def _pages() -> dict[str, tuple[str, str]]:
    """The chapters that are written: page and title by two digits."""
    return {name[:2]: (name, settings.load(name).title) for name in settings.chapters()}


@functools.cache
def pattern(file: Path = FILE) -> re.Pattern:
    """What finds the glossary's words in running text, the longest first; one group an exact, one a free spelling."""
    exact, free = [], []
    for term in load(file)[0]:
        for name in (term.term, *term.also):
            short = term.exact and name.upper() == name or term.exact and name == term.term
            (exact if short else free).append(name)

    def choice(names: list[str]) -> str:
        listed = sorted(names, key=len, reverse=True)
        return "|".join(re.escape(name).replace(r"\ ", r"\s+").replace(r"\-", "[-\u2010\u2011]") for name in listed)

    ends = r"(?<![\w-])(?:(?P<exact>{})|(?P<free>(?i:{})))(?![\w-])"
    return re.compile(ends.format(choice(exact) or "(?!)", choice(free) or "(?!)"))


@functools.cache
def _spellings(file: Path = FILE) -> dict[str, Term]:
    return {name.lower(): term for term in load(file)[0] for name in (term.term, *term.also)}


def find(text: str, file: Path = FILE) -> list[tuple[int, int, Term]]:
    """Where words of the glossary stand in `text`: start, end, word."""
    found = []
    for match in pattern(file).finditer(text):
        name = re.sub(r"[\u2010\u2011]", "-", re.sub(r"\s+", " ", match[0])).lower()
        found.append((match.start(), match.end(), _spellings(file)[name]))
    return found
