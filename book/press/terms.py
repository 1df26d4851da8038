"""A Sphinx extension: the first use of a glossary's word on a page is a link to its meaning."""

from __future__ import annotations

import re

from docutils import nodes
from sphinx.transforms.post_transforms import SphinxPostTransform

from press import glossary

# Pages of rows, names and listed works: words there are data, not running text.
LEFT_ALONE = (
    "book/glossary",
    "book/ledger",
    "book/atlas",
    "book/references",
    "book/health",
    "book/kit",
    "book/certificate",
)
# What is no running text, and what is a link already.
CLOSED = (
    nodes.reference,
    nodes.title,
    nodes.literal,
    nodes.literal_block,
    nodes.math,
    nodes.math_block,
    nodes.raw,
    nodes.term,
    nodes.caption,
    nodes.rubric,
    nodes.comment,
    nodes.citation,
    nodes.footnote,
    nodes.Invisible,
)


class FirstUse(SphinxPostTransform):
    """Link the first use of each word on the page."""

    default_priority = 900  # after references are resolved

    def run(self, **kwargs) -> None:
        docname = self.env.docname
        if docname in LEFT_ALONE or docname.startswith("book/work-") or glossary.PAGE not in self.env.found_docs:
            return
        place = self.app.builder.get_relative_uri(docname, glossary.PAGE)
        link(self.document, place, docname)


def link(document: nodes.document, place: str, page: str = "") -> list[str]:
    """Turn the first use of each word in the running text of `page` into a link below `place`; returns their ids."""
    seen: list[str] = []
    for text in list(document.findall(nodes.Text)):
        if not any(_closed(parent) for parent in _above(text)):
            _link(text, place, seen, page)
    return seen


def _closed(node: nodes.Node) -> bool:
    if isinstance(node, nodes.section) and re.match(
        r"(?i)(references|sources|further reading)\b", node.next_node(nodes.title).astext()
    ):
        return True  # titles of works
    return isinstance(node, CLOSED) or "code_cell" in node.get("classes", ()) or node.tagname == "mystnb_mime_bundle"


def _above(node: nodes.Node):
    while (node := node.parent) is not None:
        if isinstance(node, nodes.Element):
            yield node


def _link(text: nodes.Text, place: str, seen: list[str], page: str) -> None:
    source, parts, done = text.astext(), [], 0
    for start, end, term in glossary.find(source):
        if term.id in seen or term.only and not page.startswith(tuple(f"notebooks/{two}_" for two in term.only)):
            continue
        seen.append(term.id)
        link = nodes.reference("", source[start:end], internal=True, refuri=f"{place}#{term.id}", classes=["book-term"])
        parts += [nodes.Text(source[done:start]), link]
        done = end
    if parts:
        text.parent.replace(text, [*parts, nodes.Text(source[done:])])


def setup(app) -> dict:
    """Called by Sphinx."""
    app.add_post_transform(FirstUse)
    app.set_html_assets_policy("always")  # formulas in raw HTML, as on the atlas, are not seen by Sphinx
    return {"parallel_read_safe": True, "parallel_write_safe": True, "version": "1"}
