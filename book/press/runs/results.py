"""Read the records that a run left in an executed notebook: every figure, table, number and verdict."""

from __future__ import annotations

from pathlib import Path

from deepfake_kit.notebook.page import METADATA_KEY


def collect(path: Path) -> dict:
    """All records of one executed notebook.

    Parameters
    ----------
    path : Path
        A notebook written by :func:`press.runs.execute.run`.

    Returns
    -------
    dict
        ``chapter, profile, seed, parameters, environment, data, seconds, peak_memory_mb, began, cells, records``;
        each record holds its ``type``, ``id`` and the ``cell`` it came from.

    Raises
    ------
    ValueError
        If a cell holds an error, or no run was started in the notebook.
    """
    import nbformat

    return read(nbformat.read(path, as_version=4), Path(path).name)


def read(notebook, name: str) -> dict:
    """All records of an executed notebook in memory; `name` is what errors call it. See :func:`collect`."""
    records, cells = [], []
    for index, cell in enumerate(notebook.cells):
        if cell.cell_type != "code":
            continue
        cells.append({"index": index, "seconds": cell.metadata.get(METADATA_KEY, {}).get("seconds", 0.0)})
        for output in cell.outputs:
            if output.output_type == "error":
                raise ValueError(f"{name}: cell {index} holds an error: {output.ename}: {output.evalue}")
            record = output.get("metadata", {}).get(METADATA_KEY)
            if record:
                records.append({**record, "cell": index})
    starts = [record for record in records if record["type"] == "start"]
    if len(starts) != 1:
        raise ValueError(f"{name}: {len(starts)} runs were started; exactly one is needed")
    about = notebook.metadata.get(METADATA_KEY, {})
    return {
        "chapter": starts[0]["chapter"],
        "profile": starts[0]["profile"],
        "seed": starts[0]["seed"],
        # What the run itself saw goes before what was filled in: a notebook may have changed it since.
        "parameters": {**about.get("parameters", {}), **starts[0]["parameters"]},
        "settings": starts[0]["settings"],
        "environment": starts[0]["environment"],
        "data": [
            {
                key: record[key]
                for key in ("name", "split", "description", "count", "sha256", "stand_in", "photographs_of_people")
            }
            for record in records
            if record["type"] == "data"
        ],
        "status": "passed",
        "began": about.get("began"),
        "seconds": about.get("seconds"),
        "peak_memory_mb": max(record["peak_memory_mb"] for record in records),
        "cells": cells,
        "records": [record for record in records if record["type"] not in ("start", "data")],
    }


def pictures(executed: Path) -> dict[str, bytes]:
    """The figures of an executed notebook by id, each the bytes of a PNG."""
    import base64

    import nbformat

    outputs = [out for cell in nbformat.read(executed, as_version=4).cells for out in cell.get("outputs", [])]
    found = [(out.get("metadata", {}).get(METADATA_KEY, {}), out) for out in outputs]
    return {
        record["id"]: base64.b64decode(out.data["image/png"]) for record, out in found if record.get("type") == "figure"
    }


def other_data(recorded: list[dict]) -> list[str]:
    """The bytes that a run read against those that lie here, one line a split where they differ.

    Parameters
    ----------
    recorded : list of dict
        Rows with `name`, `split`, `sha256` and `stand_in`; names of no data set are a chapter's own and pass.
    """
    from deepfake_kit.data import dataset

    wrong = []
    for row in recorded:
        if row["name"] not in dataset.names():
            continue
        lies = dataset.fingerprint(row["name"], split=row["split"])
        if row["sha256"] != lies and not (row["stand_in"] and lies in (dataset.STAND_IN, dataset.MISSING)):
            wrong.append(f"{row['name']} {row['split']}: it read {row['sha256'][:12]}, but {lies[:12]} was found here")
    return wrong
