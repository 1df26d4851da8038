"""Execute one chapter's notebook with papermill: known parameters only, a time limit, progress, whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

from deepfake_kit.notebook import settings
from deepfake_kit.valid import one_of

# The threads a worker may use. One, always: chapters run side by side, and a sum that is
# split over another number of threads rounds differently, so a figure would depend on the machine.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")

Progress = Callable[[int, int, float], None]


class ChapterFailed(RuntimeError):
    """A cell raised, the kernel died or the time ran out; the message names chapter, cell and error."""


def notebooks_folder(start: Path | None = None) -> Path:
    """The ``notebooks`` folder of the copy of the repository one stands in.

    Raises
    ------
    FileNotFoundError
        If neither `start` (default: the working directory) nor a folder above it holds one.
    """
    start = (start or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        if (folder / "_toc.yml").is_file() and (folder / "notebooks").is_dir():
            return folder / "notebooks"
    raise FileNotFoundError(f"no notebooks folder in {start} or above it; run this inside a copy of the repository")


def default_parameters(notebook: Path) -> dict:
    """Name and default of every parameter that a notebook declares in its ``parameters`` cell."""
    import ast

    import papermill

    found = papermill.inspect_notebook(str(notebook))
    return {name: ast.literal_eval(row["default"]) for name, row in found.items()}


def checked_parameters(notebook: Path, given: dict) -> dict:
    """The notebook's parameters with `given` laid over the defaults.

    Raises
    ------
    ValueError
        If a given name is not a parameter of the notebook, or its type differs from the default's.

    Notes
    -----
    papermill alone writes an unknown name into the notebook and says so only in its log.
    """
    defaults = default_parameters(notebook)
    for name, value in given.items():
        one_of(f"parameter of {notebook.stem}", name, defaults)
        kind = type(defaults[name])
        if kind is float and type(value) is int:
            continue
        if type(value) is not kind:
            raise ValueError(
                f"parameter {name!r} of {notebook.stem} must be {kind.__name__} like its default "
                f"{defaults[name]!r}; {value!r} given"
            )
    return {**defaults, **given}


def run(
    chapter: str,
    profile: str = "book",
    parameters: dict | None = None,
    output: Path | None = None,
    notebooks: Path | None = None,
    limit_seconds: float | None = None,
    progress: Progress | None = None,
    kernel: str = "python3",
) -> Path:
    """Execute a chapter and write the executed notebook.

    Parameters
    ----------
    chapter : str
        The notebook's name without ``.ipynb``.
    profile : {"smoke", "book", "paper"}
        Which settings to use.
    parameters : dict, optional
        Overrides of the notebook's parameters, by name.
    output : Path, optional
        Where the executed notebook goes; default ``_build/runs/<chapter>-<profile>.ipynb`` in the repository.
        It is written whole or not at all.
    notebooks : Path, optional
        The folder of the sources; default: found from the working directory upwards.
    limit_seconds : float, optional
        The kernel is killed after so long; default four times the chapter's stated minutes, at least 120 s.
    progress : callable, optional
        Called with (cells done, cells in all, seconds so far) after each cell.
    kernel : str
        Jupyter kernel to run in.

    Raises
    ------
    ValueError
        For an unknown chapter, profile or parameter.
    ChapterFailed
        If a cell fails, the kernel dies or time runs out.
    """
    import nbformat
    import papermill
    from papermill.exceptions import PapermillExecutionError

    about = settings.load(chapter)
    one_of("profile", profile, settings.PROFILES)
    notebooks = notebooks or notebooks_folder()
    source = notebooks / f"{chapter}.ipynb"
    if not source.is_file():
        raise FileNotFoundError(f"chapter {chapter}: no notebook {source}")
    values = checked_parameters(source, {**(parameters or {}), "profile": profile})
    defaults = default_parameters(source)
    # Only what differs is injected, so a page at its defaults shows one parameters cell, not two.
    values = {name: value for name, value in values.items() if value != defaults[name]}
    limit = limit_seconds or max(120.0, 240.0 * about.minutes[profile])
    output = output or notebooks.parent / "_build" / "runs" / f"{chapter}-{profile}.ipynb"
    output.parent.mkdir(parents=True, exist_ok=True)
    partial = output.with_name(f".{os.getpid()}-{output.name}")
    _use_engine()
    watchdog = _Watchdog(limit)
    try:
        with _one_thread(), watchdog:
            papermill.execute_notebook(
                str(source),
                str(partial),
                parameters=values,
                engine_name="kit",
                kernel_name=kernel,
                cwd=str(notebooks),
                progress_bar=False,
                report=progress or _silent,
                request_save_on_cell_execute=False,
            )
    except PapermillExecutionError as error:
        raise ChapterFailed(_explain(chapter, error.exec_count, error.source, error.traceback)) from None
    except Exception as error:
        if watchdog.fired:
            raise ChapterFailed(f"chapter {chapter} did not finish within {limit:.0f} s and was stopped") from None
        raise ChapterFailed(f"chapter {chapter}: the kernel failed: {type(error).__name__}: {error}") from error
    else:
        notebook = nbformat.read(partial, as_version=4)
        nbformat.write(normalised(notebook, keep_times=True), partial)
        os.replace(partial, output)
    finally:
        partial.unlink(missing_ok=True)
    return output


def normalised(notebook, keep_times: bool = False):
    """The notebook without what changes from run to run: machine paths, time stamps, papermill's own notes.

    With `keep_times` each executed cell keeps its duration in seconds under
    ``metadata.deepfake_kit.seconds`` and the notebook keeps the total.
    """
    timing = notebook.metadata.pop("papermill", {})
    if keep_times and "duration" in timing:
        notebook.metadata["deepfake_kit"] = {
            "seconds": round(timing["duration"], 3),
            "began": timing["start_time"],
            "parameters": timing.get("parameters", {}),
        }
    for cell in notebook.cells:
        duration = cell.metadata.pop("papermill", {}).get("duration")
        cell.metadata.pop("execution", None)
        if keep_times and duration is not None:
            cell.metadata["deepfake_kit"] = {"seconds": round(duration, 3)}
        if not cell.metadata.get("tags", True):
            del cell.metadata["tags"]
    notebook.metadata.pop("language_info", None)
    notebook.metadata.pop("widgets", None) if not keep_times else None
    return notebook


def stripped(notebook):
    """A source notebook as it is committed: no outputs, no counts, no machine, no times."""
    notebook = normalised(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return notebook


def _silent(done: int, total: int, seconds: float) -> None:
    """The default progress report: none."""


def _explain(chapter: str, number, source: str, traceback: list[str]) -> str:
    lines = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(traceback)).splitlines()
    error = next((line for line in reversed(lines) if line.strip()), "unknown error")
    shown = "\n".join(f"    {line}" for line in source.splitlines()[:30])
    return f"chapter {chapter}, cell [{number}] failed: {error}\n{shown}"


@contextlib.contextmanager
def _one_thread():
    """Give the kernel one numerical thread, whatever the machine."""
    before = {name: os.environ.get(name) for name in THREAD_VARIABLES}
    os.environ.update({name: "1" for name in THREAD_VARIABLES})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


class _Watchdog:
    """Kill this process's kernels after `limit` seconds; papermill alone can wait for a dead one for ever."""

    def __init__(self, limit: float):
        self.fired = False
        self._timer = threading.Timer(limit, self._fire)
        self._timer.daemon = True

    def _fire(self):
        import psutil

        self.fired = True
        for child in psutil.Process().children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess):
                child.send_signal(getattr(signal, "SIGKILL", signal.SIGTERM))

    def __enter__(self):
        self._timer.start()
        return self

    def __exit__(self, *_):
        self._timer.cancel()


def _use_engine() -> None:
    """Register a papermill engine that reports after each cell."""
    from papermill.engines import NBClientEngine, papermill_engines

    class KitEngine(NBClientEngine):
        @classmethod
        def execute_managed_notebook(cls, nb_man, kernel_name, report=_silent, **options):
            began, total = time.monotonic(), len(nb_man.nb.cells)
            complete = nb_man.cell_complete

            def cell_complete(cell, cell_index=None, **more):
                complete(cell, cell_index=cell_index, **more)
                report((cell_index or 0) + 1, total, time.monotonic() - began)

            nb_man.cell_complete = cell_complete
            report(0, total, 0.0)
            return super().execute_managed_notebook(nb_man, kernel_name, **options)

    papermill_engines.register("kit", KitEngine)


def parse_parameters(pairs: list[str]) -> dict:
    """Turn ``name=value`` words into parameters; values are JSON where they parse as such, else text.

    Examples
    --------
    >>> parse_parameters(["seed=3", "dataset=kmnist", "break_it=true"])
    {'seed': 3, 'dataset': 'kmnist', 'break_it': True}
    """
    found = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not equals or not name:
            raise ValueError(f"parameter {pair!r} must have the form name=value")
        try:
            found[name] = json.loads(value.lower() if value in ("True", "False") else value)
        except json.JSONDecodeError:
            found[name] = value
    return found
