"""A kernel that looks at each figure as a chapter shows it: what :func:`drawn.faults` finds goes to ``$DRAWN``."""

import json
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import drawn
from ipykernel import kernelapp

from deepfake_kit.notebook import run, style

FIGURE, NIGHT, SHOWN = run.Run.figure, style.night, []


def figure(self, id, *words, **more):
    SHOWN.append(id)
    try:
        return FIGURE(self, id, *words, **more)
    finally:
        SHOWN.pop()


def night(fig):
    """Each figure and each frame of a slider passes here, laid out."""
    name = SHOWN[-1] if SHOWN else "a frame of a slider"
    with Path(os.environ["DRAWN"]).open("a", encoding="utf-8") as file:
        file.write(json.dumps({name: drawn.faults(fig)}) + "\n")
    return NIGHT(fig)


if __name__ == "__main__":  # pytest imports this file to look for doctests
    run.Run.figure, style.night = figure, night
    kernelapp.launch_new_instance()
