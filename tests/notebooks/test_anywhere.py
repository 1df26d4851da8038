"""A machine like Colab: torch, torchvision, numpy, matplotlib and ipywidgets are there, the kit is not.

The built wheel is installed beside them, every notebook runs at profile smoke, and nothing that was there before has
changed its version.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
import venv
from pathlib import Path

import nbformat
import pytest

import deepfake_kit
from deepfake_kit.notebook import execute

ROOT = Path(__file__).resolve().parents[2]
NAMES = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
THERE = ("torch", "torchvision", "numpy", "matplotlib", "ipywidgets", "ipykernel")

pytestmark = pytest.mark.slow


def sh(*words, **options) -> str:
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, **options)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def versions(python: Path) -> dict[str, str]:
    listed = json.loads(sh(python, "-m", "pip", "list", "--format", "json", "--disable-pip-version-check"))
    return {row["name"].lower().replace("_", "-"): row["version"] for row in listed}


def lock(name: str) -> str:
    return re.search(rf"^{name}==\S+", (ROOT / "requirements.lock").read_text(), re.MULTILINE)[0]


@pytest.fixture(scope="module")
def colab(tmp_path_factory):
    """The fresh environment's python, and its versions before the kit came."""
    folder = tmp_path_factory.mktemp("anywhere")
    venv.create(folder / "venv", with_pip=True)
    python = folder / "venv" / "bin" / "python"
    sh(python, "-m", "pip", "install", "--quiet", *map(lock, THERE))
    before = versions(python)
    sh(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder / "dist", ROOT)
    wheel = next((folder / "dist").glob("*.whl"))
    return python, before, wheel, folder


def extras(name: str) -> str:
    """The extras that the notebook's own first cell asks for, as ``[chain-parts]`` or an empty text."""
    return re.search(r"deepfake-kit(\[[a-z,-]+\])? @ git\+", first_cell(name))[1] or ""


def first_cell(name: str) -> str:
    cells = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4).cells
    return next(cell.source for cell in cells if cell.cell_type == "code")


# Plain chapters first: an extra may bring libraries that a plain one must do without.
@pytest.mark.parametrize("name", sorted(NAMES, key=extras))
def test_a_notebook_runs_beside_what_colab_ships(colab, name):
    python, before, wheel, folder = colab
    sh(python, "-m", "pip", "install", "--quiet", f"{wheel}{extras(name)}")
    for line in re.findall(r"%pip install -q (--no-deps .*)", first_cell(name)):
        sh(python, "-m", "pip", "install", "--quiet", *shlex.split(line))
    kernel = {
        "argv": [str(python), "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "anywhere",
        "language": "python",
    }
    spec = folder / "jupyter" / "kernels" / "anywhere"
    spec.mkdir(parents=True, exist_ok=True)
    (spec / "kernel.json").write_text(json.dumps(kernel))
    paths = os.environ.get("JUPYTER_PATH"), os.environ.get("PYTHONPATH")
    os.environ["JUPYTER_PATH"] = str(folder / "jupyter")
    os.environ.pop("PYTHONPATH", None)
    try:
        # The notebooks' folder is outside the repository, so the kit can only come from the wheel.
        away = folder / "notebooks"
        away.mkdir(exist_ok=True)
        (away / f"{name}.ipynb").write_bytes((ROOT / "notebooks" / f"{name}.ipynb").read_bytes())
        execute.run(
            name, "smoke", notebooks=away, output=folder / "out" / f"{name}.ipynb", kernel="anywhere", limit_seconds=240
        )
    finally:
        for key, value in zip(("JUPYTER_PATH", "PYTHONPATH"), paths):
            os.environ.pop(key, None)
            if value is not None:
                os.environ[key] = value
    after = versions(python)
    changed = {key: (old, after.get(key)) for key, old in before.items() if after.get(key) != old}
    assert not changed, f"installing the kit changed {changed}"
    assert after["deepfake-kit"] == deepfake_kit.__version__
