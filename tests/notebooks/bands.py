"""Measure where a chapter's numbers fall when only the seed changes, and how often the bands cry wolf.

    python tests/notebooks/bands.py CHAPTER [CHAPTER ...] [--profile smoke] [--seeds 20] [--fresh 0] [--out FOLDER]

Every second run has two threads. Seed 0 runs twice: a number that differs between the two is a time or depends on the
threads' order, and gets no band. An executed notebook in the folder is taken as it is, so a killed command goes on. The
numbers go to deepfake_kit/chapters/CHAPTER.bands.json. Then each seed in turn is held against the bands of all others.
With --fresh N so are N further seeds, against the bands as they are, and the answer goes to results/alarms.json.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
from pathlib import Path

from deepfake_kit.notebook import bands

ROOT = Path(__file__).resolve().parents[2]
sys.path.append(str(ROOT / "book"))
from press.runs import execute, keep, results  # noqa: E402


def run(chapter: str, profile: str, seed: int, folder: Path, word: str = "") -> dict:
    """What a chapter records with a seed; odd seeds have two threads."""
    path = folder / f"{chapter}-{profile}-{seed}{word}.ipynb"
    if not path.exists():
        execute.THREAD_VARIABLES = ()  # the kernel takes those of this process
        os.environ["OMP_NUM_THREADS"] = os.environ["MKL_NUM_THREADS"] = str(1 + seed % 2)
        execute.run(chapter, profile, {"seed": seed}, output=path, notebooks=ROOT / "notebooks")
        print(f"{chapter} {profile} seed {seed}{word}: {results.collect(path)['seconds']:.0f} s", flush=True)
    return results.collect(path)


def measure(chapter: str, profile: str, seeds: int, folder: Path) -> dict:
    """The numbers of all seeds, and what they were made with."""
    again = bands.numbers(run(chapter, profile, 0, folder, "-again")["records"])
    runs = [run(chapter, profile, seed, folder) for seed in range(seeds)]
    found = [bands.numbers(each["records"]) for each in runs]
    timed = {id for id, x in found[0].items() if bands.varies([x, again.get(id, x)])}
    timed = sorted(timed | {id for each in found for id, x in each.items() if not math.isfinite(x)})
    same = [id for id in found[0] if id not in timed and all(id in each for each in found)]
    return {
        "seeds": list(range(seeds)),
        "threads": "1 with even seeds, 2 with odd ones",
        "versions": runs[0]["environment"]["versions"],
        "parameters": {name: x for name, x in runs[0]["parameters"].items() if name not in ("seed", "profile")},
        "code": keep.code(chapter),
        "no_band": timed,
        "numbers": {id: [float(f"{each[id]:.7g}") for each in found] for id in same},
    }


def outside(found: dict[str, float], band: dict) -> list[str]:
    return [str(line) for line in bands.compare(found, band) if line.away > 1]


def left_out(band: dict) -> list[list[str]]:
    """For each seed, what of it lies outside the bands of all others."""
    alarms = []
    for k in range(len(band["seeds"])):
        others = {id: values[:k] + values[k + 1 :] for id, values in band["numbers"].items()}
        alarms.append(outside({id: values[k] for id, values in band["numbers"].items()}, {**band, "numbers": others}))
    return alarms


def keep_alarms(chapter: str, profile: str, seeds: list[int], alarms: list[list[str]], path: Path) -> None:
    """Write down what of each further seed lay outside; a chapter's last measurement at a profile counts."""
    kept = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    rows = [row for row in kept if (row["chapter"], row["profile"]) != (chapter, profile)]
    rows.append({"chapter": chapter, "profile": profile, "seeds": seeds, "outside": alarms})
    rows.sort(key=lambda row: (row["chapter"], row["profile"]))
    path.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("chapters", nargs="+", metavar="CHAPTER")
    parser.add_argument("--profile", default="smoke")
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--fresh", type=int, default=0, help="further seeds, held against the bands that are kept")
    parser.add_argument("--out", type=Path, default=ROOT / "_build" / "bands")
    options = parser.parse_args()
    folder = options.out.resolve()
    for chapter in options.chapters:
        if options.fresh:
            band = bands.load(chapter, options.profile)
            first = len(band["seeds"])
            found = [run(chapter, options.profile, first + k, folder)["records"] for k in range(options.fresh)]
            alarms = [outside(bands.numbers(records), band) for records in found]
            seeds = [first + k for k in range(options.fresh)]
            keep_alarms(chapter, options.profile, seeds, alarms, ROOT / "results" / "alarms.json")
        else:
            band = measure(chapter, options.profile, options.seeds, folder)
            path = bands.file(chapter)
            kept = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
            path.write_text(json.dumps({**kept, options.profile: band}) + "\n", encoding="utf-8")
            alarms = left_out(band)
        varying = sum(bands.varies(values) for values in band["numbers"].values())
        print(
            f"{chapter} ({options.profile}): {len(band['numbers'])} numbers, {varying} vary, no band: {band['no_band']}"
        )
        kind = "fresh seeds" if options.fresh else "seeds, each against the others,"
        print(f"  {sum(map(bool, alarms))} of {len(alarms)} {kind} have a number outside")
        print("".join(f"  {line}\n" for lines in alarms for line in lines), end="", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
