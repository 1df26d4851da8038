"""Words that compare: chosen by the numbers of their run, or excused with a reason in the chapter's file.

A caption that says *below*, *best* or *no* states an outcome; written by hand it keeps saying so when the numbers turn.
What an expression chooses (a field, a conditional expression, a look-up, ``run.compare_words``) is computed.
"""

from __future__ import annotations

import ast
import re
from pathlib import Path

import nbformat
import yaml

from deepfake_kit.notebook import settings
from press import keys

OUTCOME = r"""
    above | below | more | less | fewer | fewest | better | worse | best | worst | high(?:er|est) | low(?:er|est)
    | (?:larg|small|fast|slow|near|strong|weak|long|short|calm|smooth)(?:er|est) | \w+er\ than | as\ \w+\ as
    | at\ (?:most|least) | overlap | agrees? | beats? | wins? | differs? | nothing\ else | whoever | nobody\ would
    | tells?\ (?:apart|from) | told\ (?:apart|from)"""
# In Markdown these define, in captions they measure.
MEASURED = r"""
    | equals? | equally | the\ same | identical | alike | loses? | fails? | survives? | unchanged | cannot | never
    | always | nothing | nobody | none | no | every | and\ not"""
PATTERNS = {
    kind: re.compile(rf"\b(?:{words})\b", re.IGNORECASE | re.VERBOSE)
    for kind, words in (("markdown", OUTCOME), ("code", OUTCOME + MEASURED))
}
# Directions on the page, how to read an axis, and names.
NAMES = re.compile(
    r"""\b(?:(?:upper|lower)\ (?:row|panel|left|right|half|bound)s?
    | (?:rows?|tables?|figures?|diagrams?|attempts?|calls?|sections?|panels?|one|see|shown|named)\ (?:above|below)
    | (?:lower|higher|larger|smaller)\ is\ better | nearest[-\ ]neighbours? | no\ longer | (?:once|no|nothing)\ more
    | more\ (?:than\ one|or\ less) | best\ linear | equal\ error\ rate)\b""",
    re.IGNORECASE | re.VERBOSE,
)
TASKS = re.compile(r"\W*(?:Exercise|Sources|\d+\.\d+\W)")
# Which arguments of which methods are shown: their names, and their places.
SHOWN = {
    "figure": {"alt": 2, "caption": 3},
    "table": {"caption": 2},
    "explorable": {"caption": 2, "alt": 3},
    "slider": {"alts": 3},
    "claim": {"note": 2},
}


def uncomputed(path: Path, excused: dict[str, list[str]] | None = None) -> dict[str, list[tuple[str, str]]]:
    """By cell id, each sentence of a notebook that compares without being computed: the words and the sentence.

    The phrases of `excused`, by cell id, are taken out first, each once; those that were found leave its lists.
    """
    found = {}
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "markdown":
            source = cell.source
            if "predict" in cell.metadata.get("tags", []):  # choices to guess from claim nothing, the replies do
                source = source.partition("<details>")[2]
            texts = [] if TASKS.match(source) else [_prose(source)]
        else:
            texts = _shown("\n".join(keys.without_magics(cell.source)))
        texts = [re.sub(r"\{[^}]*\}|\]\(#[^)]*\)", "…", text) for text in texts]
        for sentence in (one for text in texts for one in re.split(r"(?<=[.!;:?])\s+|\n\s*\n", text)):
            sentence, phrases, compares = (
                " ".join(sentence.split()),
                (excused or {}).get(cell.id, []),
                PATTERNS[cell.cell_type],
            )
            if sentence.endswith("?"):
                continue
            left = sentence
            for phrase in [one for one in phrases if one in left and compares.search(NAMES.sub("", one))]:
                left = left.replace(phrase, "…", 1)
                phrases.remove(phrase)
            if words := compares.findall(NAMES.sub("", left)):
                listed = ", ".join(dict.fromkeys(word.lower() for word in words))
                found.setdefault(cell.id, []).append((listed, sentence))
    return found


def excused(chapter: str) -> dict[str, dict[str, list[str]]]:
    """By cell id and reason, the phrases that may stand: the field ``words`` of the chapter's file.

    A phrase is quoted as the lint lists it, with … for what is computed; only what it covers is excused.
    """
    kept = yaml.safe_load((settings.FOLDER / f"{chapter}.yml").read_text(encoding="utf-8")).get("words") or {}
    return {
        id: {why: [one] if isinstance(one, str) else list(one) for why, one in reasons.items()}
        if isinstance(reasons, dict)
        else {reasons: []}
        for id, reasons in kept.items()
    }


def problems(path: Path) -> list[str]:
    """What the list of a notebook still holds, and excuses that nothing needs or that give no reason."""
    excuses = excused(path.stem)
    phrases = {id: [one for covered in reasons.values() for one in covered] for id, reasons in excuses.items()}
    open_rows = [
        f"{path.stem} {id}: {words}: {text}" for id, rows in uncomputed(path, phrases).items() for words, text in rows
    ]
    idle = [f"{path.stem} {id}: excused, but nothing compares there: {one}" for id in phrases for one in phrases[id]]
    bare = [f"{path.stem} {id}: excused without a reason" for id in excuses if not all(excuses[id])]
    void = [f"{path.stem} {id}: an excuse that quotes no phrase" for id in excuses if not all(excuses[id].values())]
    return open_rows + idle + bare + void


def _prose(source: str) -> str:
    """Markdown without code, formulas, addresses, quotations and tables."""
    source = re.sub(r"```.*?```|\$\$.*?\$\$|<[^>]+>|`[^`]*`|\$[^$]*\$|\"[^\"]*\"", " … ", source, flags=re.DOTALL)
    return re.sub(r"^\s*[>|].*$|\]\([^)]*\)", "", source, flags=re.MULTILINE)


def _shown(source: str) -> list[str]:
    """The literal text of everything that a code cell shows in words."""
    tree = ast.parse(source)
    named = {
        target.id: node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    out = []
    for call in ast.walk(tree):
        if not (isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute)):
            continue
        given = {**{i: x for i, x in enumerate(call.args)}, **{word.arg: word.value for word in call.keywords}}
        if call.func.attr == "say":
            out += [_literal(x, named) for x in given.values()]
        elif wanted := SHOWN.get(call.func.attr):
            out += [_literal(given[key], named) for pair in wanted.items() for key in pair if key in given]
    return out


def _literal(node: ast.AST, named: dict[str, ast.AST]) -> str:
    """What an expression says whatever the numbers are; names are looked up among the cell's assignments."""
    match node:
        case ast.Constant(value=str()):
            return node.value
        case ast.Name(id=name) if name in named:
            return _literal(named[name], {key: value for key, value in named.items() if key != name})
        case ast.JoinedStr(values=parts):
            return "".join(_literal(part, named) for part in parts)
        case ast.BinOp(left=left, right=right):
            return _literal(left, named) + _literal(right, named)
        case ast.List(elts=parts) | ast.Tuple(elts=parts):
            return " ".join(_literal(part, named) for part in parts)
        case ast.ListComp(elt=part) | ast.GeneratorExp(elt=part):
            return _literal(part, named)
        case ast.Call(func=ast.Attribute(value=text, attr="format" | "join"), args=parts):
            return " ".join(_literal(part, named) for part in [text, *parts])
    return "…"
