"""Make the project's virtual environment from requirements.lock; standard library only: it runs before all else."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# What an environment holds; a folder with anything else in it is somebody's own and is never removed.
PARTS = {"bin", "include", "lib", "lib64", "share", "etc", "pyvenv.cfg", "installed", ".gitignore", "man"}
# Versions, or beginnings of them, that cannot run the book, and why.
BAD = {(3, 14, 1): "networkx and torchvision refuse it for a fault of its dataclasses; 3.14.2 has it mended"}


def trouble(version: tuple[int, ...]) -> str:
    """Why this version of Python cannot run the book; empty where it can.

    Examples
    --------
    >>> trouble((3, 11, 2)), trouble((3, 9, 18))
    ('', 'Python 3.11 or newer is needed; this is 3.9.18. Try: make PYTHON=python3.11 book')
    """
    name = ".".join(map(str, version[:3]))
    if version < (3, 11):
        return f"Python 3.11 or newer is needed; this is {name}. Try: make PYTHON=python3.11 book"
    for bad, why in BAD.items():
        if version[: len(bad)] == bad:
            return f"Python {name} does not work: {why}. Try: make PYTHON=python3.11 book"
    return ""


def main() -> int:
    """Create or refresh ``.venv`` (or ``$VENV``); does nothing when it is up to date. Returns the exit status."""
    if said := trouble(tuple(sys.version_info[:3])):
        print(said, file=sys.stderr)
        return 2
    folder = Path(os.environ.get("VENV") or ROOT / ".venv").expanduser().absolute()
    locked = (ROOT / "requirements.lock").read_bytes() + (ROOT / "pyproject.toml").read_bytes()
    # The environment leads to this checkout: one that was moved, or that shares VENV with another, is led here anew.
    wanted = f"{hashlib.sha256(locked).hexdigest()} {ROOT}"
    try:
        return _install(folder, wanted)
    except OSError as error:  # a full disk, a folder that is read-only
        print(f"the environment in {folder} could not be made: {error}", file=sys.stderr)
        return 1


def _install(folder: Path, wanted: str) -> int:
    stamp = folder / "installed"
    # Looked at before the lock is taken, so that a finished environment works in a folder that is read-only.
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return 0
    folder.parent.mkdir(parents=True, exist_ok=True)
    with (folder.parent / ".environment.lock").open("w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("another make is making the environment; waiting for it", file=sys.stderr, flush=True)
            fcntl.flock(lock, fcntl.LOCK_EX)
        if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:  # another one has made it meanwhile
            return 0
        try:
            import ensurepip  # noqa: F401  Debian splits it off
        except ImportError:
            print(
                "This Python cannot make virtual environments. On Debian: apt-get install python3-venv", file=sys.stderr
            )
            return 2
        print(f"Making the environment in {folder}: some minutes and gigabytes, once.", flush=True)
        if not (folder / "bin" / "python").exists() or not stamp.is_file():
            if folder.is_dir() and (other := sorted(set(os.listdir(folder)) - PARTS)):
                print(
                    f"VENV={folder} is a folder with other things in it ({other[0]}); name one of its own",
                    file=sys.stderr,
                )
                return 2
            shutil.rmtree(folder, ignore_errors=True)  # a half-made one is not worth mending
            venv.create(folder, with_pip=True)
        else:  # its scripts to begin a session name where it was made
            builder = venv.EnvBuilder()
            builder.setup_scripts(builder.ensure_directories(str(folder)))
        same = stamp.is_file() and stamp.read_text(encoding="utf-8").split()[:1] == wanted.split()[:1]
        stamp.unlink(missing_ok=True)  # cut short from here on, it counts as half-made
        python = str(folder / "bin" / "python")
        # What comes as sources is built by locked tools too; an older pip reads the one, a newer one the other.
        lock_uri = (ROOT / "requirements.lock").as_uri()
        env = {**os.environ, "PIP_CONSTRAINT": lock_uri, "PIP_BUILD_CONSTRAINT": lock_uri, "PIP_USE_PEP517": "1"}
        with _kit(folder) as kit:
            packages = [] if same else [["-r", str(ROOT / "requirements.lock")]]
            for words in (*packages, ["--no-deps", "--no-build-isolation", *kit]):
                pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *words]
                # pip holds the lock too: one that outlives a killed make keeps the next make waiting.
                if status := subprocess.run(pip, pass_fds=(lock.fileno(),), env=env).returncode:
                    print(f"pip install {' '.join(words)} failed", file=sys.stderr)
                    return status
        stamp.write_text(wanted, encoding="utf-8")
    return 0


@contextlib.contextmanager
def _kit(folder: Path):
    """What pip installs as the kit: the checkout, editable; where nothing may be written there, a copy's metadata.

    setuptools writes into what it installs. After the copy, which brings the command ``deepfake-kit``, its modules make
    way for a line that leads to the checkout.
    """
    try:
        with tempfile.TemporaryFile(dir=ROOT):
            pass
    except OSError:
        with tempfile.TemporaryDirectory() as copy:
            for name in ("pyproject.toml", "README.md", "LICENSE", "LICENSE-TEXT"):
                shutil.copyfile(ROOT / name, Path(copy) / name)
            shutil.copytree(
                ROOT / "deepfake_kit",
                Path(copy) / "deepfake_kit",
                copy_function=shutil.copyfile,
                ignore=shutil.ignore_patterns("__pycache__"),
            )
            subprocess.run(["chmod", "-R", "u+w", copy], check=True)
            yield [copy]
            for modules in folder.glob("lib/python*/site-packages/deepfake_kit"):
                shutil.rmtree(modules)
                modules.with_suffix(".pth").write_text(f"{ROOT}\n", encoding="utf-8")
    else:
        yield ["-e", str(ROOT)]


if __name__ == "__main__":
    sys.exit(main())
