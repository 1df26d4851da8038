"""With a repository named in its one place, every launch and download link leads to a file that exists."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import nbformat
import pytest
import small_book
import yaml
from press import sources, stage

ROOT = Path(__file__).resolve().parents[2]
ADDRESS = "https://github.com/someone/deepfakes-book"


@pytest.fixture(scope="module")
def launched(small, tmp_path_factory):
    """The small book, its pages made anew with a repository."""
    folder = shutil.copytree(small, tmp_path_factory.mktemp("book") / "book", symlinks=True)
    config = folder / "_config.yml"
    config.write_text(config.read_text().replace('url: ""', f"url: {ADDRESS}"))
    environment = {
        key: value for key, value in small_book.environment(folder).items() if key != "DEEPFAKE_BOOK_REPOSITORY"
    }
    done = subprocess.run(
        [small_book.sys.executable, "-m", "press", "build"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


@pytest.mark.slow
def test_every_colab_link_points_to_a_notebook_of_the_tree(launched):
    tree = {str(path.relative_to(launched)) for path in launched.rglob("*.ipynb") if "_build" not in path.parts}
    for page in sorted((launched / "_build" / "html" / "notebooks").glob("*.html")):
        links = re.findall(r'href="https://colab\.research\.google\.com/github/([^"]+)"', page.read_text())
        assert links, f"{page.name} has no launch button"
        for link in links:
            owner, name, _, branch, path = link.split("/", 4)
            assert (f"https://github.com/{owner}/{name}", branch) == (ADDRESS, "colab")
            assert path in tree
    for page in ("index", "ledger"):
        html = launched / "_build" / "html" / "book" / f"{page}.html"
        assert "colab.research" not in html.read_text()


@pytest.mark.slow
def test_every_download_link_leads_to_a_file_that_knows_the_repository(launched):
    for page in sorted((launched / "_build" / "html" / "notebooks").glob("*.html")):
        links = re.findall(r'href="([^"]*_sources/[^"]+\.ipynb)"', page.read_text())
        assert links
        for link in links:
            notebook = nbformat.read((page.parent / link).resolve(), as_version=4)
            assert f'repository = "{ADDRESS}"' in notebook.cells[1].source


def test_the_environment_names_the_repository_before_the_file(monkeypatch):
    monkeypatch.setenv("DEEPFAKE_BOOK_REPOSITORY", f"{ADDRESS}/")
    assert stage.repository(ROOT) == ADDRESS
    monkeypatch.delenv("DEEPFAKE_BOOK_REPOSITORY")
    assert stage.repository(ROOT) == ""


def names_a_repository(text: str) -> bool:
    """Whether a text holds an address of a repository of this book, beside which somebody would have to edit it."""
    return bool(
        re.search(
            r"github\.com/[\w.-]+/[\w.-]*deepfake|(?:repository|colab)\b.*github\.com/[a-z]|github\.com/[a-z][\w-]*/[\w-]+\b.*(?:repository|colab)",
            text,
        )
    )


def test_the_repository_stands_in_one_place():
    config = yaml.safe_load((ROOT / "_config.yml").read_text())
    assert config["repository"]["url"] == ""
    assert names_a_repository("pip install git+https://github.com/someone/deepfakes-book")
    folders = ("book", "notebooks", "deepfake_kit", "data_scripts")
    files = [
        path for name in folders for path in (ROOT / name).rglob("*") if path.suffix in (".py", ".md", ".ipynb", ".yml")
    ]
    files += [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "_config.yml", "_toc.yml", "Makefile")]
    assert len(files) > 100  # also where the book lies outside a checkout, as in a zip
    assert [str(path) for path in files if names_a_repository(path.read_text(encoding="utf-8"))] == []


def test_colab_copies_know_the_repository(tmp_path):
    assert sources.for_colab(ROOT / "notebooks", tmp_path, ADDRESS) == 0
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        copy = nbformat.read(tmp_path / path.name, as_version=4)
        first = next(cell for cell in copy.cells if cell.cell_type == "code")
        assert f'repository = "{ADDRESS}"' in first.source
        original, changed = json.loads(path.read_text()), json.loads((tmp_path / path.name).read_text())
        assert sum(a != b for a, b in zip(original["cells"], changed["cells"])) == 1


def test_colab_copies_need_a_repository(tmp_path):
    with pytest.raises(ValueError, match="no repository is known"):
        sources.for_colab(ROOT / "notebooks", tmp_path, "")
