"""Keep an evening's run: its numbers, pictures and small networks, for the chapter's page to show."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import nbformat

from deepfake_kit import paths, provenance
from deepfake_kit.notebook.kept import TYPES
from deepfake_kit.notebook.settings import KEPT
from press.runs import results
from press.runs.source import read_source

LEFT_OUT = ("chapter", "profile", "seed", "peak_memory_mb", "cell", "photographs_of_people")


def code(chapter: str) -> dict[str, str]:
    """The hashes of the kit's modules that a chapter's source reaches, see :func:`deepfake_kit.provenance.code`."""
    cells = read_source(paths.notebooks() / f"{chapter}.ipynb").cells
    return provenance.code(cell.source for cell in cells if cell.cell_type == "code")


def write(executed: Path, networks: Path, folder: Path, code: dict[str, str]) -> Path:
    """Keep an executed notebook's results in `folder`, in place of those that lie there.

    Parameters
    ----------
    executed : Path
        A notebook executed at profile ``long``.
    networks : Path
        Where the run left its networks, see :meth:`deepfake_kit.notebook.run.Run.keep`.
    code : dict
        The hashes of the code it reaches, taken before it began: an edit meanwhile is a change since. See :func:`code`.

    Raises
    ------
    ValueError
        If it ran at another profile or on stand-in data.
    """
    notebook = nbformat.read(executed, as_version=4)
    found = results.read(notebook, executed.name)
    if found["profile"] != KEPT:
        raise ValueError(f"chapter {found['chapter']}: got a run at profile {found['profile']!r}; valid: {KEPT!r}")
    if stand_ins := sorted({row["name"] for row in found["data"] if row["stand_in"]}):
        raise ValueError(f"chapter {found['chapter']}: {', '.join(stand_ins)} was a stand-in, so nothing is kept")
    new, old = (folder.with_name(f".{folder.name}.{os.getpid()}.{word}") for word in ("new", "old"))
    try:
        _fill(new, executed, networks, found, code)
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        raise
    if folder.exists():
        folder.rename(old)
    new.rename(folder)
    shutil.rmtree(old, ignore_errors=True)
    return folder


def _fill(new: Path, executed: Path, networks: Path, found: dict, code: dict[str, str]) -> None:
    new.mkdir(parents=True)
    drawn, records = results.pictures(executed), []
    for record in found["records"]:
        if record["type"] not in TYPES or record.get("photographs_of_people"):
            continue
        record = {name: x for name, x in record.items() if name not in LEFT_OUT}
        if record["type"] == "figure":
            record["file"] = f"{record['id']}.png"
            (new / record["file"]).write_bytes(drawn[record["id"]])
        if record["type"] == "network":
            record["file"] = f"{record['id']}.safetensors"
            shutil.copy(networks / record["file"], new)
        records.append(record)
    about = {name: found[name] for name in ("chapter", "profile", "seed", "parameters", "settings", "environment")}
    about |= {"data": found["data"], "seconds": records[-1]["seconds"], "code": code}
    text = json.dumps({**about, "records": records}, indent=1, ensure_ascii=False)
    (new / "kept.json").write_text(text + "\n", encoding="utf-8")
