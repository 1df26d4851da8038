"""``make book``: plan, run the graph, show progress, publish; one build at a time."""

from __future__ import annotations

import contextlib
import fcntl
import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from deepfake_kit import paths
from deepfake_kit.notebook import settings
from press import assets, keys, nets, places, speed, stage, worker
from press.runs.kernel import end

UNTOUCHED = "the last good site, if there is one, stays in place"
KEEP = 3  # how many earlier results of a chapter stay, so that undoing an edit costs nothing


def build(root: Path, profile: str = "book", jobs: int | None = None, executor: str | None = None) -> Path:
    """Build the site and return the folder it was published to.

    Parameters
    ----------
    root : Path
        The repository.
    profile : str
        Profile that every chapter is executed at.
    jobs : int, optional
        Chapters at a time; default: the number of cores, on a cluster all of them.
    executor : str, optional
        The Snakemake executor plug-in that takes the chapters, ``slurm`` or ``cluster-generic`` for example; its own
        options stand in the profile that ``$SNAKEMAKE_PROFILE`` names. Default: this machine.

    Raises
    ------
    SystemExit
        If a chapter or a gate fails; the last good site stays in place.
    """
    settings.one_of("profile", profile, settings.PROFILES)
    folder = places.build(root)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _alone(folder) as lock, paths.variables({**paths.fixed(), **places.home(folder)}):
            return _build(root, folder, profile, jobs, executor, lock)
    except (OSError, assets.AssetError) as error:
        raise SystemExit(f"the build stopped: {error}; {UNTOUCHED}") from None


def _build(root: Path, folder: Path, profile: str, jobs: int | None, executor: str | None, lock: int) -> Path:
    if (
        executor
        and importlib.util.find_spec(module := f"snakemake_executor_plugin_{executor.replace('-', '_')}") is None
    ):
        raise ValueError(
            f"executor: {executor!r} needs the Python package {module.replace('_', '-')}, which is not installed"
        )
    worker.sweep(folder)
    assets.install(folder / "third_party")
    assets.numpy_wheel()
    assets.runtime()
    plan = _plan(root, profile)
    jobs = jobs or (len(plan["chapters"]) if executor else os.cpu_count()) or 1
    (folder / "plan.json").write_text(json.dumps(plan, indent=1), encoding="utf-8")
    if (folder / "progress").exists():
        shutil.rmtree(folder / "progress")
    (folder / "progress").mkdir()
    status = _graph(root, folder, plan, jobs, executor, lock)
    failed = {**plan["odd"], **_failures(folder)}
    for name, error in failed.items():
        print(f"\n{name} FAILED\n{error}", file=sys.stderr)
    if status or failed:
        _say_problems(folder, plan)
        raise SystemExit(f"The book is not whole, so nothing was published; {UNTOUCHED}.")
    published = stage.publish(folder, plan["site"], profile)
    _prune(folder, plan)
    return published


def _plan(root: Path, profile: str) -> dict:
    """Every chapter of the table of contents with its key, and the key of the site they make.

    A chapter whose source cannot be read stands under ``odd`` with the reason; the others run all the same.
    """
    chapters, odd = {}, {}
    for name in stage.chapters(root):
        try:
            minutes = settings.load(name).minutes[profile]
            chapters[name] = {"key": keys.chapter_key(root, name, profile), "minutes": minutes}
        except Exception as error:  # whatever is odd about one source, the others are not
            odd[name] = str(error) if isinstance(error, ValueError | OSError) else f"{type(error).__name__}: {error}"
    kept = [
        root / name
        for name in (
            "book",
            "deepfake_kit",  # the papers, and the kit's own pages
            "results",
            "_config.yml",
            "_toc.yml",
            "requirements.lock",
            "package-lock.json",
        )
    ]
    site = keys.tree_key(
        [path for path in kept if path.exists()],
        json.dumps(
            [chapters, profile, stage.repository(root), bool(assets.numpy_wheel(fetch=False)), nets.can()],
            sort_keys=True,
        ),
    )
    return {"profile": profile, "chapters": chapters, "odd": odd, "site": site}


def _graph(root: Path, folder: Path, plan: dict, jobs: int, executor: str | None, lock: int) -> int:
    """Run Snakemake and show one progress line a chapter; returns its exit status."""
    waiting = {}
    for name, row in plan["chapters"].items():
        executed = folder / "executed" / plan["profile"] / name / row["key"]
        if worker.fresh(executed):
            print(f"{name}: unchanged")
        else:
            shutil.rmtree(executed, ignore_errors=True)  # damaged since it was made, or never whole
            waiting[name] = _expected_seconds(folder, plan, name)
    finished = folder / "sites" / plan["site"]
    if not plan["odd"] and not waiting and stage.whole(finished):
        return 0
    if waiting:
        print(speed.forecast(list(waiting.values()), jobs), flush=True)
    shutil.rmtree(finished, ignore_errors=True)
    # Jobs put their outputs in place whole, so a file that exists is complete, whatever an interrupted graph noted.
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--snakefile",
        str(root / "book" / "Snakefile"),
        "--directory",
        str(folder),
        "--cores",
        str(jobs),
        "--keep-going",
        "--nolock",
        "--ignore-incomplete",
        "--rerun-triggers",
        "mtime",
    ]
    if executor:  # a worker that is lost costs its job only: the job is handed out again
        command += ["--executor", executor, "--jobs", str(jobs), "--retries", "2", "--latency-wait", "60"]
    log = folder / "snakemake.log"
    path = os.pathsep.join(filter(None, [str(root / "book"), os.environ.get("PYTHONPATH")]))
    with log.open("w", encoding="utf-8") as stream:
        # The graph ends with this process; the lock is handed on for the moment in which it may outlive it.
        process = subprocess.Popen(
            command,
            stdout=stream,
            stderr=subprocess.STDOUT,
            pass_fds=(lock,),
            cwd=root,
            env={**os.environ, "PYTHONPATH": path, "DEEPFAKE_BOOK_PARENT": str(os.getpid())},
        )
        try:
            _show_progress(process, folder, plan)
        except BaseException:
            if executor:  # it takes its jobs back from the queue
                process.send_signal(signal.SIGINT)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(60)
            end(process.pid)  # what is finished stays; asked to end, it would wait for its running jobs
            process.wait()
            raise
    if process.returncode:
        print(f"the graph's own log: {log}", file=sys.stderr)
    return process.returncode


def _show_progress(process, folder: Path, plan: dict) -> None:
    """Until the graph ends: a bar a chapter on a terminal, elsewhere a line at each quarter of its cells."""
    from tqdm import tqdm

    terminal = sys.stderr.isatty()
    bars, said = {}, {}
    expected = {name: _expected_seconds(folder, plan, name) for name in plan["chapters"]}
    while True:
        ended = process.poll() is not None
        for path in sorted((folder / "progress").glob("*.json")):
            with contextlib.suppress(FileNotFoundError):
                row = json.loads(path.read_text(encoding="utf-8"))
                name = path.stem
                if row["status"] == "failed":
                    if name in bars:
                        bars[name].set_postfix_str("FAILED")
                    elif said.get(name) != "failed":
                        said[name] = "failed"
                        print(f"{name}: FAILED; the other chapters go on", flush=True)
                    continue
                if row["status"] == "passed":
                    rest = f"done in {row['seconds']:.0f} s"
                else:
                    # The file is written after each cell; a long cell goes on running since then.
                    rest = _time_left(expected[name], row["seconds"] + time.time() - path.stat().st_mtime)
                if terminal:
                    if name not in bars:
                        bars[name] = tqdm(total=row["total"], desc=name, unit="cell", position=len(bars))
                    bars[name].n = row["done"]
                    bars[name].set_postfix_str(rest)
                elif said.get(name) != (step := (4 * row["done"] // max(1, row["total"]), row["status"])):
                    said[name] = step
                    print(f"{name}: cell {row['done']} of {row['total']}, {rest}", flush=True)
        if ended:
            break
        time.sleep(0.5)
    for bar in bars.values():
        bar.close()


def _expected_seconds(folder: Path, plan: dict, name: str) -> float:
    """How long a chapter should take here: as its newest earlier run, else as stated, at this machine's speed."""
    runs = (folder / "executed" / plan["profile"] / name).glob("[0-9a-f]*/results.json")
    for path in sorted(runs, key=os.path.getmtime, reverse=True):
        with contextlib.suppress(OSError, ValueError):
            if seconds := json.loads(path.read_text(encoding="utf-8")).get("seconds"):
                return float(seconds)
    return 60.0 * plan["chapters"][name]["minutes"] * speed.factor()


def _time_left(expected: float, elapsed: float) -> str:
    """The time left, in words.

    Examples
    --------
    >>> _time_left(90, 30), _time_left(90, 95)
    ('about 60 s left', 'longer than expected, 95 s so far')
    """
    left = expected - elapsed
    return f"about {left:.0f} s left" if left > 0 else f"longer than expected, {elapsed:.0f} s so far"


def _failures(folder: Path) -> dict[str, str]:
    found = {}
    for path in sorted((folder / "progress").glob("*.json")):
        row = json.loads(path.read_text(encoding="utf-8"))
        if row["status"] == "failed":
            found[path.stem] = row["error"]
    return found


def _say_problems(folder: Path, plan: dict) -> None:
    """What keeps the site from being published; where nothing listed it, the end of the graph's log."""
    report = folder / "sites" / plan["site"] / "problems.txt"
    if report.is_file():
        print(report.read_text(encoding="utf-8"), file=sys.stderr)
    elif not _failures(folder):
        print("\n".join((folder / "snakemake.log").read_text(encoding="utf-8").splitlines()[-30:]), file=sys.stderr)


@contextlib.contextmanager
def _alone(folder: Path):
    """Hold the build lock; say so and wait while another build holds it."""
    with (folder / "lock").open("w", encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print("another build is running here; waiting for it to end", file=sys.stderr, flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield file.fileno()


def _prune(folder: Path, plan: dict) -> None:
    """Drop old results: of each chapter keep the newest few, of sites those that are shown (one a profile)."""
    for name in plan["chapters"]:
        kept = sorted((folder / "executed" / plan["profile"] / name).glob("[0-9a-f]*"), key=os.path.getmtime)
        for old in kept[:-KEEP]:
            if old.name != plan["chapters"][name]["key"]:
                shutil.rmtree(old, ignore_errors=True)
    shown = {Path(os.readlink(link)).name for link in folder.glob("html*") if link.is_symlink()}
    kept = {name.partition("-")[0] for name in shown} | {plan["site"]}
    for old in [*(folder / "sites").glob("[0-9a-f]*"), *(folder / "shown").glob("*")]:
        if old.name not in (kept if old.parent.name == "sites" else shown):
            shutil.rmtree(old, ignore_errors=True)
