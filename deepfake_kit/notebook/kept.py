"""Results that are kept: what an evening's run of a chapter leaves, for its page to show beside the run of the day.

``results/long/<chapter>/`` holds ``kept.json`` (numbers, tables, verdicts, settings, provenance, the code's hashes), a
PNG for each figure and a safetensors file of float16 numbers for each small network.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace

from deepfake_kit import paths, provenance
from deepfake_kit.notebook.settings import KEPT
from deepfake_kit.valid import invalid

LARGEST_NETWORK = 4_000_000  # bytes
FOLDER = "DEEPFAKE_KIT_KEEP"  # names the folder that a run leaves its networks in
TYPES = ("value", "table", "figure", "network", "claim", "check")


@dataclass(frozen=True)
class Kept:
    """A kept run: `about` is its ``kept.json``, `folder` where its pictures and networks lie."""

    folder: Path
    about: dict

    @cached_property
    def settings(self) -> SimpleNamespace:
        """The settings it ran with."""
        return SimpleNamespace(**self.about["settings"])

    def record(self, id: str, *types: str) -> dict | None:
        """What was recorded under an id: the first of these types that has it, by default of all types."""
        for kind in types or TYPES:
            for record in self.about["records"]:
                if record["type"] == kind and record["id"] == id:
                    return record
        return None

    def get(self, id: str, *types: str):
        """A number, a table (DataFrame), a figure (bytes of a PNG), a network (state dict, float32), or None."""
        record = self.record(id, *types)
        if record is None:
            return None
        if record["type"] == "table":
            import pandas as pd

            cells = dict(record["cells"])
            if any(isinstance(row, list) for row in cells["index"]):
                cells["index"] = pd.MultiIndex.from_tuples(map(tuple, cells["index"]))
            return pd.DataFrame(**cells)
        if record["type"] == "network":
            from safetensors.torch import load_file

            return {name: x.float() for name, x in load_file(self.folder / record["file"]).items()}
        return (self.folder / record["file"]).read_bytes() if record["type"] == "figure" else record["value"]

    def changed(self) -> list[str]:
        """The kit's modules that it reached and that compute otherwise today."""
        return sorted(name for name, digest in self.about["code"].items() if provenance.module_code(name) != digest)


def folder(chapter: str) -> Path | None:
    """Where a chapter's kept run lies in the copy of the repository one stands in; None outside of one."""
    try:
        return paths.notebooks().parent / "results" / KEPT / chapter
    except FileNotFoundError:
        return None


def load(chapter: str, root: Path | None = None) -> Kept | None:
    """A chapter's kept run, or None where there is none.

    Parameters
    ----------
    chapter : str
    root : Path, optional
        The repository; default: the one around the working directory.
    """
    place = root / "results" / KEPT / chapter if root else folder(chapter)
    if place is None or not (place / "kept.json").is_file():
        return None
    return Kept(place, json.loads((place / "kept.json").read_text(encoding="utf-8")))


def network_bytes(name: str, state: dict) -> bytes:
    """A network's weights as the file that is kept: float16, at most 4 MB.

    Raises
    ------
    ValueError
        If it is larger, or a weight does not fit into float16.
    """
    import torch
    from safetensors.torch import save

    halves = {key: x.detach().cpu().to(torch.float16).contiguous() for key, x in state.items()}
    if wrong := [key for key, x in halves.items() if not x.isfinite().all()]:
        raise invalid(f"network {name!r}", f"{', '.join(wrong)} too large for float16", "numbers up to 65504")
    content = save(halves)
    if len(content) > LARGEST_NETWORK:
        size = f"{len(content) / 1e6:.2f} MB as float16"
        raise invalid(f"network {name!r}", size, f"at most {LARGEST_NETWORK / 1e6:g} MB")
    return content
