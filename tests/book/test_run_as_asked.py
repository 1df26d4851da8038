"""A run is what was asked for, or an error; outputs and parameters are judged before any work."""

from __future__ import annotations

import dataclasses
import json
import shutil
import sys

import nbformat
import pytest
import small_book
from press import worker
from press.runs import execute

from deepfake_kit import pretrained, provenance
from deepfake_kit.__main__ import main
from deepfake_kit.data import dataset
from deepfake_kit.notebook import settings

CHAPTER = "04_stackelberg_game"
SOURCE = small_book.ROOT / "notebooks" / f"{CHAPTER}.ipynb"


@pytest.fixture
def book(tmp_path, monkeypatch):
    """A folder of notebooks where no kernel may start."""
    (tmp_path / "notebooks").mkdir()
    shutil.copy(SOURCE, tmp_path / "notebooks")
    shutil.copy(small_book.ROOT / "_toc.yml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DEEPFAKE_BOOK_BUILD", raising=False)
    monkeypatch.setattr("papermill.execute_notebook", lambda *a, **b: pytest.fail("a kernel was started"))
    return tmp_path


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-p", "profile=smoke"], "--profile smoke"),
        (["-p", "seed=1", "-p", "seed=2"], "'seed' is given twice"),
        (["--output", "."], "is a folder"),
        (["--output", "new/"], "is a folder"),
        (["--output", "new"], "must end in .ipynb"),
        (["--output", f"notebooks/{CHAPTER}.ipynb"], "among the sources"),
        (["--output", "notebooks/copy.ipynb"], "among the sources"),
        (["--output", "link.ipynb"], "among the sources"),
    ],
    ids="profile twice folder slash suffix source beside link".split(),
)
def test_bad_words_are_refused_before_any_work(book, words, said, capsys):
    (book / "link.ipynb").symlink_to(book / "notebooks" / f"{CHAPTER}.ipynb")
    before = SOURCE.read_bytes()
    assert main(["run", CHAPTER, *words]) == 2
    assert said in capsys.readouterr().err
    assert (book / "notebooks" / f"{CHAPTER}.ipynb").read_bytes() == before and not (book / "new").exists()


def test_a_tilde_is_the_home(book, monkeypatch):
    monkeypatch.setenv("HOME", str(book / "me"))
    assert execute.checked_output("~/x.ipynb", book / "notebooks") == book / "me" / "x.ipynb"


@pytest.mark.parametrize("mark", ["injected", "of a run"])
def test_an_executed_copy_is_no_source(book, mark):
    path = book / "notebooks" / f"{CHAPTER}.ipynb"
    notebook = nbformat.read(path, as_version=4)
    if mark == "injected":
        cell = nbformat.v4.new_code_cell('profile = "smoke"')
        cell.metadata.tags = ["injected-parameters"]
        notebook.cells.insert(3, cell)
    else:
        notebook.metadata["deepfake_kit"] = {"seconds": 3.0}
    nbformat.write(notebook, path)
    with pytest.raises(ValueError, match=f"chapter {CHAPTER}: .*executed copy"):
        execute.run(CHAPTER, notebooks=book / "notebooks", output=book / "x.ipynb")


def executed(folder, *cells):
    """Run a chapter whose parameters cell is that of chapter 4 and whose cells are these."""
    (folder / "notebooks").mkdir(exist_ok=True)
    notebook = small_book.notebook(CHAPTER, *cells)
    notebook.cells[3].source = ""
    nbformat.write(notebook, folder / "notebooks" / f"{CHAPTER}.ipynb")
    return execute.run(CHAPTER, "smoke", {"seed": 3}, folder / "x.ipynb", folder / "notebooks")


LOAD = 'run.load("fashion-mnist", "test", limit=5)'
START = 'import deepfake_kit as kit\nrun = kit.start("{}", profile={}, seed={})'


@pytest.mark.slow
@pytest.mark.parametrize(
    ("start", "said"),
    [
        (START.format(CHAPTER, '"book"', "seed"), "profile: asked 'smoke', recorded 'book'"),
        (START.format(CHAPTER, "profile", "seed + 1"), "seed: asked 3, recorded 4"),
        (START.format("02_diffusion_math", "profile", "seed"), "recorded '02_diffusion_math'"),
        ("1", "0 runs were started"),
    ],
    ids="profile seed chapter none".split(),
)
def test_a_run_that_records_something_else_is_an_error(tmp_path, start, said):
    with pytest.raises(ValueError, match=said):
        executed(tmp_path, start)
    assert not (tmp_path / "x.ipynb").exists() and not list(tmp_path.glob(".*ipynb"))


def test_a_changed_parameter_is_a_difference():
    found = {"profile": "smoke", "seed": 0, "parameters": {"dataset": "digits"}}
    asked = {"profile": "smoke", "seed": 0, "dataset": "kmnist", "unrecorded": 1}
    assert execute.differences(found, asked) == ["dataset: asked 'kmnist', recorded 'digits'"]


FASHION = {"dataset": "fashion-mnist"}
ROW = {"name": "fashion-mnist", "split": "test", "sha256": "stand-in", "stand_in": True}


@pytest.mark.parametrize(
    ("row", "lies", "kept"),
    [
        (ROW, "stand-in", True),
        (ROW, "5f" * 32, False),  # the kernel took digits although the set is there
        ({**ROW, "sha256": "5f" * 32, "stand_in": False}, "5f" * 32, True),
        ({**ROW, "sha256": "77" * 32, "stand_in": False}, "5f" * 32, False),
        ({**ROW, "name": "drawn by the chapter"}, "5f" * 32, True),
    ],
)
def test_data_other_than_those_of_the_key_are_an_error(monkeypatch, row, lies, kept):
    monkeypatch.setattr(dataset, "fingerprint", lambda name, split: lies)
    monkeypatch.setattr(worker.keys, "chapter_key", lambda root, chapter, profile: "k")
    found = {"chapter": "02_diffusion_math", "profile": "book", "parameters": FASHION, "data": [row]}
    wrong = worker.differences(provenance.PACKAGE, found, "k")
    assert wrong == [] if kept else wrong[0].startswith("fashion-mnist test: it read")


def test_a_set_that_the_chapter_does_not_list_is_an_error(monkeypatch):
    """It is in no key, so another version of it would change nothing."""
    monkeypatch.setattr(dataset, "fingerprint", lambda name, split: "stand-in")
    monkeypatch.setattr(worker.keys, "chapter_key", lambda root, chapter, profile: "k")
    found = {"chapter": "02_diffusion_math", "profile": "book", "parameters": {"dataset": "kmnist"}, "data": [ROW]}
    wrong = worker.differences(provenance.PACKAGE, found, "k")
    assert wrong == ["it read fashion-mnist, which stands not under data: in chapters/02_diffusion_math.yml"]


@pytest.mark.parametrize(
    ("listed", "lies", "said"),
    [
        (["rivagan"], "5f" * 32, []),
        (["rivagan"], "77" * 32, ["rivagan: it used 5f5f5f5f5f5f, but 777777777777 is found now"]),
        ([], "5f" * 32, ["it used rivagan, not listed in chapters/02_diffusion_math.yml, weights: book"]),
    ],
)
def test_weights_other_than_those_of_the_key_are_an_error(monkeypatch, listed, lies, said):
    about = dataclasses.replace(settings.load("02_diffusion_math"), weights={"book": listed})
    monkeypatch.setattr(settings, "load", lambda chapter: about)
    monkeypatch.setattr(pretrained, "fingerprint", lambda name: lies)
    monkeypatch.setattr(worker.keys, "chapter_key", lambda root, chapter, profile: "k")
    row = {"name": "rivagan", "split": "weights", "sha256": "5f" * 32, "stand_in": False}
    found = {"chapter": "02_diffusion_math", "profile": "book", "parameters": FASHION, "data": [row]}
    assert worker.differences(provenance.PACKAGE, found, "k") == said


def test_a_source_edited_while_it_ran_is_an_error(monkeypatch):
    monkeypatch.setattr(worker.keys, "chapter_key", lambda root, chapter, profile: "another")
    found = {"chapter": "02_diffusion_math", "profile": "book", "parameters": FASHION, "data": []}
    assert "changed while it ran" in worker.differences(provenance.PACKAGE, found, "k")[0]


@pytest.mark.slow
def test_a_command_whose_kernel_read_other_data_keeps_nothing(tmp_path, monkeypatch, capsys):
    """The command finds the set; its kernel, told another place, falls back to digits."""
    shutil.copy(small_book.ROOT / "_toc.yml", tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(dataset, "fingerprint", lambda name, split: "5f" * 32)
    monkeypatch.setenv("DEEPFAKE_KIT_OFFLINE", "1")
    monkeypatch.setenv("DEEPFAKE_KIT_DATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "notebooks").mkdir()
    notebook = small_book.notebook(CHAPTER, START.format(CHAPTER, "profile", "seed"), LOAD)
    notebook.cells[3].source = ""
    nbformat.write(notebook, tmp_path / "notebooks" / f"{CHAPTER}.ipynb")
    assert main(["run", CHAPTER, "--profile", "smoke", "--output", "x.ipynb"]) != 0
    assert "fashion-mnist test: it read stand-in, but 5f5f5f5f5f5f was found here" in capsys.readouterr().err
    assert not (tmp_path / "x.ipynb").exists()


def test_results_that_were_touched_are_not_fresh(tmp_path):
    folder = tmp_path / "abc"
    folder.mkdir()
    (folder / "notebook.ipynb").write_text("{}")
    row = {"key": "abc", "notebook_sha256": worker.file_sha256(folder / "notebook.ipynb")}
    (folder / "results.json").write_text(json.dumps(row))
    assert worker.fresh(folder)
    (folder / "notebook.ipynb").write_text("{} ")
    assert not worker.fresh(folder)
    (folder / "notebook.ipynb").write_text("{}")
    (folder / "results.json").write_text(json.dumps({**row, "key": "of another"}))
    assert not worker.fresh(folder)


@pytest.mark.slow
def test_the_kernel_is_this_interpreter_whatever_calls_itself_python3(tmp_path, monkeypatch):
    spec = tmp_path / "kernels" / "python3" / "kernel.json"
    spec.parent.mkdir(parents=True)
    spec.write_text(json.dumps({"argv": ["/no/such/python"], "display_name": "Other", "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path))
    start = START.format(CHAPTER, "profile", "seed")
    path = executed(tmp_path, start + "\nimport sys\nprint(sys.executable)")
    assert sys.executable in path.read_text()
