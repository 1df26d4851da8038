"""Execute one chapter's notebook with papermill: known parameters only, watched, whole or not at all."""

from __future__ import annotations

import contextlib
import glob
import os
import re
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

from deepfake_kit import paths
from deepfake_kit.notebook import settings
from deepfake_kit.valid import one_of
from press import places
from press.runs import results
from press.runs.kernel import Watchdog, use_engine
from press.runs.source import checked_parameters, default_parameters, normalised

# The threads a worker may use. One, always: chapters run side by side, and a sum that is
# split over another number of threads rounds differently, so a figure would depend on the machine.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


Progress = Callable[[int, int, float], None]


class ChapterFailed(ChildProcessError):
    """A cell raised, the kernel died, hung or met the limit; the message names chapter, cell and error."""


def run(
    chapter: str,
    profile: str = "book",
    parameters: dict | None = None,
    output: str | os.PathLike | None = None,
    notebooks: Path | None = None,
    limit_seconds: float | None = None,
    progress: Progress | None = None,
    kernel: str = "python3",
    check: Callable[[dict], list[str]] | None = None,
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
    output : path, optional
        Where the executed notebook goes; default ``runs/<chapter>-<profile>.ipynb`` in the build's folder.
        It is written whole or not at all.
    notebooks : Path, optional
        The folder of the sources; default: found from the working directory upwards.
    limit_seconds : float, optional
        The kernel is stopped after so long, if given. Without it only a kernel that does nothing for
        ten minutes, or takes the machine's last memory, is stopped.
    progress : callable, optional
        Called with (cells done, cells in all, seconds so far) after each cell.
    kernel : str
        Jupyter kernel to run in.
    check : callable, optional
        Called with what the finished run recorded, see :mod:`press.runs.results`; returns what is wrong
        with it, such as data other than those that lie here (:func:`press.runs.results.other_data`).

    Raises
    ------
    ValueError
        For an unknown chapter, profile or parameter, an output that is a folder or a source, a source that is none;
        also if the finished notebook records another profile, seed or parameter than was asked for, or `check` objects.
    ChapterFailed
        If a cell fails, or the kernel dies, hangs or meets the limit.
    """
    import nbformat
    import papermill

    settings.load(chapter)
    one_of("profile", profile, settings.PROFILES)
    notebooks = paths.absolute(notebooks) if notebooks else paths.notebooks()
    source = notebooks / f"{chapter}.ipynb"
    if not source.is_file():
        raise FileNotFoundError(f"chapter {chapter}: no notebook {source}")
    if "profile" in (parameters or {}):
        raise ValueError("parameter 'profile' is given as the profile itself (on the command line: --profile)")
    asked = checked_parameters(source, {**(parameters or {}), "profile": profile})
    defaults = default_parameters(source)
    # Only what differs is injected, so a page at its defaults shows one parameters cell, not two.
    values = {name: value for name, value in asked.items() if value != defaults[name]}
    built = places.build(notebooks.parent)
    output = checked_output(output or built / "runs" / f"{chapter}-{profile}.ipynb", notebooks)
    watchdog = Watchdog(limit_seconds)
    use_engine()
    surroundings = {name: "1" for name in THREAD_VARIABLES} | paths.fixed() | places.home(built)
    with _partial(output) as partial:
        with _explained(chapter, watchdog), paths.variables(surroundings), watchdog:
            papermill.execute_notebook(
                # papermill fills its parameters into braces, here those of a folder's name.
                str(source).replace("{", "{{").replace("}", "}}"),
                str(partial).replace("{", "{{").replace("}", "}}"),
                parameters=values,
                engine_name="kit",
                kernel_name=kernel,
                language="python",  # editors may leave it out of the file
                cwd=str(notebooks),
                progress_bar=False,
                report=progress or _silent,
                watchdog=watchdog,
                request_save_on_cell_execute=False,
            )
        notebook = normalised(nbformat.read(partial, as_version=4), keep_times=True)
        notebook.metadata.setdefault("deepfake_kit", {})["parameters"] = asked
        with paths.variables(surroundings):  # where the data are looked for
            _hold_to(notebook, chapter, asked, check)
        nbformat.write(notebook, partial)
        os.replace(partial, output)
    return output


@contextlib.contextmanager
def _explained(chapter: str, watchdog: Watchdog) -> Iterator[None]:
    """Whatever stops a chapter, as `ChapterFailed` in words."""
    from papermill.exceptions import PapermillExecutionError

    began = time.monotonic()
    try:
        yield
    except PapermillExecutionError as error:
        raise ChapterFailed(_explain(chapter, error.exec_count, error.source, error.traceback)) from None
    except Exception as error:
        if watchdog.why:
            after = f"after {time.monotonic() - began:.0f} s"
            raise ChapterFailed(f"chapter {chapter} was stopped {after}: {watchdog.why}") from None
        if type(error).__name__ == "DeadKernelError":
            raise ChapterFailed(
                f"chapter {chapter}: the kernel died after {watchdog.cell} cells; most often memory ran out"
            ) from None
        raise ChapterFailed(f"chapter {chapter}: the kernel failed: {type(error).__name__}: {error}") from error


def checked_output(output: str | os.PathLike, notebooks: Path) -> Path:
    """Where an executed notebook may go, as an absolute path whose folder exists.

    Raises
    ------
    ValueError
        If it ends like a folder, is one, does not end in ``.ipynb``, or is a source.
    """
    wanted, path = os.fspath(output), paths.absolute(output)
    if path.is_dir() or wanted.endswith(("/", os.sep)):
        raise ValueError(f"output {wanted!r} is a folder; name the file, such as {path / 'run.ipynb'}")
    if path.suffix != ".ipynb":
        raise ValueError(f"output {wanted!r} must end in .ipynb")
    if path.resolve().parent == notebooks.resolve() or any(
        path.exists() and path.samefile(s) for s in notebooks.glob("*")
    ):
        raise ValueError(f"output {wanted!r} lies among the sources in {notebooks}; executed notebooks go elsewhere")
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


def differences(found: dict, asked: dict) -> list[str]:
    """What a finished run recorded (see :mod:`press.runs.results`) against the parameters asked for.

    Examples
    --------
    >>> differences({"profile": "book", "seed": 1, "parameters": {}}, {"profile": "smoke", "seed": 1})
    ["profile: asked 'smoke', recorded 'book'"]
    """
    recorded = {**found["parameters"], "profile": found["profile"], "seed": found["seed"]}
    return [
        f"{name}: asked {value!r}, recorded {recorded[name]!r}"
        for name, value in asked.items()
        if name in recorded and recorded[name] != value
    ]


def _hold_to(notebook, chapter: str, asked: dict, check: Callable[[dict], list[str]] | None) -> None:
    found = results.read(notebook, chapter)
    wrong = differences(found, asked) + (check(found) if check else [])
    if found["chapter"] != chapter:
        wrong.insert(0, f"chapter: asked {chapter!r}, recorded {found['chapter']!r}")
    if wrong:
        raise ValueError(f"chapter {chapter} did not run as asked, so nothing was kept: {'; '.join(wrong)}")


@contextlib.contextmanager
def _partial(output: Path) -> Iterator[Path]:
    """A file beside `output` to write to, locked while it is in use; those that a killed run left are removed."""
    import fcntl

    for left in output.parent.glob(f".[0-9]*-{glob.escape(output.name)}"):
        with contextlib.suppress(OSError), left.open() as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # refused while the run that writes it lives
            if _is_at(file, left):
                left.unlink()
    partial = output.with_name(f".{os.getpid()}-{output.name}")
    with contextlib.ExitStack() as files:
        while True:  # another run may have taken it for one that was left, before it was locked
            file = files.enter_context(partial.open("w"))
            fcntl.flock(file, fcntl.LOCK_EX)
            if _is_at(file, partial):
                break
        try:
            yield partial
        finally:
            partial.unlink(missing_ok=True)


def _is_at(file: IO, path: Path) -> bool:
    """Whether an open file is the one that lies at a path: it may have been removed since, and another written."""
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _silent(done: int, total: int, seconds: float) -> None:
    """The default progress report: none."""


def _explain(chapter: str, number, source: str, traceback: list[str]) -> str:
    lines = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(traceback)).splitlines()
    error = next((line for line in reversed(lines) if line.strip()), "unknown error")
    shown = "\n".join(f"    {line}" for line in source.splitlines()[:30])
    return f"chapter {chapter}, cell [{number}] failed: {error}\n{shown}"
