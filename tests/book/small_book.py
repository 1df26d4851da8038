"""A book of two short chapters in a folder of its own: the real press on a small load."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import nbformat
from press import places

ROOT = Path(__file__).resolve().parents[2]
CHAPTER = """title: {title}
minutes: {{smoke: 0.1, book: 0.1, paper: 1}}
data: []
settings:
  points: {{smoke: 2, book: 3, paper: 9, unit: points, why: a line needs two}}
"""
CLAIMS = """paper: {id: demo, short: Demo, title: A demonstration, authors: [Nobody], year: 2026,
  venue: none, doi: null, licence: none}
claims:
- {id: demo-eq-1, kind: equation, label: Eq. (1), section: I, states: "$x = 3$", finding: holds, explanation: It does.,
   measure: x, printed: 3, tolerance: 0.0, chapter: 91_demo, verdict: reproduced,
   evidence: re-derived}
- {id: demo-claim-2, kind: claim, label: fast, section: I, states: It is fast., finding: not-checkable,
   explanation: No clock.,
   verdict: not-comparable, evidence: reading, reason: No clock.}
"""
START = 'import deepfake_kit as kit\nrun = kit.start("{chapter}", profile=profile, seed=seed)'
FIGURE = """import matplotlib.pyplot as plt
fig, ax = plt.subplots()
ax.plot(range(run.settings.points))
run.figure("line", fig, alt="A straight line that rises by one from each point to the next.",
           caption="It rises by $1$ a step.")"""


def notebook(chapter: str, *cells: str) -> nbformat.NotebookNode:
    """A chapter with the usual beginning and these further code cells."""
    make = nbformat.v4
    found = make.new_notebook(
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    )
    found.cells.append(make.new_markdown_cell(f"# Chapter {chapter}\n\nWhere $x = 3$."))
    setup = make.new_code_cell('repository = ""\nimport deepfake_kit')
    setup.metadata.tags = ["setup", "remove-cell"]
    parameters = make.new_code_cell('profile = "book"\nseed = 0')
    parameters.metadata.tags = ["parameters"]
    found.cells += [setup, parameters, make.new_code_cell(START.format(chapter=chapter))]
    found.cells += [make.new_code_cell(cell) for cell in cells]
    for index, cell in enumerate(found.cells):
        cell.id = f"cell-{index}"
    return found


def make_book(folder: Path) -> Path:
    """Lay out the small book in `folder`: chapter 91 uses ``stackelberg``, chapter 92 does not."""
    for name in ("deepfake_kit", "book"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("_config.yml", "requirements.lock", "package.json", "package-lock.json", ".npmrc", "CITATION.cff"):
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, folder)
    for old in (folder / "deepfake_kit" / "papers").glob("*.yml"):
        old.unlink()
    (folder / "deepfake_kit" / "papers" / "demo.yml").write_text(CLAIMS)
    for name in ("91_demo", "92_other"):
        (folder / "deepfake_kit" / "chapters" / f"{name}.yml").write_text(
            CHAPTER.format(title=f"Demonstration {name[:2]}")
        )
    (folder / "book" / "atlas.yml").write_text("")  # the small book's work has no figures
    (folder / "book" / "index.md").write_text("# A small book\n\n<!-- home -->\n\n<!-- totals -->\n")
    (folder / "_toc.yml").write_text(
        "format: jb-book\nroot: book/index\nparts:\n- caption: All\n  chapters:\n  - file: notebooks/91_demo\n"
        "  - file: notebooks/92_other\n  - file: book/work-demo\n  - file: book/ledger\n  - file: book/atlas\n"
        "  - file: book/health\n  - file: book/certificate\n"
    )
    (folder / "notebooks").mkdir()
    write(
        folder,
        "91_demo",
        FIGURE,
        'from deepfake_kit.game import stackelberg\nrun.claim("demo-eq-1", 3)',
        'run.say("The line has {points} points.", points=run.settings.points)',
    )
    write(folder, "92_other", FIGURE)
    third_party = places.build(ROOT) / "third_party"
    if third_party.is_dir():
        (folder / "_build").mkdir()
        (folder / "_build" / "third_party").symlink_to(third_party)
    return folder


def write(folder: Path, chapter: str, *cells: str) -> None:
    """Write one chapter's notebook."""
    nbformat.write(notebook(chapter, *cells), folder / "notebooks" / f"{chapter}.ipynb")


def press(folder: Path, *words: str, **options) -> subprocess.CompletedProcess:
    """Run the small book's own press."""
    return subprocess.run(
        [sys.executable, "-m", "press", *words],
        cwd=folder,
        env=environment(folder),
        text=True,
        capture_output=True,
        **{"timeout": 300, **options},
    )


@contextlib.contextmanager
def locked(folder: Path):
    """Hold the lock of a folder, as a job does that writes there."""
    handle = os.open(folder, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    try:
        yield
    finally:
        os.close(handle)


def environment(folder: Path) -> dict[str, str]:
    """The variables under which the small book's kit and press are found, and nothing else of ours."""
    binaries = str(Path(sys.executable).parent)
    return {
        **os.environ,
        "PYTHONPATH": f"{folder}{os.pathsep}{folder / 'book'}",
        "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
        "DEEPFAKE_BOOK_REPOSITORY": "",
    }
