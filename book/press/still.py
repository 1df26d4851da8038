"""Formulas for a page whose scripts do not run: MathML, made for the whole book at once by the pages' own MathJax.

A browser that runs scripts never looks into a ``noscript``; one that does not shows the MathML and hides the TeX.
"""

from __future__ import annotations

import html
import json
import re
import subprocess
import unicodedata
from pathlib import Path

from press import assets

# Sphinx and the kit write formulas alike; a displayed one begins with its number.
FORMULA = re.compile(
    r'(?P<open><(?P<tag>span|div) class="math notranslate nohighlight"[^>]*>)'
    r"(?P<number>\s*<span class=\"eqno\">.*?</span>)?\s*"
    r"(?P<tex>\\\((?:(?!\\\)).)*\\\)|\\\[(?:(?!\\\]).)*\\\])\s*</(?P=tag)>",
    re.DOTALL,
)
STYLE = (
    "<noscript><style>span.math, .math > .kit-tex { display: none !important; }"
    ".math > noscript { flex: 1; min-width: 0; overflow-x: auto; }</style></noscript>"
)
CONVERT = """
let text = "";
process.stdin.on("data", (part) => (text += part)).on("end", async () => {
  const { modules, formulas } = JSON.parse(text);
  const MathJax = await require(modules).init({ loader: { load: ["input/tex"] } });
  const found = [];
  for (const [tex, display] of formulas) found.push(await MathJax.tex2mmlPromise(tex, { display }));
  process.stdout.write(JSON.stringify(found));
});
"""
VARIANT = re.compile(r'<(m[ino]) mathvariant="(?P<variant>[\w-]+)"(?P<more>[^>]*)>(?P<text>[^<]*)</\1>')
STYLES = {
    "bold": "BOLD",
    "italic": "ITALIC",
    "bold-italic": "BOLD ITALIC",
    "double-struck": "DOUBLE-STRUCK",
    "script": "SCRIPT",
    "-tex-calligraphic": "SCRIPT",
    "bold-script": "BOLD SCRIPT",
    "-tex-bold-calligraphic": "BOLD SCRIPT",
    "fraktur": "FRAKTUR",
    "sans-serif": "SANS-SERIF",
    "monospace": "MONOSPACE",
}


def lettered(letter: str, style: str) -> str:
    """A letter in one of mathematics' styles as a character of its own; itself where Unicode has none.

    Examples
    --------
    >>> lettered("E", "double-struck"), lettered("L", "script"), lettered("x", "bold"), lettered("+", "bold")
    ('𝔼', 'ℒ', '𝐱', '+')
    """
    name = re.sub(r"^(?:LATIN|GREEK) (\w+) LETTER ", r"\1 ", unicodedata.name(letter, ""))
    for whole in (f"MATHEMATICAL {STYLES[style]} {name}", f"{STYLES[style]} {name}"):
        try:
            return unicodedata.lookup(whole)
        except KeyError:
            pass
    return letter


def core(mathml: str) -> str:
    """MathML as browsers show it: the letters' styles as letters, without spaces and marks of MathJax."""

    def styled(found):
        style = found["variant"]
        if style not in STYLES:
            return found[0]
        text = "".join(lettered(x, style) for x in html.unescape(found["text"]))
        return f"<{found[1]}{found['more']}>{text}</{found[1]}>"

    plain = re.sub(r' data-mjx-[\w-]+="[^"]*"', "", re.sub(r">\s+<", "><", mathml))
    plain = VARIANT.sub(styled, plain)
    plain = re.sub(r"&#x([0-9A-F]+);", lambda found: html.escape(chr(int(found[1], 16))), plain)
    return plain.replace(' xmlns="http://www.w3.org/1998/Math/MathML"', "").strip()


def mathml(formulas: list[tuple[str, bool]], third_party: Path) -> list[str]:
    """TeX as MathML.

    Parameters
    ----------
    formulas : list of (str, bool)
        TeX, and whether it is displayed.
    third_party : Path
        Where :func:`press.assets.install` put its packages.

    Raises
    ------
    press.assets.AssetError
        Where Node fails; the message holds its own words.
    """
    modules = (Path(third_party) / "node_modules" / "mathjax").resolve()
    answer = subprocess.run(
        [assets.node(), "-e", CONVERT],
        input=json.dumps({"modules": str(modules), "formulas": formulas}),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    if answer.returncode:
        raise assets.AssetError(f"formulas as MathML failed:\n{answer.stderr.strip()}")
    return [core(one) for one in json.loads(answer.stdout)]


def write(site: Path, third_party: Path) -> int:
    """Give each formula of the pages in `site` its MathML for readers without scripts; returns how many there are."""
    texts = {path: path.read_text(encoding="utf-8") for path in sorted(Path(site).rglob("*.html"))}
    texts = {path: text for path, text in texts.items() if STYLE not in text}
    asked = dict.fromkeys(key(found) for text in texts.values() for found in FORMULA.finditer(text))
    made = dict(zip(asked, mathml(list(asked), third_party), strict=True)) if asked else {}
    count = 0

    def both(found):
        nonlocal count
        count += 1
        shown = f"<noscript>{made[key(found)]}</noscript>"
        if found["tag"] == "span":
            return f"{found[0]}{shown}"
        return f'{found["open"]}{shown}{found["number"] or ""}<span class="kit-tex">{found["tex"]}</span></div>'

    for path, text in texts.items():
        if (after := FORMULA.sub(both, text)) != text:
            path.write_text(after.replace("</head>", f"{STYLE}</head>", 1), encoding="utf-8")
    return count


def key(found: re.Match) -> tuple[str, bool]:
    """A formula's TeX, and whether it is displayed."""
    tex = html.unescape(re.sub(r"<[^>]+>", "", found["tex"])).strip()
    return tex[2:-2].strip(), tex.startswith("\\[")
