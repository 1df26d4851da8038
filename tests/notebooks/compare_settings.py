"""Do the chapters' verdicts depend on the processor? Execute chapters under two instruction sets and compare.

    python tests/notebooks/compare_settings.py [CHAPTER ...] [--profile smoke] [--out _build/settings]

Each chapter runs once as if on a processor without vector instructions (torch's plain kernels, MKL's oldest path) and
once on one with AVX2; every other processor rounds in some further way, so two that differ much stand for all. Each
setting has a cache of its own, so that none loads weights that the other trained; data are best in $DEEPFAKE_KIT_DATA.
The command fails if a verdict differs. It also names verdicts that are near an edge: moved ten times as far as the
two runs are apart, to either side, the number would be judged otherwise. An executed notebook in the folder is taken
as it is, so that a chapter can be added or a run be taken up again.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import numpy as np

from deepfake_kit.notebook import claims

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "book"))
from press.runs import results  # noqa: E402

# What chooses the instructions of torch, oneDNN, MKL and numpy's OpenBLAS. A chapter always has one thread.
SETTINGS = {
    "plain": {
        "ATEN_CPU_CAPABILITY": "default",
        "ONEDNN_MAX_CPU_ISA": "SSE41",
        "MKL_CBWR": "COMPATIBLE",
        "OPENBLAS_CORETYPE": "Nehalem",
    },
    "avx2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2", "OPENBLAS_CORETYPE": "Haswell"},
}
FACTOR = 10


def execute(chapter: str, profile: str, setting: str, folder: Path) -> dict:
    """The records of a chapter executed under a setting."""
    path = folder / f"{chapter}-{profile}-{setting}.ipynb"
    if not path.exists():
        words = [sys.executable, "-m", "deepfake_kit", "run", chapter, "--profile", profile, "--output", str(path)]
        variables = {**os.environ, **SETTINGS[setting], "XDG_CACHE_HOME": str(folder / f"cache-{setting}")}
        subprocess.run(words, check=True, cwd=ROOT, env=variables, stdout=subprocess.DEVNULL)
    return results.collect(path)


def flips(one: dict, other: dict) -> tuple[list[str], list[str]]:
    """Verdicts that differ between two runs of a chapter, and those that are near an edge; one line each."""
    found = [{row["id"]: row for row in run["records"] if row["type"] == "claim"} for run in (one, other)]
    different = [f"{id}: judged in one run only" for id in sorted(found[0].keys() ^ found[1].keys())]
    near = []
    for id in sorted(found[0].keys() & found[1].keys()):
        first, second = found[0][id], found[1][id]
        shown = f"{id}: {claims.numbers(first['value'])} and {claims.numbers(second['value'])}"
        if first["verdict"] != second["verdict"]:
            different.append(f"{shown}, {first['verdict']} and {second['verdict']}")
        elif any(verdict != first["verdict"] for verdict in moved(first, second)):
            near.append(f"{shown}, {first['verdict']}")
    return different, near


def moved(first: dict, second: dict) -> list[str]:
    """The verdicts on the first run's numbers, all moved to either side by FACTOR times the two runs' difference."""
    gap = np.abs(np.subtract(first["value"], second["value"]))
    verdicts = []
    for sign in (-1, 1):
        # An end that is not finite is recorded as a word: "inf", "nan".
        numbers = (first["value"], *(first["interval"] or ()))
        value, *ends = (np.asarray(x, float) + sign * FACTOR * gap for x in numbers)
        verdicts.append(claims.compare(first["id"], value, tuple(ends) or None, first["empty"]))
    return verdicts


def apart(one: dict, other: dict) -> str:
    """How far the recorded numbers of two runs are apart, relative to their size."""
    kept = [
        {row["id"]: row["value"] for row in run["records"] if row["type"] == "value" and type(row["value"]) is float}
        for run in (one, other)
    ]
    gaps = {id: abs(x - kept[1][id]) / max(abs(x), 1e-12) for id, x in kept[0].items() if id in kept[1]}
    worst = sorted(gaps, key=gaps.get, reverse=True)[:3]
    listed = ", ".join(f"{id} by {gaps[id]:.0e}" for id in worst) or "none"
    return f"numbers farthest apart, relative to their size (times always are): {listed}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("chapters", nargs="*", metavar="CHAPTER")
    parser.add_argument("--profile", default="smoke")
    parser.add_argument("--out", type=Path, default=ROOT / "_build" / "settings")
    options = parser.parse_args()
    folder = options.out.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    wrong = 0
    for chapter in options.chapters or sorted(path.stem for path in (ROOT / "notebooks").glob("*.ipynb")):
        runs = [execute(chapter, options.profile, setting, folder) for setting in SETTINGS]
        different, near = flips(*runs)
        judged = sum(row["type"] == "claim" for row in runs[0]["records"])
        print(f"{chapter} ({options.profile}): {judged} verdicts, {len(different)} differ; {apart(*runs)}", flush=True)
        for kind, lines in (("differs", different), ("near an edge", near)):
            print("".join(f"  {kind}: {line}\n" for line in lines), end="", flush=True)
        wrong += len(different)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
