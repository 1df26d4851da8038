"""Execute one chapter's notebook with papermill: known parameters only, watched, whole or not at all."""

from __future__ import annotations

import contextlib
import glob
import json
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from deepfake_kit import paths
from deepfake_kit.notebook import settings
from deepfake_kit.valid import one_of

# The threads a worker may use. One, always: chapters run side by side, and a sum that is
# split over another number of threads rounds differently, so a figure would depend on the machine.
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")

KERNEL = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
LANGUAGE = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
# A kernel that finishes no cell, computes less than a hundredth of the time and reads or writes less than a megabyte
# for so long hangs; one that is only slow does more.
STALL_SECONDS = 600.0
LEAST_MEMORY = 64 * 2**20  # bytes left on the machine, swap included

Progress = Callable[[int, int, float], None]


class ChapterFailed(RuntimeError):
    """A cell raised, the kernel died, hung or met the limit; the message names chapter, cell and error."""


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


def read_source(notebook: Path):
    """A chapter's source as a notebook of today's format, whatever wrote it.

    Raises
    ------
    ValueError
        If the file is no notebook (empty, cut, merge markers), or an executed copy in the place of a source.
    """
    import nbformat

    try:
        found = nbformat.reads(notebook.read_text(encoding="utf-8-sig"), as_version=4)
        [cell.source for cell in found.cells]
    except (ValueError, KeyError, AttributeError, nbformat.ValidationError) as error:
        words = " ".join(str(error).split())[:120]
        raise ValueError(f"chapter {notebook.stem}: {notebook.name} is not a readable notebook: {words}") from None
    injected = [cell for cell in found.cells if "injected-parameters" in cell.metadata.get("tags", [])]
    if injected or "deepfake_kit" in found.metadata:
        raise ValueError(
            f"chapter {notebook.stem}: {notebook.name} is an executed copy, whose parameters are already filled in; "
            "put the source back"
        )
    return found


def default_parameters(notebook: Path) -> dict:
    """Name and default of every parameter that a notebook declares in its ``parameters`` cell.

    Raises
    ------
    ValueError
        If a default is not a plain value, such as a number or a text.
    """
    import ast

    found = {}
    for cell in read_source(notebook).cells:
        if "parameters" not in cell.metadata.get("tags", []):
            continue
        try:
            for line in ast.parse(cell.source).body:
                if isinstance(line, ast.Assign | ast.AnnAssign) and line.value is not None:
                    targets = line.targets if isinstance(line, ast.Assign) else [line.target]
                    found.update({target.id: ast.literal_eval(line.value) for target in targets})
        except (SyntaxError, ValueError, AttributeError):
            raise ValueError(
                f"chapter {notebook.stem}: a line of the cell tagged 'parameters' is not `name = plain value`:\n"
                + cell.source
            ) from None
    return found


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
    output: str | os.PathLike | None = None,
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

    Raises
    ------
    ValueError
        For an unknown chapter, profile or parameter, an output that is a folder or a source, a source that is none;
        also if the finished notebook records another profile, seed or parameter than was asked for.
    ChapterFailed
        If a cell fails, or the kernel dies, hangs or meets the limit.
    """
    import nbformat
    import papermill
    from papermill.exceptions import PapermillExecutionError

    settings.load(chapter)
    one_of("profile", profile, settings.PROFILES)
    notebooks = paths.absolute(notebooks) if notebooks else notebooks_folder()
    source = notebooks / f"{chapter}.ipynb"
    if not source.is_file():
        raise FileNotFoundError(f"chapter {chapter}: no notebook {source}")
    if "profile" in (parameters or {}):
        raise ValueError("parameter 'profile' is given as the profile itself (on the command line: --profile)")
    asked = checked_parameters(source, {**(parameters or {}), "profile": profile})
    defaults = default_parameters(source)
    # Only what differs is injected, so a page at its defaults shows one parameters cell, not two.
    values = {name: value for name, value in asked.items() if value != defaults[name]}
    built = paths.build(notebooks.parent)
    output = checked_output(output or built / "runs" / f"{chapter}-{profile}.ipynb", notebooks)
    began = time.monotonic()
    watchdog = _Watchdog(limit_seconds)
    _use_engine()
    surroundings = {name: "1" for name in THREAD_VARIABLES} | paths.fixed() | paths.home(built)
    with _partial(output) as partial:
        try:
            with paths.variables(surroundings), watchdog:
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
        notebook = normalised(nbformat.read(partial, as_version=4), keep_times=True)
        notebook.metadata.setdefault("deepfake_kit", {})["parameters"] = asked
        _hold_to(notebook, chapter, asked)
        nbformat.write(notebook, partial)
        os.replace(partial, output)
    return output


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
    """What a finished run recorded (see :mod:`deepfake_kit.notebook.results`) against the parameters asked for.

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


def _hold_to(notebook, chapter: str, asked: dict) -> None:
    from deepfake_kit.notebook import results

    found = results.read(notebook, chapter)
    wrong = differences(found, asked)
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
            left.unlink()
    partial = output.with_name(f".{os.getpid()}-{output.name}")
    with partial.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield partial
        finally:
            partial.unlink(missing_ok=True)


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
    # Editors leave this out or fill it with their versions; Sphinx needs the language.
    notebook.metadata.update(LANGUAGE)
    if not keep_times:
        notebook.metadata.pop("widgets", None)
    return notebook


def stripped(notebook):
    """A source notebook as it is committed: no outputs, no counts, no machine, no times."""
    notebook = normalised(notebook)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    notebook.metadata = {**LANGUAGE}
    return notebook


def _silent(done: int, total: int, seconds: float) -> None:
    """The default progress report: none."""


def _explain(chapter: str, number, source: str, traceback: list[str]) -> str:
    lines = re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(traceback)).splitlines()
    error = next((line for line in reversed(lines) if line.strip()), "unknown error")
    shown = "\n".join(f"    {line}" for line in source.splitlines()[:30])
    return f"chapter {chapter}, cell [{number}] failed: {error}\n{shown}"


class _Watchdog:
    """Stop a kernel that hangs, that takes the last memory, or that meets the limit its user set.

    The wall clock alone stops nothing: a slow or busy machine gets on all the same.
    """

    def __init__(self, limit: float | None, stall: float | None = None, every: float = 2.0):
        self.why = ""
        self.cell = 0
        self._limit, self._stall, self._every = limit or float("inf"), stall or STALL_SECONDS, every
        self._done = threading.Event()
        self._kernel = None
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def kernel(self, pid: int) -> None:
        """The process to watch."""
        import psutil

        with contextlib.suppress(psutil.NoSuchProcess):
            self._kernel = psutil.Process(pid)

    def _watch(self) -> None:
        import psutil

        began = last = time.monotonic()
        idle, before, cell = 0.0, 0.0, -1
        while not self._done.wait(self._every):
            now = time.monotonic()
            idle += min(now - last, 5 * self._every)  # a build that was suspended for an hour did not idle for one
            last = now
            work = _work(self._kernel)
            # A kernel that idles still beats its heart: a hundredth of the time counts as nothing.
            if self.cell != cell or work - before > 0.01 * max(idle, 1.0):
                idle, before, cell = 0.0, work, self.cell
            left = psutil.virtual_memory().available + psutil.swap_memory().free
            if now - began > self._limit:
                self._stop(f"it did not finish within {self._limit:.0f} s, the limit given")
            elif idle > self._stall:
                self._stop(f"after {self.cell} cells it neither computed nor read anything for {idle:.0f} s")
            elif left < LEAST_MEMORY:
                self._stop("the machine's memory ran out")

    def _stop(self, why: str) -> None:
        """Kill the kernel and what it started, and nothing else of this process."""
        import psutil

        self.why = self.why or why
        with contextlib.suppress(psutil.NoSuchProcess, AttributeError):
            for process in [*self._kernel.children(recursive=True), self._kernel]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._done.set()


def _work(kernel) -> float:
    """Processor seconds of a process and its children so far; a hundred megabytes read or written count as one."""
    import psutil

    done = 0.0
    with contextlib.suppress(psutil.Error, AttributeError):
        for process in [kernel, *kernel.children(recursive=True)]:
            with contextlib.suppress(psutil.Error):
                done += sum(process.cpu_times()[:2])
                if hasattr(process, "io_counters"):
                    moved = process.io_counters()
                    done += (getattr(moved, "read_chars", 0) + getattr(moved, "write_chars", 0)) / 1e8
    return done


def _use_engine() -> None:
    """Register a papermill engine that reports after each cell and lets the watchdog know its kernel."""
    from jupyter_client.kernelspec import KernelSpec
    from papermill.clientwrap import PapermillNotebookClient
    from papermill.engines import Engine, papermill_engines
    from papermill.log import logger

    class Client(PapermillNotebookClient):
        watchdog = None

        def create_kernel_manager(self):
            manager = super().create_kernel_manager()
            if self.kernel_name == "python3":  # this interpreter, whatever else calls itself so on this machine
                manager._kernel_spec = KernelSpec(argv=KERNEL, display_name="Python 3", language="python")
            return manager

        def start_new_kernel(self, **options):
            super().start_new_kernel(**options)
            self.watchdog.kernel(self.km.provisioner.pid)

    class KitEngine(Engine):
        @classmethod
        def execute_managed_notebook(cls, nb_man, kernel_name, report, watchdog, **options):
            began, total = time.monotonic(), len(nb_man.nb.cells)
            complete = nb_man.cell_complete

            def cell_complete(cell, cell_index=None, **more):
                complete(cell, cell_index=cell_index, **more)
                watchdog.cell = (cell_index or 0) + 1
                report(watchdog.cell, total, time.monotonic() - began)

            nb_man.cell_complete = cell_complete
            report(0, total, 0.0)
            options.pop("input_path", None)
            # The waits of nbclient are for the wall clock too; the watchdog takes their place.
            client = Client(
                nb_man,
                kernel_name=kernel_name,
                log=logger,
                timeout=None,
                startup_timeout=600,
                iopub_timeout=600,
                **options,
            )
            client.watchdog = watchdog
            return client.execute()

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
        if name in found:
            raise ValueError(f"parameter {name!r} is given twice")
        try:
            found[name] = json.loads(value.lower() if value in ("True", "False") else value)
        except json.JSONDecodeError:
            found[name] = value
    return found
