"""The kernel of a run: a papermill engine that reports after each cell, and a watchdog over a process that hangs."""

from __future__ import annotations

import contextlib
import os
import runpy
import sys
import threading
import time
from pathlib import Path

BOOK = str(Path(__file__).parents[2])
LAUNCH = f"import sys; sys.path.append({BOOK!r}); from press.runs import kernel; kernel.launch()"
KERNEL = [sys.executable, "-c", LAUNCH, "-f", "{connection_file}"]

# A kernel that finishes no cell, computes less than a hundredth of the time and reads or writes less than a megabyte
# for so long hangs; one that is only slow does more.
STALL_SECONDS = 600.0

LEAST_MEMORY = 64 * 2**20  # bytes left on the machine, swap included


class Watchdog:
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
            # Less than before: what it waited for has ended.
            if self.cell != cell or abs(work - before) > 0.01 * max(idle, 1.0):
                idle, before, cell = 0.0, work, self.cell
            left = psutil.virtual_memory().available + psutil.swap_memory().free
            if now - began > self._limit:
                self._stop(f"it did not finish within {self._limit:.0f} s, the limit given")
            elif idle > self._stall:
                self._stop(f"after {self.cell} cells it neither computed nor read anything for {idle:.0f} s")
            elif left < LEAST_MEMORY:
                self._stop("the machine's memory ran out")

    def _stop(self, why: str) -> None:
        self.why = self.why or why
        if self._kernel:
            end(self._kernel.pid)  # and nothing else of this process

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._done.set()


def end(pid: int, itself: bool = True) -> None:
    """Kill a process and all that it started."""
    import psutil

    with contextlib.suppress(psutil.NoSuchProcess):
        top = psutil.Process(pid)
        for process in [*top.children(recursive=True), *([top] if itself else [])]:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


def end_with_parent(parent: int) -> None:
    """From now on, once the process `parent` that started this one has ended, kill all that this one started, and end.

    A thread looks twice a second: that works on Linux and macOS alike, whichever thread of the parent started this one.
    """

    def watch():
        while os.getppid() == parent:
            time.sleep(0.5)
        end(os.getpid(), itself=False)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def launch() -> None:
    """Become Python's usual kernel, but one that ends with all it has started when the run that wants it is killed."""
    end_with_parent(int(os.environ["JPY_PARENT_PID"]))
    os.environ["JPY_PARENT_PID"] = "1"  # ipykernel's own watch would leave behind what the kernel has started
    sys.argv.append("--log-level=ERROR")  # it would warn each reader that this machine's own loopback is not encrypted
    runpy.run_module("ipykernel_launcher", run_name="__main__", alter_sys=True)


def _work(kernel) -> float:
    """Processor seconds of a process and its children so far; a hundred megabytes read or written count as one.

    Whoever holds a lock that they wait for works for them, too: what a chapter on another core trains, they need. One
    that is ready and waits for a core, on a machine where others come first, does not hang: of that time 3 % count.
    """
    import psutil

    done = 0.0
    with contextlib.suppress(psutil.Error, AttributeError):
        mine = [kernel, *kernel.children(recursive=True)]
        for process in [*mine, *_awaited({process.pid for process in mine})]:
            with contextlib.suppress(psutil.Error):
                done += sum(process.cpu_times()[:2]) + 0.03 * _ready(process.pid)
                if hasattr(process, "io_counters"):
                    moved = process.io_counters()
                    done += (getattr(moved, "read_chars", 0) + getattr(moved, "write_chars", 0)) / 1e8
    return done


def _ready(pid: int) -> float:
    """Seconds that a process was ready and waited for a core, over its threads; zero where the system does not say."""
    waited = 0
    for thread in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            waited += int(thread.read_text().split()[1])
    return waited / 1e9


def _awaited(pids: set[int]) -> list:
    """The processes, with their children, that hold locks for which `pids` wait; none where the system does not say."""
    import psutil

    holder, found = {}, {}
    with contextlib.suppress(OSError, ValueError, psutil.Error):
        for line in Path("/proc/locks").read_text().splitlines():
            number, *words = line.split()
            pid = int(words[-4])
            if "->" not in words:
                holder[number] = pid
            elif pid in pids and (other := holder.get(number)) not in pids:
                top = psutil.Process(other)
                found |= {one.pid: one for one in (top, *top.children(recursive=True))}
    return list(found.values())


def use_engine() -> None:
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
