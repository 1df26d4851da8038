"""The thin package behind *Deepfakes: made, shared, detected, defended*.

A notebook needs one import and one call:

>>> import deepfake_kit as kit
>>> kit.__version__
'0.1.0'

``kit.start(chapter, profile, seed)`` opens a run; every other name is a
sub-module that is loaded the first time it is used, so importing the package
costs next to nothing.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from deepfake_kit.notebook.run import Run

__version__ = "0.1.0"
FOLDER = Path(__file__).parent


def start(chapter: str, profile: str = "book", seed: int = 0, **parameters) -> Run:
    """Open the run of one chapter; see :func:`deepfake_kit.notebook.run.start`."""
    from deepfake_kit.notebook.run import start as open_run

    return open_run(chapter, profile, seed, **parameters)


def __getattr__(name: str):
    # Rooms and modules of the package are found on disk, so a new room needs no list here.
    if not name.startswith("_") and any((FOLDER / place).is_file() for place in (f"{name}.py", f"{name}/__init__.py")):
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    files = [path.stem for path in FOLDER.glob("[a-z]*.py")]
    rooms = [path.parent.name for path in FOLDER.glob("*/__init__.py")]
    return sorted({*globals(), *files, *rooms})
