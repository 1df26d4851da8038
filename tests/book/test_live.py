"""The exercises in the page: graders that need nothing but numpy."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from press import live

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = {
    path.stem: nbformat.read(path, as_version=4)
    for path in sorted((ROOT / "notebooks").glob("*.ipynb"))
    if live.exercises(nbformat.read(path, as_version=4))
}
BARE = """
import contextlib, io, json, sys

class Only:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] not in sys.stdlib_module_names | {"numpy", "deepfake_kit"}:
            raise ImportError(f"no {name} in the page")

sys.meta_path.insert(0, Only())
sys.path.insert(0, sys.argv[1])
from deepfake_kit.notebook.check import check, exercises
said = {}
for before, rows in json.load(sys.stdin):
    for number, stub, solution in rows:
        for kind, code in (("stub", stub), ("solution", solution)):
            names = {"check": check}
            with contextlib.redirect_stdout(io.StringIO()) as out:
                exec(before + "\\n" + code, names)
            said.setdefault(number, {})[kind] = out.getvalue()
json.dump([said, sorted(exercises())], sys.stdout)
"""


def test_graders_and_solutions_need_nothing_but_numpy(tmp_path):
    have = live.modules()
    for name, text in have.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    asked = [(live.preamble(notebook, have), live.exercises(notebook)) for notebook in NOTEBOOKS.values()]
    done = subprocess.run(
        [sys.executable, "-c", BARE, str(tmp_path)],
        input=json.dumps(asked),
        cwd=tmp_path,
        env={},
        text=True,
        capture_output=True,
    )
    assert done.returncode == 0, done.stderr
    said, known = json.loads(done.stdout)
    assert sorted(said) == known, "each grader has its exercise in a notebook"
    for number, words in said.items():
        assert words == {"stub": f"{number}: not answered yet.\n", "solution": f"{number}: right.\n"}


def test_an_exercise_without_a_solution_is_named():
    make = nbformat.v4
    stub = make.new_code_cell('check("9.1", None)')
    solution = make.new_code_cell('check("9.1", 1)', metadata={"tags": ["solution"]})
    assert live.exercises(make.new_notebook(cells=[stub, solution]))[0].number == "9.1"
    with pytest.raises(ValueError, match=r"exercise 9\.1: a stub or a solution is missing"):
        live.exercises(make.new_notebook(cells=[stub]))
    with pytest.raises(ValueError, match="stands twice"):
        live.exercises(make.new_notebook(cells=[stub, stub, solution]))
