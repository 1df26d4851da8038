"""The press: turns notebooks into pages, and refuses to publish what is not whole."""

import sys

# jsonschema, which nbformat brings along, would take a second in every process to build a parser of international
# addresses. No notebook's form asks for it.
sys.modules.setdefault("rfc3987_syntax", None)
