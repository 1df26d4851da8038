"""Paths: any folder's name, no home, nothing written into the checkout, and relative paths that mean one thing."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import small_book
from press import places, stage

from deepfake_kit import paths

NAME = "my book's & {a} $lar; #1 100% книга ü"


def ready_made(folder: Path) -> None:
    """An environment of the small book's own, below the same name, that borrows the libraries of this one."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / ".venv")], check=True)
    packages = next((folder / ".venv").glob("lib/python*/site-packages"))
    (packages / "libraries.pth").write_text(f"{sysconfig.get_paths()['purelib']}\n{folder}\n")
    lock = b"".join((folder / name).read_bytes() for name in ("requirements.lock", "pyproject.toml"))
    (folder / ".venv" / "installed").write_text(f"{hashlib.sha256(lock).hexdigest()} {folder}")


@pytest.fixture
def read_only():
    """Shut folders, by mounts where root would write all the same; gives what a command there begins with."""
    shut = []

    def shutting(*folders) -> list[str]:
        if os.geteuid():
            shut.extend(map(str, folders))
            subprocess.run(["chmod", "-R", "a-w", *shut], check=True)
            return []
        mounts = "".join(
            f"mount --bind {f} {f} && mount -o remount,ro,bind {f} && " for f in map(shlex.quote, map(str, folders))
        )
        words = ["unshare", "--mount", "sh", "-c", f'{mounts} exec "$@"', "sh"]
        lent = shutil.which("unshare") and subprocess.run([*words, "true"], capture_output=True).returncode == 0
        return words if lent else []

    yield shutting
    if shut:
        subprocess.run(["chmod", "-R", "u+w", *shut], check=True)


@pytest.mark.slow
def test_make_book_in_an_odd_place_that_is_read_only_with_a_home_that_is_too(tmp_path, read_only):
    """Name, home, the build's folder and the data at once; the checkout itself is left as it was.

    Without data and network: the book is published all the same, and says so.
    """
    folder = small_book.make_book(tmp_path / NAME)
    for name in ("Makefile", "pyproject.toml"):
        shutil.copy(small_book.ROOT / name, folder)
    ready_made(folder)
    built = tmp_path / "else where" / "it is built"
    if (folder / "_build").exists():
        built.mkdir(parents=True)
        os.rename(folder / "_build" / "third_party", built / "third_party")
        (folder / "_build").rmdir()
    chapter = folder / "deepfake_kit" / "chapters" / "92_other.yml"
    chapter.write_text(chapter.read_text().replace("data: []", 'data: ["fashion-mnist"]'))
    load = 'images = run.load("fashion-mnist", "test", limit=5)'
    small_book.write(folder, "92_other", load, small_book.FIGURE)
    before = {name: digest for name, digest in stage.manifest(folder).items() if "__pycache__" not in name}
    home = tmp_path / "the home"
    home.mkdir()
    done = subprocess.run(
        [*read_only(folder, home), "make", "-C", str(folder), "book"],
        cwd=folder,
        env={
            **{key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VENV", "XDG_CACHE_HOME")},
            "PYTHON": sys.executable,
            "HOME": str(home),
            "DEEPFAKE_BOOK_BUILD": "../else where/it is built",
            "DEEPFAKE_KIT_DATA": "../data sets",
            "DEEPFAKE_KIT_OFFLINE": "1",
            "DEEPFAKE_BOOK_REPOSITORY": "",
        },
        text=True,
        capture_output=True,
        timeout=400,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    page = (built / "html" / "notebooks" / "92_other.html").read_text()
    assert "A straight line that rises" in page and "StandInWarning" not in page
    assert page.count("Stand-in data.") == 2, "once where the data are read, once under the figure"
    assert "Stand-in data." not in (built / "html" / "notebooks" / "91_demo.html").read_text()
    after = {name: digest for name, digest in stage.manifest(folder).items() if "__pycache__" not in name}
    assert after == {**before, ".environment.lock": after.get(".environment.lock")} or after == before
    assert not list(home.iterdir())


def test_a_copy_of_what_is_read_only_may_be_written(tmp_path):
    """Also by a person who is not root: not the copies alone, but what is written into the copied folders."""
    (tmp_path / "book" / "live").mkdir(parents=True)
    (tmp_path / "book" / "live" / "page.md").write_text("x")
    subprocess.run(["chmod", "-R", "a-w", str(tmp_path / "book")], check=True)
    made = places.copied(tmp_path / "book", tmp_path / "copy")
    assert made.is_dir() and all(path.stat().st_mode & 0o200 for path in (made, *made.rglob("*")))
    assert (made / "live" / "page.md").read_text() == "x"
    subprocess.run(["chmod", "-R", "u+w", str(tmp_path / "book")], check=True)


def idx(path: Path, shape: tuple[int, ...]) -> None:
    """A file of zeros in the format of MNIST."""
    path.parent.mkdir(parents=True, exist_ok=True)
    head = bytes([0, 0, 8, len(shape)]) + b"".join(size.to_bytes(4, "big") for size in shape)
    count = 1
    for size in shape:
        count *= size
    path.write_bytes(head + bytes(count))


@pytest.mark.parametrize("named", [{}, {"DEEPFAKE_KIT_DATA": "sets"}], ids=["./data", "relative variable"])
def test_relative_data_mean_the_same_in_the_command_and_in_the_kernel(tmp_path, named):
    """What `doctor` says is used is what a chapter's kernel, which works in another folder, finds."""
    where = tmp_path / (named.get("DEEPFAKE_KIT_DATA") or "data") / "FashionMNIST" / "raw"
    idx(where / "t10k-images-idx3-ubyte", (3, 28, 28))
    idx(where / "t10k-labels-idx1-ubyte", (3,))
    (tmp_path / "elsewhere").mkdir()
    ask = "from deepfake_kit import data; print([str(p.folder) for p in data.locate('fashion-mnist') if p.used])"
    code = f"""if True:
        import subprocess, sys
        from deepfake_kit import paths
        with paths.command():
            for folder in (".", "elsewhere"):
                subprocess.run([sys.executable, "-c", {ask!r}], cwd=folder, check=True)
        """
    env = {**os.environ, "PYTHONPATH": str(small_book.ROOT), "DEEPFAKE_KIT_DATA": "", **named}
    env.pop(paths.HERE, None)
    said = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, text=True, capture_output=True)
    assert said.returncode == 0, said.stderr
    lines = said.stdout.splitlines()
    assert lines[0] == lines[1] and str(where.parent) in lines[0]


def test_a_command_forgets_the_folder_of_an_older_one(tmp_path, monkeypatch):
    monkeypatch.setenv(paths.HERE, "/an/older/command")
    monkeypatch.setenv("DEEPFAKE_KIT_DATA", "sets")
    monkeypatch.setenv("PYTHONPATH", f"book{os.pathsep}/absolute")
    monkeypatch.chdir(tmp_path)
    with paths.command():
        assert os.environ["DEEPFAKE_KIT_DATA"] == str(tmp_path / "sets")
        assert os.environ["PYTHONPATH"] == f"{tmp_path / 'book'}{os.pathsep}/absolute"
    assert os.environ["DEEPFAKE_KIT_DATA"] == "sets" and os.environ[paths.HERE] == "/an/older/command"


def test_a_home_that_works_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert places.home(tmp_path / "build") == {} and not (tmp_path / "build").exists()


def test_without_a_home_the_build_lends_one_and_the_cached_data_stay_in_reach(tmp_path, monkeypatch):
    home = tmp_path / "home"
    (home / ".cache" / "deepfake-kit" / "kept").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr(places.tempfile, "TemporaryFile", no_writing)
    found = places.home(tmp_path / "build")
    assert found == {"HOME": str(tmp_path / "build" / "home")}
    assert (Path(found["HOME"]) / ".cache" / "deepfake-kit" / "kept").is_dir()


def no_writing(**options):
    raise PermissionError("read-only")


def test_the_kit_imports_its_chain_without_a_home(tmp_path):
    """titanoboa's vvm makes a folder at home when it is imported."""
    code = """if True:
        import subprocess, sys, pathlib
        from deepfake_kit import paths
        from press import places
        with paths.variables(places.home(pathlib.Path(sys.argv[1]))):
            sys.exit(subprocess.run([sys.executable, "-c", "from deepfake_kit.chain import evm"]).returncode)
        """
    env = {**os.environ, "PYTHONPATH": f"{small_book.ROOT}{os.pathsep}{small_book.ROOT / 'book'}"}
    env["HOME"] = str(tmp_path / "none")
    words = [sys.executable, "-c", code, str(tmp_path / "build")]
    done = subprocess.run(words, env=env, cwd=tmp_path, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "none").exists() and json.dumps(sorted(os.listdir(tmp_path))) == '["build"]'
