"""What a path means: the same in every process of a run, wherever that process stands.

A relative path, in a variable or an option, is relative to the folder where the command was given. The command notes
that folder in ``$DEEPFAKE_KIT_HERE`` and hands its children absolute paths. Standard library only.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

HERE = "DEEPFAKE_KIT_HERE"
_KIT = "DEEPFAKE_KIT_DATA DEEPFAKE_KIT_WEIGHTS DEEPFAKE_KIT_CACHE DEEPFAKE_BOOK_BUILD"
VARIABLES = (*_KIT.split(), "VENV", "XDG_CACHE_HOME", "MPLCONFIGDIR")


def here() -> Path:
    """The folder where the command was given; in a process that no command of ours started, the working directory."""
    return Path(os.environ.get(HERE) or Path.cwd())


def absolute(path: str | os.PathLike) -> Path:
    """A path as whoever gave it meant it: ``~`` expanded, the rest joined to :func:`here`.

    Examples
    --------
    >>> absolute("/data/sets"), absolute("data") == here() / "data"
    (PosixPath('/data/sets'), True)
    """
    try:
        return here() / Path(path).expanduser()
    except RuntimeError:
        raise ValueError(f"path {os.fspath(path)!r} names the home of a user whom this machine does not know") from None


def said(path: str | os.PathLike) -> str:
    r"""A path on one line of any terminal; a file's name may hold anything.

    Examples
    --------
    >>> print(said("face.png"), said("real\n\x1b[2J.png"))
    face.png 'real\n\x1b[2J.png'
    """
    text = os.fspath(path)
    return text if text.isprintable() else repr(text)


def notebooks(start: Path | None = None) -> Path:
    """The ``notebooks`` folder of the copy of the repository one stands in.

    Raises
    ------
    FileNotFoundError
        If neither `start` (default: the working directory) nor a folder above it holds one.
    """
    start = (start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        if (folder / "_toc.yml").is_file() and (folder / "notebooks").is_dir():
            return folder / "notebooks"
    raise FileNotFoundError(f"no notebooks folder in {start} or above it; run this inside a copy of the repository")


def fixed() -> dict[str, str]:
    """The variables that make every relative path mean the same in a child process, whatever folder it works in."""
    found = {HERE: str(here())}
    for name in VARIABLES:
        if os.environ.get(name):
            found[name] = str(absolute(os.environ[name]))
    if os.environ.get("PYTHONPATH"):
        parts = os.environ["PYTHONPATH"].split(os.pathsep)
        found["PYTHONPATH"] = os.pathsep.join(str(absolute(part)) for part in parts if part)
    return found


def beside(module: str) -> dict:
    """What the YAML file of a module's name says, which lies beside it: its tables of numbers and words.

    >>> from deepfake_kit.faces import attributes
    >>> beside(attributes.__file__)["hair_colours"]["brown"]
    '#69432c'
    """
    import yaml

    return yaml.safe_load(Path(module).with_suffix(".yml").read_text(encoding="utf-8"))


@contextlib.contextmanager
def variables(values: dict[str, str]) -> Iterator[None]:
    """Set environment variables for a while."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextlib.contextmanager
def command() -> Iterator[None]:
    """Around each command: inside, relative paths hang on the folder where it was given, in its children too."""
    with variables({HERE: str(Path.cwd())}), variables(fixed()):
        yield
