"""The press's own pages and tables, as Jinja templates beside this file."""

from __future__ import annotations

import re
from pathlib import Path

import jinja2
from markupsafe import Markup, escape

from deepfake_kit.notebook import claims

RAISED = str.maketrans("0123456789-", "⁰¹²³⁴⁵⁶⁷⁸⁹⁻", "+")


def text(words) -> Markup:
    """Plain text with ``$...$`` and backticks as HTML that MathJax finds."""
    out = str(escape(" ".join(str(words).split()))).replace("&#39;", "'").replace("&#34;", '"')
    out = re.sub(r"(?<=\d) x (?=\d)", " × ", out)
    out = re.sub(r"\$([^$]+)\$", r'<span class="math notranslate nohighlight">\\(\1\\)</span>', out)
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", out))


def prose(words) -> Markup:
    """Inline Markdown as HTML: formulas and code as in :func:`text`, emphasis, and links to this page."""
    out = re.sub(r"\*\*(.+?)\*\*", r"<strong>\1</strong>", str(text(words)))
    out = re.sub(r"(?<!\*)\*([^*]+)\*", r"<em>\1</em>", out)
    return Markup(re.sub(r"\[([^\]]+)\]\((#[^)]+)\)", r'<a href="\2">\1</a>', out))


def badge(verdict: str) -> Markup:
    """A verdict with its sign, or a finding."""
    sign = (
        Markup('<span aria-hidden="true">{}</span> ').format(claims.SIGNS[verdict]) if verdict in claims.SIGNS else ""
    )
    return Markup('<span class="kit-badge kit-{}">{}{}</span>').format(verdict, sign, verdict.replace("-", " "))


def here(record: dict | None) -> str:
    """What a run measured, with its interval."""
    if not record:
        return ""
    ends = [claims.numbers(end) for end in record.get("interval") or ()]
    return typeset(claims.numbers(record["value"]) + (f" [{ends[0]} to {ends[1]}]" if ends else ""))


def powers(text: str) -> str:
    """Text whose ``2.3e-06`` reads as one writes it.

    Examples
    --------
    >>> powers("here 2.33e-06, at most 1e-09, by hand 0.0e+00")
    'here 2.33·10⁻⁶, at most 10⁻⁹, by hand 0'
    """

    def raised(found):
        number, sign, power = found.groups()
        if float(number) == 0 or power == "0":
            return "0" if float(number) == 0 else number
        ten = "10" + f"{sign}{power}".translate(RAISED)
        return ten if float(number) == 1 else f"{number}·{ten}"

    return re.sub(r"(?<![\w.])(\d+(?:\.\d+)?)e([+-])0*(\d+)\b", raised, text)


def typeset(number: str) -> str:
    """A number or a relation as one writes it; its minus is a true one, which ends no line.

    Examples
    --------
    >>> typeset("<= -5.1e-16")
    '≤ −5.1·10⁻¹⁶'
    >>> typeset("-inf")
    '−∞'
    """
    return re.sub(r"\binf\b", "∞", powers(number)).replace("<=", "≤").replace(">=", "≥").replace("-", "−")


def stated(row: claims.Claim) -> tuple[str, str]:
    """Whose number a row holds, and the number."""
    whose, number = claims.stated(row)
    return whose, typeset(number)


def place(section: str) -> str:
    """Where in a work: a section's number is said to be one.

    Examples
    --------
    >>> place("1.1.2"), place("III.C"), place("4.1, 5"), place("Introduction"), place("Experiments > Models")
    ('section 1.1.2', 'section III.C', 'sections 4.1, 5', 'Introduction', 'Experiments › Models')
    """
    numbered = re.fullmatch(r"(?:\d+|[IVX]+)(?:\.\w+)*((?:, |-).+)?", str(section))
    return (f"section{'s' if numbered[1] else ''} " if numbered else "") + str(section).replace(" > ", " › ")


def sized(words: str) -> str:
    """How large a run was, in words for readers who know no profiles."""
    return re.sub(r"(?<=\d) x (?=\d)", " × ", words.replace("; profile long, kept", "; an evening's run, kept"))


ENVIRONMENT = jinja2.Environment(
    loader=jinja2.FileSystemLoader(Path(__file__).parent),
    autoescape=True,
    trim_blocks=True,
    lstrip_blocks=True,
    undefined=jinja2.StrictUndefined,
)
ENVIRONMENT.filters |= {
    "text": text,
    "prose": prose,
    "badge": badge,
    "here": here,
    "place": place,
    "stated": stated,
    "weaker": claims.weaker,
    "basis": lambda row: sized(claims.basis(row)),
}


def render(name: str, **given) -> str:
    """Fill in one template; no line is empty, for that would end raw HTML in Markdown."""
    return re.sub(r"\n\s*\n", "\n", ENVIRONMENT.get_template(name).render(claims=claims, **given))
