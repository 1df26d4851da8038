"""The kit's own pages, and the links from the chapters' code to them."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from bs4 import BeautifulSoup
from press import code_links, kit

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def bodies():
    """The kit's pages, with what docutils could not read marked."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kit, "REPORT", 2)
        yield {module.name: kit.body(module) for module in kit.shown()}


def names(source: str, known: code_links.Names | None = None) -> dict[str, str]:
    """What a cell's names lead to, by their text."""
    found = (known or code_links.Names()).places(source)
    return {source[start:end]: ".".join(filter(None, where)) for start, end, where in found}


def test_names_are_followed_to_where_they_are_defined():
    cells = code_links.Names()
    assert names("import deepfake_kit as kit\nfrom deepfake_kit import diffusion as d", cells) == {
        "deepfake_kit": "deepfake_kit",
        "diffusion": "deepfake_kit.diffusion",
    }
    steps = "deepfake_kit.diffusion.steps"
    assert names("schedule = d.NoiseSchedule.linear(9)\nschedule.snr", cells) == {
        "d": "deepfake_kit.diffusion",
        "NoiseSchedule": f"{steps}.NoiseSchedule",
        "linear": f"{steps}.NoiseSchedule.linear",
        "snr": f"{steps}.NoiseSchedule.snr",
    }
    run = names('run = kit.start("x")\nrun.figure("a", 1)\nrun.nothing', cells)
    assert run["start"] == "deepfake_kit.start" and run["figure"] == "deepfake_kit.notebook.run.Run.figure"
    assert "nothing" not in run


def test_a_name_that_a_cell_takes_for_itself_is_no_link():
    cells = code_links.Names()
    names("from deepfake_kit.diffusion import sample, q_sample", cells)
    assert names("def f(sample):\n    return sample(q_sample)", cells) == {
        "q_sample": "deepfake_kit.diffusion.steps.q_sample"
    }
    assert names("[sample for sample in x]", cells) == {}
    assert names("sample = 3", cells) == {} and names("sample + 1", cells) == {}


@pytest.mark.parametrize("path", sorted(ROOT.glob("notebooks/*.ipynb")), ids=lambda path: path.stem)
def test_every_name_that_a_chapter_imports_has_its_place(path, bodies):
    cells, places = code_links.Names(), {}
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code" and not re.search(r"^\s*[%!]", cell.source, re.MULTILINE):
            found = cells.places(cell.source)
            imported = kit.taken(__import__("ast").parse(cell.source))
            assert {text for text in imported.values() if kit.resolve(text)} == set(imported.values())
            places |= {where: None for _, _, where in found}
    assert len(places) > 20
    for where in places:
        assert not where[1] or f'id="{kit.anchor(where)}"' in bodies[where[0]], where


def test_a_page_holds_equation_description_and_source(bodies):
    page = BeautifulSoup(bodies["deepfake_kit.diffusion.steps"], "html.parser")
    entry = page.find(id="deepfake_kit.diffusion.steps.q_sample")
    assert r"\sqrt{\bar\alpha_t}\,x_0" in entry.select_one(".math").get_text()
    assert "x0: Tensor, t: int | Tensor" in entry.select_one(".kit-signature").get_text()
    assert "Noise clean data to step t at once." in entry.get_text() and "Raises ValueError" in entry.get_text()
    source = entry.details.select_one("pre").get_text()
    assert source.strip() in Path(kit.PACKAGE, "diffusion", "steps.py").read_text(encoding="utf-8")


def test_no_docstring_breaks_its_page(bodies, monkeypatch):
    """What docutils cannot read shows as a red box; names in `backticks` and roles are set as code."""
    for name, body in bodies.items():
        assert "system-message" not in body and "problematic" not in body, name
        plain = re.sub(r"(?s)<(pre|code)\b.*?</\1>", "", body)
        assert not re.findall(r":\w+:`|``", plain), name
    monkeypatch.setattr(kit, "REPORT", 2)
    broken = kit.described("An *emphasis that does not end and |a substitution|.")
    assert "problematic" in broken, "a docstring that cannot be read is not noticed"


CELL = (
    '<div class="highlight-ipython3 notranslate"><div class="highlight"><pre><span></span>'
    '<span class="kn">from</span> <span class="nn">deepfake_kit.diffusion</span> <span class="kn">import</span> '
    '<span class="n">q_sample</span>\n<span class="k">for</span> <span class="n">t</span> <span class="ow">in</span> '
    '<span class="n">x</span><span class="p">:</span>\n    <span class="n">q_sample</span><span class="p">(</span>\n'
    '        <span class="s2">&quot;a &lt; b&quot;</span><span class="p">)</span>\n</pre></div></div>'
)


def test_links_leave_the_code_as_it_was():
    page = code_links.link_page(CELL, "../")
    soup, before = BeautifulSoup(page, "html.parser"), BeautifulSoup(CELL, "html.parser")
    assert soup.get_text() == before.get_text()
    links = soup.select("a.kit-code")
    assert [link.get_text() for link in links] == ["deepfake_kit.diffusion", "q_sample", "q_sample"]
    assert links[1]["href"] == "../kit/deepfake_kit.diffusion.steps.html#deepfake_kit.diffusion.steps.q_sample"
    assert [link.get("tabindex") for link in links] == [None, None, "-1"]
