"""A machine like Colab: torch, torchvision, numpy, matplotlib and ipywidgets are there, the kit and the data are not.

The built wheel is installed beside them, and what it needs at the versions of requirements.lock (the weekly workflow
asks for the newest of all, DEEPFAKE_KIT_NEWEST=1). A notebook runs at profile smoke, nothing that was there has
changed its version afterwards, the page says that digits stood in for the data, and the rules of every chapter hold.

Those that open no data run here alone, each time. Of the others, which ``test_smoke`` runs with their data, one half
does, as the commit chooses, and those whose sources differ from it; the weekly workflow runs them all.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import venv
from functools import cache
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
import shown
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from press import certificate
from press.runs import execute, results

import deepfake_kit
from deepfake_kit.notebook import settings

ROOT = Path(__file__).resolve().parents[2]
NAMES = sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb"))
LOCK = ROOT / "requirements.lock"
LOCKED = {
    canonicalize_name(name): version
    for name, version in re.findall(r"^([\w.-]+)==(\S+)$", LOCK.read_text(), re.MULTILINE)
}
NEWEST = os.environ.get("DEEPFAKE_KIT_NEWEST") == "1"
THERE = ("torch", "torchvision", "numpy", "matplotlib", "ipywidgets", "ipykernel")

pytestmark = pytest.mark.slow(35)


def sh(*words) -> str:
    # Without the variable, by which pip would find the repository's own copy of the kit.
    alone = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    if not NEWEST:
        alone |= {"PIP_CONSTRAINT": LOCK.as_uri()}
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True, env=alone)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
    return done.stdout


def versions(packages: Path) -> dict[str, str]:
    """Every distribution in a folder of packages, by its normalised name."""
    return {canonicalize_name(found.name): found.version for found in metadata.distributions(path=[str(packages)])}


def needed(names: tuple[str, ...]) -> dict[str, metadata.Distribution]:
    """The installed distributions of these names, and all that they need, by their normalised names."""
    found, asked, waiting = {}, set(), list(names)
    while waiting:
        wish = Requirement(waiting.pop())
        name = canonicalize_name(wish.name)
        if (name, *wish.extras) in asked:
            continue
        asked.add((name, *wish.extras))
        found[name] = metadata.distribution(name)
        for text in found[name].requires or []:
            marker = Requirement(text).marker
            if marker is None or any(marker.evaluate({"extra": extra}) for extra in ("", *wish.extras)):
                waiting.append(text.partition(";")[0])
    return found


def lay(distribution: metadata.Distribution, packages: Path) -> None:
    """Lay an installed distribution into another folder of packages, without copying where links are possible."""
    for file in distribution.files or []:
        if ".." in file.parts:  # scripts name the python that they belong to
            continue
        source, target = Path(distribution.locate_file(file)), packages / file
        if source.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                os.link(source, target)
            except FileExistsError:  # two distributions that bring the same file
                pass
            except OSError:  # another disk
                shutil.copy2(source, target)


@pytest.fixture(scope="module")
def colab(tmp_path_factory):
    """The fresh environment: its python and packages, their versions before the kit came, and what installs into it."""
    folder = tmp_path_factory.mktemp("anywhere")
    venv.create(folder / "venv", with_pip=False)
    python = folder / "venv" / "bin" / "python"
    packages = next((folder / "venv").glob("lib/python*/site-packages"))
    for distribution in needed(THERE).values():
        lay(distribution, packages)
    sh(sys.executable, "-m", "pip", "--python", python, "check")
    before = versions(packages)
    assert before.keys() >= set(THERE) and "deepfake-kit" not in before and "scipy" not in before
    sh(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder / "dist", ROOT)
    wheel = next((folder / "dist").glob("*.whl"))

    @cache
    def install(*words: str) -> None:
        """pip says what must come; what is here in just that version is laid there instead of unpacked once more."""
        pip = (sys.executable, "-m", "pip", "--python", python, "install", "--quiet")
        for row in json.loads(sh(*pip, "--dry-run", "--report", "-", *words))["install"]:
            name, version = canonicalize_name(row["metadata"]["name"]), row["metadata"]["version"]
            if name in LOCKED and (here := metadata.distribution(name)).version == version:
                lay(here, packages)
            else:
                sh(*pip, "--no-deps", row["download_info"]["url"])

    return SimpleNamespace(folder=folder, python=python, packages=packages, before=before, wheel=wheel, install=install)


def extras(name: str) -> str:
    """The extras that the notebook's own first cell asks for, as ``[chain-parts]`` or an empty text."""
    return re.search(r"deepfake-kit(\[[a-z,-]+\])? @ git\+", first_cell(name))[1] or ""


def first_cell(name: str) -> str:
    cells = nbformat.read(ROOT / "notebooks" / f"{name}.ipynb", as_version=4).cells
    return next(cell.source for cell in cells if cell.cell_type == "code")


def chapters() -> list[str]:
    """Plain chapters first: an extra may bring libraries that a plain one must do without."""
    with_data = [name for name in NAMES if settings.load(name).data]
    words = ["git", "-C", str(ROOT), "status", "--porcelain", "notebooks"]
    edited = subprocess.run(words, capture_output=True, text=True).stdout
    later = set() if NEWEST else set(certificate.chosen(with_data, certificate.checked_out(ROOT), len(with_data) // 2))
    return sorted((name for name in NAMES if name not in later or f"/{name}.ipynb" in edited), key=extras)


@pytest.mark.parametrize("name", chapters())
def test_a_notebook_runs_beside_what_colab_ships_without_data_and_says_so(colab, name, monkeypatch):
    colab.install(f"{colab.wheel}{extras(name)}")
    for line in re.findall(r"%pip install -q (--no-deps .*)", first_cell(name)):
        colab.install(*shlex.split(line))
    path = colab.folder / "out" / f"{name}.ipynb"
    monkeypatch.setenv("JUPYTER_PATH", shown.kernel(colab.folder / "jupyter", colab.python))
    monkeypatch.setenv("DRAWN", str(path.with_suffix(".drawn")))
    path.parent.mkdir(exist_ok=True)
    monkeypatch.delenv("PYTHONPATH", raising=False)
    # No data and no network.
    monkeypatch.setenv("DEEPFAKE_KIT_DATA", "")
    monkeypatch.setenv("DEEPFAKE_KIT_OFFLINE", "1")
    monkeypatch.setenv("XDG_CACHE_HOME", str(colab.folder / "cache"))
    # The notebooks' folder is outside the repository, so the kit can only come from the wheel.
    away = colab.folder / "notebooks"
    away.mkdir(exist_ok=True)
    (away / f"{name}.ipynb").write_bytes((ROOT / "notebooks" / f"{name}.ipynb").read_bytes())
    execute.run(name, "smoke", notebooks=away, output=path, kernel=shown.KERNEL)
    after = versions(colab.packages)
    changed = {key: (old, after.get(key)) for key, old in colab.before.items() if after.get(key) != old}
    assert not changed, f"installing the kit changed {changed}"
    assert after.pop("deepfake-kit") == deepfake_kit.__version__
    if not NEWEST:
        other = {key: found for key, found in after.items() if found.partition("+")[0] != LOCKED.get(key)}
        assert not other, f"not the versions of requirements.lock: {other}"
    if settings.load(name).data:
        tells_of_stand_ins(path)
    for rule in shown.RULES:
        rule(path)


@pytest.mark.skipif(NEWEST, reason="nothing is constrained when the newest is asked for")
def test_nothing_is_installed_that_the_lock_does_not_have(colab):
    with pytest.raises(AssertionError, match="tqdm"):
        colab.install(f"tqdm!={LOCKED['tqdm']}")
    colab.install("tqdm")


def tells_of_stand_ins(path: Path) -> None:
    """Everything that a chapter shows after its data came must say that digits stood in."""
    found = results.collect(path)
    assert found["data"] and all(row["stand_in"] for row in found["data"])
    silent, said, loaded = [], 0, False
    for cell in json.loads(path.read_text())["cells"]:
        for output in cell.get("outputs", []):
            about = output.get("metadata", {})
            # What was shown before the data came was made without them.
            loaded = loaded or about.get("deepfake_kit", {}).get("type") == "data"
            if loaded and (shown := about.get("deepfake_kit_under")):
                told = "Stand-in data" in "".join(output["data"]["text/html"])
                said += told
                silent += [] if told else [f"{shown['what']} {shown['id']}"]
    assert said >= 2 and silent == []
