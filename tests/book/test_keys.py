"""A chapter's key: everything that can change its result changes it, nothing else does."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys

import pytest
import small_book
from press import keys
from press.runs import source

from deepfake_kit import pretrained
from deepfake_kit.notebook import claims, settings

CLAIM = 'run.claim("demo-eq-1", 3)'


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A repository with its own kit, on which the whole of `keys` looks."""
    folder = tmp_path / "book"
    (folder / "notebooks").mkdir(parents=True)
    kit = folder / "deepfake_kit"
    shutil.copytree(keys.KIT, kit, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "requirements.lock").write_text("torch==2.13.0\n")
    (kit / "papers" / "demo.yml").write_text(small_book.CLAIMS)
    about = small_book.CHAPTER.format(title="Demonstration").replace(
        "data: []", 'data: ["fashion-mnist"]\nweights: {book: [clip-vit-b16]}'
    )
    (kit / "chapters" / "91_demo.yml").write_text(about)
    small_book.write(folder, "91_demo", "from deepfake_kit.game import stackelberg", CLAIM)
    monkeypatch.setattr(settings, "FOLDER", kit / "chapters")
    monkeypatch.setattr(claims, "FOLDER", kit / "papers")
    monkeypatch.setattr(keys, "_fingerprint", lambda name: f"bytes of {name}")
    monkeypatch.setattr(pretrained, "ensure", lambda name: f"bytes of {name}")
    claims.load.cache_clear()
    yield folder
    claims.load.cache_clear()


def key(place, profile="book") -> str:
    claims.load.cache_clear()
    return keys.chapter_key(place, "91_demo", profile, place / "deepfake_kit")


def append(name):
    def plant(place, monkeypatch):
        with (place / name).open("a") as file:
            file.write("\n# edited\n")

    return plant


def replace(name, old, new):
    def plant(place, monkeypatch):
        text = (place / name).read_text()
        assert old in text
        (place / name).write_text(text.replace(old, new, 1))

    return plant


def other_weights(place, monkeypatch):
    monkeypatch.setattr(pretrained, "ensure", lambda name: "missing")


def other_data(place, monkeypatch):
    monkeypatch.setattr(keys, "_fingerprint", lambda name: "stand-in")


def edit_notebook(place, monkeypatch):
    small_book.write(place, "91_demo", "from deepfake_kit.game import stackelberg  # edited", CLAIM)


KIT = "deepfake_kit/"


@pytest.mark.parametrize(
    "plant",
    [
        edit_notebook,
        append(KIT + "game/stackelberg.py"),
        append(KIT + "notebook/run.py"),
        append(KIT + "provenance.py"),
        append("requirements.lock"),
        append(KIT + "chapters/91_demo.yml"),
        replace(KIT + "papers/demo.yml", "printed: 3", "printed: 4"),
        replace("notebooks/91_demo.ipynb", "seed = 0", "seed = 1"),
        other_data,
        other_weights,
    ],
    ids="notebook kit run under-run lock settings claim parameter data weights".split(),
)
def test_what_can_change_a_result_changes_the_key(place, monkeypatch, plant):
    before = key(place)
    plant(place, monkeypatch)
    assert key(place) != before


def test_the_profile_is_part_of_the_key(place):
    assert len({key(place, profile) for profile in settings.PROFILES}) == len(settings.PROFILES)


@pytest.mark.parametrize(
    "plant",
    [
        lambda place, monkeypatch: None,
        append(KIT + "diffusion/unet.py"),
        append(KIT + "exercises/chapter_02.py"),
        append(KIT + "chapters/02_diffusion_math.yml"),
        append(KIT + "papers/ddtma.yml"),
        replace(KIT + "papers/demo.yml", "It is fast.", "It is very fast."),
    ],
    ids="nothing other-module other-grader other-chapter other-paper other-row".split(),
)
def test_what_cannot_change_it_leaves_the_key(place, monkeypatch, plant):
    before = key(place)
    plant(place, monkeypatch)
    assert key(place) == before


def texts(place) -> dict[str, str]:
    """Files that may lie in the place of a notebook."""
    good = (place / "notebooks" / "91_demo.ipynb").read_text()
    half = good.index('"nbformat"')
    return {
        "empty": "",
        "cut": good[: len(good) // 2],
        "merge": f"{good[:half]}<<<<<<< HEAD\n{good[half:]}",
        "list": "[]",
        "no-cells": "{}",
        "expression": good.replace("seed = 0", "seed = 2 * 3"),
        "syntax": good.replace("seed = 0", "seed = = 0"),
        "prose": good.replace("from deepfake_kit.game", "please from deepfake_kit.game"),
    }


@pytest.mark.parametrize("kind", "empty cut merge list no-cells expression syntax prose".split())
def test_a_source_that_is_none_is_an_error_that_names_the_chapter(place, kind):
    text = texts(place)[kind]
    (place / "notebooks" / "91_demo.ipynb").write_text(text)
    with pytest.raises(ValueError, match="91_demo"):
        key(place)


def test_a_notebook_of_the_third_format_is_read(place):
    path = place / "notebooks" / "91_demo.ipynb"
    cell = {"cell_type": "code", "input": "x = 1", "language": "python", "metadata": {}, "outputs": []}
    old = {"metadata": {}, "nbformat": 3, "nbformat_minor": 0, "worksheets": [{"cells": [cell], "metadata": {}}]}
    path.write_text(json.dumps(old))
    assert [cell.source for cell in source.read_source(path).cells] == ["x = 1"]


@pytest.mark.parametrize("kind", ["byte order mark", "no ids", "windows"])
def test_what_editors_do_to_a_source_does_no_harm(place, kind):
    path = place / "notebooks" / "91_demo.ipynb"
    text = path.read_text()
    if kind == "byte order mark":
        path.write_text("\ufeff" + text, encoding="utf-8")
    elif kind == "windows":
        path.write_bytes(text.replace("\n", "\r\n").encode())
    else:
        notebook = json.loads(text)
        for cell in notebook["cells"]:
            del cell["id"]
        path.write_text(json.dumps({**notebook, "nbformat_minor": 2}))
    assert len(key(place)) == 20


def test_a_key_is_the_same_where_files_have_names_in_ascii():
    code = "import sys; from pathlib import Path; from press import keys; "
    code += "print(sys.getfilesystemencoding(), keys.chapter_key(Path(sys.argv[1]), '04_stackelberg_game', 'smoke'))"
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    env = {**small_book.environment(small_book.ROOT), **plain}
    done = subprocess.run([sys.executable, "-c", code, str(small_book.ROOT)], env=env, text=True, capture_output=True)
    assert done.stdout.split() == ["ascii", keys.chapter_key(small_book.ROOT, "04_stackelberg_game", "smoke")], done


def test_the_package_reaches_weights_only_where_they_are_named(place):
    start = "import deepfake_kit as kit\nrun = kit.start('91_demo')\n"
    for more, reached in (("", False), ("kit.weights('rivagan')", True), ("run.weights('rivagan')", True)):
        found = {path.parent.name for path in keys.reachable([start + more], place / "deepfake_kit")}
        assert ("pretrained" in found) == reached, more


@pytest.mark.parametrize(
    ("cell", "reached"),
    [
        ("%%time\nfrom deepfake_kit.diffusion import unet", True),
        ("%%bash\nfrom deepfake_kit.diffusion import unet", True),  # read as python, which does no harm
        ("%%bash\nfor x in 1 2; do echo $x; done", False),
        ("%%writefile notes.txt\nplain words", False),
        ("files = !ls\nwhere = %pwd\nlen?\n?len\n!pip install \\\n  x\n%pip install y", False),
        ("if True:\n    !ls\n    from deepfake_kit.diffusion import unet", True),
    ],
)
def test_cells_of_ipython_are_read_as_ipython_reads_them(place, cell, reached):
    found = {path.name for path in keys.reachable([cell], place / "deepfake_kit")}
    assert ("unet.py" in found) == reached
