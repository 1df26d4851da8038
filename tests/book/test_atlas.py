"""The atlas: a tile for every figure and table of the works, a twin only where a run recorded one."""

from __future__ import annotations

import base64
import io
import re
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_notebook, new_output
from PIL import Image
from press import atlas

from deepfake_kit.notebook.page import METADATA_KEY
from deepfake_kit.notebook.run import NIGHT_KEY

ROOT = Path(__file__).resolve().parents[2]


def named_in_notebooks() -> set[str]:
    """Every figure, table and slider that a notebook makes under a name written in full."""
    found = set()
    for path in ROOT.glob("notebooks/*.ipynb"):
        code = "\n".join(cell.source for cell in nbformat.read(path, as_version=4).cells if cell.cell_type == "code")
        for kind, call in (("fig", "figure"), ("tab", "table"), ("exp", "(?:explorable|slider)")):
            found |= {f"{path.name[:2]}/{kind}/{name}" for name in re.findall(rf'\.{call}\(\s*"([^"]+)"', code)}
    return found


def invented() -> list[str]:
    """Twins that no notebook makes."""
    made = named_in_notebooks()
    every = {twin for entry in atlas.load().values() for twin in entry["twins"] if not twin.startswith("page:")}
    return sorted(every - made)


def test_every_twin_is_made_by_a_chapter(monkeypatch):
    assert invented() == []
    monkeypatch.setattr(atlas, "load", lambda: {"ddtma-fig-1": {"twins": ["05/fig/never-drawn"]}})
    assert invented() == ["05/fig/never-drawn"], "a twin that nobody draws is not noticed"


def result(kind: str, name: str) -> dict:
    record = {"type": kind, "id": name, "alt": "Curves that fall.", "caption": "They fall."}
    return {"chapter": "06_federated_diffusion", "data": [], "records": [record]}


def test_every_figure_and_table_is_a_tile_and_red_without_a_recorded_twin(monkeypatch):
    written = [name for name in atlas.settings.chapters() if name != "03_caption_guided_faces"]
    monkeypatch.setattr(atlas.settings, "chapters", lambda: written)
    page = BeautifulSoup(atlas.tiles([result("figure", "loss-by-round")]), "html.parser")
    tiles = {tile["id"].removeprefix("atlas-"): tile for tile in page.select("li.atlas-tile")}
    assert list(tiles) == [row.id for _, row in atlas.rows_of_works()]
    drawn = tiles["ddtma-fig-3"]
    assert "atlas-none" not in drawn["class"]
    assert drawn.img["alt"] == "Curves that fall." and drawn.img["src"] == "atlas/06-loss-by-round.webp"
    assert drawn.select_one(".atlas-twins a")["href"] == "../notebooks/06_federated_diffusion.html#fig-06-loss-by-round"
    for name in ("ddtma-fig-5", "hanyang-fig-3"):  # twins that this run did not record, one of a chapter to come
        assert "atlas-none" in tiles[name]["class"] and "No twin yet" in tiles[name].get_text()
    assert "Chapter 3 is not written yet." in tiles["hanyang-fig-3"].get_text()
    without = len(page.select(".atlas-none"))
    assert f"{len(tiles) - without} of {len(tiles)}" in page.select_one(".atlas-count").get_text()
    about = {**result("figure", "loss-by-round")["records"][0], "number": "Fig. 6.2"}
    page = BeautifulSoup(
        atlas.tiles([{"chapter": "06_federated_diffusion", "data": [], "records": [about]}]), "html.parser"
    )
    assert page.find(id="atlas-ddtma-fig-3").select_one(".atlas-twins a").get_text() == "Fig. 6.2"
    for name, tile in tiles.items():
        assert tile.find("a", href=f"ledger.html#ledger-{name}"), name
        assert len(tile.select_one(".atlas-states").get_text()) > 20


def test_raw_html_has_no_empty_line_that_would_end_it():
    assert not re.search(r"\n\s*\n", atlas.tiles([]))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("ddtma-eq-1: {twins: [05/fig/a]}", "no figure or table"),
        ("ddtma-fig-1: {twins: [fig-05-a]}", "valid: chapter/fig, tab or exp/name"),
    ],
)
def test_a_wrong_entry_is_refused(tmp_path, text, words):
    (tmp_path / "atlas.yml").write_text(text)
    with pytest.raises(ValueError, match=words):
        atlas.load(tmp_path / "atlas.yml")


def shows(photographs: bool):
    png = io.BytesIO()
    Image.new("RGBA", (1200, 600), (255, 0, 0, 0)).save(png, "png")
    record = {"type": "figure", "id": "loss-by-round", "chapter": "06_x", "photographs_of_people": photographs}
    data = {"image/png": base64.b64encode(png.getvalue()).decode()}
    output = new_output("display_data", data=data, metadata={METADATA_KEY: record, NIGHT_KEY: data["image/png"]})
    return new_notebook(cells=[new_code_cell("x", outputs=[output])])


def test_a_thumbnail_is_small_and_on_white_and_never_of_photographs(tmp_path):
    found = atlas.pictures(shows(False))
    day, night = (Image.open(io.BytesIO(picture)) for picture in found["06/fig/loss-by-round"])
    assert day.size == night.size == (400, 200)
    assert day.convert("RGB").getpixel((5, 5)) == (255, 255, 255)
    assert night.mode == "RGBA" and night.getpixel((5, 5))[3] == 0  # a dark page shows through
    assert atlas.pictures(shows(True)) == {}
    atlas.write(tmp_path, {**found, "06/fig/other": (b"", b"")})
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["06-loss-by-round-night.webp", "06-loss-by-round.webp"]
