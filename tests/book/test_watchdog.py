"""A chapter is stopped when it hangs, when memory is gone, or when its user says so; never for being slow."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from press.runs import execute, kernel

IDLE = "import time\ntime.sleep(60)"
SLOW = "import time\nwhile True:\n    sum(range(200_000))\n    time.sleep(0.05)"
READS = "import os, time\nwhile True:\n    open('/dev/zero', 'rb').read(5_000_000)\n    time.sleep(0.1)"


@pytest.fixture
def process():
    """Start python on some code; ended with the test."""
    started = []

    def start(code):
        started.append(subprocess.Popen([sys.executable, "-c", code]))
        return started[-1]

    yield start
    for one in started:
        one.kill()
        one.wait()


def watched(process, seconds, **options):
    with kernel.Watchdog(options.pop("limit", None), every=0.1, **options) as dog:
        dog.kernel(process.pid)
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.05)
    return dog


def test_one_that_neither_computes_nor_reads_is_stopped(process):
    one = process(IDLE)
    dog = watched(one, 20, stall=3.0)
    assert one.poll() is not None and "neither computed nor read anything for" in dog.why


@pytest.mark.parametrize("code", [SLOW, READS], ids=["computes", "reads"])
def test_one_that_is_only_slow_goes_on(process, code):
    one = process(code)
    dog = watched(one, 8, stall=3.0)
    assert one.poll() is None and dog.why == ""


@pytest.mark.skipif(not Path("/proc/locks").exists(), reason="this system does not say who waits for whom")
@pytest.mark.parametrize("code, stopped", [(SLOW, False), (IDLE, True)], ids=["computes", "hangs"])
def test_one_that_waits_for_another_goes_on_while_that_one_computes(process, tmp_path, code, stopped):
    take = f"import fcntl\nfile = open({str(tmp_path / 'lock')!r}, 'a')\nfcntl.flock(file, fcntl.LOCK_EX)\n"
    ready = tmp_path / "ready"
    process(f"{take}open({str(ready)!r}, 'w')\n{code}")
    while not ready.exists():
        time.sleep(0.05)
    one = process(take)
    dog = watched(one, 20 if stopped else 8, stall=3.0)
    assert (one.poll() is not None, bool(dog.why)) == (stopped, stopped)


@pytest.mark.skipif(not Path("/proc/self/schedstat").exists(), reason="this system does not say who waits for a core")
@pytest.mark.parametrize("code, stopped", [(SLOW, False), (IDLE, True)], ids=["computes", "hangs"])
def test_one_that_hardly_gets_a_core_because_others_come_first_goes_on(process, code, stopped):
    here = f"import os\nos.sched_setaffinity(0, {{{min(os.sched_getaffinity(0))}}})\n"
    for _ in range(8):
        process(f"{here}while True: pass")
    one = process(f"{here}os.nice(19)\n{code}")
    dog = watched(one, 30 if stopped else 12, stall=5.0)
    assert (one.poll() is not None, bool(dog.why)) == (stopped, stopped)


def test_a_finished_cell_is_progress(process):
    one = process(IDLE)
    with kernel.Watchdog(None, stall=3.0, every=0.1) as dog:
        dog.kernel(one.pid)
        for dog.cell in range(8):
            time.sleep(1)
    assert one.poll() is None and dog.why == ""


def test_the_limit_is_the_users(process):
    one = process(SLOW)
    dog = watched(one, 20, limit=1.0)
    assert one.poll() is not None and "did not finish within 1 s, the limit given" in dog.why


def test_it_is_stopped_when_memory_is_gone(process, monkeypatch):
    one = process(SLOW)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(available=10**6))
    monkeypatch.setattr(psutil, "swap_memory", lambda: SimpleNamespace(free=0))
    dog = watched(one, 20)
    assert one.poll() is not None and "memory ran out" in dog.why


def test_only_the_kernel_and_its_children_are_stopped(process):
    other = process(IDLE)
    kernel = process(f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {IDLE!r}])")
    while not (children := psutil.Process(kernel.pid).children()):
        time.sleep(0.05)
    watched(kernel, 20, limit=0.5)
    psutil.wait_procs(children, timeout=10)
    assert kernel.poll() is not None and not children[0].is_running() or children[0].status() == "zombie"
    assert other.poll() is None, "a child that is no kernel was killed"


@pytest.mark.parametrize("again", [False, True])
def test_a_file_that_another_run_removed_before_it_was_locked_is_made_anew(tmp_path, monkeypatch, again):
    import fcntl

    lock, path = fcntl.flock, tmp_path / f".{os.getpid()}-out.ipynb"

    def late(file, how):  # the other run comes between, and its own file may lie there
        monkeypatch.setattr(fcntl, "flock", lock)
        path.unlink()
        if again:
            path.write_text("another")
        return lock(file, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with execute._partial(tmp_path / "out.ipynb") as own:
        assert own.exists()
        with own.open() as other, pytest.raises(BlockingIOError):  # locked, so nobody takes it for one that was left
            lock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert not path.exists()


def test_what_killed_runs_left_is_removed_and_a_living_ones_file_stays(tmp_path):
    code = (
        "import sys, time, pathlib\nfrom press.runs import execute\n"
        "with execute._partial(pathlib.Path(sys.argv[1])) as path:\n    print(path, flush=True)\n    time.sleep(60)"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "out.ipynb")]
    killed, living = (subprocess.Popen(words, stdout=subprocess.PIPE, text=True) for _ in range(2))
    try:
        left, used = killed.stdout.readline().strip(), living.stdout.readline().strip()
        killed.kill()
        killed.wait()
        assert os.path.exists(left) and os.path.exists(used)
        with execute._partial(tmp_path / "out.ipynb") as own:
            assert not os.path.exists(left) and os.path.exists(used) and own.exists()
        assert not own.exists()
    finally:
        living.kill()
        living.wait()
