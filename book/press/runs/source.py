"""A chapter's source: read whatever wrote it, its parameters, and the form in which it is committed."""

from __future__ import annotations

import ast
import json
from pathlib import Path

from deepfake_kit.valid import one_of

LANGUAGE = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def read_source(notebook: Path):
    """A chapter's source as a notebook of today's format, whatever wrote it.

    Raises
    ------
    ValueError
        If the file is no notebook (empty, cut, merge markers), or an executed copy in the place of a source.
    """
    import nbformat

    try:
        found = nbformat.reads(notebook.read_text(encoding="utf-8-sig"), as_version=4)
        [cell.source for cell in found.cells]
    except (ValueError, KeyError, AttributeError, nbformat.ValidationError) as error:
        words = " ".join(str(error).split())[:120]
        raise ValueError(f"chapter {notebook.stem}: {notebook.name} is not a readable notebook: {words}") from None
    injected = [cell for cell in found.cells if "injected-parameters" in cell.metadata.get("tags", [])]
    if injected or "deepfake_kit" in found.metadata:
        raise ValueError(
            f"chapter {notebook.stem}: {notebook.name} is an executed copy, whose parameters are already filled in; "
            "put the source back"
        )
    return found


def default_parameters(notebook: Path) -> dict:
    """Name and default of every parameter that a notebook declares in its ``parameters`` cell.

    Raises
    ------
    ValueError
        If a default is not a plain value, such as a number or a text.
    """
    found = {}
    for cell in read_source(notebook).cells:
        if "parameters" not in cell.metadata.get("tags", []):
            continue
        try:
            for line in ast.parse(cell.source).body:
                if isinstance(line, ast.Assign | ast.AnnAssign) and line.value is not None:
                    targets = line.targets if isinstance(line, ast.Assign) else [line.target]
                    found.update({target.id: ast.literal_eval(line.value) for target in targets})
        except (SyntaxError, ValueError, AttributeError):
            raise ValueError(
                f"chapter {notebook.stem}: a line of the cell tagged 'parameters' is not `name = plain value`:\n"
                + cell.source
            ) from None
    return found


def checked_parameters(notebook: Path, given: dict) -> dict:
    """The notebook's parameters with `given` laid over the defaults.

    Raises
    ------
    ValueError
        If a given name is not a parameter of the notebook, or its type differs from the default's.

    Notes
    -----
    papermill alone writes an unknown name into the notebook and says so only in its log.
    """
    defaults = default_parameters(notebook)
    for name, value in given.items():
        one_of(f"parameter of {notebook.stem}", name, defaults)
        kind = type(defaults[name])
        if kind is float and type(value) is int:
            continue
        if type(value) is not kind:
            raise ValueError(
                f"parameter {name!r} of {notebook.stem} must be {kind.__name__} like its default "
                f"{defaults[name]!r}; {value!r} given"
            )
    return {**defaults, **given}


def parse_parameters(pairs: list[str]) -> dict:
    """Turn ``name=value`` words into parameters; values are JSON where they parse as such, else text.

    Examples
    --------
    >>> parse_parameters(["seed=3", "dataset=kmnist", "break_it=true"])
    {'seed': 3, 'dataset': 'kmnist', 'break_it': True}
    """
    found = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise ValueError(f"parameter {pair!r} must have the form name=value")
        if name in found:
            raise ValueError(f"parameter {name!r} is given twice")
        try:
            found[name] = json.loads(value.lower() if value in ("True", "False") else value)
        except json.JSONDecodeError:
            found[name] = value
    return found


def normalised(notebook, keep_times: bool = False):
    """The notebook without what changes from run to run: machine paths, time stamps, papermill's own notes.

    With `keep_times` each executed cell keeps its duration in seconds under
    ``metadata.deepfake_kit.seconds`` and the notebook keeps the total.
    """
    timing = notebook.metadata.pop("papermill", {})
    if keep_times and "duration" in timing:
        notebook.metadata["deepfake_kit"] = {
            "seconds": round(timing["duration"], 3),
            "began": timing["start_time"],
            "parameters": timing.get("parameters", {}),
        }
    for cell in notebook.cells:
        duration = cell.metadata.pop("papermill", {}).get("duration")
        cell.metadata.pop("execution", None)
        if keep_times and duration is not None:
            cell.metadata["deepfake_kit"] = {"seconds": round(duration, 3)}
        if not cell.metadata.get("tags", True):
            del cell.metadata["tags"]
    # Editors leave this out or fill it with their versions; Sphinx needs the language.
    notebook.metadata.update(LANGUAGE)
    if not keep_times:
        notebook.metadata.pop("widgets", None)
    return notebook


def stripped(notebook):
    """A source notebook as it is committed: no outputs, no counts, no machine, no times."""
    notebook = normalised(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    notebook.metadata = {**LANGUAGE}
    return notebook
