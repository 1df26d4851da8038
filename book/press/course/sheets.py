"""Sheets to print, A4 or Letter: exams, their answers, and predictions. Each is one file that loads nothing."""

from __future__ import annotations

import re
from html import escape

from markupsafe import Markup
from matplotlib.font_manager import FontProperties
from matplotlib.mathtext import MathTextParser
from matplotlib.textpath import TextPath

from press import templates

SIZE = 11.0  # points at which a formula is drawn; the page scales it with its text
FONT = FontProperties(size=SIZE, math_fontfamily="stix")
# What TeX takes and matplotlib does not, and how it is written for both.
MEANT = {
    r"\\t?frac(\d|\\mu)(\d)": r"\\frac{\1}{\2}",
    r"\\tfrac": r"\\frac",
    r"\\sqrt (\w)": r"\\sqrt{\1}",
    r"\\[lr]Vert": r"\\Vert ",
    r"\\le\b": r"\\leq ",
}
LETTERS = {1: "M", 2: "L", 3: "Q", 4: "C", 79: "Z"}  # matplotlib's codes of a path, and SVG's


def formula(tex: str) -> Markup:
    """A formula as a drawing that stands on the line of its text.

    Examples
    --------
    >>> "vertical-align" in formula(r"\\frac12")
    True
    """
    plain = tex
    for old, new in MEANT.items():
        plain = re.sub(old, new, plain)
    plain = f"${plain}$"
    width, height, depth, *_ = MathTextParser("path").parse(plain, dpi=72, prop=FONT)
    drawn = "".join(
        LETTERS[code] + " ".join(f"{x:.2f}" for x in points) if code != 79 else "Z"
        for points, code in TextPath((0, 0), plain, prop=FONT).iter_segments(curves=True, simplify=False)
    )
    box = f"{-0.3} {depth - height - 0.3:.2f} {width + 0.6:.2f} {height + 0.6:.2f}"
    return Markup(
        f'<svg role="img" aria-label="{escape(tex)}" viewBox="{box}" style="height:{(height + 0.6) / SIZE:.3f}em;'
        f'width:{(width + 0.6) / SIZE:.3f}em;vertical-align:{-(depth + 0.3) / SIZE:.3f}em">'
        f'<path transform="scale(1 -1)" d="{drawn}"/></svg>'
    )


def printed(text: str) -> Markup:
    """Inline Markdown with formulas, as HTML."""
    drawn = iter(re.findall(r"\$([^$]+)\$", text))
    out = str(templates.prose(re.sub(r"\$[^$]+\$", "\x00", text))).replace("</code> = ", "</code>&nbsp;=&nbsp;")
    return Markup(re.sub(r"\x00([,.;:?)]*)", lambda end: f"<span>{formula(next(drawn))}{end[1]}</span>", out))


def sheet(title: str, foot: str, rows: list[tuple], name: bool = True) -> str:
    """One sheet: a row is never cut, the foot stands on each page.

    Parameters
    ----------
    title : str
        Its heading.
    foot : str
        What the foot says: chapters and seed.
    rows : list of tuple
        A heading or "", points (0: no question of an exam), Markdown, and the words before each line to write on.
    name : bool
        Whether there is a line for a name.
    """
    return templates.render("sheet.html", title=title, foot=foot, rows=rows, named=name, printed=printed)
