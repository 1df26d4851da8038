"""The maker of the environment: nothing to do is done fast, trouble is one line, a half-made one counts as none."""

from __future__ import annotations

import fcntl
import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from press import environment


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A repository of its own, where a pip that only notes its words stands in for the real one."""
    for name in ("requirements.lock", "pyproject.toml"):
        (tmp_path / name).write_text(name)
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    monkeypatch.setenv("VENV", str(tmp_path / ".venv"))
    monkeypatch.setattr(environment.venv, "create", lambda folder, with_pip: (folder / "bin").mkdir(parents=True))
    return tmp_path


def stamp(folder: Path) -> Path:
    return folder / ".venv" / "installed"


def wanted(folder: Path) -> str:
    files = (folder / "requirements.lock", folder / "pyproject.toml")
    return f"{hashlib.sha256(b''.join(file.read_bytes() for file in files)).hexdigest()} {folder}"


def pip(monkeypatch, *statuses: int) -> list[list[str]]:
    """Let pip end with these statuses, one a call; returns the calls' words."""
    calls, left = [], list(statuses)

    def run(words, **options):
        calls.append(words)
        return subprocess.CompletedProcess(words, left.pop(0))

    monkeypatch.setattr(environment.subprocess, "run", run)
    return calls


def test_it_installs_the_lock_and_then_the_kit_once(folder, monkeypatch):
    calls = pip(monkeypatch, 0, 0)
    assert environment.main() == 0 and environment.main() == 0
    assert [str(folder / "requirements.lock") in words for words in calls] == [True, False]
    assert "--no-deps" in calls[1] and str(folder) in calls[1]
    assert stamp(folder).read_text() == wanted(folder)


def test_a_moved_checkout_leads_its_environment_to_itself_and_keeps_the_packages(folder, tmp_path_factory, monkeypatch):
    pip(monkeypatch, 0, 0)
    assert environment.main() == 0
    (folder / ".venv" / "bin" / "python").touch()
    moved = tmp_path_factory.mktemp("new place") / "book"
    folder.rename(moved)
    monkeypatch.setattr(environment, "ROOT", moved)
    monkeypatch.setenv("VENV", str(moved / ".venv"))
    calls = pip(monkeypatch, 0)
    assert environment.main() == 0 and environment.main() == 0
    assert len(calls) == 1 and str(moved) in calls[0] and "--no-deps" in calls[0]
    assert stamp(moved).read_text() == wanted(moved)
    words = ["sh", "-c", '. "$0" && echo "$VIRTUAL_ENV"', moved / ".venv" / "bin" / "activate"]
    said = subprocess.Popen(words, stdout=subprocess.PIPE, text=True).communicate()[0]
    assert said.strip() == str(moved / ".venv")


def test_pip_builds_what_comes_as_sources_with_locked_tools_too(folder, monkeypatch):
    lock, seen = (folder / "requirements.lock").as_uri(), []
    run = lambda words, env, **options: seen.append(env) or subprocess.CompletedProcess(words, 0)  # noqa: E731
    monkeypatch.setattr(environment.subprocess, "run", run)
    assert environment.main() == 0
    names = ("PIP_CONSTRAINT", "PIP_BUILD_CONSTRAINT", "PIP_USE_PEP517")
    assert [tuple(env[name] for name in names) for env in seen] == [(lock, lock, "1")] * 2


def test_a_changed_lock_installs_again(folder, monkeypatch):
    pip(monkeypatch, 0, 0)
    assert environment.main() == 0
    (folder / "requirements.lock").write_text("another")
    calls = pip(monkeypatch, 0, 0)
    assert environment.main() == 0 and len(calls) == 2 and stamp(folder).read_text() == wanted(folder)


def test_a_failed_update_counts_as_no_environment_even_if_the_lock_is_put_back(folder, monkeypatch):
    pip(monkeypatch, 0, 0)
    assert environment.main() == 0
    (folder / "requirements.lock").write_text("another")
    pip(monkeypatch, 7)
    assert environment.main() == 7
    (folder / "requirements.lock").write_text("requirements.lock")
    calls = pip(monkeypatch, 0, 0)
    assert environment.main() == 0 and len(calls) == 2


def test_a_place_that_cannot_be_written_is_one_line(folder, monkeypatch, capsys):
    (folder / ".venv").write_text("a file where a folder should be")
    assert environment.main() == 1
    said = capsys.readouterr().err
    assert "could not be made" in said and str(folder / ".venv") in said and said.count("\n") == 1


def test_a_finished_environment_needs_no_writing(folder, monkeypatch):
    pip(monkeypatch, 0, 0)
    assert environment.main() == 0
    (folder / ".environment.lock").unlink()
    (folder / ".environment.lock").mkdir()  # whoever opens it for writing fails
    assert environment.main() == 0


def test_a_second_make_says_that_it_waits(folder, monkeypatch, capsys):
    calls = pip(monkeypatch, 0, 0)
    with (folder / ".environment.lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        ended = []
        second = threading.Thread(target=lambda: ended.append(environment.main()))
        second.start()
        second.join(0.5)
        assert not ended and not calls
        # The first make has finished its work.
        stamp(folder).parent.mkdir()
        stamp(folder).write_text(wanted(folder))
    second.join(10)
    assert ended == [0] and not calls
    assert "another make is making the environment" in capsys.readouterr().err


def test_while_the_pip_of_a_killed_make_goes_on_the_next_make_waits(folder):
    """It would otherwise remove the half-made environment that this pip still writes to."""
    python, began = folder / ".venv" / "bin" / "python", folder / "began"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\necho $$ > "{began}.new"; mv "{began}.new" "{began}"; exec sleep 300\n')
    python.chmod(0o755)
    stamp(folder).write_text("of an older lock")
    code = "import pathlib, sys; sys.path.insert(0, sys.argv[1]); import environment; "
    code += "environment.ROOT = pathlib.Path(sys.argv[2]); environment.main()"
    make = subprocess.Popen([sys.executable, "-c", code, str(Path(environment.__file__).parent), str(folder)])
    deadline = time.monotonic() + 60
    while not began.exists():
        assert make.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    make.kill()
    make.wait()
    with (folder / ".environment.lock").open("w") as lock:
        try:
            with pytest.raises(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        finally:
            os.kill(int(began.read_text()), signal.SIGKILL)
        fcntl.flock(lock, fcntl.LOCK_EX)  # free once this pip has ended


def test_an_old_python_is_told_so(monkeypatch, capsys):
    monkeypatch.setattr(environment.sys, "version_info", (3, 10, 0))
    assert environment.main() == 2
    assert "Python 3.11 or newer" in capsys.readouterr().err


def test_it_needs_the_standard_library_only():
    code = "import sys; sys.path.insert(0, sys.argv[1]); import environment"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code, str(Path(environment.__file__).parent)])
    assert done.returncode == 0


def test_a_folder_with_other_things_is_never_removed(folder, monkeypatch, capsys):
    monkeypatch.setenv("VENV", str(folder / "projects"))
    (folder / "projects" / "thesis").mkdir(parents=True)
    calls = pip(monkeypatch)
    assert environment.main() == 2 and not calls
    assert (folder / "projects" / "thesis").is_dir() and "thesis" in capsys.readouterr().err


def test_of_a_checkout_that_is_read_only_a_copy_is_installed_that_leads_back_to_it(folder, monkeypatch):
    for name in ("README.md", "LICENSE", "LICENSE-TEXT", "deepfake_kit/__init__.py"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(name)
    packages = folder / ".venv" / "lib" / "python3.11" / "site-packages"
    seen = []

    def run(words, **options):
        if words[0] == "chmod":
            return subprocess.CompletedProcess(words, 0)
        seen.append(words[-1])
        if "--no-deps" in words:  # pip lays the copy's modules down
            assert "-e" not in words and (Path(words[-1]) / "deepfake_kit" / "__init__.py").is_file()
            (packages / "deepfake_kit").mkdir(parents=True)
        return subprocess.CompletedProcess(words, 0)

    monkeypatch.setattr(environment.subprocess, "run", run)
    monkeypatch.setattr(environment.tempfile, "TemporaryFile", refuse)
    assert environment.main() == 0 and len(seen) == 2
    assert not (packages / "deepfake_kit").exists()
    assert (packages / "deepfake_kit.pth").read_text() == f"{folder}\n"


def refuse(**options):
    raise PermissionError("read-only")
