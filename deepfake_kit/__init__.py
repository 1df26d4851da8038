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
    from deepfake_kit.run import Run

__version__ = "0.1.0"
FOLDER = Path(__file__).parent


def start(chapter: str, profile: str = "book", seed: int = 0, **parameters) -> Run:
    """Open the run of one chapter; see :func:`deepfake_kit.run.start`."""
    from deepfake_kit.run import start as open_run

    return open_run(chapter, profile, seed, **parameters)


def __getattr__(name: str):
    # Modules of the package are found on disk, so a new room needs no list here.
    if not name.startswith("_") and (FOLDER / f"{name}.py").is_file():
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    modules = [path.stem for path in FOLDER.glob("[a-z]*.py")]
    return sorted({*globals(), *modules})
