"""Do the bands catch bugs? Plant ten, one at a time, run the chapter with a seed that no band has seen, and count.

    python tests/notebooks/planted.py [NAME ...] [--seed 101] [--out results/planted.json]

A bug is caught if the chapter's own checks stop the run, or if `deepfake-kit run` names a number outside its band. Each
is planted in a copy of the kit and the notebooks; the first row of the report is the copy without a bug.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
C2, C4, C5 = "02_diffusion_math", "04_stackelberg_game", "05_tasks_on_a_chain"
# Name, chapter, file, what stands there, what is planted.
BUGS = [
    ("no bug", C4, "deepfake_kit/game/stackelberg.py", "def draw_costs", "def draw_costs"),
    (
        "EMA of zero",
        C2,
        "deepfake_kit/training.py",
        "list(model.parameters()), 1 - decay)",
        "list(model.parameters()), 0.0)",
    ),
    (
        "labels by lot",
        C2,
        "notebooks/02_diffusion_math.ipynb",
        "train_set.labels[index]",
        "train_set.labels[index.flip(0)]",
    ),
    ("wrong sign of the velocity", C2, "deepfake_kit/diffusion/velocity.py", "* x_t + alpha", "* x_t - alpha"),
    ("frozen weights", C2, "deepfake_kit/diffusion/training.py", "    optimizer.step()", "    pass"),
    ("a distance without its means", C2, "deepfake_kit/measure/sets.py", "(mean + sigma_a", "(sigma_a"),
    (
        "frequency not squared",
        C4,
        "deepfake_kit/game/stackelberg.py",
        "uniform(*frequency, n_nodes) ** 2",
        "uniform(*frequency, n_nodes)",
    ),
    (
        "utility in another logarithm",
        C4,
        "notebooks/04_stackelberg_game.ipynb",
        "np.log2(1 + chosen) - payment",
        "np.log(1 + chosen) - payment",
    ),
    (
        "wrong index of the cost types",
        C4,
        "notebooks/04_stackelberg_game.ipynb",
        "np.arange(1, run.settings.n_types + 1)",
        "np.arange(run.settings.n_types)",
    ),
    (
        "an average that forgets its weights",
        C5,
        "notebooks/05_tasks_on_a_chain.ipynb",
        "size / sum(sizes) * state",
        "state",
    ),
    (
        "hashes that are not compared",
        C5,
        "deepfake_kit/chain/store.py",
        "if verify and (found := self.address(data)) != digest",
        "if False and (found := self.address(data)) != digest",
    ),
]


def plant(bug: tuple, folder: Path) -> None:
    """A copy of the kit and the notebooks with one bug; every place where the text stands is changed."""
    _, _, file, old, new = bug
    for name in ("deepfake_kit", "notebooks"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "_toc.yml", folder)
    text = (folder / file).read_text(encoding="utf-8")
    if old not in text:
        raise ValueError(f"{file}: {old!r} stands nowhere")
    (folder / file).write_text(text.replace(old, new), encoding="utf-8")


def outcome(bug: tuple, seed: int, folder: Path) -> dict:
    """What a run with the bug says: the chapter's own check that fails, or the numbers outside their bands."""
    plant(bug, folder)
    words = ["run", bug[1], "--profile", "smoke", "-p", f"seed={seed}", "--output", str(folder / "run.ipynb")]
    done = subprocess.run(
        [sys.executable, "-m", "deepfake_kit", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder)},
        capture_output=True,
        text=True,
    )
    failed = [line for line in done.stderr.splitlines() if line.startswith("deepfake-kit:")]
    outside = [line for line in done.stdout.splitlines() if "OUTSIDE" in line]
    if not done.returncode and "numbers lie where" not in done.stdout:
        raise RuntimeError(f"{bug[1]} has no bands at profile smoke")
    return {"bug": bug[0], "chapter": bug[1], "stopped": failed, "outside": outside, "caught": bool(failed or outside)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="bugs by name; default: all")
    parser.add_argument("--seed", type=int, default=101)
    parser.add_argument("--out", type=Path, default=ROOT / "results" / "planted.json")
    options = parser.parse_args()
    kept = json.loads(options.out.read_text(encoding="utf-8")) if options.out.is_file() else []
    rows = {row["bug"]: row for row in kept}
    for bug in (bug for bug in BUGS if not options.names or bug[0] in options.names):
        with tempfile.TemporaryDirectory() as folder:
            rows[bug[0]] = {**outcome(bug, options.seed, Path(folder)), "seed": options.seed}
        print(json.dumps(rows[bug[0]]), flush=True)
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(json.dumps(list(rows.values()), indent=1) + "\n", encoding="utf-8")
    planted = [row for row in rows.values() if row["bug"] != BUGS[0][0]]
    print(f"{sum(row['caught'] for row in planted)} of {len(planted)} planted bugs are caught")
    return 0


if __name__ == "__main__":
    sys.exit(main())
