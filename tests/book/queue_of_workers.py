"""A queue with workers, the smallest cluster: ``submit`` and ``status`` are what a scheduler's commands are.

A worker is a process with a folder of its own for temporary files. One that is killed takes its job with it: its
status is then *failed*, as a scheduler says of a node that is gone.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path


def submit(queue: Path, script: str) -> str:
    """Put a job script into the queue; returns the job's name."""
    handle, path = tempfile.mkstemp(prefix="job-", dir=queue, suffix=".waiting")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.write(Path(script).read_text(encoding="utf-8"))
    return Path(path).stem


def status(queue: Path, job: str) -> str:
    """What became of a job: ``running`` (or waiting), ``success`` or ``failed``."""
    for end in ("success", "failed"):
        if (queue / f"{job}.{end}").exists():
            return end
    taken = list(queue.glob(f"{job}.taken-*"))
    return "failed" if taken and not _alive(int(taken[0].suffix.rpartition("-")[2])) else "running"


def work(queue: Path) -> None:
    """Take jobs, one after the other, until killed."""
    while True:
        for waiting in sorted(queue.glob("job-*.waiting")):
            taken = waiting.with_suffix(f".taken-{os.getpid()}")
            try:
                waiting.rename(taken)
            except FileNotFoundError:  # another worker was faster
                continue
            done = subprocess.run(["bash", str(taken)], capture_output=True, text=True)
            (queue / f"{waiting.stem}.log").write_text(done.stdout + done.stderr, encoding="utf-8")
            (queue / f"{waiting.stem}.{'failed' if done.returncode else 'success'}").touch()
        time.sleep(0.1)


def worker(queue: Path, temporary: Path, environment: dict) -> subprocess.Popen:
    """Start a worker whose temporary files lie in `temporary`; it leads a group of processes, to be killed whole."""
    temporary.mkdir()
    words = [sys.executable, __file__, str(queue), "work"]
    return subprocess.Popen(words, env={**environment, "TMPDIR": str(temporary)}, start_new_session=True)


def kill(one: subprocess.Popen) -> None:
    """What pulling the plug does: the worker and all that it started are gone."""
    os.killpg(one.pid, signal.SIGKILL)
    one.wait()


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    place, command, *rest = sys.argv[1:]
    said = {"submit": submit, "status": status, "work": work}[command](Path(place), *rest)
    print(said)
