"""Make the project's virtual environment from requirements.lock; standard library only: it runs before all else."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Create or refresh ``.venv`` (or ``$VENV``); does nothing when it is up to date. Returns the exit status."""
    if sys.version_info < (3, 11):  # noqa: UP036  an older Python shall say so instead of failing later
        print(
            f"Python 3.11 or newer is needed; this is {sys.version.split()[0]}. Try: make PYTHON=python3.11 book",
            file=sys.stderr,
        )
        return 2
    folder = Path(os.environ.get("VENV", ROOT / ".venv"))
    wanted = hashlib.sha256(
        (ROOT / "requirements.lock").read_bytes() + (ROOT / "pyproject.toml").read_bytes()
    ).hexdigest()
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
    with (ROOT / ".environment.lock").open("w", encoding="utf-8") as lock:
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
        print("Making the environment in .venv: some minutes and gigabytes, once.", flush=True)
        if not (folder / "bin" / "python").exists() or not stamp.is_file():
            shutil.rmtree(folder, ignore_errors=True)  # a half-made one is not worth mending
            venv.create(folder, with_pip=True)
        stamp.unlink(missing_ok=True)  # cut short from here on, it counts as half-made
        python = str(folder / "bin" / "python")
        for words in (["-r", str(ROOT / "requirements.lock")], ["--no-deps", "--no-build-isolation", "-e", str(ROOT)]):
            done = subprocess.run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *words])
            if done.returncode:
                print(f"pip install {' '.join(words)} failed", file=sys.stderr)
                return done.returncode
        stamp.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
