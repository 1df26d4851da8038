"""What *Deepfakes: made, shared, detected, defended* runs on: the notebooks show, the kit keeps.

A chapter writes each of its equations and algorithms out once, on a small size, and checks the kit against those
lines. The kit keeps what must be fast, safe or exact, and what several chapters share. A notebook needs one import
and one call:

>>> import deepfake_kit as kit
>>> run = kit.start("02_diffusion_math", profile="smoke", seed=1)
>>> run.seed
1

``kit.start(chapter, profile, seed)`` opens a run, ``kit.check`` grades an exercise, ``kit.slider`` makes an
explorable, ``kit.weights`` finds a network that others trained. Every other name is a room that is loaded the first
time it is used, so importing costs next to nothing.
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


def check(number: str, answer, variant: int = 0) -> bool:
    """Grade the answer to an exercise; see :func:`deepfake_kit.notebook.check.check`."""
    from deepfake_kit.notebook.check import check as grade

    return grade(number, answer, variant)


def slider(*arguments, **options):
    """A slider of precomputed frames; see :func:`deepfake_kit.notebook.explore.slider`."""
    from deepfake_kit.notebook.explore import slider as make

    return make(*arguments, **options)


def weights(name: str, download: bool | None = None):
    """A network that others trained, by name; see :func:`deepfake_kit.pretrained.load`."""
    from deepfake_kit.pretrained import load

    return load(name, download)


def __getattr__(name: str):
    # Rooms and modules of the package are found on disk, so a new room needs no list here.
    if not name.startswith("_") and any((FOLDER / place).is_file() for place in (f"{name}.py", f"{name}/__init__.py")):
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    files = [path.stem for path in FOLDER.glob("[a-z]*.py")]
    rooms = [path.parent.name for path in FOLDER.glob("*/__init__.py")]
    return sorted({*globals(), *files, *rooms})
