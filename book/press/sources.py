"""The notebooks as they are committed: no outputs, no machine, a stable text; and their copies for Colab."""

from __future__ import annotations

import sys
from copy import deepcopy
from pathlib import Path

import nbformat

from deepfake_kit.notebook.run import NIGHT_KEY
from press import numbers
from press.runs.source import stripped

EMPTY = r"repository = \"\""  # as it stands in the notebook's JSON


def canonical(notebook) -> str:
    """The text a notebook's source file shall have."""
    for index, cell in enumerate(notebook.cells):
        cell.setdefault("id", f"cell-{index:03d}")
    notebook = stripped(notebook)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    return nbformat.writes(notebook).rstrip("\n") + "\n"


def normalise(folder: Path, check: bool) -> int:
    """Rewrite (or with `check` only name) the notebooks that are not in canonical form."""
    changed = []
    for path in sorted(folder.glob("*.ipynb")):
        before = path.read_text(encoding="utf-8")
        after = canonical(numbers.renumbered(nbformat.reads(before, as_version=4), path.stem))
        if after != before:
            changed.append(path.name)
            if not check:
                path.write_text(after, encoding="utf-8")
    if changed and check:
        print(f"not in canonical form, run `make format`: {', '.join(changed)}", file=sys.stderr)
        return 1
    return 0


def for_colab(folder: Path, target: Path, repository: str) -> int:
    """Write copies whose first cell installs the kit from `repository`.

    Raises
    ------
    ValueError
        If no repository is known, or a notebook's first cell has no place for it.
    """
    if not repository:
        raise ValueError("no repository is known; set repository.url in _config.yml or DEEPFAKE_BOOK_REPOSITORY")
    target.mkdir(parents=True, exist_ok=True)
    for path in sorted(folder.glob("*.ipynb")):
        text = path.read_text(encoding="utf-8")
        (target / path.name).write_text(stamped(text, repository), encoding="utf-8")
    return 0


def download(notebook, repository: str) -> str:
    """The text of an executed notebook for a reader to keep: without the pictures that only a dark page shows."""
    kept = deepcopy(notebook)
    for cell in kept.cells:
        for output in cell.get("outputs", []):
            output.get("metadata", {}).pop(NIGHT_KEY, None)
    return stamped(nbformat.writes(kept), repository)


def stamped(text: str, repository: str) -> str:
    """A notebook's JSON text with the repository's address in its first cell; unchanged for an empty address.

    Raises
    ------
    ValueError
        If the notebook does not hold exactly one place for the address.
    """
    if text.count(EMPTY) != 1:
        raise ValueError(f"expected exactly one line {EMPTY} in the first code cell, found {text.count(EMPTY)}")
    return text.replace(EMPTY, f'repository = \\"{repository}\\"') if repository else text
