"""Resolve requirements.lock anew, and Flower's: install the newest fitting versions afresh and list them."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
FLOWER_LOCK = ROOT / "tests" / "flower" / "requirements.lock"
FLOWER = "flwr==1.41.*"  # command lines change between its versions
# What the kit's data and trainer need beside Flower: at the versions that the kit is locked to.
BESIDE_FLOWER = {"torch", "numpy", "scipy", "pyyaml", "pooch", "scikit-learn", "pillow"}
# The oldest interpreter that the lock must serve: Debian 12's own.
OLDEST = (3, 11, 2)
# Newest versions that do not work there, and why. `make lock` stays below them.
CAPS = {
    "soupsieve<4": "4.0 needs CPython 3.11.5: its possessive patterns match wrongly before, and Sphinx's pages break"
}
HEADER = """# Exact versions of {what} (Python 3.11).
# `make lock` makes this file, `make {target}` installs it.
# torch is the plain release: pip takes the CPU build or the CUDA build, whichever the machine's index offers.
"""


def main() -> int:
    """Write both locks; returns the exit status."""
    file = ROOT / "requirements.lock"
    torch = re.findall(r"^torch==\S+", file.read_text(encoding="utf-8") if file.exists() else "", re.MULTILINE)
    listed = resolved([*CAPS, *torch, f"{ROOT}[chain,privacy,origin,models,fair,book,dev]"])
    file.write_text(HEADER.format(what="the default environment", target="environment") + listed, encoding="utf-8")
    pins = [line for line in listed.splitlines() if line.partition("==")[0].lower() in BESIDE_FLOWER]
    head = HEADER.format(what="the environment of tests/flower/run.py", target="test-flower")
    FLOWER_LOCK.write_text(head + resolved([*pins, FLOWER]), encoding="utf-8")
    return 0


def resolved(words: list[str]) -> str:
    """What a fresh environment holds once these words were installed into it, one pin a line."""
    with tempfile.TemporaryDirectory() as folder:
        venv.create(folder, with_pip=True)
        pip = [str(Path(folder) / "bin" / "python"), "-m", "pip", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", "--quiet", *words], check=True)
        return clean(subprocess.run([*pip, "freeze", "--all"], check=True, capture_output=True, text=True).stdout)


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
