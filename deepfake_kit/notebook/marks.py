r"""Text as a page, Colab and JupyterLab show it: formulas for MathJax, and the marks of verdicts and checks."""

from __future__ import annotations

import base64
import html
import math
import re

from deepfake_kit.valid import require

# How a table's heads spell the keys of the kit.
NAMED = {x.lower(): x for x in ("GAN", "VAE", "DDPM", "Facebook", "Telegram", "Twitter")}
NUMBERED = {"figure": "Fig.", "explorable": "Fig.", "table": "Table"}  # counted through a chapter, under these names


def mark(anchor: str, verdict: str, sign: str, label: str, word: str, text: str) -> str:
    """One small mark that opens on click or Enter, without any script."""
    return (
        f'<details class="kit-check kit-{verdict}" id="{anchor}"><summary><span aria-hidden="true">{sign}</span> '
        f'{inline(label)}<span class="kit-word">: {word}</span></summary><p>{inline(text)}</p></details>'
    )


def plain(text: str) -> str:
    """The text without its HTML tags."""
    return re.sub(r"<[^>]+>", "", text)


def ranges(text: str) -> str:
    """A range whose ends are printed alike is one number; an interval in brackets stays one. Nothing has no sign.

    Examples
    --------
    >>> ranges("in 100% to 100% of the frames, 0.91 (0.91 to 0.91), from 1 to 1")
    'in 100% of the frames, 0.91 (0.91 to 0.91), from 1 to 1'
    >>> ranges("-0% and -0.00 (-0.05 to 10-0.0)")
    '0% and 0.00 (-0.05 to 10-0.0)'
    >>> ranges("1 to 1,200 steps, 1,200 to 1,200 of them, -5 to 5, 3 to 3/4")
    '1 to 1,200 steps, 1,200 of them, -5 to 5, 3 to 3/4'
    """
    text = re.sub(r"(?<![\w.)-])-(?=0(?:\.0+)?(?!\.?\d))", "", text)
    return re.sub(r"(?<![(\[\w.,/−-])(?<!from )(-?[\d.]+(?:,\d+)*(?: ?%)?) to \1(?!\.?\w|%|[,/]\d)", r"\1", text)


def inline(text: str, within: str = "[^$]") -> str:
    r"""Mark ``$...$`` so that MathJax finds it in raw HTML on the page, in Colab and in JupyterLab alike.

    `within` matches a character of a formula; in a table none spans two cells, which may hold two prices in dollars.
    """
    return re.sub(rf"\$({within}+)\$", r'<span class="math notranslate nohighlight">\\(\1\\)</span>', text)


def table(df, anchor: str, label: str, digits: int) -> str:
    """A pandas table in a box that scrolls, also by keyboard: hence the tabindex and the label."""
    # Row numbers say nothing: the first column names the rows.
    if df.index.name is None and df.index.equals(df.reset_index(drop=True).index) and len(df.columns) > 1:
        df = df.set_index(df.columns[0])
    # pandas gives the index's name a row of its own; as the columns' name it stands in the corner.
    named = df.columns.nlevels == 1 and df.index.name is not None
    shown = df.rename_axis(index=None, columns=df.index.name) if named else df
    looks = dict(classes="kit-table", border=0, na_rep="–", escape=False)
    body = shown.to_html(float_format=lambda x: printed(x, digits), **looks)
    body = re.sub(rf"(<th[^>]*>)({'|'.join(NAMED)})\b", lambda key: key[1] + NAMED[key[2]], body)
    body = re.sub(r"(?<=<t[dh]>)-?[1-9]\d{4,}(?=</t)", lambda count: f"{int(count[0]):,}", body)
    return (
        f'<div class="kit-scroll" id="{anchor}" tabindex="0" role="region" '
        f'aria-label="{html.escape(label, quote=True)}">{inline(body, r"[^$<>]")}</div>'
    )


def printed(x: float, digits: int) -> str:
    """A number in a table's cell, with a power of ten as one writes it.

    Examples
    --------
    >>> printed(-0.0, 3), printed(0.25, 3), printed(9.9e-05, 2)
    ('0', '0.25', '9.9 · 10<sup>−5</sup>')
    """
    number, power, ten = f"{x + 0.0:.{digits}g}".partition("e")
    return f"{number} · 10<sup>{int(ten)}</sup>".replace("-", "−") if power else number


def made(what: str, number: str, caption: str, rows: dict[str, str], command: str, stand_ins: list[str]) -> str:
    """What stands below a figure, table or explorable: number and caption and, folded, how it was made."""
    warning = (
        f'<p class="kit-stand-in"><strong>Stand-in data.</strong> {", ".join(sorted(set(stand_ins)))} could not be '
        "found, and something smaller took its place. Numbers here are not those of the real one.</p>"
        if stand_ins
        else ""
    )
    listed = "".join(f"<dt>{name}</dt><dd>{html.escape(str(text))}</dd>" for name, text in rows.items())
    head = f'<span class="caption-number">{number}</span> ' if number else ""
    shown_caption = f'<p class="kit-caption">{head}{inline(caption)}</p>' if head or caption else ""
    return (
        f'{shown_caption}{warning}<details class="kit-provenance"><summary>How this {what} was made</summary>'
        f"<dl>{listed}</dl><p>Make it again:</p><pre>{html.escape(command)}</pre></details>"
    )


def kept(kind: str, record: dict, content, anchor: str, when: str, digits: int = 4) -> str:
    """A figure or table of the kept run, as it stands below the one of the day."""
    if kind == "figure":
        wide, alt = int.from_bytes(content[16:20], "big") * 110 // 150, html.escape(record["alt"])  # as the day's is
        shown = f'<img src="data:image/png;base64,{base64.b64encode(content).decode()}" width="{wide}" alt="{alt}">'
    else:
        label = f"{plain(record['caption']) or record['id']}, after an evening"
        shown = table(content, f"{anchor}-table", label, digits)
    caption = f'<p class="kit-caption">{inline(record["caption"])}</p>' if record["caption"] else ""
    head = f"<p><strong>After an evening</strong> ({html.escape(when)})</p>"
    return f'<div class="kit-kept" id="{anchor}">{head}{shown}{caption}</div>'


def compare_words(a: float, b: float, interval=None, words=("below", "about equal to", "above"), within=0.0) -> str:
    """Say how `a` lies to `b`, so that no sentence states an outcome that the run did not give.

    Parameters
    ----------
    a, b : float
        The two numbers.
    interval : pair of float, optional
        Low and high end of what `a` may be; while `b` lies in it, the middle word holds. Default: `a` is exact.
    words : sequence of str
        Three wordings: for `a` below `b`, for no decision, for `a` above `b`.
    within : float
        Differences up to this count as none.

    Raises
    ------
    ValueError
        If there are not three words, or a number is NaN.

    Examples
    --------
    >>> compare_words(0.81, 0.90)
    'below'
    >>> compare_words(0.81, 0.90, interval=(0.70, 0.92), words=("worse than", "not told from", "better than"))
    'not told from'
    """
    low, high = (a, a) if interval is None else interval
    good = len(words) == 3 and not any(math.isnan(x) for x in (a, b, low, high))
    require(good, "words, a, b", (repr(words), a, b), "three words, and numbers that are not NaN")
    below, above = high < b - within, low > b + within
    return words[0 if below else 2 if above else 1]


def scalar(id: str, x):
    """A plain python number or string, so that it survives JSON."""
    if hasattr(x, "item"):
        x = x.item()
    if isinstance(x, float) and not math.isfinite(x):
        return repr(x)
    require(isinstance(x, bool | int | float | str), f"value {id!r}", type(x).__name__, "one number or a short text")
    return x


def numbers(x) -> float | str | list:
    """Plain numbers that survive JSON; NaN and infinity as words."""
    if hasattr(x, "__len__") and not isinstance(x, str):
        return [numbers(v) for v in x]
    return float(x) if math.isfinite(float(x)) else repr(float(x))
