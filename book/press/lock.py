"""Resolve requirements.lock anew: install pyproject.toml's newest fitting versions afresh and list them."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# The oldest interpreter that the lock must serve: Debian 12's own.
OLDEST = (3, 11, 2)
# Newest versions that do not work there, and why. `make lock` stays below them.
CAPS = {
    "soupsieve<4": "4.0 needs CPython 3.11.5: its possessive patterns match wrongly before, and Sphinx's pages break"
}
HEADER = """# Exact versions of the default environment (Python 3.11).
# `make lock` makes this file, `make environment` installs it.
# torch is the plain release: pip takes the CPU build or the CUDA build, whichever the machine's index offers.
"""


def main() -> int:
    """Write requirements.lock; returns the exit status."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        pip = [str(Path(folder) / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
        before = (
            (ROOT / "requirements.lock").read_text(encoding="utf-8") if (ROOT / "requirements.lock").exists() else ""
        )
        torch = re.search(r"^torch==\S+", before, re.MULTILINE)
        words = [*CAPS, *([torch.group()] if torch else [])]
        whole = f"{ROOT}[chain,privacy,origin,models,book,dev]"
        subprocess.run([*pip, "install", "--quiet", *words, whole], check=True)
        listed = subprocess.run([*pip, "freeze", "--all"], check=True, capture_output=True, text=True).stdout
    (ROOT / "requirements.lock").write_text(HEADER + clean(listed), encoding="utf-8")
    return 0


def clean(listed: str) -> str:
    """The list without pip, the kit itself, local version labels and the libraries of one kind of accelerator.

    Examples
    --------
    >>> print(clean("pip==23\\ntorch==2.13.0+cpu\\nnvidia-cudnn-cu13==9\\nnumpy==2.4.6\\n"), end="")
    torch==2.13.0
    numpy==2.4.6
    """
    kept = [
        line.partition("+")[0]
        for line in listed.splitlines()
        if "==" in line and not re.match(r"(pip==|deepfake|nvidia-|cuda-|triton==)", line)
    ]
    return "\n".join(kept) + "\n"


if __name__ == "__main__":
    sys.exit(main())
