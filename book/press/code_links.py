"""Each name of the kit in a chapter's code cells becomes a link to its page."""

from __future__ import annotations

import ast
import html
import re
from pathlib import Path

from bs4 import BeautifulSoup, NavigableString, Tag

from press import keys, kit, pages

CELL = re.compile(r'(<div class="highlight-(?:ipython3|python|ipython) notranslate">.*?<pre>)(.*?)(</pre>)', re.DOTALL)
CLASS = "kit-code"


class Names:
    """Which names of the kit a chapter's cells know so far."""

    def __init__(self):
        self.known: dict[str, str] = {}  # variable -> dotted name of a module, a function, a class
        self.made: dict[str, str] = {}  # variable -> dotted name of the class it is an instance of

    def places(self, source: str) -> list[tuple[int, int, tuple[str, str]]]:
        """Where names of the kit stand in a cell: start, end, what each is; its imports count from here on."""
        try:
            tree = ast.parse(source)
        except SyntaxError:
            return []
        lines = [0]
        for line in source.split("\n"):
            lines.append(lines[-1] + len(line) + 1)
        rows = source.split("\n")
        found: list[tuple[int, int, tuple[str, str]]] = []

        def at(line: int, column: int) -> int:
            return lines[line - 1] + len(rows[line - 1].encode()[:column].decode())

        def note(end: int, name: str, where: tuple[str, str] | None) -> None:
            if where and kit.modules()[where[0]] in kit.shown():
                found.append((end - len(name), end, where))

        def dotted(node: ast.AST, local: frozenset[str]) -> str | None:
            if isinstance(node, ast.Name):
                return None if node.id in local else self.known.get(node.id)
            if isinstance(node, ast.Attribute):
                if isinstance(node.value, ast.Name) and node.value.id not in local and node.value.id in self.made:
                    return f"{self.made[node.value.id]}.{node.attr}"
                above = dotted(node.value, local)
                return f"{above}.{node.attr}" if above else None
            return None

        def visit(node: ast.AST, local: frozenset[str]) -> None:
            if isinstance(node, ast.Import | ast.ImportFrom):
                brought = kit.taken(node)
                self.known |= brought
                for name in brought:
                    self.made.pop(name, None)
                start = at(node.lineno, node.col_offset)
                text = source[start : at(node.end_lineno, node.end_col_offset)]
                if isinstance(node, ast.ImportFrom):
                    if brought and (match := re.search(re.escape(node.module), text)):
                        note(start + match.end(), node.module, kit.resolve(node.module))
                    for one in node.names if brought else ():
                        end = at(one.lineno, one.col_offset) + len(one.name)
                        note(end, one.name, kit.resolve(f"{node.module}.{one.name}"))
                else:
                    for one in node.names:
                        if one.name.partition(".")[0] == kit.PACKAGE.name:
                            note(at(one.lineno, one.col_offset) + len(one.name), one.name, kit.resolve(one.name))
                return
            if isinstance(node, ast.FunctionDef | ast.Lambda | ast.ClassDef):
                inner = local | own(node)
                for child in ast.iter_child_nodes(node):
                    visit(child, inner if not isinstance(node, ast.ClassDef) else local)
                if isinstance(node, ast.FunctionDef | ast.ClassDef) and not local:
                    self.forget(node.name)
                return
            if isinstance(node, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp):
                local = local | frozenset(
                    one.id for loop in node.generators for one in ast.walk(loop.target) if isinstance(one, ast.Name)
                )
            if isinstance(node, ast.Name | ast.Attribute) and isinstance(node.ctx, ast.Load):
                name = node.id if isinstance(node, ast.Name) else node.attr
                if path := dotted(node, local):
                    where = kit.resolve(path)
                    if where and (isinstance(node, ast.Name) or _ends(where, name, path)):
                        note(at(node.end_lineno, node.end_col_offset), name, where)
            for child in ast.iter_child_nodes(node):
                visit(child, local)
            if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.For | ast.withitem):
                single = node.optional_vars if isinstance(node, ast.withitem) else getattr(node, "target", None)
                for target in getattr(node, "targets", [single]):
                    for one in ast.walk(target) if target is not None else ():
                        if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store) and not local:
                            self.forget(one.id)
                if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
                    if isinstance(node.value, ast.Call) and (path := dotted(node.value.func, local)):
                        where = kit.resolve(path)
                        if where and where[1] and not local and (made := kit.returned(where)):
                            self.made[node.targets[0].id] = made

        visit(tree, frozenset())
        return sorted(set(found))

    def forget(self, name: str) -> None:
        """A cell gave the name to something of its own."""
        self.known.pop(name, None)
        self.made.pop(name, None)


def _ends(where: tuple[str, str], name: str, path: str) -> bool:
    """Whether an attribute itself was found, and not only what it is an attribute of."""
    last = (where[1] or where[0]).rpartition(".")[2]
    return last == name or kit.resolve(path.rpartition(".")[0]) != where


def own(node: ast.AST) -> frozenset[str]:
    """The names that a function makes its own: its arguments, and what it assigns."""
    if isinstance(node, ast.ClassDef):
        return frozenset()
    arguments = node.args
    names = {one.arg for one in [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]}
    names |= {one.arg for one in (arguments.vararg, arguments.kwarg) if one}
    for inner in ast.walk(node):
        if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store):
            names.add(inner.id)
    return frozenset(names)


def linked(pre: str, names: Names, up: str) -> str:
    """The inside of one cell's ``<pre>`` with links; `up` leads from the page to the site's root."""
    soup = BeautifulSoup(f"<pre>{pre}</pre>", "html.parser").pre  # outside of one, blanks would be joined
    source = soup.get_text()
    plain = source.lstrip("\n")
    shift = len(source) - len(plain)
    try:
        code = "\n".join(keys.without_magics(plain)) if re.search(r"^\s*[%!]|\?\s*$", plain, re.MULTILINE) else plain
    except SyntaxError:
        return pre
    if len(code) != len(plain):  # IPython's own words move the places: only what the cell imports is kept
        names.places(code)
        return pre
    places = [(start + shift, end + shift, where) for start, end, where in names.places(plain)]
    if not places:
        return pre
    position, met = 0, set()
    for text in list(soup.find_all(string=True)):
        start, end = position, position + len(text)
        position = end
        inside = [one for one in places if start <= one[0] and one[1] <= end]
        if not inside:
            continue
        parts: list = []
        done = start
        for first, last, where in inside:
            if first < done:
                continue
            parts.append(NavigableString(source[done:first]))
            link = Tag(name="a", attrs={"class": CLASS, "href": up + kit.address(where)})
            link.string = source[first:last]
            if where in met:  # by keyboard the first of a cell is enough
                link["tabindex"] = "-1"
            met.add(where)
            parts.append(link)
            done = last
        parts.append(NavigableString(source[done:end]))
        text.replace_with(*parts)
    return soup.decode_contents(formatter="minimal")


def link_page(text: str, up: str) -> str:
    """One chapter's page with links in all its cells."""
    names = Names()
    return CELL.sub(lambda match: match[1] + linked(match[2], names, up) + match[3], text)


def link(site: Path) -> None:
    """Link the code of every chapter in `site`, if it holds the kit's pages."""
    if not (Path(site) / kit.FOLDER).is_dir():
        return
    for page in pages.html_pages(site):
        if page.startswith("notebooks/"):
            path = Path(site) / page
            path.write_text(link_page(path.read_text(encoding="utf-8"), "../"), encoding="utf-8")


def missing(site: Path) -> list[str]:
    """Names that a chapter's cells import from the kit, and that are no link there."""
    problems = []
    for page in pages.html_pages(site) if (Path(site) / kit.FOLDER).is_dir() else ():
        if not page.startswith("notebooks/"):
            continue
        for cell in pages.parse(site, page).select("div[class*=highlight-] pre"):
            for line in re.findall(rf"^\s*from {kit.PACKAGE.name}\S* import ([\w, ]+)$", cell.get_text(), re.MULTILINE):
                linked_names = {link.get_text() for link in cell.select(f"a.{CLASS}")}
                for name in (part.split(" as ")[0].strip() for part in line.split(",")):
                    if name and not name.startswith("_") and name not in linked_names:  # what is private has no page
                        problems.append(f"{page}: the kit's name {html.escape(name)} is no link in its cell")
    return problems
