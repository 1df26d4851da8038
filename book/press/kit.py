"""The kit's own pages: one a module, with each public name's equation, description and source; read, never imported.

As a Sphinx extension it hands these pages to the theme. They are no documents of the book: the table of contents, the
search and the printed book leave them out, and the links in the chapters' code lead to them.
"""

from __future__ import annotations

import ast
import functools
import html
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

PACKAGE = Path(__file__).resolve().parents[2] / "deepfake_kit"
FOLDER = "kit"
FILE = "_kit.json"
REPORT = 5  # what docutils cannot read stays as it is written; the tests ask for 2, and see it marked


@dataclass
class Module:
    """What a module defines (functions, classes, constants) and what it takes from others, by name."""

    name: str
    path: Path
    tree: ast.Module
    source: str
    defined: dict[str, ast.AST] = field(default_factory=dict)
    taken: dict[str, str] = field(default_factory=dict)

    @property
    def page(self) -> str:
        """The module's page inside the site, without suffix."""
        return f"{FOLDER}/{self.name}"

    def text(self, node: ast.AST) -> str:
        """The source of a definition, with its decorators."""
        first = min([node.lineno, *(one.lineno for one in getattr(node, "decorator_list", ()))])
        return "\n".join(self.source.splitlines()[first - 1 : node.end_lineno])


def taken(tree: ast.AST) -> dict[str, str]:
    """The kit's names that `import` statements bring, with the dotted name of each."""
    found = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == PACKAGE.name:
            found |= {one.asname or one.name: f"{node.module}.{one.name}" for one in node.names}
        elif isinstance(node, ast.Import):
            for one in node.names:
                if one.name.partition(".")[0] == PACKAGE.name:
                    found[one.asname or PACKAGE.name] = one.name if one.asname else PACKAGE.name
    return found


@functools.cache
def modules(package: Path = PACKAGE) -> dict[str, Module]:
    """Every module of the package, by dotted name."""
    found = {}
    for path in sorted(package.rglob("*.py")):
        if not (path.parent / "__init__.py").exists():  # a file to copy, such as an arena's starter, is no module
            continue
        parts = path.relative_to(package.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        source = path.read_text(encoding="utf-8")
        module = Module(name, path, ast.parse(source), source)
        module.taken = taken(module.tree)
        for node in module.tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                module.defined[node.name] = node
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                for target in node.targets if isinstance(node, ast.Assign) else [node.target]:
                    for one in target.elts if isinstance(target, ast.Tuple) else [target]:
                        if isinstance(one, ast.Name):
                            module.defined[one.id] = node
        found[name] = module
    return found


def resolve(dotted: str, package: Path = PACKAGE) -> tuple[str, str] | None:
    """The module that defines a dotted name, and the name inside it ("" for the module itself, "Class.method").

    Examples
    --------
    >>> resolve("deepfake_kit.diffusion.q_sample")
    ('deepfake_kit.diffusion.steps', 'q_sample')
    >>> resolve("deepfake_kit.diffusion.NoiseSchedule.linear")
    ('deepfake_kit.diffusion.steps', 'NoiseSchedule.linear')
    >>> resolve("deepfake_kit.nothing") is None
    True
    """
    known, parts = modules(package), dotted.split(".")
    for cut in range(len(parts), 0, -1):
        if module := known.get(".".join(parts[:cut])):
            break
    else:
        return None
    rest = parts[cut:]
    if not rest:
        return module.name, ""
    if node := module.defined.get(rest[0]):
        if rest[0].startswith("_"):
            return None
        inner = rest[1] if len(rest) > 1 and isinstance(node, ast.ClassDef) else ""
        if inner and inner not in members(node):
            inner = ""
        return module.name, f"{rest[0]}.{inner}" if inner else rest[0]
    if target := module.taken.get(rest[0]):
        return resolve(".".join([target, *rest[1:]]), package) if target != dotted else None
    return None


def members(node: ast.ClassDef) -> dict[str, ast.AST]:
    """A class's public methods."""
    return {one.name: one for one in node.body if isinstance(one, ast.FunctionDef) and not one.name.startswith("_")}


def returned(where: tuple[str, str], package: Path = PACKAGE) -> str | None:
    """The dotted name of the kit's class that calling a name gives: the class itself, or what a function returns."""
    module = modules(package)[where[0]]
    node: ast.AST | None = module.defined.get(where[1].partition(".")[0])
    owner = node
    if "." in where[1] and isinstance(node, ast.ClassDef):
        node = members(node).get(where[1].partition(".")[2])
    if isinstance(node, ast.ClassDef):
        return f"{module.name}.{node.name}"
    if not isinstance(node, ast.FunctionDef) or node.returns is None:
        return None
    name = ast.unparse(node.returns).strip("'\"")
    if isinstance(owner, ast.ClassDef) and name in ("Self", owner.name):
        return f"{module.name}.{owner.name}"
    dotted = module.taken.get(name) or (f"{module.name}.{name}" if name in module.defined else None)
    found = dotted and resolve(dotted, package)
    return f"{found[0]}.{found[1]}" if found and found[1] else None


def address(where: tuple[str, str]) -> str:
    """Where a name stands inside the site."""
    page = modules()[where[0]].page + ".html"
    return f"{page}#{anchor(where)}" if where[1] else page


def anchor(where: tuple[str, str]) -> str:
    """The id of a name on its module's page."""
    return f"{where[0]}.{where[1]}"


# -- the pages ----------------------------------------------------------------------------------------


def shown() -> list[Module]:
    """The modules that have a page: those a reader may meet, without the graders and what only starts programs."""
    return [
        module
        for name, module in modules().items()
        if not any(part.startswith("_") for part in name.split(".")) and ".exercises" not in name
    ]


def described(text: str) -> str:
    """A docstring (numpydoc) as HTML, its formulas for MathJax, its cross references as links."""
    from docutils.core import publish_parts
    from docutils.parsers.rst import roles
    from sphinx.ext.napoleon import Config, NumpyDocstring

    for role in ("kit-name", "func", "class", "mod", "meth", "data", "attr", "exc"):
        roles.register_local_role(role, _reference)
    config = Config(napoleon_use_rtype=False, napoleon_use_param=False, napoleon_use_ivar=True)
    text = re.sub(r"(?<=[\[ ,])\*(?=\w+\]|,)", r"\\*", text)  # a star of [N, *rest] or among operators
    source = attributes(str(NumpyDocstring(text, config)))
    done = publish_parts(
        ".. default-role:: kit-name\n\n" + source,
        writer_name="html5",
        settings_overrides={
            "math_output": "MathJax none",
            "report_level": REPORT,
            "initial_header_level": 4,
            "file_insertion_enabled": False,
            "raw_enabled": False,
            "syntax_highlight": "short",
            "doctitle_xform": False,
            "smart_quotes": True,
        },
    )["body"]
    done = re.sub(r'<(span|div) class="math">', r'<\1 class="math notranslate nohighlight">', done)
    done = re.sub(
        r'<span class="docutils literal">((?:<span class="pre">.*?</span>|[^<])*)</span>', r"<code>\1</code>", done
    )
    power = re.compile(r"\b(2|10)\*\*(-?)(\d+)\b(?![^<]*</(?:code|pre|span)>)")
    done = power.sub(lambda found: f"{found[1]}<sup>{'−' * len(found[2])}{found[3]}</sup>", done)
    done = re.sub(r"<em>[^<]*</em>", lambda kind: re.sub("[“”]", '"', kind[0]), done)  # the strings an argument may be
    return done.replace("<dt>raises ", "<dt>Raises ").replace("<dt>returns", "<dt>Returns")


def attributes(source: str) -> str:
    """What napoleon says of a class's attributes in two fields each, as one list like that of the parameters.

    Examples
    --------
    >>> print(attributes(":ivar width: Length of the\\n             vector.\\n:vartype width: int"))
    :Attributes: * **width** (*int*) -- Length of the vector.
    """
    field = re.compile(r"^:ivar ([^:\n]+):((?:.*)(?:\n[ ]+\S.*)*)(?:\n+:vartype \1:[ ]*(.*))?", re.MULTILINE)
    head = iter([":Attributes: * "])

    def item(found):
        name, said, kind = found[1], " ".join(found[2].split()), found[3]
        said = f" -- {said}" if said else ""
        return f"{next(head, ' ' * 13 + '* ')}**{name}**{f' (*{kind}*)' if kind else ''}{said}"

    return field.sub(item, source)


def _reference(name, rawtext, text, lineno, inliner, options=None, content=None):
    """A name of the kit as a link to its page (all these pages lie in one folder), another as code."""
    from docutils import nodes

    dotted = text.strip("~").removesuffix("()")
    found = resolve(dotted) if dotted.startswith(PACKAGE.name) else None
    code = nodes.literal("", dotted.rpartition(".")[2] if text.startswith("~") else dotted)
    if not found or modules()[found[0]] not in shown():
        return [code], []
    return [nodes.reference("", "", code, refuri=address(found).removeprefix(f"{FOLDER}/"))], []


def coloured(source: str) -> str:
    """Python source as HTML in the colours of the book's code."""
    from pygments import highlight
    from pygments.formatters import HtmlFormatter
    from pygments.lexers import PythonLexer

    return highlight(source, PythonLexer(), HtmlFormatter(cssclass="highlight"))


def signature(node: ast.AST) -> str:
    """How a function is called, or a class made."""
    if isinstance(node, ast.ClassDef):
        made = next((one for one in node.body if getattr(one, "name", "") == "__init__"), None)
        arguments = ast.unparse(made.args).removeprefix("self").removeprefix(", ") if made else ""
        if not made:
            arguments = ", ".join(
                ast.unparse(one)
                for one in node.body
                if isinstance(one, ast.AnnAssign) and "field(init=False" not in ast.unparse(one)
            )
        return f"class {node.name}({arguments})"
    returns = f" \N{RIGHTWARDS ARROW}\N{NO-BREAK SPACE}{ast.unparse(node.returns)}" if node.returns else ""
    arguments = re.sub(r"^(self|cls)(, |$)", "", ast.unparse(node.args))
    return f"{node.name}({arguments}){returns}"


def body(module: Module) -> str:
    """The page of one module."""
    parts = [f'<h1><code class="kit-module">{module.name}</code></h1>', room(module)]
    parts.append(described(ast.get_docstring(module.tree) or ""))
    inside = [one for one in shown() if one.name.rpartition(".")[0] == module.name]
    if inside:
        rows = "".join(
            f'<li><a href="{one.name}.html"><code>{one.name}</code></a> {_first(one.tree)}</li>' for one in inside
        )
        parts.append(f"<h2>Modules</h2><ul>{rows}</ul>")
    names = {name: found for name, dotted in module.taken.items() if (found := resolve(dotted)) and found[1]}
    if module.path.name == "__init__.py" and names:
        rows = "".join(
            f'<li><a href="{address(found).removeprefix(FOLDER + "/")}"><code>{name}</code></a></li>'
            for name, found in sorted(names.items())
        )
        parts.append(f'<h2>Names to import from here</h2><ul class="kit-names">{rows}</ul>')
    constants = []
    for name, node in module.defined.items():
        if name.startswith("_"):
            continue
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            parts.append(_entry(module, name, node))
        else:
            constants.append((name, node))
    if constants:
        lines = dict.fromkeys(module.text(node) for _, node in constants)
        marks = "".join(f'<span id="{anchor((module.name, name))}"></span>' for name, _ in constants)
        parts.append(f"<section><h2>Constants</h2>{marks}{coloured(chr(10).join(lines))}</section>")
    return "\n".join(parts)


def _entry(module: Module, name: str, node: ast.AST) -> str:
    inner = ""
    if isinstance(node, ast.ClassDef):
        inner = "".join(
            f'<div class="kit-member"><h3 id="{anchor((module.name, f"{name}.{one}"))}">'
            f"<code>{html.escape(signature(method))}</code></h3>"
            f"{described(ast.get_docstring(method) or '')}</div>"
            for one, method in members(node).items()
        )
    return (
        f'<section class="kit-entry" id="{anchor((module.name, name))}"><h2>{name}</h2>'
        f'<p class="kit-signature"><code>{html.escape(signature(node))}</code></p>'
        f"{described(ast.get_docstring(node) or '')}{inner}"
        f"<details><summary>Source of {name}</summary>{coloured(module.text(node))}</details></section>"
    )


def _first(tree: ast.AST) -> str:
    """The first sentence of a docstring."""
    line = (ast.get_docstring(tree) or "").partition("\n\n")[0]
    return re.sub(r"^<p>|</p>\s*$", "", described(line.replace("\n", " ")).strip())


def room(module: Module) -> str:
    """Where a module's page leads back to."""
    above = module.name.rpartition(".")[0]
    up = f'<a href="{above}.html"><code>{above}</code></a> · ' if above else ""
    return f'<p class="kit-up">{up}<a href="../book/kit.html">all modules of the kit</a></p>'


def write(file: Path) -> None:
    """Write every page of the kit, as pairs of title and body by name, for :func:`pages`.

    Not inside Sphinx, whose own directives would answer in place of docutils'.
    """
    file.write_text(json.dumps({module.page: [module.name, body(module)] for module in shown()}), encoding="utf-8")


def pages(app) -> Iterator[tuple[str, dict, str]]:
    """Every page of the kit, for the theme."""
    file = Path(app.srcdir) / FILE
    if app.builder.name != "html" or not file.is_file():
        return
    for page, (title, inner) in json.loads(file.read_text(encoding="utf-8")).items():
        yield page, {"title": title, "body": inner}, "page.html"


def rooms(results: list[dict]) -> str:
    """The rooms of the kit and their modules, as raw HTML for the page that lists them."""
    tops = [one for one in shown() if one.name.count(".") == 1]
    out = []
    for top in sorted(tops, key=lambda one: (one.path.name != "__init__.py", one.name)):
        inside = [one for one in shown() if one.name.startswith(top.name + ".")]
        rows = "".join(
            f'<li><a href="../{one.page}.html"><code>{one.name}</code></a> {_first(one.tree)}</li>' for one in inside
        )
        out.append(
            f'<div class="kit-room"><p><a href="../{top.page}.html"><code>{top.name}</code></a> {_first(top.tree)}</p>'
            + (f"<ul>{rows}</ul>" if rows else "")
            + "</div>"
        )
    text = re.sub(r'href="(?=deepfake_kit)', f'href="../{FOLDER}/', "\n".join(out))
    return re.sub(r"\n\s*\n", "\n", text)


def setup(app) -> dict:
    """Called by Sphinx."""
    app.connect("html-collect-pages", pages)
    return {"parallel_read_safe": True, "parallel_write_safe": True, "version": "1"}
