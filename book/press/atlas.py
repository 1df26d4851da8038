"""The atlas: every figure and table of the works, one tile each, with our twin of it, its evidence and its verdict."""

from __future__ import annotations

import base64
import functools
import io
from pathlib import Path

import yaml

from deepfake_kit.notebook import claims, settings
from deepfake_kit.notebook.page import METADATA_KEY
from deepfake_kit.notebook.run import NIGHT_KEY
from press import report, templates

FILE = Path(__file__).resolve().parents[1] / "atlas.yml"
KINDS = ("figure", "table")
RECORDS = {"fig": "figure", "tab": "table", "exp": "explorable"}
WORDS = {"fig": "figure", "tab": "table", "exp": "slider"}
WIDTH = 400  # pixels of a thumbnail


@functools.cache
def load(file: Path = FILE) -> dict[str, dict]:
    """The twins of the works' figures and tables, by the row's id.

    Raises
    ------
    ValueError
        If a row is no figure or table of a work, or a twin is not written as chapter/kind/name.
    """
    about = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    rows = {row.id for _, row in rows_of_works()}
    for name, entry in about.items():
        if name not in rows:
            raise ValueError(f"{file.name}: {name!r} is no figure or table of a work")
        for twin in entry["twins"]:
            parts = twin.split("/")
            if not twin.startswith("page:") and (len(parts) != 3 or parts[1] not in RECORDS):
                raise ValueError(f"{file.name}: {name}: the twin is {twin!r}; valid: chapter/fig, tab or exp/name")
    return about


def rows_of_works() -> list[tuple[dict, claims.Claim]]:
    """Every figure and table of the works, with its work's record."""
    return [(about, row) for about, rows in map(claims.load, claims.papers()) for row in rows if row.kind in KINDS]


def pictures(notebook) -> dict[str, tuple[bytes, bytes]]:
    """Small pictures of an executed notebook's figures, for a light page and for a dark one, by chapter/fig/name."""
    found = {}
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            record = output.get("metadata", {}).get(METADATA_KEY) or {}
            png = output.get("data", {}).get("image/png")
            if record.get("type") != "figure" or png is None or record.get("photographs_of_people"):
                continue
            night = output.metadata.get(NIGHT_KEY)
            day = _small("".join(png), "white")
            found[f"{record['chapter'][:2]}/fig/{record['id']}"] = day, _small(night) if night else day
    return found


def _small(source: str, ground: str | None = None) -> bytes:
    from PIL import Image

    image = Image.open(io.BytesIO(base64.b64decode(source))).convert("RGBA")
    if ground:
        flat = Image.new("RGB", image.size, ground)
        flat.paste(image, mask=image.getchannel("A"))
        image = flat
    image.thumbnail((WIDTH, WIDTH))
    small = io.BytesIO()
    image.save(small, "webp", quality=70, method=6)
    return small.getvalue()


def write(folder: Path, thumbnails: dict[str, tuple[bytes, bytes]]) -> None:
    """Write into `folder` the thumbnails that a tile shows."""
    folder.mkdir(parents=True, exist_ok=True)
    for twin in {twin for entry in load().values() for twin in entry["twins"]} & set(thumbnails):
        for name, picture in zip((file_name(twin), night_name(file_name(twin))), thumbnails[twin], strict=True):
            (folder / name).write_bytes(picture)


def night_name(picture: str) -> str:
    """The file of the same thumbnail for a dark page."""
    return picture.removesuffix(".webp") + "-night.webp"


def file_name(twin: str) -> str:
    """The file of a twin's thumbnail."""
    chapter, _, name = twin.split("/")
    return f"{chapter}-{name}.webp"


def tiles(results: list[dict]) -> str:
    """All tiles, a section a work, as raw HTML."""
    found, recorded = report.measured(results), twins(results)
    sections, missing = [], 0
    for paper in claims.papers():
        about, rows = claims.load(paper)
        listed = []
        for row in rows:
            if row.kind not in KINDS:
                continue
            entry = load().get(row.id, {})
            own = [recorded[twin] for twin in entry.get("twins", ()) if twin in recorded]
            missing += not own
            listed.append((row, own, entry.get("note"), found.get(row.id), _why(row)))
        if listed:
            sections.append((paper, about, listed))
    every = sum(len(listed) for _, _, listed in sections)
    return templates.render("atlas.html", sections=sections, every=every, missing=missing, night=night_name)


def twins(results: list[dict]) -> dict[str, dict]:
    """Every recorded figure, table and slider, and each page that a tile may lead to, by its twin's name."""
    found: dict[str, dict] = {}
    for result in results:
        for kind, record_type in RECORDS.items():
            for record in result["records"]:
                if record["type"] == record_type:
                    twin = f"{result['chapter'][:2]}/{kind}/{record['id']}"
                    place = f"{kind}-{result['chapter'][:2]}-{record['id'].replace('_', '-')}"
                    found[twin] = {
                        "words": record.get("number") or f"{WORDS[kind]} of chapter {int(result['chapter'][:2])}",
                        "address": f"../notebooks/{result['chapter']}.html#{place}",
                        "alt": record.get("alt") or "",
                        "picture": f"atlas/{file_name(twin)}" if kind == "fig" else None,
                    }
    for entry in load().values():
        for twin in entry["twins"]:
            if twin.startswith("page:"):
                address = twin.removeprefix("page:")
                name = address.partition(".")[0].replace("-", " ")
                found[twin] = {"words": f"our {name}", "address": address, "alt": "", "picture": None}
    return found


def _why(row: claims.Claim) -> str:
    """Why a row has no twin, as far as that is known."""
    if row.chapter and row.chapter not in settings.chapters():
        return f"Chapter {int(row.chapter[:2])} is not written yet."
    return row.reason or ""
